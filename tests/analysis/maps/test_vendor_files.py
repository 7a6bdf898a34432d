"""Files of other programs, line by line."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

from napari_diffraction.analysis.maps.phases import MapPhase
from napari_diffraction.analysis.maps.vendor_files import (
    MapFile,
    coordinates,
    named_colour,
    write_ang,
    write_ctf,
    write_orix,
)

NI = MapPhase(1, "Ni", "m-3m", 225, (3.52, 3.52, 3.52, 90.0, 90.0, 90.0), "#1F77B4")
QUARTZ = MapPhase(2, "low quartz", "-3m", 154, (4.91, 4.91, 5.4, 90.0, 90.0, 120.0), "#FF0000")


@pytest.fixture
def made():
    """Two rows and three columns: Ni, quartz, nothing found, and one point not looked at."""
    number = np.array([1, 1, 2, 0, 0, 2])
    done = np.array([True, True, True, True, False, True])
    return MapFile(
        "small",
        (2, 3),
        (0.5, 0.25),
        [NI, QUARTZ],
        number,
        done,
        {"software": "ours"},
        confidence=np.array([0.9, 0.8, 0.7, np.nan, 0.0, 0.6]),
        quality=np.linspace(0, 1, 6),
        contrast=np.linspace(0, 255, 6),
        fit=np.array([0.4, 0.5, 0.6, np.nan, np.nan, 0.7]),
        bands=np.array([9, 8, 7, 0, 0, 6]),
        angles=np.array([[10, 20, 30]] * 3 + [[np.nan] * 3] * 2 + [[350.0, 90, 60]]),
        centre=(0.5, 0.7, 0.6),
        voltage=20.0,
        tilt=70.0,
        properties={"grain": np.arange(6)},
    )


def test_coordinates_run_along_the_rows():
    x, y = coordinates((2, 3), (0.5, 0.25))
    assert x.tolist() == [0, 0.25, 0.5, 0, 0.25, 0.5]
    assert y.tolist() == [0, 0, 0, 0.5, 0.5, 0.5]


def test_ang_marks_points_without_phase(made, tmp_path):
    write_ang(made, tmp_path / "map.ang")
    lines = (tmp_path / "map.ang").read_text().splitlines()
    points = np.array([line.split() for line in lines if not line.startswith("#")], float)
    assert points.shape == (6, 10)
    assert points[0, :3] == pytest.approx(np.radians([10, 20, 30]), abs=1e-4)
    assert points[3, :3] == pytest.approx(4 * np.pi, abs=1e-4)
    assert points[:, 7].tolist() == [1, 1, 2, 0, 0, 2]
    assert points[[3, 4], 6].tolist() == [-1, -1]
    assert points[[3, 4], 9].tolist() == [180, 180]
    assert points[5, 3:5] == pytest.approx([0.5, 0.5])
    heading = [line[2:] for line in lines if line.startswith("#")]
    # the last phase first; EDAX's numbers of the Laue groups
    assert [line for line in heading if line.startswith("Phase ")] == ["Phase 2", "Phase 1"]
    symmetry = [line.split()[-1] for line in heading if line.startswith("Symmetry")]
    assert symmetry == ["32", "43"]
    formula = [line.split()[-1] for line in heading if line.startswith("Formula")]
    assert formula == ["low_quartz", "Ni"]
    assert "NROWS: 2" in heading
    assert "NCOLS_ODD: 3" in heading
    (facts,) = [line for line in heading if line.startswith("PROVENANCE")]
    assert json.loads(facts.partition(": ")[2]) == {"software": "ours"}


def test_ctf_tells_why_a_point_has_no_phase(made, tmp_path):
    write_ctf(made, tmp_path / "map.ctf")
    lines = (tmp_path / "map.ctf").read_text().splitlines()
    head = lines.index("Phase\tX\tY\tBands\tError\tEuler1\tEuler2\tEuler3\tMAD\tBC\tBS")
    points = np.array([line.split("\t") for line in lines[head + 1 :]], float)
    assert points.shape == (6, 11)
    assert points[:, 4].tolist() == [0, 0, 0, 3, 5, 0]
    assert not points[3:5, 5:9].any()
    assert points[5, 5:8] == pytest.approx([350, 90, 60])
    assert points[:, 9].tolist() == [0, 51, 102, 153, 204, 255]
    assert lines[head - 2 : head] == [
        "3.520;3.520;3.520\t90.000;90.000;90.000\tNi\t11\t225\t\t\t",
        "4.910;4.910;5.400\t90.000;90.000;120.000\tlow quartz\t7\t154\t\t\t",
    ]
    assert "XStep\t0.250000" in lines
    assert "YStep\t0.500000" in lines
    assert json.loads((tmp_path / "map.ctf.json").read_text())["software"] == "ours"


def test_orix_gets_properties_and_our_own_group(made, tmp_path):
    def add(group):
        group["mine"] = 7

    write_orix(made, tmp_path / "map.h5", add)
    with h5py.File(tmp_path / "map.h5") as file:
        data = file["crystal_map/data"]
        assert data["phase_id"][()].tolist() == [0, 0, 1, -1, -1, 1]
        assert data["phi1"][0] == pytest.approx(np.radians(10))
        assert data["grain"][()].tolist() == list(range(6))
        assert np.isfinite(data["confidence"][()]).all()
        assert set(file["crystal_map/header/phases"]) == {"-1", "0", "1"}
        assert file["napari_diffraction/mine"][()] == 7
        assert json.loads(file.attrs["provenance"]) == {"software": "ours"}


def test_what_is_not_known_is_written_as_nothing(made, tmp_path):
    from dataclasses import replace

    bare = replace(made, step=None, angles=None)
    assert bare.known_step == (1, 1)
    assert not bare.known_angles.any()
    write_ang(bare, tmp_path / "map.ang")
    text = (tmp_path / "map.ang").read_text()
    assert "# XSTEP: 1.000000" in text
    points = [line.split() for line in text.splitlines() if not line.startswith("#")]
    assert points[0][:3] == ["0.00000"] * 3


def test_a_colour_gets_the_nearest_name():
    assert named_colour("#FF0000") == "red"
    assert named_colour("#010101") == "black"
    assert named_colour("#FEFEFE") == "white"


def test_a_failed_write_leaves_no_file(made, tmp_path):
    def fail(group):
        raise RuntimeError("no room")

    with pytest.raises(RuntimeError, match="no room"):
        write_orix(made, tmp_path / "map.h5", fail)
    assert not list(tmp_path.iterdir())
