"""Sublattices: each of an index once, whatever basis it is told by."""

from __future__ import annotations

import numpy as np
import pytest

from napari_diffraction.indexing.hermite import normal_form, sublattices


@pytest.mark.parametrize(("index", "count"), [(1, 1), (2, 7), (3, 13), (4, 35)])
def test_every_sublattice_of_an_index_is_there_once(index: int, count: int) -> None:
    every = sublattices(index)
    assert len(every) == count
    assert {round(np.linalg.det(one)) for one in every} == {index}
    forms = {normal_form(one.astype(np.int64)).tobytes() for one in every}
    assert len(forms) == count


def test_other_vectors_of_a_lattice_have_its_normal_form() -> None:
    other = np.array([[1, 0, 0], [2, -1, 0], [3, 1, 1]])
    for one in sublattices(4):
        rows = one.astype(np.int64)
        np.testing.assert_array_equal(normal_form(other @ rows), normal_form(rows))
    assert normal_form(np.array([[1, 2, 3], [2, 4, 6]])) is None
