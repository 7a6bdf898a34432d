from types import SimpleNamespace

import gemmi
import numpy as np
import pytest

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.reflectors import reflectors
from napari_diffraction.errors import InputError


def crystal(cell, group, species, positions, b_iso=0.4, occupancy=1.0):
    n = len(species)
    return SimpleNamespace(
        name="test crystal",
        cell=cell,
        space_group=group,
        species=tuple(species),
        positions=np.array(positions, dtype=float).reshape(n, 3),
        occupancy=np.full(n, occupancy),
        b_iso=np.full(n, b_iso),
    )


NICKEL = crystal(
    UnitCell(3.5236, 3.5236, 3.5236),
    225,
    ["Ni"] * 4,
    [(0, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)],
)
OLIVINE_LIKE = crystal(
    UnitCell(4.7, 9.8, 6.1, 81, 97, 103),
    1,
    ["Mg", "Si", "O", "O", "Fe"],
    np.random.default_rng(3).uniform(size=(5, 3)),
)


def direct_amplitudes(structure, hkl):
    """|U| from the definition, atom by atom."""
    s2 = np.sum((hkl @ structure.cell.reciprocal_basis) ** 2, axis=1) / 4
    total = np.zeros(len(hkl), dtype=complex)
    for element, position, occupancy, b in zip(
        structure.species,
        structure.positions,
        structure.occupancy,
        structure.b_iso,
        strict=True,
    ):
        f = np.array([gemmi.Element(element).c4322.calculate_sf(s) for s in s2])
        total += occupancy * f * np.exp(-b * s2 + 2j * np.pi * (hkl @ position))
    return np.abs(total) / (np.pi * structure.cell.volume)


@pytest.mark.parametrize("structure", [NICKEL, OLIVINE_LIKE], ids=["Ni", "triclinic"])
def test_structure_factors_follow_the_definition(structure):
    found = reflectors(structure)
    np.testing.assert_allclose(found.u, direct_amplitudes(structure, found.hkl), rtol=2e-3)
    g = found.hkl @ structure.cell.reciprocal_basis
    np.testing.assert_allclose(found.normal * found.g[:, None], g, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found.normal, axis=1), 1, atol=1e-5)


def test_strongest_first_and_one_of_each_pair():
    found = reflectors(OLIVINE_LIKE, count=50)
    assert len(found) <= 50
    assert np.all(np.diff(found.u) <= 0)
    pairs = {tuple(abs_) for abs_ in np.concatenate([found.hkl, -found.hkl]).tolist()}
    assert len(pairs) == 2 * len(found)


def test_nothing_stronger_is_missed():
    found = reflectors(OLIVINE_LIKE, count=40, d_min=0.8)
    span = np.arange(-13, 14)
    hkl = np.stack(np.meshgrid(span, span, span, indexing="ij"), -1).reshape(-1, 3)
    g = np.linalg.norm(hkl @ OLIVINE_LIKE.cell.reciprocal_basis, axis=1)
    u = np.sort(direct_amplitudes(OLIVINE_LIKE, hkl[(g > 0) & (g < 1 / 0.8)]))[::-1][::2]
    np.testing.assert_allclose(found.u, u[: len(found)], rtol=2e-3)
    assert len(found) >= 38


def test_face_centring_leaves_unmixed_indices_and_whole_families():
    found = reflectors(NICKEL, count=30)
    assert np.all((found.hkl % 2).sum(axis=1) % 3 == 0)
    families = {}
    for hkl in np.sort(np.abs(found.hkl), axis=1).tolist():
        families[tuple(hkl)] = families.get(tuple(hkl), 0) + 1
    assert families == {(1, 1, 1): 4, (0, 0, 2): 3, (0, 2, 2): 6, (1, 1, 3): 12, (2, 2, 2): 4}


@pytest.mark.parametrize(
    ("group", "shifts"),
    [
        (38, [(0, 0.5, 0.5)]),
        (63, [(0.5, 0.5, 0)]),
        (71, [(0.5, 0.5, 0.5)]),
        (166, [(2 / 3, 1 / 3, 1 / 3), (1 / 3, 2 / 3, 2 / 3)]),
    ],
)
def test_centring_only_leaves_out_absent_reflections(group, shifts):
    cell = UnitCell(4, 4, 7, 90, 90, 120) if group == 166 else UnitCell(4, 5, 6)
    sites = [np.array([0.1, 0.23, 0.31]), np.array([0.42, 0.05, 0.77])]
    positions = [site + shift for site in sites for shift in [(0, 0, 0), *shifts]]
    species = ["Ti"] * (1 + len(shifts)) + ["O"] * (1 + len(shifts))
    centred = reflectors(crystal(cell, group, species, positions))
    as_primitive = reflectors(crystal(cell, 1, species, positions))
    np.testing.assert_allclose(centred.u, as_primitive.u, rtol=1e-3)


def test_large_cells_are_cut_at_a_coarser_spacing():
    rng = np.random.default_rng(0)
    large = crystal(UnitCell(20, 25, 30), 1, ["Si"] * 60, rng.uniform(size=(60, 3)))
    found = reflectors(large)
    assert len(found) == 160
    assert 1 / found.g.max() > 1


def test_what_has_no_reflections_is_said():
    with pytest.raises(InputError, match="no atoms"):
        reflectors(crystal(UnitCell(4, 4, 4), 1, [], []))
    with pytest.raises(InputError, match="scattering factor"):
        reflectors(crystal(UnitCell(4, 4, 4), 1, ["Og"], [(0, 0, 0)]))
    with pytest.raises(InputError, match="no reflection"):
        reflectors(crystal(UnitCell(4, 4, 4), 1, ["Fe"], [(0, 0, 0)]), d_min=9)
