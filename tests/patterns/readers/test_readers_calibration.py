from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr

from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.patterns.stack import KikuchiGeometry, SpotGeometry

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


@pytest.mark.parametrize("order", ["little_endian", "big_endian"])
@pytest.mark.parametrize(
    ("name", "dtype"),
    [("unsigned_short", "u2"), ("mad", "u2"), ("short_int", "i2"), ("signed_short", "i2"),
     ("long_int", "i4"), ("unsigned_int", "u4"), ("unsigned_long_int", "u4"),
     ("unsigned_char", "u1"), ("float", "f4"), ("double", "f8")],
)  # fmt: skip
def test_numbers_of_smv(name, dtype, order, write) -> None:
    path = write(".img", FRAMES)
    frame = (np.arange(560).reshape(20, 28) * 77 - 30 * np.eye(20, 28)).astype(dtype)
    head = path.read_bytes()[:512].replace(b"unsigned_short", name.encode())
    head = head.replace(b"little_endian", order.encode()).rstrip(b"\0").ljust(512, b"\0")[:512]
    stored = frame.dtype.newbyteorder(">" if order == "big_endian" else "<")
    path.write_bytes(head + frame.astype(stored).tobytes())
    stack = open_stack(path)
    assert stack.data.dtype == dtype
    np.testing.assert_array_equal(stack.frame(0), frame)


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


def test_pixels_that_a_counting_camera_marks_in_cbf_have_no_value(write) -> None:
    frame = np.arange(20 * 28).reshape(1, 20, 28)
    frame[0, 5], frame[0, 7, 3] = -1, -2
    stack = open_stack(write(".cbf", frame))
    expected = np.where(frame[0] < 0, np.nan, frame[0]).astype("f4")
    np.testing.assert_array_equal(stack.frame(0), expected)
    np.testing.assert_array_equal(np.asarray(stack.data)[0], expected)
    assert "The camera marks 29 of 560 pixels, which have no value." in stack.notes
    # numbers below those marks are of a frame whose background was taken off
    frame[0, 9, 9] = -7
    stack = open_stack(write(".cbf", frame))
    assert stack.data.dtype == np.int32
    np.testing.assert_array_equal(stack.frame(0), frame[0])


