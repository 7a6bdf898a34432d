"""A solution after somebody told the voltage, a name, or what materials there may be."""

from dataclasses import replace

import numpy as np
import pytest

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.materials import load_structure
from napari_diffraction.indexing.revision import ranked_anew, with_name, with_voltage
from napari_diffraction.indexing.solution import IndexedMap, IndexedPhase, Reflector, scale_note
from napari_diffraction.patterns.geometry import electron_wavelength

NICKEL = load_structure("Ni")


def solution(cell: UnitCell = NICKEL.cell, **known: object) -> IndexedMap:
    """One cubic phase that was found, one that was given, at 20 kV that nobody told."""
    seen = [(1, 1, 1), (2, 0, 0), (2, 2, 0), (3, 1, 1)]
    reflectors = tuple(
        Reflector(hkl, 4, 9, 9, 1 - 0.2 * place, 1.0) for place, hkl in enumerate(seen)
    )
    found = IndexedPhase(
        "phase 1", "cF", {"cF": 1.0}, cell, (0.03, 0.03, 0.03, 0, 0, 0), cell,
        scale_known=False, reflectors=reflectors,
    )  # fmt: skip
    given = IndexedPhase(
        "Ni", "cF", {"cF": 1.0}, NICKEL.cell, (0,) * 6, NICKEL.cell, structure=NICKEL
    )
    return IndexedMap(
        "s", (1, 1), (replace(found, **known), given), np.zeros(1, np.int16),
        np.eye(3, dtype=np.float32)[None], np.zeros(1, np.float32), np.zeros(1, np.int16),
        np.zeros(1, np.int16), np.zeros(1, np.float32), np.zeros(1, np.float32),
        np.zeros(1, np.int32), np.ones(1, bool), (0.5, 0.3, 0.6),
        notes=("Dust.", *scale_note(20.0, "assumed")),
    )  # fmt: skip


def test_lengths_go_with_the_wavelength_and_nothing_else_does() -> None:
    before = solution()
    after = with_voltage(before, 15.0, "given")
    factor = electron_wavelength(15.0) / electron_wavelength(20.0)
    assert factor == pytest.approx(1.158, abs=0.002)
    phase, given = after.phases
    np.testing.assert_allclose(phase.cell.lengths, factor * NICKEL.cell.lengths)
    np.testing.assert_allclose(phase.niggli.lengths, factor * NICKEL.cell.lengths)
    assert phase.cell_su == pytest.approx((0.03 * factor,) * 3 + (0,) * 3)
    assert phase.cell.parameters[3:] == (90, 90, 90)
    assert phase.scale_known
    assert given is before.phases[1]  # its lengths are those of its structure
    assert (after.voltage, after.voltage_from, after.notes) == (15, "given", ("Dust.",))
    assert after.rotation is before.rotation
    back = with_voltage(after, 20.0, "assumed")
    np.testing.assert_allclose(back.phases[0].cell.lengths, NICKEL.cell.lengths)
    assert not back.phases[0].scale_known
    assert back.notes == before.notes


def test_atoms_that_no_longer_fit_go() -> None:
    named = with_name(with_voltage(solution(), 20.0, "given"), 0, "Ni")
    assert named.phases[0].structure.space_group == 225
    assert with_voltage(named, 20.5, "given").phases[0].structure is not None
    lighter = with_voltage(named, 10.0, "given").phases[0]
    assert lighter.structure is None
    assert lighter.name == "Ni"


def test_materials_are_ranked_by_what_the_scale_tells() -> None:
    unknown = ranked_anew(solution())
    assert {"Ni", "Au"} <= {one.name for one in unknown.phases[0].candidates}
    assert unknown.phases[1].candidates == ()
    told = ranked_anew(with_voltage(solution(), 20.0, "given"))
    names = {one.name for one in told.phases[0].candidates}
    assert "Ni" in names
    assert "Au" not in names  # its cell is a sixth larger
    mine = {"mine": replace(NICKEL, name="mine")}
    assert "mine" in {one.name for one in ranked_anew(solution(), mine).phases[0].candidates}


def test_a_material_of_ones_own_names_a_phase_with_its_atoms() -> None:
    mine = {"mine": replace(NICKEL, name="mine")}
    named = with_name(solution(), 0, "mine", mine)
    assert named.phases[0].structure is mine["mine"]
    assert with_name(solution(), 0, "mine").phases[0].structure is None
    # whose lengths count only where those of the phase are known
    gold = with_name(solution(), 0, "Au")
    assert gold.phases[0].structure is not None
    assert with_name(with_voltage(solution(), 20.0, "given"), 0, "Au").phases[0].structure is None


def test_what_a_name_does_not_tell_of_orientations_is_noted() -> None:
    quartz = load_structure("quartz")
    found = solution(quartz.cell, lattice="hP")
    named = with_name(found, 0, "quartz")
    assert named.phases[0].structure is not None
    (note,) = (one for one in named.notes if "quartz" in one)
    assert "-3m" in note
    assert "6/mmm" in note
    assert with_name(named, 0, "quartz").notes == named.notes
    assert with_name(named, 0, "sand").notes == found.notes
    # it goes with the atoms, and lattices that tell all need none
    assert not any("quartz" in one for one in with_voltage(named, 10.0, "given").notes)
    assert with_name(solution(), 0, "Ni").notes == solution().notes
