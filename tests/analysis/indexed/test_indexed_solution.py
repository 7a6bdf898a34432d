"""The solution as JSON values and as a table, and what files say of phases."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_diffraction.analysis.indexed.phases import (
    file_phases,
    laue_of_phase,
    phase_colours,
    symmetry_of_phase,
)
from napari_diffraction.analysis.indexed.solution import (
    COLUMNS,
    NOT_INDEXED_NAME,
    plain,
    provenance,
    solution,
    table_of,
)
from napari_diffraction.crystal.materials import MATERIALS
from napari_diffraction.patterns.stack import KikuchiGeometry


def test_values_become_those_that_json_knows():
    value = {
        1: np.int64(4),
        "a": [np.float32(0.5), float("nan"), np.inf],
        "b": (True, None, "text"),
        "c": np.arange(4).reshape(2, 2),
        "d": np.bool_(False),
        "e": KikuchiGeometry,
    }
    told = plain(value)
    assert told["1"] == 4
    assert told["a"] == [0.5, None, None]
    assert told["b"] == [True, None, "text"]
    assert told["c"] == [[0, 1], [2, 3]]
    assert told["d"] is False
    assert isinstance(told["e"], str)
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_the_solution_is_whole_without_anything_known(make_indexed):
    bare = make_indexed(
        phases=(),
        phase=np.full(48, -1, np.int16),
        rotation=np.full((48, 3, 3), np.nan, np.float32),
        geometry=None,
        step=None,
        sources=(),
        notes=(),
        about={},
    )
    told = solution(bare)
    assert told["phases"] == []
    assert told["not_indexed"] == 1
    assert told["step"] is None
    assert told["sources"] == []
    assert (told["sample_tilt"], told["camera_tilt"]) == (70, 0)
    # the tilts and the step are told as assumed
    assert len(told["notes"]) == 3
    json.dumps(told, allow_nan=False)
    table = table_of(bare)
    assert set(table["phase"]) == {NOT_INDEXED_NAME}
    assert set(table["lattice"]) == {""}
    assert table[["misfit_deg", "phi1", "Phi", "phi2"]].isna().all(axis=None)


def test_the_centre_moves_over_the_scan_about_the_one_that_is_told(make_indexed):
    drift = np.array([[0.01, 0.0, -0.002], [0.0, 0.02, 0.001]])  # from row to row, column to column
    indexed = make_indexed(pc_gradient=drift)
    centres = np.array([indexed.centre_at(index) for index in range(48)]).reshape(6, 8, 3)
    np.testing.assert_allclose(centres.mean(axis=(0, 1)), indexed.pattern_centre, atol=1e-12)
    for axis in range(2):
        steps = np.diff(centres, axis=axis)
        np.testing.assert_allclose(steps, np.broadcast_to(drift[axis], steps.shape), atol=1e-12)


def test_provenance_does_not_say_twice_what_the_solution_says(indexed):
    facts, told = provenance(indexed), solution(indexed)
    assert facts["pattern_centre"] == told["pattern_centre"] == [0.5, 0.3, 0.6]
    assert facts["points"] == told["points"] == 48
    assert told["pattern_centre_gradient"] == [[0, 0, 0], [0, 0, 0]]
    assert told["sample_tilt"] == 68
    assert facts["about"]["settings"] == {"patterns": 48}


def test_a_centre_that_nobody_knows_is_not_told(make_indexed):
    told = solution(make_indexed(pattern_centre_from="assumed"))
    assert told["pattern_centre"] is None
    assert told["pattern_centre_from"] is None
    assert told["pattern_centre_su"] is None
    for known in ("file", "given", "found"):
        told = solution(make_indexed(pattern_centre_from=known))
        assert told["pattern_centre"] == [0.5, 0.3, 0.6]
        assert told["pattern_centre_from"] == known


def test_a_table_has_its_columns_and_rows_of_what_was_done(make_indexed):
    done = np.zeros(48, bool)
    done[[3, 20, 47]] = True
    table = table_of(make_indexed(done=done))
    assert tuple(table.columns) == COLUMNS
    assert table["index"].tolist() == [3, 20, 47]
    assert table["row"].tolist() == [0, 2, 5]
    assert table["column"].tolist() == [3, 4, 7]
    assert table["phase"].tolist() == ["phase 1", "phase 3", "phase 2"]
    assert table["lattice"].tolist() == ["cF", "mC", "hP"]


def test_each_pattern_has_its_own_source(make_indexed):
    sources = tuple(f"{k}.tif" for k in range(48))
    table = table_of(make_indexed(sources=sources))
    assert table["source"].tolist() == list(sources)
    assert solution(make_indexed(sources=sources))["sources"] == sorted(sources)


def test_a_confidence_that_is_none_is_zero(make_indexed):
    confidence = np.full(48, np.nan, np.float32)
    assert (table_of(make_indexed(confidence=confidence))["confidence"] == 0).all()


def test_symmetry_of_phases_by_lattice_and_by_structure(indexed):
    from dataclasses import replace

    cubic, hexagonal, monoclinic = indexed.phases
    assert [laue_of_phase(one) for one in indexed.phases] == ["m-3m", "6/mmm", "2/m"]
    assert symmetry_of_phase(hexagonal) == "hP"
    quartz = replace(hexagonal, structure=MATERIALS["quartz"], cell_su=(0,) * 6)
    assert laue_of_phase(quartz) == "-3m"
    assert symmetry_of_phase(quartz) == MATERIALS["quartz"].space_group
    assert symmetry_of_phase(monoclinic) == "mC"
    assert laue_of_phase(cubic) != laue_of_phase(quartz)


def test_a_name_tells_no_more_of_the_orientations_of_a_phase_that_was_found(make_indexed):
    from dataclasses import replace

    cubic, hexagonal, monoclinic = make_indexed().phases
    nickel = replace(cubic, structure=MATERIALS["Ni"])
    quartz = replace(hexagonal, structure=MATERIALS["quartz"])
    assert (laue_of_phase(quartz), symmetry_of_phase(quartz)) == ("6/mmm", "hP")
    named = file_phases(make_indexed(phases=(nickel, quartz, monoclinic)))
    assert [one.laue for one in named] == ["m-3m", "6/mmm", "2/m"]
    # programs take the symmetry of orientations from the group
    assert [one.space_group for one in named] == [225, 0, 0]
    given = replace(quartz, cell_su=(0,) * 6)
    told = file_phases(make_indexed(phases=(nickel, given, monoclinic)))[1]
    assert (told.laue, told.space_group) == ("-3m", MATERIALS["quartz"].space_group)


def test_phases_in_files_are_numbered_from_one(indexed):
    phases = file_phases(indexed)
    assert [one.value for one in phases] == [1, 2, 3]
    assert [one.name for one in phases] == ["phase 1", "phase 2", "phase 3"]
    assert [one.laue for one in phases] == ["m-3m", "6/mmm", "2/m"]
    assert {one.space_group for one in phases} == {0}
    assert phases[2].cell == pytest.approx((9.7, 8.9, 5.3, 90, 105.7, 90))
    colours = phase_colours(indexed)
    assert len(set(colours)) == 3
    assert [one.colour for one in phases] == list(colours)
    assert all(len(colour) == 7 and colour[0] == "#" for colour in colours)
