from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.patterns.spots.background import without_bad_pixels
from napari_diffraction.patterns.spots.measure import find_spots, measure_spots, take_off_background
from napari_diffraction.patterns.spots.peaks import find_peaks
from napari_diffraction.patterns.spots.shapes import best_widths
from napari_diffraction.progress import finish
from napari_diffraction.simulation.conditions import DetectorEffects, SpotConditions
from napari_diffraction.simulation.spots.dataset import SimulatedStack, simulate_spots

CELL = UnitCell(5.6786, 10.4648, 20.4682, 109.7914, 106.5805, 105.8206)
CAMERA = DetectorEffects(
    signal=60,
    background=4,
    halo=60,
    halo_width=0.2,
    poisson=True,
    read_noise=1,
    spot_radius=1.6,
    spot_softness=0.8,
    central_radius=3,
    central_signal=30,
    shift_x=0.02,
    shift_y=-0.03,
)


def simulated(effects: DetectorEffects, n: int = 6) -> SimulatedStack:
    conditions = SpotConditions(in_plane=True)
    return finish(simulate_spots([CELL], conditions, effects, orientations=n, seed=3))


def agreement(stack: SimulatedStack) -> tuple[float, float, float]:
    """Recall, precision and rms error of the visible spots of a stack."""
    there = hit = found = true = 0
    errors = []
    for number, image in enumerate(stack.images):
        spots = stack.spots[(stack.spots["pattern"] == number) & stack.spots["visible"]]
        xy, peaks = spots[["x", "y"]].to_numpy(float), find_spots(image).position
        distance, _ = cKDTree(peaks).query(xy)
        there, hit = there + len(xy), hit + int(np.sum(distance < 1.5))
        errors.append(distance[distance < 1.5])
        near, _ = cKDTree(xy).query(peaks)
        found, true = found + len(peaks), true + int(np.sum(near < 1.5))
    return hit / there, true / found, float(np.sqrt(np.mean(np.concatenate(errors) ** 2)))


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"hot_pixels": 4e-4, "dead_pixels": 1e-3},
        {"beam_stop": 0.08, "beam_stop_arm": 0.03, "beam_stop_angle": 250.0},
        {"ice": 40.0, "carbon": 20.0},
        {"gap_width": 4.0},
        {"background": 0.0, "halo": 0.0, "read_noise": 0.0},
    ],
    ids=["plain", "bad pixels", "beam stop", "rings", "gaps", "no background"],
)
def test_spots_are_found_where_they_are_whatever_the_camera(change: dict[str, float]) -> None:
    recall, precision, error = agreement(simulated(replace(CAMERA, **change)))
    assert recall > 0.93
    assert precision > 0.9
    assert error < 0.35


def test_clean_patterns_have_each_spot_and_no_other() -> None:
    recall, precision, error = agreement(simulated(DetectorEffects()))
    assert recall > 0.97
    assert precision > 0.99
    assert error < 0.3


def test_the_beam_is_found_under_a_beam_stop_and_the_stop_is_known() -> None:
    stopped = replace(CAMERA, beam_stop=0.08, beam_stop_arm=0.03, beam_stop_angle=0.0)
    stack = simulated(stopped)
    for image in stack.images:
        level = take_off_background(image)
        assert stack.geometry.centre is not None
        assert np.hypot(*np.subtract(level.centre, stack.geometry.centre)) < 4
        x, y = np.round(stack.geometry.centre).astype(int)
        assert level.hidden[y, x + 15 : x + 60].mean() > 0.9  # on the arm
        assert level.hidden.mean() < 0.1
        assert not np.isfinite(level.residual[level.hidden]).any()


@pytest.mark.parametrize("halo", [0.0, 15.0, 60.0])
def test_a_beam_off_the_middle_is_not_taken_for_a_spot(halo: float) -> None:
    """It is far brighter than the halo around the middle, and seen."""
    effects = replace(
        CAMERA, signal=150.0, halo=halo, background=8.0, shift_x=-0.1, shift_y=-0.12, offset=20.0
    )
    stack = simulated(effects)
    for image in stack.images:
        level = take_off_background(image)
        assert np.hypot(*np.subtract(level.centre, stack.geometry.centre)) < 1


@pytest.mark.parametrize("fill", [0.0, np.nan])
@pytest.mark.parametrize("width", [2, 6])
def test_the_rim_of_a_beam_beside_a_gap_is_no_spot(fill: float, width: int) -> None:
    """Of such a beam only a part is seen, which tells a smaller radius."""
    y, x = np.mgrid[:256, :256].astype(float)
    false = 0
    for number, at in enumerate((112.0, 118.0, 124.0, 127.0, 130.5)):
        away = np.hypot(x - at, y - 128)
        for peak, halo in ((300, 60), (5000, 60), (50000, 200), (50000, 0)):
            light = 5 + halo * np.exp(-away / 25) + peak / (1 + np.exp(away - 8))
            frame = np.random.default_rng(number).poisson(light).astype(np.float32)
            frame[:, 126 : 126 + width] = fill
            found = find_spots(frame).position
            false += int((np.hypot(found[:, 0] - at, found[:, 1] - 128) < 20).sum())
    assert false <= 2


