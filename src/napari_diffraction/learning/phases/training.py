"""Train, calibrate, check and save a classifier of a few named phases, in minutes on a CPU."""

from __future__ import annotations

import dataclasses
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
from torch import Tensor

from napari_diffraction.errors import InputError
from napari_diffraction.learning.bravais.loop import (
    State,
    begin,
    learn,
    predict,
)
from napari_diffraction.learning.bravais.shards import Arrays, as_batch, joined
from napari_diffraction.learning.model_card import ModelCard
from napari_diffraction.learning.models.calibration import calibrate
from napari_diffraction.learning.models.classifier import Classifier, save_classifier
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
from napari_diffraction.learning.runs.output_files import check_output
from napari_diffraction.learning.runs.schedule import round_as_shipped, schedule
from napari_diffraction.progress import Progress
from napari_diffraction.simulation.classes import NO_PATTERN

__all__ = ["PhasesRecipe", "train_phases"]

#: Batches that were seen before and are taken again after each new one.
_AGAIN = 2
#: Seconds between reports.
_REPORT = 1.0
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
            state, options = _start(recipe)
            yield from _fit(recipe, state, pool, str(crystals), 2 * workers)
            return (yield from _finish(recipe, state, options, pool, str(crystals), output))
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


def _start(recipe: PhasesRecipe) -> tuple[State, dict[str, Any]]:
    """Make the network, with its options for the card."""
    torch.manual_seed(recipe.seed)
    before = _model_before(recipe)
    options = {} if before is None else dict(before.card.options)
    network = BandNetwork(len(recipe.classes), **options)
    if before is not None:
        _take_over(network, before.network)
    return begin(network, recipe.learning_rate, recipe.weight_decay), options


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


def _fit(
    recipe: PhasesRecipe, state: State, pool: Any, crystals: str, ahead: int
) -> Generator[Progress, None, None]:
    """Train until the patterns or the minutes are used up."""

    def jobs() -> Iterator[tuple[Any, ...]]:
        number = 0
        while True:
            hardness = min(1.0, 0.3 + 0.7 * _done(recipe, state) / _WARM_UP)
            yield crystals, recipe, [recipe.seed, number], recipe.batch_size, hardness, False
            number += 1

    state.network.train()
    began = said = time.monotonic()
    losses: list[Tensor] = []
    rng = np.random.default_rng([recipe.seed, 7])
    seen: list[Arrays] = []
    for batch in _made(pool, jobs(), ahead):
        done = _done(recipe, state)
        if done >= 1:
            return
        for group in state.optimiser.param_groups:
            group["lr"] = recipe.learning_rate * schedule(done)
        # To simulate takes longer than to learn, and once is not enough to learn.
        for number in rng.integers(len(seen), size=_AGAIN) if seen else ():
            losses.append(learn(state, *as_batch(seen[int(number)])))
        losses.append(learn(state, *as_batch(batch)))
        seen.append(batch)
        state.step += 1
        state.patterns += len(batch["label"])
        now = time.monotonic()
        state.seconds = now - began
        if now - said > _REPORT or state.step == 1:
            loss = float(torch.stack(losses).mean())
            if not math.isfinite(loss):
                raise InputError(
                    "The loss is no longer a number: lower learning_rate in the recipe (it is "
                    f"{recipe.learning_rate:g})."
                )
            said, losses = now, []
            total = recipe.patterns
            yield Progress(round(_done(recipe, state) * total), total, f"Training, loss {loss:.2f}")


def _done(recipe: PhasesRecipe, state: State) -> float:
    """Share of the training that is done."""
    done = state.patterns / recipe.patterns
    return max(done, state.seconds / 60 / recipe.minutes) if recipe.minutes else done


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
    recipe: PhasesRecipe, state: State, pool: Any, crystals: str, first: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Logits and true classes of fresh patterns."""
    count = max(1, recipe.checks // _CHECK_BATCH)
    size = min(recipe.checks, _CHECK_BATCH)
    jobs = [(crystals, recipe, [recipe.seed, first + i], size, 1.0, True) for i in range(count)]
    return predict(state.smooth, joined(list(_made(pool, jobs, 4))))


def _finish(
    recipe: PhasesRecipe,
    state: State,
    options: dict[str, Any],
    pool: Any,
    crystals: str,
    output: Path,
) -> Generator[Progress, None, Path]:
    """Calibrate, find the accuracy, and save."""
    yield Progress(recipe.patterns, recipe.patterns, "Checking with fresh patterns")
    round_as_shipped(state.smooth)
    logits, label = _judge(recipe, state, pool, crystals, _CALIBRATION)
    scale, bias = calibrate(logits, label)
    shares = np.bincount(label, minlength=len(recipe.classes)) / len(label)
    logits, label = _judge(recipe, state, pool, crystals, _TEST)
    figures = _figures(recipe, (scale * logits + bias).argmax(axis=1), label)
    card = ModelCard(
        name=recipe.name,
        title=recipe.title or f"My phases: {', '.join(recipe.phase_names)}",
        summary=recipe.summary or _summary(recipe),
        network="bands",
        classes=recipe.classes,
        options=options,
        scale=scale,
        bias=tuple(float(b) for b in bias),
        shares=dict(zip(recipe.classes, shares.tolist(), strict=True)),
        recipe=dataclasses.replace(recipe, patterns=state.patterns).as_dict()
        | {"seconds": round(state.seconds)},
        preprocessing=PREPROCESSING,
        figures=figures,
    )
    save_classifier(state.smooth, card, output)
    yield Progress(recipe.patterns, recipe.patterns, _verdict(figures))
    return output


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
