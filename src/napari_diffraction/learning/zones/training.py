"""Train, calibrate and save the zone classifier."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from napari_diffraction.errors import InputError
from napari_diffraction.learning.classes import LAUE, ZONE, ZONE_CLASSES
from napari_diffraction.learning.metrics import average_precision, precision_recall_curve
from napari_diffraction.learning.model_card import ModelCard
from napari_diffraction.learning.models.calibration import calibrate_given
from napari_diffraction.learning.models.classifier import Classifier, save_classifier
from napari_diffraction.learning.models.device import halves_are_quick
from napari_diffraction.learning.models.leakage import training_hashes
from napari_diffraction.learning.models.registry import load_model
from napari_diffraction.learning.networks.zone_network import FRACTIONS, ZoneNetwork, given
from napari_diffraction.learning.runs.checkpoint import identity_of, take_up
from napari_diffraction.learning.runs.epochs import Epoch
from napari_diffraction.learning.runs.learner import Learner
from napari_diffraction.learning.runs.loop import Epochs, descend, train
from napari_diffraction.learning.runs.output_files import check_output, work_folder
from napari_diffraction.learning.runs.schedule import one_cycle, round_as_shipped
from napari_diffraction.learning.zones.recipe import ZoneRecipe
from napari_diffraction.learning.zones.shards import KINDS, ZoneData, load_shards, make_shards
from napari_diffraction.progress import Progress
from napari_diffraction.simulation.spots.labels import DIRTY_ZONE

#: Weight of each head's loss.
_HEADS = {"joint": 1.0, "network": 0.5, "fit": 0.3}
_ORDINAL = 0.3
_SINGLE = [ZONE_CLASSES.index(name) for name in (ZONE, LAUE)]
_BROKEN = [KINDS.index(name) for name in ("jitter", "shift")]
#: Under what name the identity of a checkpoint has the number of patterns to learn from.
_LEARNED = "patterns to learn from"
#: Patterns that are judged at once where nothing is learned.
_EVALUATED = 1024


def train_zones(
    recipe: ZoneRecipe,
    output: Path,
    resume: bool = False,
    workers: int | None = None,
    minutes: float | None = None,
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
    minutes
        Stop simulating patterns to train on after this time; the card tells how many there were.

    Raises
    ------
    InputError
        The output cannot be written, the checkpoint is of another recipe, or the model to start
        from is not there or of another form.
    """
    check_output(output)
    start = load_model(recipe.start) if recipe.start else None
    work = work_folder(output)
    checkpoint = work / "checkpoint.pt"
    if not resume:
        checkpoint.unlink(missing_ok=True)
    # A training goes on with the patterns that it began with, however many there might be now.
    new = not checkpoint.exists()
    validation = load_shards(
        (yield from make_shards(work, recipe.seed, recipe.validation, recipe.clean, True, workers))
    )
    made = yield from make_shards(
        work, recipe.seed, recipe.patterns, recipe.clean, False, workers, minutes, new
    )
    if not made:
        raise InputError(
            f"{work} has lost the patterns that its training began with: train without --resume."
        )
    training = load_shards(made)
    network = yield from fit(recipe, training, validation, checkpoint, start)
    calibrate_network(network, validation)
    shares = np.bincount(validation.label, minlength=len(ZONE_CLASSES)) / len(validation)
    card = ModelCard(
        name=recipe.name,
        title=recipe.title,
        summary=recipe.summary,
        network="zones",
        classes=ZONE_CLASSES,
        options={
            "width": recipe.width,
            "n_features": int(training.features.shape[1]),
            "calibrated": True,
        },
        scale=1.0,  # the network holds its own
        bias=(0.0,) * len(ZONE_CLASSES),
        shares=dict(zip(ZONE_CLASSES, shares.tolist(), strict=True)),
        recipe=replace(recipe, patterns=len(training), validation=len(validation)).as_dict(),
        figures={},
    )
    # It goes by the labels, too, from which the model has learned that it started from.
    known = training_hashes(start.card.path) if start is not None else ()
    save_classifier(network, card, output, sorted(known))
    shutil.rmtree(work, ignore_errors=True)
    return output


