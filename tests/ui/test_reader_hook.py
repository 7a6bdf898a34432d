from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import npe2
import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.utils.notifications import NotificationSeverity, notification_manager

from napari_diffraction.patterns.readers import AmbiguousDatasetError
from napari_diffraction.ui import reader
from napari_diffraction.ui.reader import get_reader, read_patterns

PLUGIN = "napari-diffraction"


@pytest.fixture(scope="module", autouse=True)
def _plugins() -> None:
    npe2.PluginManager.instance().discover()


@pytest.fixture
def said() -> list[tuple[str, NotificationSeverity]]:
    """What is told to the person while a test runs."""
    found: list[tuple[str, NotificationSeverity]] = []

    def keep(notification) -> None:
        found.append((notification.message, notification.severity))

    notification_manager.notification_ready.connect(keep)
    yield found
    notification_manager.notification_ready.disconnect(keep)


def patterns(n: int = 12) -> np.ndarray:
    frames = np.random.default_rng(0).poisson(3, (n, 40, 48)).astype("u2")
    frames[:, ::8, ::8] += 60
    frames[:, 20, 24] = 60_000
    return frames


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run42").mkdir()
    for number, frame in enumerate(patterns()):
        tifffile.imwrite(tmp_path / "run42" / f"{number}.tif", frame)
    return tmp_path / "run42"


def test_a_folder_becomes_one_layer(folder: Path, said) -> None:
    viewer = ViewerModel()
    (layer,) = viewer.open(str(folder), plugin=PLUGIN)
    assert layer.name == "run42"
    assert layer.data.shape == (12, 40, 48)
    assert viewer.dims.range[0].stop == 11
    low, high = layer.contrast_limits
    assert 0 <= low < 5
    assert 30 < high < 200
    stack = layer.metadata["pattern_stack"]
    np.testing.assert_array_equal(stack.frame(10), patterns()[10])
    info = layer.metadata["napari_diffraction"]
    assert info["files"] == 12
    assert info["source"] == stack.source(0)
    ((message, severity),) = said
    assert severity == NotificationSeverity.INFO
    assert message.startswith("12 patterns, 48x40 pixels, uint16, from 12 files.\nNot in the file:")


def test_several_files_opened_as_a_stack(folder: Path) -> None:
    viewer = ViewerModel()
    paths = [str(folder / "3.tif"), str(folder / "1.tif")]
    (layer,) = viewer.open(paths, stack=True, plugin=PLUGIN)
    np.testing.assert_array_equal(np.asarray(layer.data), patterns()[[3, 1]])


def test_a_damaged_file_is_one_sentence_and_no_layer(tmp_path: Path, said) -> None:
    path = tmp_path / "broken.tif"
    viewer = ViewerModel()
    for content in (b"", b"notes of the day " * 50, b"II*\0\x08\0\0\0\xff\xff"):
        path.write_bytes(content)
        assert viewer.open(str(path), plugin=PLUGIN) == []
    assert [severity for _, severity in said] == [NotificationSeverity.ERROR] * 3
    assert all("broken.tif" in message and "\n" not in message for message, _ in said)
    assert not viewer.layers


def test_one_damaged_file_in_a_folder_is_shown_black(folder: Path) -> None:
    (folder / "0.tif").write_bytes(b"")
    (layer,) = ViewerModel().open(str(folder), plugin=PLUGIN)
    assert not np.asarray(layer.data[0]).any()
    assert layer.contrast_limits[1] > 30


def test_what_is_not_ours_is_left_to_others(tmp_path: Path) -> None:
    np.save(tmp_path / "points.npy", np.zeros((500, 3)))
    (tmp_path / "other.img").write_bytes(b"another program's image" * 50)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("notes")
    for name in ("points.npy", "other.img", "folder/notes.txt", "folder", "gone"):
        assert get_reader(str(tmp_path / name)) is None
    np.save(tmp_path / "patterns.npy", patterns())
    assert get_reader(str(tmp_path / "patterns.npy")) is read_patterns
    assert get_reader([str(tmp_path / "patterns.npy"), str(tmp_path / "points.npy")]) is None
    assert get_reader([]) is None


@pytest.fixture
def ambiguous(tmp_path: Path) -> str:
    import h5py

    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["first"], file["second"] = patterns(), patterns() + 1
    return str(tmp_path / "two.h5")


def test_without_a_window_the_data_sets_are_named(ambiguous: str, said, monkeypatch) -> None:
    def no_window(problem: AmbiguousDatasetError) -> str:
        raise problem

    monkeypatch.setattr(reader, "_ask_for_dataset", no_window)
    assert ViewerModel().open(ambiguous, plugin=PLUGIN) == []
    assert "holds several stacks that fit: first, second" in said[0][0]


@pytest.mark.parametrize("accepted", [True, False])
def test_with_a_window_the_data_set_is_asked_for(ambiguous: str, accepted, monkeypatch) -> None:
    widgets = pytest.importorskip("qtpy.QtWidgets")
    asked = []

    def choose(parent, title, label, names, current, editable):
        asked.append((label, names))
        return names[1], accepted

    application = SimpleNamespace(instance=lambda: True, activeWindow=lambda: None)
    monkeypatch.setattr(widgets, "QApplication", application)
    monkeypatch.setattr(widgets, "QInputDialog", SimpleNamespace(getItem=choose))
    layers = ViewerModel().open(ambiguous, plugin=PLUGIN)
    assert asked == [("two.h5 holds several stacks:", ["first", "second"])]
    if accepted:
        np.testing.assert_array_equal(layers[0].data, patterns() + 1)
    else:
        assert layers == []
