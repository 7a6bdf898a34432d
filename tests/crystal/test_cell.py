"""Cells: geometry that must hold for every cell, and random cells of each system."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from napari_diffraction.crystal.cell import SYSTEMS, UnitCell, random_cell
from napari_diffraction.errors import InputError

length = st.floats(2.0, 60.0)
angle = st.floats(50.0, 130.0)


@st.composite
def cells(draw: st.DrawFn) -> UnitCell:
    numbers = [draw(length) for _ in range(3)] + [draw(angle) for _ in range(3)]
    ca, cb, cg = np.cos(np.radians(numbers[3:]))
    assume(1 - ca**2 - cb**2 - cg**2 + 2 * ca * cb * cg > 1e-3)
    return UnitCell(*numbers)


@given(cells())
def test_basis_has_the_lengths_angles_and_volume_of_the_cell(cell: UnitCell) -> None:
    metric = cell.basis @ cell.basis.T
    assert np.sqrt(np.diag(metric)) == pytest.approx(cell.lengths)
    for (i, j), degrees in zip([(1, 2), (0, 2), (0, 1)], cell.angles, strict=True):
        cosine = metric[i, j] / np.sqrt(metric[i, i] * metric[j, j])
        assert np.degrees(np.arccos(cosine)) == pytest.approx(degrees, abs=1e-6)
    # positive: the axes are right-handed
    assert np.linalg.det(cell.basis) == pytest.approx(cell.volume)
    assert cell.basis[0, 1:] == pytest.approx([0, 0])
    assert cell.basis[1, 2] == 0


@given(cells())
def test_volume_and_plane_spacings_agree_with_gemmi(cell: UnitCell) -> None:
    theirs = gemmi.UnitCell(*cell.parameters)
    assert cell.volume == pytest.approx(theirs.volume)
    for hkl in ([1, 0, 0], [0, 2, 0], [1, -2, 3], [-4, 1, 1]):
        spacing = 1 / np.linalg.norm(np.array(hkl) @ cell.reciprocal_basis)
        assert spacing == pytest.approx(theirs.calculate_d(hkl))


@given(cells())
def test_reciprocal_basis_is_dual(cell: UnitCell) -> None:
    assert cell.reciprocal_basis @ cell.basis.T == pytest.approx(np.eye(3), abs=1e-9)
    assert np.linalg.det(cell.reciprocal_basis) == pytest.approx(1 / cell.volume)


@given(cells(), st.floats(10.0, 1e5))
def test_scaled_keeps_the_shape(cell: UnitCell, volume: float) -> None:
    scaled = cell.scaled(volume)
    assert scaled.volume == pytest.approx(volume)
    assert scaled.lengths / cell.lengths == pytest.approx((volume / cell.volume) ** (1 / 3))
    assert scaled.parameters[3:] == cell.parameters[3:]


def metric_of(system: str, cell: UnitCell) -> bool:
    """Whether the metric of a cell is that of its crystal system."""
    a, b, c, alpha, beta, gamma = cell.parameters
    right = alpha == beta == gamma == 90
    return {
        "triclinic": True,
        "monoclinic": alpha == gamma == 90 != beta,
        "orthorhombic": right,
        "tetragonal": right and a == b,
        "trigonal": a == b and alpha == beta == 90 and gamma == 120,
        "hexagonal": a == b and alpha == beta == 90 and gamma == 120,
        "cubic": right and a == b == c,
    }[system]


@given(
    st.sampled_from(SYSTEMS),
    st.floats(50, 2000),
    st.floats(1, 5),
    st.floats(1, 2),
    st.floats(1, 3),
    st.integers(0, 2**32 - 1),
)
def test_random_cell_is_in_range_and_of_its_system(
    system: str, low: float, spread: float, least: float, stretch: float, seed: int
) -> None:
    cell = random_cell(
        (low, low * spread), system, (least, least * stretch), np.random.default_rng(seed)
    )
    assert metric_of(system, cell)
    assert low * (1 - 1e-9) <= cell.volume <= low * spread * (1 + 1e-9)
    if system != "cubic":
        ratio = cell.lengths.max() / cell.lengths.min()
        assert least * (1 - 1e-9) <= ratio <= least * stretch * (1 + 1e-9)


def test_random_cells_fill_their_ranges() -> None:
    rng = np.random.default_rng(1)
    cells = [random_cell((100, 1000), "orthorhombic", (1, 4), rng) for _ in range(400)]
    volume = np.array([cell.volume for cell in cells])
    ratio = np.array([cell.lengths.max() / cell.lengths.min() for cell in cells])
    # even on a logarithmic scale
    assert abs(np.mean(volume < np.sqrt(1e5)) - 0.5) < 0.1
    assert abs(np.mean(ratio < 2) - 0.5) < 0.1
    # no axis is the long one by preference
    assert np.bincount([np.argmax(cell.lengths) for cell in cells]).min() > 90


def test_random_cell_of_one_volume_takes_any_number() -> None:
    for volume in (500, 500.0, np.int64(500), np.float32(500)):
        assert random_cell(volume, rng=np.random.default_rng(0)).volume == pytest.approx(500)


def test_random_cell_depends_on_the_seed_alone() -> None:
    one, same, other = (random_cell(500, rng=np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert one == same
    assert one != other


@pytest.mark.parametrize(
    "numbers",
    [
        (0, 5, 5),
        (-3, 5, 5),
        (5, 5, float("nan")),
        (5, float("inf"), 5),
        (5, 5, 5, 120, 120, 120),  # flat
        (5, 5, 5, 40, 50, 100),  # one angle larger than the sum of the others
        (5, 5, 5, 130, 125, 120),  # more than a full turn
        (5, 5, 5, 90, 180, 90),
        (5, 5, 5, 270, 90, 90),  # has the cosine of a right angle
    ],
)
def test_numbers_that_span_no_cell(numbers: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="has no volume"):
        UnitCell(*numbers)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"volume": 500, "system": "quasi"}, "Unknown crystal system 'quasi'"),
        ({"volume": 0}, "cannot be"),
        ({"volume": float("nan")}, "cannot be"),
        ({"volume": (500, 400)}, "cannot be"),
        ({"volume": 1e8}, "cannot be"),
        ({"volume": 500, "anisotropy": (0.5, 2)}, "anisotropy"),
        ({"volume": 500, "anisotropy": (3, 2)}, "anisotropy"),
    ],
)
def test_random_cell_that_cannot_be(arguments: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        random_cell(**arguments)  # type: ignore[arg-type]
