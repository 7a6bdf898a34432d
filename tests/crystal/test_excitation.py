"""Excited reflections against a plain enumeration of all of them, and against the geometry."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_diffraction.crystal.cell import UnitCell, random_cell
from napari_diffraction.crystal.excitation import SpotLists, excited_reflections
from napari_diffraction.crystal.orientation import (
    fibonacci_sphere,
    random_rotations,
    rotations_to_beam,
)
from napari_diffraction.crystal.reflections import ReflectionTable, reflection_table

TOLERANCE = 1e-9


def enumerate_all(
    table: ReflectionTable, rotation: np.ndarray, wavelength: float, error: float
) -> tuple[set[tuple[int, ...]], set[tuple[int, ...]]]:
    """Return the reflections that must be excited, and those that may be (on the very border)."""
    shape = np.array(table.intensity.shape)
    hkl = np.indices(shape).reshape(3, -1).T - shape // 2
    hkl = hkl[(table.intensity.ravel() > 0) & np.any(hkl != 0, axis=1)]
    g = hkl @ table.cell.reciprocal_basis @ rotation.T
    radius = 1 / wavelength
    distance = np.abs(np.linalg.norm(g + np.array([0, 0, radius]), axis=1) - radius)
    slack = np.minimum(error - distance, 1 / table.resolution - np.linalg.norm(g, axis=1))
    must, may = hkl[slack > TOLERANCE], hkl[slack > -TOLERANCE]
    return {tuple(x) for x in must.tolist()}, {tuple(x) for x in may.tolist()}


def check(
    table: ReflectionTable, rotations: np.ndarray, wavelength: float, error: float
) -> SpotLists:
    spots = excited_reflections(table, rotations, wavelength, error)
    assert len(spots) == len(rotations)
    for i, rotation in enumerate(rotations):
        mine = spots.slice(i)
        hkl = spots.hkl[mine]
        found = {tuple(x) for x in hkl.tolist()}
        assert len(found) == len(hkl) == spots.counts[i]  # each once
        must, may = enumerate_all(table, rotation, wavelength, error)
        assert must <= found <= may
        g = hkl @ table.cell.reciprocal_basis @ rotation.T
        np.testing.assert_allclose(spots.position[mine], g[:, :2], atol=1e-6)
        distance = np.linalg.norm(g + np.array([0, 0, 1 / wavelength]), axis=1) - 1 / wavelength
        np.testing.assert_allclose(spots.excitation[mine], distance, atol=1e-6)
        np.testing.assert_array_equal(spots.intensity[mine], table.at(hkl))
    return spots


@settings(max_examples=40, deadline=None)
@given(
    volume=st.floats(20, 1500),
    seed=st.integers(0, 2**32 - 1),
    wavelength=st.floats(0.005, 0.1),
    error=st.floats(1e-4, 0.1),
    kind=st.sampled_from(
        [
            ("triclinic", None),
            ("monoclinic", "I 1 2 1"),
            ("orthorhombic", "F d d d"),
            ("monoclinic", "P 1 21 1"),
        ]
    ),
)
def test_same_as_enumeration(
    volume: float, seed: int, wavelength: float, error: float, kind: tuple[str, str | None]
) -> None:
    rng = np.random.default_rng(seed)
    system, group = kind
    cell = random_cell(volume, system, anisotropy=(1, 6), rng=rng)
    table = reflection_table(cell, 1.0, group, "random", rng)
    check(table, random_rotations(3, rng), wavelength, error)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), resolution=st.floats(0.2, 0.4))
def test_high_indices_of_small_cells(seed: int, resolution: float) -> None:
    rng = np.random.default_rng(seed)
    cell = random_cell((20, 90), anisotropy=(1, 3), rng=rng)
    check(reflection_table(cell, resolution), random_rotations(2, rng), 0.0418, 0.02)


@pytest.mark.parametrize("lengths", [(3.0, 4.0, 90.0), (90.0, 3.0, 4.0), (4.0, 90.0, 3.0)])
def test_needles_and_plates(lengths: tuple[float, float, float]) -> None:
    table = reflection_table(UnitCell(*lengths, 80, 100, 95))
    special = rotations_to_beam(np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, -1]]))
    check(table, special, 0.0251, 0.01)


def test_cell_below_the_resolution_and_orientation_without_spots() -> None:
    empty = check(reflection_table(UnitCell(2, 2, 2), 3.0), np.eye(3)[None], 0.0251, 0.01)
    assert len(empty.hkl) == 0
    assert empty.counts.tolist() == [0]


def test_more_spots_than_expected_grow_the_room() -> None:
    """All of a large excitation error's reflections are kept, zone or not."""
    table = reflection_table(UnitCell(30, 2.5, 30))
    spots = check(
        table, np.stack([np.eye(3), rotations_to_beam(np.array([[0.0, 1, 0]]))[0]]), 0.01, 0.03
    )
    assert spots.counts[1] > spots.counts[0]


