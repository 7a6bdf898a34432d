"""Lattices near another one."""

from __future__ import annotations

import numpy as np

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.indexing.bands.metric import reciprocal_basis
from napari_diffraction.indexing.bands.sublattices import (
    letters_of,
    neighbours,
    second_neighbours,
)


def test_corundum_is_two_steps_from_what_its_strong_bands_show() -> None:
    seen = reciprocal_basis(UnitCell(4.757 / np.sqrt(3), 12.988 / 3, 4.757), "oP")
    assert "hR" not in {letters_of(one) for one in neighbours(seen)}
    found = [one for one in second_neighbours(seen) if letters_of(one) == "hR"]
    volumes = {round(float(np.linalg.det(seen) / np.linalg.det(one)), 2) for one in found}
    assert 1.5 in volumes
    assert volumes <= {0.67, 0.75, 1.33, 1.5}
