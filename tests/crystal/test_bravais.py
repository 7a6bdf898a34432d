"""Bravais lattices of metrics: exact ones, noisy ones, and those near a higher symmetry."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_diffraction.crystal.bravais import lattice_choices, probabilities
from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.crystal.reduction import cells_alike, primitive_cell, reduced_cell
from napari_diffraction.crystal.structure import cell_of
from napari_diffraction.crystal.symmetry import proper_rotations

CELLS = {
    "aP": UnitCell(5.1, 6.3, 7.4, 77, 99, 108),
    "mP": UnitCell(5.1, 6.3, 7.4, 90, 103, 90),
    "mC": UnitCell(9.7, 8.9, 5.3, 90, 105.7, 90),
    "oP": UnitCell(4.7, 5.9, 7.6),
    "oC": UnitCell(4.1, 9.3, 6.2),
    "oI": UnitCell(4.2, 5.6, 7.7),
    "oF": UnitCell(5.6, 7.9, 10.2),
    "tP": UnitCell(4.6, 4.6, 2.96),
    "tI": UnitCell(3.8, 3.8, 9.5),
    "hP": UnitCell(2.95, 2.95, 4.69, 90, 90, 120),
    "hR": UnitCell(4.76, 4.76, 13.0, 90, 90, 120),
    "cP": UnitCell(3.6, 3.6, 3.6),
    "cI": UnitCell(2.87, 2.87, 2.87),
    "cF": UnitCell(3.52, 3.52, 3.52),
}
#: Free numbers of a cell beside its scale decide how sure a symmetry can be.
SURE = 0.9


def metric_of(cell: UnitCell, letters: str) -> np.ndarray:
    basis = primitive_cell(cell, letters) @ cell.basis
    return basis @ basis.T


def covariance_of(metric: np.ndarray, relative: float) -> np.ndarray:
    """Equal uncertainties of all components, in parts of a metric of volume 1."""
    return (relative * np.cbrt(np.linalg.det(metric))) ** 2 * np.eye(6)


def noisy(metric: np.ndarray, relative: float, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(3, 3))
    symmetric = np.triu(noise) + np.triu(noise, 1).T
    return metric + relative * np.cbrt(np.linalg.det(metric)) * symmetric


@pytest.mark.parametrize("letters", BRAVAIS_LATTICES)
def test_an_exact_metric_tells_lattice_and_conventional_cell(letters: str) -> None:
    cell = CELLS[letters]
    metric = metric_of(cell, letters)
    choices = lattice_choices(metric, covariance_of(metric, 0.002))
    best = choices[0]
    assert best.pearson == letters
    assert probabilities(choices)[letters] > SURE
    assert best.cell.volume == pytest.approx(cell.volume, rel=1e-6)
    # axes of monoclinic and triclinic cells are a matter of taste
    assert cells_alike(best.cell, cell, letters, letters, lengths=1e-4, angles=0.01)
    if letters[0] in "othc":
        assert sorted(best.cell.lengths) == pytest.approx(sorted(cell.lengths), rel=1e-6)
    if letters[0] in "thc":
        assert best.cell.parameters == pytest.approx(cell.parameters, rel=1e-6)


@pytest.mark.parametrize("letters", BRAVAIS_LATTICES)
def test_what_belongs_to_a_choice_fits_together(letters: str) -> None:
    metric = noisy(metric_of(CELLS[letters], letters), 0.003, 3)
    for choice in lattice_choices(metric, covariance_of(metric, 0.003)):
        moved = choice.operations.transpose(0, 2, 1) @ choice.metric @ choice.operations
        assert moved == pytest.approx(np.broadcast_to(choice.metric, moved.shape), rel=1e-6)
        own = proper_rotations(choice.pearson, choice.cell)
        assert len(choice.operations) == len(own)
        axes = choice.to_conventional
        basis = choice.cell.basis
        assert axes.T @ choice.metric @ axes == pytest.approx(basis @ basis.T, abs=1e-6)
        primitive = {"P": 1, "C": 2, "I": 2, "F": 4, "R": 3}
        assert np.linalg.det(axes) == pytest.approx(primitive[choice.pearson[1]])


@pytest.mark.parametrize("letters", BRAVAIS_LATTICES)
def test_probabilities_are_some(letters: str) -> None:
    metric = noisy(metric_of(CELLS[letters], letters), 0.01, 4)
    told = probabilities(lattice_choices(metric, covariance_of(metric, 0.01)))
    assert set(told) == set(BRAVAIS_LATTICES)
    assert sum(told.values()) == pytest.approx(1, abs=1e-4)
    assert min(told.values()) >= 0


@settings(max_examples=25, deadline=None)
@given(
    letters=st.sampled_from(["cP", "cI", "cF"]),
    size=st.floats(2.5, 12),
    seed=st.integers(0, 10_000),
)
def test_a_cubic_metric_with_a_little_noise_stays_cubic(
    letters: str, size: float, seed: int
) -> None:
    exact = metric_of(UnitCell(size, size, size), letters)
    metric = noisy(exact, 0.004, seed)
    best = lattice_choices(metric, covariance_of(metric, 0.004))[0]
    assert best.pearson == letters
    assert best.cell.lengths == pytest.approx(size, rel=0.02)
    assert best.cell.angles.tolist() == [90, 90, 90]
    assert best.cell_su[3:] == (0, 0, 0)
    assert 0 < best.cell_su[0] < 0.02 * size
    assert best.cell_su[0] == best.cell_su[1] == best.cell_su[2]


@pytest.mark.parametrize(("letters", "other"), [("cP", "tP"), ("cF", "tI"), ("cI", "tI")])
@pytest.mark.parametrize("ratio", [0.93, 1.07])
def test_a_large_tetragonal_distortion_is_seen(letters: str, other: str, ratio: float) -> None:
    cell = UnitCell(4, 4, 4 * ratio)
    centred = {"cP": "tP", "cI": "tI"}.get(letters)
    # a tetragonal F lattice is I on axes that are turned by 45 degrees
    small = cell if centred else UnitCell(4 / np.sqrt(2), 4 / np.sqrt(2), 4 * ratio)
    metric = metric_of(small, centred or "tI")
    told = probabilities(lattice_choices(metric, covariance_of(metric, 0.004)))
    assert told[other] > SURE
    assert told[letters] < 0.02


@pytest.mark.parametrize("ratio", [1.0, 1.002])
def test_a_small_distortion_is_not_excluded_and_not_believed(ratio: float) -> None:
    cell = UnitCell(4, 4, 4 * ratio)
    metric = metric_of(cell, "tP")
    told = probabilities(lattice_choices(metric, covariance_of(metric, 0.01)))
    assert told["cP"] > told["tP"] > 1e-3


def test_less_certain_metrics_are_less_surely_of_low_symmetry() -> None:
    metric = metric_of(UnitCell(4, 4, 4.12), "tP")
    sure, unsure = (
        probabilities(lattice_choices(metric, covariance_of(metric, su)))["cP"]
        for su in (0.002, 0.03)
    )
    assert sure < 0.05 < unsure


@settings(max_examples=30, deadline=None)
@given(
    sides=st.tuples(st.floats(4, 6), st.floats(6.5, 8), st.floats(9, 12)),
    gamma=st.floats(62, 84),
)
def test_an_angle_and_its_supplement_are_one_lattice(
    sides: tuple[float, float, float], gamma: float
) -> None:
    """Gamma 70 and 110 span one net where the shorter angle's cell is another base of it."""
    a, b, c = sides
    acute, obtuse = UnitCell(a, b, c, 90, 90, gamma), UnitCell(a, b, c, 90, 90, 180 - gamma)
    assert reduced_cell(acute).parameters == pytest.approx(reduced_cell(obtuse).parameters)
    assert cells_alike(acute, obtuse, lengths=1e-6, angles=1e-4)
    told = [
        probabilities(lattice_choices(metric, covariance_of(metric, 0.002)))
        for metric in (metric_of(cell, "aP") for cell in (acute, obtuse))
    ]
    assert told[0] == pytest.approx(told[1], abs=1e-3)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), factor=st.floats(0.01, 100))
def test_the_unit_of_the_metric_does_not_matter(seed: int, factor: float) -> None:
    letters = list(CELLS)[seed % 14]
    metric = noisy(metric_of(CELLS[letters], letters), 0.004, seed)
    covariance = covariance_of(metric, 0.004)
    one = lattice_choices(metric, covariance)
    other = lattice_choices(metric * factor, covariance * factor**2)
    assert probabilities(one) == pytest.approx(probabilities(other), abs=1e-6)
    assert other[0].cell.lengths / np.sqrt(factor) == pytest.approx(one[0].cell.lengths, rel=1e-4)


def test_the_metric_of_a_choice_is_of_its_cell() -> None:
    metric = noisy(metric_of(CELLS["hR"], "hR"), 0.002, 8)
    best = lattice_choices(metric, covariance_of(metric, 0.002))[0]
    primitive = cell_of(np.linalg.cholesky(best.metric))
    assert cells_alike(primitive, best.cell, "aP", best.pearson, lengths=1e-4, angles=0.01)
