"""Indexed scans against the maps of other programs, written and read back as these have them."""

from dataclasses import replace

import numpy as np
import pytest

from napari_diffraction.analysis.indexed.compare import compare_indexed, program_of
from napari_diffraction.analysis.indexed.export import export_indexed
from napari_diffraction.analysis.maps.compare import AGREE, DIFFER, NOT_COMPARED, TURNED
from napari_diffraction.crystal.orientation import euler_angles, euler_matrices
from napari_diffraction.errors import InputError
from napari_diffraction.patterns.maps.files import read_map


@pytest.fixture(params=[".ang", ".ctf", ".h5"])
def theirs(request, make_indexed, tmp_path):
    """The same scan as another program has it: its file's frames, whose they are."""
    path = export_indexed(make_indexed(), tmp_path / f"map{request.param}")
    return read_map(path), program_of(path)


def rotated(other, degrees, axis=2):
    """Return a map whose samples' axes are turned about one of them."""
    turn = np.eye(3)
    angle = np.radians(degrees)
    a, b = (one for one in range(3) if one != axis)
    turn[[a, a, b, b], [a, b, a, b]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
    shape = other.euler.shape
    turned = euler_angles(euler_matrices(other.euler.reshape(-1, 3)) @ turn).reshape(shape)
    return replace(other, euler=turned.astype(np.float32))


def test_a_map_agrees_with_itself_in_all_frames(make_indexed, theirs):
    other, program = theirs
    found = compare_indexed(make_indexed(), other, program)
    assert found.agreement == 1
    assert found.points == 47
    assert not found.turned
    assert np.nanmax(found.misorientation) < 0.05
    assert np.isnan(found.misorientation[0, 0])
    assert found.difference[0, 0] == NOT_COMPARED
    assert (found.difference.ravel()[1:] == AGREE).all()
    assert any("median 0.0" in line and "100.0% within" in line for line in found.sentences())


def test_axes_turned_by_right_angles_are_found_out_and_told(make_indexed, theirs):
    other, program = theirs
    found = compare_indexed(make_indexed(), rotated(other, 90), program)
    assert found.turned
    assert np.nanmax(found.misorientation) < 0.05
    assert "turned to fit" in found.sentences()[-1]
    # by other angles they are not: the maps do differ
    found = compare_indexed(make_indexed(), rotated(other, 30), program)
    assert not found.turned
    assert (found.difference == TURNED).sum() > 40
    assert found.agreement == 1  # of phases


def test_points_that_differ_in_orientation_or_phase_are_told_apart(make_indexed, theirs):
    other, program = theirs
    euler = other.euler.copy()
    euler[4, 1, 1] += 12
    phase = other.phase.copy()
    phase[5, 1] = 2
    found = compare_indexed(make_indexed(), replace(other, euler=euler, phase=phase), program)
    assert found.difference[4, 1] == TURNED
    assert found.misorientation[4, 1] == pytest.approx(12, abs=0.1)
    assert found.difference[5, 1] == DIFFER
    assert found.agreement == pytest.approx(46 / 47)
    assert (found.difference == AGREE).sum() == 45


@pytest.mark.parametrize("theirs", [".ang", ".ctf"], indirect=True)
def test_phases_without_a_name_in_common_are_known_by_their_cell(make_indexed, theirs):
    other, program = theirs
    bare = (None,) * 4
    other = replace(other, names=("not indexed", "A", "B", "C"), lattices=bare)
    found = compare_indexed(make_indexed(), other, program)
    assert found.matched == {"A": "phase 1", "B": "phase 2", "C": "phase 3"}
    assert found.agreement == 1
    # of a phase known up to a factor only the shape counts
    larger = tuple(None if one is None else (*(2 * x for x in one[:3]), *one[3:]) for one in
                   other.cells)  # fmt: skip
    assert set(
        compare_indexed(make_indexed(), replace(other, cells=larger), program).matched.values()
    ) == {None}
    shapes = tuple(replace(one, scale_known=False) for one in make_indexed().phases)
    found = compare_indexed(make_indexed(phases=shapes), replace(other, cells=larger), program)
    assert found.agreement == 1


def test_what_has_no_orientations_or_another_size(make_indexed, theirs):
    other, program = theirs
    found = compare_indexed(make_indexed(), replace(other, euler=None), program)
    assert found.agreement == 1
    assert np.isnan(found.misorientation).all()
    assert not any("Orientations" in line for line in found.sentences())
    with pytest.raises(InputError, match="5 x 8 points, alloy has 6 x 8"):
        compare_indexed(make_indexed(), replace(other, phase=other.phase[1:]), program)