def fit(
    recipe: ZoneRecipe,
    training: ZoneData,
    validation: ZoneData,
    checkpoint: Path | None = None,
    start: Classifier | None = None,
) -> Generator[Progress, None, ZoneNetwork]:
    """Train the network on the graphics card, where there is one.

    Classes are weighted inversely to their size; every pattern is turned and mirrored at random.  A
    checkpoint is written after each epoch and taken up where it is there.
    """
    task = _Patterns(recipe, training, validation)
    torch.manual_seed(recipe.seed)
    network = ZoneNetwork(training.features.shape[1], len(ZONE_CLASSES), recipe.width, True)
    if start is not None:
        _start_from(network, start)
    network.to(task.device)
    network.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    schedule = one_cycle(task.steps * recipe.epochs)
    learner = Learner(network, optimiser, recipe.learning_rate, schedule=schedule)
    identity = recipe.as_dict() | {_LEARNED: len(training)}
    if checkpoint is not None and checkpoint.exists():
        _check_count(checkpoint, identity)
        take_up(checkpoint, identity, learner)
    yield from train(task, learner, checkpoint, identity)
    network.cpu()
    return network


def _check_count(checkpoint: Path, identity: dict[str, Any]) -> None:
    """Refuse a checkpoint of the same recipe whose training began with more or fewer patterns.

    Raises
    ------
    InputError
        It is one.
    """
    kept, now = identity_of(checkpoint), identity[_LEARNED]
    began = kept.get(_LEARNED, now) if isinstance(kept, dict) else now
    if began != now and kept == identity | {_LEARNED: began}:
        raise InputError(
            f"{checkpoint.parent} holds {now:,} patterns to learn from, but its training began "
            f"with {began:,}: train without --resume."
        )


