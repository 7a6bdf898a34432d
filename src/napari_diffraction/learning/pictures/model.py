"""The first and the last of a picture network's training: its weights before, its card after."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from napari_diffraction.errors import InputError
from napari_diffraction.learning.model_card import ModelCard
from napari_diffraction.learning.models.calibration import calibrate
from napari_diffraction.learning.models.classifier import (
    Classifier,
    load_classifier,
    save_classifier,
)
from napari_diffraction.learning.models.leakage import training_hashes
from napari_diffraction.learning.models.registry import load_model
from napari_diffraction.learning.networks.picture_networks import build, build_pretrained
from napari_diffraction.learning.networks.picture_view import on_card
from napari_diffraction.learning.pictures.data import Pictures
from napari_diffraction.learning.pictures.recipe import PicturesRecipe
from napari_diffraction.learning.settings import beside

#: Digests of so many patterns are kept with the model.
_MOST_HASHES = 200_000


def first_network(
    recipe: PicturesRecipe, classes: tuple[str, ...], fetch: bool = True
) -> tuple[nn.Module, str]:
    """Make the network with the weights that the recipe says.

    Parameters
    ----------
    recipe
        Names the network, and perhaps a model to start from.
    classes
        What it shall tell apart.
    fetch
        Whether the weights matter; else they are random.

    Returns
    -------
    network
    note
        A sentence where weights were wished for that cannot be had, else an empty text.

    Raises
    ------
    InputError
        The model to start from is missing, or of another network.
    """
    if recipe.start and fetch:
        return _started(recipe, classes), ""
    if recipe.pretrained and fetch:
        return build_pretrained(len(classes), recipe.network)
    return build(len(classes), recipe.network), ""


def _started(recipe: PicturesRecipe, classes: tuple[str, ...]) -> nn.Module:
    """Return the network of the model that a recipe starts from."""
    before = model_before(recipe)
    network = build(len(classes), recipe.network)
    own, theirs = network.state_dict(), before.network.state_dict()
    # Weights of the last layer mean something only for the same classes.
    same = before.card.classes == classes
    last_layer: Any = network.last_layer
    last = {id(one) for one in last_layer.state_dict(keep_vars=True).values()}
    kept = network.state_dict(keep_vars=True)
    network.load_state_dict(
        {name: theirs[name] if same or id(kept[name]) not in last else own[name] for name in own}
    )
    return network


def check_network(recipe: PicturesRecipe) -> frozenset[str]:
    """Raise `InputError` where the network or the model to start from cannot be had.

    Returns
    -------
    frozenset
        Digests of the patterns that the model to start from has learned from.
    """
    with torch.device("meta"):
        build(2, recipe.network)
    return training_hashes(model_before(recipe).card.path) if recipe.start else frozenset()


def model_before(recipe: PicturesRecipe) -> Classifier:
    """Load the model that a recipe starts from.

    Raises
    ------
    InputError
        It is missing, or of another network, or saw other pictures.
    """
    before = load_model(beside(recipe.start, recipe.folder))
    if before.card.options.get("name") != recipe.network:
        raise InputError(
            f"{before.card.path} holds another network than {recipe.network}: name its network in "
            "the recipe, or leave start out."
        )
    if before.card.preprocessing != on_card(recipe.preprocessing):
        raise InputError(
            f"{before.card.path} saw other pictures: take the preprocessing of its recipe, or "
            "leave start out."
        )
    return before


def let_learn(network: Any, last_layer_only: bool) -> None:
    """Let all weights learn, or those of the last layer."""
    network.train()
    network.requires_grad_(not last_layer_only)
    if last_layer_only:
        network.last_layer.requires_grad_(True)
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def figures_of(logits: NDArray[np.float64], label: NDArray[np.int64]) -> tuple[float, float, float]:
    """Mean loss of the classes, mean recall of the classes, and accuracy."""
    z, truth = torch.from_numpy(logits), torch.from_numpy(label)
    loss = functional.cross_entropy(z, truth, reduction="none").numpy()
    right = logits.argmax(axis=1) == label
    there = np.unique(label)
    return (
        float(np.mean([loss[label == one].mean() for one in there])),
        float(np.mean([right[label == one].mean() for one in there])),
        float(right.mean()),
    )


def write_model(
    recipe: PicturesRecipe,
    pictures: Pictures,
    network: nn.Module,
    judged: tuple[NDArray[np.float64], NDArray[np.int64]],
    figures: dict[str, Any],
    output: Path,
) -> None:
    """Calibrate a network by the patterns that it was judged by, and write it with its card.

    Parameters
    ----------
    recipe, pictures
        What it was made by.
    network
        With the weights as they shall be written.
    judged
        Logits (n, n_classes) and classes (n,) of the patterns to judge by.
    figures
        What the card shall tell beside how good it is.
    output
        The file.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    (logits, label), classes = judged, pictures.classes
    scale, bias = calibrate(logits, label)
    # A class that was not judged may come all the same, about as often as one pattern among these.
    counts = np.maximum(np.bincount(label, minlength=len(classes)), 1)
    shares = counts / counts.sum()
    _, balanced, accuracy = figures_of(logits, label)
    names = ", ".join(classes)
    card = ModelCard(
        name=recipe.name,
        title=recipe.title or names,
        summary=recipe.summary or f"Tells {names} apart, by {recipe.network}.",
        network="pictures",
        classes=classes,
        options={"name": recipe.network},
        scale=scale,
        bias=tuple(float(b) for b in bias),
        shares=dict(zip(classes, shares.tolist(), strict=True)),
        recipe=recipe.as_dict(),
        figures={
            "balanced accuracy": round(balanced, 4),
            "accuracy": round(accuracy, 4),
            "patterns judged": len(label),
            **figures,
        },
        preprocessing=on_card(recipe.preprocessing),
    )
    # What the model was calibrated on had its say in it, too.
    save_classifier(network, card, output, _hashes(pictures))


def write_mean(pictures: Pictures, history: list[list[float]], judged: int, output: Path) -> None:
    """Put the mean of the folds' best epochs on the card, which the best model cannot know.

    Parameters
    ----------
    pictures
        All patterns.
    history
        Of each epoch: fold, loss, validation loss, balanced accuracy, accuracy.
    judged
        Number of patterns in the parts that were judged; not all where the time was over before.
    output
        The model, which is written anew.
    """
    folds = sorted({row[0] for row in history})
    best = np.array(
        [min((row for row in history if row[0] == f), key=lambda row: row[2]) for f in folds]
    )
    model = load_classifier(output)
    figures = model.card.figures | {
        "balanced accuracy": round(float(best[:, 3].mean()), 4),
        "accuracy": round(float(best[:, 4].mean()), 4),
        "spread of the balanced accuracy": round(float(best[:, 3].std()), 4),
        "folds": len(folds),
        "patterns judged": judged,
    }
    card = replace(model.card, figures=figures)
    save_classifier(model.network, card, output, _hashes(pictures))


def _hashes(pictures: Pictures) -> list[str]:
    """Digests of all patterns that have had their say, those of the model before last."""
    return [*pictures.hashes.tolist(), *pictures.known][:_MOST_HASHES]
