"""The layers of a solution come one by one, whatever happens between."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from napari_diffraction.ui.indexed.pictures import pictured

from .conftest import made_up, so_far

pytestmark = pytest.mark.gui
NAMES = ["pattern quality", "misfit", "grains", "phase map (indexed)", "orientations (IPF Z)"]


def maps(viewer):
    """Names of the solution's maps, the lowest first."""
    names = [layer.name.removeprefix("alloy - ") for layer in viewer.layers]
    return [name for name in names if name in (*NAMES, "orientations (IPF X)")]


@pytest.fixture
def take(opened):
    """Return what hands the panel a solution, as the work does, before any layer is there."""
    _, panel = opened
    stack = panel._navigation.stack

    def hand_over(indexed=None):
        made = pictured(made_up(stack) if indexed is None else indexed)
        panel.indexed.take(panel.scan.layer(), panel._navigation, made.indexed, made)
        return made

    return hand_over


def test_layers_come_one_a_turn_and_in_order(opened, take, hand):
    viewer, panel = opened
    take()
    assert maps(viewer) == []
    for number in range(len(NAMES)):
        panel.indexed._add_next()
        assert maps(viewer) == NAMES[: number + 1]
        assert not panel.indexed.there or number == len(NAMES) - 1
    hand.wait(panel)
    assert maps(viewer) == NAMES
    assert panel.indexed.isVisible()
    assert [name for name in NAMES if viewer.layers[f"alloy - {name}"].visible] == NAMES[-1:]
    marker = viewer.layers.index(panel._navigation.marker)
    assert marker > viewer.layers.index("alloy - orientations (IPF Z)")
    assert viewer.layers.selection.active.name == "alloy"


def test_colours_of_a_map_that_begins_to_fill_are_those_of_the_key(opened, take, hand):
    viewer, panel = opened
    take(so_far(panel._navigation.stack, 3))
    hand.wait(panel)
    whole = take()
    panel._navigation.image.visible = False
    colours = viewer.layers["alloy - orientations (IPF Z)"].data[4, :, :3]
    assert not np.allclose(colours[0], colours[-1])
    for colour in colours[[0, -1]]:
        assert hand.seen(viewer, colour, 4) > 1000
    assert panel.indexed.indexed is whole.indexed


def test_the_contrast_follows_a_map_that_fills_but_not_over_a_hand(opened, take, hand):
    viewer, panel = opened
    whole = made_up(panel._navigation.stack)
    first = replace(so_far(panel._navigation.stack, 3), quality=np.zeros(len(whole), np.float32))
    faint = replace(whole, quality=np.linspace(0.02, 0.06, len(whole), dtype=np.float32))
    take(first)
    hand.wait(panel)
    take(faint)
    layer = viewer.layers["alloy - pattern quality"]
    np.testing.assert_allclose(layer.contrast_limits, (0.02, 0.06), atol=0.001)
    hand.show(panel, "quality")
    assert hand.seen(viewer, (1, 1, 1), 30) > 500  # the best patterns are white
    layer.contrast_limits = (0, 0.1)
    take(whole)
    assert tuple(layer.contrast_limits) == (0, 0.1)


def test_a_second_solution_takes_the_place_of_the_first(opened, take, hand):
    viewer, panel = opened
    take(so_far(panel._navigation.stack, 40))
    panel.indexed._add_next()
    panel.indexed._add_next()
    whole = take()  # while layers of the first are still to come
    hand.show(panel, "x")
    hand.wait(panel)
    assert maps(viewer) == [*NAMES[:4], "orientations (IPF X)"]
    assert panel.indexed.indexed is whole.indexed
    picture = viewer.layers["alloy - phase map (indexed)"].data
    np.testing.assert_array_equal(picture, whole.phases)
    assert (viewer.layers["alloy - orientations (IPF X)"].data[..., 3] == 1).all()
    layers = [layer for layer in viewer.layers if layer.name.startswith("alloy - ")]
    hand.show(panel, "z")
    part = take(so_far(panel._navigation.stack, 40))  # and when all are there
    assert not panel.indexed.arriving
    assert [layer for layer in viewer.layers if layer.name.startswith("alloy - ")] == layers
    np.testing.assert_array_equal(picture.shape, part.phases.shape)
    assert (viewer.layers["alloy - phase map (indexed)"].data.ravel()[40:] == 0).all()
    assert (viewer.layers["alloy - orientations (IPF Z)"].data[..., 3].ravel()[40:] == 0).all()


@pytest.mark.parametrize("name", ["alloy", "alloy - phase map (indexed)", "alloy - grains"])
def test_layers_may_be_removed_between(opened, take, hand, name):
    viewer, panel = opened
    take()
    for _ in range(4):
        panel.indexed._add_next()
    viewer.layers.remove(name)
    hand.wait(panel)
    QApplication.processEvents()
    if name == "alloy":
        assert maps(viewer) == []
    else:
        left = [one for one in NAMES if one != name.removeprefix("alloy - ")]
        assert maps(viewer) == left
        take()
        assert maps(viewer) == left
        assert panel.indexed.isVisible()


def test_a_map_that_was_removed_while_others_come_is_there_once(opened, take, hand):
    viewer, panel = opened
    take()
    for _ in range(2):
        panel.indexed._add_next()
    viewer.layers.remove("alloy - pattern quality")
    for key in ("quality", "misfit", "quality"):
        hand.show(panel, key)
    assert viewer.layers["alloy - pattern quality"].visible
    hand.wait(panel)
    assert sorted(maps(viewer)) == sorted(NAMES)


def test_the_window_may_close_between(opened, take, qtbot):
    viewer, panel = opened
    take()
    panel.indexed._add_next()
    QTimer.singleShot(0, viewer.layers.clear)
    QTimer.singleShot(0, partial(panel.indexed._add_next))
    qtbot.wait(100)
    assert list(viewer.layers) == []
    viewer.close()
    QApplication.processEvents()
