"""Panels fit into a dock of 300 pixels."""

import pytest
from qtpy.QtWidgets import QApplication, QScrollArea

from random_actions import PANELS

pytestmark = pytest.mark.gui
#: Of the dock's 300 pixels the scroll bar takes some.
ROOM = 286


@pytest.mark.parametrize("name", PANELS)
def test_no_panel_is_cut_off_in_a_narrow_dock(make_napari_viewer, name):
    viewer = make_napari_viewer(show=True)  # as styled by napari
    _, panel = viewer.window.add_plugin_dock_widget("napari-diffraction", name)
    QApplication.processEvents()
    content = panel.findChild(QScrollArea).widget()
    assert content.minimumSizeHint().width() <= ROOM
