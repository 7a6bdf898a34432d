"""The layers that show an indexed scan: phases, orientations, misfit, pattern quality, grains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
import pandas as pd
from napari.components import ViewerModel
from napari.layers import Labels, Layer
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray

from napari_diffraction.analysis.indexed.ipf import ipf_colours
from napari_diffraction.analysis.indexed.phases import phase_colours
from napari_diffraction.learning.palette import NOT_INDEXED_COLOUR, rgb
from napari_diffraction.ui.indexed.pictures import (
    FIRST,
    MISFIT,
    NONE,
    NOT_YET,
    Pictured,
    colours_kept,
    grain_picture,
    misfit_picture,
    phase_picture,
    quality_picture,
)
from napari_diffraction.ui.indexed.tasks import about
from napari_diffraction.ui.viewer.quiet import choice_kept, remove_layers, set_data

if TYPE_CHECKING:
    from napari_diffraction.indexing.solution import IndexedMap
    from napari_diffraction.ui.viewer.scan_navigation import ScanNavigation

#: What can be shown: its key, and what a person reads. The first one is shown first.
SHOWN: Mapping[str, str] = {
    "z": "Orientations, IPF Z (normal)",
    "x": "Orientations, IPF X (down)",
    "y": "Orientations, IPF Y (right)",
    "phases": "Phases",
    "grains": "Grains",
    "misfit": "Misfit",
    "quality": "Pattern quality",
}
_AXES = ("x", "y", "z")
_NAMES = {
    "ipf": "orientations (IPF {axis})",
    "phases": "phase map (indexed)",
    "grains": "grains",
    "misfit": "misfit",
    "quality": "pattern quality",
}
_NOTHING = "transparent"
#: The layers, the lowest first.
_ORDER = ("quality", "misfit", "grains", "phases", "ipf")


class IndexedLayers:
    """Keeps the layers of a solution in step with it, from the first `show` on.

    napari takes long to add a layer, so they come one by one: whoever makes this calls `add_next`
    once in a turn of the event loop, until `complete`.  What is shown or chosen meanwhile counts
    for those that are still to come.

    Parameters
    ----------
    viewer
        Where the layers are.
    navigation
        Says where maps of the scan lie.
    indexed
        The solution.
    pictures
        What was made of it in another thread.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        navigation: ScanNavigation,
        indexed: IndexedMap,
        pictures: Pictured | None = None,
    ) -> None:
        self._viewer, self.navigation = ref(viewer), navigation
        self._name, self._about = indexed.name, about(indexed)
        self._axis = self._chosen = "z"
        self._whole = self._shown = indexed
        self._pictures = pictures
        self._colours = _colours_of(pictures, indexed)
        self._phase_colours = phase_colours(indexed)
        self._limits: list[float] = []
        self._pending = list(_ORDER)
        self._layers: dict[str, Layer] = {}

    # -- coming and going -----------------------------------------------------------------------
    @property
    def complete(self) -> bool:
        """Whether no layer is still to come."""
        return not self._pending

    def add_next(self) -> None:
        """Add the next layer, unless somebody has removed the map meanwhile."""
        viewer = self._viewer()
        if viewer is None or not self.there:
            self._pending.clear()
        if viewer is None or not self._pending:
            return
        key = self._pending.pop(0)
        with choice_kept(viewer):
            self._layers[key] = self._add(viewer, key)
            self.navigation.go_with(self._layers[key])
            if self.complete:
                self.navigation.raise_marker()

    def _add(self, viewer: ViewerModel, key: str) -> Layer:
        picture = self._picture(key)
        options: dict[str, Any] = {
            "name": self._title(key),
            "metadata": dict(self._about),
            "visible": key == self._on_top,
            **self.navigation.as_map(),
        }
        if key == "ipf":
            # napari stretches colours, too: of a map that begins to fill, between those it has
            return viewer.add_image(picture, rgb=True, contrast_limits=(0, 1), **options)
        if key == "quality":
            self._limits = _limits(picture)
            return viewer.add_image(
                picture, colormap="gray", contrast_limits=self._limits, **options
            )
        if key == "misfit":
            return viewer.add_image(picture, colormap="viridis", contrast_limits=MISFIT, **options)
        if key == "phases":
            options["colormap"] = _phase_colormap(self._shown)
            options["features"] = _features(self._shown)
        layer: Labels = viewer.add_labels(picture, opacity=1.0, **options)
        layer.editable = False
        return layer

    def _title(self, key: str) -> str:
        return f"{self._name} - {_NAMES[key].format(axis=self._axis.upper())}"

    @property
    def _on_top(self) -> str:
        return "ipf" if self._chosen in _AXES else self._chosen

    @property
    def there(self) -> bool:
        """Whether nobody has removed all maps; the first may still be to come."""
        viewer = self._viewer()
        if viewer is None or not self._layers:
            return viewer is not None and not self.complete
        return any(layer in viewer.layers for layer in self._layers.values())

    # -- showing --------------------------------------------------------------------------------
    def show(self, whole: IndexedMap, shown: IndexedMap, pictures: Pictured | None = None) -> None:
        """Show a solution.

        Parameters
        ----------
        whole
            With all points, possibly under other names than before.
        shown
            The same without points that are too doubtful.
        pictures
            What was made of a solution in another thread.
        """
        self._pictures = pictures or self._pictures
        other = whole is not self._whole
        if other:
            self._keep_colours(whole)
        self._whole, self._shown = whole, shown
        self._about = about(shown)
        colours = phase_colours(shown)
        recoloured, self._phase_colours = colours != self._phase_colours, colours
        for key, layer in self._layers.items():
            if key == "phases":
                if recoloured:
                    layer.colormap = _phase_colormap(shown)
                layer.features = _features(shown)
            if key in ("phases", "misfit") or (other and key != "ipf"):
                _draw(layer, self._picture(key))
            if key == "quality" and other:
                self._adapt(layer)
            # in place: to every event the list of layers is drawn anew
            layer.metadata.clear()
            layer.metadata.update(self._about)
        self._draw_axis(self._axis)

    def choose(self, key: str) -> None:
        """Put one of the maps above the others.

        Parameters
        ----------
        key
            One of `SHOWN`.
        """
        self._chosen = key
        if key in _AXES and key != self._axis:
            self._draw_axis(key)
        viewer, chosen = self._viewer(), self._layers.get(self._on_top)
        if viewer is not None and chosen is not None and chosen not in viewer.layers:
            self._pending.insert(0, self._on_top)  # somebody has removed it, and wants it now
            self.add_next()
        for name, layer in self._layers.items():
            self.navigation.set_visible(layer, name == self._on_top)

    def _picture(self, key: str) -> NDArray[Any]:
        """Return what a layer shows; what another thread has made of it is taken."""
        if key == "ipf":
            return self._oriented()
        indexed = self._shown if key in ("phases", "misfit") else self._whole
        made = self._pictures
        if made is not None and made.indexed is indexed:
            picture: NDArray[Any] = getattr(made, key)
            return picture
        make = {
            "quality": quality_picture,
            "misfit": misfit_picture,
            "grains": grain_picture,
            "phases": phase_picture,
        }[key]
        return make(indexed)

    def _adapt(self, layer: Layer) -> None:
        """Let the contrast follow a map that fills, unless a person has set it by hand."""
        limits = _limits(layer.data)
        if list(layer.contrast_limits) == self._limits != limits:
            layer.contrast_limits = self._limits = limits

    def _keep_colours(self, whole: IndexedMap) -> None:
        """Take the colours of another solution, or those that it shares with the one before."""
        before = self._colours.get(self._axis)
        self._colours = _colours_of(self._pictures, whole)
        if before is not None and self._axis not in self._colours:
            kept = colours_kept(self._whole, before, whole, self._axis)
            if kept is not None:
                self._colours[self._axis] = kept

    def _oriented(self) -> NDArray[np.float32]:
        axis = self._axis
        if axis not in self._colours:
            self._colours[axis] = ipf_colours(self._whole, axis)
        none = (self._shown.phase < 0)[:, None]
        colours = np.where(none, rgb(NOT_INDEXED_COLOUR), self._colours[axis])
        colours = np.column_stack([colours, self._shown.done])
        return colours.astype(np.float32).reshape(*self._shown.shape, 4)

    def _draw_axis(self, axis: str) -> None:
        self._axis = axis
        layer = self._layers.get("ipf")
        if layer is None:
            return
        _draw(layer, self._oriented())
        if layer.name != self._title("ipf"):
            layer.name = self._title("ipf")

    def clear(self) -> None:
        """Remove all layers; those that were still to come do not come."""
        self._pending.clear()
        viewer = self._viewer()
        if viewer is not None:
            remove_layers(viewer.layers, self._layers.values())


