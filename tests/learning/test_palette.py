import colorsys
from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from skimage.color import deltaE_ciede2000, rgb2lab

from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.learning.palette import (
    GREY,
    LATTICE_COLOURS,
    NOT_INDEXED_COLOUR,
    class_colour,
    class_title,
)

# Machado, Oliveira and Fernandes (2009), full severity, on linear RGB.
SIGHT = {
    "all colours": np.eye(3),
    "no red": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no green": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}


def seen(colours, matrix):
    """Return colours as somebody sees them, in CIELAB."""
    rgb = np.array([to_rgb(colour) for colour in colours])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.transpose(matrix), 0, 1)
    back = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return rgb2lab(back)


@pytest.mark.parametrize("sight", SIGHT)
def test_lattices_can_be_told_apart_with_any_sight(sight):
    lab = seen([*LATTICE_COLOURS.values(), GREY], SIGHT[sight])
    least = min(float(deltaE_ciede2000(a, b)) for a, b in combinations(lab, 2))
    assert least > 10


def test_a_crystal_system_has_one_hue():
    lab = seen(LATTICE_COLOURS.values(), np.eye(3))
    hues = dict(zip(LATTICE_COLOURS, np.angle(lab[:, 1] + 1j * lab[:, 2], deg=True), strict=True))
    assert list(LATTICE_COLOURS) == list(BRAVAIS_LATTICES)
    for one, other in combinations(LATTICE_COLOURS, 2):
        apart = abs((hues[one] - hues[other] + 180) % 360 - 180)
        alike = BRAVAIS_LATTICES[one].system == BRAVAIS_LATTICES[other].system
        assert apart < 8 if alike else apart > 20, (one, other)


def test_phases_of_a_list_have_colours_of_their_own():
    names = tuple(f"phase {i}" for i in range(10))
    assert len({class_colour(name, names) for name in names}) == 10
    assert class_colour("NoPattern", ("NoPattern",)) == GREY == class_colour("unheard of")
    assert colorsys.rgb_to_hls(*to_rgb(GREY))[2] == 0


def test_greys_can_be_told_from_each_other_and_the_lightest_from_phases():
    names = tuple(f"phase {i}" for i in range(10))
    classes = (*names, "NoneOfThese", "NoPattern")
    greys = [class_colour("NoneOfThese", classes), class_colour("NoPattern", classes)]
    greys.append(NOT_INDEXED_COLOUR)
    for matrix in SIGHT.values():
        lab = seen([*greys, *(class_colour(name, names) for name in names)], matrix)
        assert min(float(deltaE_ciede2000(lab[0], one)) for one in lab[1:]) > 10
        assert float(deltaE_ciede2000(lab[1], lab[2])) > 10


def test_lattices_are_named_in_words():
    assert class_title("cF") == "cF  face-centred cubic"
    assert class_title("aP") == "aP  triclinic"
    assert class_title("hR") == "hR  rhombohedral"
    assert class_title("rutile") == "rutile"
