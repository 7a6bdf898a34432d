"""Weights that somebody trained with PyTorch elsewhere, made a model of this package once."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from napari_diffraction.errors import InputError
from napari_diffraction.learning.model_card import ModelCard
from napari_diffraction.learning.models.classifier import save_classifier
from napari_diffraction.learning.networks import picture_networks, picture_view
from napari_diffraction.learning.networks.picture_preprocessing import Preprocessing

#: Levels of names within which the network may stand in a checkpoint.
_DEEPEST = 3
#: What a file may lack, as old versions of PyTorch did not write it.
_SPARED = "num_batches_tracked"
_COLOURS = 3


def from_state_dict(
    path: Path,
    network: str,
    classes: Sequence[str],
    output: Path,
    *,
    preprocessing: Preprocessing,
    normalised: bool = True,
    name: str = "",
    summary: str = "",
) -> Path:
    """Make a model of the weights in a checkpoint; nothing else in it is ever unpickled.

    Its probabilities are those of the network's softmax: nothing is known to calibrate them by.

    Parameters
    ----------
    path
        Written by ``torch.save(model.state_dict(), path)`` or by a training program that keeps such
        a dictionary among other values, or a ``.safetensors`` file of weights alone.
    network
        One of `napari_diffraction.learning.networks.picture_networks.PICTURE_NETWORKS`.
    classes
        In the order of the network's outputs.
    output
        The model file, ``.safetensors``.
    preprocessing
        How patterns were made into pictures for the network.
    normalised
        Whether grey was then scaled as for torchvision's weights; else it went in from 0 to 1.
    name, summary
        What the model list shows; empty: the file's name, and where the weights come from.

    Returns
    -------
    Path
        The model file.

    Raises
    ------
    InputError
        The file holds more than weights or those of another network, or cannot be read or written.
    """
    if len(set(classes)) < 2 or len(set(classes)) < len(classes):
        raise InputError("Name two or more classes, each once, in the order of the outputs.")
    built = picture_networks.build(len(classes), network, normalised)
    built.load_state_dict(_fitted(path, _weights(path), built, network, len(classes)))
    card = ModelCard(
        name=name or output.stem,
        title=name or output.stem,
        summary=summary or f"Weights of {path.name}, a {network} trained elsewhere.",
        network="pictures",
        classes=tuple(classes),
        options={"name": network} | ({} if normalised else {"normalised": False}),
        scale=1.0,
        bias=(0.0,) * len(classes),
        shares=dict.fromkeys(classes, 1 / len(classes)),
        recipe={"kind": "converted", "network": network, "file": path.name},
        preprocessing=picture_view.on_card(preprocessing),
    )
    save_classifier(built, card, output)
    return output


def _weights(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a file, by their names with those of the dictionaries around them."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return dict(_tensors(torch.load(path, map_location="cpu", weights_only=True)))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check the name.") from error
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} holds more than weights, and what else it holds could do anything, so it is "
            "not opened: where it was made, write torch.save(model.state_dict(), FILE) and take "
            "this file."
        ) from error
    except (SafetensorError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise InputError(
            f"{path} is not a checkpoint of PyTorch, or is damaged: write it anew with "
            "torch.save(model.state_dict(), FILE)."
        ) from error


def _tensors(values: Any, where: str = "") -> list[tuple[str, Tensor]]:
    found = []
    for key, value in values.items() if isinstance(values, Mapping) else ():
        if isinstance(value, Tensor):
            found.append((f"{where}{key}", value))
        elif isinstance(value, Mapping):
            found += _tensors(value, f"{where}{key}.")
    return found


def _fitted(
    path: Path, weights: Mapping[str, Tensor], built: nn.Module, network: str, n_classes: int
) -> dict[str, Tensor]:
    """Find the weights of a network, by whatever prefix they are named."""
    wanted = built.state_dict()
    ours = _common(wanted)
    needed = {name.removeprefix(ours) for name in wanted if not name.endswith(_SPARED)}
    prefixes = sorted({prefix for name in weights for prefix in _prefixes(name)}, key=len)
    lacking = {p: {n for n in needed if p + n not in weights} for p in prefixes}
    theirs = min(prefixes, key=lambda p: len(lacking[p]), default="")
    if not weights or lacking[theirs]:
        missing = f"it lacks {min(lacking[theirs])}" if weights else "it holds none"
        raise InputError(
            f"{path} does not hold the weights of {network} ({missing}): name the network that it "
            f"was trained with, one of {', '.join(picture_networks.PICTURE_NETWORKS)}."
        )
    fitted = {n: weights.get(theirs + n.removeprefix(ours), wanted[n]) for n in wanted}
    for name, values in fitted.items():
        if values.ndim == 4 and values.shape[1] == 1 < wanted[name].shape[1] == _COLOURS:
            # Made for grey alone, which is given here three times.
            fitted[name] = values.repeat(1, _COLOURS, 1, 1) / _COLOURS
        elif values.shape != wanted[name].shape:
            there, here = tuple(values.shape), tuple(wanted[name].shape)
            raise InputError(
                f"{path} holds another {network}: {name} is {there}, and with {n_classes} classes "
                f"it would be {here}; name all classes, in the order of the outputs."
            )
    return fitted


def _prefixes(name: str) -> list[str]:
    parts = name.split(".")[:-1]
    return ["", *(".".join(parts[:k]) + "." for k in range(1, min(len(parts), _DEEPEST) + 1))]


def _common(names: Mapping[str, Any]) -> str:
    """Longest beginning that all names share, in whole parts."""
    first, *rest = (_prefixes(name) for name in names)
    return max((p for p in first if all(p in other for other in rest)), key=len)
