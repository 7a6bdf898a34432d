"""The lattice that painted bands show, found from right and from wrong beginnings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.crystal.orientation import random_orientations
from napari_diffraction.indexing.bands.directions import half_of_space
from napari_diffraction.indexing.bands.families import band_families, bragg_angle
from napari_diffraction.indexing.bands.four_bands import lattice_shape, reduced
from napari_diffraction.indexing.bands.metric import reciprocal_basis
from napari_diffraction.indexing.bands.rows import Rows
from napari_diffraction.indexing.bands.sublattices import letters_of, steps_of
from napari_diffraction.indexing.bands.visible import VisibleLattice, visible_lattice

SHAPE = (90, 90)
PC = np.array([0.5, 0.3, 0.6])
LIT = np.ones(SHAPE, np.float32)
#: Bragg angle, degrees, of a vector of length 1.
SCALE = 1.2
_HKL = half_of_space(3)


def painted(
    basis: np.ndarray,
    rotation: np.ndarray,
    seed: int,
    ordered: float = 1.0,
    strong: np.ndarray | None = None,
) -> np.ndarray:
    """Pictures with bright bands, as wide as they should be, of the shortest vectors.

    Those that are not of a ``strong`` lattice, by default those whose indices are not all odd or
    all even, are only ``ordered`` times as high.
    """
    rng = np.random.default_rng(seed)
    h, w = SHAPE
    y, x = np.mgrid[:h, :w] + 0.5
    rays = np.stack([x - PC[0] * w, PC[1] * h - y, np.full(SHAPE, PC[2] * h)], axis=-1)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    vectors = _HKL @ basis.T
    length = np.linalg.norm(vectors, axis=1)
    order = np.argsort(length, kind="stable")[:40]
    mixed = np.ptp(_HKL % 2, axis=1) > 0
    if strong is not None:
        inside = np.linalg.solve(strong, vectors.T).T
        mixed = np.abs(inside - inside.round()).max(axis=1) > 0.01
    pictures = []
    for turn in rotation:
        picture = 0.5 * rng.normal(size=SHAPE)
        for vector, size, part in zip(vectors[order], length[order], mixed[order], strict=True):
            off = np.degrees(np.abs(np.arcsin(rays @ (turn @ (vector / size)))))
            height = (ordered if part else 1.0) / (1 + (size / length.min() / 1.5) ** 3)
            picture += height / (1 + np.exp((off - SCALE * size) / 0.15))
        pictures.append((picture - picture.mean()) / picture.std())
    return np.array(pictures, np.float32)


@pytest.mark.parametrize("letters", ["cF", "cI", "tI", "hR"])
def test_the_widths_of_bands_tell_the_scale(letters: str, cells: dict[str, UnitCell]) -> None:
    basis = reciprocal_basis(cells[letters], letters)
    rotation = random_orientations(16, np.random.default_rng(1))
    families = band_families(painted(basis, rotation, 1), LIT, PC, rotation, basis)
    found = visible_lattice(families)
    assert lattice_shape(found.basis) == pytest.approx(lattice_shape(basis), abs=1e-6)
    # dynamical edges lie a little inside, for which is made up
    assert found.scale == pytest.approx(SCALE, rel=0.1)
    assert 0 < found.scale_su < 0.05
    # half widths follow the lengths of the vectors
    first = np.unique(families.family, return_index=True)[1]
    seen = (families.seen > 0.9) & (families.clear > 8)
    assert seen.sum() >= 6
    ratio = families.half_width[seen] / families.length[first][seen]
    assert np.median(np.abs(ratio / np.median(ratio) - 1)) < 0.06


@pytest.mark.parametrize("letters", ["cF", "cI"])
@pytest.mark.parametrize("factor", [2.0, 0.5])
def test_a_sublattice_and_a_superlattice_are_left(
    letters: str, factor: float, cells: dict[str, UnitCell]
) -> None:
    basis = reciprocal_basis(cells[letters], letters)
    rotation = random_orientations(16, np.random.default_rng(2))
    wrong = reduced(basis @ np.diag([factor, 1, 1]))
    wrong /= np.cbrt(abs(np.linalg.det(wrong)))
    families = band_families(painted(basis, rotation, 2), LIT, PC, rotation, wrong)
    found = visible_lattice(families)
    assert np.abs(lattice_shape(wrong) - lattice_shape(basis)).max() > 0.1
    assert lattice_shape(found.basis) == pytest.approx(lattice_shape(basis), abs=1e-6)


def test_strong_bands_are_seen_and_what_is_not_there_is_not(make_grains: Callable) -> None:
    made = make_grains("cF", 16, seed=3)
    pictures = painted(made.basis, made.rotation, 3)
    families = band_families(pictures, LIT, PC, made.rotation, made.basis)
    assert (families.seen[:4] > 0.9).all()
    noise = np.random.default_rng(0).normal(size=pictures.shape).astype(np.float32)
    nothing = band_families(noise, LIT, PC, made.rotation, made.basis)
    assert nothing.clear.max() < families.clear[:4].min()
    assert (families.possible[:10] > 0).all()
    assert families.possible.max() <= 16


def test_bragg_angles_grow_with_the_widths_of_bands() -> None:
    width = np.linspace(0.5, 6, 40)
    assert (np.diff(bragg_angle(width)) > 0).all()
    # edges lie a little inside of the Bragg angle
    assert (bragg_angle(width) > width).all()


@pytest.mark.parametrize("letters", ["cF", "tI"])
def test_profiles_tell_a_lattice_from_finer_and_coarser_ones(
    letters: str, cells: dict[str, UnitCell]
) -> None:
    basis = reciprocal_basis(cells[letters], letters)
    rotation = random_orientations(16, np.random.default_rng(5))
    families = band_families(painted(basis, rotation, 5), LIT, PC, rotation, basis)
    rows = Rows(families)
    evidence, strength = rows.evidence(basis, SCALE)
    assert evidence > rows.evidence(basis, 2 * SCALE)[0]
    for twice in np.diag([2.0, 1, 1]), 2 * np.eye(3):
        coarse, fine = basis @ twice, basis @ np.linalg.inv(twice)
        assert rows.telling(coarse, basis, SCALE, strength) > 50
        assert rows.telling(basis, fine, SCALE, strength) < 20
    assert rows.telling(basis, basis, SCALE, strength) == pytest.approx(0)


def test_the_first_order_along_a_direction_is_that_of_the_lattice(make_grains: Callable) -> None:
    made = make_grains("oP", 4, seed=4)
    pictures = painted(made.basis, made.rotation, 4)
    families = band_families(pictures, LIT, PC, made.rotation, made.basis)
    assert families.first_orders(made.basis) == pytest.approx(families.length)
    # along the axis that is halved, vectors are half as long; along others they stay
    finer = made.basis @ np.diag([0.5, 1, 1])
    order = families.first_orders(finer)
    along = (families.hkl == [1, 0, 0]).all(axis=1)
    aside = (families.hkl == [0, 1, 0]).all(axis=1)
    assert order[along] == pytest.approx(families.length[along] / 2)
    assert order[aside] == pytest.approx(families.length[aside])


@pytest.mark.parametrize(
    ("ordered", "letters", "found"),
    [
        (0.0, "cP", "cF"),  # there is nothing but the opinion
        (0.15, None, "cF"),  # there is too little to speak for itself ...
        (0.15, "cF", "cF"),
        (0.15, "cP", "cP"),  # ... but not against an opinion
        (1.0, "cF", "cP"),  # clear bands are not talked away
    ],
)
def test_a_second_opinion_counts_where_bands_tell_little(
    ordered: float, letters: str | None, found: str
) -> None:
    cell = UnitCell(4.0, 4.0, 4.0)
    rotation = random_orientations(10, np.random.default_rng(6))
    pictures = painted(reciprocal_basis(cell, "cP"), rotation, 6, ordered)
    families = band_families(pictures, LIT, PC, rotation, reciprocal_basis(cell, "cF"))
    said = dict.fromkeys(BRAVAIS_LATTICES, -4.0)
    heard = None if letters is None else said | {letters: -0.1}
    assert letters_of(visible_lattice(families, said=heard).basis) == found


def test_a_lattice_that_is_hardly_excluded_is_told() -> None:
    cell = UnitCell(4.0, 4.0, 4.0)
    rotation = random_orientations(10, np.random.default_rng(6))

    def found(ordered: float) -> VisibleLattice:
        pictures = painted(reciprocal_basis(cell, "cP"), rotation, 6, ordered)
        basis = reciprocal_basis(cell, "cF")
        return visible_lattice(band_families(pictures, LIT, PC, rotation, basis))

    for clear in (0.0, 1.0):
        assert found(clear).rival is None
    rival = found(0.2).rival
    assert rival is not None
    assert (rival.letters, rival.volume) == ("cF", pytest.approx(0.25))
    assert 0 < rival.share < 0.5


def test_widths_speak_for_a_finer_lattice_of_the_same_letters(cells: dict[str, UnitCell]) -> None:
    basis = reciprocal_basis(cells["hR"], "hR")
    # bands with odd l, which half of c has not, are faint, as in corundum and calcite
    (half,) = (one for one in steps_of(basis)[0] if round(abs(np.linalg.det(one))) == 2)
    rotation = random_orientations(10, np.random.default_rng(7))
    pictures = painted(basis, rotation, 7, 0.25, half)
    families = band_families(pictures, LIT, PC, rotation, half / np.cbrt(2))
    found = visible_lattice(families)
    assert lattice_shape(found.basis) == pytest.approx(lattice_shape(basis), abs=1e-6)
