"""Index a scan that grows: phases from the rows at hand, further rows against these phases.

A phase that comes later shows in points that match nothing, and what many grains tell better than
few shows when there are many: then phases are looked for anew, in all rows.  From one such search
to the next the scan grows by a tenth at least, so that they do not follow each other row by row.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.indexing.assembly import Assembly
from napari_diffraction.indexing.known import IndexSettings, centres_of, what_is_known
from napari_diffraction.indexing.matching import KnownGrains, Points, known_grains
from napari_diffraction.indexing.phases.grain_bands import grain_bands
from napari_diffraction.indexing.points import index_points
from napari_diffraction.indexing.scan import (
    IndexProgress,
    assembled,
    gathered,
    index_scan,
    matched,
    staged,
)
from napari_diffraction.indexing.steps import FinishedSteps
from napari_diffraction.patterns.growing import Seen, unchanged
from napari_diffraction.patterns.kikuchi.grains.averages import find_grains
from napari_diffraction.patterns.part import part_of
from napari_diffraction.patterns.stack import PatternStack

if TYPE_CHECKING:
    from napari_diffraction.indexing.solution import IndexedMap

FloatArray = NDArray[np.float64]

#: Grains that tell a centre or phases; where there are fewer, more are waited for.
_GRAINS = 6
#: What told no phase is looked at again when there is so many times as much of it ...
_TRIED = 1.5
#: ... and phases are looked for anew when there is so many times as much as at the last search, ...
_GROWN = 2.0
#: ... or sooner, where so large a share more of the later points match nothing, and these are so
#: large a part of the earlier ones.
_LOST, _PART = 0.25, 0.1
#: A point with less confidence matches nothing: chance alone explains as much of it.
_CHANCE = 0.1


class FollowedScan:
    """A scan that grows, indexed as far as it is there.

    Parameters
    ----------
    settings
        What is known; nothing by default.
    """

    def __init__(self, settings: IndexSettings | None = None) -> None:
        self._settings = settings or IndexSettings()
        self._forget()

    def _forget(self) -> None:
        self._seen, self._points = Seen(), Points.empty(0)
        self._assembly: Assembly | None = None
        # of the last search: how many patterns there were; of the last that found something: what
        # there was, what was done, and the share of points that matched nothing
        self._searched = 0
        self._found_in, self._steps, self._lost = Seen(), FinishedSteps(), 0.0

    @property
    def tried(self) -> int:
        """So many patterns did not tell any phase; 0 where they do."""
        return self._searched if self._assembly is None else 0

    @property
    def _count(self) -> int:
        """So many patterns are indexed."""
        return len(self._points.phase)

    def go_on(self, seen: Seen) -> Generator[IndexProgress, None, IndexedMap | None]:
        """Index what is new.

        Parameters
        ----------
        seen
            What is recorded, as `napari_diffraction.patterns.growing.recorded` returns it.

        Yields
        ------
        IndexProgress

        Returns
        -------
        IndexedMap or None
            The solution of all that is recorded; ``None`` where nothing is new, or no phase is
            known yet.

        Raises
        ------
        InputError
            As of `napari_diffraction.indexing.scan.index_scan`.
        """
        if seen.stack is None:
            return None
        self._keep_what_is_the_same(seen, seen.stack)
        self._seen = seen
        more = _TRIED if self._assembly is None else _GROWN
        due = len(seen.stack) >= more * self._searched
        found = due and (yield from self._look_for_phases(seen, seen.stack))
        if not found and self._assembly is not None:
            yield from self._match_rest(seen.stack, self._assembly)
            if self._much_is_lost():
                yield from self._look_for_phases(seen, seen.stack)
        if self._assembly is None:
            return None
        return self._assembly.solution(self._points, finished=False)

    def end(self, seen: Seen) -> Generator[IndexProgress, None, IndexedMap]:
        """Index the finished scan, as `napari_diffraction.indexing.scan.index_scan` does.

        Parameters
        ----------
        seen
            All there is.
        """
        assert seen.stack is not None
        steps = self._steps if self._all_was_searched(seen, seen.stack) else FinishedSteps()
        return (yield from index_scan(seen.stack, self._settings, steps))

    def _all_was_searched(self, seen: Seen, stack: PatternStack) -> bool:
        """Whether the last search had all there is, and so has its result."""
        before, points = self._found_in.stack, self._steps.points
        if before is None or points is None or before.data.shape != stack.data.shape:
            return False
        same = unchanged(self._found_in, seen) == len(stack)
        return same and bool(points.done.all()) and _one_camera(before, stack)

    def _keep_what_is_the_same(self, seen: Seen, stack: PatternStack) -> None:
        """Forget what was written anew, or has others before it by now."""
        before = self._seen.stack
        if before is None:
            return
        alike = before.data.shape[1:] == stack.data.shape[1:]
        same = unchanged(self._seen, seen) if alike else 0
        if stack.is_scan:
            same -= same % int(stack.data.shape[1])
        if same < self._searched:
            self._forget()
        elif self._assembly is not None and same < self._count:
            self._points = self._points.part(slice(0, same))
            grains, left = self._assembly.grains, part_of(before, 0, same)
            grains = replace(grains, label=grains.label[:same], shape=left.data.shape[:-2])
            self._assembly = _laid_out(self._assembly, left, grains)

    def _look_for_phases(
        self, seen: Seen, stack: PatternStack
    ) -> Generator[IndexProgress, None, bool]:
        """Look for phases in all there is; return whether some were found, and all is matched."""
        self._searched = len(stack)
        steps = FinishedSteps()
        bands = yield from gathered(stack, self._settings, steps)
        known = self._settings.phases and what_is_known(stack, self._settings).pc is not None
        if not known and int((bands.number >= 0).sum()) < _GRAINS:
            return False
        assembly = yield from assembled(stack, self._settings, steps)
        if steps.found is None:
            return False
        self._points = yield from matched(stack, assembly, steps)
        self._assembly, self._found_in, self._steps = assembly, seen, steps
        self._lost = self._share_lost(0)
        return True

    def _match_rest(
        self, stack: PatternStack, assembly: Assembly
    ) -> Generator[IndexProgress, None, None]:
        """Match the patterns that were not there before, as a scan of its own, to what is known."""
        start, preparation = self._count, self._steps.preparation
        if start == len(stack):
            return
        assert preparation is not None
        rest = part_of(stack, start, len(stack))
        shape = rest.data.shape[:-2]
        middle = _middle(assembly, start, len(stack))
        grains = yield from staged(find_grains(rest, preparation), 0)
        bands = grain_bands(rest, grains, preparation)
        # which of two lattices with the same directions a grain is, more than these tells: a search
        told = assembly.grains.kin, np.full(len(bands), -1)
        of_grains = middle + bands.offset @ assembly.gradient
        at = known_grains(bands, grains.label, assembly.crystals, of_grains, told, shape)
        centres = centres_of(middle, assembly.gradient, shape)
        points = Points.empty(len(rest))
        work = index_points(rest, preparation, assembly.crystals, centres, at, points)
        self._points = self._points.followed_by((yield from staged(work, 2)))
        grains_of_all = assembly.grains.followed_by(at, stack.data.shape[:-2])
        self._assembly = _laid_out(assembly, stack, grains_of_all)

    def _much_is_lost(self) -> bool:
        """Whether so many of the points since the last search match nothing that another pays."""
        enough = self._count - self._searched >= _PART * self._searched
        return enough and self._share_lost(self._searched) - self._lost > _LOST

    def _share_lost(self, start: int) -> float:
        """Share of the points from one on that match nothing."""
        # 0 where there is no phase
        confidence = self._points.confidence[start:][self._points.done[start:]]
        return float((confidence < _CHANCE).mean()) if len(confidence) else 0.0


def _laid_out(assembly: Assembly, stack: PatternStack, grains: KnownGrains) -> Assembly:
    """What is known, of more or fewer rows."""
    return replace(assembly, stack=stack, grains=grains, centre=_middle(assembly, 0, len(stack)))


def _middle(assembly: Assembly, start: int, stop: int) -> FloatArray:
    """Pattern centre of the middle of some rows, given by flat numbers of patterns."""
    before = assembly.stack
    if not before.is_scan:
        return assembly.centre
    rows, columns = (int(size) for size in before.data.shape[:2])
    down = ((start + stop) / columns - rows) / 2
    return np.asarray(assembly.centre + down * assembly.gradient[0])


def _one_camera(one: PatternStack, other: PatternStack) -> bool:
    """Whether what files tell of the camera is the same."""
    if one.geometry != other.geometry or one.step != other.step:
        return False
    maps = [getattr(stack.geometry, "pc_map", None) for stack in (one, other)]
    return _equal(*maps) and _equal(one.background, other.background)


def _equal(one: NDArray[Any] | None, other: NDArray[Any] | None) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other, equal_nan=True)
