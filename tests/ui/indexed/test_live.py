"""A scan that is still recorded, indexed and mapped in the window while its rows come."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from mouse import stop_following, tick
from qtpy.QtWidgets import QApplication

from napari_diffraction.crystal.materials import load_structure
from napari_diffraction.crystal.orientation import euler_angles, random_orientations
from napari_diffraction.progress import finish
from napari_diffraction.simulation.kikuchi.effects import KikuchiEffects
from napari_diffraction.simulation.kikuchi.patterns import KikuchiConditions, simulate_kikuchi
from napari_diffraction.ui.viewer.scan_navigation import ScanNavigation

pytestmark = pytest.mark.gui

PC, COLUMNS, ROWS, PIXELS = (0.52, 0.28, 0.55), 6, 6, 60
#: Milliseconds that a slow machine may take.
LONG = 120_000


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """Grains of nickel, 3 x 3 points each."""
    grain = (np.arange(ROWS)[:, None] // 3) * 2 + np.arange(COLUMNS) // 3
    turns = random_orientations(int(grain.max()) + 1, np.random.default_rng(5))
    conditions = KikuchiConditions(pc_x=PC[0], pc_y=PC[1], pc_z=PC[2])
    work = simulate_kikuchi(
        [load_structure("Ni")],
        conditions,
        KikuchiEffects(contrast=0.2, noise=0.1),
        size=PIXELS,
        orientations=euler_angles(turns)[grain.ravel()],
    )
    images: np.ndarray = finish(work).images
    return images.reshape(ROWS, COLUMNS, PIXELS, PIXELS)


@pytest.fixture
def writer(recording, frames):
    """A scan that another process writes, and a function that tells it what to do."""
    return recording("scan.h5", frames)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr("napari_diffraction.ui.indexed.live.EVERY", 0.05)


@pytest.fixture
def opened(make_napari_viewer, errors):
    """Return a function that opens a window with a scan, of which phase and centre are told."""

    def open_window(path):
        viewer = make_napari_viewer(show=True)
        viewer.window.resize(1280, 800)
        (layer,) = viewer.open(str(path), plugin="napari-diffraction")
        _, panel = viewer.window.add_plugin_dock_widget("napari-diffraction", "Phase map")
        panel.model.choose("my phases by indexing")
        panel.phases.choose("Ni")
        panel.centre.source.setCurrentIndex(1)
        for box, value in zip(panel.centre.numbers, PC, strict=True):
            box.setValue(value)
        QApplication.processEvents()
        return viewer, panel, layer

    return open_window


def rows_indexed(panel) -> int:
    indexed = panel.indexed.indexed
    return 0 if indexed is None else indexed.shape[0]


def test_the_map_grows_with_the_scan(opened, writer, qtbot, errors):
    path, do = writer
    do("add 3")
    viewer, panel, layer = opened(path)
    assert panel.follow.isVisible()
    tick(panel.follow.switch)
    tick(panel.follow.newest)
    qtbot.waitUntil(lambda: rows_indexed(panel) == 3 and panel.indexed.there, timeout=LONG)
    before = viewer.layers["scan - phase map (indexed)"].data.copy()
    assert (before == before[0, 0]).all()  # all of nickel
    do("add 3")
    qtbot.waitUntil(lambda: rows_indexed(panel) == 6, timeout=LONG)
    assert layer.data.shape == (6, COLUMNS, PIXELS, PIXELS)
    # every map, and that of the pattern's quality, has the new rows, and earlier ones stay
    for name in ("phase map (indexed)", "orientations (IPF Z)", "grains", "navigation"):
        assert viewer.layers[f"scan - {name}"].data.shape[:2] == (6, COLUMNS), name
    np.testing.assert_array_equal(viewer.layers["scan - phase map (indexed)"].data[:3], before)
    assert panel.indexed.indexed.done.all()
    assert panel.indexed.indexed.misfit_deg.max() < 1
    navigation = ScanNavigation.of(viewer, layer)
    assert navigation.current == (5, COLUMNS - 1)  # the newest
    qtbot.waitUntil(lambda: (viewer.layers["scan - navigation"].data[3:] > 0).all(), timeout=LONG)
    navigation.show(4, 1)
    assert "Row 4, column 1" in panel.indexed.point.place.text()
    assert "Ni" in panel.indexed.point.text.text()
    stop_following(qtbot, panel)
    assert panel.centre.given == PC  # what was said holds for the longer scan, too
    assert rows_indexed(panel) == 6
    assert panel.run_button.isVisible()
    assert errors == []


def test_room_that_was_made_before_is_filled(opened, writer, qtbot, errors):
    path, do = writer
    do("add 3")
    do("room 3")
    viewer, panel, layer = opened(path)
    tick(panel.follow.switch)
    qtbot.waitUntil(lambda: rows_indexed(panel) == 3 and panel.indexed.there, timeout=LONG)
    ScanNavigation.of(viewer, layer).show(5, 0)
    assert panel.indexed.point.text.text() == "Not indexed yet."
    do("fill")
    qtbot.waitUntil(lambda: rows_indexed(panel) == 6, timeout=LONG)
    assert "Ni" in panel.indexed.point.text.text()
    assert np.asarray(layer.data[5, 0]).any()
    qtbot.waitUntil(lambda: (viewer.layers["scan - navigation"].data[3:] > 0).all(), timeout=LONG)
    stop_following(qtbot, panel)
    assert errors == []


def test_another_form_ends_it_with_a_sentence(opened, frames, tmp_path: Path, qtbot, errors):
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file["data"] = frames[:3]
    _, panel, _ = opened(path)
    tick(panel.follow.switch)
    qtbot.waitUntil(lambda: rows_indexed(panel) == 3, timeout=LONG)
    # under another name first: the map's thread may be reading the file
    with h5py.File(tmp_path / "new", "w") as file:
        file["data"] = frames[:3, :4]
    with qtbot.waitSignal(panel.bar.finished, timeout=LONG):
        (tmp_path / "new").replace(path)
    assert len(errors) == 1
    assert "open it anew" in errors[0]
    assert rows_indexed(panel) == 3


def test_rows_that_are_gone_for_a_while_are_waited_for(opened, frames, tmp_path, qtbot, errors):
    path = tmp_path / "scan.h5"

    def write(rows: int) -> None:
        with h5py.File(tmp_path / "new", "w") as file:
            file["data"] = frames[:rows]
        (tmp_path / "new").replace(path)

    write(6)
    _, panel, layer = opened(path)
    tick(panel.follow.switch)
    qtbot.waitUntil(lambda: rows_indexed(panel) == 6 and panel.indexed.there, timeout=LONG)
    write(3)
    qtbot.waitUntil(lambda: "18 that are not there now" in panel.bar.text.text(), timeout=LONG)
    assert layer.data.shape[0] == 6
    assert rows_indexed(panel) == 6
    write(6)
    # what is new in a file counts when it is there at the next look, too: three rows come first
    again = "6 rows indexed · looking for more"
    qtbot.waitUntil(lambda: again in panel.bar.text.text(), timeout=LONG)
    assert rows_indexed(panel) == 6
    stop_following(qtbot, panel)
    assert errors == []


def test_removing_the_scan_ends_it_quietly(opened, frames, tmp_path: Path, qtbot, errors):
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file["data"] = frames[:3]
    viewer, panel, layer = opened(path)
    tick(panel.follow.switch)
    qtbot.waitUntil(lambda: rows_indexed(panel) == 3 and panel.indexed.there, timeout=LONG)
    with qtbot.waitSignal(panel.bar.finished, timeout=LONG):
        viewer.layers.remove(layer)
    assert errors == []
    assert not panel.follow.on


def points_named(panel) -> int:
    work = panel.network.work
    return 0 if work is None else int(work.single.done.sum())


def test_a_network_maps_rows_as_they_come(opened, writer, qtbot, errors):
    path, do = writer
    do("add 3")
    viewer, panel, layer = opened(path)
    panel.model.choose("bravais")
    assert panel.follow.isVisible()
    tick(panel.follow.switch)
    tick(panel.follow.newest)
    qtbot.waitUntil(lambda: points_named(panel) == 3 * COLUMNS, timeout=LONG)
    name = next(one.name for one in viewer.layers if "phase map (bravais)" in one.name)
    first = panel.network.work.single.probabilities.copy()
    do("add 3")
    qtbot.waitUntil(lambda: points_named(panel) == 6 * COLUMNS, timeout=LONG)
    assert layer.data.shape == (6, COLUMNS, PIXELS, PIXELS)
    shown = panel.network.shown
    assert shown.shape == (6, COLUMNS)
    assert not np.isnan(shown.probabilities).any()
    # all of them are judged once more when there are twice as many, before the same camera
    np.testing.assert_allclose(shown.probabilities[: len(first)], first, atol=0.3)
    for layer_name in (name, "scan - confidence", "scan - navigation"):
        assert viewer.layers[layer_name].data.shape == (6, COLUMNS), layer_name
    assert ScanNavigation.of(viewer, layer).current == (5, COLUMNS - 1)
    assert "Row 5, column 5" in panel.network.point_text.text()
    stop_following(qtbot, panel)
    assert points_named(panel) == 6 * COLUMNS
    assert panel.run_button.text() == "Run"
    assert panel.network.isVisible()
    assert errors == []


def test_regions_vote_when_the_scan_is_over(opened, frames, tmp_path: Path, qtbot, errors):
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file["data"] = frames
    _, panel, _ = opened(path)
    panel.model.choose("bravais")
    panel.network.votes.setCurrentIndex(1)
    tick(panel.follow.switch)
    qtbot.waitUntil(lambda: points_named(panel) == ROWS * COLUMNS, timeout=LONG)
    assert panel.network.work.voted is None
    stop_following(qtbot, panel)
    qtbot.waitUntil(lambda: panel.network.work.voted is not None, timeout=LONG)
    assert panel.network.shown.regions is not None
    assert errors == []


def test_a_map_of_a_part_is_made_anew_by_run(opened, writer, qtbot, errors):
    """What was judged by what was known of a part does not stand beside what is judged later."""
    path, do = writer
    do("add 3")
    do("room 3")
    _, panel, _ = opened(path)
    panel.model.choose("bravais")
    tick(panel.follow.switch)
    qtbot.waitUntil(lambda: points_named(panel) == 3 * COLUMNS, timeout=LONG)
    stop_following(qtbot, panel)
    assert not panel.network.work.complete
    assert panel.run_button.text() == "Run"
    assert errors == []


def test_what_cannot_grow_is_not_followed(opened, frames, tmp_path: Path):
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file["data"] = frames[:3]
    viewer, panel, layer = opened(path)
    assert panel.follow.switch.isEnabled()
    viewer.layers.remove(layer)
    assert not panel.follow.switch.isEnabled()
