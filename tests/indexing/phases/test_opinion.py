"""What a network says of grains, and how it is put together with what bands tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest

from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.indexing.bands.visible import Rival, VisibleLattice
from napari_diffraction.indexing.phases.crystals import crystal_found
from napari_diffraction.indexing.phases.grain_bands import GrainBands
from napari_diffraction.indexing.phases.opinion import judged, together
from napari_diffraction.indexing.scan import IndexSettings, index_scan
from napari_diffraction.indexing.solution import IndexedPhase
from napari_diffraction.learning.classification.opinion import NetworkOpinion
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack
from napari_diffraction.progress import finish

LETTERS = tuple(BRAVAIS_LATTICES)
PC = np.array([0.5, 0.4, 0.6])


class Judge:
    """Gives every second picture a certain answer."""

    name = "judge"

    def __call__(self, pictures: np.ndarray, weight: np.ndarray, pc: np.ndarray) -> np.ndarray:
        out = np.full((len(pictures), len(LETTERS)), 0.01)
        out[::2, LETTERS.index("tP")] = 0.4  # not told what the rest is: no pattern, perhaps
        out[1::2, LETTERS.index("tI")] = 0.2
        return out


class Certain:
    """Takes everything for face-centred cubic."""

    name = "certain"

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, pictures: np.ndarray, weight: np.ndarray, pc: np.ndarray) -> np.ndarray:
        self.asked = True
        return np.tile(np.eye(len(LETTERS))[LETTERS.index("cF")], (len(pictures), 1))


def bands_of(made: Any, some: slice = slice(None)) -> GrainBands:
    """Grains whose bands are known, without pictures."""
    count = len(made.weights[some])
    pictures, size = np.zeros((count, 6, 6), np.float32), np.ones(count, np.int64)
    return GrainBands(
        size, pictures, pictures[0], made.lines[some], made.weights[some], size,
        np.zeros((count, 2)),
    )  # fmt: skip


def test_an_opinion_is_the_mean_of_the_logarithms_over_grains(make_grains: Callable) -> None:
    said = together(judged(Judge(), bands_of(make_grains("tI", 4)), PC))
    first, second = 0.4 / 0.53, 0.2 / 0.33
    other = 0.5 * np.log(0.01 / 0.53) + 0.5 * np.log(0.01 / 0.33)
    assert said["tP"] == pytest.approx(0.5 * np.log(first) + 0.5 * np.log(0.01 / 0.33), abs=1e-3)
    assert said["tI"] == pytest.approx(0.5 * np.log(second) + 0.5 * np.log(0.01 / 0.53), abs=1e-3)
    assert said["oP"] == pytest.approx(other, abs=1e-3)
    assert said["cF"] > said["cP"]  # more materials are


def test_a_metric_that_leaves_a_choice_is_decided_by_the_opinion(make_grains: Callable) -> None:
    basis = make_grains("cF", 1).basis
    seen = VisibleLattice(basis, 1.0, 0.01, 0.0)
    even = dict.fromkeys(LETTERS, -3.0)

    def found(said: dict[str, float] | None) -> tuple[str, str, float]:
        crystal = crystal_found("phase 1", basis, 0.02**2 * np.eye(6), seen, 20.0, said=said)
        phase = crystal.phase
        return phase.lattice, phase.doubt, sum(phase.lattice_probabilities.values())

    alone, doubt, total = found(None)
    assert alone == "cF"
    assert "network" not in doubt
    assert total == pytest.approx(1)
    lattice, _, total = found(even | {"tI": -0.1, "cF": -9.0})
    assert lattice == "tI"
    assert total == pytest.approx(1)
    # a lattice that the metric excludes is named and not taken
    lattice, doubt, total = found(even | {"hP": -0.1})
    assert lattice == "cF"
    assert "the network says hP (0.5" in doubt
    assert total == pytest.approx(1)


def test_a_metric_alone_is_not_sure_against_an_opinion_or_a_rival(make_grains: Callable) -> None:
    basis = make_grains("oP", 1).basis
    alone = VisibleLattice(basis, 1.0, 0.01, 90.0)
    sure = dict.fromkeys(LETTERS, -14.0) | {"hR": 0.0}

    def found(seen: VisibleLattice, said: dict[str, float] | None = None) -> IndexedPhase:
        return crystal_found("phase 1", basis, 1e-6 * np.eye(6), seen, 20.0, said=said).phase

    phase = found(alone)
    shape = phase.lattice_probabilities["oP"]
    assert shape > 0.95
    assert phase.doubt == ""
    phase = found(alone, sure)
    assert phase.lattice_probabilities["oP"] == pytest.approx(0.5, abs=0.03)
    assert phase.lattice_probabilities["hR"] == pytest.approx(0.5, abs=0.03)
    phase = found(replace(alone, rival=Rival("oI", 2.0, 0.2)))
    assert phase.lattice_probabilities["oP"] == pytest.approx(0.8 * shape)
    assert phase.lattice_probabilities["oI"] == pytest.approx(0.2)
    assert phase.doubt == "bands hardly exclude oI with 2 times the volume"
    phase = found(replace(alone, rival=Rival("oP", 1 / 3, 0.2)))
    assert phase.lattice_probabilities["oP"] > shape
    assert phase.doubt == "bands hardly exclude oP with 1/3 times the volume"


def test_the_network_judges_pictures_at_any_size() -> None:
    rng = np.random.default_rng(0)
    pictures = rng.normal(size=(3, 60, 80)).astype(np.float32)
    lit = np.ones((60, 80), np.float32)
    opinion = NetworkOpinion()
    judged = opinion(pictures, lit, PC)
    assert judged.shape == (3, 14)
    assert (judged >= 0).all()
    # the rest is that there is no pattern, which is taken for likelier than any lattice
    assert (1 - judged.sum(axis=1) > judged.max(axis=1)).all()
    elsewhere = NetworkOpinion(elsewhere=True)
    np.testing.assert_allclose(elsewhere(pictures, lit, PC), judged, atol=1e-5)
    assert opinion.name == elsewhere.name == "bravais"


def test_nine_poor_patterns_of_nickel_are_indexed_with_the_opinion() -> None:
    """Measured, 60 x 60 px, of two grains: kikuchipy's own, with the pattern centre in the file."""
    kikuchipy = pytest.importorskip("kikuchipy")
    path = Path(kikuchipy.__file__).parent / "data/kikuchipy_h5ebsd/patterns.h5"
    stack = open_stack(str(path), "Scan 1/EBSD/Data/patterns")
    assert not finish(index_scan(stack)).phases
    indexed = finish(index_scan(stack, IndexSettings(opinion=NetworkOpinion())))
    (phase,) = indexed.phases
    assert phase.lattice == "cF"
    assert phase.cell.a == pytest.approx(3.52, rel=0.05)
    assert phase.patterns >= 7
    assert phase.misfit_deg < 1


def test_an_opinion_makes_no_phase_of_noise() -> None:
    frames = np.random.default_rng(0).normal(size=(9, 60, 60)).astype(np.float32)
    stack = PatternStack(
        da.from_array(frames), "noise", geometry=KikuchiGeometry(pc=(0.5, 0.4, 0.6))
    )
    certain = Certain()
    assert not finish(index_scan(stack, IndexSettings(opinion=certain))).phases
    assert certain.asked
