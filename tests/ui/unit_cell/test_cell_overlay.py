"""The spots of a cell over a pattern."""

import numpy as np
from napari.components import ViewerModel

from napari_diffraction.ui.unit_cell.cell_overlay import CellOverlay


def test_spots_asked_for_while_their_layers_come_are_drawn_once():
    """Layers that come may move the sliders, on which the panel asks for the spots again."""
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((9, 64, 64)), name="run")
    overlay = CellOverlay(viewer, image)
    spots = np.array([[20.0, 30.0], [40.0, 10.0]]), np.ones((2, 3), np.int64)
    viewer.layers.events.inserted.connect(lambda event: overlay.show(*spots, {}))
    overlay.show(*spots, {})
    assert [layer.name for layer in viewer.layers] == [
        "run", "run - spots of the cell", "run - hkl of the cell",
    ]  # fmt: skip
