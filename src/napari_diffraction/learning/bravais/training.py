"""Train, calibrate and save the Bravais classifier."""

from __future__ import annotations

import math
import multiprocessing
import shutil
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_diffraction.errors import InputError
from napari_diffraction.files import replacing
from napari_diffraction.learning.bravais.data import BRAVAIS_CLASSES
from napari_diffraction.learning.bravais.loop import (
    State,
    begin,
    learn,
    predict,
)
from napari_diffraction.learning.bravais.recipe import BravaisRecipe
from napari_diffraction.learning.bravais.shards import (
    SHARD,
    Arrays,
    as_batch,
    joined,
    make_shard,
    read_shards,
    simulate,
)
from napari_diffraction.learning.bravais.structure_pool import (
    CHUNK,
    LATTICES,
    StructurePool,
    make_chunk,
    read_chunk,
)
from napari_diffraction.learning.model_card import ModelCard
from napari_diffraction.learning.models.calibration import calibrate
from napari_diffraction.learning.models.classifier import save_classifier
from napari_diffraction.learning.networks.band_network import BandNetwork
from napari_diffraction.learning.networks.band_view import PREPROCESSING
from napari_diffraction.learning.runs.output_files import work_folder
from napari_diffraction.learning.runs.schedule import round_as_shipped, schedule
from napari_diffraction.progress import Progress

_VALIDATION_SEED = 80_000_000
#: Fresh patterns of each unseen structure for the calibration.
_CHECKS = 4
#: Seconds between reports, and to wait for a shard.
_REPORT, _WAIT = 10.0, 0.5
#: Deviation of the pattern centre from what is told, in shares of the frame: usual, and poor.
_OFF, _FAR_OFF, _POOR = 0.008, 0.025, 0.1


@dataclass(frozen=True)
class BravaisProgress(Progress):
    """A step of the training.

    Attributes
    ----------
    loss
        Mean training loss since the last report.
    rate
        Patterns per second.
    """

    loss: float = math.nan
    rate: float = math.nan


def train_bravais(
    recipe: BravaisRecipe, output: Path, resume: bool = False, workers: int = 1
) -> Generator[Progress, None, Path]:
    """Draw structures, simulate, train, calibrate and save a Bravais classifier.

    Processes beside the training draw structures and simulate patterns, of which the bands are kept
    in shards; every round of the training takes the new ones and some older ones.  All this and a
    checkpoint after each round stay in ``OUTPUT.work`` until the end; with ``resume`` a stopped
    training goes on from there.

    Parameters
    ----------
    recipe
        What to train.
    output
        Name of the model file, ``.safetensors``.
    resume
        Go on where an earlier training with the same recipe and output stopped.
    workers
        Processes that simulate.

    Raises
    ------
    InputError
        The output cannot be written, the checkpoint is of another recipe, or the loss diverges.
    """
    work = work_folder(output)
    state = _start(recipe)
    checkpoint = work / "checkpoint.pt"
    if resume and checkpoint.exists():
        _take_up(checkpoint, recipe, state)
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        chunks = yield from _draw_structures(recipe, work, pool)
        shards = _simulating(recipe, work, pool, chunks)
        yield from _fit(recipe, state, shards, checkpoint)
    yield from _finish(recipe, state, work, output)
    shutil.rmtree(work, ignore_errors=True)
    return output


def _start(recipe: BravaisRecipe) -> State:
    torch.manual_seed(recipe.seed)
    network = BandNetwork(len(BRAVAIS_CLASSES), **_options(recipe))
    return begin(network, recipe.learning_rate, recipe.weight_decay)


def _options(recipe: BravaisRecipe) -> dict[str, int]:
    return {"width": recipe.width, "depth": recipe.depth, "heads": recipe.heads}


