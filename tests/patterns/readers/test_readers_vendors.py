"""Formats of single makers, and stores packed into one file; written here byte by byte."""

from __future__ import annotations

import pickle
import struct
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from pattern_files import write_dm
from vendor_files import (
    BESIDE,
    Container,
    arina,
    ebsd_files,
    empad,
    info,
    prz,
    topspin,
    zipped,
)

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.geometry import electron_wavelength
from napari_diffraction.patterns.readers import can_read, open_stack
from napari_diffraction.patterns.readers.vendors import microscopes
from napari_diffraction.patterns.stack import PatternStack, SpotGeometry


def patterns(n: int, h: int = 32, w: int = 32, dtype: str = "u2") -> np.ndarray:
    return np.random.default_rng(n).integers(1, 200, (n, h, w)).astype(dtype)


def assert_same(stack: PatternStack, data: np.ndarray) -> None:
    assert stack.data.shape == data.shape
    np.testing.assert_array_equal(np.asarray(stack.data), data)
    sent = pickle.loads(pickle.dumps(stack.read))
    np.testing.assert_array_equal(sent(len(stack) - 1), data.reshape(-1, *data.shape[-2:])[-1])


def spots(stack: PatternStack) -> SpotGeometry:
    assert isinstance(stack.geometry, SpotGeometry)
    return stack.geometry


# --- TopSpin


def test_topspin_is_a_scan_and_not_its_survey(tmp_path: Path) -> None:
    data = patterns(10, dtype="f4")
    stack = open_stack(topspin(tmp_path / "a.app5", data, range(10)))
    assert_same(stack, data.reshape(2, 5, 32, 32))
    assert stack.step == pytest.approx((3e-3, 2e-3))
    assert spots(stack).wavelength == electron_wavelength(200)
    assert spots(stack).pixel_size == pytest.approx(2e-5 / electron_wavelength(200))


def test_topspin_scan_that_was_stopped(tmp_path: Path) -> None:
    data = patterns(8)
    stack = open_stack(topspin(tmp_path / "a.app5", data, range(8)))
    assert stack.data.shape[:2] == (2, 5)
    np.testing.assert_array_equal(stack.frame(7), data[7])
    with pytest.raises(InputError, match="never recorded"):
        stack.frame(8)


def test_topspin_pattern_that_was_lost(tmp_path: Path) -> None:
    data = patterns(10)
    stack = open_stack(topspin(tmp_path / "a.app5", data, [0, 1, 2, 3, 4, 5, 6, 8, 9]))
    assert stack.data.shape[:2] == (2, 5)
    np.testing.assert_array_equal(stack.frame(8), data[8])
    with pytest.raises(InputError, match=r"pattern 7 of .* is missing"):
        stack.frame(7)
    assert any("Missing in the scan: 1 of 10 patterns." in note for note in stack.notes)


