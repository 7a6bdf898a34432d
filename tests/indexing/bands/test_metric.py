"""Reciprocal bases, direct metrics, and the way between them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_diffraction.crystal.bravais import lattice_choices
from napari_diffraction.crystal.cell import UnitCell, random_cell
from napari_diffraction.crystal.orientation import random_orientations
from napari_diffraction.crystal.reduction import cells_alike
from napari_diffraction.crystal.structure import cell_of
from napari_diffraction.indexing.bands.four_bands import lattice_shape, reduced
from napari_diffraction.indexing.bands.metric import DirectMetric, reciprocal_basis, symmetric

NONE = np.zeros((6, 6))
PLACES = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
seeds = st.integers(0, 100_000)


def some_basis(seed: int) -> np.ndarray:
    """A reduced reciprocal basis of volume 1 in any orientation."""
    rng = np.random.default_rng(seed)
    cell = random_cell(100.0, "triclinic", (1.0, 2.5), rng)
    return random_orientations(1, rng)[0] @ reciprocal_basis(cell, "aP")


def test_a_reciprocal_basis_is_of_its_cell(letters: str, cells: dict[str, UnitCell]) -> None:
    basis = reciprocal_basis(cells[letters], letters)
    assert abs(np.linalg.det(basis)) == pytest.approx(1)
    again = cell_of(np.linalg.inv(basis))
    assert cells_alike(again, cells[letters], "aP", letters, lengths=1e-6, angles=1e-4, scale=None)
    # every vector is one of the lattice: whole indices in the conventional cell
    conventional = np.linalg.inv(cells[letters].basis)
    scale = np.cbrt(1 / abs(np.linalg.det(basis)))
    hkl = np.linalg.solve(conventional, basis * scale)
    unit = np.abs(np.linalg.det(hkl))
    centring = {"P": 1, "C": 2, "I": 2, "F": 4, "R": 3}[letters[1]]
    hkl = hkl * np.cbrt(centring / unit)
    assert hkl == pytest.approx(hkl.round(), abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(seed=seeds)
def test_there_and_back(seed: int) -> None:
    basis = some_basis(seed)
    direct = DirectMetric.of(basis, NONE)
    assert direct.metric == pytest.approx(direct.axes.T @ direct.axes)
    assert np.linalg.det(direct.change) == pytest.approx(1)
    # the axes are dual to the basis, up to the change
    assert basis.T @ direct.axes == pytest.approx(direct.change, abs=1e-9)
    back = symmetric(basis, direct, direct.metric)
    assert back == pytest.approx(basis, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(seed=seeds)
def test_reduction_changes_the_axes_and_not_the_lattice(seed: int) -> None:
    rng = np.random.default_rng(seed)
    basis = some_basis(seed)
    change = np.eye(3)
    for _ in range(4):
        i, j = rng.permutation(3)[:2]
        step = np.eye(3)
        step[i, j] = rng.integers(-2, 3)
        change = change @ step
    again = reduced(basis @ change)
    whole = np.linalg.solve(basis, again)
    assert whole == pytest.approx(whole.round(), abs=1e-6)
    assert abs(np.linalg.det(whole)) == pytest.approx(1)
    shape = lattice_shape(reduced(basis))
    assert lattice_shape(again) == pytest.approx(shape, abs=1e-6)
    # Of all superbases the one that Selling's steps end with is the shortest in sum.
    assert superbase_size(again) <= superbase_size(basis @ change) + 1e-9


def superbase_size(basis: np.ndarray) -> float:
    """Sum of the squares of three vectors and of the one that closes them."""
    return float((basis**2).sum() + (basis.sum(axis=1) ** 2).sum())


@settings(max_examples=40, deadline=None)
@given(seed=seeds)
def test_the_covariance_is_that_of_small_changes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    basis = some_basis(seed)
    small = 1e-6 * rng.normal(size=6)
    direct = DirectMetric.of(basis, np.outer(small, small))
    moved = basis.T @ basis
    for (i, j), value in zip(PLACES, small, strict=True):
        moved[i, j] += value
        if i != j:
            moved[j, i] += value
    change = direct.change.T @ np.linalg.inv(moved) @ direct.change - direct.metric
    told = np.array([change[place] for place in PLACES])
    expected = np.outer(told, told)
    assert direct.covariance == pytest.approx(expected, rel=1e-3, abs=1e-4 * np.abs(expected).max())


@settings(max_examples=40, deadline=None)
@given(seed=seeds, cubic=st.sampled_from(["cP", "cI", "cF"]))
def test_a_lattice_made_symmetric_keeps_its_orientation(seed: int, cubic: str) -> None:
    rng = np.random.default_rng(seed)
    exact = random_orientations(1, rng)[0] @ reciprocal_basis(UnitCell(4, 4, 4), cubic)
    basis = exact + 0.003 * rng.normal(size=(3, 3))
    direct = DirectMetric.of(basis, 0.005**2 * np.eye(6))
    choice = lattice_choices(direct.metric, direct.covariance)[0]
    assert choice.pearson == cubic
    made = symmetric(basis, direct, choice.metric)
    axes = np.linalg.inv(made).T @ direct.change
    assert axes.T @ axes == pytest.approx(choice.metric, abs=1e-6)
    # the one is the other stretched, not turned
    stretch = made @ np.linalg.inv(basis)
    assert stretch == pytest.approx(stretch.T, abs=1e-4)
    turn = made @ np.linalg.inv(exact)
    turn /= np.cbrt(np.linalg.det(turn))
    angle = np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1)))
    assert angle < 1


def test_operations_outside_turn_the_lattice_into_itself(
    letters: str, cells: dict[str, UnitCell]
) -> None:
    basis = reciprocal_basis(cells[letters], letters)
    direct = DirectMetric.of(basis, 0.003**2 * np.eye(6))
    choice = lattice_choices(direct.metric, direct.covariance)[0]
    assert choice.pearson == letters
    turns = direct.outside(choice.operations)
    dual = np.linalg.inv(basis).T
    metric = dual.T @ dual
    for turn in turns:
        assert turn.T @ metric @ turn == pytest.approx(metric, abs=1e-6)
    # and planes into planes of one spacing
    hkl = np.array([[1, 2, 0], [0, 1, -1], [2, 1, 3]])
    length = np.linalg.norm(hkl @ basis.T, axis=1)
    for turn in turns:
        assert np.linalg.norm(hkl @ turn @ basis.T, axis=1) == pytest.approx(length, abs=1e-6)


@pytest.mark.parametrize(
    ("letters", "cell"),
    [
        ("oP", UnitCell(4.7, 5.9, 7.6)),
        ("tP", UnitCell(4.6, 4.6, 2.96)),
        ("cP", UnitCell(4, 4, 4)),
        ("cF", UnitCell(4, 4, 4)),
        ("hP", UnitCell(2.95, 2.95, 4.69, 90, 90, 120)),
    ],
)
def test_noise_about_right_angles_does_not_hide_a_lattice(letters: str, cell: UnitCell) -> None:
    """An obtuse superbase may hold face diagonals there, in whose axes symmetry is not seen."""
    exact = reciprocal_basis(cell, letters)
    su = 0.004**2 * np.trace(exact.T @ exact) / 3
    for seed in range(12):
        rng = np.random.default_rng(seed)
        basis = (
            random_orientations(1, rng)[0] @ exact @ (np.eye(3) + 0.002 * rng.normal(size=(3, 3)))
        )
        direct = DirectMetric.of(basis, su * np.eye(6))
        # the three shortest vectors: no whole combination is shorter than those it holds
        lengths = np.sort(np.linalg.norm(direct.axes, axis=0))
        lattice = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3), axis=-1).reshape(-1, 3)
        every = np.sort(np.linalg.norm(lattice[lattice.any(axis=1)] @ direct.axes.T, axis=1))
        assert lengths[0] == pytest.approx(every[0])
        choices = lattice_choices(direct.metric, direct.covariance)
        assert choices[0].pearson == letters
