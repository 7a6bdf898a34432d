"""The layer that shows where a map of the scan and that of another program agree and differ."""

from __future__ import annotations

from typing import Any
from weakref import ref

import pandas as pd
from napari.components import ViewerModel
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap

from napari_diffraction.analysis.maps.compare import AGREE, DIFFER, TURNED, Comparison
from napari_diffraction.ui.viewer.scan_navigation import ScanNavigation

_NOTHING = "transparent"
_COLOURS = {AGREE: "#56B4E9", DIFFER: "#D55E00", TURNED: "#F0E442"}
_MEANING = {
    AGREE: "the maps agree",
    DIFFER: "the maps name different phases",
    TURNED: "one phase, but orientations differ",
}


class DifferenceLayer:
    """Keeps the layer in step with a comparison; it is made when there is one.

    Parameters
    ----------
    viewer
        Where the layers are.
    navigation
        Says where maps of the scan lie.
    name
        Of the scan.
    """

    def __init__(self, viewer: ViewerModel, navigation: ScanNavigation, name: str) -> None:
        self._viewer, self._navigation, self._name = ref(viewer), navigation, name
        self._layer: Labels | None = None

    def show(self, comparison: Comparison, other: str, about: dict[str, Any]) -> None:
        """Show where another map agrees and differs, above the other maps.

        Parameters
        ----------
        comparison
            The comparison.
        other
            The file of the other map.
        about
            Where our map comes from.
        """
        viewer = self._viewer()
        if viewer is None:
            return
        about = {**about, "compared with": other, "kappa": comparison.kappa}
        if self._layer is not None and self._layer in viewer.layers:
            self._layer.data, self._layer.metadata = comparison.difference, about
            return
        active = viewer.layers.selection.active
        self._layer = viewer.add_labels(
            comparison.difference,
            name=f"{self._name} - difference",
            colormap=DirectLabelColormap(color_dict={0: _NOTHING, None: _NOTHING, **_COLOURS}),
            opacity=0.8,
            features=pd.DataFrame({"index": list(_MEANING), "compared": list(_MEANING.values())}),
            metadata=about,
            **self._navigation.as_map(),
        )
        self._layer.editable = False
        self._navigation.go_with(self._layer)
        self._navigation.raise_marker()
        viewer.layers.selection.active = active

    def clear(self) -> None:
        """Remove the layer, if it is there."""
        viewer = self._viewer()
        if viewer is not None and self._layer is not None and self._layer in viewer.layers:
            viewer.layers.remove(self._layer)
        self._layer = None