def test_topspin_without_a_scan(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.app5", "w") as file:
        file["39a4bbcd-2551-4912-9093-0eaed678dcff"] = np.ones((40, 40))
    with pytest.raises(InputError, match="holds no stack of images"):
        open_stack(tmp_path / "a.app5")


# --- Arina


def test_arina_with_the_file_beside_it(tmp_path: Path) -> None:
    data = patterns(12)
    stack = open_stack(arina(tmp_path, data, BESIDE))
    assert_same(stack, data.reshape(3, 4, 32, 32))
    assert stack.step == (5e-4, 5e-4)
    assert spots(stack).wavelength == electron_wavelength(300)
    assert spots(stack).pixel_size == pytest.approx(1e-4 / (0.1 * electron_wavelength(300)))


def test_arina_scan_that_was_stopped(tmp_path: Path) -> None:
    stack = open_stack(arina(tmp_path, patterns(11), BESIDE))
    assert stack.data.shape[:2] == (3, 4)
    assert any("ends early: 11 of 3 x 4" in note for note in stack.notes)


def test_arina_alone_is_taken_to_be_square_and_this_is_said(tmp_path: Path) -> None:
    data = patterns(9)
    stack = open_stack(arina(tmp_path, data, None))
    assert_same(stack, data.reshape(3, 3, 32, 32))
    assert any("taken to be 3 x 3" in note for note in stack.notes)
    (tmp_path / "other").mkdir()
    assert not open_stack(arina(tmp_path / "other", patterns(8), None)).is_scan


# --- Direct Electron


@pytest.mark.parametrize("beside", ["20241021_00405_info.txt", "20241021_00405_movie_info.txt"])
def test_movie_of_direct_electron(beside, write, tmp_path: Path) -> None:
    data = patterns(12)
    path = write(".mrc", data, name="20241021_00405_movie")
    assert not open_stack(path).is_scan
    (tmp_path / beside).write_text(info())
    stack = open_stack(path)
    assert_same(stack, data.reshape(3, 4, 32, 32))
    assert stack.step == (2.5e-3, 1.5e-3)
    assert spots(stack) == SpotGeometry(electron_wavelength(300), 0.01)


def test_movie_of_direct_electron_in_other_modes(write, tmp_path: Path) -> None:
    path = write(".mrc", patterns(12), name="movie")
    for other, shape in (
        ({"Scan - ROI Enable": "Enable"}, (6, 2)),
        ({"Scan - Enable": "Disable"}, (12,)),
        ({"Scan - Type": "Spiral"}, (12,)),
        ({"Scan - Size Y": "4"}, (3, 4)),
        ({"Scan - Size Y": "2"}, (12,)),
        ({"Scan - Size Y": "many"}, (12,)),
    ):
        (tmp_path / "movie_info.txt").write_text(info(**other))
        assert open_stack(path).data.shape[:-2] == shape


# --- EMPAD


@pytest.mark.parametrize("about", ["", "<pix_x>4</pix_x><pix_y>3</pix_y>"])
@pytest.mark.parametrize("named", ["acquisition.xml", "scan_x4_y3.raw"])
def test_empad(about, named, tmp_path: Path) -> None:
    data = patterns(12, 128, 128, "f4")
    empad(tmp_path, data, about)
    assert can_read(tmp_path / named)
    stack = open_stack(tmp_path / named)
    assert_same(stack, data.reshape(3, 4, 128, 128))


def test_a_folder_of_an_empad_is_one_scan(tmp_path: Path) -> None:
    data = patterns(12, 128, 128, "f4")
    empad(tmp_path, data, "")
    stack = open_stack(tmp_path)
    assert_same(stack, data.reshape(3, 4, 128, 128))
    assert not any("left out" in note for note in stack.notes)


def test_empad_scan_that_was_stopped(tmp_path: Path) -> None:
    path = empad(tmp_path, patterns(11, 128, 128, "f4"), "")
    raw = tmp_path / "scan_x4_y3.raw"
    raw.write_bytes(raw.read_bytes()[:-5000])
    stack = open_stack(path)
    assert stack.data.shape[:2] == (3, 4)
    assert any("ends early: 10 of 3 x 4" in note for note in stack.notes)
    raw.unlink()
    with pytest.raises(InputError, match=r"belongs to scan_x4_y3\.raw; put it"):
        open_stack(path)


def test_empad_series(tmp_path: Path) -> None:
    data = patterns(3, 128, 128, "f4")
    about = "<scan_parameters><series_count>3</series_count></scan_parameters>"
    assert_same(open_stack(empad(tmp_path, data, about, "series.raw")), data)


def test_other_raw_and_xml_files_are_not_claimed(tmp_path: Path) -> None:
    for name in ("a.raw", "b.xml"):
        (tmp_path / name).write_bytes(b"<settings/>" * 1000)
        assert not can_read(tmp_path / name)


# --- stores packed into one file


@pytest.mark.parametrize("name", ["a.zarr", "a.zspy", "a.zarr.zip"])
@pytest.mark.parametrize("version", [2, 3])
def test_zipped_zarr(name, version, tmp_path: Path) -> None:
    import zarr
    from zarr.storage import ZipStore

    data = patterns(6).reshape(2, 3, 32, 32)
    with ZipStore(tmp_path / name, mode="w") as store:
        group = zarr.open_group(store, mode="w", zarr_format=version)
        array = group.create_array(
            "Experiments/run/data", shape=data.shape, chunks=(1, 2, 32, 32), dtype=data.dtype
        )
        array[...] = data
    assert can_read(tmp_path / name)
    assert_same(open_stack(tmp_path / name), data)


def test_a_zip_of_something_else(tmp_path: Path) -> None:
    for name in ("a.zip", "a.zarr"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("notes.txt", "a long day")
    assert not can_read(tmp_path / "a.zip")
    with pytest.raises(InputError, match=r"is not a zipped Zarr file"):
        open_stack(tmp_path / "a.zip")
    with pytest.raises(InputError, match=r"neither a folder nor a \.zip of Zarr's"):
        open_stack(tmp_path / "a.zarr")


def test_panta_rhei(tmp_path: Path) -> None:
    data = patterns(6).reshape(2, 3, 32, 32)
    axis = {"value": 2e8, "unit": "1/m", "offset": 0.0, "pixel_factor": 2.0}
    kinds = ["CameraX", "CameraY", "ScanX", "ScanY"]
    about = {"device.calib": [axis, axis, None, None], "content.types": kinds}
    stack = open_stack(prz(tmp_path / "a.prz", data, **about))
    assert_same(stack, data)
    assert spots(stack).wavelength == electron_wavelength(200)
    assert spots(stack).pixel_size == pytest.approx(0.04)
    with pytest.raises(InputError, match="does not hold its patterns one after the other"):
        open_stack(prz(tmp_path / "b.prz", data, **{"content.types": kinds[::-1]}))
    axis |= {"value": 1e-4, "unit": "rad"}
    stack = open_stack(prz(tmp_path / "d.prz", data, **about))
    assert spots(stack).pixel_size == pytest.approx(2e-4 / electron_wavelength(200))
    # columns before rows, of the scan or of the camera
    for order in ((0, 1, 3, 2), (1, 0, 2, 3)):
        turned = {"content.types": [kinds[i] for i in order]}
        with pytest.raises(InputError, match="does not hold its patterns one after the other"):
            open_stack(prz(tmp_path / "c.prz", data, **turned))


# --- DigitalMicrograph


def emd_array(group: h5py.Group, data: np.ndarray, units: str = "pixels") -> h5py.Group:
    """Write an array as py4DSTEM does: two values of each axis, in an order of its own."""
    group.attrs["emd_group_type"] = "array"
    group["data"] = data
    for axis in range(data.ndim):
        group[f"dim{axis}"] = np.array([0.0, 0.0105])
        group[f"dim{axis}"].attrs.update(name=f"dim{axis}", units=units)
    return group


@pytest.mark.parametrize("binning", [1, 2])
@pytest.mark.parametrize("peaks", [False, True])
def test_what_is_kept_below_a_scan_of_py4dstem_does_no_harm(
    tmp_path: Path, binning: int, peaks: bool
) -> None:
    pytest.importorskip("rsciio", reason="rosettasciio is not installed")
    data = patterns(6).reshape(2, 3, 32, 32)
    with h5py.File(tmp_path / "scan.emd", "w") as file:
        file.attrs.update(version_major=1, version_minor=0, emd_group_type="file")
        root = file.create_group("datacube_root")
        root.attrs["emd_group_type"] = "root"
        cube = emd_array(root.create_group("datacube"), data, "A^-1")
        emd_array(cube.create_group("dp_mean"), np.ones((32 * binning, 32 * binning)))
        emd_array(cube.create_group("bf"), np.ones((2, 3)))
        if peaks:
            lists = cube.create_group("peaks")
            lists.attrs["emd_group_type"] = "pointlistarray"
            kind = h5py.vlen_dtype(np.dtype([("x", "f8"), ("y", "f8")]))
            lists.create_dataset("data", (2, 3), dtype=kind)
    stack = open_stack(tmp_path / "scan.emd")
    assert_same(stack, data)
    assert stack.geometry.pixel_size == pytest.approx(0.0105)


@pytest.mark.parametrize("first", [0, 1])
def test_py4dstem_files_called_h5_keep_their_calibration(tmp_path: Path, first: int) -> None:
    data = patterns(6).reshape(2, 3, 32, 32)
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        cube = file.create_group("datacube_root/datacube")
        cube.attrs["emd_group_type"] = "array"
        cube["data"] = data
        for axis, (step, unit) in enumerate([(3, "nm"), (2, "[n_m]"), *[(0.0105, "A^-1")] * 2]):
            values = cube.create_dataset(f"dim{axis + first}", data=np.array([0.0, step]))
            values.attrs["units"] = unit
    stack = open_stack(tmp_path / "scan.h5")
    assert_same(stack, data)
    assert stack.geometry.pixel_size == pytest.approx(0.0105)
    assert stack.step == pytest.approx((0.003, 0.002))


@pytest.mark.parametrize("axis", [None, [0.0], [[0.0, 1.0]], b"x", [0.0, 0.0], [0.0, np.nan]])
def test_axes_of_py4dstem_that_make_no_sense_are_left_out(tmp_path: Path, axis: object) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["data"] = patterns(6).reshape(2, 3, 32, 32)
        file.attrs["emd_group_type"] = "array"
        if axis is not None:
            for number in range(4):
                file[f"dim{number}"] = axis
                file[f"dim{number}"].attrs["units"] = "1/nm"
    stack = open_stack(tmp_path / "scan.h5")
    assert stack.geometry.pixel_size is None
    assert stack.step is None


@pytest.mark.parametrize(
    ("tags", "units", "scan_first"),
    [
        ({"Meta Data": {"Data Order Swapped": 1}}, ("", ""), False),
        ({"Meta Data": {"Data Order Swapped": 0}}, ("", ""), True),
        ({"Meta Data": {"Format": "Diffraction image"}}, ("nm", "1/nm"), True),
        ({}, ("", ""), True),
        ({}, ("1/nm", "nm"), False),
        ({}, ("mrad", "nm"), False),
    ],
)
def test_which_axes_of_digital_micrograph_are_those_of_the_scan(
    tags, units, scan_first, tmp_path: Path
) -> None:
    pytest.importorskip("rsciio", reason="rosettasciio is not installed")
    data = patterns(15, 20, 24).reshape(3, 5, 20, 24)
    axes = [{"Origin": 0.0, "Scale": 0.5, "Units": unit} for unit in np.repeat(units, 2)]
    stored = data.transpose(2, 3, 0, 1) if scan_first else data
    write_dm(tmp_path / "a.dm4", np.ascontiguousarray(stored), 4, axes, tags)
    stack = open_stack(tmp_path / "a.dm4")
    assert_same(stack, data)
    np.testing.assert_array_equal(stack.frames([3, 4, 5, 6, 14])[-1], data[2, 4])
    assert any("holds the scan before its patterns" in note for note in stack.notes) == scan_first
    if "nm" in units:
        expected = 0.05 if "1/nm" in units else 0.5e-3 / electron_wavelength(200)
        assert spots(stack).pixel_size == pytest.approx(expected)
        assert stack.step == pytest.approx((0.0005, 0.0005))


def test_a_large_scan_strewn_over_a_file_of_digital_micrograph_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rsciio", reason="rosettasciio is not installed")
    axes = [{"Origin": 0.0, "Scale": 1.0, "Units": ""}] * 4
    write_dm(tmp_path / "a.dm4", patterns(6, 20, 24).reshape(20, 24, 2, 3), 4, axes)
    monkeypatch.setattr(microscopes, "_LARGEST_STREWN", 1000)
    with pytest.raises(InputError, match="keeps each pattern strewn over the whole file"):
        open_stack(tmp_path / "a.dm4")


# --- MRC


@pytest.mark.parametrize(
    ("stamp", "largest", "dtype"),
    [
        ((1146047817, 0), 0.0, "u1"),
        ((1146047817, 1), 200.0, "i1"),
        ((0, 0), 200.0, "u1"),
        ((0, 0), 0.0, "i1"),
    ],
)
@pytest.mark.parametrize("order", "<>")
def test_whether_the_bytes_of_mrc_have_a_sign(stamp, largest, dtype, order, tmp_path: Path) -> None:
    data = patterns(3, dtype="u1")
    data[0, 0] = 200
    head = bytearray(1024)
    struct.pack_into(f"{order}3i", head, 0, 32, 32, 3)
    struct.pack_into(f"{order}3f", head, 76, 0.0, largest, 0.0)
    struct.pack_into(f"{order}2i", head, 152, *stamp)
    head[208:214] = b"MAP " + (b"\x44\x44" if order == "<" else b"\x11\x11")
    (tmp_path / "a.mrc").write_bytes(bytes(head) + data.tobytes())
    assert_same(open_stack(tmp_path / "a.mrc"), data.view(dtype))


def test_gif(tmp_path: Path) -> None:
    from PIL import Image

    data = patterns(5, dtype="u1")
    frames = [Image.fromarray(frame) for frame in data]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], optimize=False)
    stack = open_stack(tmp_path / "a.gif")
    assert_same(stack, data)
    np.testing.assert_array_equal(stack.frame(3), data[3])


