"""Nets as they lie in a pattern, by a cell, and as a hand corrects them."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.indexing.zones.ellipse import Ellipse
from napari_diffraction.indexing.zones.net_fit import NetFit, fit_net
from napari_diffraction.indexing.zones.overlay import nodes, oriented_spots, predicted, refitted
from napari_diffraction.indexing.zones.patterns import PatternMatches, PeakLists
from napari_diffraction.indexing.zones.solution import ExplainedZone

CELL = UnitCell(5.68, 10.46, 17.75, 83.9, 81.4, 74.3)
PIXEL, ORIGIN, REACH = 0.0087, np.array([130.0, 121.0]), 110.0
STRETCH = Ellipse(0.046, 121.5)
INDICES = np.array(list(product(range(-15, 16), repeat=2)))


def zone_fit(
    pair: NDArray[np.int64], turn: float, ellipse: Ellipse | None, mirrored: bool
) -> tuple[NetFit, NDArray[np.float64], NDArray[np.int64]]:
    """Fit all the spots of a zone, hkl = h pair[0] + k pair[1]; places and hkl of the spots."""
    vectors = pair @ CELL.reciprocal_basis
    plane = np.linalg.cholesky(vectors @ vectors.T) / PIXEL
    c, s = np.cos(turn), np.sin(turn)
    plane = plane @ np.array([[c, s], [-s, c]]) * ([1, -1] if mirrored else [1, 1])
    if ellipse is not None:
        plane = plane @ ellipse.matrix.T
    flat = INDICES @ plane
    inside = (np.hypot(*flat.T) < REACH) & INDICES.any(axis=1)
    position = flat[inside] + ORIGIN
    fit = fit_net(position, INDICES[inside], np.ones(len(position), bool))
    assert fit is not None
    return fit, position, INDICES[inside] @ pair


@pytest.mark.parametrize("ellipse", [None, STRETCH], ids=["round", "stretched"])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("pair", [[[0, 0, 1], [1, 0, 0]], [[0, 1, 1], [1, 0, 0]],
                                  [[1, 1, 0], [0, 1, 2]]])  # fmt: skip
def test_the_net_of_the_cell_lies_on_the_spots_with_their_indices(
    pair: list[list[int]], mirrored: bool, ellipse: Ellipse | None
) -> None:
    pairs = np.array(pair)
    fit, position, hkl = zone_fit(pairs, 0.7, ellipse, mirrored)
    # the search gives any basis of the plane: here one that is neither ordered nor reduced alike
    told = tuple(tuple(int(i) for i in row) for row in (-pairs[1], pairs[0]))
    zone = ExplainedZone(0, (0, 1, 0), told, 0.0)  # type: ignore[arg-type]
    net, named = predicted(fit, zone, CELL, PIXEL, ellipse)
    places, index = nodes(net)
    for spot, truth in zip(position, hkl, strict=True):
        away = np.hypot(*(places - spot).T)
        assert away.min() < 0.05
        # a zone cannot tell hkl from its opposite
        found = (index[away.argmin()] @ named).tolist()
        assert found in (truth.tolist(), (-truth).tolist())


def test_nodes_are_all_those_within_reach_but_the_beam() -> None:
    fit, position, _ = zone_fit(np.array([[0, 0, 1], [1, 0, 0]]), 0.2, None, False)
    places, index = nodes(fit)
    assert len(places) >= len(position)
    assert index.any(axis=1).all()
    assert np.hypot(*(places - fit.origin).T).max() < 1.05 * fit.reach
    gaps = np.hypot(*(places[:, None] - position[None]).transpose(2, 0, 1)).min(axis=0)
    assert gaps.max() < 0.01


def test_vectors_drawn_by_hand_a_little_off_snap_to_the_spots() -> None:
    fit, position, _ = zone_fit(np.array([[0, 0, 1], [1, 0, 0]]), 0.2, None, False)
    mended = refitted(position, ORIGIN + np.array([0.8, -0.6]), fit.basis * 1.02 + 0.03)
    assert mended is not None
    assert mended.basis == pytest.approx(fit.basis, abs=0.01)
    assert mended.origin == pytest.approx(ORIGIN, abs=0.01)


def test_vectors_that_span_nothing_or_hit_no_spots_are_refused() -> None:
    fit, position, _ = zone_fit(np.array([[0, 0, 1], [1, 0, 0]]), 0.2, None, False)
    assert refitted(position, ORIGIN, np.array([fit.basis[0], 2 * fit.basis[0]])) is None
    assert refitted(position[:4], ORIGIN, fit.basis) is None


def test_spots_of_an_oriented_crystal_lie_where_the_sphere_cuts_its_lattice() -> None:
    wavelength, depth = 0.0251, 0.012
    rotation = Rotation.from_rotvec([0.4, -0.9, 0.3]).as_matrix()
    hkl = np.array([one for one in product(range(-17, 18), repeat=3) if any(one)])
    hkl = hkl[hkl.sum(axis=1) % 2 == 0]  # centred in its body
    vectors = hkl @ CELL.reciprocal_basis @ rotation.T
    radius = np.hypot(*vectors[:, :2].T)
    off = np.abs(vectors[:, 2] + 0.5 * wavelength * radius**2)
    seen = (off < depth) & (radius < 0.9)
    hkl, flat, shift = hkl[seen], vectors[seen, :2], np.array([0.004, -0.003])
    n = len(hkl)
    peaks = PeakLists(
        np.array([7]), np.array([0, n]), flat + shift, np.arange(n)[::-1].copy(), 1e-3
    )
    match = PatternMatches(
        peaks, rotation[None], shift[None], hkl, np.array([n]), np.zeros(1), np.ones(1), np.ones(1)
    )
    spots = ORIGIN + ((flat + shift) @ STRETCH.matrix.T / PIXEL)[::-1]
    places, named = oriented_spots(CELL, "oI", match, 0, spots, PIXEL, STRETCH, wavelength)
    drawn = dict(zip(map(tuple, named.tolist()), places, strict=True))
    assert n > 20
    for one, spot in zip(hkl.tolist(), spots[::-1], strict=True):
        assert drawn.pop(tuple(one)) == pytest.approx(spot, abs=1e-6)
    # what is drawn beside them lies farther out, if anywhere
    assert len(drawn) < 0.3 * n
    assert all(sum(one) % 2 == 0 for one in drawn)
