from dataclasses import replace

import numpy as np
import pytest

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.materials import MATERIALS, load_structure
from napari_diffraction.crystal.orientation import random_orientations
from napari_diffraction.indexing.overlay import planes, solution_drawing
from napari_diffraction.indexing.solution import IndexedMap, IndexedPhase, Reflector
from napari_diffraction.simulation.kikuchi.overlay import band_lines, zone_axes

PC = (0.49, 0.31, 0.62)
SHAPE = (60, 80)


def phase_of(name):
    structure = load_structure(name)
    return IndexedPhase(
        name, structure.lattice, {}, structure.cell, (0.0,) * 6, structure.cell, structure=structure
    )


def indexed(phase, rotations, shape=SHAPE, **known):
    n = len(rotations)
    return IndexedMap(
        "made up", (n,), (phase,), np.zeros(n, np.int16), rotations.astype(np.float32),
        np.full(n, 0.3, np.float32), np.full(n, 12, np.int16), np.full(n, 16, np.int16),
        np.ones(n, np.float32), np.ones(n, np.float32), np.zeros(n, np.int32), np.ones(n, bool),
        PC, frame_shape=shape, **known,
    )  # fmt: skip


def line_distance(ends, others):
    """Largest distance of the ends of a line from the nearest of other lines."""
    along = others[:, 1] - others[:, 0]
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    away = ends[None] - others[:, :1]
    cross = away[..., 0] * along[:, None, 1] - away[..., 1] * along[:, None, 0]
    return np.abs(cross).max(axis=1).min()


@pytest.mark.parametrize("name", ["Ni", "Ti", "quartz"])
def test_bands_and_axes_lie_where_the_simulation_draws_them(name):
    assert name in MATERIALS
    rotations = random_orientations(5, np.random.default_rng(4))
    phase = phase_of(name)
    solution = indexed(phase, rotations)
    for index, rotation in enumerate(rotations):
        drawn = solution_drawing(solution, index)
        _, lines = band_lines(phase.structure, rotation, PC, SHAPE, count=120)
        assert 6 <= len(drawn.hkl) <= 12
        assert max(line_distance(ends, lines) for ends in drawn.ends) < 0.05
        inside = (drawn.ends > -0.51) & (drawn.ends < np.array(SHAPE) - 0.49)
        assert inside.all()
        uvw, places = zone_axes(phase.structure, rotation, PC, SHAPE, highest=6, count=2000)
        known = {tuple(one): place for one, place in zip(uvw.tolist(), places, strict=True)}
        assert len(drawn.uvw) >= 2
        for one, place in zip(drawn.uvw.tolist(), drawn.position, strict=True):
            if tuple(one) in known:
                np.testing.assert_allclose(place, known[tuple(one)], atol=0.05)
        # each axis lies on every line of a plane that contains it
        for one, place in zip(drawn.uvw, drawn.position, strict=True):
            on = drawn.ends[drawn.hkl @ one == 0]
            assert len(on) >= 2
            assert all(line_distance(place[None], ends[None]) < 0.05 for ends in on)


def test_what_was_seen_says_which_planes_are_drawn_first():
    def family(hkl, strength):
        return Reflector(hkl, 1, 10, 9, strength, 1.0)

    cell = UnitCell(3.6, 3.6, 3.6)
    phase = IndexedPhase(
        "phase 1", "cF", {"cF": 1.0}, cell, (0.0,) * 6, cell,
        reflectors=(family((1, 1, 1), 0.7), family((2, 0, 0), 1.0), family((3, 1, 1), 0.0)),
    )  # fmt: skip
    found = planes(phase).tolist()
    assert sorted(map(tuple, found[:3])) == [(0, 0, 2), (0, 2, 0), (2, 0, 0)]
    assert len(found) == 7
    assert {tuple(np.abs(one)) for one in found[3:]} == {(1, 1, 1)}
    assert len(planes(replace(phase, reflectors=()))) == 0
    solution = indexed(phase, np.eye(3)[None])
    drawn = solution_drawing(solution, 0)
    # x to the right and y up are a and b, c towards the screen: [001] is the pattern centre
    centre = [PC[1] * SHAPE[0] - 0.5, PC[0] * SHAPE[1] - 0.5]
    place = drawn.uvw.tolist().index([0, 0, 1])
    np.testing.assert_allclose(drawn.position[place], centre, atol=1e-6)
    upright = drawn.ends[drawn.hkl.tolist().index([2, 0, 0])]
    np.testing.assert_allclose(upright[:, 1], centre[1], atol=1e-6)


def test_nothing_is_drawn_where_nothing_matches():
    phase = phase_of("Ni")
    solution = indexed(phase, np.eye(3)[None])
    assert solution_drawing(replace(solution, frame_shape=None), 0) is None
    assert solution_drawing(replace(solution, phase=np.array([-1], np.int16)), 0) is None
