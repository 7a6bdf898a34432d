"""Which reflections exist, and their intensities."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.reflections import (
    INTENSITY_MODELS,
    ReflectionTable,
    parse_space_group,
    reflection_table,
)
from napari_diffraction.errors import InputError

MONOCLINIC = UnitCell(3.8155, 10.0452, 13.7425, 90, 107.8717, 90)
ORTHORHOMBIC = UnitCell(6, 7, 8)


def indices(table: ReflectionTable) -> tuple[NDArray[np.int64], ...]:
    shape = table.intensity.shape
    return tuple(np.indices(shape) - np.array(shape).reshape(3, 1, 1, 1) // 2)


def absent(group: str | int, cell: UnitCell = MONOCLINIC) -> tuple[NDArray[np.bool_], ...]:
    """Return absences (0 0 0 is not one) and the indices h, k, l."""
    table = reflection_table(cell, 1.0, group)
    h, k, m = indices(table)
    return (table.intensity == 0) & ((h != 0) | (k != 0) | (m != 0)), h, k, m


def test_screw_along_b_extinguishes_odd_0k0_only() -> None:
    missing, h, k, m = absent("P 1 21 1")
    np.testing.assert_array_equal(missing, (h == 0) & (m == 0) & (k % 2 == 1))
    assert missing.sum() == 10  # k = +-1, 3, 5, 7, 9 of 10 A


def test_glide_c_extinguishes_h0l_with_l_odd_only() -> None:
    missing, _, k, m = absent("P 1 c 1")
    np.testing.assert_array_equal(missing, (k == 0) & (m % 2 == 1))
    assert missing.any()


def test_screw_and_glide_together() -> None:
    missing, h, k, m = absent(14)
    screw, glide = (h == 0) & (m == 0) & (k % 2 == 1), (k == 0) & (m % 2 == 1)
    np.testing.assert_array_equal(missing, screw | glide)


def test_diamond_glide() -> None:
    table = reflection_table(UnitCell(5.43, 5.43, 5.43), 0.8, "F d -3 m")
    intensity = table.at(np.array([[2, 0, 0], [4, 0, 0], [4, 2, 0], [2, 2, 0], [1, 1, 1]]))
    np.testing.assert_array_equal(intensity > 0, [False, True, False, True, True])


def test_no_group_means_no_absences() -> None:
    np.testing.assert_array_equal(
        reflection_table(ORTHORHOMBIC).intensity, reflection_table(ORTHORHOMBIC, 1, "P 1").intensity
    )
    assert np.count_nonzero(reflection_table(ORTHORHOMBIC).intensity == 0) == 1


@pytest.mark.parametrize("model", INTENSITY_MODELS)
def test_mean_of_the_present_reflections_is_one(model: str) -> None:
    table = reflection_table(MONOCLINIC, 1.0, 14, model, np.random.default_rng(0))
    assert table.intensity[table.intensity > 0].mean() == pytest.approx(1, rel=1e-5)
    assert table.at(np.array([0, 0, 0])) == 0


@pytest.mark.parametrize("model", INTENSITY_MODELS)
def test_friedel_mates_are_equal(model: str) -> None:
    table = reflection_table(MONOCLINIC, 1.0, None, model, np.random.default_rng(0))
    np.testing.assert_allclose(
        table.intensity, table.intensity[::-1, ::-1, ::-1], rtol=1e-4, atol=1e-6
    )


def test_random_intensities_follow_wilson() -> None:
    table = reflection_table(UnitCell(15, 16, 17), 1.0, None, "random", np.random.default_rng(0))
    values = table.intensity[table.intensity > 0]
    # exponential: standard deviation = mean, 39.3 % below half the mean
    assert values.std() == pytest.approx(1, abs=0.03)
    assert np.mean(values < 0.5) == pytest.approx(1 - np.exp(-0.5), abs=0.01)


def test_kinematical_intensities_have_the_laue_symmetry_of_the_group() -> None:
    rng = np.random.default_rng(0)
    table = reflection_table(ORTHORHOMBIC, 1.0, "P 21 21 21", "kinematical", rng)
    for mirrored in (
        table.intensity[::-1],
        table.intensity[:, ::-1],
        table.intensity[:, :, ::-1],
    ):
        np.testing.assert_allclose(table.intensity, mirrored, rtol=1e-3, atol=1e-5)
    # but it is no higher: h k l and k h l differ
    one, other = table.at(np.array([[1, 2, 3], [2, 1, 3]]))
    assert abs(one - other) > 1e-3


def test_kinematical_structure_has_the_absences_before_they_are_imposed() -> None:
    """The atoms are placed by the group, so the sum over them must vanish by itself."""
    from napari_diffraction.crystal.reflections import _random_structure_intensities

    hkl = np.array([[0, 1, 0], [0, 3, 0], [0, 2, 0], [1, 1, 0], [2, 0, 1]], dtype=np.int32)
    rng = np.random.default_rng(0)
    values = _random_structure_intensities(MONOCLINIC, hkl, 14, 1.0, rng)
    assert values[[0, 1, 4]] == pytest.approx(0, abs=1e-12 * values.max())
    assert (values[[2, 3]] > 1e-6 * values.max()).all()


def test_kinematical_intensities_fall_with_resolution_and_end_at_it() -> None:
    table = reflection_table(
        UnitCell(12, 13, 14), 1.0, None, "kinematical", np.random.default_rng(1)
    )
    h, k, m = indices(table)
    g = np.linalg.norm(np.stack([h, k, m], axis=-1) @ table.cell.reciprocal_basis, axis=-1)
    assert not table.intensity[g > 1.0001].any()
    low, high = (g > 0.2) & (g < 0.5), (g > 0.8) & (g < 1)
    assert table.intensity[low].mean() > 5 * table.intensity[high].mean()


def test_random_intensities_depend_on_the_seed_alone() -> None:
    one, same, other = (
        reflection_table(MONOCLINIC, 1.0, 14, "kinematical", np.random.default_rng(seed)).intensity
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other)


@pytest.mark.parametrize(
    ("name", "number"),
    [(14, 14), ("225", 225), (" Fm-3m ", 225), ("P 21/c", 14), ("R -3 m:H", 166)],
)
def test_space_groups_by_number_or_symbol(name: str | int, number: int) -> None:
    assert parse_space_group(name).number == number


@pytest.mark.parametrize("group", ["R -3 c", 167, "R -3 c:R"])
def test_a_rhombohedral_cell_has_no_absences_of_hexagonal_axes(group: str | int) -> None:
    cell = UnitCell(5.128, 5.128, 5.128, 55.28, 55.28, 55.28)
    missing, h, k, m = absent(group, cell)
    # R -3 c:R extinguishes hhl with l odd, and what three-fold axes make of it
    odd = [(h == k) & (m % 2 == 1), (k == m) & (h % 2 == 1), (m == h) & (k % 2 == 1)]
    np.testing.assert_array_equal(missing, np.any(odd, axis=0))
    hexagonal = UnitCell(4.759, 4.759, 12.991, 90, 90, 120)
    if group != "R -3 c:R":
        missing, h, k, m = absent(group, hexagonal)
        assert missing[(-h + k + m) % 3 != 0].all()


@pytest.mark.parametrize(
    ("cell", "group"),
    [
        (UnitCell(5.128, 5.128, 5.128, 55.28, 55.28, 55.28), "R -3 c:H"),
        (UnitCell(4.759, 4.759, 12.991, 90, 90, 120), "R -3 c:R"),
        (ORTHORHOMBIC, 225),
        (MONOCLINIC, "P 1 1 21"),
    ],
)
def test_a_cell_on_other_axes_than_its_group_is_refused(cell: UnitCell, group: str | int) -> None:
    with pytest.raises(InputError, match="contradicts the space group"):
        reflection_table(cell, 1.0, group)
    assert parse_space_group(group).number  # nothing to check without a cell


def test_a_measured_cell_is_near_enough_to_its_group() -> None:
    assert parse_space_group("P 4/m m m", UnitCell(5.0, 5.03, 7.0, 90.4, 89.8, 90)).number == 123


@pytest.mark.parametrize("name", [0, 231, "", "P 7", "²", -1])
def test_unknown_space_group(name: str | int) -> None:
    with pytest.raises(InputError, match="Unknown space group"):
        parse_space_group(name)


def test_unknown_model_and_oversized_cell() -> None:
    with pytest.raises(InputError, match="Unknown intensities 'dynamical'"):
        reflection_table(ORTHORHOMBIC, model="dynamical")
    with pytest.raises(InputError, match="too many reflections"):
        reflection_table(UnitCell(500, 500, 500), 0.2)
