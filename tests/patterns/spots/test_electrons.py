"""Spots in frames of single electrons."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from napari_diffraction.patterns.spots.electrons import are_counted
from napari_diffraction.patterns.spots.measure import find_spots
from napari_diffraction.patterns.spots.peaks import find_peaks

PLACES = np.array([[40.0, 50.0], [200, 60], [90, 190], [170, 180], [60, 120], [210, 140]])


def counted(expected: float, spots: float = 0.0, seed: int = 0) -> np.ndarray:
    y, x = np.mgrid[:256, :256].astype(float)
    light = np.full((256, 256), expected)
    for at in PLACES:
        light += spots / (2 * np.pi) * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / 2)
    return np.random.default_rng(seed).poisson(light).astype(np.uint16)


@pytest.mark.parametrize("expected", [0.0003, 0.003, 0.03, 0.1])
def test_electrons_alone_are_no_spots(expected: float) -> None:
    for seed in range(3):
        frame = counted(expected, seed=seed)
        assert len(find_peaks(frame).position) == 0
        assert len(find_spots(frame)) == 0


@pytest.mark.parametrize("expected", [0.0003, 0.003, 0.03, 0.1])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_many_electrons_in_one_place_are_a_spot(expected: float, dtype: type) -> None:
    frame = counted(expected, spots=40.0).astype(dtype)
    for found in (find_peaks(frame).position, find_spots(frame).position):
        assert len(found) <= len(PLACES) + 1
        distance, _ = cKDTree(found).query(PLACES)
        assert (distance < 1.5).sum() >= len(PLACES) - 1  # one may be taken for the beam


#: What cameras and programs make of the electrons they counted.
SCALED = {
    "gain": lambda frame: 137 * frame,
    "0 to 1": lambda frame: (frame / max(frame.max(), 1)).astype(np.float32),
    "offset": lambda frame: frame + 100,
    "dark taken off": lambda frame: frame - np.float32(12.3),
    "gain and offset": lambda frame: 137 * frame + 40,
    "half precision": lambda frame: (0.1 * frame).astype(np.float16),
}


@pytest.mark.parametrize("scaled", SCALED)
@pytest.mark.parametrize("expected", [0.003, 0.03, 0.1, 0.9])
def test_gain_and_offset_make_no_spots_of_electrons(scaled: str, expected: float) -> None:
    frame = SCALED[scaled](counted(expected))
    assert are_counted(frame)
    assert len(find_peaks(frame).position) == 0
    assert len(find_spots(frame)) == 0
    frame = SCALED[scaled](counted(expected, spots=60.0))
    for found in (find_peaks(frame).position, find_spots(frame).position):
        assert len(PLACES) - 1 <= len(found) <= len(PLACES) + 1
        assert (cKDTree(found).query(PLACES)[0] < 1.5).sum() >= len(PLACES) - 1


@pytest.mark.parametrize("gap", [np.nan, 2**32 - 1, -1])
def test_gaps_between_modules_are_no_electrons(gap: float) -> None:
    dtype = np.float32 if np.isnan(gap) else np.uint32 if gap > 0 else np.int16
    frame = counted(0.03).astype(dtype)
    frame[:, 120:126] = gap
    assert are_counted(frame)
    assert len(find_peaks(frame).position) == 0


def test_pictures_in_black_and_white_are_not_counted() -> None:
    y, x = np.mgrid[:128, :128]
    discs = ((x % 16 - 8) ** 2 + (y % 16 - 8) ** 2 < 9).astype(np.uint8)
    assert not are_counted(discs)
    assert not are_counted(discs * 255)
    crosses = np.zeros((256, 256), np.uint8)
    for a in range(10, 250, 16):
        for b in range(10, 250, 16):
            crosses[a - 1 : a + 2, b] = crosses[a, b - 1 : b + 2] = 1
    assert not are_counted(crosses)
    assert len(find_peaks(crosses).position) > 200
    assert not are_counted(counted(5.0))
    assert not are_counted(np.random.default_rng(0).normal(size=(256, 256)).clip(0))
    assert not are_counted((counted(0.003) > 0) * np.uint8(255))
    quiet = np.random.default_rng(0).normal(57, 0.5, (256, 256)).round()
    assert not are_counted(quiet + 3 * counted(0.01))
    assert not are_counted(3 * quiet)
    assert not are_counted(np.zeros((16, 16), np.uint8))
    assert are_counted(counted(0.05))
