from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.patterns.spots.measure import find_spots
from napari_diffraction.patterns.spots.peaks import MOST, find_peaks
from napari_diffraction.progress import finish
from napari_diffraction.simulation.conditions import DetectorEffects, SpotConditions
from napari_diffraction.simulation.spots.dataset import SimulatedStack, simulate_spots

CELL = UnitCell(5.6786, 10.4648, 20.4682, 109.7914, 106.5805, 105.8206)
CAMERA = DetectorEffects(
    signal=60,
    background=4,
    halo=40,
    poisson=True,
    read_noise=1,
    spot_radius=1.6,
    spot_softness=0.8,
    central_radius=3,
    central_signal=30,
    shift_x=0.02,
    shift_y=-0.03,
)


def simulated(effects: DetectorEffects, crystals: int = 1) -> SimulatedStack:
    conditions = SpotConditions(in_plane=True)
    work = simulate_spots([CELL], conditions, effects, orientations=12, crystals=crystals, seed=3)
    return finish(work)


@pytest.fixture(scope="module")
def clean() -> SimulatedStack:
    return simulated(DetectorEffects())


@pytest.fixture(scope="module")
def noisy() -> SimulatedStack:
    return simulated(CAMERA)


@pytest.fixture(scope="module", params=["clean", "noisy"])
def stack(request: pytest.FixtureRequest) -> SimulatedStack:
    return request.getfixturevalue(request.param)


def agreement(found: np.ndarray, true: np.ndarray, reach: float = 1.5) -> tuple[float, float]:
    """Return the share of true spots that are found, and of found ones that are true."""
    there, _ = cKDTree(found).query(true)
    near, _ = cKDTree(true).query(found)
    return float(np.mean(there < reach)), float(np.mean(near < reach))


@pytest.mark.parametrize(
    ("kind", "recall", "precision", "error"),
    [("clean", 0.99, 0.99, 0.5), ("noisy", 0.97, 0.98, 0.25)],
)
def test_spots_are_found_where_they_are(
    request: pytest.FixtureRequest, kind: str, recall: float, precision: float, error: float
) -> None:
    stack: SimulatedStack = request.getfixturevalue(kind)
    recalls, precisions, errors = [], [], []
    for i in range(len(stack)):
        spots = stack.spots[(stack.spots["pattern"] == i) & stack.spots["visible"]]
        peaks = find_peaks(stack.images[i])
        true = spots[["x", "y"]].to_numpy()
        # What touches the direct beam cannot be told from it.
        true = true[np.hypot(*(true - peaks.centre).T) > peaks.beam_radius + 1]
        found, right = agreement(peaks.position, true)
        recalls.append(found)
        precisions.append(right)
        distance, _ = cKDTree(true).query(peaks.position)
        errors.append(distance[distance < 1.5])
    assert np.mean(recalls) > recall
    assert np.mean(precisions) > precision
    assert np.quantile(np.concatenate(errors), 0.95) < error


def test_the_direct_beam_is_found_and_is_no_spot(stack: SimulatedStack) -> None:
    centre = stack.geometry.centre
    errors = []
    for image in stack.images:
        peaks = find_peaks(image)
        errors.append(np.hypot(*np.subtract(peaks.centre, centre)))
        assert np.hypot(*(peaks.position - centre).T).min() > 2
    assert np.median(errors) < 0.5
    assert max(errors) < 3  # a spot that touches the direct beam pulls at it


def test_strongest_come_first_and_heights_belong_to_them(noisy: SimulatedStack) -> None:
    peaks = find_peaks(noisy.images[0])
    assert np.all(np.diff(peaks.height) <= 0)
    x, y = np.round(peaks.position).astype(int).T
    np.testing.assert_allclose(peaks.smooth[y, x], peaks.height, rtol=0.2)


def padded(image: np.ndarray) -> np.ndarray:
    widths = ((10, 0), (40, 60))
    return np.pad(image, widths, constant_values=np.median(image).astype(image.dtype))


def half_missing_border(image: np.ndarray) -> np.ndarray:
    out = np.full((image.shape[0], image.shape[1] + 30), np.nan, np.float32)
    out[:, :-30] = image
    return out


