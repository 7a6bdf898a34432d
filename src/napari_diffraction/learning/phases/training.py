"""Train, calibrate, check and save a classifier of a few named phases, in minutes on a CPU."""

from __future__ import annotations

import dataclasses
import itertools
import math
import multiprocessing
import os
import tempfile
import time
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.learning.bravais.loop import BandLearner, BandTask, begin, predict
from napari_diffraction.learning.bravais.shards import Arrays, joined
from napari_diffraction.learning.model_card import ModelCard
from napari_diffraction.learning.models.calibration import calibrate
from napari_diffraction.learning.models.classifier import Classifier, save_classifier
from napari_diffraction.learning.models.leakage import training_hashes
from napari_diffraction.learning.models.registry import load_model
from napari_diffraction.learning.networks.band_network import BandNetwork
from napari_diffraction.learning.networks.band_view import PREPROCESSING
from napari_diffraction.learning.phases.data import (
    known_others,
    make_batch,
    other_jobs,
    random_others,
    write_crystals,
)
from napari_diffraction.learning.phases.recipe import NONE_OF_THESE, PhasesRecipe
from napari_diffraction.learning.runs.epochs import Epoch
from napari_diffraction.learning.runs.loop import train
from napari_diffraction.learning.runs.output_files import check_output
from napari_diffraction.learning.runs.schedule import round_as_shipped
from napari_diffraction.progress import Progress
from napari_diffraction.simulation.classes import NO_PATTERN

__all__ = ["PhasesRecipe", "train_phases"]

#: Batches that were seen before and are taken again after each new one.
_AGAIN = 2
#: Share of the training over which the noise grows to its full range.
_WARM_UP = 0.1
_CHECK_BATCH = 250
#: Minutes that everything beside the training itself takes.
_BESIDE = 2.5
#: Added to the number of a batch for calibration and for the final check.
_CALIBRATION, _TEST = 80_000_000, 90_000_000


def train_phases(
    recipe: PhasesRecipe, output: Path, workers: int | None = None
) -> Generator[Progress, None, Path]:
    """Simulate the phases and other crystals, train, and find the accuracy on fresh patterns.

    Closing the generator stops the training, and nothing is written.

    Parameters
    ----------
    recipe
        What to train.
    output
        Name of the model file, ``.safetensors``.
    workers
        Processes that make patterns; by default one for every two cores.

    Yields
    ------
    Progress
        First how long it will take at most, in the end how many fresh patterns are right.

    Raises
    ------
    InputError
        A phase is unknown or unreadable, the output cannot be written, or the loss diverges.
    """
    check_output(output)
    recipe.structures()
    yield Progress(0, recipe.patterns, f"Takes {_minutes(recipe.minutes + _BESIDE)} at most")
    cores = os.cpu_count() or 1
    workers = workers or max(1, cores // 2)
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, cores - workers))
    context = multiprocessing.get_context("spawn")
    try:
        with tempfile.TemporaryDirectory() as folder, context.Pool(workers) as pool:
            crystals = Path(folder) / "crystals.npz"
            yield from _gather_crystals(recipe, pool, crystals)
            learner, options, known = _start(recipe)
            yield from train(_Minutes(recipe, pool, str(crystals), 2 * workers), learner)
            card = yield from _finished(recipe, learner, options, pool, str(crystals))
            save_classifier(learner.result, card, output, known)
            yield Progress(recipe.patterns, recipe.patterns, _verdict(card.figures))
            return output
    finally:
        torch.set_num_threads(threads)


def _minutes(value: float) -> str:
    return f"{math.ceil(value)} min"


def _gather_crystals(
    recipe: PhasesRecipe, pool: Any, path: Path
) -> Generator[Progress, None, None]:
    jobs = other_jobs(recipe)
    known = pool.apply_async(known_others) if jobs else None
    tables = []
    for number, table in enumerate(pool.imap(random_others, jobs), 1):
        tables.append(table)
        yield Progress(number, len(jobs), "Drawing other crystals, lattice")
    if known is not None:
        tables.insert(0, known.get())
    write_crystals(recipe, tables, path)


def _start(recipe: PhasesRecipe) -> tuple[BandLearner, dict[str, Any], list[str]]:
    """Make the network, with its options for the card, and digests of what it knows already."""
    torch.manual_seed(recipe.seed)
    before = _model_before(recipe)
    options = {} if before is None else dict(before.card.options)
    network = BandNetwork(len(recipe.classes), **options)
    if before is not None:
        _take_over(network, before.network)
    known = [] if before is None else sorted(training_hashes(before.card.path))
    return begin(network, recipe.learning_rate, recipe.weight_decay), options, known


def _take_over(network: BandNetwork, before: BandNetwork) -> None:
    """Take all weights that fit, but not those of the layer that names the classes."""
    mine = network.state_dict()
    theirs = {
        name: values
        for name, values in before.state_dict().items()
        if not name.startswith("head.") and name in mine and values.shape == mine[name].shape
    }
    network.load_state_dict(theirs, strict=False)


def _model_before(recipe: PhasesRecipe) -> Classifier | None:
    """Load the model to start from; None where it is not there."""
    if not recipe.start:
        return None
    try:
        before = load_model(recipe.start)
    except InputError:
        if recipe.start == PhasesRecipe.start:
            return None
        raise
    if before.card.network != "bands":
        raise InputError(
            f"{recipe.start} is no model of Kikuchi patterns: start from bravais, or from none."
        )
    return before


