"""Orientations, lattices and centres from bands that are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.reduction import cells_alike
from napari_diffraction.crystal.structure import cell_of
from napari_diffraction.crystal.symmetry import disorientation, proper_rotations
from napari_diffraction.indexing.bands.centre import (
    above_chance,
    band_error,
    improved,
    lattice_at,
    prior,
)
from napari_diffraction.indexing.bands.directions import Directions, directions
from napari_diffraction.indexing.bands.four_bands import (
    lattice_shape,
    lattices_of_pattern,
    refined_on,
)
from napari_diffraction.indexing.bands.orientation import PairTable, follow, orient
from napari_diffraction.indexing.bands.refinement import observed, refine
from napari_diffraction.patterns.kikuchi.bands.lines import plane_vectors

SIGMA = np.radians(0.5)


def away(found: np.ndarray, made, letters: str, cell: UnitCell) -> np.ndarray:
    """Degrees between orientations, up to the symmetry of the lattice."""
    into_crystal = (np.swapaxes(one, 1, 2) for one in (found, made.rotation))
    return disorientation(*into_crystal, letters, cell)


def test_normals_are_those_of_the_planes(make_grains: Callable) -> None:
    """Every pixel of a trace lies in its plane, by the definition of the pattern centre."""
    made = make_grains("cF", 3, shape=(90, 140), pc=(0.4, 0.2, 0.7))
    h, w = made.lines.shape
    normals = made.lines.normals(made.pc)
    for line, normal in zip(made.lines.line[1], normals[1], strict=True):
        for along in (-30.0, 0.0, 45.0):
            x = line[0] * line[2] - line[1] * along + w / 2
            y = line[1] * line[2] + line[0] * along + h / 2
            ray = np.array([x - 0.4 * w, 0.2 * h - y, 0.7 * h])
            assert ray / np.linalg.norm(ray) @ normal == pytest.approx(0, abs=1e-9)
    assert np.linalg.norm(normals, axis=-1) == pytest.approx(1)
    each = made.lines.normals(np.tile(made.pc, (3, 1)))
    assert each == pytest.approx(normals)


def test_plane_vectors_are_linear_in_the_centre(make_grains: Callable) -> None:
    line = make_grains("cF", 2).lines.line
    one, other = np.array([0.5, 0.3, 0.6]), np.array([0.45, 0.2, 0.9])
    shape = (60, 80)
    middle = plane_vectors(line, (one + other) / 2, shape)
    mean = (plane_vectors(line, one, shape) + plane_vectors(line, other, shape)) / 2
    assert middle == pytest.approx(mean)


def test_exact_bands_give_the_orientation(
    make_grains: Callable, letters: str, cells: dict[str, UnitCell]
) -> None:
    made = make_grains(letters, 12, seed=1)
    found = orient(directions(made.basis), made.lines.normals(made.pc), made.weights, SIGMA)
    assert away(found.rotation, made, letters, cells[letters]).max() < 0.05
    assert np.degrees(found.misfit).max() < 0.05
    assert (found.bands == made.lines.count).all()
    assert (above_chance(found.score, made.weights) > 0).all()


def test_noise_and_strays_do_not_mislead(
    make_grains: Callable, letters: str, cells: dict[str, UnitCell]
) -> None:
    made = make_grains(letters, 30, seed=2, noise=0.25, strays=2)
    found = orient(directions(made.basis), made.lines.normals(made.pc), made.weights, SIGMA)
    off = away(found.rotation, made, letters, cells[letters])
    assert np.median(off) < 0.2
    assert (off < 0.6).mean() > 0.9


@pytest.mark.parametrize("letters", ["cF"])
def test_strays_are_left_out(
    make_grains: Callable, letters: str, cells: dict[str, UnitCell]
) -> None:
    made = make_grains(letters, 20, seed=3, strays=4)
    found = orient(directions(made.basis), made.lines.normals(made.pc), made.weights, SIGMA)
    assert away(found.rotation, made, letters, cells[letters]).max() < 0.3
    assert np.median(found.bands) < 12


def test_symmetry_tells_equivalent_orientations_from_others(
    make_grains: Callable, cells: dict[str, UnitCell]
) -> None:
    made = make_grains("cF", 10, seed=4)
    # the frame of the cell is that of the basis
    turns = proper_rotations("cF", cells["cF"])
    normals = made.lines.normals(made.pc)
    table = directions(made.basis)
    plain = orient(table, normals, made.weights, SIGMA)
    known = orient(table, normals, made.weights, SIGMA, turns)
    assert known.score == pytest.approx(plain.score)
    # without symmetry an equivalent orientation is as good
    assert (plain.second > 0.95 * plain.score).all()
    assert (known.second < 0.8 * known.score).all()


def test_nothing_is_oriented_where_there_are_no_bands(make_grains: Callable) -> None:
    made = make_grains("cF", 2)
    found = orient(directions(made.basis), np.zeros((2, 12, 3)), np.zeros((2, 12)), SIGMA)
    assert not found.score.any()
    assert (found.which == -1).all()
    assert (found.rotation == np.eye(3)).all()
    few = Directions(np.eye(3)[:1], np.eye(3, dtype=int)[:1], np.ones(1), np.ones(1))
    assert not orient(few, made.lines.normals(made.pc), made.weights, SIGMA).score.any()


def test_as_many_threads_as_one_likes(make_grains: Callable) -> None:
    made = make_grains("hP", 20, seed=5, noise=0.2)
    table, normals = directions(made.basis), made.lines.normals(made.pc)
    one, two = (orient(table, normals, made.weights, SIGMA, threads=n) for n in (1, 2))
    np.testing.assert_array_equal(one.rotation, two.rotation)
    np.testing.assert_array_equal(one.which, two.which)


def test_pairs_are_sorted_and_none_is_close(make_grains: Callable) -> None:
    table = directions(make_grains("hP", 1).basis)
    pairs = PairTable.of(table, 20)
    assert (np.diff(pairs.cosine) >= 0).all()
    cosine = np.einsum("ij,ij->i", table.unit[pairs.first], table.unit[pairs.second])
    assert pairs.cosine == pytest.approx(cosine * pairs.sign)
    assert np.degrees(np.arccos(np.abs(pairs.cosine).max())) > 12


def test_a_nearby_orientation_is_followed_home(
    make_grains: Callable, cells: dict[str, UnitCell]
) -> None:
    from scipy.spatial.transform import Rotation

    made = make_grains("cF", 8, seed=6, noise=0.1)
    start = Rotation.from_rotvec([0.006, -0.006, 0.006]).as_matrix() @ made.rotation
    table, normals = directions(made.basis), made.lines.normals(made.pc)
    found = follow(table, normals, made.weights, SIGMA, start)
    assert away(start, made, "cF", cells["cF"]).min() > 0.5
    assert away(found.rotation, made, "cF", cells["cF"]).max() < 0.2
    lost = follow(table, normals, made.weights, SIGMA, start[::-1].copy())
    assert (lost.score < 0.8 * found.score).all()


def test_one_exact_pattern_tells_its_lattice(
    make_grains: Callable, letters: str, cells: dict[str, UnitCell]
) -> None:
    made = make_grains(letters, 4, seed=7, bands=14)
    normals = made.lines.normals(made.pc)
    wanted = lattice_shape(made.basis)
    found = 0
    for grain in range(len(normals)):
        best = lattices_of_pattern(normals[grain], made.weights[grain], SIGMA)
        scores = [score for score, _ in best]
        assert scores == sorted(scores, reverse=True)
        assert abs(np.linalg.det(best[0][1])) == pytest.approx(1)
        found += any(np.abs(lattice_shape(basis) - wanted).max() < 0.02 for _, basis in best)
    assert found >= 3


def test_a_bent_lattice_is_straightened_on_one_pattern(make_grains: Callable) -> None:
    made = make_grains("oP", 1, seed=8, bands=14)
    rng = np.random.default_rng(0)
    bent = made.rotation[0] @ made.basis + 0.006 * rng.normal(size=(3, 3))
    better = refined_on(made.lines.normals(made.pc)[0], made.weights[0], bent, SIGMA)
    exact = lattice_shape(made.basis)
    assert np.abs(lattice_shape(bent) - exact).max() > 0.005
    assert np.abs(lattice_shape(better) - exact).max() < 0.001


def _fit(made, pc: np.ndarray, basis: np.ndarray, **free):
    table = directions(basis)
    matches = orient(table, made.lines.normals(pc), made.weights, np.radians(1.5))
    grains = np.arange(len(made.weights))
    zero = np.zeros(len(grains), np.int64)
    offset = free.pop("offset", None)
    seen = observed(made.lines, made.weights, grains, zero, matches, [table], offset)
    return refine(seen, pc, [basis], matches.rotation, **free)


def test_centre_and_lattice_are_recovered_together(make_grains: Callable, letters: str) -> None:
    made = make_grains(letters, 15, seed=9, pc=(0.52, 0.27, 0.58))
    rng = np.random.default_rng(1)
    start = made.basis + 0.004 * rng.normal(size=(3, 3))
    start /= np.cbrt(abs(np.linalg.det(start)))
    fit = _fit(made, made.pc + np.array([0.008, -0.006, 0.01]), start)
    again = _fit(made, fit.pc, fit.bases[0])
    assert again.pc == pytest.approx(made.pc, abs=1e-3)
    metric, exact = (basis.T @ basis for basis in (again.bases[0], made.basis))
    assert metric == pytest.approx(exact, abs=2e-3)
    assert np.degrees(again.misfit) < 0.05
    assert (again.pc_su > 0).all()
    assert abs(np.linalg.det(again.bases[0])) == pytest.approx(1)


def test_uncertainties_are_those_of_noise(make_grains: Callable) -> None:
    """Over several draws the centre is off by about what is told."""
    ratios = []
    for seed in range(8):
        made = make_grains("cF", 15, seed=20 + seed, noise=0.2)
        fit = _fit(made, made.pc, made.basis)
        ratios.append((fit.pc - made.pc) / fit.pc_su)
    spread = np.sqrt(np.mean(np.square(ratios)))
    assert 0.4 < spread < 2.5


def test_what_is_fixed_stays(make_grains: Callable) -> None:
    made = make_grains("cI", 6, seed=10, noise=0.1)
    pc = made.pc + np.array([0.004, 0.0, 0.0])
    held = _fit(made, pc, made.basis, free_centre=False, free_lattices=False)
    assert held.pc.tolist() == pc.tolist()
    assert held.bases[0] == pytest.approx(made.basis)
    assert not held.pc_su.any()
    assert not held.metric_cov[0].any()
    assert not held.gradient.any()
    free = _fit(made, pc, made.basis)
    assert np.abs(free.pc - made.pc).max() < 0.003
    assert free.misfit < held.misfit


def test_a_drift_of_the_centre_is_found(make_grains: Callable) -> None:
    rng = np.random.default_rng(2)
    offset = rng.uniform(-20, 20, (16, 2))
    gradient = np.array([[0.0, 0.0004, 0.0002], [-0.0003, 0.0, 0.0]])
    parts = [
        make_grains(
            "cF", 1, seed=30 + k, pc=tuple(np.array([0.5, 0.3, 0.6]) + offset[k] @ gradient)
        )
        for k in range(16)
    ]
    made = parts[0]
    lines = type(made.lines)(
        *(
            np.concatenate([getattr(one.lines, name) for one in parts])
            for name in ("line", "strength", "half_width", "support", "count")
        ),
        made.lines.shape,
    )
    whole = type(made)(
        lines,
        np.concatenate([one.weights for one in parts]),
        np.concatenate([one.rotation for one in parts]),
        made.basis,
        np.array([0.5, 0.3, 0.6]),
    )
    fit = _fit(whole, whole.pc, whole.basis, drift=True, offset=offset)
    assert fit.pc == pytest.approx(whole.pc, abs=1e-3)
    assert fit.gradient == pytest.approx(gradient, abs=5e-5)
    assert (fit.gradient_su > 0).all()


def test_the_right_centre_serves_the_grains_best(make_grains: Callable) -> None:
    made = make_grains("hP", 12, seed=11, noise=0.1)
    right = lattice_at(made.pc, made.lines, made.weights)
    wrong = lattice_at(made.pc + np.array([0.0, 0.12, -0.1]), made.lines, made.weights)
    assert right.merit > 2 * wrong.merit
    assert right.merit > 100


def test_a_centre_nearby_is_improved(make_grains: Callable, cells: dict[str, UnitCell]) -> None:
    made = make_grains("hP", 20, seed=12, noise=0.1)
    start = lattice_at(made.pc + np.array([0.01, -0.01, 0.015]), made.lines, made.weights)
    best = improved(start, made.lines, made.weights)
    assert best.pc == pytest.approx(made.pc, abs=0.004)
    assert best.served is not None
    assert best.served.mean() > 0.9
    found = cell_of(np.linalg.inv(best.basis))
    assert cells_alike(found, cells["hP"], "aP", "hP", lengths=0.01, angles=0.5, scale=None)
    held = improved(start, made.lines, made.weights, free_centre=False)
    assert held.pc.tolist() == start.pc.tolist()


def test_numbers_that_judge_a_centre() -> None:
    usual = np.array([0.5, 0.32, 0.62])
    assert prior(usual) == 0
    assert prior(usual + np.array([0.06, 0, 0])) == pytest.approx(-0.5)
    near, far = (band_error(np.array([0.5, 0.3, z]), (120, 120)) for z in (0.4, 1.2))
    assert near >= far >= np.radians(0.3)
    weights = np.ones((2, 10))
    gain = above_chance(np.array([5.0, 80.0]), weights)
    assert gain[0] == 0
    assert 0 < gain[1] < 80