def test_own_hdf5(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["entry/data/data"] = FRAMES
        file.attrs.update(wavelength=0.0197, pixel_size=0.004, centre_x=13.5, centre_y=9.5)
    assert open_stack(tmp_path / "a.h5").geometry == SpotGeometry(0.0197, 0.004, (13.5, 9.5))


KIKUCHI = KikuchiGeometry((0.5, -0.1, 0.6), 70.0, 0.0, 20.0)


def test_own_kikuchi_patterns_in_hdf5(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["entry/data/data"] = FRAMES
        file.attrs.update(KIKUCHI.numbers())
    assert open_stack(tmp_path / "a.h5").geometry == KIKUCHI


def test_the_voltage_of_spot_patterns_does_not_make_them_kikuchi_patterns(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["entry/data/data"] = FRAMES
        file.attrs.update(voltage=200.0, wavelength=0.0251)
    assert open_stack(tmp_path / "a.h5").geometry == SpotGeometry(0.0251, None, None)


@pytest.mark.parametrize(
    "geometry",
    [KIKUCHI, SpotGeometry(0.0251, 0.004, (-3.0, 9.5)), KikuchiGeometry(voltage=15.0)],
)
def test_calibration_beside_our_own_tiff(geometry, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", FRAMES, photometric="minisblack")
    facts = {"geometry": geometry.numbers(), "stack": "run"}
    (tmp_path / "a.tif.json").write_text(json.dumps(facts))
    assert open_stack(tmp_path / "a.tif").geometry == geometry


@pytest.mark.parametrize("in_group", [False, True])
def test_attributes_of_zarr(tmp_path: Path, in_group: bool) -> None:
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
        assert geometry.pixel_angle == pytest.approx(55e-6 / 1.2)
        notes = " ".join(open_stack(tmp_path / "a.nxs").notes)
        assert "0.0458333 mrad per pixel" in notes
        assert "1/A per pixel is known when the wavelength is" in notes
    else:
        assert geometry.wavelength == 0.0251
        assert geometry.pixel_size == pytest.approx(55e-6 / (1.2 * 0.0251))


def nexus(path: Path, numbers: dict[str, tuple[float, object]], *more: str) -> Path:
    with h5py.File(path, "w") as file:
        for name in more or ("entry/data/data",):
            file[name] = FRAMES
        for name, (value, unit) in numbers.items():
            file[f"entry/{name}"] = value
            if unit:
                file[f"entry/{name}"].attrs["units"] = unit
    return path


DETECTOR, WAVELENGTH = "instrument/detector", "instrument/beam/incident_wavelength"


@pytest.mark.parametrize("unit", ["pixels", "mrad"])
def test_axes_of_emd_beside_a_camera_length(tmp_path: Path, unit: str) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file.create_group("entry/data")
        group.attrs["emd_group_type"] = 1
        group["data"] = FRAMES
        for number, length in enumerate(FRAMES.shape):
            group[f"dim{number}"] = 0.5 * np.arange(length)
            group[f"dim{number}"].attrs["units"] = unit
        file[f"entry/{DETECTOR}/distance"] = 1.2
        file[f"entry/{DETECTOR}/x_pixel_size"] = 55e-6
    # axes in pixels tell nothing, and what the camera tells stays
    expected = 55e-6 / 1.2 if unit == "pixels" else 0.5e-3
    assert open_stack(tmp_path / "a.h5").geometry.pixel_angle == pytest.approx(expected)


def test_nexus_with_the_beam_as_a_length(tmp_path: Path) -> None:
    numbers: dict[str, tuple[float, object]] = {
        f"{DETECTOR}/x_pixel_size": (50e-6, "m"),
        f"{DETECTOR}/y_pixel_size": (100.0, "um"),
        f"{DETECTOR}/beam_center_x": (0.7, "mm"),
        f"{DETECTOR}/beam_center_y": (0.0009, "m"),
    }
    centre = open_stack(nexus(tmp_path / "a.nxs", numbers)).geometry.centre
    assert centre == (pytest.approx(14.0), pytest.approx(9.0))
    numbers[f"{DETECTOR}/beam_center_x"] = 14.5, "pixel"
    numbers[f"{DETECTOR}/beam_center_y"] = 9.0, "px"
    assert open_stack(nexus(tmp_path / "a.nxs", numbers)).geometry.centre == (14.5, 9.0)
    # in which unit it is cannot be told
    numbers[f"{DETECTOR}/beam_center_y"] = 9.0, "furlong"
    assert open_stack(nexus(tmp_path / "a.nxs", numbers)).geometry.centre is None


def test_nexus_with_the_distance_of_something_else(tmp_path: Path) -> None:
    numbers: dict[str, tuple[float, object]] = {
        WAVELENGTH: (0.0251, "angstrom"),
        "instrument/aperture/distance": (3.0, "m"),
        f"{DETECTOR}/x_pixel_size": (55e-6, "m"),
    }
    assert open_stack(nexus(tmp_path / "a.nxs", numbers)).geometry.pixel_size is None
    numbers[f"{DETECTOR}/distance"] = 1.2, "m"
    size = open_stack(nexus(tmp_path / "a.nxs", numbers)).geometry.pixel_size
    assert size == pytest.approx(55e-6 / (1.2 * 0.0251))


def test_nexus_with_two_detectors(tmp_path: Path) -> None:
    numbers: dict[str, tuple[float, object]] = {WAVELENGTH: (0.0251, "")}
    names = []
    for number, distance in enumerate((0.5, 1.0)):
        place = f"instrument/detector_{number}"
        numbers |= {f"{place}/x_pixel_size": (55e-6, ""), f"{place}/distance": (distance, "")}
        numbers |= {f"{place}/beam_center_{axis}": (10.0 + number, "") for axis in "xy"}
        names.append(f"entry/{place}/data")
    path = nexus(tmp_path / "a.nxs", numbers, *names)
    for number, distance in enumerate((0.5, 1.0)):
        geometry = open_stack(path, names[number]).geometry
        assert geometry.pixel_size == pytest.approx(55e-6 / (distance * 0.0251))
        assert geometry.centre == (10.0 + number, 10.0 + number)


def test_nexus_with_two_entries(tmp_path: Path) -> None:
    path = nexus(tmp_path / "a.nxs", {WAVELENGTH: (0.0251, "")})
    with h5py.File(path, "a") as file:
        file["entry_2/data/data"] = FRAMES
        file["entry_2/instrument/beam/incident_wavelength"] = 0.0197
    assert open_stack(path, "entry_2/data/data").geometry.wavelength == 0.0197
    assert open_stack(path, "entry/data/data").geometry.wavelength == 0.0251


def test_nexus_with_units_as_arrays_of_one(tmp_path: Path) -> None:
    numbers: dict[str, tuple[float, object]] = {
        WAVELENGTH: (0.00251, np.array(["nm"], h5py.string_dtype())),
        f"{DETECTOR}/x_pixel_size": (55.0, np.array([b"um"])),
        f"{DETECTOR}/detector_distance": (1200.0, np.array([b"mm"])),
    }
    geometry = open_stack(nexus(tmp_path / "a.nxs", numbers)).geometry
    assert geometry.wavelength == pytest.approx(0.0251)
    assert geometry.pixel_size == pytest.approx(55e-6 / (1.2 * 0.0251))


def test_nexus_with_a_wavelength_in_a_unit_that_is_not_known(tmp_path: Path) -> None:
    path = nexus(tmp_path / "a.nxs", {WAVELENGTH: (12.4, "keV")})
    assert open_stack(path).geometry.wavelength is None


def test_nexus_with_a_number_that_was_never_written(tmp_path: Path) -> None:
    path = nexus(tmp_path / "a.nxs", {})
    with h5py.File(path, "a") as file:
        file[f"entry/{DETECTOR}/x_pixel_size"] = h5py.Empty("f8")
    assert open_stack(path).geometry == SpotGeometry(None, None, None)


@pytest.mark.parametrize("kind", [".hspy", ".zspy"])
@pytest.mark.parametrize("energy", [200.0, -1.0])
def test_hyperspy_with_axes_of_angles(kind, energy, write) -> None:
    path = write(kind, FRAMES)
    root = h5py.File(path, "a") if kind == ".hspy" else zarr.open_group(path, mode="a")
    root["Experiments/run/axis-2"].attrs.update({"scale": 0.5, "units": "mrad"})
    microscope = root["Experiments/run/metadata/Acquisition_instrument/TEM"]
    microscope.attrs["beam_energy"] = energy
    if kind == ".hspy":
        root.close()
    size = open_stack(path).geometry.pixel_size
    assert size == (None if energy < 0 else pytest.approx(0.5e-3 / 0.0250793, rel=1e-4))


@pytest.mark.parametrize("kind", [".hspy", ".zspy"])
def test_the_step_of_a_scan_of_hyperspy(kind, write) -> None:
    path = write(kind, np.ones((2, 3, 20, 28), "u2"))
    assert open_stack(path).step is None
    root = h5py.File(path, "a") if kind == ".hspy" else zarr.open_group(path, mode="a")
    for axis, (scale, unit) in enumerate([(50.0, "nm"), (0.02, "µm")]):
        attributes = root["Experiments/run"].create_group(f"axis-{axis}").attrs
        attributes.update({"scale": scale, "units": unit})
    if kind == ".hspy":
        root.close()
    assert open_stack(path).step == (pytest.approx(0.05), pytest.approx(0.02))


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


def test_tiff_whose_private_tags_mean_something_else(tmp_path: Path) -> None:
    tags = [(65003, "s", 0, "1/nm", False), (65009, "s", 0, "by hand", False)]
    tifffile.imwrite(tmp_path / "a.tif", FRAMES, extratags=tags)
    stack = open_stack(tmp_path / "a.tif")
    assert stack.geometry.pixel_size is None
    np.testing.assert_array_equal(np.asarray(stack.data), FRAMES)


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