class _Minutes(BandTask):
    """The training: one run over fresh patterns until they or the minutes are used up."""

    def __init__(self, recipe: PhasesRecipe, pool: Any, crystals: str, ahead: int) -> None:
        self.recipe, self.pool, self.crystals, self.ahead = recipe, pool, crystals, ahead

    def is_over(self, learner: BandLearner) -> bool:
        return learner.epoch > 0

    def share(self, learner: BandLearner) -> float:
        recipe = self.recipe
        done = learner.patterns / recipe.patterns
        return max(done, learner.seconds / 60 / recipe.minutes) if recipe.minutes else done

    def batches(self, learner: BandLearner) -> Iterator[Arrays]:
        learner.network.train()
        began = time.monotonic()
        rng = np.random.default_rng([self.recipe.seed, 7])
        seen: list[Arrays] = []
        for batch in _made(self.pool, self._jobs(learner), self.ahead):
            if self.share(learner) >= 1:
                return
            # To simulate takes longer than to learn, and once is not enough to learn.
            for number in rng.integers(len(seen), size=_AGAIN) if seen else ():
                yield seen[int(number)]
            yield batch
            seen.append(batch)
            learner.patterns += len(batch["label"])
            learner.seconds = time.monotonic() - began

    def _jobs(self, learner: BandLearner) -> Iterator[tuple[Any, ...]]:
        recipe = self.recipe
        for number in itertools.count():
            hardness = min(1.0, 0.3 + 0.7 * self.share(learner) / _WARM_UP)
            yield self.crystals, recipe, [recipe.seed, number], recipe.batch_size, hardness, False

    def progress(self, learner: BandLearner) -> Epoch:
        total, loss = self.recipe.patterns, learner.loss
        done = min(total, round(self.share(learner) * total))
        return Epoch(done, total, f"Training, loss {loss:.2f}", loss=loss)


def _made(pool: Any, jobs: Iterable[tuple[Any, ...]], ahead: int) -> Iterator[Arrays]:
    """Let batches be made ahead of their use, in order."""
    waiting: list[Any] = []
    for job in jobs:
        waiting.append(pool.apply_async(make_batch, (job,)))
        if len(waiting) > ahead:
            yield waiting.pop(0).get()
    while waiting:
        yield waiting.pop(0).get()


def _judge(
    recipe: PhasesRecipe, learner: BandLearner, pool: Any, crystals: str, first: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Logits and true classes of fresh patterns."""
    count = max(1, recipe.checks // _CHECK_BATCH)
    size = min(recipe.checks, _CHECK_BATCH)
    jobs = [(crystals, recipe, [recipe.seed, first + i], size, 1.0, True) for i in range(count)]
    return predict(learner.result, joined(list(_made(pool, jobs, 4))))


def _finished(
    recipe: PhasesRecipe, learner: BandLearner, options: dict[str, Any], pool: Any, crystals: str
) -> Generator[Progress, None, ModelCard]:
    """Calibrate, find the accuracy, and make the card."""
    yield Progress(recipe.patterns, recipe.patterns, "Checking with fresh patterns")
    round_as_shipped(learner.result)
    logits, label = _judge(recipe, learner, pool, crystals, _CALIBRATION)
    scale, bias = calibrate(logits, label)
    shares = np.bincount(label, minlength=len(recipe.classes)) / len(label)
    logits, label = _judge(recipe, learner, pool, crystals, _TEST)
    figures = _figures(recipe, (scale * logits + bias).argmax(axis=1), label)
    return ModelCard(
        name=recipe.name,
        title=recipe.title or f"My phases: {', '.join(recipe.phase_names)}",
        summary=recipe.summary or _summary(recipe),
        network="bands",
        classes=recipe.classes,
        options=options,
        scale=scale,
        bias=tuple(float(b) for b in bias),
        shares=dict(zip(recipe.classes, shares.tolist(), strict=True)),
        recipe=dataclasses.replace(recipe, patterns=learner.patterns).as_dict()
        | {"seconds": round(learner.seconds)},
        preprocessing=PREPROCESSING,
        figures=figures,
    )


#: The figure that counts.
ACCURACY = "fresh patterns of the phases"
_OTHERS = "other crystals told"
_EMPTY = "frames without a pattern told"


def _figures(
    recipe: PhasesRecipe, said: NDArray[np.int64], label: NDArray[np.int64]
) -> dict[str, float]:
    """Share of the fresh patterns that are right: of the phases, of each, and of the rest."""
    n = len(recipe.phases)
    classes = np.array(recipe.classes)[label]
    groups = {ACCURACY: label < n, _OTHERS: classes == NONE_OF_THESE, _EMPTY: classes == NO_PATTERN}
    groups |= {name: label == i for i, name in enumerate(recipe.phase_names)}
    right = said == label
    return {
        name: round(float(right[group].mean()), 4) for name, group in groups.items() if group.any()
    }


def _summary(recipe: PhasesRecipe) -> str:
    """Say what the model knows and for what it was trained."""
    names = ", ".join(recipe.phase_names)
    known = [f"{recipe.voltage:g} kV"] if recipe.voltage else []
    if recipe.pc:
        known.append("the pattern centre ({:.2f}, {:.2f}, {:.2f})".format(*recipe.pc))
    where = f" at {' and '.join(known)}" if known else ""
    others = ", other crystals" if recipe.others else ""
    return f"Tells {names}{others} and frames without a pattern apart{where}."


def _verdict(figures: dict[str, float]) -> str:
    """Say how good the model is."""
    text = f"{figures.get(ACCURACY, math.nan):.1%} of fresh simulated patterns are right"
    apart = set(figures) - {ACCURACY, _OTHERS, _EMPTY}
    worst = min(apart, key=lambda name: figures[name], default=None)
    if worst is not None and figures[worst] < 0.95:
        text += f"; least sure is {worst} with {figures[worst]:.1%}"
    return text
