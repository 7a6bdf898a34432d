"""The mask of the camera and the static background of a scan."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.kikuchi.mask import background_of, find_mask, static_background
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.patterns.stack import PatternStack

SHAPE = (72, 80)


def bands(rng, bright=25):
    """A pattern of bright bands in random directions, about 0 to 1."""
    rows, columns = np.indices(SHAPE)
    x, y = (columns / SHAPE[1] - 0.5) * 2, (rows / SHAPE[0] - 0.5) * 2
    pattern = np.zeros(SHAPE)
    for nx, ny, nz in rng.normal(size=(bright, 3)) * (1, 1, 0.5):
        distance = (x * nx + y * ny + nz) / np.sqrt(x**2 + y**2 + 1) / np.hypot(nx, ny)
        pattern += 1 / (1 + (distance / 0.12) ** 4) * rng.uniform(0.3, 1)
    return pattern / pattern.max()


def scan(rng, n, grains, noise=0.05, contrast=0.4, dome=0.6):
    rows, columns = np.indices(SHAPE)
    radius2 = (columns / SHAPE[1] - 0.45) ** 2 + (rows / SHAPE[0] - 0.6) ** 2
    background = 1 - dome * radius2 / 0.67
    orientations = [bands(rng) for _ in range(grains)]
    frames = np.stack([background * (1 + contrast * orientations[i % grains]) for i in range(n)])
    return np.clip(150 * (frames + noise * rng.normal(size=frames.shape)), 0, 255)


def circle(radius, x=0.5, y=0.5):
    rows, columns = np.indices(SHAPE)
    return np.hypot(columns - x * SHAPE[1], rows - y * SHAPE[0]) < radius * max(SHAPE)


def stack_of(frames):
    return PatternStack(da.from_array(frames, chunks=(1, *SHAPE)), "scan")


@pytest.mark.parametrize("dtype", ["u1", "f4", "u2"])
@pytest.mark.parametrize("n", [1, 12])
@pytest.mark.parametrize(
    "lit",
    [circle(0.45), circle(0.5, 0.52, 0.45), circle(0.56), np.s_[8:, 6:-6]],
    ids=["small circle", "shifted", "corners", "rectangle"],
)
def test_a_mask_is_found(lit, n, dtype):
    truth = np.zeros(SHAPE, bool)
    truth[lit] = True
    rng = np.random.default_rng(1)
    frames = np.where(truth, scan(rng, n, 4), 5 + 2 * rng.random((n, *SHAPE))).astype(dtype)
    found = find_mask(frames)
    assert (found & ~truth).sum() <= 3  # where the rim just touches the frame
    assert found.sum() > 0.85 * truth.sum()


def test_the_fill_of_a_mask_may_be_as_bright_as_the_pattern():
    truth = circle(0.47)
    rng = np.random.default_rng(2)
    frames = np.where(truth, scan(rng, 8, 4, noise=0.1), 110).astype("u1")
    found = find_mask(frames)
    assert (found & ~truth).sum() < 0.01 * truth.size
    assert found.sum() > 0.8 * truth.sum()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("n", "noise", "dome"), [(1, 0.0, 0.9), (1, 0.3, 0.6), (9, 0.02, 0.97), (9, 0.2, 0.0)]
)
def test_a_pattern_that_only_fades_has_no_mask(seed, n, noise, dome):
    frames = scan(np.random.default_rng(seed), n, n, noise, dome=dome)
    assert find_mask(frames.astype("u1")).all()


@pytest.mark.parametrize("seed", range(6))
def test_flattened_bands_without_noise_have_no_mask(seed):
    frame = scan(np.random.default_rng(seed), 1, 1, 0.0, contrast=1.0, dome=0.0)[0]
    assert find_mask(frame).all()


@pytest.mark.parametrize("frame", [np.zeros(SHAPE), np.full(SHAPE, np.nan), np.ones((2, 3))])
def test_nothing_to_see_means_no_mask(frame):
    assert find_mask(frame).all()


def test_pure_noise_has_no_mask_but_under_a_mask_it_has():
    noise = np.random.default_rng(3).integers(0, 255, SHAPE).astype("u1")
    assert find_mask(noise).all()
    assert not find_mask(np.where(circle(0.5), noise, 0))[0, 0]


@pytest.mark.parametrize("noise", [0.02, 0.15])
def test_many_orientations_make_a_background(noise):
    frames = scan(np.random.default_rng(4), 120, 60, noise)
    frames[:, 20:23, 30:33] = 0  # dust on the screen
    background = static_background(stack_of(frames.astype("u1")))
    assert background.usable, background.reason
    assert background.mean.shape == SHAPE
    assert abs(background.mean - frames.mean(0)).max() < 1.5


@pytest.mark.parametrize("grains", [1, 3])
@pytest.mark.parametrize("noise", [0.02, 0.15])
def test_few_orientations_make_none(grains, noise):
    frames = scan(np.random.default_rng(5), 120, grains, noise)
    background = static_background(stack_of(frames.astype("u1")))
    assert not background.usable
    assert "orientation" in background.reason


@pytest.mark.parametrize("way", ["normalised", "background taken off", "16 bit"])
def test_what_goes_below_zero_is_divided_by_nothing(way):
    raw = scan(np.random.default_rng(5), 60, 60)
    mean = raw.mean(0)
    frames = {
        "normalised": (raw - raw.mean((1, 2), keepdims=True)) / raw.std((1, 2), keepdims=True),
        "background taken off": raw - mean + 0.5 * np.random.default_rng(6).normal(size=SHAPE),
        "16 bit": np.rint(50 * (raw - mean)).astype(np.int16),
    }[way]
    found = background_of(frames, mean.astype(np.float32))
    assert not found.usable
    assert "below zero" in found.reason


@pytest.mark.parametrize("mark", [-1, -2])
def test_the_mark_of_a_gap_makes_no_pattern_signed(mark):
    frames = np.rint(scan(np.random.default_rng(5), 60, 60) / 40).astype(np.int32)
    frames[:, :, 38:42] = mark
    found = background_of(frames)
    assert found.usable, found.reason
    assert "mean of 60" in found.reason


def test_a_dark_current_taken_off_leaves_a_background():
    rng = np.random.default_rng(6)
    lit = circle(0.4)
    frames = np.where(lit, scan(rng, 60, 60), rng.normal(-1, 1, (60, *SHAPE)))
    found = background_of(frames)
    assert found.usable
    assert "mean of 60" in found.reason


def test_few_patterns_make_no_background():
    frames = scan(np.random.default_rng(6), 9, 9)
    background = static_background(stack_of(frames))
    assert not background.usable
    assert "9 patterns" in background.reason


def test_empty_and_unreadable_patterns_do_not_count():
    frames = scan(np.random.default_rng(7), 60, 60)
    frames[::3] = 0

    def read(index):
        if index % 3 == 1:
            raise InputError("damaged")
        return frames[index]

    stack = PatternStack(da.from_array(frames), "scan", read=read)
    background = static_background(stack)
    assert background.reason.startswith("Only 20 patterns") or background.usable
    assert background.mean == pytest.approx(frames[2::3].mean(0), abs=1e-3)


def test_measured_masks(real_patterns):
    scan = open_stack(real_patterns / "ebsd/ni_superalloy_16x16x120x120.npz")
    background = static_background(scan)
    assert not background.usable  # a single crystal
    rows, columns = np.indices((120, 120))
    radius = np.hypot(rows - 59.5, columns - 59.5)
    assert background.mask[radius < 50].all()
    assert not background.mask[radius > 60].any()
    for name, lit in {
        "si_480px/si_in.h5": 0.81,
        "fe3c_1040px.tif": 0.95,
        "gan_1344px.png": 1,
    }.items():
        frame = open_stack(real_patterns / "ebsd" / name).frame(0)
        assert find_mask(frame).mean() == pytest.approx(lit, abs=0.02)
