"""Simulated stacks on disk and their labels read back."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import tifffile

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.errors import InputError
from napari_diffraction.progress import finish
from napari_diffraction.simulation.conditions import DetectorEffects, SpotConditions
from napari_diffraction.simulation.files import labels_beside, load_labels, save_simulated
from napari_diffraction.simulation.spots.dataset import SimulatedStack, simulate_spots

ENDINGS = ["h5", "hdf5", "nxs", "cxi", "tif", "tiff", "npy", "H5", "TIF"]


@pytest.fixture(scope="module")
def stack() -> SimulatedStack:
    effects = DetectorEffects(signal=20.0, background=5.0, poisson=True)
    return finish(
        simulate_spots([UnitCell(8, 9, 10, 80, 95, 100)], None, effects, orientations=12, size=48)
    )


def images_in(path: Path) -> np.ndarray:
    kind = path.suffix.lower()
    if kind == ".npy":
        return np.load(path, allow_pickle=False)
    if kind in (".tif", ".tiff"):
        return tifffile.imread(path)
    with h5py.File(path) as file:
        return np.asarray(file["entry/data/data"][:])


@pytest.mark.parametrize("ending", ENDINGS)
def test_images_and_labels_come_back(stack: SimulatedStack, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"run.{ending}"
    assert save_simulated(stack, str(path)) == path
    images = images_in(path)
    assert images.dtype == stack.images.dtype
    np.testing.assert_array_equal(images, stack.images)
    labels = load_labels(str(path))
    assert labels is not None
    pd.testing.assert_frame_equal(labels, stack.labels, check_dtype=False, rtol=1e-12)
    hdf5 = ending.lower() in ("h5", "hdf5", "nxs", "cxi")
    assert sorted(os.listdir(tmp_path)) == (
        [path.name] if hdf5 else [path.name, f"{path.name}.csv"]
    )


def test_hdf5_holds_everything(stack: SimulatedStack, tmp_path: Path) -> None:
    with h5py.File(save_simulated(stack, tmp_path / "run.h5")) as file:
        for name in stack.spots:
            np.testing.assert_array_equal(file["spots"][name][:], stack.spots[name])
        # the settings make the same stack again
        conditions = SpotConditions(**json.loads(file.attrs["conditions"]))
        effects = DetectorEffects(**json.loads(file.attrs["effects"]))
        assert (conditions, effects) == (stack.conditions, stack.effects)
        assert file.attrs["wavelength"] == stack.geometry.wavelength
        assert file.attrs["pixel_size"] == stack.geometry.pixel_size
        assert (file.attrs["centre_x"], file.attrs["centre_y"]) == stack.geometry.centre
        # NeXus finds the patterns without being told their name
        default = file[file.attrs["default"]][file[file.attrs["default"]].attrs["default"]]
        assert default[default.attrs["signal"]].shape == stack.images.shape
        assert default[default.attrs["signal"]].chunks == (1, 48, 48)
    assert asdict(stack.conditions)["wavelength"] == 0.0251


def test_a_second_save_replaces_the_first(stack: SimulatedStack, tmp_path: Path) -> None:
    for ending in ("h5", "tif", "npy"):
        path = tmp_path / f"run.{ending}"
        path.write_bytes(b"old")
        save_simulated(stack, path)
        np.testing.assert_array_equal(images_in(path), stack.images)


def test_pattern_without_spots(tmp_path: Path) -> None:
    empty = finish(simulate_spots([UnitCell(9, 9, 9)], orientations=2, size=32, crystals=0))
    for ending in ("h5", "tif"):
        labels = load_labels(save_simulated(empty, tmp_path / f"empty.{ending}"))
        assert labels is not None
        assert labels["label"].tolist() == ["NoHit", "NoHit"]


@pytest.mark.parametrize("name", ["run.png", "run", "run.h5.txt"])
def test_other_endings(stack: SimulatedStack, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=rf"{name}: patterns are written as .h5, .tif or .npy"):
        save_simulated(stack, tmp_path / name)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("ending", ["h5", "tif", "npy"])
def test_folder_that_does_not_exist(stack: SimulatedStack, tmp_path: Path, ending: str) -> None:
    with pytest.raises(InputError, match=rf"run.{ending} cannot be written: the folder does not"):
        save_simulated(stack, tmp_path / "none" / f"run.{ending}")


@pytest.mark.parametrize("ending", ["h5", "tif", "npy"])
def test_folder_without_permission(
    stack: SimulatedStack, tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", forbidden)  # root may write anywhere
    with pytest.raises(InputError, match="there is no permission to write there"):
        save_simulated(stack, tmp_path / f"run.{ending}")


@pytest.mark.skipif(sys.platform == "win32", reason="limits need a Unix system")
@pytest.mark.parametrize("ending", ["h5", "tif", "npy"])
def test_full_disk(stack: SimulatedStack, tmp_path: Path, ending: str) -> None:
    import resource

    path = tmp_path / f"run.{ending}"
    path.write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(InputError, match=rf"run.{ending} cannot be written: the "):
            save_simulated(stack, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path) == [path.name]
    assert path.read_bytes() == b"old"


def test_labels_that_fail_leave_the_old_images(
    stack: SimulatedStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.tif"
    path.write_bytes(b"old")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    with pytest.raises(InputError, match=r"run.tif.csv cannot be written: the disk is full"):
        save_simulated(stack, path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["run.tif"]


def test_files_without_labels(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "real.tif", np.zeros((8, 8), np.uint8))
    assert load_labels(tmp_path / "real.tif") is None
    with h5py.File(tmp_path / "real.h5", "w") as file:
        file["data"] = np.zeros((3, 8, 8))
    assert load_labels(tmp_path / "real.h5") is None
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["labels"] = np.zeros(3)  # of somebody else
    assert load_labels(tmp_path / "other.h5") is None
    with h5py.File(tmp_path / "broken.h5", "w") as file:
        file["labels"] = h5py.ExternalLink("gone.h5", "/labels")
    assert load_labels(tmp_path / "broken.h5") is None
    np.savez(tmp_path / "other.npz", data=np.zeros((3, 8, 8)), x=np.zeros(3))
    assert load_labels(tmp_path / "other.npz") is None
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    assert load_labels(tmp_path / "array.npz") is None


def test_a_table_beside_counts_before_what_an_npz_holds(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    np.savez(path, data=np.zeros((3, 8, 8)), label=np.array(["a", "b", "c"]), centre=np.zeros(2))
    assert load_labels(path).to_dict("list") == {"label": ["a", "b", "c"]}
    labels_beside(path).write_text("label\nx\ny\nz\n")
    assert load_labels(path)["label"].tolist() == ["x", "y", "z"]


def test_labels_that_cannot_be_read(stack: SimulatedStack, tmp_path: Path) -> None:
    path = save_simulated(stack, tmp_path / "run.h5")
    path.write_bytes(path.read_bytes()[:2000])
    (tmp_path / "text.h5").write_text("no HDF5")
    (tmp_path / "empty.tif.csv").touch()
    (tmp_path / "binary.tif.csv").write_bytes(bytes(range(256)))
    with h5py.File(tmp_path / "part.h5", "w") as file:
        file.create_group("labels").attrs["columns"] = ["label"]
    for name in ("run.h5", "text.h5", "empty.tif", "binary.tif", "part.h5", "none.h5"):
        with pytest.raises(InputError, match=f"{name}: its labels cannot be read"):
            load_labels(tmp_path / name)


def test_older_exports_have_folders_for_columns_with_a_slash(tmp_path):
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file["entry/labels/label"] = ["Fe/Ni", "Ti"]
        file["entry/labels/p_Fe/Ni"] = [0.75, 0.25]
    labels = load_labels(tmp_path / "old.h5")
    assert labels.to_dict("list") == {"label": ["Fe/Ni", "Ti"], "p_Fe/Ni": [0.75, 0.25]}
