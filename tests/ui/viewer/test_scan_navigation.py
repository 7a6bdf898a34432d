import gc
from weakref import ref

import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.ui.viewer.layers import can_be_stack, known_of
from napari_diffraction.ui.viewer.scan_navigation import ScanNavigation

ROWS, COLUMNS = 6, 9


@pytest.fixture
def data():
    """Patterns whose mean intensity is ten times the row plus the column."""
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    return np.broadcast_to(
        (10 * rows + columns)[..., None, None].astype(np.uint8), (ROWS, COLUMNS, 24, 32)
    ).copy()


@pytest.fixture
def stack(data):
    return PatternStack(da.from_array(data, chunks=(1, 1, 24, 32)), "alloy", step=(1.0, 0.5))


def add(viewer, stack):
    return viewer.add_image(stack.data, name=stack.name, metadata={"pattern_stack": stack})


def click(viewer, row, column, navigation, qtbot):
    """Click with the mouse on a point of the map, as a person does."""
    canvas = viewer.window._qt_viewer.canvas
    y, x = navigation.image.data_to_world((row, column))
    camera, size = viewer.scene.camera, canvas.native.size()
    right = (x - camera.center[-1]) * camera.zoom + size.width() / 2
    down = (y - camera.center[-2]) * camera.zoom + size.height() / 2
    place = QPoint(round(right), round(down))
    QTest.mouseMove(canvas.native, place)
    QApplication.processEvents()
    QTest.mouseClick(canvas.native, Qt.MouseButton.LeftButton, pos=place)
    QApplication.processEvents()


def test_the_map_lies_beside_the_patterns_in_its_true_shape(stack, qtbot):
    viewer = ViewerModel()
    layer = add(viewer, stack)
    navigation = ScanNavigation.of(viewer, layer)
    assert ScanNavigation.of(viewer, layer) is navigation
    (top, left), (bottom, right) = navigation.image.extent.world
    assert right < -0.5
    assert right - left > 2
    assert top == pytest.approx(0, abs=5)
    assert (bottom - top + navigation.scale[0]) <= 24 + 1e-6
    assert navigation.scale[0] == pytest.approx(2 * navigation.scale[1])  # 1.0 and 0.5 um
    assert viewer.dims.ndim == 4
    assert viewer.layers.selection.active is layer
    assert not can_be_stack(navigation.image)


def test_the_marker_follows_the_sliders_and_others_are_told(stack, qtbot):
    viewer = ViewerModel()
    navigation = ScanNavigation.of(viewer, add(viewer, stack))
    told = []
    navigation.moved.connect(lambda *place: told.append(place))
    viewer.dims.set_point([0, 1], [4, 7])
    assert told[-1] == (4, 7) == navigation.current
    assert navigation.marker.data.tolist() == [[4, 7]]
    navigation.show(2, 8)
    assert viewer.dims.current_step[:2] == (2, 8)
    assert told[-1] == (2, 8)


@pytest.mark.gui
def test_the_marker_covers_its_own_row_only(make_napari_viewer, data, qtbot):
    viewer = make_napari_viewer(show=True)
    flat = PatternStack(da.from_array(data, chunks=(1, 1, 24, 32)), "flat", step=(0.2, 1.0))
    navigation = ScanNavigation.of(viewer, add(viewer, flat))
    qtbot.waitUntil(lambda: navigation.image.data[-1, -1] == 58, timeout=60_000)
    navigation.show(2, 4)
    navigation.image.visible = viewer.layers["flat"].visible = False
    navigation.marker.visible = True
    navigation.marker.canvas_size_limits = (1, 10_000)
    viewer.scene.camera.zoom = 60
    viewer.scene.camera.center = navigation.image.data_to_world((2, 4))
    QApplication.processEvents()
    picture = viewer.screenshot(canvas_only=True, flash=False)[..., :3].min(axis=-1)
    rows = np.flatnonzero((picture > 200).any(axis=1))
    high = (rows[-1] - rows[0]) / (60 * navigation.scale[0])  # in rows
    assert 1 < high < 2.2
    assert abs((rows[0] + rows[-1]) / 2 - picture.shape[0] / 2) < 3


def test_the_map_goes_with_its_patterns(stack, qtbot):
    viewer = ViewerModel()
    before = list(viewer.mouse_drag_callbacks)
    layer = add(viewer, stack)
    navigation = ScanNavigation.of(viewer, layer)
    layer.visible = False
    assert not navigation.image.visible
    viewer.layers.remove(layer)
    assert len(viewer.layers) == 0
    assert viewer.mouse_drag_callbacks == before
    viewer.add_image(np.zeros((3, 4, 5, 6)))
    viewer.dims.set_point(0, 2)  # nobody listens any more


