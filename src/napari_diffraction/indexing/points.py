"""Every pattern of a scan matched to the phases that it holds."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.indexing.matching import KnownGrains, Points, index_bands
from napari_diffraction.indexing.phases.crystals import Crystal
from napari_diffraction.patterns.elsewhere import StackElsewhere
from napari_diffraction.patterns.kikuchi.bands.lines import find_lines
from napari_diffraction.patterns.kikuchi.preparation import Preparation
from napari_diffraction.patterns.kikuchi.quality import band_contrast
from napari_diffraction.patterns.kikuchi.reading import block_parts, blocks, read_block
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import Progress, in_order

if TYPE_CHECKING:
    from napari_diffraction.workers import Workers

FloatArray = NDArray[np.float64]

#: Pictures have at most so many pixels along the longer side.
PIXELS = 96
#: Bands looked at in a pattern: of two mixed crystals, or in much noise, the first ones are few.
LOOKED_AT = 20
#: Size of the pictures of which the band contrast is measured.
_QUALITY = 60


@dataclass(frozen=True, eq=False)
class PointsProgress(Progress):
    """A step of `index_points`.

    Attributes
    ----------
    points
        The solution so far, the same arrays each time: they are filled further with the next step.
    """

    points: Points = field(kw_only=True)


def index_points(
    stack: PatternStack,
    preparation: Preparation,
    crystals: Sequence[Crystal],
    centres: FloatArray,
    grains: KnownGrains,
    out: Points,
    workers: Workers | None = None,
) -> Generator[PointsProgress, None, Points]:
    """Find phase and orientation of every pattern.

    Parameters
    ----------
    stack
        A scan or a list.
    preparation
        Of its camera.
    crystals
        The phases.
    centres : ndarray of float64, (n, 3)
        Pattern centre of every pattern.
    grains
        The orientation of a pattern's grain is tried first.
    out
        Filled in; blocks of patterns that are done already are left as they are.
    workers
        Other processes that read and index the patterns.

    Yields
    ------
    PointsProgress
        Patterns done; the first step is made before any is.
    """
    yield PointsProgress(0, len(stack), "Indexing patterns", points=out)
    known = Knowledge(preparation, tuple(crystals), centres, grains)
    if workers is not None:
        parts = [part for part in block_parts(stack) if not out.done[part].all()]
        key = workers.share(_PointsElsewhere, StackElsewhere.of(stack), known)
        done = in_order(
            lambda part: workers.submit(key, _PointsElsewhere.index, part), parts, workers.ahead
        )
        for part, some in zip(parts, done, strict=True):
            out.put(part, some)
            yield PointsProgress(part.stop, len(stack), "Indexing patterns", points=out)
        return out
    for part, frames, readable in blocks(stack, lambda part: not out.done[part].all()):
        out.put(part, known.index(frames, readable, part))
        yield PointsProgress(part.stop, len(stack), "Indexing patterns", points=out)
    return out


class Knowledge:
    """What is known before single patterns are indexed; parameters as of `index_points`."""

    def __init__(
        self,
        preparation: Preparation,
        crystals: tuple[Crystal, ...],
        centres: FloatArray,
        grains: KnownGrains,
    ) -> None:
        self._ready, self._coarse = preparation.thinned(PIXELS), preparation.thinned(_QUALITY)
        self._crystals, self._centres, self._grains = crystals, centres, grains

    def index(self, frames: NDArray[Any], readable: NDArray[np.bool_], part: slice) -> Points:
        """Index a block of patterns.

        Parameters
        ----------
        frames : ndarray, (m, H, W)
            The patterns.
        readable : ndarray of bool, (m,)
            False where a frame is none.
        part
            Their places among all patterns.

        Returns
        -------
        Points
            Of these patterns alone.
        """
        pictures = self._ready.flattened(self._ready.corrected(frames))
        lines = find_lines(pictures, self._ready.weight, LOOKED_AT)
        out = index_bands(lines, self._crystals, self._centres[part], self._grains, part)
        out.quality[:] = band_contrast(self._coarse.binned(frames), self._coarse)
        out.done[:] = readable
        out.phase[~readable] = -1
        return out


class _PointsElsewhere:
    """Indexes blocks of patterns in a worker."""

    def __init__(self, stack: StackElsewhere, known: Knowledge) -> None:
        self._stack, self._known = stack.open(), known

    def index(self, part: slice) -> Points:
        """Return the solution of a block."""
        frames, readable = read_block(self._stack, part)
        return self._known.index(frames, readable, part)
