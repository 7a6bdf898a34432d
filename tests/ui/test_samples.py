"""File > Open Sample, and the files in sample_data/."""

from __future__ import annotations

import time
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel
from npe2 import PluginManager
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QProgressDialog, QPushButton

from napari_diffraction.errors import InputError
from napari_diffraction.learning.classes import ZONE_CLASSES
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.progress import Progress
from napari_diffraction.simulation.files import load_labels
from napari_diffraction.simulation.samples import FIGURE_1
from napari_diffraction.simulation.spots.dataset import simulate_spots
from napari_diffraction.ui import samples
from napari_diffraction.ui.viewer.scan_navigation import ScanNavigation

FILES = Path(__file__).parents[2] / "sample_data"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Keep samples in a folder of this test."""
    folder = tmp_path / "cache"
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_: str(folder))
    return folder


@pytest.fixture
def made(monkeypatch):
    """Make the samples small; return the list of those that were simulated."""
    calls = []

    def small():
        calls.append(time.monotonic())
        return simulate_spots([FIGURE_1], orientations=12, size=32)

    monkeypatch.setattr(samples.samples, "serial_experiment", small)
    return calls


def test_a_sample_is_simulated_once_and_read_when_looked_at(cache, made):
    first, second = samples.serial_experiment(), samples.serial_experiment()
    assert len(made) == 1
    for (data, options, kind), (truth, described, points) in (first, second):
        assert (kind, points) == ("image", "points")
        assert isinstance(data, da.Array)
        assert data.shape == (12, 32, 32)
        stack = options["metadata"]["pattern_stack"]
        assert Path(stack.source(0)).is_relative_to(cache)
        assert len(options["metadata"]["labels"]) == len(truth) == 12
        assert not described["visible"]
    np.testing.assert_array_equal(first[0][0].compute(), second[0][0].compute())


@pytest.mark.parametrize("damage", [b"", b"not HDF5", None])
def test_a_damaged_sample_is_made_anew(cache, made, damage):
    samples.serial_experiment()
    (path,) = cache.rglob("*.h5")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    (data, _, _), _ = samples.serial_experiment()
    assert len(made) == 2
    assert data.compute().max() == 255


def test_a_sample_opens_where_nothing_can_be_kept(cache, made):
    cache.write_text("a file where the folder should be")
    (data, options, _), _ = samples.serial_experiment()
    assert np.asarray(data).max() == 255
    assert options["metadata"]["pattern_stack"].frame(3).shape == (32, 32)


def test_napari_opens_the_hybrids_with_their_truth(cache):
    PluginManager.instance().discover()  # a window would have done so
    viewer = ViewerModel()
    image, truth = viewer.open_sample("napari-diffraction", "hybrids")
    labels = image.metadata["labels"]
    assert image.data.shape == (60, 256, 256)
    assert not truth.visible
    assert labels["label"][0] == "2DZone"
    assert labels["zone_fraction"].is_monotonic_decreasing
    assert labels["zone_fraction"].iloc[-1] < 0.55
    assert image.contrast_limits[1] > 100


@pytest.mark.gui
def test_the_window_lives_and_cancels_while_a_sample_is_made(
    make_napari_viewer, cache, monkeypatch
):
    viewer = make_napari_viewer(show=True)
    beats, bars = [], []

    def slow():
        for step in range(200):
            time.sleep(0.02)
            yield Progress(step, 200, "Simulating patterns")
        raise AssertionError("Cancel was not heard")

    def cancel():
        dialogs = [w for w in QApplication.topLevelWidgets() if isinstance(w, QProgressDialog)]
        (dialog,) = [dialog for dialog in dialogs if dialog.isVisible()]
        bars.append((dialog.value(), dialog.labelText()))
        dialog.findChild(QPushButton).click()

    monkeypatch.setattr(samples.samples, "serial_experiment", slow)
    timer = QTimer()
    timer.timeout.connect(lambda: beats.append(time.monotonic()))
    timer.start(10)
    QTimer.singleShot(600, cancel)
    with pytest.raises(InputError, match="open it again"):
        viewer.open_sample("napari-diffraction", "serial_experiment")
    timer.stop()
    assert len(beats) > 3  # a window that stands still beats once
    assert bars[0][0] > 0
    assert "of 200" in bars[0][1]
    assert not list(cache.rglob("*.h5"))
    assert len(viewer.layers) == 0


@pytest.mark.parametrize(("name", "count"), [("serial_60.h5", 60), ("hybrids.h5", 60)])
def test_the_files_in_sample_data_hold_their_truth(name, count):
    stack, labels = open_stack(FILES / name), load_labels(FILES / name)
    assert len(stack) == len(labels) == count
    assert set(labels["label"]) <= set(ZONE_CLASSES)
    assert stack.geometry.wavelength == pytest.approx(0.0251)
    assert (FILES / name).stat().st_size < 3e6


def test_the_scan_opens_with_its_geometry_and_its_truth_beside_it(monkeypatch):
    whole = samples.simulated_scan.rutilated_quartz
    monkeypatch.setattr(
        samples.simulated_scan, "rutilated_quartz", lambda: whole(shape=(6, 8), size=16)
    )
    (data, options, kind), (truth, described, labels) = samples.rutilated_quartz()
    assert (kind, labels) == ("image", "labels")
    assert data.shape == (6, 8, 16, 16)
    stack = options["metadata"]["pattern_stack"]
    assert stack.geometry.voltage == 20
    assert stack.step == (1, 1)
    assert not described["visible"]
    viewer = ViewerModel()
    layer = viewer.add_image(data, **options)
    shown = viewer.add_labels(truth, **described)
    place = ScanNavigation.of(viewer, layer).as_map()
    np.testing.assert_allclose(shown.scale[-2:], place["scale"])
    np.testing.assert_allclose(shown.translate[-2:], place["translate"])
    names = dict(zip(described["features"]["index"], described["features"]["phase"], strict=True))
    table = options["metadata"]["labels"]
    assert [names[value] for value in truth.ravel()] == list(table["phase"])
