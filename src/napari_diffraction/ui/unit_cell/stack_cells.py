"""What is known of the zones and cells of one stack, and the layers that show it."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image
from numpy.typing import NDArray

from napari_diffraction.analysis.cells.search import CellResult
from napari_diffraction.indexing.zones.ellipse import Ellipse
from napari_diffraction.indexing.zones.overlay import nodes, oriented_spots, predicted
from napari_diffraction.indexing.zones.patterns import PatternMatches
from napari_diffraction.indexing.zones.solution import CellSolution, ExplainedZone
from napari_diffraction.learning.zones.peak_tables import Found
from napari_diffraction.patterns.growing import only_grew
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.ui.unit_cell.cell_overlay import CellOverlay
from napari_diffraction.ui.unit_cell.lattice_scene import LatticeScene, lattice_scene
from napari_diffraction.ui.unit_cell.nets.layers import NetLayers
from napari_diffraction.ui.unit_cell.nets.zone_nets import ZoneNets
from napari_diffraction.ui.unit_cell.one_by_one import OneByOne
from napari_diffraction.ui.viewer.stacks.stack_review import same_patterns


class StackCells:
    """Nets, cells and layers of a stack.

    Parameters
    ----------
    viewer
        Where the layers are.
    image
        The layer with the patterns.
    stack
        The patterns.
    on_edit
        As for `NetLayers`.

    Attributes
    ----------
    found
        Spots of the patterns that were looked at, zones or not.
    added
        Patterns that a person took as zones, whatever their class.
    result
        The cells that were found last.
    stale
        Whether nets have changed since.
    cell
        The one that is drawn.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        stack: PatternStack,
        on_edit: Callable[[int, NDArray[np.float64], NDArray[np.float64]], None],
    ) -> None:
        self.image, self.stack, self.nets = image, stack, ZoneNets()
        self.added: set[int] = set()
        self.layers = NetLayers(viewer, image, self.nets, on_edit)
        self.overlay = CellOverlay(viewer, image)
        self.result: CellResult | None = None
        self.stale = False
        self.cell: CellSolution | None = None
        self.found: dict[int, Found] = {}
        self._zones: dict[int, ExplainedZone] = {}
        self._matches: PatternMatches | None = None
        self._one_by_one: OneByOne | None = None

    def grow(self, stack: PatternStack) -> bool:
        """Go on with what the input has grown to; all that is known stays.

        Returns
        -------
        bool
            Whether that can be done: it is the same input, and no pattern has another number, or
            only drawn in another way.
        """
        if not (only_grew(stack, self.stack) or same_patterns(stack, self.stack)):
            return False
        self.stack = stack
        return True

    def draw(self) -> None:
        """Draw the nets anew."""
        self.layers.show({"version": version("napari-diffraction")})

    def misses(self, index: int | None) -> bool:
        """Whether there are nets, but none of a pattern."""
        return bool(self.nets.fits) and index not in self.nets.fits

    def choose(self, cell: CellSolution | None) -> None:
        """Take one of the cells as the one that is drawn."""
        self.cell = cell
        self._zones, self._matches, self._one_by_one = {}, None, None
        if cell is None or self.result is None:
            return
        self._zones = {self.result.patterns[zone.net]: zone for zone in cell.zones}
        # all patterns are oriented by the best cell of each phase only
        for phase, match in zip(self.result.found.phases, self.result.matches, strict=False):
            if phase[0] is cell:
                self._matches = match
            elif any(one is cell for one in phase):
                self._one_by_one = OneByOne(cell, match.peaks, self.result.sphere_wavelength)

    @property
    def ellipse(self) -> Ellipse | None:
        """Stretch of the camera, where the last search has found one."""
        return None if self.result is None else self.result.nets.ellipse

    @property
    def axes(self) -> dict[int, tuple[int, int, int]]:
        """Zone axes in the chosen cell, by the number of the pattern."""
        return {pattern: zone.uvw for pattern, zone in self._zones.items()}

    def misfit(self, index: int | None) -> float | None:
        """How far the net of a pattern is off the chosen cell, if that explains it."""
        zone = None if index is None else self._zones.get(index)
        return None if zone is None else zone.misfit

    def matched(self, index: int | None) -> tuple[int, int] | None:
        """How many spots of a pattern the chosen cell indexes, and of how many."""
        found = self._match(index)
        if found is None:
            return None
        match, place = found
        if not match.indexed[place]:
            return None
        return int(match.matched[place]), int(match.peaks.counts[place])

    def waiting(self, index: int | None) -> OneByOne | None:
        """What has to be asked for the orientation of a pattern, if it can be and has not been."""
        work = self._one_by_one
        if index is None or index in self._zones or work is None or not work.waits(index):
            return None
        return work

    def words(self, index: int | None) -> str:
        """Say what the chosen cell makes of a pattern."""
        if index is None or self.cell is None or self.result is None:
            return ""
        matched = self.matched(index)
        if matched is not None:
            return "{} of {} spots indexed by the cell".format(*matched)
        if index in self._zones:
            return ""
        if not self.result.matches:
            return "only zones are indexed so far"
        if self.waiting(index) is not None:
            return "being indexed by the cell"
        return "indexed by the cell no better than by chance"

    def _match(self, index: int | None) -> tuple[PatternMatches, int] | None:
        """Orientations by the chosen cell, and the place of a pattern among them."""
        if index is None:
            return None
        if self._one_by_one is not None:
            one = self._one_by_one.matches.get(index)
            return None if one is None else (one, 0)
        if self._matches is None:
            return None
        numbers = self._matches.peaks.patterns
        place = int(np.searchsorted(numbers, index))
        return (self._matches, place) if index in numbers[place : place + 1] else None

    def draw_cell(self, index: int | None, wanted: bool) -> None:
        """Draw the spots of the chosen cell over a pattern, or nothing."""
        spots = self._spots(index) if wanted and index is not None else None
        if spots is None:
            self.overlay.hide()
        else:
            self.overlay.show(*spots, self.about())

    def _spots(self, index: int) -> tuple[NDArray[np.float64], NDArray[np.int64]] | None:
        """Places and indices of the spots that the chosen cell has in a pattern."""
        result, cell = self.result, self.cell
        if result is None or cell is None:
            return None
        size, ellipse = result.pixel_size, result.nets.ellipse
        if index in self._zones:
            zone, fit = self._zones[index], result.nets.fits[index]
            net, hkl = predicted(fit, zone, cell.cell, size, ellipse)
            places, steps = nodes(net)
            return places, steps @ hkl
        oriented = self._match(index)
        if oriented is None or self.matched(index) is None:
            return None
        table = self.found[index].table[["x", "y"]].to_numpy(float)
        return oriented_spots(
            cell.cell, cell.lattice, *oriented, table, size, ellipse, result.sphere_wavelength
        )

    def about(self) -> dict[str, Any]:
        """What layers say of the chosen cell."""
        assert self.result is not None
        assert self.cell is not None
        return {
            "cell": list(self.cell.cell.parameters),
            "lattice": self.cell.lattice,
            "pixel_size": self.result.pixel_size if self.result.scale_known else None,
            "version": version("napari-diffraction"),
        }

    def scene(self) -> LatticeScene | None:
        """The reciprocal lattice of the chosen cell with the zones in it."""
        if self.cell is None or self.result is None:
            return None
        reach = max(fit.reach for fit in self.result.nets.fits.values()) * self.result.pixel_size
        return lattice_scene(self.cell.cell, list(self._zones.values()), reach)

    def plane(self, index: int | None) -> int | None:
        """Place of the zone of a pattern among the planes of `scene`."""
        return list(self._zones).index(index) if index in self._zones else None

    def remove(self) -> None:
        """Take the layers away."""
        self.layers.remove()
        self.overlay.clear()
