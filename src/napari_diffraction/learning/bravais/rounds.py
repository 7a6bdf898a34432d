"""Both parts of the training of a Bravais classifier: which patterns each of their rounds takes."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.learning.bravais.loop import BandLearner, BandTask
from napari_diffraction.learning.bravais.recipe import SHARD, BravaisRecipe
from napari_diffraction.learning.bravais.shards import Arrays, read_shards
from napari_diffraction.learning.runs.epochs import Epoch
from napari_diffraction.learning.runs.loop import Epochs

#: Deviation of the pattern centre from what is told, in shares of the frame: usual, and poor.
_OFF, _FAR_OFF, _POOR = 0.008, 0.025, 0.1


# In the names of shards stands all of the recipe that says what is in them, as the folder may still
# hold those of another one.
def shard_file(work: Path, recipe: BravaisRecipe, number: int) -> Path:
    """Two-beam patterns of the first part."""
    return work / f"bands-{recipe.seed}-{recipe.structures}-{number:05d}.npz"


def two_beam_file(work: Path, recipe: BravaisRecipe, number: int) -> Path:
    """Two-beam patterns of the second part."""
    return work / f"two-beam-{recipe.seed}-{number:05d}.npz"


def many_beam_file(work: Path, recipe: BravaisRecipe, number: int) -> Path:
    """Many-beam patterns of the second part."""
    return work / f"many-beam-{_masters(recipe)}-{number:05d}.npz"


def checks_file(work: Path, recipe: BravaisRecipe) -> Path:
    """Many-beam patterns of structures that are not learned from."""
    return work / f"many-beam-checks-{_masters(recipe)}-{recipe.many_beam}.npz"


def _masters(recipe: BravaisRecipe) -> str:
    return f"{recipe.seed}-{recipe.masters}-{recipe.symmetric}"


class _Sharded(BandTask, Epochs[BandLearner]):
    """A training in rounds, each on some shards; what it waits for is simulated beside it.

    Parameters
    ----------
    recipe, work
        What is trained, and where the shards are.
    made
        Jobs in other processes, as `training._begun` returns them.
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


class Rounds(_Sharded):
    """The first part: every round on new two-beam patterns and on some that were seen before.

    The first rounds have fewer old patterns to repeat, and as many steps.
    """

    def __init__(self, recipe: BravaisRecipe, work: Path, made: list[Any]) -> None:
        super().__init__(recipe, work, made, recipe.rounds, recipe.fresh + recipe.again)

    def shards(self, number: int, rng: np.random.Generator) -> tuple[list[Path], list[Path]]:
        """Those that are new, and some older ones."""
        first, end = number * self.recipe.fresh, (number + 1) * self.recipe.fresh
        old = rng.permutation(first)[: self.recipe.again]
        paths = [shard_file(self.work, self.recipe, int(k)) for k in (*range(first, end), *old)]
        return paths, [shard_file(self.work, self.recipe, k) for k in range(end)]


class Refining(_Sharded):
    """The second part: every round on some many-beam and as many two-beam shards."""

    doing = "Training with many beams"

    def __init__(self, recipe: BravaisRecipe, work: Path, made: list[Any]) -> None:
        super().__init__(recipe, work, made, recipe.refined, 2 * recipe.mixed)

    def shards(self, number: int, rng: np.random.Generator) -> tuple[list[Path], list[Path]]:
        """Some of either kind, drawn anew for each round."""
        paths = []
        for kind in (many_beam_file, two_beam_file):
            chosen = rng.permutation(self.recipe.many_beam)[: self.recipe.mixed]
            paths += [kind(self.work, self.recipe, int(k)) for k in chosen]
        return paths, [*paths, checks_file(self.work, self.recipe)]


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
