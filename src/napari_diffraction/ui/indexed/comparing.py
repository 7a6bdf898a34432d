"""The comparison of a solution with the map of another program, kept up to date."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_diffraction.ui.indexed.tasks import about, comparing
from napari_diffraction.ui.widgets.latest_request import Latest

if TYPE_CHECKING:
    from napari_diffraction.analysis.indexed.compare import IndexedComparison
    from napari_diffraction.indexing.solution import IndexedMap
    from napari_diffraction.patterns.maps.vendor_map import VendorMap
    from napari_diffraction.ui.viewer.difference_layer import DifferenceLayer


class Comparing:
    """Compares in another thread whatever is on view with the last map that could be read.

    Parameters
    ----------
    difference
        The layer that shows each comparison.

    Attributes
    ----------
    path
        File of the other map.
    found
        The newest comparison.
    latest
        Does the work, and says when it is over.
    """

    def __init__(self, difference: DifferenceLayer) -> None:
        self.difference = difference
        self._other: VendorMap | None = None
        self.path: Path | None = None
        self.found: IndexedComparison | None = None
        self.latest = Latest("The comparison")
        self.latest.done.connect(self._on_done)

    def with_map(self, path: Path, indexed: IndexedMap) -> None:
        """Read another map and compare with it; where it does not fit, the one before stays."""
        self.latest.ask(lambda: (path, indexed, *comparing(indexed, path, None)))

    def compare(self, indexed: IndexedMap) -> None:
        """Compare another solution, or the same one at other limits."""
        path, other = self.path, self._other
        if path is not None:
            self.latest.ask(lambda: (path, indexed, *comparing(indexed, path, other)))

    def _on_done(self, answer: tuple[Path, IndexedMap, VendorMap, IndexedComparison]) -> None:
        self.path, indexed, self._other, self.found = answer
        self.difference.show(self.found, str(self.path), about(indexed))
