"""Directions of a lattice in which bands are looked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.indexing.bands.directions import directions, half_of_space, shares
from napari_diffraction.indexing.bands.metric import reciprocal_basis


def test_half_of_space_has_each_direction_once() -> None:
    half = half_of_space(1)
    assert len(half) == 13
    both = {tuple(h) for h in half} | {tuple(-h) for h in half}
    assert len(both) == 26
    assert (2, 0, 0) not in {tuple(h) for h in half_of_space(3).tolist()}


def test_equal_lengths_stay_together_and_the_shortest_come_first() -> None:
    basis = reciprocal_basis(UnitCell(4, 4, 4), "cP")
    table = directions(basis, 5)
    kinds = np.sort(np.abs(table.hkl), axis=1)
    assert len(table) == 9
    assert (kinds[:3] == [0, 0, 1]).all()
    assert (kinds[3:] == [0, 1, 1]).all()
    assert np.ptp(table.share[:3]) == pytest.approx(0)
    assert table.share[0] > table.share[3]


def test_numbers_of_a_table_fit_together(letters: str, cells: dict[str, UnitCell]) -> None:
    basis = reciprocal_basis(cells[letters], letters)
    table = directions(basis)
    assert len(table) >= 40
    assert table.hkl @ basis.T == pytest.approx(table.unit * table.length[:, None])
    assert np.linalg.norm(table.unit, axis=1) == pytest.approx(1)
    assert (np.diff(table.length) >= -1e-9).all()
    assert table.share.sum() == pytest.approx(1)
    assert (np.diff(table.share) <= 1e-12).all()
    assert (np.gcd.reduce(table.hkl, axis=1) == 1).all()


@given(st.lists(st.floats(0.5, 4), min_size=2, max_size=40))
def test_shares_fall_with_the_rank(lengths: list[float]) -> None:
    share = shares(np.sort(lengths))
    assert share.sum() == pytest.approx(1)
    assert (np.diff(share) <= 1e-12).all()
    assert (share > 0).all()
