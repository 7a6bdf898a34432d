"""Frames of other programs, by what is known of them."""

import numpy as np
import pytest

from napari_diffraction.analysis.indexed.orientations import (
    assumptions,
    bunge_angles,
    crystal_frame,
    orientations,
)
from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.orientation import euler_matrices


def test_the_angles_that_made_the_rotations_come_back(indexed, true_angles):
    found = bunge_angles(indexed, "edax")
    known = indexed.phase >= 0
    assert np.isnan(found[~known]).all()
    again = euler_matrices(found[known])
    assert np.allclose(again, euler_matrices(true_angles)[known], atol=1e-5)


def test_the_sample_axes_of_the_programs(indexed):
    edax, oxford = orientations(indexed, "edax"), orientations(indexed, "oxford")
    cubic = indexed.phase == 0
    # x of Oxford is y of EDAX, to the right; y of Oxford, up, is against x of EDAX, down
    assert np.allclose(oxford[cubic, :, 0], edax[cubic, :, 1], atol=1e-6)
    assert np.allclose(oxford[cubic, :, 1], -edax[cubic, :, 0], atol=1e-6)
    assert np.allclose(oxford[cubic, :, 2], edax[cubic, :, 2], atol=1e-6)
    turn = bunge_angles(indexed, "edax")[cubic] - bunge_angles(indexed, "oxford")[cubic]
    assert turn[:, 0] % 360 == pytest.approx(90, abs=1e-3)
    assert turn[:, 1:] == pytest.approx(0, abs=1e-3)


def test_hexagonal_axes_of_edax_and_oxford_are_30_degrees_apart(indexed):
    hexagonal = indexed.phase == 1
    cell = indexed.phases[1].cell
    turn = bunge_angles(indexed, "oxford")[hexagonal] - bunge_angles(indexed, "edax")[hexagonal]
    assert turn[:, 0] % 360 == pytest.approx(270, abs=1e-3)
    assert turn[:, 1] == pytest.approx(0, abs=1e-3)
    # DREAM.3D adds 30 degrees to phi2 of Oxford's angles to come to EDAX's
    assert turn[:, 2] % 60 == pytest.approx(30, abs=1e-3)
    b = crystal_frame(cell, "oxford") @ cell.basis[1]
    assert b / cell.b == pytest.approx([0, 1, 0])
    assert crystal_frame(cell, "edax") @ cell.basis[0] == pytest.approx([cell.a, 0, 0])


@pytest.mark.parametrize("cell", [UnitCell(5, 6, 7, 90, 115, 90), UnitCell(5, 6, 7, 80, 100, 112)])
def test_oxford_lays_c_along_z_and_a_star_along_x(cell):
    frame = crystal_frame(cell, "oxford")
    assert frame @ frame.T == pytest.approx(np.eye(3))
    assert np.linalg.det(frame) == pytest.approx(1)
    assert frame @ cell.basis[2] == pytest.approx([0, 0, cell.c])
    assert (frame @ cell.reciprocal_basis[0])[1:] == pytest.approx([0, 0])
    if cell.alpha == 90:
        assert frame @ cell.basis[1] == pytest.approx([0, cell.b, 0])


def test_right_angled_cells_are_the_same_for_all():
    for cell in (UnitCell(4, 4, 4), UnitCell(4, 5, 6)):
        assert crystal_frame(cell, "oxford") == pytest.approx(np.eye(3))


def test_tilts_that_are_not_known_are_told(indexed, make_indexed):
    assert assumptions(indexed) == ()
    unknown = make_indexed(geometry=None)
    sample, camera = assumptions(unknown)
    assert "sample" in sample
    assert "70 degrees" in sample
    assert "camera" in camera
    assert "0 degrees" in camera


def test_a_step_that_is_not_known_is_told_of_a_scan_alone(make_indexed):
    (told,) = assumptions(make_indexed(step=None))
    assert ".ctf" in told
    assert "1 um" in told
    assert assumptions(make_indexed(step=None, shape=(48,))) == ()
