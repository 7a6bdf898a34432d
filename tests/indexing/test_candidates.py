"""Phases made of known materials, with noise, and which material is found again."""

from dataclasses import replace

import numpy as np
import pytest

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.materials import MATERIALS
from napari_diffraction.crystal.reflectors import reflectors
from napari_diffraction.crystal.structure import cell_of
from napari_diffraction.crystal.symmetry import proper_rotations
from napari_diffraction.indexing.candidates import rank_candidates
from napari_diffraction.indexing.solution import IndexedPhase, Reflector


def seen(structure, scale=1.0, known=True, seed=0):
    """What a scan would tell of a material: its cell, and strengths with noise."""
    rng = np.random.default_rng(seed)
    own = structure.cell
    cell = UnitCell(own.a * scale, own.b * scale, own.c * scale, *own.angles.tolist())
    axes = cell.basis.T
    turns = np.linalg.inv(axes) @ proper_rotations(structure.lattice, cell) @ axes
    table = reflectors(structure, count=300)
    u = {}
    for hkl, a in zip(table.hkl.tolist(), table.u, strict=True):  # the strongest order first
        one = tuple(x // int(np.gcd.reduce(hkl)) for x in hkl)
        u.setdefault(one, float(a))
        u.setdefault(tuple(-x for x in one), float(a))
    families, done = [], set()
    for hkl in table.hkl[np.argsort(table.g)].tolist():
        one = np.array(hkl) // np.gcd.reduce(hkl)
        members = {tuple((m.round().astype(int).T @ one).tolist()) for m in turns}
        if done & members:
            continue
        done |= members
        strength = np.mean([u.get(member, 0.0) for member in members]) / table.u[0]
        strength = max(0.0, strength**0.7 * (1 + 0.2 * rng.normal()))
        possible = int(rng.integers(4, 30))
        times = int(possible * min(1, 2 * strength))
        families.append(
            Reflector(tuple(hkl), len(members), possible, times, strength, float("nan"))
        )
    families = families[:25]
    top = max(family.strength for family in families)
    su = (0.02 * cell.a, 0.02 * cell.b, 0.02 * cell.c, 0.2, 0.2, 0.2)
    return IndexedPhase(
        "phase 1", structure.lattice, {}, cell, su, cell, scale_known=known,
        reflectors=tuple(replace(one, strength=one.strength / top) for one in families),
    )  # fmt: skip


@pytest.mark.parametrize(
    "name", ["Ni", "Si", "Ti", "quartz", "Al2O3", "rutile", "forsterite", "diopside", "anorthite"]
)
def test_a_material_is_found_again(name):
    best, *_ = rank_candidates(seen(MATERIALS[name], 1.005))
    assert best.name == name
    assert best.score > 0.5
    assert best.cell_misfit < 0.01
    assert best.reflector_misfit < 0.4


def test_without_scale_shape_and_reflectors_decide():
    phase = seen(MATERIALS["quartz"], 1.4, known=False)
    assert rank_candidates(phase)[0].name == "quartz"
    assert "quartz" not in {one.name for one in rank_candidates(replace(phase, scale_known=True))}
    silicon = {one.name: one for one in rank_candidates(seen(MATERIALS["Si"], 1.3, known=False))}
    assert "Si" in silicon
    assert "Ni" not in silicon or silicon["Ni"].score < silicon["Si"].score - 0.2


def test_metals_of_one_structure_are_told_by_scale():
    names = [one.name for one in rank_candidates(seen(MATERIALS["Al"]))]
    assert "Al" in names[:3]  # silver and gold are 1 % larger
    assert "Cu" not in names


def test_bands_without_amplitude_count_against():
    phase = seen(MATERIALS["NiAl"])
    honest = {one.name: one for one in rank_candidates(phase)}
    assert honest["NiAl"].score > 0.4
    reflectors_ = list(phase.reflectors)
    for place, one in enumerate(reflectors_):
        odd = sum(one.hkl) % 2
        # the strengths of a body-centred crystal turned round
        reflectors_[place] = replace(
            one, strength=1.0 if odd else 0.1, seen=one.possible if odd else 0
        )
    turned = {
        one.name: one for one in rank_candidates(replace(phase, reflectors=tuple(reflectors_)))
    }
    assert turned["NiAl"].score < 0.1


def test_other_axes_of_the_same_lattice_are_no_hindrance():
    kyanite = MATERIALS["kyanite"]
    phase = seen(kyanite)
    change = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]])
    other = replace(
        phase,
        cell=cell_of(change @ phase.cell.basis),
        reflectors=tuple(
            replace(one, hkl=tuple((change @ one.hkl).tolist())) for one in phase.reflectors
        ),
    )
    one, two = rank_candidates(phase)[0], rank_candidates(other)[0]
    assert one.name == two.name == "kyanite"
    assert two.score == pytest.approx(one.score, abs=0.02)


def test_a_persons_own_structures_come_first_and_few_reflectors_say_little():
    mine = MATERIALS["Cu"]
    phase = replace(seen(mine), reflectors=())
    ranked = rank_candidates(phase, {"my copper": mine}, best=3)
    assert len(ranked) == 3
    assert ranked[0].name == "my copper"
    assert ranked[0].score == pytest.approx(0.7)
    assert np.isnan(ranked[0].reflector_misfit)


def test_a_cell_of_nothing_known_has_no_candidates():
    cell = UnitCell(3.3, 4.4, 19, 71, 98, 107)
    phase = IndexedPhase("phase 1", "aP", {}, cell, (0.05, 0.05, 0.2, 0.3, 0.3, 0.3), cell)
    assert rank_candidates(phase) == ()
