"""Lattices that strong bands show wrongly, and what a second opinion does about them."""

from __future__ import annotations

from types import SimpleNamespace

import dask.array as da
import numpy as np
import pytest

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.crystal.materials import MATERIALS
from napari_diffraction.indexing.bands.metric import reciprocal_basis
from napari_diffraction.indexing.bands.sublattices import letters_of
from napari_diffraction.indexing.bands.visible import Rival, VisibleLattice
from napari_diffraction.indexing.phases import search
from napari_diffraction.indexing.phases.crystals import crystal_found
from napari_diffraction.indexing.phases.fitting import Fitted
from napari_diffraction.indexing.phases.scales import PhasesFound
from napari_diffraction.indexing.scan import IndexSettings, index_scan
from napari_diffraction.indexing.solution import IndexedPhase
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack
from napari_diffraction.progress import finish
from napari_diffraction.simulation.kikuchi.patterns import KikuchiConditions, simulate_kikuchi

PC = (0.47, 0.28, 0.62)


class Sure:
    """Takes everything for one lattice."""

    def __init__(self, letters: str, probability: float) -> None:
        self.name, self._letters, self._probability = "sure", letters, probability

    def __call__(self, pictures: np.ndarray, weight: np.ndarray, pc: np.ndarray) -> np.ndarray:
        out = np.full(len(BRAVAIS_LATTICES), (1 - self._probability) / 13)
        out[list(BRAVAIS_LATTICES).index(self._letters)] = self._probability
        return np.tile(out, (len(pictures), 1))


@pytest.fixture(scope="module")
def corundum() -> PatternStack:
    conditions = KikuchiConditions(pc_x=PC[0], pc_y=PC[1], pc_z=PC[2], camera_tilt=3)
    work = simulate_kikuchi([MATERIALS["Al2O3"]], conditions, patterns=14, size=100, seed=0)
    frames = finish(work).images
    geometry = KikuchiGeometry(PC, 70.0, 3.0, 20.0)
    return PatternStack(da.from_array(frames, chunks=(1, 100, 100)), "corundum", geometry=geometry)


def found(stack: PatternStack, opinion: Sure | None = None) -> IndexedPhase:
    (phase,) = finish(index_scan(stack, IndexSettings(opinion=opinion))).phases
    return phase


def test_a_lattice_two_steps_away_is_found_where_an_opinion_asks_for_it(
    corundum: PatternStack,
) -> None:
    phase = found(corundum, Sure("hR", 0.999))
    assert phase.lattice == "hR"
    assert phase.cell.parameters == pytest.approx((4.757, 4.757, 12.988, 90, 90, 120), rel=0.02)
    assert (phase.patterns, phase.doubt) == (14, "")
    assert phase.lattice_probabilities["hR"] > 0.9


def test_an_opinion_that_is_not_sure_is_told_and_leaves_the_lattice(
    corundum: PatternStack,
) -> None:
    phase = found(corundum, Sure("hR", 0.7))
    assert phase.lattice == found(corundum).lattice != "hR"
    assert "the network says hR" in phase.doubt
    assert phase.lattice_probabilities[phase.lattice] < 0.6
    assert phase.lattice_probabilities["hR"] > 0.3


def test_a_lattice_that_is_left_without_grains_is_no_phase(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lattices = [SimpleNamespace(basis=np.eye(3) * size) for size in (1, 2, 3)]
    said = [{"cF": -0.1}, None, {"aP": -0.2}]

    def fitted(bands, bases, *_: object, **__: object):  # type: ignore[no-untyped-def]
        sizes = [basis[0, 0] for basis in bases]
        return SimpleNamespace(phase=np.array([sizes.index(size) for size in (3, 1, 1)]))

    monkeypatch.setattr(search, "fitted", fitted)
    monkeypatch.setattr(search, "parted", lambda _, fit, seen, heard: (fit.phase, seen, heard))
    phase, seen, heard = search._with_grains(None, lattices, said, np.zeros(3), True)  # type: ignore[arg-type]
    assert phase.tolist() == [1, 0, 0]
    assert seen == (lattices[0], lattices[2])
    assert heard == (said[0], said[2])


def test_phases_of_two_scales_are_judged_each_by_its_own_grains(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ferrite and austenite: the same directions, and one of them is face-centred."""
    ferrite, austenite = (reciprocal_basis(UnitCell(1, 1, 1), name) for name in ("cI", "cF"))
    bands = SimpleNamespace(part=lambda chosen: chosen)
    phase = np.array([0, 0, 0, 0, 1, 1, 2])
    fit = Fitted(
        np.array([0.5, 0.3, 0.6]), np.zeros(3), np.zeros((2, 3)), np.zeros((7, 3)),
        [ferrite, ferrite, ferrite], [np.eye(6)] * 3, phase, np.tile(np.eye(3), (7, 1, 1)),
        np.arange(7.0), np.zeros((7, 14), np.int32),
    )  # fmt: skip
    seen = tuple(VisibleLattice(ferrite, scale, 0.01, 0.0) for scale in (1.0, 0.8, 0.6))
    asked = []

    def look(basis, those, *_: object):  # type: ignore[no-untyped-def]
        asked.append(len(those))
        return VisibleLattice(austenite if len(those) == 2 else ferrite, 0.7, 0.01, 0.0)

    monkeypatch.setattr(search, "seen_lattice", look)
    found = PhasesFound(fit, seen, np.array([0, 0, 2]), (None, None, None))
    found = search._each_for_itself(found, bands, None)  # type: ignore[arg-type]
    assert asked == [4, 2]
    assert [letters_of(basis) for basis in found.fit.bases] == ["cI", "cF", "cI"]
    assert [one.scale for one in found.seen] == [1.0, 0.7, 0.6]


def test_a_lattice_found_twice_is_in_doubt() -> None:
    basis = reciprocal_basis(UnitCell(5.1, 6.3, 7.4, 77, 99, 108), "aP")
    seen = VisibleLattice(basis, 0.5, 0.01, 0.0)
    phase = crystal_found("phase 1", basis, 0.003**2 * np.eye(6), seen, 20.0, part=0.5).phase
    assert "with 1/2 times the volume: both may be one phase" in phase.doubt


@pytest.mark.parametrize(("scale", "told"), [(0.9, False), (2.9, True)])
def test_a_cell_that_is_too_short_for_a_crystal_is_in_doubt(scale: float, told: bool) -> None:
    basis = reciprocal_basis(UnitCell(5.1, 6.3, 7.4, 77, 99, 108), "aP")
    seen = VisibleLattice(basis, scale, 0.01, 0.0)
    phase = crystal_found("phase 1", basis, 0.003**2 * np.eye(6), seen, 20.0).phase
    assert ("no crystal repeats every" in phase.doubt) is told


@pytest.mark.parametrize(("volume", "told"), [(2.0, True), (0.5, True), (3.0, False)])
def test_what_half_of_c_does_to_orientations_is_told(volume: float, told: bool) -> None:
    basis = reciprocal_basis(UnitCell(4.76, 4.76, 13.0, 90, 90, 120), "hR")
    seen = VisibleLattice(basis, 0.5, 0.01, 0.0, Rival("hR", volume, 0.2))
    phase = crystal_found("phase 1", basis, 0.003**2 * np.eye(6), seen, 20.0).phase
    assert phase.lattice == "hR"
    assert "bands hardly exclude hR" in phase.doubt
    assert ("60 degrees" in phase.doubt) is told