def _draw_structures(
    recipe: BravaisRecipe, work: Path, pool: Any
) -> Generator[Progress, None, tuple[str, ...]]:
    """Draw the random structures, in chunks that are there already or are made now."""
    count = max(1, recipe.structures // CHUNK)
    seed = recipe.seed * 1_000_000
    jobs = [(str(work / f"structures-{seed}-{k:05d}.npz"), seed + k) for k in range(count)]
    for done, _ in enumerate(pool.imap(make_chunk, jobs), 1):
        yield BravaisProgress(done, count, "Drawing structures")
    return tuple(path for path, _ in jobs)


def _simulating(
    recipe: BravaisRecipe, work: Path, pool: Any, chunks: tuple[str, ...]
) -> Callable[[int], bool]:
    """Have all shards simulated in their order; return what tells whether so many are there."""
    jobs = [(str(_shard(work, k)), chunks, 7 * recipe.seed, k) for k in range(_shards(recipe))]
    pool.imap(make_shard, jobs)
    return lambda count: all(_shard(work, k).exists() for k in range(count))


def _shard(work: Path, number: int) -> Path:
    return work / f"bands-{number:05d}.npz"


def _shards(recipe: BravaisRecipe) -> int:
    return recipe.rounds * recipe.fresh


def _fit(
    recipe: BravaisRecipe, state: State, ready: Callable[[int], bool], checkpoint: Path
) -> Generator[Progress, None, None]:
    """Train round by round, each on new patterns and on some that were seen before."""
    work = checkpoint.parent
    total = recipe.rounds
    while (number := state.step // _steps(recipe)) < total:
        while not ready((number + 1) * recipe.fresh):
            yield BravaisProgress(number, total, "Simulating patterns")
            time.sleep(_WAIT)
        rng = np.random.default_rng([recipe.seed, number, 5])
        new = range(number * recipe.fresh, (number + 1) * recipe.fresh)
        old = rng.permutation(number * recipe.fresh)[: recipe.again]
        data = read_shards([_shard(work, int(k)) for k in (*new, *old)])
        yield from _round(recipe, state, data, rng, number)
        _keep(checkpoint, recipe, state)
        yield BravaisProgress(number + 1, total, "Training")


def _steps(recipe: BravaisRecipe) -> int:
    """Steps that a round counts for, though the first ones have fewer old patterns to repeat."""
    return (recipe.fresh + recipe.again) * SHARD // recipe.batch_size


def _round(
    recipe: BravaisRecipe, state: State, data: Arrays, rng: np.random.Generator, number: int
) -> Generator[Progress, None, None]:
    state.network.train()
    steps = _steps(recipe)
    began = said = time.monotonic()
    losses: list[Tensor] = []
    order = _endless(len(data["label"]), recipe.batch_size, rng)
    for step in range(steps):
        done = (number + step / steps) / recipe.rounds
        for group in state.optimiser.param_groups:
            group["lr"] = recipe.learning_rate * schedule(done)
        take = next(order)
        losses.append(learn(state, *_batch(data, take, rng)))
        state.patterns += len(take)
        now = time.monotonic()
        if now - said > _REPORT:
            loss = float(torch.stack(losses).mean())
            if not math.isfinite(loss):
                raise InputError(
                    "The loss is no longer a number: lower learning_rate in the recipe (it is "
                    f"{recipe.learning_rate:g})."
                )
            rate = len(losses) * recipe.batch_size / (now - said)
            said, losses = now, []
            yield BravaisProgress(number, recipe.rounds, "Training", loss, rate)
    state.step += steps
    state.seconds += time.monotonic() - began


def _endless(count: int, size: int, rng: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    """Numbers in random order, every one before any comes again."""
    while True:
        order = rng.permutation(count)
        for i in range(0, count - size + 1, size):
            yield order[i : i + size]


def _batch(
    data: Arrays, take: NDArray[np.intp], rng: np.random.Generator
) -> tuple[tuple[Tensor, ...], Tensor, Tensor]:
    """Take patterns out of a set, their pattern centre told with an error."""
    part = {name: values[take] for name, values in data.items()}
    part["normal"] = moved_centre(part["normal"], part["pc"], _errors(len(take), rng))
    return as_batch(part)


def _errors(n: int, rng: np.random.Generator) -> NDArray[np.float32]:
    size = np.where(rng.uniform(size=(n, 1)) < _POOR, _FAR_OFF, _OFF)
    return np.asarray(size * rng.normal(size=(n, 3)), np.float32)


def moved_centre(
    normal: NDArray[np.float32], pc: NDArray[np.float32], shift: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Normals of the planes of the same lines on the screen, for another pattern centre.

    Parameters
    ----------
    normal : ndarray, (n, k, 3)
        In the detector's frame; zeros stay zeros.
    pc, shift : ndarray, (n, 3)
        Pattern centre in Bruker's convention, and what is added to it.
    """
    scale = 1 + shift[:, None, 2] / pc[:, None, 2]
    x, y, z = normal[..., 0], normal[..., 1], normal[..., 2]
    away = z + (x * shift[:, None, 0] - y * shift[:, None, 1]) / pc[:, None, 2]
    moved = np.stack([x * scale, y * scale, away], axis=-1)
    length = np.linalg.norm(moved, axis=-1, keepdims=True)
    return np.asarray(moved / np.maximum(length, 1e-6), np.float32)


def _finish(
    recipe: BravaisRecipe, state: State, work: Path, output: Path
) -> Generator[Progress, None, None]:
    """Calibrate on unseen structures and save."""
    yield BravaisProgress(1, 1, "Calibrating on unseen structures")
    seed = _VALIDATION_SEED + recipe.seed * 100
    arrays = read_chunk(make_chunk((str(work / f"validation-{seed}.npz"), seed)))
    pool = StructurePool(torch.device("cpu"), CHUNK)
    pool.add(arrays)
    network = state.smooth
    round_as_shipped(network)
    rng = np.random.default_rng([recipe.seed, 17])
    logits, label = predict(network, every_structure(pool, rng, _CHECKS))
    scale, bias = calibrate(logits, label)
    single = label < len(LATTICES)
    score = float((logits[single].argmax(1) == label[single]).mean())
    shares = np.bincount(label, minlength=len(BRAVAIS_CLASSES)) / len(label)
    card = ModelCard(
        name=recipe.name,
        title=recipe.title,
        summary=recipe.summary,
        network="bands",
        classes=BRAVAIS_CLASSES,
        options=_options(recipe),
        scale=scale,
        bias=tuple(float(b) for b in bias),
        shares=dict(zip(BRAVAIS_CLASSES, shares.tolist(), strict=True)),
        recipe=recipe.as_dict() | {"patterns": state.patterns, "seconds": round(state.seconds)},
        preprocessing=PREPROCESSING,
        figures={"single pattern, unseen random structures": round(score, 4)},
    )
    save_classifier(network, card, output)
    yield BravaisProgress(1, 1, f"{score:.3f} of the patterns of unseen structures are right")


def every_structure(
    pool: StructurePool, rng: np.random.Generator, repeats: int = 1, batch: int = 70
) -> Arrays:
    """Simulate fresh patterns of every structure of a pool, in their order, again and again."""
    parts = []
    for _ in range(repeats):
        for i in range(0, pool.count, batch):
            which = torch.arange(i, min(i + batch, pool.count))
            parts.append(simulate(pool, rng, len(which), which))
    return joined(parts)


def _keep(path: Path, recipe: BravaisRecipe, state: State) -> None:
    values = {
        "recipe": recipe.as_dict(),
        "network": state.network.state_dict(),
        "smooth": state.smooth.state_dict(),
        "optimiser": state.optimiser.state_dict(),
        "numbers": [state.step, state.patterns, state.seconds],
    }
    with replacing(path) as partial:
        torch.save(values, partial)


def _take_up(path: Path, recipe: BravaisRecipe, state: State) -> None:
    try:
        kept = torch.load(path, weights_only=True)
        if kept["recipe"] == recipe.as_dict():
            state.network.load_state_dict(kept["network"])
            state.smooth.load_state_dict(kept["smooth"])
            state.optimiser.load_state_dict(kept["optimiser"])
            state.step, state.patterns, state.seconds = kept["numbers"]
            return
    except Exception as error:
        raise InputError(f"{path} is damaged: train without --resume.") from error
    raise InputError(
        f"{path} was made by another recipe: train without --resume, or with another output."
    )
