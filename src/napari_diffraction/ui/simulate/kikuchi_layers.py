"""Simulated Kikuchi patterns as a layer, and bands and zone axes drawn over one of them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import dask.array as da
import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer, Points, Shapes
from numpy.typing import ArrayLike
from qtpy.QtCore import QTimer

from napari_diffraction.crystal.orientation import detector_to_crystal
from napari_diffraction.crystal.structure import Structure
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.simulation.kikuchi.overlay import band_lines, zone_axes
from napari_diffraction.simulation.kikuchi.patterns import KikuchiConditions, SimulatedKikuchi
from napari_diffraction.ui.reader import as_layer
from napari_diffraction.ui.simulate.preview import is_overlay
from napari_diffraction.ui.widgets.wording import counted

#: Where the patterns keep the simulation that made them.
KIKUCHI = "kikuchi_simulation"
BANDS, AXES = "Kikuchi bands", "Kikuchi zone axes"
_PATTERNS_PER_CHUNK = 64
_ORANGE, _BLUE = "#e69f00", "#56b4e9"
#: Width of the lines in pixels of the pattern.
_LINE = 0.4


def add_kikuchi(viewer: ViewerModel, simulated: SimulatedKikuchi, name: str) -> Image:
    """Add simulated patterns to a viewer.

    Parameters
    ----------
    viewer
        Gets the layer.
    simulated
        The patterns; kept in the layer's metadata with their labels.
    name
        Of the layer.
    """
    n, height, width = simulated.images.shape
    stack = PatternStack(
        data=da.from_array(
            simulated.images, chunks=(_PATTERNS_PER_CHUNK, height, width), name=False
        ),
        name=name,
        geometry=simulated.geometry,
        notes=(f"{counted(n, 'simulated Kikuchi patterns')}, {width}x{height} pixels.",),
        metadata={"conditions": asdict(simulated.conditions)},
        read=lambda index: simulated.images[index],
    )
    _, options, _ = as_layer(stack)
    options["contrast_limits"] = (0, 255)
    options["metadata"] |= {"labels": simulated.labels, KIKUCHI: simulated}
    image = viewer.add_image(simulated.images, **options)
    viewer.layers.selection.active = image
    return image


class Overlay:
    """Lines along the bands and points on the zone axes of the pattern on view.

    Parameters
    ----------
    viewer
        Gets the two layers when they are first wanted.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._layers: dict[str, Layer] = {}

    def hide(self, name: str) -> None:
        """Hide the bands or the axes."""
        layer = self._there(name)
        if layer is not None:
            layer.visible = False

    def show(
        self,
        names: set[str],
        structure: Structure,
        angles: ArrayLike,
        pc: ArrayLike,
        conditions: KikuchiConditions,
        shape: tuple[int, int],
        *,
        anew: bool = True,
    ) -> None:
        """Draw what is wanted for one pattern and hide the rest.

        Parameters
        ----------
        names
            ``BANDS``, ``AXES``, both or none.
        structure, angles, pc, conditions, shape
            Crystal, Euler angles in degrees, pattern centre, microscope and frame of the pattern.
        anew
            Whether layers that somebody removed are made anew; not where layers come or go.
        """
        for name in {BANDS, AXES} - names:
            self.hide(name)
        if not anew:
            names = {
                name for name in names if name not in self._layers or self._there(name) is not None
            }
        rotation = detector_to_crystal(angles, conditions.sample_tilt, conditions.camera_tilt)
        if BANDS in names:
            self._show_bands(*band_lines(structure, rotation, pc, shape))
        if AXES in names:
            self._show_axes(*zone_axes(structure, rotation, pc, shape))
        if anew:
            self._raise()
        else:  # sliders also move while napari takes in a layer, whose list of layers would break
            QTimer.singleShot(0, self._raise)

    def _show_bands(self, hkl: Any, ends: Any) -> None:
        if not len(ends):
            self.hide(BANDS)
            return
        layer = self._there(BANDS)
        if not isinstance(layer, Shapes):
            layer = self._viewer.add_shapes(
                name=BANDS,
                ndim=2,
                features={"hkl": np.zeros(0, dtype=str)},
                text={"string": "{hkl}", "color": _ORANGE, "size": 9, "anchor": "center"},
            )
            self._keep(layer)
        layer.data = [(line, "line") for line in ends]
        layer.edge_width, layer.edge_color = _LINE, _ORANGE
        layer.features = {"hkl": [index_text(row, "()") for row in hkl.tolist()]}
        layer.visible = True

    def _show_axes(self, uvw: Any, position: Any) -> None:
        layer = self._there(AXES)
        if not isinstance(layer, Points):
            layer = self._viewer.add_points(
                np.zeros((0, 2)),
                name=AXES,
                ndim=2,
                size=3,
                face_color=_BLUE,
                border_color="black",
                features={"uvw": np.zeros(0, dtype=str)},
                text={
                    "string": "{uvw}",
                    "color": _BLUE,
                    "size": 9,
                    "anchor": "upper_left",
                    "translation": [0, 1],
                },
            )
            self._keep(layer)
        layer.data = position
        layer.features = {"uvw": [index_text(row, "[]") for row in uvw.tolist()]}
        layer.visible = True

    def _raise(self) -> None:
        """Bring the drawings above all pictures."""
        layers = self._viewer.layers
        for name in (BANDS, AXES):
            layer = self._there(name)
            if layer is not None and any(
                not is_overlay(above) for above in layers[layers.index(layer) :]
            ):
                layers.move(layers.index(layer), -1)

    def _keep(self, layer: Layer) -> None:
        layer.metadata["napari_diffraction"] = {"overlay": True}
        self._layers[layer.name] = layer

    def _there(self, name: str) -> Layer | None:
        layer = self._layers.get(name)
        return layer if layer is not None and layer in self._viewer.layers else None


def index_text(indices: list[int], brackets: str) -> str:
    """Write Miller indices: (1 -1 0) or [1 0 2]."""
    return brackets[0] + " ".join(str(index) for index in indices) + brackets[1]
