"""What is seen in the averages of grains, by which phases are found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.indexing.bands.centre import band_weights
from napari_diffraction.patterns.kikuchi.bands.lines import Lines, find_lines
from napari_diffraction.patterns.kikuchi.grains.averages import Grains
from napari_diffraction.patterns.kikuchi.preparation import Preparation
from napari_diffraction.patterns.stack import PatternStack

FloatArray = NDArray[np.float64]

#: Bands looked at in a pattern.
BANDS = 14
#: Grains looked at, the largest.
_MOST = 1000
#: With fewer grains than this, so many single patterns are added.
_FEW, _ADDED = 8, 40
#: Bands by which patterns are ordered.
_TELLING = 10


@dataclass(frozen=True, eq=False)
class GrainBands:
    """Bands of the averages of ``g`` grains.

    Attributes
    ----------
    number : ndarray of int64, (g,)
        Of the grain; -1: a single pattern.
    pictures : ndarray of float32, (g, h, w)
        Flattened.
    weight : ndarray of float32, (h, w)
        0 behind a mask.
    lines
        Their bands.
    weights : ndarray of float64, (g, k)
        Weight of every band in scores.
    size : ndarray of int64, (g,)
        Patterns of each grain.
    offset : ndarray of float64, (g, 2)
        Mean row and column from the middle of the scan; zeros in a list.
    """

    number: NDArray[np.int64]
    pictures: NDArray[np.float32]
    weight: NDArray[np.float32]
    lines: Lines
    weights: FloatArray
    size: NDArray[np.int64]
    offset: FloatArray

    def __len__(self) -> int:
        return len(self.number)

    def part(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> GrainBands:
        """Return some of the grains."""
        return GrainBands(
            self.number[which],
            self.pictures[which],
            self.weight,
            self.lines[which],
            self.weights[which],
            self.size[which],
            self.offset[which],
        )


def grain_bands(stack: PatternStack, grains: Grains, preparation: Preparation) -> GrainBands:
    """Find the bands of grains, those with the clearest bands first.

    Where there are few grains, some of the other patterns are added, each as a grain of one.

    Parameters
    ----------
    stack
        A scan or a list.
    grains
        Its grains.
    preparation
        Of its camera.
    """
    most = min(_MOST, len(grains))
    average, members = grains.average[:most], list(grains.members[:most])
    number, size = np.arange(most), grains.size[:most]
    if most < _FEW:
        some = _added(grains).tolist()
        read = zip(some, stack.frames(some), strict=True)
        singles = {one: frame for one, frame in read if frame is not None}
        if singles:
            frames = np.stack(list(singles.values()))
            average = np.concatenate([average, preparation.corrected(frames)])
            members += [np.array([one]) for one in singles]
            number = np.concatenate([number, np.full(len(singles), -1)])
            size = np.concatenate([size, np.ones(len(singles), np.int64)])
    pictures = preparation.flattened(average)
    lines = find_lines(pictures, preparation.weight, BANDS)
    found = GrainBands(
        number, pictures, preparation.weight, lines, band_weights(lines), size,
        _offsets(members, stack.data.shape[:-2]),
    )  # fmt: skip
    # a pattern tells more the further its bands are above the noise
    told = lines.strength[:, :_TELLING].mean(axis=1)
    return found.part(np.argsort(-told, kind="stable"))


def _added(grains: Grains) -> NDArray[np.int64]:
    """Patterns in no grain that are looked at, rising: the clearest, and as many of all others.

    The clearest may all be of one phase; another one may have faint patterns alone.
    """
    others = np.flatnonzero((grains.label < 0) & (grains.contrast > 0))
    order = np.argsort(-grains.contrast[others], kind="stable")
    clearest, rest = others[order[: _ADDED // 2]], np.sort(others[order[_ADDED // 2 :]])
    if len(rest) > _ADDED - len(clearest):
        places = np.linspace(0, len(rest) - 1, _ADDED - len(clearest))
        rest = rest[places.astype(np.int64)]
    return np.sort(np.concatenate([clearest, rest]))


def _offsets(members: list[NDArray[np.int64]], shape: tuple[int, ...]) -> FloatArray:
    """Mean row and column of patterns from the middle of a scan."""
    offset = np.zeros((len(members), 2))
    if len(shape) == 2:
        for place, some in enumerate(members):
            row, column = np.divmod(some, shape[1])
            offset[place] = row.mean() - (shape[0] - 1) / 2, column.mean() - (shape[1] - 1) / 2
    return offset
