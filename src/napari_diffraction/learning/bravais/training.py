"""Train, calibrate and save the Bravais classifier."""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_diffraction.learning.bravais.data import BRAVAIS_CLASSES, usual_shares
from napari_diffraction.learning.bravais.loop import BandLearner, begin, predict
from napari_diffraction.learning.bravais.masters import (
    OF_A_FILE,
    SYMMETRIC,
    make_many_beam_shard,
    make_masters,
)
from napari_diffraction.learning.bravais.recipe import BravaisRecipe
from napari_diffraction.learning.bravais.rounds import (
    Refining,
    Rounds,
    checks_file,
    many_beam_file,
    shard_file,
    two_beam_file,
)
from napari_diffraction.learning.bravais.shards import (
    Arrays,
    ShardJob,
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
from napari_diffraction.learning.networks.bravais_view import SIDES
from napari_diffraction.learning.runs.checkpoint import take_up
from napari_diffraction.learning.runs.loop import train
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
    refining = [work / f"refining-{number}.pt" for number in range(recipe.parts)]
    if not resume:
        for old in (checkpoint, *refining):
            old.unlink(missing_ok=True)
    if checkpoint.exists():
        take_up(checkpoint, recipe.as_dict(), learner)
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        if learner.epoch < recipe.rounds:
            count = max(1, recipe.structures // CHUNK)
            chunks = yield from _draw_structures(work, pool, recipe.seed * _FIRST_SEED, count)
            made = _begun(pool, make_shard, _shard_jobs(recipe, work, chunks))
            yield from train(Rounds(recipe, work, made), learner, checkpoint, recipe.as_dict())
        ends = []
        for number in range(recipe.parts if recipe.masters else 0):
            part = _part(recipe, number)
            made = yield from _prepare_second(part, work, pool)
            learner = _refining(recipe, learner)
            if refining[number].exists():
                take_up(refining[number], recipe.as_dict(), learner)
            task = Refining(part, work, made)
            yield from train(task, learner, refining[number], recipe.as_dict())
            ends.append(_rounded(learner))
    if ends:
        learner.result.load_state_dict(mean_weights(ends))
    yield from _finish(recipe, learner, work, output)
    shutil.rmtree(work, ignore_errors=True)
    return output


def _start(recipe: BravaisRecipe) -> BandLearner:
    torch.manual_seed(recipe.seed)
    network = BandNetwork(len(BRAVAIS_CLASSES), **_options(recipe))
    return begin(network, recipe.learning_rate, recipe.weight_decay)


def _part(recipe: BravaisRecipe, number: int) -> BravaisRecipe:
    """Return the recipe of a second part: the structures of each are others."""
    return replace(recipe, seed=recipe.seed + number)


def _rounded(learner: BandLearner) -> dict[str, Tensor]:
    """Return a copy of the weights that were learned, as they would be shipped."""
    round_as_shipped(learner.result)
    return {name: values.clone() for name, values in learner.result.state_dict().items()}


def mean_weights(networks: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Average the weights of networks of one descent.

    They lie in one valley of the loss, whose middle generalises better than its rim (Wortsman et
    al., Model soups, ICML 2022).

    Parameters
    ----------
    networks
        Weights by name, of networks of one form.
    """
    return {
        name: torch.stack([one[name].float() for one in networks]).mean(0).to(values.dtype)
        for name, values in networks[0].items()
    }


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
    two = [(str(two_beam_file(work, recipe, k)), chunks, seed, k, _side(k)) for k in range(number)]
    seed = recipe.seed * _FIRST_SHARDS
    many = [
        (str(many_beam_file(work, recipe, k)), masters[:-kept], seed, k, _side(k))
        for k in range(number)
    ]
    checks = (str(checks_file(work, recipe)), masters[-kept:], seed, number, SIDES[-1])
    return _begun(pool, make_shard, two) + _begun(pool, make_many_beam_shard, [*many, checks])


def _side(number: int) -> int:
    """Side of the patterns of a shard of the second part: the smaller square every third time."""
    return SIDES[0] if number % 3 == 2 else SIDES[1]


def _shard_jobs(recipe: BravaisRecipe, work: Path, chunks: tuple[str, ...]) -> list[ShardJob]:
    """All shards of the first part, of the smaller square, in their order."""
    return [
        (str(shard_file(work, recipe, k)), chunks, recipe.seed * _FIRST_SHARDS, k, SIDES[0])
        for k in range(recipe.rounds * recipe.fresh)
    ]


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
        checks = read_shards([checks_file(work, _part(recipe, recipe.parts - 1))])
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
    """Simulate fresh patterns of every structure of a pool, in their order, again and again.

    Those of the larger square come first, then those of the smaller, by turns.
    """
    parts = []
    for number in range(repeats):
        side = SIDES[-1 - number % len(SIDES)]
        for i in range(0, pool.count, batch):
            which = torch.arange(i, min(i + batch, pool.count))
            parts.append(simulate(pool, rng, len(which), which, side=side))
    return joined(parts)
