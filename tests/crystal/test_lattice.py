"""The 14 Bravais lattices: system, metric, and the absences of their centring."""

from __future__ import annotations

from collections.abc import Callable

import gemmi
import numpy as np
import pytest
from numpy.typing import NDArray

from napari_diffraction.crystal.cell import SYSTEMS
from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.crystal.reflections import reflection_table

Condition = Callable[[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]], NDArray[np.bool_]]

#: Reflections that a centring leaves, m standing for l (Int. Tables A, 1.6.3; R obverse).
PRESENT: dict[str, Condition] = {
    "P": lambda h, k, m: np.full(h.shape, True),
    "C": lambda h, k, m: (h + k) % 2 == 0,
    "I": lambda h, k, m: (h + k + m) % 2 == 0,
    "F": lambda h, k, m: (h % 2 == k % 2) & (k % 2 == m % 2),
    "R": lambda h, k, m: (-h + k + m) % 3 == 0,
}
LETTER_OF_SYSTEM = dict(zip(SYSTEMS, "amothhc", strict=True))


def test_there_are_fourteen() -> None:
    assert set(BRAVAIS_LATTICES) == {
        *("aP", "mP", "mC", "oP", "oC", "oI", "oF", "tP", "tI", "hP", "hR", "cP", "cI", "cF")
    }


@pytest.mark.parametrize("pearson", BRAVAIS_LATTICES)
def test_lattice_is_the_holohedry_of_its_system(pearson: str) -> None:
    lattice = BRAVAIS_LATTICES[pearson]
    assert lattice.pearson == pearson
    assert pearson == LETTER_OF_SYSTEM[lattice.system] + lattice.centring
    group = gemmi.SpaceGroup(lattice.space_group)
    assert group.is_symmorphic()
    assert group.crystal_system_str() == lattice.system
    order_of_holohedry = dict(zip(SYSTEMS, (2, 4, 8, 16, 12, 24, 48), strict=True))
    assert len(group.operations().sym_ops) == order_of_holohedry[lattice.system]


@pytest.mark.parametrize("pearson", BRAVAIS_LATTICES)
def test_absences_are_those_of_the_centring(pearson: str) -> None:
    lattice = BRAVAIS_LATTICES[pearson]
    cell = lattice.random_cell(300, np.random.default_rng(2))
    table = reflection_table(cell, 1.2, lattice.space_group)
    h, k, m = (
        np.indices(table.intensity.shape) - np.array(table.intensity.shape).reshape(3, 1, 1, 1) // 2
    )
    expected = PRESENT[lattice.centring](h, k, m)
    expected[tuple(np.array(table.intensity.shape) // 2)] = False  # the direct beam
    np.testing.assert_array_equal(table.intensity > 0, expected)


@pytest.mark.parametrize("pearson", BRAVAIS_LATTICES)
def test_random_cell_has_the_symmetry_of_the_lattice(pearson: str) -> None:
    lattice = BRAVAIS_LATTICES[pearson]
    cell = lattice.random_cell((100, 400), np.random.default_rng(7))
    metric = cell.basis @ cell.basis.T
    for operation in gemmi.SpaceGroup(lattice.space_group).operations().sym_ops:
        turn = np.array(operation.rot) / operation.DEN
        np.testing.assert_allclose(turn.T @ metric @ turn, metric, atol=1e-9 * metric.max())
