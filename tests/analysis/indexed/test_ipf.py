from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from napari_diffraction.analysis.indexed.ipf import (
    IPF_GROUPS,
    direction_colours,
    ipf_colours,
    ipf_group,
    ipf_key,
)
from napari_diffraction.analysis.indexed.orientations import orientations
from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.structure import LAUE_GROUPS, expand, laue_group, pearson
from napari_diffraction.crystal.symmetry import proper_rotations
from napari_diffraction.errors import InputError
from napari_diffraction.learning.palette import NOT_INDEXED_COLOUR

#: orix's names of the groups.
SCHOENFLIES = dict(
    zip(
        LAUE_GROUPS,
        ("Ci", "C2h", "D2h", "C4h", "D4h", "S6", "D3d", "C6h", "D6h", "Th", "Oh"),
        strict=True,
    )
)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("laue", LAUE_GROUPS)
def test_colours_are_those_of_orix(laue):
    keys = pytest.importorskip("orix.plot.direction_color_keys", reason="orix is not installed")
    from orix.quaternion import symmetry
    from orix.vector import Vector3d

    vectors = np.random.default_rng(0).normal(size=(2000, 3))
    # orix's monoclinic axis is c
    theirs = vectors[:, [2, 0, 1]] if laue == "2/m" else vectors
    key = keys.DirectionColorKeyTSL(getattr(symmetry, SCHOENFLIES[laue]))
    away = np.abs(key.direction2color(Vector3d(theirs)) - direction_colours(vectors, laue))
    assert away.mean() < 2e-3
    # orix leaves some directions of m-3 outside its sector
    assert np.quantile(away, 0.998) < 0.02


@pytest.mark.parametrize("laue", LAUE_GROUPS)
def test_equivalent_directions_have_one_colour(laue):
    vectors = np.random.default_rng(1).normal(size=(200, 3))
    cell = UnitCell(1, 1, 1, gamma=120 if laue[:2] in ("-3", "6/") else 90)
    colours = direction_colours(vectors, laue)
    assert colours.min() >= 0
    assert colours.max() <= 1
    for rotation in proper_rotations(laue, cell):
        for sign in (1, -1):
            again = direction_colours(sign * vectors @ rotation.T, laue)
            assert again == pytest.approx(colours, abs=1e-6)


@pytest.mark.parametrize("number", range(143, 168))
def test_equivalent_directions_of_trigonal_crystals_have_one_colour(number, indexed):
    vectors = np.random.default_rng(1).normal(size=(100, 3))
    cell = UnitCell(5, 5, 6, gamma=120)
    structure = expand(cell, number, [("Fe", 0.1, 0.2, 0.3)])
    given = {"lattice": pearson(number), "structure": structure, "cell_su": (0.0,) * 6}
    group = ipf_group(replace(indexed.phases[1], **given))
    colours = direction_colours(vectors, group)
    for rotation in proper_rotations(number, cell):
        again = direction_colours(vectors @ rotation.T, group)
        assert again == pytest.approx(colours, abs=1e-6)
    assert group in (laue_group(number), "-31m")


def test_the_key_between_is_the_other_trigonal_one_turned_by_30_degrees():
    vectors = np.random.default_rng(2).normal(size=(100, 3))
    c, s = np.cos(np.pi / 6), np.sin(np.pi / 6)
    turned = vectors @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).T
    assert direction_colours(turned, "-31m") == pytest.approx(
        direction_colours(vectors, "-3m"), abs=1e-6
    )


def test_corners_of_the_cubic_key_are_red_green_and_blue():
    corners = direction_colours([[0, 0, 2], [1, 0, 1], [1, -1, 1]], "m-3m")
    assert corners == pytest.approx(np.eye(3), abs=0.02)
    hexagonal = direction_colours([[0, 0, 1], [1, 0, 0], [np.sqrt(3), 1, 0]], "6/mmm")
    assert hexagonal == pytest.approx(np.eye(3), abs=0.02)


def test_points_are_coloured_by_the_axis_of_the_sample(indexed, make_indexed):
    matrices = orientations(indexed)
    for axis, column in zip("xyz", range(3), strict=True):
        colours = ipf_colours(indexed, axis)
        assert colours[0] == pytest.approx(to_rgb(NOT_INDEXED_COLOUR))
        cubic, hexagonal = indexed.phase == 0, indexed.phase == 1
        assert colours[cubic] == pytest.approx(
            direction_colours(matrices[cubic, :, column], "m-3m")
        )
        assert colours[hexagonal] == pytest.approx(
            direction_colours(matrices[hexagonal, :, column], "6/mmm")
        )
    with pytest.raises(InputError, match="Unknown axis"):
        ipf_colours(indexed, "ND")


def test_no_direction_has_no_colour():
    colours = direction_colours([[[np.nan, 0, 0], [0, 0, 1]]], "mmm")
    assert colours.shape == (1, 2, 3)
    assert np.isnan(colours[0, 0]).all()
    assert np.isfinite(colours[0, 1]).all()
    with pytest.raises(InputError, match="Unknown Laue group"):
        direction_colours([0, 0, 1], "5/m")


@pytest.mark.parametrize("laue", IPF_GROUPS)
def test_the_key_shows_the_sector_and_names_its_corners(laue):
    key = ipf_key(laue, 120)
    assert max(key.image.shape[:2]) in (120, 121)
    opaque = key.image[..., 3] == 1
    assert 0.2 < opaque.mean() < 1
    assert (key.image[~opaque] == 0).all()
    height, width = opaque.shape
    for _, x, y in key.labels:
        assert -2 < x < width + 1
        assert -2 < y < height + 1
        near = opaque[max(0, round(y) - 3) : round(y) + 4, max(0, round(x) - 3) : round(x) + 4]
        assert near.any()
    assert len({name for name, _, _ in key.labels}) == len(key.labels)