Change = Callable[[Any], Any]
#: What is done to a frame, how positions are brought back, and the least agreement.
CHANGES: dict[str, tuple[Change, Change, float]] = {
    "inverted": (lambda f: f.max() - f, lambda p: p, 0.99),
    "float32": (lambda f: f.astype(np.float32), lambda p: p, 0.99),
    "int32": (lambda f: f.astype(np.int32), lambda p: p, 0.99),
    "gain and offset": (lambda f: 7.3 * f + 1000.0, lambda p: p, 0.99),
    "small numbers": (lambda f: 1e-6 * f, lambda p: p, 0.99),
    "padded": (padded, lambda p: p - [40, 10], 0.95),
    "without values at the edge": (half_missing_border, lambda p: p, 0.95),
    "mirrored": (lambda f: f[:, ::-1], lambda p: [255, 0] + [-1, 1] * p, 0.98),
    "turned": (lambda f: f.T, lambda p: p[:, ::-1], 0.98),
    "doubled": (lambda f: f.repeat(2, 0).repeat(2, 1), lambda p: (p - 0.5) / 2, 0.98),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_the_same_spots_are_found_in_a_changed_frame(stack: SimulatedStack, change: str) -> None:
    apply, back, least = CHANGES[change]
    shares = []
    for image in stack.images[:6]:
        before = find_peaks(image).position
        after = back(find_peaks(apply(image)).position)
        shares.append(agreement(after, before, reach=0.5))
    assert np.mean(shares, axis=0).min() >= least


def test_echoes_of_jpeg_are_no_spots(clean: SimulatedStack) -> None:
    for image in clean.images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=80)
        before, after = find_peaks(image), find_peaks(np.asarray(Image.open(buffer)))
        assert len(after.position) == pytest.approx(len(before.position), abs=1)


def test_rings_and_noise_are_no_spots() -> None:
    effects = DetectorEffects(
        signal=60, background=10, halo=60, poisson=True, read_noise=1, carbon=20, ice=20,
        central_radius=3,
    )  # fmt: skip
    for image in simulated(effects, crystals=0).images:
        assert len(find_peaks(image).position) <= 2


def test_many_spots_do_not_raise_the_threshold() -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:256, :256]
    away = np.hypot(x - 127, y - 127)
    image = 1000 + 300 * np.exp(-away / 60) + 6000 * np.exp(-(away**2) / 18)
    grid = np.array([(a, b) for a in range(8, 248, 11) for b in range(8, 248, 11)])
    grid = rng.permutation(grid[np.hypot(*(grid - 127).T) > 15])[:250]
    for a, b in grid:
        image += rng.uniform(100, 260) * np.exp(-((x - a) ** 2 + (y - b) ** 2) / 4.5)
    frame = rng.poisson(image).astype(np.uint16)
    for found in (find_peaks(frame).position, find_spots(frame).position):
        recall, precision = agreement(found, grid)
        assert recall > 0.85
        assert precision > 0.98


def test_a_slope_in_whole_numbers_is_no_noise() -> None:
    y, x = np.mgrid[:256, :256]
    away = np.hypot(x - 127, y - 127)
    image = 300 * np.exp(-away / 60) + 65000 * np.exp(-(away**2) / 18)
    for a, b in np.random.default_rng(0).integers(10, 246, (40, 2)):
        image[b, a] += 3000
    assert len(find_peaks(image.astype(np.uint16)).position) > 35


@pytest.mark.parametrize("counts", [0.2, 0.6, 0.8, 2.0, 10.0])
def test_few_counts_make_no_spots(counts: float) -> None:
    """The fewer are counted, the longer the tail of the noise."""
    rng = np.random.default_rng(1)
    frames = rng.poisson(counts, (10, 256, 256)).astype(np.uint16)
    assert sum(len(find_peaks(frame).position) for frame in frames) <= 5


