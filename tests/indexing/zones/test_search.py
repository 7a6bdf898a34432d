"""Cells from nets."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.reduction import cells_alike
from napari_diffraction.errors import InputError
from napari_diffraction.indexing.zones.nets import ZoneNet, gauss_change
from napari_diffraction.indexing.zones.search import CellsFound, find_cells
from napari_diffraction.progress import finish

TRICLINIC = UnitCell(9.7733, 11.979, 9.6421, 91.1645, 113.204, 102.2199)
MONOCLINIC = UnitCell(3.8155, 10.0452, 13.7425, 90, 107.8717, 90)
ZONES = [(1, 0, 0), (0, 1, 0), (1, 1, 0), (1, 0, 1), (1, 1, 1), (0, 1, 1), (1, -1, 0), (2, 1, 0)]
SU = (0.003, 0.003, 0.2)


def net_of(cell: UnitCell, uvw: tuple[int, int, int], rng: np.random.Generator) -> ZoneNet:
    """The net of a zone, with errors."""
    hkl = np.array([h for h in product(range(-6, 7), repeat=3) if any(h) and not np.dot(h, uvw)])
    vectors = hkl @ cell.reciprocal_basis
    order = np.argsort((vectors**2).sum(axis=1), kind="stable")
    first = vectors[order[0]]
    second = next(vectors[i] for i in order if np.linalg.norm(np.cross(first, vectors[i])) > 1e-9)
    basis = np.array([first, second])
    basis = gauss_change(basis @ basis.T) @ basis
    a, b = np.linalg.norm(basis, axis=1)
    angle = np.degrees(np.arccos(np.clip(basis[0] @ basis[1] / (a * b), -1, 1)))
    return ZoneNet.measured(
        a * (1 + SU[0] * rng.normal()),
        b * (1 + SU[1] * rng.normal()),
        angle + SU[2] * rng.normal(),
        (SU[0] * a, SU[1] * b, SU[2]),
    )


def nets_of(cell: UnitCell, seed: int = 0, zones: int = 8) -> list[ZoneNet]:
    rng = np.random.default_rng(seed)
    return [net_of(cell, uvw, rng) for uvw in ZONES[:zones]]


@pytest.fixture(scope="module")
def mixed() -> CellsFound:
    """Eight zones of one crystal and five of another, whose numbers follow."""
    return finish(find_cells(nets_of(TRICLINIC) + nets_of(MONOCLINIC, 1, 5)))


def test_the_cell_and_its_zones(mixed: CellsFound) -> None:
    best = mixed.phases[0][0]
    assert cells_alike(best.niggli, TRICLINIC, lengths=0.01, angles=0.6)
    assert best.lattice == "aP"
    assert best.volume == pytest.approx(TRICLINIC.volume, rel=0.01)
    assert [zone.net for zone in best.zones] == list(range(8))
    assert best.misfit < 0.006
    # the zone axes are as long as those that the nets were made of
    for zone, uvw in zip(best.zones, ZONES, strict=True):
        length = np.linalg.norm(np.array(zone.uvw) @ best.cell.basis)
        assert length == pytest.approx(np.linalg.norm(np.array(uvw) @ TRICLINIC.basis), rel=0.02)
        assert not np.any(np.array(zone.hkl) @ zone.uvw)


def test_what_is_left_over_is_a_second_phase(mixed: CellsFound) -> None:
    second = mixed.phases[1][0]
    assert cells_alike(second.niggli, MONOCLINIC, lengths=0.015, angles=1.0)
    assert {zone.net for zone in second.zones} <= set(range(8, 13))
    assert len(mixed.phases) == 2


def test_symmetry_is_seen_and_fixes_angles() -> None:
    best = finish(find_cells(nets_of(MONOCLINIC), phases=1)).phases[0][0]
    assert best.lattice == "mP"
    assert (best.cell.alpha, best.cell.gamma) == (90, 90)
    assert best.cell_su[3] == best.cell_su[5] == 0
    assert 0 < best.cell_su[4] < 1
    assert sum(best.lattice_probabilities.values()) == pytest.approx(1)


def test_uncertainties_are_those_of_the_noise() -> None:
    pulls = []
    for seed in range(10):
        best = finish(find_cells(nets_of(TRICLINIC, seed), phases=1)).phases[0][0]
        pulls.append((best.volume - TRICLINIC.volume) / best.volume_su)
    assert 0.4 < float(np.sqrt(np.mean(np.square(pulls)))) < 2


def test_a_multiple_of_a_better_cell_is_named(mixed: CellsFound) -> None:
    cells = mixed.phases[0]
    assert cells[0].supercell_of is None
    for cell in cells[1:]:
        if cell.supercell_of is not None:
            ratio = cell.niggli.volume / cells[cell.supercell_of].niggli.volume
            assert round(ratio) in (2, 3, 4)


def test_volumes_can_be_limited() -> None:
    found = finish(find_cells(nets_of(TRICLINIC), (100, 400), phases=1))
    assert all(90 < cell.niggli.volume < 420 for phase in found.phases for cell in phase)


def test_too_few_nets() -> None:
    nets = nets_of(TRICLINIC, zones=2)
    with pytest.raises(InputError, match="2 different nets, but a unit cell needs at least 3"):
        finish(find_cells(nets + nets))


def test_an_empty_range_of_volumes() -> None:
    with pytest.raises(InputError, match="No cell has a volume"):
        finish(find_cells(nets_of(TRICLINIC), (500, 400)))
