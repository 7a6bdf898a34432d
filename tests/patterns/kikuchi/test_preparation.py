"""Frames made ready: binned, corrected, flattened; masks, dust, and odd numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.kikuchi.bands.lines import find_lines
from napari_diffraction.patterns.kikuchi.coarse import CoarseBlur
from napari_diffraction.patterns.kikuchi.flattening import in_threads, reducer
from napari_diffraction.patterns.kikuchi.polarity import is_inverted
from napari_diffraction.patterns.kikuchi.preparation import Preparation, prepare, prepared
from napari_diffraction.patterns.kikuchi.quality import band_contrast, band_share
from napari_diffraction.patterns.kikuchi.specks import dead_pixels, standing
from napari_diffraction.patterns.stack import PatternStack

SIZE = 96


def dome(size: int = SIZE) -> np.ndarray:
    y, x = np.mgrid[:size, :size] / size - 0.5
    return 200 * np.exp(-(x**2 + (y + 0.1) ** 2) / 0.3)


def frames_of(paint: Callable, count: int = 16, size: int = SIZE, noise: float = 0.3) -> np.ndarray:
    """Frames with a dome behind bands that lie elsewhere in each of them."""
    rng = np.random.default_rng(4)
    bands = [
        [(a, c, 1.0) for a, c in zip(rng.uniform(0, 180, 5), rng.uniform(-30, 30, 5), strict=True)]
        for _ in range(count)
    ]
    pictures = np.stack([paint(some, (size, size), 4.0, noise, k) for k, some in enumerate(bands)])
    return dome(size) * (1 + 0.08 * pictures)


@pytest.mark.parametrize(("size", "out"), [(96, 96), (96, 32), (97, 40), (50, 49), (7, 1)])
def test_no_pixel_is_lost_when_pictures_are_thinned(size: int, out: int) -> None:
    first, share = reducer(size, out)
    whole = np.zeros((out, size))
    for k in range(out):
        whole[k, first[k] : first[k] + share.shape[1]] = share[k]
    assert whole.sum(axis=0) == pytest.approx(1)
    assert whole.sum(axis=1) == pytest.approx(size / out, rel=1e-5)


def test_all_pictures_are_worked_on_once() -> None:
    seen = np.zeros(101, int)

    def add(part: slice) -> None:
        seen[part] += 1

    in_threads(add, 101)
    assert (seen == 1).all()


@pytest.mark.parametrize("sigma", [3.0, 8.0])
def test_the_coarse_blur_is_a_gaussian(sigma: float) -> None:
    from scipy.ndimage import gaussian_filter

    picture = gaussian_filter(np.random.default_rng(0).normal(size=(90, 80)), 2).astype(np.float32)
    weight = np.ones(picture.shape, np.float32)
    coarse = CoarseBlur.of(weight, sigma).blur(picture, weight)
    exact = gaussian_filter(picture, sigma)
    inside = np.s_[25:-25, 25:-25]
    assert np.corrcoef(coarse[inside].ravel(), exact[inside].ravel())[0, 1] > 0.98
    assert coarse[inside].std() == pytest.approx(exact[inside].std(), rel=0.1)


def test_a_slope_is_left_as_it_is_even_beside_a_mask() -> None:
    y, x = np.mgrid[:80, :80].astype(np.float32)
    slope = (2 * x - y + 0.01 * x * y).astype(np.float32)
    weight = (np.hypot(x - 40, y - 40) < 35).astype(np.float32)
    plain = CoarseBlur.of(weight, 6.0).blur(slope, weight)
    kept = CoarseBlur.of(weight, 6.0, 5).blur(slope, weight)
    lit = weight > 0
    assert np.abs(kept - slope)[lit].max() < 0.05 * slope[lit].std()
    assert np.abs(plain - slope)[lit].max() > 3 * np.abs(kept - slope)[lit].max()


def test_what_lies_behind_a_mask_has_no_share_in_a_blur() -> None:
    rng = np.random.default_rng(1)
    picture = rng.normal(size=(60, 60)).astype(np.float32)
    weight = np.ones((60, 60), np.float32)
    weight[:20] = 0
    other = picture.copy()
    other[:20] = 1000
    blur = CoarseBlur.of(weight, 5.0)
    np.testing.assert_array_equal(blur.blur(picture, weight), blur.blur(other, weight))


def test_pictures_are_flat_and_show_their_bands(paint: Callable) -> None:
    frames = frames_of(paint)
    ready = prepared(frames.astype(np.uint16), most=48)
    assert ready.shape == (48, 48)
    assert ready.binning == 2
    assert not ready.inverted
    flat = ready.flattened(ready.corrected(frames))
    lit = ready.weight > 0
    assert lit.mean() > 0.9
    assert flat[:, lit].mean(axis=1) == pytest.approx(0, abs=1e-3)
    assert flat[:, lit].std(axis=1) == pytest.approx(1, abs=1e-3)
    # no dome is left: the middle is as bright as the border
    middle = flat[:, 16:32, 16:32].mean()
    assert abs(middle) < 0.15
    binned = frames.reshape(-1, 48, 2, 48, 2).mean(axis=(2, 4))
    bands = binned / binned.mean(axis=0)
    agree = [np.corrcoef(a[lit], b[lit])[0, 1] for a, b in zip(flat, bands, strict=True)]
    assert np.median(agree) > 0.65


def test_the_dtype_and_the_byte_order_do_not_matter(paint: Callable) -> None:
    frames = frames_of(paint, 10).astype(np.uint16)
    ready = prepared(frames)
    wanted = ready.corrected(frames)
    for other in (
        frames.astype(np.float64),
        frames.astype(">u2"),
        frames.astype(np.float16),
        np.asfortranarray(frames),
    ):
        np.testing.assert_allclose(ready.corrected(other), wanted, atol=2e-3)


def test_a_gain_and_an_offset_of_a_frame_do_not_matter(paint: Callable) -> None:
    frames = frames_of(paint, 10)
    ready = prepared(frames)
    np.testing.assert_allclose(
        ready.flattened(ready.corrected(3 * frames)),
        ready.flattened(ready.corrected(frames)),
        atol=1e-3,
    )


def test_frames_without_structure_become_nothing(paint: Callable) -> None:
    ready = prepared(frames_of(paint))
    even = np.stack([np.zeros((SIZE, SIZE)), np.full((SIZE, SIZE), np.nan)])
    corrected = ready.corrected(even)
    assert np.isfinite(corrected).all()
    assert np.isfinite(ready.flattened(corrected)).all()
    assert not ready.flattened(corrected)[0].any()


def test_numbers_that_are_none_count_as_the_mean(paint: Callable) -> None:
    frames = frames_of(paint, 10)
    ready = prepared(frames)
    holed = frames.copy()
    holed[0, 30:33, 40:44] = np.nan
    holed[1, 5, 5] = np.inf
    flat = ready.flattened(ready.corrected(holed))
    assert np.isfinite(flat).all()
    clean = ready.flattened(ready.corrected(frames))
    for k in (0, 1):
        assert np.corrcoef(flat[k].ravel(), clean[k].ravel())[0, 1] > 0.95


def test_a_number_that_is_none_is_no_bright_spot_where_the_screen_is_dim(paint: Callable) -> None:
    frames = frames_of(paint, 40)
    ready = prepared(frames)
    assert ready.gain.max() > 2
    holed = frames.copy()
    holed[0, -8:, :40] = np.nan
    flat = ready.flattened(ready.corrected(holed))[0]
    clean = ready.flattened(ready.corrected(frames))[0]
    # the mean of the raw frame would stand out there by the gain
    assert abs(flat[-8:, :40].mean()) < 0.4
    assert np.corrcoef(flat[:-10].ravel(), clean[:-10].ravel())[0, 1] > 0.99


@pytest.mark.parametrize("value", [0, 65535])
def test_a_gap_of_the_detector_costs_hardly_more_than_itself(paint: Callable, value: int) -> None:
    frames = (200 * frames_of(paint, 60)).astype(np.uint16)
    frames[:, :, 40:44] = value
    frames[:, 70, 20] = value
    weight = prepared(frames).weight
    assert not weight[:, 40:44].any()
    assert not weight[70, 20]
    # what was taken for light or darkness there hid as much again on both sides
    assert (weight[10:-10] > 0).mean() > 0.92


@pytest.mark.parametrize("most", [240, 32])
def test_what_single_frames_lack_is_no_mask_of_all(paint: Callable, most: int) -> None:
    """Half a damaged frame, and pixels that are struck here and there."""
    frames = frames_of(paint, 40)
    whole = prepared(frames, most=most).weight
    frames[7, SIZE // 2 :] = np.nan
    frames[np.random.default_rng(1).random(frames.shape) < 0.01] = np.inf
    assert prepared(frames, most=most).weight.sum() > 0.95 * whole.sum()
    # a gap of the detector is in all frames
    frames[:, :, 40:44] = np.nan
    assert (prepared(frames).weight[:, 40:44] == 0).all()


def test_a_round_screen_is_found_and_what_is_dark_has_no_weight(paint: Callable) -> None:
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    lit = np.hypot(x - 48, y - 48) < 44
    rng = np.random.default_rng(5)
    frames = np.where(lit, frames_of(paint, 20), 2 + rng.random((20, SIZE, SIZE)))
    ready = prepared(frames)
    assert not ready.weight[~lit].any()
    assert ready.weight[lit].mean() > 0.85
    corrected = ready.corrected(frames)
    assert not corrected[:, ready.weight == 0].any()


def test_normalised_patterns_are_seen_like_raw_ones(paint: Callable) -> None:
    raw = frames_of(paint, 24)
    frames = (raw - raw.mean((1, 2), keepdims=True)) / raw.std((1, 2), keepdims=True)
    ready = prepared(frames.astype(np.float32))
    assert ready.weight.mean() > 0.9
    # what is seen of them is what is seen of the raw ones
    seen, before = (
        r.flattened(r.corrected(f)) * (ready.weight > 0)
        for r, f in ((ready, frames), (prepared(raw), raw))
    )
    assert np.corrcoef(seen.ravel(), before.ravel())[0, 1] > 0.9


def test_dust_is_left_out_and_said_so(paint: Callable) -> None:
    frames = frames_of(paint, 20)
    frames[:, 40:45, 60:65] = 3  # nothing shines through
    without = prepared(frames_of(paint, 20))
    ready = prepared(frames)
    assert not ready.weight[41:44, 61:64].any()
    assert without.weight[41:44, 61:64].all()
    assert any("dust" in note for note in ready.notes)
    assert not any("dust" in note for note in without.notes)


@pytest.mark.parametrize("radius", [SIZE / 2, SIZE / 2 - 1.5])
def test_the_rim_of_a_round_screen_is_no_dust(paint: Callable, radius: float) -> None:
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    lit = np.hypot(x - SIZE / 2, y - SIZE / 2) <= radius
    ready = prepared(np.where(lit, frames_of(paint, 20), 0))
    assert not any("left out" in note for note in ready.notes)


def test_what_stands_still_is_found_though_it_is_not_dark() -> None:
    rng = np.random.default_rng(6)
    pictures = rng.normal(size=(30, 80, 80)).astype(np.float32)
    pictures[:, 30:34, 30:34] = 0.1
    found = standing(pictures, np.ones((80, 80), np.float32), 6.6, 8.0)
    assert found[31:33, 31:33].all()
    assert found.mean() < 0.05


def test_dead_and_hot_pixels() -> None:
    frame = dome().astype(np.float32)
    frame += np.random.default_rng(7).normal(0, 1, frame.shape).astype(np.float32)
    frame[20, 30], frame[50, 60] = 0, 900
    found = dead_pixels(frame)
    assert found[20, 30]
    assert found[50, 60]
    assert found.sum() <= 6


def test_thinned_pictures_are_those_of_fewer_pixels(paint: Callable) -> None:
    frames = frames_of(paint, 10)
    ready = prepared(frames)
    thin = ready.thinned(40)
    assert thin.shape == (40, 40)
    assert ready.thinned(500) is ready
    whole = ready.binned(frames)
    small = thin.binned(frames)
    assert small.mean() == pytest.approx(whole.mean(), rel=0.01)
    even = ready.thinned(48).binned(frames)
    mean = whole.reshape(10, 48, 2, 48, 2).mean(axis=(2, 4))
    lit = ready.weight.reshape(48, 2, 48, 2).min(axis=(1, 3)) > 0
    assert lit.mean() > 0.8
    np.testing.assert_allclose(even[:, lit], mean[:, lit], rtol=1e-4)


def test_an_inverted_preparation_makes_bands_bright(paint: Callable) -> None:
    bright = paint([(20.0, 8.0, 1.0)], (SIZE, SIZE), 4.0, 0.2)
    plain = Preparation(
        (SIZE, SIZE), 1, np.ones((SIZE, SIZE), np.float32), np.ones((SIZE, SIZE), np.float32)
    )
    turned = Preparation((SIZE, SIZE), 1, plain.weight, plain.gain, True)
    np.testing.assert_allclose(
        turned.corrected(100 - 10 * bright[None]), plain.corrected(bright[None]), atol=1e-4
    )
    flat = turned.flattened(turned.corrected(100 - 10 * bright[None]))
    a, b, c = find_lines(flat, turned.weight).line[0, 0]
    normal = np.array([np.cos(np.radians(20)), np.sin(np.radians(20))])
    assert abs(a * normal[0] + b * normal[1]) > 0.999
    assert abs(8 * normal @ [a, b] - c) < 0.5


def test_bright_bands_are_not_inverted(clean_patterns: Callable) -> None:
    rng = np.random.default_rng(8)
    pictures = clean_patterns(rng.uniform(0, 180, (12, 3))).astype(np.float32)
    assert not is_inverted(pictures, np.ones(pictures.shape[1:], np.float32))


def test_one_pattern_is_enough(paint: Callable, make_stack: Callable) -> None:
    frames = frames_of(paint, 1)
    ready = prepare(make_stack(frames, (1,)))
    assert ready.frame_shape == (SIZE, SIZE)
    assert ready.weight.mean() > 0.8
    assert not any("Static background" in note for note in ready.notes)


def test_nothing_to_read_is_said() -> None:
    import dask.array as da

    def fail(index: int) -> np.ndarray:
        raise InputError(f"Pattern {index} is damaged.")

    stack = PatternStack(da.zeros((4, 32, 32), chunks=(1, 32, 32)), "broken", read=fail)
    with pytest.raises(InputError, match=r"\w+"):
        prepare(stack)


def test_contrast_falls_with_noise_and_is_none_without_bands(paint: Callable) -> None:
    rng = np.random.default_rng(9)
    clear = frames_of(paint, 12, 60, 0.1)
    noisy = frames_of(paint, 12, 60, 2.0)
    ready = prepared(clear).thinned(60)
    nothing = dome(60) * (1 + 0.08 * rng.normal(size=(12, 60, 60)))
    told = [band_contrast(ready.binned(f), ready) for f in (clear, noisy, nothing)]
    assert np.median(told[0]) > 1.5 * np.median(told[1]) > 3 * np.median(told[2])
    for one in told:
        assert (one >= 0).all()
        assert (one <= 1).all()
    # a brighter beam is no better pattern
    twice = band_contrast(ready.binned(2 * clear), ready)
    np.testing.assert_allclose(twice, told[0], rtol=1e-3)


def test_the_share_of_bands_is_that_of_the_variance(paint: Callable) -> None:
    weight = np.ones((60, 60), np.float32)
    bands = [(a, c, 1.0) for a, c in ((10, 5), (50, -8), (95, 0), (140, 14))]
    shares = []
    for noise in (0.0, 0.5, 3.0):
        picture = paint(bands, (60, 60), 4.0, noise)[None]
        shares.append(float(band_share(picture, weight)[0]))
    assert shares[0] > 0.6 > shares[1] > 0.15 > shares[2]
    noise = np.random.default_rng(10).normal(size=(20, 60, 60)).astype(np.float32)
    assert band_share(noise, weight).mean() < 0.01


def test_an_inverted_stack_is_known_as_one(clean_patterns: Callable, make_stack: Callable) -> None:
    rng = np.random.default_rng(11)
    dark = 1000 - 100 * clean_patterns(rng.uniform(0, 180, (25, 3)))
    assert prepare(make_stack(dark, (5, 5))).inverted
