"""The layers that show an indexed scan: phases, orientations, misfit, pattern quality, grains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray

from napari_diffraction.analysis.indexed_phases import laue_of_phase, phase_colours
from napari_diffraction.analysis.ipf import ipf_colours
from napari_diffraction.learning.palette import NOT_INDEXED_COLOUR
from napari_diffraction.ui.indexed.work import about
from napari_diffraction.ui.quiet import set_data

if TYPE_CHECKING:
    from napari_diffraction.indexing.solution import IndexedMap
    from napari_diffraction.ui.scan_navigation import ScanNavigation

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
#: Values of points that are not looked at or match nothing; phases count from 2.
_NOT_YET, _NONE, _FIRST = 0, 1, 2
_NOTHING = "transparent"
#: Misfits in degrees that the colours span.
_MISFIT = (0.0, 1.5)


class IndexedLayers:
    """Keeps the layers of a solution in step with it, from the first `show` on.

    Parameters
    ----------
    viewer
        Where the layers are.
    navigation
        Says where maps of the scan lie.
    indexed
        The solution.
    """

    def __init__(
        self, viewer: ViewerModel, navigation: ScanNavigation, indexed: IndexedMap
    ) -> None:
        self._viewer, self._navigation = ref(viewer), navigation
        self._name, self._about = indexed.name, about(indexed)
        self._axis = "z"
        self._whole = self._shown = indexed
        self._colours: dict[str, NDArray[np.float64]] = {}
        self._phase_colours = phase_colours(indexed)
        active = viewer.layers.selection.active
        # the lowest first
        self.quality = self._add_image(viewer, "quality", _grid(indexed, indexed.quality), "gray")
        self.misfit = self._add_image(viewer, "misfit", _misfit(indexed), "viridis")
        self.misfit.contrast_limits = _MISFIT
        self.grains = self._add_labels(viewer, "grains", _grid(indexed, indexed.grain + 1))
        self.phases = self._add_labels(
            viewer, "phases", _numbers(indexed), _phase_colormap(indexed)
        )
        self.ipf: Image = viewer.add_image(
            np.zeros((*indexed.shape, 4), np.float32), rgb=True, **self._options("ipf")
        )
        self.choose("z")
        navigation.raise_marker()
        viewer.layers.selection.active = active

    def _options(self, key: str) -> dict[str, Any]:
        return {
            "name": f"{self._name} - {_NAMES[key].format(axis='Z')}",
            "metadata": dict(self._about),
            "visible": False,
            **self._navigation.as_map(),
        }

    def _add_image(
        self, viewer: ViewerModel, key: str, picture: NDArray[Any], colormap: str
    ) -> Image:
        return viewer.add_image(picture, colormap=colormap, **self._options(key))

    def _add_labels(
        self, viewer: ViewerModel, key: str, numbers: NDArray[Any], colormap: Any = None
    ) -> Labels:
        layer = viewer.add_labels(numbers, opacity=1.0, colormap=colormap, **self._options(key))
        layer.editable = False
        return layer

    @property
    def all(self) -> tuple[Layer, ...]:
        """The layers, the lowest first."""
        return self.quality, self.misfit, self.grains, self.phases, self.ipf

    @property
    def there(self) -> bool:
        """Whether nobody has removed the map of the phases."""
        viewer = self._viewer()
        return viewer is not None and self.phases in viewer.layers

    # -- showing --------------------------------------------------------------------------------
    def show(self, whole: IndexedMap, shown: IndexedMap) -> None:
        """Show a solution.

        Parameters
        ----------
        whole
            With all points, possibly under other names than before.
        shown
            The same without points that are too doubtful.
        """
        if whole is not self._whole:
            self._keep_colours(whole)
            set_data(self.grains, _grid(whole, whole.grain + 1))
            set_data(self.quality, _grid(whole, whole.quality))
        self._whole, self._shown = whole, shown
        self._about = about(shown)
        colours = phase_colours(shown)
        if colours != self._phase_colours:
            self._phase_colours = colours
            self.phases.colormap = _phase_colormap(shown)
        set_data(self.phases, _numbers(shown))
        self.phases.features = _features(shown)
        set_data(self.misfit, _misfit(shown))
        for layer in self.all:
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
        layer = self.ipf if key in _AXES else getattr(self, key)
        if key in _AXES and key != self._axis:
            self._draw_axis(key)
        for other in self.all:
            other.visible = other is layer

    def _keep_colours(self, whole: IndexedMap) -> None:
        """Colour those points anew of which another solution says something else.

        While a map fills, and when a phase gets a name, these are few or none.
        """
        before = self._whole
        symmetry = [[laue_of_phase(phase) for phase in one.phases] for one in (before, whole)]
        colours = self._colours.get(self._axis)
        self._colours.clear()
        if colours is None or symmetry[0] != symmetry[1]:
            return
        same = (before.rotation == whole.rotation).all(axis=(1, 2))
        # NaN equals nothing: of what was not indexed and is not there is no orientation
        same |= (before.phase < 0) & (whole.phase < 0)
        changed = np.flatnonzero(~same | (before.phase != whole.phase))
        part = replace(whole, phase=whole.phase[changed], rotation=whole.rotation[changed])
        colours = colours.copy()
        colours[changed] = ipf_colours(part, self._axis)
        self._colours[self._axis] = colours

    def _draw_axis(self, axis: str) -> None:
        self._axis = axis
        if axis not in self._colours:
            self._colours[axis] = ipf_colours(self._whole, axis)
        none = (self._shown.phase < 0)[:, None]
        colours = np.where(none, to_rgb(NOT_INDEXED_COLOUR), self._colours[axis])
        colours = np.column_stack([colours, self._shown.done])
        set_data(self.ipf, colours.astype(np.float32).reshape(*self._shown.shape, 4))
        name = f"{self._name} - {_NAMES['ipf'].format(axis=axis.upper())}"
        if self.ipf.name != name:
            self.ipf.name = name

    def clear(self) -> None:
        """Remove all layers."""
        viewer = self._viewer()
        for layer in self.all:
            if viewer is not None and layer in viewer.layers:
                viewer.layers.remove(layer)


def _grid(indexed: IndexedMap, values: NDArray[Any]) -> NDArray[Any]:
    return values.reshape(indexed.shape)


def _numbers(indexed: IndexedMap) -> NDArray[np.uint8]:
    values = np.where(indexed.phase >= 0, indexed.phase + _FIRST, _NONE)
    return _grid(indexed, np.where(indexed.done, values, _NOT_YET).astype(np.uint8))


def _misfit(indexed: IndexedMap) -> NDArray[np.float32]:
    """Misfits; what matches nothing counts as the worst."""
    return _grid(indexed, np.nan_to_num(indexed.misfit_deg, nan=_MISFIT[1]).astype(np.float32))


def _phase_colormap(indexed: IndexedMap) -> DirectLabelColormap:
    colours: dict[int | None, Any] = dict(enumerate(phase_colours(indexed), start=_FIRST))
    colours |= {_NOT_YET: _NOTHING, _NONE: NOT_INDEXED_COLOUR, None: _NOTHING}
    return DirectLabelColormap(color_dict=colours, background_value=_NOT_YET)


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