# --- Bruker


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_bruker_bcf(packed, dtype, tmp_path: Path) -> None:
    data = patterns(12, 24, 32, dtype)
    files = ebsd_files(data, list(range(12)), 3, 4)
    if packed:
        files = {name: zipped(content) for name, content in files.items()}
    path = Container(4096).write(tmp_path / "a.bcf", files)
    stack = open_stack(path)
    assert_same(stack, data.reshape(3, 4, 24, 32))
    # an independent reader of the container finds the same in it
    api = pytest.importorskip("rsciio.bruker._api")
    container = api.SFS_reader(str(path))
    found = container.get_file("EBSDData/FrameData").get_as_BytesIO_string().getvalue()
    assert found == ebsd_files(data, list(range(12)), 3, 4)["FrameData"]


def test_bruker_bcf_out_of_order_and_stopped(tmp_path: Path) -> None:
    data = patterns(4, 24, 32, "u1")
    path = Container(4096).write(tmp_path / "a.bcf", ebsd_files(data, [0, 2, 1, 4], 2, 3))
    stack = open_stack(path)
    assert stack.data.shape == (2, 3, 24, 32)
    for number, point in enumerate([0, 2, 1, 4]):
        np.testing.assert_array_equal(stack.frame(point), data[number])
    with pytest.raises(InputError, match="never recorded"):
        stack.frame(3)
    assert any("2 points of the grid were not recorded" in note for note in stack.notes)


def test_bruker_bcf_of_x_rays_says_what_to_do(tmp_path: Path) -> None:
    path = Container(4096).write(tmp_path / "a.bcf", {"Spectra": b"x" * 100})
    with pytest.raises(InputError, match=r"no EBSD patterns.*as HDF5"):
        open_stack(path)