class _Patterns(Epochs[Learner]):
    """The training: epochs over all simulated patterns."""

    def __init__(self, recipe: ZoneRecipe, training: ZoneData, validation: ZoneData) -> None:
        self.recipe, self.validation, self.epochs = recipe, validation, recipe.epochs
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.steps = max(1, len(training) // recipe.batch_size)
        counts = np.bincount(training.label, minlength=len(ZONE_CLASSES))
        weight = len(training) / np.maximum(counts, 1) / len(counts)
        self._weight = torch.tensor(weight, dtype=torch.float32, device=self.device)
        self._columns = _columns(training, self.device)
        self._score = float("nan")

    def batches(self, learner: Learner) -> Iterator[dict[str, Tensor]]:
        size, columns = self.recipe.batch_size, self._columns
        torch.manual_seed(self.recipe.seed * 1000 + learner.epoch)
        order = torch.randperm(len(columns["label"]))
        if learner.step and learner.random is not None:  # within an epoch, from a checkpoint
            torch.set_rng_state(learner.random)
        learner.network.train()
        for step in range(learner.step, self.steps):
            some = order[step * size : (step + 1) * size]
            some = some.sort().values.to(columns["label"].device)
            yield {k: v[some].to(self.device, non_blocking=True) for k, v in columns.items()}

    def backward(self, learner: Learner, batch: dict[str, Tensor]) -> float:
        loss = _loss(learner.network, batch, self._weight)
        descend(learner, loss)
        return float(loss.detach())

    def judge(self, learner: Learner) -> None:
        self._score = _score(learner.network, self.validation)

    def progress(self, learner: Learner) -> Epoch:
        done = learner.epoch * self.steps + learner.step
        total = self.steps * self.epochs
        message = f"Epoch {min(learner.epoch + 1, self.epochs)} of {self.epochs}"
        return Epoch(
            *(done, total, message, learner.epoch),
            loss=learner.epoch_loss,
            average_precision=self._score,
        )


def _start_from(network: ZoneNetwork, start: Classifier) -> None:
    """Take over the weights of a model, but not its calibration."""
    weights = start.network.state_dict()
    own = network.state_dict()
    kept = [name for name in own if name not in ("log_scale", "bias")]
    if any(name not in weights or weights[name].shape != own[name].shape for name in kept):
        raise InputError(
            f"{start.card.path} has another form than the recipe asks for: set width to that of "
            "its recipe, or leave start out."
        )
    network.load_state_dict({name: weights[name] for name in kept}, strict=False)


def _columns(data: ZoneData, device: torch.device) -> dict[str, Tensor]:
    """What the training needs of the data: on the device if they fit, else where they are."""
    arrays = {
        "picture": data.picture,
        "vectors": data.vectors,
        "features": data.features,
        "label": data.label,
        "fraction": data.fraction.astype(np.float32),
        "single": np.isin(data.label, _SINGLE) & ~np.isin(data.kind, _BROKEN),
        "target": soft_targets(data),
    }
    tensors = {name: torch.from_numpy(values) for name, values in arrays.items()}
    needed = sum(values.nbytes for values in tensors.values())
    if device.type == "cuda" and needed < 0.6 * torch.cuda.mem_get_info(device)[0]:
        return {name: values.to(device) for name, values in tensors.items()}
    return tensors


def soft_targets(data: ZoneData) -> NDArray[np.float32]:
    """Probabilities of the classes, (n, n_classes), that the network shall learn.

    A single crystal between zone and Laue pattern is a matter of degree: the probability of a zone
    rises with the fraction of reflections in the dominant zone, up to a quarter for one foreign
    reflection on a clean pattern, and around the limit of 0.9 on a noisy one.
    """
    target = np.eye(len(ZONE_CLASSES), dtype=np.float32)[data.label]
    zone, laue = _SINGLE
    missed = 1 - data.fraction
    limit = np.where(data.clean, 0.999, DIRTY_ZONE - 1e-6)
    plain = np.isin(data.label, _SINGLE) & ~np.isin(data.kind, _BROKEN)
    plain &= (data.label == zone) == (data.fraction >= limit)
    clean = np.where(data.label == zone, 1.0, 0.25 * np.exp(-missed / 0.06))
    noisy = 1 / (1 + np.exp((missed - (1 - DIRTY_ZONE)) / 0.015))
    p = np.where(data.clean, clean, noisy)[plain]
    target[plain, zone], target[plain, laue] = p, 1 - p
    return target


def _turned(batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Pictures and vectors, every pattern turned and mirrored by chance."""
    picture, vectors = batch["picture"], batch["vectors"]
    for turn in range(3):
        chosen = torch.rand(len(picture), device=picture.device) < 0.5
        pair = []
        for one in (picture, vectors):
            other = one.transpose(-1, -2) if turn == 0 else one.flip(-turn)
            pair.append(torch.where(chosen.view(-1, *[1] * (one.dim() - 1)), other, one))
        picture, vectors = pair
    return picture, vectors


def _loss(network: nn.Module, batch: dict[str, Tensor], weight: Tensor) -> Tensor:
    """Sum of the losses of the three opinions and of the ordinal target."""
    picture, vectors = _turned(batch)
    halves = halves_are_quick(picture.device)
    with torch.autocast(picture.device.type, torch.bfloat16, enabled=halves):
        out = network(picture, vectors, batch["features"])
    loss = torch.zeros((), device=picture.device)
    for name, share in _HEADS.items():
        loss = loss + share * functional.cross_entropy(out[name].float(), batch["target"], weight)
    # The zone fraction has a meaning for a single crystal with an unbroken net only.
    steps = torch.tensor(FRACTIONS, device=picture.device)
    ordinal = functional.binary_cross_entropy_with_logits(
        out["ordinal"].float(), (batch["fraction"][:, None] >= steps).float(), reduction="none"
    )
    single = batch["single"].float()
    return loss + _ORDINAL * (ordinal.mean(dim=1) * single).sum() / single.sum().clamp(min=1)


def calibrate_network(network: ZoneNetwork, data: ZoneData) -> None:
    """Fit the calibration that the network holds to patterns drawn at their natural shares."""
    network.log_scale.zero_()
    network.bias.zero_()
    logits = predict_logits(network, data)["joint"]
    hard = np.eye(len(ZONE_CLASSES))[data.label]
    # Noisy patterns are calibrated to what they are; hybrids without noise remain doubtful.
    target = np.where(data.clean[:, None], soft_targets(data), hard)
    log_scale, bias = calibrate_given(
        logits, target, given(torch.from_numpy(data.features)).numpy()
    )
    network.log_scale.copy_(torch.from_numpy(log_scale))
    network.bias.copy_(torch.from_numpy(bias))


def _score(network: nn.Module, data: ZoneData) -> float:
    """Average precision of the zones; NaN where there are none."""
    column = ZONE_CLASSES.index(ZONE)
    if not np.any(data.label == column):
        return float("nan")
    p = torch.softmax(torch.from_numpy(predict_logits(network, data)["joint"]), 1)[:, column]
    return average_precision(precision_recall_curve(data.label == column, p.numpy()))


def predict_logits(
    network: nn.Module, data: ZoneData, batch_size: int = _EVALUATED
) -> dict[str, NDArray[np.float32]]:
    """Return the logits of all heads, each (n, n_outputs), of the network as it is saved.

    Its weights are rounded to half precision.
    """
    device = next(network.parameters()).device
    shipped = copy.deepcopy(network).eval()
    round_as_shipped(shipped)
    parts: dict[str, list[NDArray[np.float32]]] = {}
    with torch.inference_mode():
        for i in range(0, len(data), batch_size):
            some = slice(i, i + batch_size)
            arrays = (data.picture[some], data.vectors[some], data.features[some])
            out = shipped(*(torch.from_numpy(a).to(device) for a in arrays))
            for name, values in out.items():
                parts.setdefault(name, []).append(values.cpu().numpy())
    return {name: np.concatenate(values) for name, values in parts.items()}
