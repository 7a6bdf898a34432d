from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.patterns.stack import SpotGeometry

FRAMES = np.ones((3, 20, 28), "u2")
KV200 = pytest.approx(0.0250793, abs=1e-6)


def test_nothing_in_the_file_is_said(write) -> None:
    stack = open_stack(write(".npy", FRAMES))
    assert stack.geometry == SpotGeometry(None, None, None)
    assert stack.notes == (
        "3 patterns, 28x20 pixels, uint16, from run.npy.",
        "Not in the file: wavelength 0.0251 A (200 kV) is assumed; 1/A per pixel is unknown; the "
        "beam is taken to be near the middle.",
    )


def test_a_scan_of_unknown_kind_may_be_of_an_ebsd_camera(write) -> None:
    stack = open_stack(write(".npy", np.ones((2, 3, 20, 28), "u2")))
    assert stack.is_scan
    assert stack.notes[-1].startswith("Not in the file, if these are spot patterns: wavelength ")


def test_smv(write) -> None:
    stack = open_stack(write(".img", FRAMES))
    geometry = stack.geometry
    assert geometry.wavelength == 0.0251
    assert geometry.pixel_size == pytest.approx(0.055 / (531.85 * 0.0251))
    assert geometry.centre == (pytest.approx(14.0), pytest.approx(10.0))  # written in mm
    assert stack.metadata["DISTANCE"] == "531.85"
    assert stack.notes[1:] == (
        "Calibration in the file: wavelength 0.02510 A, 0.00412002 1/A per pixel, beam at x 14.0, "
        "y 10.0.",
    )


def test_smv_with_the_beam_in_pixels(write) -> None:
    path = write(".img", FRAMES)
    content = path.read_bytes().replace(b"BEAM_CENTER_Y=0.55", b"BEAM_CENTER_Y=12.0")
    path.write_bytes(content)
    assert open_stack(path).geometry.centre == (pytest.approx(0.77), pytest.approx(12.0))


def test_cbf(write) -> None:
    geometry = open_stack(write(".cbf", FRAMES)).geometry
    assert geometry.wavelength == 0.0251
    assert geometry.pixel_size == pytest.approx(55e-6 / (0.5 * 0.0251))
    assert geometry.centre == (20.5, 12.25)


def test_own_hdf5(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["entry/data/data"] = FRAMES
        file.attrs.update(wavelength=0.0197, pixel_size=0.004, centre_x=13.5, centre_y=9.5)
    assert open_stack(tmp_path / "a.h5").geometry == SpotGeometry(0.0197, 0.004, (13.5, 9.5))


@pytest.mark.parametrize("in_group", [False, True])
def test_attributes_of_zarr(tmp_path: Path, in_group: bool) -> None:
    import zarr

    facts = {"wavelength": 0.0197, "pixel_size": "unknown", "centre_x": 13.5, "centre_y": 9}
    if in_group:
        root = zarr.open_group(tmp_path / "a.zarr", mode="w")
        array = root.create_array("data", shape=FRAMES.shape, dtype=FRAMES.dtype)
        root.attrs.update(facts)
        array.attrs.update(pixel_size=0.004, wavelength=0.0251)
        expected = SpotGeometry(0.0251, 0.004, (13.5, 9.0))
    else:
        array = zarr.create_array(tmp_path / "a.zarr", shape=FRAMES.shape, dtype=FRAMES.dtype)
        array.attrs.update(facts)
        expected = SpotGeometry(0.0197, None, (13.5, 9.0))
    array[...] = FRAMES
    assert open_stack(tmp_path / "a.zarr").geometry == expected


@pytest.mark.parametrize("factor", [1.0, np.nan])
def test_nexus(tmp_path: Path, factor: float) -> None:
    with h5py.File(tmp_path / "a.nxs", "w") as file:
        file["entry/data/data"] = FRAMES
        beam, detector = "entry/instrument/beam", "entry/instrument/detector"
        file[f"{beam}/incident_wavelength"] = 0.0251 * factor
        file[f"{detector}/distance"] = [1.2]
        file[f"{detector}/x_pixel_size"] = 55.0
        file[f"{detector}/x_pixel_size"].attrs["units"] = "um"
        file[f"{detector}/beam_center_x"] = 14.0
        file[f"{detector}/beam_center_y"] = 9.0
    geometry = open_stack(tmp_path / "a.nxs").geometry
    assert geometry.centre == (14.0, 9.0)
    if np.isnan(factor):
        assert (geometry.wavelength, geometry.pixel_size) == (None, None)
    else:
        assert geometry.wavelength == 0.0251
        assert geometry.pixel_size == pytest.approx(55e-6 / (1.2 * 0.0251))


@pytest.mark.parametrize("kind", [".hspy", ".zspy", ".dm3", ".dm4"])
def test_microscope_files(kind, write) -> None:
    geometry = open_stack(write(kind, FRAMES)).geometry
    assert geometry.wavelength == KV200
    assert geometry.pixel_size == pytest.approx(0.005)


def test_blockfile(write) -> None:
    geometry = open_stack(write(".blo", np.ones((2, 20, 20), "u1"))).geometry
    assert geometry.wavelength == KV200
    assert geometry.pixel_size is None  # in cm on the screen only


def test_tiff_of_imagej(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", FRAMES, imagej=True, resolution=(20.0, 20.0), metadata={"unit": "1/nm"}
    )
    assert open_stack(tmp_path / "a.tif").geometry.pixel_size == pytest.approx(0.005)


def test_tiff_of_hyperspy(tmp_path: Path) -> None:
    tags = [(65003, "s", 0, "1/nm", False), (65009, "d", 1, 0.05, False)]
    tifffile.imwrite(tmp_path / "a.tif", FRAMES, extratags=tags)
    assert open_stack(tmp_path / "a.tif").geometry.pixel_size == pytest.approx(0.005)


def test_mrc_of_fei(tmp_path: Path) -> None:
    import mrcfile

    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(FRAMES)
        dtype = mrcfile.dtypes.get_ext_header_dtype(b"FEI1")
        extended = np.zeros(len(FRAMES), dtype)
        extended["Metadata size"] = dtype.itemsize
        extended["HT"] = 300_000.0
        file.set_extended_header(extended)
        file.header.exttyp = b"FEI1"
    assert open_stack(tmp_path / "a.mrc").geometry.wavelength == pytest.approx(0.019687, abs=1e-6)


def test_a_folder_has_the_calibration_of_its_files(write) -> None:
    for name in "ab":
        path = write(".img", FRAMES, name=name, folder="run")
    assert open_stack(path.parent).geometry == open_stack(path).geometry