def _limits(picture: NDArray[Any]) -> list[float]:
    """Return the values that are black and white; of points not looked at there is none yet."""
    known = picture[np.isfinite(picture) & (picture != 0)]
    low, high = np.quantile(known, (0.01, 0.99)) if known.size else (0.0, 1.0)
    return [float(low), float(max(high, low + 1e-6))]


def _draw(layer: Layer, picture: NDArray[Any]) -> None:
    """Show another picture; one with more rows, as of a scan that grows, takes more room."""
    if layer.data.shape == picture.shape:
        set_data(layer, picture)
    else:
        layer.data = picture


def _colours_of(pictures: Pictured | None, indexed: IndexedMap) -> dict[str, NDArray[np.float64]]:
    if pictures is None or pictures.indexed is not indexed:
        return {}
    return {pictures.axis: pictures.colours}


def _phase_colormap(indexed: IndexedMap) -> DirectLabelColormap:
    colours: dict[int | None, Any] = dict(enumerate(phase_colours(indexed), start=FIRST))
    colours |= {NOT_YET: _NOTHING, NONE: NOT_INDEXED_COLOUR, None: _NOTHING}
    return DirectLabelColormap(color_dict=colours, background_value=NOT_YET)


def _features(indexed: IndexedMap) -> pd.DataFrame:
    """Return what the status bar says of each value."""
    names = ["", "not indexed", *(phase.name for phase in indexed.phases)]
    shares = [0.0, indexed.not_indexed, *(phase.share for phase in indexed.phases)]
    return pd.DataFrame(
        {
            "index": range(len(names)),
            "phase": names,
            "area": [f"{share:.1%}" for share in shares],
        }
    )
