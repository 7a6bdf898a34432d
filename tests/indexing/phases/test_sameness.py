"""Lattices that are found twice, each time in part."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.indexing.bands.metric import reciprocal_basis
from napari_diffraction.indexing.phases.sameness import part_of_another


@pytest.mark.parametrize(
    ("other", "times", "part"),
    [
        (UnitCell(5.1, 6.3, 14.9, 77, 99, 108), 1.0, 2),
        (UnitCell(5.1, 6.3, 7.4, 77, 99, 92), 1.0, None),
        (UnitCell(5.1, 6.3, 14.8, 77, 99, 108), 1.2, None),  # of another size
    ],
)
def test_two_lattices_of_which_one_is_part_of_the_other_are_told(
    other: UnitCell, times: float, part: float | None
) -> None:
    cells = (UnitCell(5.1, 6.3, 7.4, 77, 99, 108), other)
    bases = [reciprocal_basis(cell, "aP") for cell in cells]
    scales = [np.cbrt(1 / cell.volume) for cell in cells]
    seen = [SimpleNamespace(scale=scale) for scale in (scales[0], scales[1] * times)]
    found = SimpleNamespace(
        fit=SimpleNamespace(bases=bases), seen=seen, kin=np.arange(2), said=(None, None)
    )
    both = [part_of_another(found, number) for number in (0, 1)]  # type: ignore[arg-type]
    assert both == [part and pytest.approx(part), part and pytest.approx(1 / part)]
    found.kin = np.zeros(2, int)
    assert part_of_another(found, 0) is None  # type: ignore[arg-type]