def test_a_spot_is_measured() -> None:
    y, x = np.mgrid[:200, :200]
    rng = np.random.default_rng(0)
    frame = rng.normal(100.0, 5.0, (200, 200))
    for cx, cy, height in ((50.3, 60.7, 100.0), (140.2, 61.5, 50.0), (75.6, 150.1, 200.0)):
        frame += height * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * 2.0**2))
    spots = find_spots(frame)
    order = np.argsort(spots.position[:3, 0])
    np.testing.assert_allclose(
        spots.position[order], [[50.3, 60.7], [75.6, 150.1], [140.2, 61.5]], atol=0.2
    )
    area = 2 * np.pi * 2.0**2
    # The tail of a Gaussian is lost, at this width a seventh; alike for all of them.
    share = spots.intensity[order] / (area * np.array([100, 200, 50]))
    np.testing.assert_allclose(share, 0.85, atol=0.05)
    np.testing.assert_allclose(spots.snr[order], [20, 40, 10], rtol=0.2)
    again = measure_spots(frame, spots.position[order])
    np.testing.assert_array_equal(again.position, spots.position[order])
    np.testing.assert_allclose(again.intensity, spots.intensity[order], rtol=1e-5)


def test_the_threshold_is_the_height_over_the_noise() -> None:
    stack = simulated(CAMERA, 1)
    low, high = (find_spots(stack.images[0], threshold) for threshold in (2.5, 10))
    assert low.snr.min() >= 2.5
    assert 0 < len(high) < len(low)
    assert high.snr.min() >= 10


@pytest.mark.parametrize("dtype", ["u4", ">u4", "u8"])
def test_what_a_detector_writes_in_its_gaps_is_no_light(dtype: str) -> None:
    image = simulated(CAMERA, 1).images[0]
    frame = image.astype(dtype)
    frame[100:106], frame[:, 150:154] = np.iinfo(dtype).max, np.iinfo(dtype).max
    holed = image.astype(float)
    holed[100:106], holed[:, 150:154] = np.nan, np.nan
    for find in (find_spots, find_peaks):
        found, expected = find(frame), find(holed)
        np.testing.assert_array_equal(found.position, expected.position)
        assert len(found.position) > 20
        assert found.centre == expected.centre


def test_of_very_many_spots_none_are_passed_over_for_their_place() -> None:
    size, apart = 1024, 14  # the strongest are kept, not those nearest to the upper edge
    rng = np.random.default_rng(0)
    places = np.arange(apart, size - apart, apart)
    height = rng.uniform(50, 400, (len(places), len(places)))
    assert height.size > 5000
    frame = np.zeros((size, size))
    frame[np.ix_(places, places)] = height
    frame = rng.poisson(ndimage.gaussian_filter(frame, 1.0) * 6.28 + 20).astype(np.uint16)
    found = find_spots(frame)
    assert len(found) == 500
    assert abs(found.position[:, 1].mean() - size / 2) < 0.05 * size
    assert found.position[:, 1].max() > 0.95 * size


def test_a_negative_gives_the_same_spots() -> None:
    image = simulated(CAMERA, 1).images[0]
    plain, negative = find_spots(image), find_spots(image.max() - image)
    assert len(plain) == len(negative)
    assert cKDTree(plain.position).query(negative.position)[0].max() < 0.1


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((64, 80), np.uint8),
        np.full((64, 80), 65535, np.uint16),
        np.full((64, 80), np.nan, np.float32),
        np.random.default_rng(0).normal(100, 5, (200, 160)),
        np.random.default_rng(0).poisson(0.3, (256, 256)).astype(np.uint16),
    ],
    ids=["zero", "saturated", "nan", "noise", "few counts"],
)
def test_frames_without_spots_have_hardly_any(frame: np.ndarray) -> None:
    spots = find_spots(frame)
    assert len(spots) <= (10 if frame.max() < 10 else 1)  # few counts have a long tail
    assert spots.hidden.shape == frame.shape
    assert len(measure_spots(frame, [[10, 12], [40, 20]])) == 2


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (7, 9), (33, 300)])
def test_frames_of_any_shape_can_be_looked_at(shape: tuple[int, int]) -> None:
    assert len(find_spots(np.random.default_rng(1).poisson(5, shape))) < 5


def test_a_bright_ring_around_a_black_middle_has_an_ordinary_width() -> None:
    """A bad pixel in the midst of a strong spot once gave it a width of thousands of pixels."""
    y, x = np.mgrid[:64, :64]
    away = np.hypot(x - 30, y - 31)
    signal = np.where((away > 1.5) & (away < 5), 60, 0).astype(np.float32)
    signal[away <= 1.5] = -40
    best, width = best_widths(signal, np.float32([30]), np.float32([31]), np.array([2.0, 3.0, 5.0]))
    assert best[0] > 15
    assert 1 < width[0] <= 5


@pytest.mark.parametrize("corner", [np.nan, np.inf])
def test_a_hot_pixel_beside_one_without_a_value_is_left(corner: float) -> None:
    """The median of neighbours of which one has no value would be wrong."""
    frame = np.random.default_rng(0).normal(10, 1, (9, 9)).astype(np.float32)
    frame[4, 4] = 500
    mended = without_bad_pixels(frame)
    assert mended[4, 4] < 13
    frame[5, 5] = corner
    assert without_bad_pixels(frame)[4, 4] == 500
