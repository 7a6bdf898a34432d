"""Simulated training data on disk, in shards that several processes make side by side."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.files import replacing
from napari_diffraction.learning.networks.zone_view import N_FEATURES, view
from napari_diffraction.progress import Progress

SHARD = 2000
KINDS = ("natural", "zone", "hybrid", "laue", "jitter", "shift", "overlay", "several", "none")


@dataclass
class ZoneData:
    """Views of simulated patterns, and their truth.

    Attributes
    ----------
    picture, vectors, features
        As `napari_diffraction.learning.networks.zone_view.View`, stacked, n patterns.
    label : ndarray of int64, (n,)
        Number of the class.
    fraction : ndarray of float32, (n,)
        Share of the visible reflections in the dominant zone.
    n_spots, kind, clean, signal, cell : ndarray, (n,)
        As `napari_diffraction.learning.zones.data.Example`; ``kind`` counts in `KINDS`.
    """

    picture: NDArray[np.uint8]
    vectors: NDArray[np.uint8]
    features: NDArray[np.float32]
    label: NDArray[np.int64]
    fraction: NDArray[np.float32]
    n_spots: NDArray[np.int64]
    kind: NDArray[np.int64]
    clean: NDArray[np.bool_]
    signal: NDArray[np.float32]
    cell: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.label)


def make_shard(job: tuple[str, int, int, float, bool]) -> int:
    """Simulate and view the patterns of one shard, unless its file is there already.

    Parameters
    ----------
    job
        Name of the file, seed, number of patterns, share of clean cells, whether to draw naturally.

    Returns
    -------
    int
        Number of patterns in the file.
    """
    import numba

    from napari_diffraction.learning.zones.data import examples

    path, seed, count, clean, natural = job
    if os.path.exists(path):
        return count
    numba.set_num_threads(1)
    source = examples(seed, clean, natural)
    columns: dict[str, list[Any]] = {name: [] for name in ZoneData.__dataclass_fields__}
    for _ in range(count):
        example = next(source)
        seen = view(example.image)
        for name in ("picture", "vectors", "features"):
            columns[name].append(getattr(seen, name))
        for name in ("label", "fraction", "n_spots", "clean", "signal", "cell"):
            columns[name].append(getattr(example, name))
        columns["kind"].append(KINDS.index(example.kind))
    arrays: dict[str, Any] = {name: np.asarray(values) for name, values in columns.items()}
    with replacing(Path(path)) as partial:
        np.savez(partial, **arrays)
    return count


def make_shards(
    folder: Path,
    seed: int,
    count: int,
    clean: float,
    natural: bool,
    workers: int | None = None,
    minutes: float | None = None,
    new: bool = True,
) -> Generator[Progress, None, list[Path]]:
    """Make the shards that are not there yet, in several processes.

    Parameters
    ----------
    folder
        Where to put them.
    seed
        Each shard has a seed of its own, made of this one and its number.
    count
        Number of patterns in all, rounded up to whole shards of 2,000.
    clean, natural
        As `napari_diffraction.learning.zones.data.examples`.
    workers
        Number of processes; by default one per core.
    minutes
        Stop after this time with what is there.
    new
        Whether to make any; else those that are there are all.

    Returns
    -------
    list of Path
        The shards that are there.
    """
    end = time.monotonic() + 60 * (np.inf if minutes is None else minutes)
    folder.mkdir(parents=True, exist_ok=True)
    name = "natural" if natural else "train"
    size = min(SHARD, count)
    n = -(-count // size)
    paths = [folder / f"{name}-{seed}-{clean:g}-{N_FEATURES}-{size}-{k:04d}.npz" for k in range(n)]
    first = seed * 100_000 + (50_000 if natural else 0)
    if not new:
        return [path for path in paths if path.exists()]
    jobs = [(str(path), first + k, size, clean, natural) for k, path in enumerate(paths)]
    yield Progress(0, n * size, "Simulating patterns")
    with multiprocessing.get_context("spawn").Pool(workers or os.cpu_count()) as pool:
        done = 0
        for made in pool.imap_unordered(make_shard, jobs):
            done += made
            yield Progress(done, n * size, "Simulating patterns")
            if time.monotonic() > end:
                break
    return [path for path in paths if path.exists()]


def load_shards(paths: list[Path]) -> ZoneData:
    """Read shards into memory, some 40 kB a pattern."""
    names = list(ZoneData.__dataclass_fields__)
    sizes = []
    for path in paths:
        with np.load(path, allow_pickle=False) as file:
            sizes.append(len(file["label"]))
    whole: dict[str, NDArray[Any]] = {}
    first = 0
    for path, size in zip(paths, sizes, strict=True):
        with np.load(path, allow_pickle=False) as file:
            for name in names:
                part = file[name]
                if name not in whole:
                    whole[name] = np.empty((sum(sizes), *part.shape[1:]), part.dtype)
                whole[name][first : first + size] = part
        first += size
    return ZoneData(**whole)
