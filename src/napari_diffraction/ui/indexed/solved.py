"""A scan that is indexed, as the window knows it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_diffraction.patterns.stack import KikuchiGeometry
from napari_diffraction.ui.indexed.comparing import Comparing
from napari_diffraction.ui.indexed.layers import IndexedLayers
from napari_diffraction.ui.viewer.solution_overlay import SolutionOverlay

if TYPE_CHECKING:
    from napari_diffraction.indexing.solution import IndexedMap


@dataclass
class Solved:
    """An indexed scan: its solution, under the names given to phases, and what draws it.

    It stays with the scan when the panel is closed, so that it holds no part of a panel.
    """

    indexed: IndexedMap
    layers: IndexedLayers
    overlay: SolutionOverlay
    comparing: Comparing
    shown: IndexedMap
    #: Whether its cells are still to be compared with the materials that count now.
    unranked: bool = False

    def tilt(self, sample: float | None, camera: float | None) -> bool:
        """Take other tilts, in degrees or unknown; return whether they differ from those before."""
        before = self.indexed.geometry or KikuchiGeometry()
        geometry = replace(before, sample_tilt=sample, camera_tilt=camera)
        if geometry == before:
            return False
        self.indexed = replace(self.indexed, geometry=geometry)
        return True

    def clear(self) -> None:
        """Remove all that is drawn."""
        self.layers.clear()
        self.overlay.clear()
        self.comparing.difference.clear()
