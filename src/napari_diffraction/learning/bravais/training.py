"""Train, calibrate and save the Bravais classifier."""

from __future__ import annotations

import itertools
import multiprocessing
import shutil
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_diffraction.learning.bravais.data import BRAVAIS_CLASSES, usual_shares
from napari_diffraction.learning.bravais.loop import BandLearner, BandTask, begin, predict
from napari_diffraction.learning.bravais.masters import (
    OF_A_FILE,
    SYMMETRIC,
    make_many_beam_shard,
    make_masters,
)
from napari_diffraction.learning.bravais.recipe import BravaisRecipe
from napari_diffraction.learning.bravais.shards import (
    SHARD,
    Arrays,
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
from napari_diffraction.learning.runs.checkpoint import take_up
from napari_diffraction.learning.runs.epochs import Epoch
from napari_diffraction.learning.runs.loop import Epochs, train
from napari_diffraction.learning.runs.output_files import work_folder
from napari_diffraction.learning.runs.schedule import round_as_shipped
from napari_diffraction.progress import Progress

_VALIDATION_SEED = 80_000_000
#: Seeds, times the recipe's, of structures that the first and the second part learn from, of the
#: symmetric ones, and of the shards of both parts.
_FIRST_SEED, _SECOND_SEED, _SYMMETRIC_SEED = 1_000_000, 55_000_000, 1_500_000
_FIRST_SHARDS, _SECOND_SHARDS = 7, 555
#: Chunks of structures whose two-beam patterns the second part learns from.
_SECOND_CHUNKS = 10
#: Of the files of master patterns one in so many is kept to calibrate on.
_KEPT = 16
#: Fresh patterns of each unseen structure for the calibration.
_CHECKS = 4
#: Deviation of the pattern centre from what is told, in shares of the frame: usual, and poor.
_OFF, _FAR_OFF, _POOR = 0.008, 0.025, 0.1


def train_bravais(
    recipe: BravaisRecipe, output: Path, resume: bool = False, workers: int = 1
) -> Generator[Progress, None, Path]:
    """Draw structures, simulate, train, calibrate and save a Bravais classifier.

    Processes beside the training draw structures and simulate patterns, of which the bands are kept
    in shards; every round of the training takes the new ones and some older ones.  A second part,
    where the recipe names masters, goes on with many-beam patterns among the two-beam ones.  All
    this and a checkpoint after each round stay in ``OUTPUT.work`` until the end; with ``resume`` a
    stopped training goes on from there.

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
        The output cannot be written, the checkpoint is of another recipe, the loss diverges, or
        masters are asked for and ebsdsim is not installed.
    """
    work = work_folder(output)
    learner = _start(recipe)
    checkpoint = work / "checkpoint.pt"
    if resume and checkpoint.exists():
        take_up(checkpoint, recipe.as_dict(), learner)
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        if learner.epoch < recipe.rounds:
            count = max(1, recipe.structures // CHUNK)
            chunks = yield from _draw_structures(work, pool, recipe.seed * _FIRST_SEED, count)
            made = _begun(pool, make_shard, _shard_jobs(recipe, work, chunks))
            yield from train(_Rounds(recipe, work, made), learner, checkpoint, recipe.as_dict())
        if recipe.masters:
            made = yield from _prepare_second(recipe, work, pool)
            learner, checkpoint = _refining(recipe, learner), work / "refining.pt"
            if resume and checkpoint.exists():
                take_up(checkpoint, recipe.as_dict(), learner)
            yield from train(_Refining(recipe, work, made), learner, checkpoint, recipe.as_dict())
    yield from _finish(recipe, learner, work, output)
    shutil.rmtree(work, ignore_errors=True)
    return output


def _start(recipe: BravaisRecipe) -> BandLearner:
    torch.manual_seed(recipe.seed)
    network = BandNetwork(len(BRAVAIS_CLASSES), **_options(recipe))
    return begin(network, recipe.learning_rate, recipe.weight_decay)


def _refining(recipe: BravaisRecipe, learned: BandLearner) -> BandLearner:
    """Begin the second part of a training with what the first has learned."""
    network = learned.result
    network.requires_grad_(True)
    round_as_shipped(network)
    learner = begin(network, recipe.refining_rate, recipe.weight_decay)
    learner.patterns, learner.seconds = learned.patterns, learned.seconds
    return learner


def _options(recipe: BravaisRecipe) -> dict[str, int]:
    return {"width": recipe.width, "depth": recipe.depth, "heads": recipe.heads}


def _draw_structures(
    work: Path, pool: Any, seed: int, count: int
) -> Generator[Progress, None, tuple[str, ...]]:
    """Draw the random structures, in chunks that are there already or are made now."""
    jobs = [(str(work / f"structures-{seed}-{k:05d}.npz"), seed + k) for k in range(count)]
    for done, _ in enumerate(pool.imap(make_chunk, jobs), 1):
        yield Progress(done, count, "Drawing structures")
    return tuple(path for path, _ in jobs)


def _begun(pool: Any, make: Callable[[Any], str], jobs: Sequence[Any]) -> list[Any]:
    """Let the processes begin; return what tells when a job is done and what went wrong."""
    return [pool.apply_async(make, (job,)) for job in jobs]


def _prepare_second(
    recipe: BravaisRecipe, work: Path, pool: Any
) -> Generator[Progress, None, list[Any]]:
    """Compute the many-beam master patterns, and let the shards of the second part be made."""
    count = max(2, -(-recipe.masters // len(OF_A_FILE)))  # one to learn from, one to calibrate on
    seed = recipe.seed * _FIRST_SEED
    jobs = [(str(work / f"masters-{seed}-{k:05d}.npz"), seed + k, OF_A_FILE) for k in range(count)]
    more, seed = -(-recipe.symmetric // len(SYMMETRIC)), recipe.seed * _SYMMETRIC_SEED
    jobs[:0] = [
        (str(work / f"symmetric-{seed}-{k:05d}.npz"), seed + k, SYMMETRIC) for k in range(more)
    ]
    for done, _ in enumerate(pool.imap(make_masters, jobs), 1):
        yield Progress(done, len(jobs), "Computing many-beam master patterns")
    masters = tuple(path for path, *_ in jobs)
    seed = recipe.seed * _SECOND_SEED
    chunks = yield from _draw_structures(work, pool, seed, _SECOND_CHUNKS)
    kept, number = max(1, count // _KEPT), recipe.many_beam
    seed = recipe.seed * _SECOND_SHARDS
    two = [(str(_two_beam(work, k)), chunks, seed, k) for k in range(number)]
    seed = recipe.seed * _FIRST_SHARDS
    many = [(str(_many_beam(work, k)), masters[:-kept], seed, k) for k in range(number)]
    checks = (str(_checks(work)), masters[-kept:], seed, number)
    return _begun(pool, make_shard, two) + _begun(pool, make_many_beam_shard, [*many, checks])


def _two_beam(work: Path, number: int) -> Path:
    return work / f"two-beam-{number:05d}.npz"


def _many_beam(work: Path, number: int) -> Path:
    return work / f"many-beam-{number:05d}.npz"


def _checks(work: Path) -> Path:
    """Many-beam patterns of structures that are not learned from."""
    return work / "many-beam-checks.npz"


def _shard_jobs(
    recipe: BravaisRecipe, work: Path, chunks: tuple[str, ...]
) -> list[tuple[str, tuple[str, ...], int, int]]:
    """All shards that are simulated, in their order."""
    return [
        (str(_shard(work, k)), chunks, recipe.seed * _FIRST_SHARDS, k)
        for k in range(recipe.rounds * recipe.fresh)
    ]


def _shard(work: Path, number: int) -> Path:
    return work / f"bands-{number:05d}.npz"


class _Sharded(BandTask, Epochs[BandLearner]):
    """A training in rounds, each on some shards; what it waits for is simulated beside it.

    Parameters
    ----------
    recipe, work
        What is trained, and where the shards are.
    made
        From `_begun`.
    rounds, shards
        Number of rounds, and of shards that a round has.
    """

    doing = "Training"

    def __init__(
        self, recipe: BravaisRecipe, work: Path, made: list[Any], rounds: int, shards: int
    ) -> None:
        self.recipe, self.work, self.made, self.epochs = recipe, work, made, rounds
        self.steps = shards * SHARD // recipe.batch_size
        self.waits = False

    def shards(self, number: int, rng: np.random.Generator) -> tuple[list[Path], list[Path]]:
        """Shards that a round takes, and those that must be there before it starts."""
        raise NotImplementedError

    def batches(self, learner: BandLearner) -> Iterator[Arrays | None]:
        """Batches of a round, every pattern once before any comes again."""
        recipe, number, first_step = self.recipe, learner.epoch, learner.step
        rng = np.random.default_rng([recipe.seed, number, 5])
        paths, needed = self.shards(number, rng)
        self.waits = True
        while not all(path.exists() for path in needed):
            for job in self.made:
                if job.ready():
                    job.get()  # what went wrong in another process is raised here
            yield None
        self.waits = False
        data = read_shards(paths)
        learner.network.train()
        began, before = time.monotonic(), learner.seconds
        order = _endless(len(data["label"]), recipe.batch_size, rng)
        for step, take in enumerate(itertools.islice(order, self.steps)):
            error = _errors(len(take), rng)
            if step < first_step:
                continue
            learner.patterns += len(take)
            learner.seconds = before + time.monotonic() - began
            yield _batch(data, take, error)

    def progress(self, learner: BandLearner) -> Epoch:
        """Tell what is being done."""
        doing = "Simulating patterns" if self.waits else self.doing
        return Epoch(learner.epoch, self.epochs, doing, learner.epoch, loss=learner.epoch_loss)


class _Rounds(_Sharded):
    """The first part: every round on new two-beam patterns and on some that were seen before.

    The first rounds have fewer old patterns to repeat, and as many steps.
    """

    def __init__(self, recipe: BravaisRecipe, work: Path, made: list[Any]) -> None:
        super().__init__(recipe, work, made, recipe.rounds, recipe.fresh + recipe.again)

    def shards(self, number: int, rng: np.random.Generator) -> tuple[list[Path], list[Path]]:
        first, end = number * self.recipe.fresh, (number + 1) * self.recipe.fresh
        old = rng.permutation(first)[: self.recipe.again]
        paths = [_shard(self.work, int(k)) for k in (*range(first, end), *old)]
        return paths, [_shard(self.work, k) for k in range(end)]


class _Refining(_Sharded):
    """The second part: every round on some many-beam and as many two-beam shards."""

    doing = "Training with many beams"

    def __init__(self, recipe: BravaisRecipe, work: Path, made: list[Any]) -> None:
        super().__init__(recipe, work, made, recipe.refined, 2 * recipe.mixed)

    def shards(self, number: int, rng: np.random.Generator) -> tuple[list[Path], list[Path]]:
        paths = []
        for kind in (_many_beam, _two_beam):
            chosen = rng.permutation(self.recipe.many_beam)[: self.recipe.mixed]
            paths += [kind(self.work, int(k)) for k in chosen]
        return paths, [*paths, _checks(self.work)]


def _endless(count: int, size: int, rng: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    """Numbers in random order, every one before any comes again."""
    while True:
        order = rng.permutation(count)
        for i in range(0, count - size + 1, size):
            yield order[i : i + size]


def _batch(data: Arrays, take: NDArray[np.intp], error: NDArray[np.float32]) -> Arrays:
    """Take patterns out of a set, their pattern centre told with an error."""
    part = {name: values[take] for name, values in data.items()}
    part["normal"] = moved_centre(part["normal"], part["pc"], error)
    return part


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
    recipe: BravaisRecipe, learner: BandLearner, work: Path, output: Path
) -> Generator[Progress, None, None]:
    """Calibrate on unseen structures and save."""
    yield Progress(1, 1, "Calibrating on unseen structures")
    seed = _VALIDATION_SEED + recipe.seed * 100
    arrays = read_chunk(make_chunk((str(work / f"validation-{seed}.npz"), seed)))
    pool = StructurePool(torch.device("cpu"), CHUNK)
    pool.add(arrays)
    network = learner.result
    round_as_shipped(network)
    rng = np.random.default_rng([recipe.seed, 17])
    logits, label = predict(network, every_structure(pool, rng, _CHECKS))
    figures = {"single pattern, unseen random structures": _share_right(logits, label)}
    if recipe.masters:
        checks = read_shards([_checks(work)])
        as_many = {name: values[: len(label)] for name, values in checks.items()}
        many_logits, many = predict(network, as_many)
        figures["the same, many beams"] = _share_right(many_logits, many)
        logits, label = np.concatenate([logits, many_logits]), np.concatenate([label, many])
    scale, bias = calibrate(logits, label)
    seen = np.bincount(label, minlength=len(BRAVAIS_CLASSES)) / len(label)
    usual = usual_shares(float(seen[-1]))
    rare = np.maximum(seen, 1e-4)  # as `probabilities` counts them
    bias = bias + np.log([usual[name] for name in BRAVAIS_CLASSES]) - np.log(rare)
    card = ModelCard(
        name=recipe.name,
        title=recipe.title,
        summary=recipe.summary,
        network="bands",
        classes=BRAVAIS_CLASSES,
        options=_options(recipe),
        scale=scale,
        bias=tuple(float(b) for b in bias),
        shares=usual,
        recipe=recipe.as_dict() | {"patterns": learner.patterns, "seconds": round(learner.seconds)},
        preprocessing=PREPROCESSING,
        figures=figures,
    )
    save_classifier(network, card, output)
    said = ", ".join(f"{name}: {share:.3f}" for name, share in figures.items())
    yield Progress(1, 1, f"Right: {said}")


def _share_right(logits: NDArray[np.float32], label: NDArray[np.int64]) -> float:
    """Share of the patterns, of those that are any, whose lattice is named."""
    there = label < len(LATTICES)
    return round(float((logits[there].argmax(1) == label[there]).mean()), 4)


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
