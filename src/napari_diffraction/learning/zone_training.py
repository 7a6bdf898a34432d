"""Train, calibrate and save the zone classifier."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from napari_diffraction.errors import InputError
from napari_diffraction.files import replacing
from napari_diffraction.learning.calibration import calibrate
from napari_diffraction.learning.classes import LAUE, ZONE, ZONE_CLASSES
from napari_diffraction.learning.classifier import ModelCard, save_classifier
from napari_diffraction.learning.metrics import average_precision, precision_recall_curve
from napari_diffraction.learning.recipe import ZoneRecipe
from napari_diffraction.learning.zone_network import FRACTIONS, ZoneNetwork
from napari_diffraction.learning.zone_shards import KINDS, ZoneData, load_shards, make_shards
from napari_diffraction.progress import Progress

#: Weight of each head's loss.
_HEADS = {"joint": 1.0, "network": 0.5, "fit": 0.3}
_ORDINAL = 0.3
_SINGLE = [ZONE_CLASSES.index(name) for name in (ZONE, LAUE)]
_BROKEN = [KINDS.index(name) for name in ("jitter", "shift")]


@dataclass(frozen=True)
class TrainProgress(Progress):
    """A step of training; `loss` and `score` are the latest, where known.

    Attributes
    ----------
    loss
        Mean training loss of the epoch.
    score
        Average precision of the zones on the validation patterns; NaN where these hold none.
    """

    loss: float = float("nan")
    score: float = float("nan")


def train_zones(
    recipe: ZoneRecipe, output: Path, resume: bool = False, workers: int | None = None
) -> Generator[Progress, None, Path]:
    """Simulate, train, calibrate and save a zone classifier.

    Simulated data and a checkpoint after each epoch stay in ``OUTPUT.work``; with ``resume`` a
    stopped training goes on from the checkpoint.

    Parameters
    ----------
    recipe
        What to train.
    output
        Name of the model file, ``.safetensors``.
    resume
        Go on where an earlier training with the same recipe and output stopped.
    workers
        Processes that simulate; by default one per core.

    Raises
    ------
    InputError
        The output cannot be written, or the checkpoint is of another recipe.
    """
    if output.suffix != ".safetensors":
        raise InputError(f"{output}: a model is written as .safetensors; use this ending.")
    work = output.with_name(output.name + ".work")
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{output} cannot be written ({error.strerror}): choose another."
        ) from error
    simulate = (recipe.seed, recipe.patterns, recipe.clean, False, workers)
    training = load_shards((yield from make_shards(work, *simulate)))
    natural = (recipe.seed, recipe.validation, recipe.clean, True, workers)
    validation = load_shards((yield from make_shards(work, *natural)))
    checkpoint = work / "checkpoint.pt"
    if not resume:
        checkpoint.unlink(missing_ok=True)
    network = yield from fit(recipe, training, validation, checkpoint)
    shares = np.bincount(validation.label, minlength=len(ZONE_CLASSES)) / len(validation)
    logits = predict_logits(network, validation)
    scale, bias = calibrate(logits["joint"], validation.label)
    card = ModelCard(
        name=recipe.name,
        title=recipe.title,
        summary=recipe.summary,
        network="zones",
        classes=ZONE_CLASSES,
        options={"width": recipe.width, "n_features": int(training.features.shape[1])},
        scale=scale,
        bias=tuple(float(b) for b in bias),
        shares=dict(zip(ZONE_CLASSES, shares.tolist(), strict=True)),
        recipe=recipe.as_dict(),
        figures={},
    )
    save_classifier(network, card, output)
    shutil.rmtree(work, ignore_errors=True)
    return output


def fit(
    recipe: ZoneRecipe, training: ZoneData, validation: ZoneData, checkpoint: Path | None = None
) -> Generator[Progress, None, ZoneNetwork]:
    """Train the network; progress once every 50 batches.

    Classes are weighted inversely to their size; every batch is turned and mirrored at random.  A
    checkpoint is written after each epoch and taken up where it is there.
    """
    torch.manual_seed(recipe.seed)
    network = ZoneNetwork(training.features.shape[1], len(ZONE_CLASSES), recipe.width)
    network = network.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    steps = max(1, len(training) // recipe.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=steps * recipe.epochs + 1, pct_start=0.2
    )
    first = 0
    if checkpoint is not None and checkpoint.exists():
        first = _take_up(checkpoint, recipe, network, optimiser, schedule)
    counts = np.bincount(training.label, minlength=len(ZONE_CLASSES))
    weight = torch.tensor(len(training) / np.maximum(counts, 1) / len(counts), dtype=torch.float32)
    total = steps * recipe.epochs
    score = float("nan")
    for epoch in range(first, recipe.epochs):
        rng = np.random.default_rng([recipe.seed, epoch])
        torch.manual_seed(recipe.seed * 1000 + epoch)
        order = rng.permutation(len(training))
        network.train()
        running = 0.0
        for step in range(steps):
            batch = np.sort(order[step * recipe.batch_size : (step + 1) * recipe.batch_size])
            loss = _loss(network, training, batch, weight, int(rng.integers(8)))
            if not torch.isfinite(loss):
                raise InputError(
                    f"The loss is no longer a number in epoch {epoch + 1}: lower learning_rate in "
                    f"the recipe (it is {recipe.learning_rate:g})."
                )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            running += float(loss.detach())
            if (step + 1) % 50 == 0 or step + 1 == steps:
                done = epoch * steps + step + 1
                yield TrainProgress(done, total, f"Epoch {epoch + 1}", running / (step + 1), score)
        score = _score(network, validation)
        yield TrainProgress((epoch + 1) * steps, total, "Validated", running / steps, score)
        if checkpoint is not None:
            _keep(checkpoint, recipe, network, optimiser, schedule, epoch + 1)
    return network


def _loss(
    network: ZoneNetwork, data: ZoneData, batch: NDArray[np.int64], weight: Tensor, turn: int
) -> Tensor:
    """Sum of the losses of the three opinions and of the ordinal target."""
    picture, vectors = data.picture[batch], data.vectors[batch]
    if turn & 1:
        picture, vectors = picture.swapaxes(2, 3), vectors.swapaxes(1, 2)
    if turn & 2:
        picture, vectors = picture[..., ::-1], vectors[..., ::-1]
    if turn & 4:
        picture, vectors = picture[..., ::-1, :], vectors[..., ::-1, :]
    label = torch.from_numpy(data.label[batch])
    fraction = torch.from_numpy(data.fraction[batch].astype(np.float32))
    with torch.autocast("cpu", torch.bfloat16):
        out = network(
            torch.from_numpy(np.ascontiguousarray(picture)),
            torch.from_numpy(np.ascontiguousarray(vectors)),
            torch.from_numpy(data.features[batch]),
        )
    loss = torch.zeros(())
    for name, share in _HEADS.items():
        one = functional.cross_entropy(out[name].float(), label, weight, label_smoothing=0.01)
        loss = loss + share * one
    # The zone fraction has a meaning for a single crystal with an unbroken net only.
    single = torch.from_numpy(
        np.isin(data.label[batch], _SINGLE) & ~np.isin(data.kind[batch], _BROKEN)
    )
    if single.any():
        target = (fraction[:, None] >= torch.tensor(FRACTIONS)).float()
        ordinal = out["ordinal"].float()[single]
        loss = loss + _ORDINAL * functional.binary_cross_entropy_with_logits(
            ordinal, target[single]
        )
    return loss


def _score(network: ZoneNetwork, data: ZoneData) -> float:
    """Average precision of the zones; NaN where there are none."""
    column = ZONE_CLASSES.index(ZONE)
    if not np.any(data.label == column):
        return float("nan")
    p = torch.softmax(torch.from_numpy(predict_logits(network, data)["joint"]), 1)[:, column]
    return average_precision(precision_recall_curve(data.label == column, p.numpy()))


def predict_logits(
    network: ZoneNetwork, data: ZoneData, batch_size: int = 256
) -> dict[str, NDArray[np.float32]]:
    """Return the logits of all heads, each (n, n_classes), as trained, before calibration."""
    network.eval()
    parts: dict[str, list[NDArray[np.float32]]] = {}
    with torch.inference_mode():
        for i in range(0, len(data), batch_size):
            some = slice(i, i + batch_size)
            arrays = (data.picture[some], data.vectors[some], data.features[some])
            with torch.autocast("cpu", torch.bfloat16):
                out = network(*(torch.from_numpy(a) for a in arrays))
            for name, values in out.items():
                parts.setdefault(name, []).append(values.float().numpy())
    return {name: np.concatenate(values) for name, values in parts.items()}


def _keep(
    path: Path, recipe: ZoneRecipe, network: Any, optimiser: Any, schedule: Any, epoch: int
) -> None:
    state = {
        "recipe": recipe.as_dict(),
        "network": network.state_dict(),
        "optimiser": optimiser.state_dict(),
        "schedule": schedule.state_dict(),
        "epoch": epoch,
    }
    with replacing(path) as partial:
        torch.save(state, partial)


def _take_up(path: Path, recipe: ZoneRecipe, network: Any, optimiser: Any, schedule: Any) -> int:
    try:
        kept = torch.load(path, weights_only=True)
        if kept["recipe"] == recipe.as_dict():
            network.load_state_dict(kept["network"])
            optimiser.load_state_dict(kept["optimiser"])
            schedule.load_state_dict(kept["schedule"])
            return int(kept["epoch"])
    except Exception as error:
        raise InputError(f"{path} is damaged: train without --resume.") from error
    raise InputError(
        f"{path} was made by another recipe: train without --resume, or with another output."
    )
