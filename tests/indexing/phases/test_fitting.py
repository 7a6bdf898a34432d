"""Grains of two lattices fitted together, and phases described from what was fitted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.materials import MATERIALS
from napari_diffraction.indexing.bands.directions import directions
from napari_diffraction.indexing.bands.visible import VisibleLattice
from napari_diffraction.indexing.matching import known_grains
from napari_diffraction.indexing.phases.crystals import crystal_found, crystal_given
from napari_diffraction.indexing.phases.fitting import fitted
from napari_diffraction.indexing.phases.grain_bands import GrainBands
from napari_diffraction.patterns.geometry import electron_wavelength
from napari_diffraction.patterns.kikuchi.bands.lines import Lines


def together(*made) -> GrainBands:
    """Grains of several lattices, without pictures."""
    lines = Lines(
        *(
            np.concatenate([getattr(one.lines, name) for one in made])
            for name in ("line", "strength", "half_width", "support", "count")
        ),
        made[0].lines.shape,
    )
    count = len(lines)
    return GrainBands(
        np.arange(count),
        np.zeros((count, 1, 1), np.float32),
        np.ones((1, 1), np.float32),
        lines,
        np.concatenate([one.weights for one in made]),
        np.ones(count, np.int64),
        np.zeros((count, 2)),
    )


def test_each_grain_gets_its_lattice_and_the_centre_is_shared(make_grains: Callable) -> None:
    cubic = make_grains("cF", 8, seed=1, noise=0.1)
    hexagonal = make_grains("hP", 6, seed=2, noise=0.1)
    bands = together(cubic, hexagonal)
    start = cubic.pc + np.array([0.006, -0.006, 0.006])
    fit = fitted(bands, [cubic.basis, hexagonal.basis], start, free_centre=True)
    assert fit.phase.tolist() == [0] * 8 + [1] * 6
    assert fit.pc == pytest.approx(cubic.pc, abs=0.002)
    assert (fit.gain > 0).all()
    assert not fit.gradient.any()
    for basis, made in zip(fit.bases, (cubic, hexagonal), strict=True):
        assert basis.T @ basis == pytest.approx(made.basis.T @ made.basis, abs=0.01)
    known = [directions(one.basis) for one in (cubic, hexagonal)]
    held = fitted(bands, [cubic.basis, hexagonal.basis], start, tables=known)
    assert held.pc.tolist() == start.tolist()
    assert held.bases[0] == pytest.approx(cubic.basis)


@pytest.mark.parametrize(
    ("letters", "material"), [("cF", "Ni"), ("hP", "Ti"), ("tI", None), ("aP", None)]
)
def test_a_lattice_is_described_by_its_cell(
    make_grains: Callable, letters: str, material: str | None, cells: dict[str, UnitCell]
) -> None:
    """Scale and shape together give the cell that the lattice was made of."""
    made = make_grains(letters, 1)
    cell = cells[letters]
    primitive = {"P": 1, "C": 2, "I": 2, "F": 4}[letters[1]]
    unit = (primitive / cell.volume) ** (1 / 3)  # 1/A, a vector of length 1
    theta = np.degrees(np.arcsin(unit * electron_wavelength(20.0) / 2))
    seen = VisibleLattice(made.basis, float(theta), 0.01, 0.0)
    crystal = crystal_found("phase 1", made.basis, 0.003**2 * np.eye(6), seen, 20.0)
    assert crystal.phase.lattice == letters
    assert crystal.phase.cell.volume == pytest.approx(cell.volume, rel=1e-3)
    if letters != "aP":
        assert crystal.phase.cell.parameters == pytest.approx(cell.parameters, rel=1e-3)
    assert crystal.phase.cell_su[0] >= 0.009 * crystal.phase.cell.a
    assert sum(crystal.phase.lattice_probabilities.values()) == pytest.approx(1, abs=1e-3)
    # directions in the frame of the cell are those of their indices
    vectors = crystal.table.hkl @ crystal.phase.cell.reciprocal_basis
    unit_vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert crystal.table.unit == pytest.approx(unit_vectors)
    assert crystal.table.share.sum() == pytest.approx(1)
    assert np.linalg.det(crystal.turn) == pytest.approx(1)
    if material is not None:
        number = len(crystal_given(MATERIALS[material]).rotations)
        assert len(crystal.rotations) == number


def test_grains_of_one_orientation_are_told_as_one(make_grains: Callable) -> None:
    """Patterns of one grain are no further sights of its lattice."""
    made = make_grains("hP", 3, seed=2)
    thrice = together(made).part(np.array([0, 0, 0]))
    sixfold = np.diag([-0.5, -0.5, 1.0]) + np.sqrt(0.75) * np.array(
        [[0, -1, 0], [1, 0, 0], [0, 0, 0]]
    )
    fit = fitted(thrice, [made.basis], made.pc)
    turned = replace(fit, rotation=fit.rotation @ np.stack([np.eye(3), sixfold, sixfold.T]))
    assert (fit.orientations(0), turned.orientations(0)) == (1, 1)
    assert fitted(together(made), [made.basis], made.pc).orientations(0) == 3
    seen = VisibleLattice(made.basis, 0.5, 0.01, 0.0)
    phase = crystal_found(
        "phase 1", made.basis, 0.003**2 * np.eye(6), seen, 20.0, orientations=fit.orientations(0)
    ).phase
    assert "one orientation only" in phase.doubt


def test_a_given_phase_has_directions_of_its_reflectors() -> None:
    crystal = crystal_given(MATERIALS["Ni"])
    assert np.abs(crystal.table.hkl[0]).tolist() == [1, 1, 1]
    assert (np.diff(crystal.table.share) <= 1e-12).all()
    assert (np.gcd.reduce(crystal.table.hkl, axis=1) == 1).all()
    assert crystal.phase.lattice_probabilities["cF"] == 1
    assert len(crystal.rotations) == 24


def test_what_is_known_of_grains_by_their_bands(make_grains: Callable) -> None:
    crystal = crystal_given(MATERIALS["Ni"])
    made = make_grains("cF", 5, seed=3, noise=0.05)
    bands = together(made)
    centres = np.tile(made.pc, (5, 1))
    known = known_grains(bands, np.arange(5, dtype=np.int32), (crystal,), centres)
    assert known.phase.tolist() == [0] * 5
    turned = known.rotation @ known.rotation.transpose(0, 2, 1)
    assert turned == pytest.approx(np.broadcast_to(np.eye(3), (5, 3, 3)), abs=1e-9)
    nothing = known_grains(
        bands.part(np.zeros(0, np.int64)), np.full(7, -1, np.int32), (crystal,), np.zeros((0, 3))
    )
    # patterns in no grain have a place to point to
    assert nothing.phase.tolist() == [-1]