def test_other_points_in_the_layer_get_another_map(stack, qtbot):
    viewer = ViewerModel()
    layer = add(viewer, stack)
    navigation = ScanNavigation.of(viewer, layer)
    told = []
    navigation.replaced.connect(lambda: told.append("replaced"))
    viewer.dims.set_point([0, 1], [5, 8])
    layer.data = stack.data[:, 4:]  # as somebody does who crops the scan
    again = ScanNavigation.of(viewer, layer)
    assert told == ["replaced"]
    assert again is not navigation
    assert [one.data.shape for one in viewer.layers[1:]] == [(6, 5), (1, 2)]
    viewer.dims.set_point([0, 1], [3, 2])
    assert again.current == (3, 2)
    row, column = again.current
    assert again.stack.frame(row * 5 + column).mean() == 10 * 3 + 4 + 2
    layer.data = stack.data[0]
    assert list(viewer.layers) == [layer]  # a list of patterns has no map


def test_patterns_are_not_kept_by_their_map(stack, qtbot):
    viewer = ViewerModel()
    layer = add(viewer, stack)
    navigation = ScanNavigation.of(viewer, layer)
    kept = ref(layer)
    del viewer, layer
    gc.collect()
    assert kept() is None
    assert navigation.current is None


def test_what_is_known_of_a_layer_keeps_neither_it_nor_its_viewer(stack, qtbot):
    viewer = ViewerModel()
    layer = add(viewer, stack)
    known_of(viewer, "something")[layer] = ScanNavigation.of(viewer, layer)
    assert known_of(viewer, "something")[layer] is ScanNavigation.of(viewer, layer)
    kept = [ref(viewer), ref(layer)]
    del viewer, layer
    gc.collect()
    assert [one() for one in kept] == [None, None]


def test_a_list_of_patterns_has_no_map(qtbot):
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((5, 8, 8)))
    with pytest.raises(InputError, match="list of patterns"):
        ScanNavigation.of(viewer, layer)


@pytest.mark.gui
def test_a_scan_that_is_opened_has_its_map_beside_it(make_napari_viewer, data, tmp_path, qtbot):
    viewer = make_napari_viewer(show=True)
    np.save(tmp_path / "alloy.npy", data)
    viewer.open(tmp_path / "alloy.npy", plugin="napari-diffraction")
    qtbot.waitUntil(lambda: len(viewer.layers) == 3, timeout=60_000)
    assert [layer.name for layer in viewer.layers] == [
        "alloy",
        "alloy - navigation",
        "alloy - position",
    ]
    assert viewer.layers.selection.active.name == "alloy"
    picture = viewer.layers["alloy - navigation"]
    qtbot.waitUntil(lambda: picture.data[-1, -1] == 58, timeout=60_000)
    np.save(tmp_path / "list.npy", data[0])
    viewer.open(tmp_path / "list.npy", plugin="napari-diffraction")
    qtbot.wait(200)
    assert len(viewer.layers) == 4


@pytest.mark.gui
def test_a_scan_has_its_map_in_a_window_that_is_not_in_front(
    make_napari_viewer, data, tmp_path, qtbot
):
    behind, before = make_napari_viewer(), make_napari_viewer(show=True)
    np.save(tmp_path / "alloy.npy", data)
    behind.open(tmp_path / "alloy.npy", plugin="napari-diffraction")
    qtbot.waitUntil(lambda: len(behind.layers) == 3, timeout=60_000)
    before.open(tmp_path / "alloy.npy", plugin="napari-diffraction")
    qtbot.waitUntil(lambda: len(before.layers) == 3, timeout=60_000)
    assert len(behind.layers) == 3


@pytest.mark.gui
def test_a_click_on_the_map_shows_that_pattern(make_napari_viewer, stack, qtbot):
    viewer = make_napari_viewer(show=True)
    layer = add(viewer, stack)
    navigation = ScanNavigation.of(viewer, layer)
    qtbot.waitUntil(lambda: navigation.image.data[-1, -1] == 58, timeout=60_000)
    for place in ((4, 7), (0, 0), (5, 8)):
        click(viewer, *place, navigation, qtbot)
        assert navigation.current == place
    # What is seen: the bright end of the map, and the marker around the last point.
    QApplication.processEvents()
    picture = viewer.screenshot(canvas_only=True, flash=False)
    assert (picture[..., :3].min(axis=-1) > 250).sum() > 30
    # A drag moves the picture, not the sliders.
    canvas = viewer.window._qt_viewer.canvas.native
    middle = QPoint(canvas.width() // 4, canvas.height() // 2)
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=middle)
    for step in range(1, 6):
        QTest.mouseMove(canvas, middle + QPoint(8 * step, 0))
        QApplication.processEvents()
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=middle + QPoint(40, 0))
    assert navigation.current == (5, 8)


def test_of_scans_opened_together_the_last_is_shown_with_its_map(
    make_napari_viewer, tmp_path, qtbot
):
    """Their maps lie in one place, where that of a line sticks out below another one."""
    viewer, paths = make_napari_viewer(), []
    for name, shape in (("square", (4, 4)), ("line", (1, 9))):
        paths.append(tmp_path / f"{name}.npy")
        np.save(paths[-1], np.ones((*shape, 16, 16), np.uint8))
    viewer.open([str(path) for path in paths], plugin="napari-diffraction")
    qtbot.waitUntil(lambda: "line - position" in viewer.layers)
    shown = [layer.name for layer in viewer.layers if layer.visible]
    assert shown == ["line", "line - navigation", "line - position"]
