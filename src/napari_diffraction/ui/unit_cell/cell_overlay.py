"""What a cell predicts for the pattern on view: its spots with their indices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import ref

import numpy as np
import pandas as pd
from napari.components import ViewerModel
from napari.layers import Image, Points
from numpy.typing import NDArray

from napari_diffraction.ui.viewer.quiet import choice_kept, remove_layers, set_data
from napari_diffraction.ui.viewer.strokes import index_text

_BLUE, _TEXT_COLOUR = "#56b4e9", "#b0e4ff"
#: Always so many points, those left over on top of the others: napari draws points that change
#: their number together with the sliders from what it knew of the old ones.
_DOTS, _NAMES = 800, 30
#: Size of a dot, and height and width that a name wants, in parts of the shorter side of a frame.
_DOT, _ROOM = 0.011, (0.09, 0.17)
#: How far a name stands above its spot, in the same parts, and its size in points.
_ABOVE, _TEXT = 0.028, 8


class CellOverlay:
    """Dots and names over the patterns of a stack.

    Parameters
    ----------
    viewer
        Where the layers are.
    image
        The patterns.
    """

    def __init__(self, viewer: ViewerModel, image: Image) -> None:
        self._viewer, self.image = ref(viewer), image
        self._side = float(min(image.data.shape[-2:]))
        self.dots: Points | None = None
        self.names: Points | None = None

    def show(
        self, places: NDArray[np.float64], hkl: NDArray[np.int64], about: Mapping[str, Any]
    ) -> None:
        """Draw spots.

        Parameters
        ----------
        places : ndarray of float64, (n, 2)
            x and y in pixels.
        hkl : ndarray of int64, (n, 3)
            Their indices.
        about
            What the layers are to say of where they come from.
        """
        viewer = self._viewer()
        if viewer is None:
            return
        if self.dots is None:
            with choice_kept(viewer):
                self._make(viewer)
        elif not self._there(viewer):
            # removed by hand, or with all layers, which would never end if each brought more
            return
        dots, names = self.dots, self.names
        assert dots is not None
        assert names is not None
        yx = places[:, ::-1]
        height, width = self.image.data.shape[-2:]
        inside = ((yx >= 0) & (yx <= [height - 1, width - 1])).all(axis=1)
        yx, hkl = yx[inside], hkl[inside]
        if not len(yx):
            self.hide()
            return
        # of more spots than there are dots those far out go, lest one side of a pattern is bare
        near = np.argsort(_away(yx), kind="stable")[:_DOTS]
        yx, hkl = yx[near], hkl[near]
        set_data(dots, _padded(yx, _DOTS))
        which = _readable(yx, self._side)
        texts = np.full(_NAMES, "", object)
        texts[: len(which)] = [index_text(one, "  ").strip() for one in hkl[which].tolist()]
        set_data(names, _padded(yx[which] - [_ABOVE * self._side, 0], _NAMES))
        names.features = pd.DataFrame({"hkl": texts})
        for layer in (dots, names):
            layer.metadata = {"made_from": self.image.name, **about}
            if not layer.visible:
                layer.visible = True

    def hide(self) -> None:
        """Draw nothing; layers that were removed by hand are made anew when next shown."""
        viewer = self._viewer()
        if viewer is not None and not self._there(viewer):
            self.clear()
        for layer in (self.dots, self.names):
            if layer is not None and layer.visible:
                layer.visible = False

    def clear(self) -> None:
        """Remove the layers."""
        viewer = self._viewer()
        if viewer is not None:
            remove_layers(viewer.layers, (self.dots, self.names))
        self.dots = self.names = None

    def _there(self, viewer: ViewerModel) -> bool:
        return all(
            layer is not None and layer in viewer.layers for layer in (self.dots, self.names)
        )

    def _make(self, viewer: ViewerModel) -> None:
        self.dots = Points(
            np.zeros((_DOTS, 2)),
            size=max(2.0, _DOT * self._side),
            face_color=_BLUE,
            border_width=0,
            **self._place("spots of the cell"),
        )
        self.names = Points(
            np.zeros((_NAMES, 2)),
            size=1e-3,
            face_color="transparent",
            border_width=0,
            features=pd.DataFrame({"hkl": np.full(_NAMES, "", object)}),
            text={"string": "{hkl}", "size": _TEXT, "color": _TEXT_COLOUR, "anchor": "center"},
            **self._place("hkl of the cell"),
        )
        # known before they are inserted, which may move the sliders and ask for the spots again
        for layer in (self.dots, self.names):
            viewer.layers.append(layer)

    def _place(self, what: str) -> dict[str, Any]:
        image = self.image
        return {
            "ndim": 2,
            "name": f"{image.name} - {what}",
            "scale": image.scale[-2:],
            "translate": image.translate[-2:],
        }


def _padded(yx: NDArray[np.float64], number: int) -> NDArray[np.float64]:
    """Points made up to a number by themselves in turn, so that none is drawn thicker."""
    return np.resize(yx, (number, 2))


def _away(yx: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each spot is from the middle of them."""
    return np.hypot(*(yx - np.median(yx, axis=0)).T)


def _readable(yx: NDArray[np.float64], side: float) -> NDArray[np.int64]:
    """Which spots can bear a name that covers no other, those in the middle first."""
    chosen: list[int] = []
    for number in np.argsort(_away(yx), kind="stable").tolist():
        away = np.abs(yx[chosen] - yx[number]) / side
        if not (away < _ROOM).all(axis=1).any():
            chosen.append(number)
        if len(chosen) == _NAMES:
            break
    return np.array(chosen, np.int64)
