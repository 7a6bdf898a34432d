"""The layers that show a phase map: phases, confidence, and where another map differs."""

from __future__ import annotations

from typing import Any
from weakref import ref

import numpy as np
import pandas as pd
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from napari.utils.colormaps import DirectLabelColormap

from napari_diffraction.analysis.maps.compare import Comparison
from napari_diffraction.analysis.maps.phase_map import NOT_INDEXED, PhaseMap
from napari_diffraction.learning.palette import NOT_INDEXED_COLOUR, class_colour, class_title
from napari_diffraction.ui.viewer.difference_layer import DifferenceLayer
from napari_diffraction.ui.viewer.quiet import choice_kept
from napari_diffraction.ui.viewer.scan_navigation import ScanNavigation

#: Value of points that are not classified yet; they are transparent.
NOT_YET = 255
_NOTHING = "transparent"


class PhaseMapLayers:
    """Keeps the layers of one map in step with it.

    Parameters
    ----------
    viewer
        Where the layers are.
    navigation
        Says where maps of the scan lie.
    phase_map
        The map, possibly still without any point.
    title
        Of the model, for the layer's name.
    """

    def __init__(
        self, viewer: ViewerModel, navigation: ScanNavigation, phase_map: PhaseMap, title: str
    ) -> None:
        self._viewer = ref(viewer)
        self.navigation = navigation
        self._about = {"map_of": phase_map.name, **phase_map.about}
        with choice_kept(viewer):
            self.confidence = self._add_confidence(viewer, phase_map)
            self.labels = self._add_labels(viewer, phase_map, title)
            for made in (self.confidence, self.labels):
                navigation.go_with(made)
            self._difference = DifferenceLayer(viewer, navigation, phase_map.name)
            navigation.raise_marker()

    @property
    def there(self) -> bool:
        """Whether nobody has removed the map's layer."""
        viewer = self._viewer()
        return viewer is not None and self.labels in viewer.layers

    def _add_confidence(self, viewer: ViewerModel, phase_map: PhaseMap) -> Image:
        return viewer.add_image(
            np.zeros(phase_map.shape, np.float32),
            name=f"{phase_map.name} - confidence",
            colormap="viridis",
            contrast_limits=(0, 1),
            visible=False,
            metadata=dict(self._about),
            **self.navigation.as_map(),
        )

    def _add_labels(self, viewer: ViewerModel, phase_map: PhaseMap, title: str) -> Labels:
        colours: dict[int | None, Any] = {
            value: class_colour(name, phase_map.classes)
            for value, name in enumerate(phase_map.classes, start=1)
        }
        colours |= {0: NOT_INDEXED_COLOUR, NOT_YET: _NOTHING, None: _NOTHING}
        layer = viewer.add_labels(
            np.full(phase_map.shape, NOT_YET, np.uint8),
            name=f"{phase_map.name} - phase map ({title})",
            colormap=DirectLabelColormap(color_dict=colours, background_value=NOT_YET),
            opacity=1.0,
            metadata=dict(self._about),
            **self.navigation.as_map(),
        )
        layer.editable = False
        return layer

    def show(self, phase_map: PhaseMap, threshold: float) -> None:
        """Show what is known so far, at a threshold."""
        if not self.there:
            return
        done = phase_map.done.reshape(phase_map.shape)
        self.labels.data = np.where(done, phase_map.labels(threshold), NOT_YET).astype(np.uint8)
        self.labels.features = _features(phase_map, threshold)
        self.labels.metadata = {
            **self._about,
            **phase_map.about,
            "threshold": threshold,
            "voted by regions": phase_map.regions is not None,
        }
        self.confidence.data = np.nan_to_num(phase_map.confidence)

    def show_difference(self, comparison: Comparison, other: str) -> None:
        """Show where another map agrees and differs, above the map."""
        if self.there:
            self._difference.show(comparison, other, self._about)

    def clear_difference(self) -> None:
        """Remove what shows where another map differs."""
        self._difference.clear()

    def _remove(self, layer: Layer) -> None:
        viewer = self._viewer()
        if viewer is not None and layer in viewer.layers:
            viewer.layers.remove(layer)

    def clear(self) -> None:
        """Remove all layers of the map."""
        for layer in (self.labels, self.confidence):
            self._remove(layer)
        self.clear_difference()


def _features(phase_map: PhaseMap, threshold: float) -> pd.DataFrame:
    """Return what the status bar says of each value."""
    shares = phase_map.shares(threshold)
    names = (NOT_INDEXED, *phase_map.classes)
    return pd.DataFrame(
        {
            "index": range(len(names)),
            "phase": [class_title(name) for name in names],
            "area": [f"{shares.get(name, 0.0):.1%}" for name in names],
        }
    )
