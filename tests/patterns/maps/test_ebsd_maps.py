"""Maps of other programs are read as they were written."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.maps.files import read_map
from napari_diffraction.patterns.maps.vendor_map import lattice_of

ROWS, COLUMNS = 3, 4
N = ROWS * COLUMNS
PHASE = np.array([[1, 1, 2, 2], [0, 1, 2, 2], [1, 1, 1, 0]])
EULER = np.random.default_rng(0).uniform(0, 90, (ROWS, COLUMNS, 3))
QUALITY = np.random.default_rng(1).uniform(10, 90, (ROWS, COLUMNS)).round(2)
NAMES = ("not indexed", "Nickel", "Titanium alpha")


def ang(phase=PHASE, grid="SqrGrid", header=True, first=1):
    lines = ["# TEM_PIXperUM  1.0"]
    for number, name in ((2, NAMES[2]), (1, NAMES[1])):
        lines += [f"# Phase {number}", f"# MaterialName  \t{name}", "# Formula  X", "# Symmetry 43"]
    if header:
        lines += [f"# GRID: {grid}", "# XSTEP: 0.500000", "# YSTEP: 0.250000",
                  f"# NCOLS_ODD: {COLUMNS}", f"# NCOLS_EVEN: {COLUMNS}",
                  f"# NROWS: {ROWS}"]  # fmt: skip
    lines += ["#", "# OPERATOR: x"]
    for r in range(ROWS):
        for c in range(COLUMNS):
            angles = " ".join(f"{a:.5f}" for a in np.radians(EULER[r, c]))
            ci = QUALITY[r, c] if phase[r, c] else -1
            number = phase[r, c] if phase[r, c] else first
            lines.append(f"  {angles} {c * 0.5:.5f} {r * 0.25:.5f} 99.0 {ci:.3f} {number} 1 1.0")
    return "\n".join(lines) + "\n"


def ctf(decimal="."):
    lines = ["Channel Text File", "Prj\tx", "JobMode\tGrid", f"XCells\t{COLUMNS}",
             f"YCells\t{ROWS}", "XStep\t0.5", "YStep\t0.25", "AcqE1\t0",
             "Euler angles refer to Sample Coordinate system (CS0)!\tMag\t200", "Phases\t2",
             "3.524;3.524;3.524\t90;90;90\tNickel\t11\t225\t\t\tsource",
             "2.95;2.95;4.68\t90;90;120\tTitanium alpha\t9\t194",
             "Phase\tX\tY\tBands\tError\tEuler1\tEuler2\tEuler3\tMAD\tBC\tBS"]  # fmt: skip
    for r in range(ROWS):
        for c in range(COLUMNS):
            values = [PHASE[r, c], c * 0.5, r * 0.25, 8, 0, *EULER[r, c], 0.5, QUALITY[r, c], 9]
            lines.append("\t".join(str(value) for value in values))
    text = "\n".join(lines) + "\n"
    if decimal == ",":
        head, body = text.split("BS\n")
        text = head.replace("0.5", "0,5").replace("0.25", "0,25") + "BS\n" + body.replace(".", ",")
    return text


def orix(path, group="crystal_map"):
    with h5py.File(path, "w") as file:
        data = file.create_group(f"{group}/data")
        y, x = np.divmod(np.arange(N), COLUMNS)
        data["x"], data["y"] = x * 0.5, y * 0.25
        data["phase_id"] = PHASE.ravel() - 1
        data["is_in_data"] = np.arange(N) != 5
        for i, name in enumerate(("phi1", "Phi", "phi2")):
            data[name] = np.radians(EULER[..., i].ravel())
        data["scores"] = np.stack([QUALITY.ravel(), QUALITY.ravel() - 1], 1)
        header = file.create_group(f"{group}/header")
        header["grid_type"] = np.array([b"square"])
        header["x_step"], header["y_step"] = [0.5], [0.25]
        for key, name, space_group in (
            ("-1", b"not_indexed", np.array([b"None"])),
            ("0", b"Nickel", np.array([225])),
            ("1", b"Titanium alpha", np.array([b"194"])),
        ):
            header[f"phases/{key}/name"] = np.array([name])
            header[f"phases/{key}/space_group"] = space_group


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def check(found, phase=PHASE, lattices=(None, "cF", "hP")):
    np.testing.assert_array_equal(found.phase, phase)
    assert found.names == NAMES
    assert found.lattices == lattices
    assert found.step == (0.25, 0.5)
    np.testing.assert_allclose(found.euler, EULER, atol=2e-3)
    indexed = phase > 0
    np.testing.assert_allclose(found.quality[indexed], QUALITY[indexed], atol=1e-3)


@pytest.mark.parametrize("header", [True, False])
def test_ang(write, header):
    check(read_map(write("a.ang", ang(header=header))), lattices=(None, None, None))


@pytest.mark.parametrize("decimal", [".", ","])
def test_ctf(write, decimal):
    check(read_map(write("a.ctf", ctf(decimal))))


@pytest.mark.parametrize("group", ["crystal_map", "Scan 1/EBSD/CrystalMap/crystal_map"])
def test_orix(tmp_path, group):
    orix(tmp_path / "a.h5", group)
    phase = PHASE.copy()
    phase[1, 1] = 0  # said not to be in the data
    check(read_map(tmp_path / "a.h5"), phase)


def test_the_only_phase_counts_from_nought(write):
    text = ang(np.where(PHASE > 0, 1, 0)).replace(
        "# Phase 2\n# MaterialName  \tTitanium alpha\n", ""
    )
    rows = [line.split() for line in text.splitlines() if not line.startswith("#")]
    for row in rows:
        row[7] = "0"
    head = [line for line in text.splitlines() if line.startswith("#")]
    found = read_map(write("a.ang", "\n".join(head + [" ".join(row) for row in rows])))
    np.testing.assert_array_equal(found.phase, PHASE > 0)
    assert found.names == NAMES[:2]


@pytest.mark.parametrize("number", [0, 1])
def test_an_ang_that_names_no_phase_has_one(write, number):
    text = ang(np.where(PHASE > 0, 1, 0))
    rows = [line.split() for line in text.splitlines() if not line.startswith("#")]
    for row in rows:
        row[7] = str(number)
    found = read_map(write("a.ang", "\n".join(map(" ".join, rows))))
    np.testing.assert_array_equal(found.phase, PHASE > 0)
    assert found.names == ("not indexed", "Phase 1")


@pytest.mark.parametrize(("name", "text"), [("a.ang", ang()), ("a.ctf", ctf())])
def test_a_map_that_ends_early(write, name, text):
    whole = text.splitlines()
    short = read_map(write(name, "\n".join([*whole[:-5], whole[-5][:9]])))
    expected = PHASE.copy().ravel()
    expected[N - 5 :] = 0
    np.testing.assert_array_equal(short.phase.ravel(), expected)
    assert np.isnan(short.euler[2, 3]).all()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.ang", ang().replace(f"NROWS: {ROWS}", "NROWS: 2")),
        ("a.ang", ang().replace("XSTEP: 0.5", "XSTEP: 0.3")),
        ("a.ctf", ctf().replace(f"XCells\t{COLUMNS}", "XCells\t2")),
    ],
)
def test_no_point_is_lost_to_a_header_of_another_map(write, name, text):
    lattices = (None, None, None) if name == "a.ang" else (None, "cF", "hP")
    check(read_map(write(name, text)), lattices=lattices)


def test_hexagonal_maps_are_refused(write):
    with pytest.raises(InputError, match="hexagonal"):
        read_map(write("a.ang", ang(grid="HexGrid")))


@pytest.mark.parametrize(
    ("name", "text", "say"),
    [
        ("a.ang", "# nothing\n", "a.ang"),
        ("a.ang", "1 2 3\n", "columns"),
        ("a.ctf", "x\n" * 20, "columns is missing"),
        ("a.h5", "no HDF5", "a.h5"),
        ("a.txt", "x", "ang"),
        ("a.ang", "0 0 0 0 0 1 1 1\n0 0 0 1e9 0 1 1 1\n0 0 0 1 0 1 1 1\n0 0 0 2 0 1 1 1\n", "far"),
    ],
)
def test_what_is_no_map_is_said_in_one_sentence(write, name, text, say):
    with pytest.raises(InputError, match=say) as caught:
        read_map(write(name, text))
    assert "\n" not in str(caught.value)


def test_hdf5_without_a_map(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.zeros((3, 3))
    with pytest.raises(InputError, match="holds no map"):
        read_map(tmp_path / "a.h5")


@pytest.mark.parametrize("vendor", ["oxford", "edax", "bruker"])
def test_the_map_beside_the_patterns(vendor, tmp_path):
    names = {
        "oxford": ("Y Cells", "X Cells", "Y Step", "X Step", "Phases", "Phase Name", "Space Group"),
        "edax": ("nRows", "nColumns", "Step Y", "Step X", "Phase", "MaterialName", "none"),
        "bruker": ("NROWS", "NCOLS", "YSTEP", "XSTEP", "Phases", "Name", "IT"),
    }[vendor]
    angles = {"oxford": (), "edax": ("Phi1", "Phi", "Phi2"), "bruker": ("phi1", "PHI", "phi2")}
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        header, data = file.create_group("1/EBSD/Header"), file.create_group("1/EBSD/Data")
        for name, value in zip(names[:4], (ROWS, COLUMNS, 0.25, 0.5), strict=True):
            header[name] = [value]
        for number, (name, group) in enumerate(zip(NAMES[1:], (225, 194), strict=True), start=1):
            header[f"{names[4]}/{number}/{names[5]}"] = np.array([name.encode()])
            header[f"{names[4]}/{number}/{names[6]}"] = [group]
        data["Phase"] = PHASE.ravel()
        unit = 1.0 if vendor == "bruker" else np.pi / 180
        for i, name in enumerate(angles[vendor]):
            data[name] = EULER[..., i].ravel() * unit
        if vendor == "oxford":
            data["Euler"] = EULER.reshape(N, 3) * unit
    found = read_map(path)
    np.testing.assert_array_equal(found.phase, PHASE)
    assert found.names == NAMES
    assert found.step == (0.25, 0.5)
    assert found.lattices == ((None, None, None) if vendor == "edax" else (None, "cF", "hP"))
    np.testing.assert_allclose(found.euler, EULER, atol=1e-3)


def bruker(file, scan, order):
    """Write the points of a scan in the order of recording."""
    header, data = file.create_group(f"{scan}/EBSD/Header"), file.create_group(f"{scan}/EBSD/Data")
    for name, value in {"NROWS": 90, "NCOLS": 80, "YSTEP": 0.25, "XSTEP": 0.5}.items():
        header[name] = value
    data["Phase"] = PHASE.ravel()[order]
    for i, name in enumerate(("phi1", "PHI", "phi2")):
        data[name] = EULER[..., i].ravel()[order]
    file[f"{scan}/EBSD/SEM/IY"] = 7 + order // COLUMNS
    file[f"{scan}/EBSD/SEM/IX"] = 3 + order % COLUMNS


def test_a_region_of_interest_in_the_order_of_recording(tmp_path):
    order = np.random.default_rng(1).permutation(N)
    order, left_out = order[:-1], order[-1]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        bruker(file, "1", order)
    found = read_map(tmp_path / "a.h5")
    there = np.arange(N).reshape(ROWS, COLUMNS) != left_out
    np.testing.assert_array_equal(found.phase, np.where(there, PHASE, 0))
    np.testing.assert_allclose(found.euler[there], EULER[there], atol=1e-3)
    assert found.step == (0.25, 0.5)


def test_of_several_scans_the_largest_is_taken(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        bruker(file, "1", np.arange(COLUMNS))
        bruker(file, "2", np.arange(N))
    np.testing.assert_array_equal(read_map(tmp_path / "a.h5").phase, PHASE)
    orix(tmp_path / "b.h5", "z/crystal_map")
    with h5py.File(tmp_path / "b.h5", "a") as file:
        file["a/crystal_map/data/phase_id"] = np.zeros(2, int)
    assert read_map(tmp_path / "b.h5").phase.shape == PHASE.shape


@pytest.mark.parametrize("suffix", [".ang", ".h5"])
def test_maps_written_by_orix(suffix, tmp_path):
    io = pytest.importorskip("orix.io", reason="orix is not installed")
    from orix.crystal_map import CrystalMap, Phase, PhaseList
    from orix.quaternion import Rotation

    y, x = np.divmod(np.arange(N), COLUMNS)
    phases = PhaseList([Phase("Nickel", space_group=225), Phase("Titanium alpha", space_group=194)])
    xmap = CrystalMap(
        Rotation.from_euler(EULER.reshape(-1, 3), degrees=True), PHASE.ravel() - 1, x * 0.5,
        y * 0.25, phase_list=phases, scan_unit="um", prop={"confidence": QUALITY.ravel()},
    )  # fmt: skip
    path = tmp_path / f"a{suffix}"
    io.save(path, xmap)
    found = read_map(path)
    np.testing.assert_array_equal(found.phase, PHASE)
    assert found.names == NAMES
    assert found.step == pytest.approx((0.25, 0.5))
    indexed = PHASE > 0
    np.testing.assert_allclose(found.euler[indexed], EULER[indexed], atol=1e-2)


def test_lattices_of_space_groups():
    groups = {1: "aP", 4: "mP", 15: "mC", 38: "oC", 63: "oC", 43: "oF", 72: "oI", 139: "tI",
              136: "tP", 194: "hP", 155: "hR", 221: "cP", 225: "cF", 229: "cI"}  # fmt: skip
    assert {number: lattice_of(number) for number in groups} == groups
    assert lattice_of(0) is None
    assert lattice_of(231) is None