@pytest.mark.parametrize("angle", [0.0, 0.1])
def test_the_edge_of_a_stop_where_little_is_counted_is_no_row_of_spots(angle: float) -> None:
    """No pixel of such a stop alone is much darker than the others."""
    y, x = np.mgrid[:256, :256].astype(float)
    away = np.hypot(x - 130, y - 125)
    light = 0.6 + 40 * np.exp(-away / 20) + 1.5 * np.exp(-away / 100)
    arm = (np.abs(y - 125 + (x - 130) * angle) < 4) & (x < 130)
    rng = np.random.default_rng(0)
    frames = rng.poisson(np.where((away < 9) | arm, 0.3, light), (8, 256, 256)).astype(np.uint16)
    found = [find_peaks(frame) for frame in frames]
    assert sum(len(peaks.position) for peaks in found) <= 4
    masked = frames[0].astype(np.float32)
    masked[::37, 3] = np.nan  # no shadow ends at a pixel without a value
    assert find_peaks(masked).flat.shadow.mean() > 0.9 * found[0].flat.shadow.mean()
    for peaks in found:  # from the halo, as the beam is hidden
        assert np.hypot(*np.subtract(peaks.centre, (130, 125))) < 3


def test_the_dark_between_discs_of_a_convergent_beam_is_no_stop() -> None:
    """It is more of the frame than a stop hides, and the beam is where it is seen."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:256, :256].astype(float)
    light = np.zeros(x.shape)
    for m in range(-8, 9):
        for n in range(-8, 9):
            cx, cy = 128 + 22 * m + 2 * n, 127 + 4 * m + 22 * n
            height = 160 if m == n == 0 else rng.uniform(8, 32)
            disc = np.hypot(x - cx, y - cy) < 8
            light += height * np.exp(-np.hypot(cx - 128, cy - 127) / 120) * disc
    light = ndimage.gaussian_filter(light, 1) + 0.2
    peaks = find_peaks(rng.poisson(light).astype(np.uint16))
    assert peaks.flat.shadow is None
    assert np.hypot(*np.subtract(peaks.centre, (128, 127))) < 1


@pytest.mark.parametrize("angle", [0.0, 130.0])
def test_the_direct_beam_is_known_behind_a_stop(angle: float) -> None:
    stop = {"beam_stop": 0.08, "beam_stop_arm": 0.03, "beam_stop_angle": angle}
    stack = simulated(replace(CAMERA, **stop))
    assert stack.geometry.centre is not None
    for image in stack.images:
        assert np.hypot(*np.subtract(find_peaks(image).centre, stack.geometry.centre)) < 4


def test_hot_pixels_are_no_spots_but_one_pixel_spots_are() -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[20:240:20, 20:240:20].reshape(2, -1)
    hot = rng.poisson(20, (256, 256))
    hot[y[:12], x[:12]] = 500
    assert len(find_peaks(hot).position) == 0
    black = np.zeros((256, 256), np.uint8)
    black[y, x] = 255
    peaks = find_peaks(black)
    away = np.hypot(*(np.stack([x, y], 1) - peaks.centre).T) > peaks.beam_radius
    assert len(peaks.position) == away.sum() > 110


def test_no_more_than_the_strongest_spots_are_kept() -> None:
    y, x = np.mgrid[5:395:9, 5:395:9].reshape(2, -1)
    frame = np.zeros((400, 400))
    frame[y, x] = frame[y + 1, x] = frame[y, x + 1] = frame[y + 1, x + 1] = 100.0
    peaks = find_peaks(frame)
    assert len(peaks.position) == len(peaks.height) == MOST


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((64, 80), np.uint8),
        np.full((64, 80), 65535, np.uint16),
        np.full((64, 80), np.nan, np.float32),
        np.ones((1, 1)),
        np.zeros((1, 900), np.uint16),
    ],
    ids=["zero", "saturated", "nan", "one pixel", "one line"],
)
def test_frames_that_show_nothing_have_no_spots(frame: np.ndarray) -> None:
    peaks = find_peaks(frame)
    assert peaks.position.shape == (0, 2)
    assert peaks.height.shape == (0,)
    assert peaks.centre == ((frame.shape[1] - 1) / 2, (frame.shape[0] - 1) / 2)
