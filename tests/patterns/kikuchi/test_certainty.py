"""The probability that a band is real."""

import numpy as np

from napari_diffraction.patterns.kikuchi.bands.certainty import probability
from napari_diffraction.patterns.kikuchi.bands.lines import find_lines

SIDE = 96


def one(strength: float = 12.0, support: float = 0.9, width: float = 2.5) -> float:
    """Probability of the first of eight bands, the others of strength 10."""
    strengths = np.full((1, 8), 10, np.float32)
    strengths[0, 0] = strength
    supports = np.full((1, 8), support, np.float32)
    return float(probability(strengths, supports, np.full((1, 8), width, np.float32), SIDE)[0, 0])


def test_strong_bands_are_surer_and_wide_ones_are_not() -> None:
    assert 0.5 < one(6) < one(12) < one(24) <= 1
    assert one(width=5.5) < one(width=2.5)


def test_it_falls_along_the_list_and_no_band_has_none() -> None:
    strength = np.array([[12, 11, 8, 5, 3, 0]], np.float32)
    said = probability(strength, np.full((1, 6), 0.8, np.float32), 0 * strength + 3, SIDE)[0]
    assert (np.diff(said) < 0).all()
    assert said[-1] == 0


def test_bands_are_told_from_noise() -> None:
    rng = np.random.default_rng(4)
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    noise = rng.normal(size=(6, SIDE, SIDE)).astype(np.float32)
    bands = noise.copy()
    for angle in np.radians([5.0, 50.0, 95.0, 140.0]):
        away = x * np.cos(angle) + y * np.sin(angle) - rng.uniform(-15, 15)
        bands += 1.5 * (np.abs(away) < 2.5)
    weight = np.ones((SIDE, SIDE), np.float32)
    real, none = (
        find_lines((some - some.mean()) / some.std(), weight, 4).probability.mean()
        for some in (bands, noise)
    )
    assert real > 0.9
    assert none < 0.6
