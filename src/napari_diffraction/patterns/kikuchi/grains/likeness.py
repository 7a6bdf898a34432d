"""Patterns as short vectors of unit length: their product tells how alike two of them are."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.patterns.kikuchi.preparation import Preparation
from napari_diffraction.patterns.kikuchi.quality import band_share
from napari_diffraction.patterns.kikuchi.reading import blocks
from napari_diffraction.patterns.stack import PatternStack

Floats = NDArray[np.float32]

#: Pixels along the longer side of what is compared; fewer where the vectors would fill the memory.
_SIDE = 45
_BYTES = 6e8
#: Vectors looked at at a time.
_AT_A_TIME = 4096
#: A pattern is noise below this share of bands in its variance.
_READABLE = 0.008


@dataclass(frozen=True, eq=False)
class Vectors:
    """All patterns of a stack, thinned.

    Attributes
    ----------
    values : ndarray of float32 or float16, (n, d)
        Flattened pixels where the screen is lit, of unit length; zeros for a pattern that cannot
        be read.
    bands : ndarray of float32, (n,)
        Share of the variance that is bands and not noise.
    signal : ndarray of float32, (n,)
        Share of a vector's square that is signal, were its noise white: about what two patterns of
        one crystal correlate.
    shape
        Rows and columns of a scan; ``None`` for a list.
    """

    values: NDArray[np.floating]
    bands: Floats
    signal: Floats
    shape: tuple[int, int] | None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def readable(self) -> NDArray[np.bool_]:
        """Where a pattern shows something but noise."""
        return np.asarray(self.bands > _READABLE)

    def times(self, which: NDArray[np.int64], others: Floats) -> Floats:
        """Products of some of the vectors with k others, (m, d) and (k, d): (m, k)."""
        out = np.empty((len(which), len(others)), np.float32)
        for start in range(0, len(which), _AT_A_TIME):
            part = slice(start, start + _AT_A_TIME)
            out[part] = self.values[which[part]].astype(np.float32, copy=False) @ others.T
        return out

    def sum(self, which: NDArray[np.int64]) -> Floats:
        """Sum of some of the vectors."""
        return np.asarray(self.values[which].sum(0, dtype=np.float32))

    def without(self, common: Floats) -> Vectors:
        """Return these vectors less their parts along one of unit length."""
        values = np.empty_like(self.values)
        for start in range(0, len(values), _AT_A_TIME):
            some = self.values[start : start + _AT_A_TIME].astype(np.float32)
            some -= np.outer(some @ common, common)
            length = np.linalg.norm(some, axis=1, keepdims=True)
            values[start : start + _AT_A_TIME] = some / np.maximum(length, 1e-6)
        return replace(self, values=values)


def look(stack: PatternStack, preparation: Preparation) -> Generator[int, None, Vectors]:
    """Read the whole stack and make its vectors; yields the number of patterns seen so far."""
    count = len(stack)
    side = min(_SIDE, max(16, int(np.sqrt(_BYTES / 2 / count))))
    thin = preparation.thinned(side)
    lit = thin.weight > 0
    size = int(np.count_nonzero(lit))
    dtype = np.float32 if 4 * count * size <= _BYTES else np.float16
    values = np.zeros((count, size), dtype)
    bands, signal = np.zeros(count, np.float32), np.zeros(count, np.float32)
    for part, frames, readable in blocks(stack):
        flat = thin.flattened(thin.corrected(frames))
        bands[part] = np.where(readable, band_share(flat, thin.weight), 0)
        signal[part] = _signal(flat, lit)
        some = flat[:, lit]
        length = np.linalg.norm(some, axis=1, keepdims=True)
        values[part] = some / np.maximum(length, 1e-6)
        yield part.stop
    shape = (int(stack.data.shape[0]), int(stack.data.shape[1])) if stack.is_scan else None
    return Vectors(values, bands, signal, shape)


def _signal(flat: Floats, lit: NDArray[np.bool_]) -> Floats:
    """What the correlation of neighbouring pixels, and next ones, leads to at no distance."""
    near = [_lagged(flat, lit, lag) for lag in (1, 2)]
    return np.clip((4 * near[0] - near[1]) / 3, 0, 1).astype(np.float32)


def _lagged(flat: Floats, lit: NDArray[np.bool_], lag: int) -> Floats:
    across = (flat[:, :, lag:] * flat[:, :, :-lag])[:, lit[:, lag:] & lit[:, :-lag]]
    down = (flat[:, lag:] * flat[:, :-lag])[:, lit[lag:] & lit[:-lag]]
    return np.asarray((across.mean(1) + down.mean(1)) / 2)