def test_many_orientations_are_each_treated_alike() -> None:
    """Also when one far down the list has more spots than there is room for."""
    table = reflection_table(UnitCell(30, 2.5, 30))
    rotations = np.tile(np.eye(3), (600, 1, 1))
    rotations[300] = rotations_to_beam(np.array([[0.0, 1, 0]]))[0]
    spots = excited_reflections(table, rotations, 0.01, 0.03)
    alone = [excited_reflections(table, rotations[[i]], 0.01, 0.03) for i in (0, 300)]
    assert len(alone[1].hkl) > 2 * len(alone[0].hkl)
    for i in range(600):
        expected, mine = alone[i == 300], spots.slice(i)
        np.testing.assert_array_equal(spots.hkl[mine], expected.hkl)
        np.testing.assert_array_equal(spots.position[mine], expected.position)
        np.testing.assert_array_equal(spots.excitation[mine], expected.excitation)
        np.testing.assert_array_equal(spots.intensity[mine], expected.intensity)


def test_no_orientations() -> None:
    spots = excited_reflections(reflection_table(UnitCell(5, 6, 7)), np.zeros((0, 3, 3)))
    assert len(spots) == 0
    assert spots.hkl.shape == (0, 3)


def test_zone_of_a_cube_by_hand() -> None:
    """Along c only h k 0 are excited, up to where the sphere has left the plane by the error."""
    wavelength, error = 0.0251, 0.01
    spots = excited_reflections(reflection_table(UnitCell(10, 10, 10)), np.eye(3)[None])
    limit = np.sqrt((1 / wavelength + error) ** 2 - 1 / wavelength**2)
    assert limit == pytest.approx(np.sqrt(2 * error / wavelength), rel=1e-3)
    expected = {
        (h, k, 0) for h in range(-10, 11) for k in range(-10, 11) if 0 < np.hypot(h, k) / 10 < limit
    }
    assert {tuple(x) for x in spots.hkl.tolist()} == expected
    np.testing.assert_allclose(spots.position, spots.hkl[:, :2] / 10, atol=1e-6)  # a right, b down


def test_scattered_beam_loses_forward_momentum() -> None:
    """On the sphere g bends back, against the beam: g_z = -wavelength g^2 / 2."""
    rng = np.random.default_rng(0)
    cell, rotations = random_cell(900, rng=rng), random_rotations(40, rng)
    spots = excited_reflections(reflection_table(cell), rotations, 0.04, 0.001)
    owner = np.repeat(np.arange(40), spots.counts)
    g = np.einsum("nij,nj->ni", rotations[owner], spots.hkl @ cell.reciprocal_basis)
    g2 = np.sum(g**2, axis=1)
    np.testing.assert_allclose(g[:, 2], -0.04 * g2 / 2, atol=0.0011)
    assert g[g2 > 0.8, 2].max() < -0.01


def test_number_of_spots_is_that_of_the_shell() -> None:
    """A shell 2 s thick within 1/d holds 2 pi s V / d^2 reflections on average."""
    cell = UnitCell(5.6786, 10.4648, 20.4682, 109.7914, 106.5805, 105.8206)
    spots = excited_reflections(reflection_table(cell), rotations_to_beam(fibonacci_sphere(1000)))
    assert spots.counts.mean() == pytest.approx(2 * np.pi * 0.01 * cell.volume, rel=0.05)
