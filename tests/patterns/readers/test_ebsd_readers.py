"""Scans of EBSD systems: grid, step, geometry, and what is done where they do not fit."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.readers import can_read, open_stack
from napari_diffraction.patterns.readers.ebsd.scan import bruker_pc
from napari_diffraction.patterns.stack import KikuchiGeometry, SpotGeometry

ROWS, COLUMNS, HEIGHT, WIDTH = 3, 4, 12, 16
N = ROWS * COLUMNS
SCAN = np.random.default_rng(0).integers(1, 255, (N, HEIGHT, WIDTH)).astype("u1")
GRID = SCAN.reshape(ROWS, COLUMNS, HEIGHT, WIDTH)
PC = (0.52, 0.31, 0.64)


def write(path, values):
    with h5py.File(path, "w") as file:
        for name, value in values.items():
            file[name] = value
    return path


def per_point(value):
    return np.full(N, value, "f4")


def oxford(**changes):
    height = HEIGHT / WIDTH
    return {
        "1/EBSD/Data/Processed Patterns": SCAN,
        "1/EBSD/Data/Unprocessed Patterns": SCAN + 1,
        "1/EBSD/Data/Pattern Center X": per_point(PC[0]),
        "1/EBSD/Data/Pattern Center Y": per_point((1 - PC[1]) * height),
        "1/EBSD/Data/Detector Distance": per_point(PC[2] * height),
        "1/EBSD/Header/X Cells": [COLUMNS],
        "1/EBSD/Header/Y Cells": [ROWS],
        "1/EBSD/Header/X Step": [0.5],
        "1/EBSD/Header/Y Step": [0.25],
        "1/EBSD/Header/Tilt Angle": [np.deg2rad(70)],
        "1/EBSD/Header/Detector Orientation Euler": np.deg2rad([[0.0, 95.0, 0.0]]),
        "1/EBSD/Header/Beam Voltage": [20.0],
    } | changes


def edax(**changes):
    return {
        "Scan 1/EBSD/Data/Pattern": SCAN,
        "Scan 1/EBSD/Data/CI": per_point(0.1),
        # bigger than all patterns together
        "Scan 1/EBSD/Header/Coordinate System/Schematic 1": np.zeros((80, 90, 3), "u1"),
        "Scan 1/EBSD/Header/Pattern Center Calibration/x-star": [PC[0]],
        "Scan 1/EBSD/Header/Pattern Center Calibration/y-star": [1 - PC[1]],
        "Scan 1/EBSD/Header/Pattern Center Calibration/z-star": [PC[2]],
        "Scan 1/EBSD/Header/nColumns": [COLUMNS],
        "Scan 1/EBSD/Header/nRows": [ROWS],
        "Scan 1/EBSD/Header/Step X": [0.5],
        "Scan 1/EBSD/Header/Step Y": [0.25],
        "Scan 1/EBSD/Header/Sample Tilt": [70.0],
        "Scan 1/EBSD/Header/Camera Elevation Angle": [5.0],
        "Scan 1/EBSD/Header/Grid Type": np.array([b"SqrGrid"]),
    } | changes


def bruker(**changes):
    return {
        "Scan 0/EBSD/Data/RawPatterns": SCAN,
        "Scan 0/EBSD/Data/PCX": per_point(PC[0]),
        "Scan 0/EBSD/Data/PCY": per_point(PC[1]),
        "Scan 0/EBSD/Data/DD": per_point(PC[2]),
        "Scan 0/EBSD/Header/NCOLS": COLUMNS,
        "Scan 0/EBSD/Header/NROWS": ROWS,
        "Scan 0/EBSD/Header/XSTEP": 0.5,
        "Scan 0/EBSD/Header/YSTEP": 0.25,
        "Scan 0/EBSD/Header/KV": 20.0,
        "Scan 0/EBSD/Header/CameraTilt": 5.0,
        "Scan 0/EBSD/Header/Sample Tilt": 70.0,
        "Scan 0/EBSD/Header/Grid Type": np.array([b"isometric"]),
    } | changes


def kikuchipy(**changes):
    return {
        "Scan 1/EBSD/Data/patterns": SCAN,
        "Scan 1/EBSD/Header/pcx": np.full((ROWS, COLUMNS), PC[0]),
        "Scan 1/EBSD/Header/pcy": np.full((ROWS, COLUMNS), PC[1]),
        "Scan 1/EBSD/Header/pcz": np.full((ROWS, COLUMNS), PC[2]),
        "Scan 1/EBSD/Header/n_columns": [COLUMNS],
        "Scan 1/EBSD/Header/n_rows": [ROWS],
        "Scan 1/EBSD/Header/step_x": [0.5],
        "Scan 1/EBSD/Header/step_y": [0.25],
        "Scan 1/EBSD/Header/sample_tilt": [70],
        "Scan 1/EBSD/Header/elevation_angle": [5],
        "Scan 1/SEM/Header/beam_energy": [20.0],
    } | changes


def emsoft(**changes):
    settings = "NMLparameters/EBSDNameList"
    return {
        "EMData/EBSD/EBSDPatterns": SCAN,
        f"{settings}/xpc": [(0.5 - PC[0]) * WIDTH],
        f"{settings}/ypc": [(0.5 - PC[1]) * HEIGHT],
        f"{settings}/L": [PC[2] * HEIGHT * 70.0],
        f"{settings}/delta": [70.0],
        f"{settings}/numsx": [WIDTH],
        f"{settings}/numsy": [HEIGHT],
        f"{settings}/thetac": [5.0],
        f"{settings}/energymax": [20.0],
        "EMheader/EBSD/Version": np.array([b"5_0_20200217_0"]),
    } | changes


VENDORS = {
    "a.h5oina": oxford, "a.oh5": edax, "a.h5ebsd": bruker, "kikuchipy.h5": kikuchipy,
    "emsoft.h5": emsoft,
}  # fmt: skip


@pytest.mark.parametrize("name", VENDORS)
def test_a_scan_in_hdf5(name, tmp_path):
    path = write(tmp_path / name, VENDORS[name]())
    stack = open_stack(path)
    assert can_read(path)
    if VENDORS[name] is not emsoft:
        assert stack.step == (0.25, 0.5)
        np.testing.assert_array_equal(stack.data.compute(), GRID)
    np.testing.assert_array_equal([stack.frame(i) for i in range(N)], SCAN)
    geometry = stack.geometry
    assert isinstance(geometry, KikuchiGeometry)
    assert geometry.pc == pytest.approx(PC, abs=1e-6)
    assert geometry.pc_map is None  # the same all over
    assert geometry.camera_tilt == pytest.approx(5.0)
    if VENDORS[name] is not emsoft:
        assert geometry.sample_tilt == pytest.approx(70.0)
    assert geometry.voltage == (None if VENDORS[name] is edax else 20.0)


def test_emsoft_counted_the_other_way_before_version_5(tmp_path):
    values = emsoft(**{"EMheader/EBSD/Version": np.array([b"4_2_0_0"])})
    x, y, z = open_stack(write(tmp_path / "a.h5", values)).geometry.pc
    assert (x, y, z) == pytest.approx((1 - PC[0], PC[1], PC[2]))


def test_the_pattern_centre_moves_with_the_beam(tmp_path):
    values = bruker(**{"Scan 0/EBSD/Data/PCX": np.linspace(0.4, 0.6, N)})
    values["Scan 0/EBSD/Data/DD"] = np.where(np.arange(N) == 5, np.nan, PC[2])
    geometry = open_stack(write(tmp_path / "a.h5", values)).geometry
    assert geometry.pc_map.shape == (ROWS, COLUMNS, 3)
    assert geometry.pc_map[0, 0] == pytest.approx((0.4, *PC[1:]))
    assert geometry.pc_map[2, 3] == pytest.approx((0.6, *PC[1:]))
    # where it is missing the mean of the others stands in
    assert geometry.pc_map[1, 1] == pytest.approx(geometry.pc)


def test_a_region_of_interest_in_the_order_of_recording(tmp_path):
    order = np.random.default_rng(1).permutation(N)[: N - 2]
    values = bruker(
        **{
            "Scan 0/EBSD/Data/RawPatterns": SCAN[order],
            "Scan 0/EBSD/SEM/IY": 7 + order // COLUMNS,
            "Scan 0/EBSD/SEM/IX": 3 + order % COLUMNS,
        }
    )
    for name in ("PCX", "PCY", "DD"):
        values[f"Scan 0/EBSD/Data/{name}"] = values[f"Scan 0/EBSD/Data/{name}"][: N - 2]
    stack = open_stack(write(tmp_path / "a.h5", values))
    missing = set(range(N)) - set(order.tolist())
    expected = np.where(np.isin(np.arange(N), list(missing))[:, None, None], 0, SCAN)
    np.testing.assert_array_equal(stack.data.compute().reshape(SCAN.shape), expected)
    with pytest.raises(InputError, match="never recorded"):
        stack.frame(missing.pop())
    assert any("2 points" in note for note in stack.notes)


@pytest.mark.parametrize("vendor", [oxford, edax, bruker, kikuchipy])
def test_a_stopped_scan_shows_what_is_there(vendor, tmp_path):
    recorded = 2 * COLUMNS + 1
    values = {
        name: value[:recorded] if np.shape(value)[:1] == (N,) else value
        for name, value in vendor().items()
    }
    stack = open_stack(write(tmp_path / "a.h5", values))
    assert stack.data.shape == (3, COLUMNS, HEIGHT, WIDTH)
    np.testing.assert_array_equal(stack.data[:2].compute(), GRID[:2])
    np.testing.assert_array_equal(stack.data[2].compute()[0], GRID[2, 0])
    assert not stack.data[2, 1:].compute().any()
    np.testing.assert_array_equal(stack.frame(recorded - 1), SCAN[recorded - 1])
    with pytest.raises(InputError, match="pattern 9 was never recorded"):
        stack.frame(recorded)
    assert any("ends early: 9 of 3 x 4 points" in note for note in stack.notes)


def test_whole_rows_that_are_missing_are_left_out(tmp_path):
    values = edax(**{"Scan 1/EBSD/Data/Pattern": SCAN[: 2 * COLUMNS]})
    stack = open_stack(write(tmp_path / "a.h5", values))
    assert stack.data.shape == (2, COLUMNS, HEIGHT, WIDTH)


def test_more_patterns_than_the_header_promises(tmp_path):
    stack = open_stack(write(tmp_path / "a.h5", edax(**{"Scan 1/EBSD/Header/nRows": [2]})))
    assert stack.data.shape == SCAN.shape
    assert stack.step is None
    assert any("promises 2 x 4 points but there are 12" in note for note in stack.notes)


@pytest.mark.parametrize("grid", [b"HexGrid", b"hexagonal"])
def test_a_hexagonal_grid_is_a_list(grid, tmp_path):
    values = edax(**{"Scan 1/EBSD/Header/Grid Type": np.array([grid])})
    stack = open_stack(write(tmp_path / "a.h5", values))
    np.testing.assert_array_equal(stack.data.compute(), SCAN)
    assert any("hexagonal" in note for note in stack.notes)


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan])
def test_a_pattern_centre_that_was_never_set(value, tmp_path):
    centre = "Scan 1/EBSD/Header/Pattern Center Calibration/"
    values = edax(**{f"{centre}{axis}-star": [value] for axis in "xyz"})
    stack = open_stack(write(tmp_path / "a.h5", values))
    assert stack.geometry.pc is None
    note = " ".join(stack.notes)
    assert "pattern centre is unknown" in note
    assert "voltage is unknown" in note


def test_a_header_that_is_missing_or_of_odd_types(tmp_path):
    bare = write(tmp_path / "bare.h5", {"Scan 1/EBSD/Data/Pattern": SCAN})
    assert open_stack(bare).geometry == KikuchiGeometry()
    odd = {name: np.array([b"x"]) for name in edax() if "Header" in name}
    stack = open_stack(write(tmp_path / "odd.h5", edax(**odd)))
    assert stack.data.shape == SCAN.shape
    assert stack.geometry == KikuchiGeometry()


def test_two_scans_in_a_file_are_to_be_chosen_from(tmp_path):
    second = {name.replace("Scan 1", "Scan 2"): value for name, value in kikuchipy().items()}
    path = write(tmp_path / "a.h5", kikuchipy() | second)
    with pytest.raises(InputError, match="--dataset"):
        open_stack(path)
    assert open_stack(path, "Scan 2/EBSD/Data/patterns").step == (0.25, 0.5)


@pytest.mark.parametrize("rows", [1, N])
def test_single_rows_and_columns(rows, tmp_path):
    header = {"Scan 1/EBSD/Header/nRows": [rows], "Scan 1/EBSD/Header/nColumns": [N // rows]}
    stack = open_stack(write(tmp_path / "a.h5", edax(**header)))
    assert stack.data.shape == (rows, N // rows, HEIGHT, WIDTH)
    np.testing.assert_array_equal(stack.data.compute().reshape(SCAN.shape), SCAN)


def test_a_scan_of_one_point(tmp_path):
    values = {"Scan 1/EBSD/Data/Pattern": SCAN[:1]}
    values |= {"Scan 1/EBSD/Header/nRows": [1], "Scan 1/EBSD/Header/nColumns": [1]}
    stack = open_stack(write(tmp_path / "a.h5", edax(**values)))
    assert stack.data.shape == (1, 1, HEIGHT, WIDTH)
    assert "1 row and 1 column," in stack.notes[0]


def test_blank_patterns_are_mentioned(tmp_path):
    values = edax(**{"Scan 1/EBSD/Data/Pattern": np.zeros_like(SCAN)})
    stack = open_stack(write(tmp_path / "a.h5", values))
    assert any("is blank" in note for note in stack.notes)
    assert stack.data.shape == GRID.shape


def test_geometry_survives_another_process(tmp_path):
    values = bruker(**{"Scan 0/EBSD/Data/RawPatterns": SCAN[:9]})
    stack = open_stack(write(tmp_path / "a.h5", values))
    again = pickle.loads(pickle.dumps(stack))
    np.testing.assert_array_equal(again.data.compute(), stack.data.compute())
    assert again.geometry == stack.geometry


def test_our_own_scans_keep_their_geometry(tmp_path):
    geometry = KikuchiGeometry(PC, 70.0, 5.0, 20.0)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["entry/data/data"] = GRID
        file.attrs.update(geometry.numbers() | {"step_rows": 0.25, "step_columns": 0.5})
        file["pattern_centre"] = np.broadcast_to(PC, (ROWS, COLUMNS, 3))
    stack = open_stack(tmp_path / "a.h5")
    assert stack.geometry == geometry
    assert stack.step == (0.25, 0.5)
    assert (stack.geometry.pc_map == PC).all()


# --- binary files


def up(path, scan=SCAN, version=3, rows=ROWS, columns=COLUMNS, hexagonal=0):
    head = struct.pack("<4I", version, WIDTH, HEIGHT, 42 if version >= 3 else 16)
    if version >= 3:
        head += struct.pack("<xIIBdd", columns, rows, hexagonal, 0.5, 0.25)
    dtype = "<u2" if path.suffix == ".up2" else "u1"
    path.write_bytes(head + scan.astype(dtype).tobytes())
    return path


@pytest.mark.parametrize("suffix", [".up1", ".up2"])
def test_edax_binary(suffix, tmp_path):
    path = up(tmp_path / f"a{suffix}")
    stack = open_stack(path)
    np.testing.assert_array_equal(stack.data.compute(), GRID)
    assert stack.step == (0.25, 0.5)
    assert isinstance(stack.geometry, KikuchiGeometry)
    assert can_read(path)


def test_edax_binary_without_a_grid_or_on_a_hexagonal_one(tmp_path):
    for path in (up(tmp_path / "a.up1", version=1), up(tmp_path / "b.up1", hexagonal=1)):
        np.testing.assert_array_equal(open_stack(path).data.compute(), SCAN)


def test_edax_binary_cut_short(tmp_path):
    path = up(tmp_path / "a.up1")
    path.write_bytes(path.read_bytes()[: 42 + 7 * HEIGHT * WIDTH + 5])
    stack = open_stack(path)
    assert any("ends early: 7 of 3 x 4" in note for note in stack.notes)
    np.testing.assert_array_equal(stack.data.compute().reshape(-1, HEIGHT, WIDTH)[:7], SCAN[:7])
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(InputError, match="cut short"):
        open_stack(path)


def test_other_files_called_up1(tmp_path):
    path = tmp_path / "a.up1"
    path.write_bytes(bytes(range(256)))
    assert not can_read(path)
    with pytest.raises(InputError, match="EDAX"):
        open_stack(path)


SETTINGS = (
    "[Microscope]\nAccelerating voltage\t20\tkV\nTilt angle\t70\t°\n[Detector angles]\n"
    "Elevation\t5\t°\n[Acquisition settings]\nResolution\t16x12\tpx\n[Calibration settings]\n"
    "Resolution\t99x99\tpx\n[Area]\nStep size\t0.25\tµm\nNumber of samples\t3x4\t#\n"
)


def test_nordif(tmp_path):
    (tmp_path / "Setting.txt").write_text(SETTINGS, encoding="latin-1")
    path = tmp_path / "Pattern.dat"
    path.write_bytes(SCAN.tobytes())
    stack = open_stack(path)
    np.testing.assert_array_equal(stack.data.compute(), GRID)
    assert stack.geometry == KikuchiGeometry(None, 70.0, -5.0, 20.0)
    assert stack.step == (0.25, 0.25)
    assert can_read(path)
    (tmp_path / "Setting.txt").write_text(SETTINGS.replace("16x12", ""), encoding="latin-1")
    with pytest.raises(InputError, match="resolution"):
        open_stack(path)


def test_the_static_background_beside_patterns_of_nordif(tmp_path):
    (tmp_path / "Setting.txt").write_text(SETTINGS, encoding="latin-1")
    path = tmp_path / "Pattern.dat"
    path.write_bytes(SCAN.tobytes())
    beside = tmp_path / "Background acquisition pattern.bmp"
    assert open_stack(path).background is None
    background = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH)
    picture(beside, background)
    np.testing.assert_array_equal(open_stack(path).background, background)
    # the folder stands for the scan, however many pictures there are
    picture(tmp_path / "Calibration (3,4).bmp", background)
    np.testing.assert_array_equal(open_stack(tmp_path).data.compute(), GRID)
    picture(beside, background[:-1])
    assert open_stack(path).background is None
    beside.write_bytes(b"BM, but no picture")
    np.testing.assert_array_equal(open_stack(path).data.compute(), GRID)


def test_any_other_dat_file_is_not_ours(tmp_path):
    path = tmp_path / "Pattern.dat"
    path.write_bytes(SCAN.tobytes())
    assert not can_read(path)
    assert not can_read(tmp_path)
    with pytest.raises(InputError, match="NORDIF"):
        open_stack(path)


def test_ebsp_names_what_is_needed(tmp_path, monkeypatch):
    import importlib

    def missing(name, package=None):
        if name == "kikuchipy":
            raise ModuleNotFoundError(name)
        return original(name, package)

    original = importlib.import_module
    monkeypatch.setattr(importlib, "import_module", missing)
    path = tmp_path / "a.ebsp"
    path.write_bytes(b"x" * 100)
    with pytest.raises(InputError, match=r"napari-diffraction\[em\]"):
        open_stack(path)


@pytest.mark.parametrize("shape", [(HEIGHT, WIDTH), (1, HEIGHT, WIDTH), (HEIGHT, WIDTH, 3)])
def test_a_scan_without_its_patterns_is_refused(shape, tmp_path):
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file["1/EBSD/Data/Phase"] = np.ones(N, np.uint8)
        file["1/EBSD/Header/Processed Static Background"] = np.ones(shape, np.uint8)
        file["1/Electron Image/Data/SE"] = np.ones(shape, np.uint8)
    with pytest.raises(InputError, match="an EBSD scan without its patterns"):
        open_stack(path)
    with h5py.File(path, "a") as file:
        file["1/EBSD/Data/Processed Patterns"] = h5py.ExternalLink("gone.h5", "patterns")
    with pytest.raises(InputError, match=r"broken link to gone\.h5"):
        open_stack(path)
    # what a person names is taken
    assert len(open_stack(path, "1/Electron Image/Data/SE")) == 1
    with h5py.File(path, "a") as file:
        file["1/EBSD/Data/My patterns"] = SCAN
    np.testing.assert_array_equal(open_stack(path).data.compute(), SCAN)


# --- folders of pictures


def picture(path, frame):
    Image.fromarray(frame).save(path)


@pytest.mark.parametrize(
    "name",
    ["map_x{x}y{y}.tif", "Site1 X{x:03d}_Y{y:03d}.png", "a-{x}-{y}.bmp", "y{y}_x{x}.png",
     "scan_r{y}_c{x}.tif", "row {y} col {x}.png", "p ({x},{y}).bmp", "x_{x}.0_y_{y}.50.tif"],
)  # fmt: skip
def test_pictures_with_coordinates(name, tmp_path):
    for i in np.random.default_rng(2).permutation(N):
        y, x = divmod(int(i), COLUMNS)
        picture(tmp_path / name.format(x=3 * x + 8, y=y), SCAN[i])
    stack = open_stack(tmp_path)
    np.testing.assert_array_equal(stack.data.compute(), GRID)
    assert Path(stack.source(COLUMNS + 1)).name == name.format(x=11, y=1)
    assert isinstance(stack.geometry, SpotGeometry)


@pytest.mark.parametrize(
    ("name", "middle"),
    [("map_x{x}_y{y}.tif", 1), ("x={x} y={y}.png", 1), ("p ({x},{y}).bmp", 1),
     ("x{x}y{y}.png", COLUMNS - 1), ("x_{x}_y_{y}.png", COLUMNS), ("p ({x},{y}).bmp", COLUMNS)],
)  # fmt: skip
def test_pictures_with_negative_coordinates(name, middle, tmp_path):
    for i in range(N):
        y, x = divmod(i, COLUMNS)
        picture(tmp_path / name.format(x=x - middle, y=y - 1), SCAN[i])
    np.testing.assert_array_equal(open_stack(tmp_path).data.compute(), GRID)


@pytest.mark.parametrize("name", ["map_x-{x}_y-{y}.tif", "row-{y}-col-{x}.png"])
def test_a_dash_between_name_and_number_is_no_sign(name, tmp_path):
    for i in range(N):
        y, x = divmod(i, COLUMNS)
        picture(tmp_path / name.format(x=x, y=y), SCAN[i])
    np.testing.assert_array_equal(open_stack(tmp_path).data.compute(), GRID)


def test_missing_pictures_of_a_scan(tmp_path):
    for i in range(1, N - 2):
        picture(tmp_path / f"x{i % COLUMNS}y{i // COLUMNS}.png", SCAN[i])
    stack = open_stack(tmp_path)
    assert stack.data.shape == GRID.shape
    assert not stack.data[0, 0].compute().any()
    np.testing.assert_array_equal(stack.frame(N - 3), SCAN[N - 3])
    assert any("3 points of the scan have no file" in note for note in stack.notes)


@pytest.mark.parametrize(
    "names",
    [
        ["run-12-0001.png", "run-12-0002.png", "run-12-0003.png"],  # a run number, not a column
        ["(425,447).png", "(294,532).png", "(88,12).png"],  # strewn over the field
        ["max1_y1.png", "max2_y1.png", "other.png"],
        ["x1y1 a.png", "x1y1 b.png", "x2y1.png"],
    ],
)
def test_pictures_that_are_no_scan(names, tmp_path):
    for i, name in enumerate(names):
        picture(tmp_path / name, SCAN[i])
    assert open_stack(tmp_path).data.shape == (3, HEIGHT, WIDTH)


def test_mixed_sizes_are_refused(tmp_path):
    for i in range(4):
        picture(tmp_path / f"x{i}y0.png", SCAN[i] if i != 2 else SCAN[i][:-1])
    with pytest.raises(InputError, match="different sizes"):
        open_stack(tmp_path)


# --- the scan that kikuchipy brings along


def test_shipped_scan_in_all_formats(tmp_path):
    kikuchipy = pytest.importorskip("kikuchipy", reason="kikuchipy is not installed")
    data = Path(kikuchipy.__file__).parent / "data"
    signal = kikuchipy.load(data / "kikuchipy_h5ebsd/patterns.h5")
    expected = signal.data.reshape(9, 60, 60)
    files = ["edax_h5ebsd/patterns.h5", "edax_binary/edax_binary.up1",
             "edax_binary/edax_binary.up2", "nordif/Pattern.dat",
             "oxford_binary/patterns.ebsp"]  # fmt: skip
    paths = [data / file for file in files]
    from kikuchipy.data._dummy_files import bruker_h5ebsd, oxford_h5ebsd

    bruker_h5ebsd.create_dummy_bruker_h5ebsd_file(tmp_path / "bruker.h5")
    oxford_h5ebsd.create_dummy_oxford_h5ebsd_file(tmp_path / "oxford.h5oina")
    for path in (*paths, tmp_path / "bruker.h5"):
        stack = open_stack(path)
        np.testing.assert_array_equal(stack.data.compute().reshape(-1, 60, 60)[:9], expected)
        if path.suffix == ".dat":
            np.testing.assert_array_equal(stack.background, signal.static_background)
    # kikuchipy takes the static background off before it writes this one
    background_off = kikuchipy.load(tmp_path / "oxford.h5oina", processed=True).data
    stack = open_stack(tmp_path / "oxford.h5oina")
    np.testing.assert_array_equal(stack.data.compute(), background_off)
    stack = open_stack(data / "kikuchipy_h5ebsd/patterns.h5", "Scan 1/EBSD/Data/patterns")
    np.testing.assert_array_equal(stack.data.compute(), signal.data)
    assert stack.geometry.pc_map == pytest.approx(signal.detector.pc)
    assert stack.geometry.voltage == 20


@pytest.mark.parametrize("shape", [(60, 80), (80, 60)])
@pytest.mark.parametrize("convention", ["edax", "oxford"])
def test_conventions_agree_with_kikuchipy(convention, shape):
    detectors = pytest.importorskip("kikuchipy.detectors", reason="kikuchipy is not installed")
    centre = np.array([0.4, 0.7, 0.55])
    theirs = detectors.EBSDDetector(shape=shape, pc=centre, convention=convention)
    assert bruker_pc(convention, centre, shape) == pytest.approx(theirs.pc_bruker().ravel())
