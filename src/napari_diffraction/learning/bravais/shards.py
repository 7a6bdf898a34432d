"""Training data of the Bravais classifier on disk: the bands of simulated patterns, in shards."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_diffraction.files import replacing
from napari_diffraction.learning.bravais.data import Draw, PatternMaker, draw
from napari_diffraction.learning.bravais.recipe import SHARD
from napari_diffraction.learning.bravais.structure_pool import (
    StructurePool,
    read_chunk,
    save_arrays,
)
from napari_diffraction.learning.networks.band_view import as_inputs, measure
from napari_diffraction.learning.networks.bravais_view import SIDES

#: Patterns that are made at a time.
BLOCK = 64
#: Names of what a shard holds: the network's inputs, the truth, and the pattern centre.
INPUTS = ("normal", "strength", "profile", "area", "count")
_PARTS = (*INPUTS, "label", "laue", "pc")

Arrays = dict[str, NDArray[Any]]
#: Name of the file, of what the patterns are made, a seed, number of the shard, side of a pattern.
ShardJob = tuple[str, tuple[str, ...], int, int, int]
_POOLS: dict[str, StructurePool] = {}


def simulate(
    pool: StructurePool,
    rng: np.random.Generator,
    count: int,
    which: Tensor | None = None,
    hardness: float = 1.0,
    side: int = SIDES[-1],
) -> Arrays:
    """Simulate patterns of some structures of a pool and measure their bands.

    Parameters
    ----------
    pool
        The structures, on a processor.
    rng
        Source of all that is random.
    count
        Number of patterns.
    which : Tensor of int64, (count,), optional
        Numbers of the structures; by default any of the pool.
    hardness
        See `napari_diffraction.learning.bravais.data.draw`.
    side
        Of the patterns, in pixels.

    Returns
    -------
    dict
        Inputs of the network by name, ``label``, ``laue`` and ``pc``.
    """
    seed = int(rng.integers(2**62))
    return patterns_of(PatternMaker(pool, seed, side), draw(count, rng, hardness), which)


def patterns_of(
    maker: PatternMaker,
    drawn: Draw,
    which: Tensor | None = None,
    told: NDArray[np.float32] | None = None,
) -> Arrays:
    """Make the patterns that were drawn and measure their bands.

    Parameters
    ----------
    maker
        Of the structures, on a processor.
    drawn
        Geometry, diffraction and camera of ``n`` patterns.
    which : Tensor of int64, (n,), optional
        Numbers of the structures; by default any of the pool.
    told : ndarray, (n, 3) or (1, 3), optional
        Pattern centres that are taken to measure with; by default the true ones.

    Returns
    -------
    dict
        As `simulate`.
    """
    frames, lit, label, laue = maker.frames(drawn, which)
    pc = drawn.pc if told is None else told
    values = [value.numpy() for value in as_inputs(measure(frames, lit, pc))]
    arrays = dict(zip(INPUTS, values, strict=True))
    truth = {"label": label.numpy(), "laue": laue.numpy()}
    return arrays | truth | {"pc": np.broadcast_to(pc, (len(label), 3))}


def make_shard(job: ShardJob) -> str:
    """Simulate a shard, unless its file is there already.

    Parameters
    ----------
    job
        Name of the file, names of all chunks of structures, seed and number of the shard, and side
        of the patterns.
    """
    path, chunks, seed, number, side = job
    if os.path.exists(path):
        return path
    alone()
    for chunk in chunks:
        if chunk not in _POOLS:
            arrays = read_chunk(chunk)
            _POOLS[chunk] = StructurePool(torch.device("cpu"), len(arrays["label"]))
            _POOLS[chunk].add(arrays)
    rng = np.random.default_rng([seed, number])
    parts = [
        simulate(_POOLS[chunks[int(rng.integers(len(chunks)))]], rng, BLOCK, side=side)
        for _ in range(SHARD // BLOCK)
    ]
    write_shard(path, parts)
    return path


def read_shards(paths: Sequence[str | Path]) -> Arrays:
    """Read shards, profiles and areas in half precision."""
    parts = []
    for path in paths:
        with np.load(path, allow_pickle=False) as file:
            parts.append({name: file[name] for name in _PARTS})
    return joined(parts)


def as_batch(arrays: Arrays) -> tuple[tuple[Tensor, ...], Tensor, Tensor]:
    """Make the network's inputs, the class and the Laue group of a set of patterns."""
    values = (torch.from_numpy(arrays[name]) for name in INPUTS)
    inputs = tuple(v.float() if v.is_floating_point() else v for v in values)
    return inputs, torch.from_numpy(arrays["label"]), torch.from_numpy(arrays["laue"])


def joined(parts: Sequence[Arrays]) -> Arrays:
    """Put arrays of several sets of patterns behind each other.

    Where some have fewer bands than others, as in the smaller square, zeros fill them up.
    """
    return {name: np.concatenate(_alike([part[name] for part in parts])) for name in parts[0]}


def _alike(arrays: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """Fill up arrays whose second axis is shorter than that of others."""
    if arrays[0].ndim == 1:
        return arrays
    most = max(values.shape[1] for values in arrays)
    rest = ((0, 0),) * (arrays[0].ndim - 2)
    return [np.pad(values, ((0, 0), (0, most - values.shape[1]), *rest)) for values in arrays]


def write_shard(path: str, parts: Sequence[Arrays]) -> None:
    """Write sets of patterns as one file, profiles and areas in half precision."""
    arrays = joined(parts)
    half = {name: arrays[name].astype(np.float16) for name in ("profile", "area")}
    with replacing(Path(path)) as partial:
        save_arrays(partial, arrays | half)


def alone() -> None:
    """One thread, since there is a process for every core."""
    import numba

    torch.set_num_threads(1)
    numba.set_num_threads(1)
