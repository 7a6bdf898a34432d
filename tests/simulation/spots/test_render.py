"""Every effect of the camera does what it says, and nothing where it is off."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage, stats

from napari_diffraction.simulation.conditions import DetectorEffects
from napari_diffraction.simulation.spots.render import Rendered, frame_centre, frame_scale, render

SIZE = 128
MIDDLE = (SIZE - 1) / 2
#: Spots of most tests, in 1/A; a pixel is 1 / (0.95 * 64) 1/A.
SPOTS = np.array([[0.5, 0.1], [-0.3, 0.4], [0.2, -0.6], [-0.7, -0.2], [0.05, 0.75]])
#: In counts, without a direct beam.
PLAIN: dict[str, Any] = {"signal": 100.0, "spot_softness": 1.0, "central_radius": 0.0}


def draw(
    spots: NDArray[np.float64] | None = None,
    *,
    n: int = 1,
    size: int = SIZE,
    seed: int = 0,
    intensity: float = 1.0,
    **effects: Any,
) -> Rendered:
    """Draw the same spots on n patterns."""
    spots = np.zeros((0, 2)) if spots is None else spots
    m = len(spots)
    return render(
        np.arange(n + 1) * m,
        np.tile(spots, (n, 1)).astype(np.float32),
        np.full(n * m, intensity, dtype=np.float32),
        DetectorEffects(**effects).row(),
        np.ones(n),
        size,
        seed,
    )


def image(spots: NDArray[np.float64] | None = None, **effects: Any) -> NDArray[np.float64]:
    return draw(spots, **effects).images[0].astype(float)


def radius_map(x: float = MIDDLE, y: float = MIDDLE, size: int = SIZE) -> NDArray[np.float64]:
    rows, columns = np.indices((size, size))
    return np.asarray(np.hypot(columns - x, rows - y))


def centroid(picture: NDArray[np.float64], x: float, y: float, reach: float) -> tuple[float, float]:
    rows, columns = np.indices(picture.shape)
    light = np.where(np.hypot(columns - x, rows - y) <= reach, picture, 0)
    return float((columns * light).sum() / light.sum()), float((rows * light).sum() / light.sum())


# --- clean patterns ------------------------------------------------------------------------------


def test_clean_pattern_is_black_and_white_discs() -> None:
    rendered = draw(SPOTS)
    picture = rendered.images[0]
    assert picture.dtype == np.uint8
    expected = radius_map() <= 2.5
    for x, y in rendered.position:
        expected |= radius_map(x, y) <= 1.5
    np.testing.assert_array_equal(picture, np.where(expected, 255, 0))
    assert rendered.visible.all()


def test_position_follows_the_calibration() -> None:
    effects = DetectorEffects(extent=0.8, shift_x=0.1, shift_y=-0.05)
    rendered = draw(SPOTS, extent=0.8, shift_x=0.1, shift_y=-0.05)
    scale, centre = frame_scale(effects, 1.0, SIZE), frame_centre(effects, SIZE)
    assert scale == pytest.approx(0.8 * SIZE / 2)
    assert centre == pytest.approx((MIDDLE + 12.8, MIDDLE - 6.4))
    np.testing.assert_allclose(rendered.position, SPOTS * scale + centre, atol=1e-4)


def test_nothing_is_random_unless_asked_for() -> None:
    for start in ({}, PLAIN):
        one, other = (draw(SPOTS, seed=seed, **start) for seed in (1, 2))
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.position, other.position)


def test_small_spots_never_vanish() -> None:
    places = (np.array([[10.5, 10.5], [20.2, 30.7], [40.0, 50.49]]) - MIDDLE) / (0.95 * SIZE / 2)
    labelled, number = ndimage.label(image(places, spot_radius=0.3, central_radius=0.0))
    assert number == 3
    assert labelled.astype(bool).sum() == 3


@settings(max_examples=30, deadline=None)
@given(st.floats(-0.8, 0.8), st.floats(-0.8, 0.8), st.floats(0.6, 6.0), st.floats(0.0, 1.0))
def test_drawn_centroid_is_the_told_position(
    x: float, y: float, radius: float, softness: float
) -> None:
    spots = np.array([[x, y]])
    settings_ = {**PLAIN, "spot_radius": radius, "spot_softness": softness, "signal": 3000.0}
    rendered = draw(spots, size=256, **settings_)
    px, py = rendered.position[0]
    found = centroid(rendered.images[0].astype(float), px, py, 30)
    assert found == pytest.approx((px, py), abs=0.1)
    # nor does the light of a spot depend on where it lies between the pixels
    light = image(np.zeros((1, 2)), size=257, **settings_).sum()
    assert rendered.images[0].astype(float).sum() == pytest.approx(light, rel=0.05)


@settings(max_examples=20, deadline=None)
@given(st.floats(-0.8, 0.8), st.floats(-0.8, 0.8))
def test_disc_lies_at_the_told_position(x: float, y: float) -> None:
    rendered = draw(np.array([[x, y]]), spot_radius=9.0, central_radius=0.0, size=256)
    px, py = rendered.position[0]
    found = centroid(rendered.images[0].astype(float), px, py, 20)
    assert found == pytest.approx((px, py), abs=0.25)  # the edge of a disc follows the pixels


@pytest.mark.parametrize("radius", [1.5, 4.0, 8.0])
@pytest.mark.parametrize("softness", [0.0, 0.4, 1.0])
def test_spot_radius_is_where_the_height_is_half(radius: float, softness: float) -> None:
    effects = {**PLAIN, "spot_radius": radius, "spot_softness": softness, "signal": 1e4}
    rendered = draw(np.array([[0.2, 0.1]]), **effects)
    distance = radius_map(*rendered.position[0])
    above = rendered.images[0] > 5000
    np.testing.assert_array_equal(above, distance < radius)
    assert rendered.images.max() == pytest.approx(1e4, rel=0.2)


def test_softness_goes_from_disc_to_gaussian() -> None:
    spot = np.array([[0.0, 0.0]])
    effects = {"spot_radius": 8.0, "signal": 1e4, "central_radius": 0.0, "size": 129}
    hard, soft = (image(spot, spot_softness=s, **effects)[64, 64:] for s in (0.0, 1.0))
    assert hard[6] > 9500
    assert hard[10] < 100
    np.testing.assert_allclose(soft[:25], 1e4 * 0.5 ** ((np.arange(25) / 8) ** 2), atol=0.51)


def test_a_bright_spot_has_no_edge() -> None:
    """It ends where it has fallen to nothing, not in a box."""
    effects = PLAIN | {"signal": 5e4, "spot_radius": 5.0}
    ideal = 5e4 * 0.5 ** ((radius_map() / 5) ** 2)
    np.testing.assert_allclose(image(np.array([[0.0, 0.0]]), **effects), ideal, atol=0.6)


def test_faint_spots_are_drawn_at_high_gain() -> None:
    picture = image(SPOTS[:1], **PLAIN | {"signal": 0.02, "gain": 1000.0})
    assert picture.max() == pytest.approx(20, abs=2)


# --- direct beam, backgrounds --------------------------------------------------------------------


def test_direct_beam_has_its_radius_and_brightness() -> None:
    picture = image(signal=100.0, spot_softness=1.0, central_radius=4.0, central_signal=20.0)
    np.testing.assert_array_equal(picture > 1000, radius_map() < 4)
    assert picture.max() > 1800
    assert not image(**PLAIN).any()
    assert not image(central_radius=0.0).any()


def test_background_is_even() -> None:
    np.testing.assert_array_equal(image(**PLAIN, background=7.0), 7)


def test_halo_falls_to_a_third_at_its_width() -> None:
    picture = image(**PLAIN, halo=3000.0, halo_width=0.25)
    profile = picture[64, 64:]
    assert picture.max() == pytest.approx(3000, rel=0.01)
    assert profile[16] == pytest.approx(3000 / 2**1.5, rel=0.05)  # 0.25 of half the frame
    assert (np.diff(profile) <= 0).all()
    assert profile[-1] < 150


@pytest.mark.parametrize(
    ("name", "spacings"), [("carbon", (2.1, 1.2)), ("ice", (3.9, 3.67, 3.44, 2.25, 2.07, 1.92))]
)
def test_rings_lie_at_their_spacings(name: str, spacings: tuple[float, ...]) -> None:
    size = 1024
    picture = image(size=size, **PLAIN, **{name: 1000.0})
    profile = picture[size // 2, size // 2 :]
    scale = 0.95 * size / 2
    peaks = [r for r in range(2, 500) if profile[r - 1] <= profile[r] > profile[r + 1]]
    for spacing in spacings:
        assert min(abs(r + 0.5 - scale / spacing) for r in peaks) < 2, spacing
    assert profile.max() == pytest.approx(1000, rel=0.1)


# --- noise and pixels ----------------------------------------------------------------------------


@pytest.mark.parametrize("mean", [0.02, 0.3, 1.0, 3.7, 12.0, 15.9, 16.1, 100.0, 20000.0])
def test_counting_noise_has_the_moments_of_poisson(mean: float) -> None:
    values = draw(n=8, size=256, **PLAIN, background=mean, poisson=True).images.astype(float)
    n = values.size
    background = np.float32(mean)
    assert values.mean() == pytest.approx(background, abs=5 * np.sqrt(mean / n) + 0.002 * mean)
    # the variance of a variance: (mu4 - var^2) / n with mu4 = 3 mean^2 + mean
    error = np.sqrt((2 * mean**2 + mean) / n)
    assert values.var() == pytest.approx(mean, abs=5 * error + 0.01 * mean)


@pytest.mark.parametrize("mean", [0.1, 1.0, 5.0])
def test_rare_bright_pixels_are_as_rare_as_they_should_be(mean: float) -> None:
    values = draw(n=16, size=256, **PLAIN, background=mean, poisson=True).images
    for level in range(1, 25):
        expected = stats.poisson.sf(level - 1, mean) * values.size
        if expected < 3:
            assert (values >= level + 3).sum() < 10
            break
        assert (values >= level).sum() == pytest.approx(
            expected, abs=5 * np.sqrt(expected) + 0.15 * expected
        )


def test_noise_of_neighbours_and_patterns_is_independent() -> None:
    values = draw(n=6, size=256, **PLAIN, background=50.0, poisson=True, read_noise=3.0).images
    flat = values.astype(float) - values.mean()
    for a, b in (
        (flat[:, 1:], flat[:, :-1]),
        (flat[:, :, 1:], flat[:, :, :-1]),
        (flat[1:], flat[:-1]),
    ):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.01


@pytest.mark.parametrize("gain", [1.0, 4.0])
def test_read_noise_is_in_counts(gain: float) -> None:
    values = draw(n=4, **PLAIN, background=100.0, read_noise=5.0, gain=gain).images
    assert values.std() == pytest.approx(5 * gain, rel=0.03)
    assert values.mean() == pytest.approx(100 * gain, rel=0.01)


def test_bright_beam_does_not_overflow() -> None:
    picture = image(signal=1e6, central_signal=1e5, central_radius=10.0, poisson=True)
    assert picture[64, 64] == 65535


def test_gain_and_offset_turn_counts_into_units() -> None:
    plain = image(SPOTS, **PLAIN)
    np.testing.assert_allclose(image(SPOTS, **PLAIN, gain=3.0), 3 * plain, atol=1.6)
    np.testing.assert_array_equal(image(SPOTS, **PLAIN, offset=20.0), plain + 20)
    np.testing.assert_array_equal(image(SPOTS, **PLAIN, offset=-20.0), np.maximum(plain - 20, 0))


def test_saturation_is_the_largest_value() -> None:
    plain = image(SPOTS, **PLAIN)
    np.testing.assert_array_equal(image(SPOTS, **PLAIN, saturation=40.0), np.minimum(plain, 40))
    assert image(**PLAIN, saturation=40.0, hot_pixels=0.01).max() == 40


def test_hot_pixels_below_nought_are_nought() -> None:
    """A negative offset is taken off them as off all others, and does not wrap around."""
    seen = image(**PLAIN, offset=-1e4, saturation=4000.0, hot_pixels=0.01)
    assert seen.max() == 0


def test_hot_and_dead_pixels_have_their_share() -> None:
    values = draw(n=4, size=256, **PLAIN, background=10.0, hot_pixels=0.01).images
    assert np.mean(values != 10) == pytest.approx(0.01, rel=0.03)
    assert values[values != 10].min() >= 100  # brighter than a spot
    values = draw(n=4, size=256, **PLAIN, background=10.0, dead_pixels=0.02).images
    assert np.mean(values == 0) == pytest.approx(0.02, rel=0.03)
    assert set(np.unique(values)) == {0, 10}


# --- shadows -------------------------------------------------------------------------------------


def test_beam_stop_darkens_a_disc_about_the_beam() -> None:
    effects = {**PLAIN, "background": 100.0, "shift_x": 0.1}
    picture = image(**effects, beam_stop=0.25)
    distance = radius_map(x=MIDDLE + 12.8)
    np.testing.assert_array_equal(picture == 100, distance >= 16)
    np.testing.assert_array_equal(picture[distance < 16], 2)


@pytest.mark.parametrize(("angle", "dark"), [(0, (64, 100)), (90, (100, 64)), (180, (64, 20))])
def test_arm_of_the_beam_stop_points_in_its_direction(angle: float, dark: tuple[int, int]) -> None:
    picture = image(**PLAIN, background=100.0, beam_stop_arm=0.1, beam_stop_angle=angle)
    assert picture[dark] == 2
    assert picture[127 - dark[0], 127 - dark[1]] == 100
    shadow = picture == 2
    assert shadow.sum() == pytest.approx(64 * 2 * 6.4, rel=0.1)  # half the frame long


def test_gaps_are_a_black_cross_of_their_width() -> None:
    picture = image(**PLAIN, background=100.0, gap_width=4.0)
    rows, columns = np.indices(picture.shape)
    cross = (np.abs(rows - MIDDLE) < 2) | (np.abs(columns - MIDDLE) < 2)
    np.testing.assert_array_equal(picture, np.where(cross, 0, 100))
    assert cross[:, 0].sum() == 4


# --- geometry ------------------------------------------------------------------------------------


def test_ellipticity_stretches_along_one_direction_only() -> None:
    plain = draw(SPOTS).position - MIDDLE
    for angle in (0.0, 30.0, 90.0):
        stretched = draw(SPOTS, ellipticity=0.2, ellipticity_angle=angle).position - MIDDLE
        along = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
        across = np.array([-along[1], along[0]])
        np.testing.assert_allclose(stretched @ along, 1.2 * (plain @ along), atol=1e-4)
        np.testing.assert_allclose(stretched @ across, plain @ across, atol=1e-4)


@pytest.mark.parametrize("strength", [-0.1, 0.15])
def test_distortion_grows_with_the_cube_of_the_radius(strength: float) -> None:
    plain = draw(SPOTS).position - MIDDLE
    bent = draw(SPOTS, distortion=strength).position - MIDDLE
    radius = np.linalg.norm(plain, axis=1, keepdims=True)
    np.testing.assert_allclose(bent, plain * (1 + strength * (radius / 64) ** 2), rtol=1e-5)


@pytest.mark.parametrize("angle", [0.0, 35.0, 90.0])
def test_elongation_stretches_every_spot_about_its_place(angle: float) -> None:
    effects = PLAIN | {"spot_radius": 3.0, "signal": 5000.0, "size": 256}
    rendered = draw(SPOTS[:1], elongation=1.0, elongation_angle=angle, **effects)
    px, py = rendered.position[0]
    picture = rendered.images[0].astype(float)
    assert centroid(picture, px, py, 25) == pytest.approx((px, py), abs=0.1)
    rows, columns = np.indices(picture.shape)
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    dx, dy = columns - px, rows - py
    spread = [
        np.sqrt((offset**2 * picture).sum() / picture.sum())
        for offset in (c * dx + s * dy, c * dy - s * dx)
    ]
    sigma = 3 / np.sqrt(2 * np.log(2))
    assert spread == pytest.approx([2 * sigma, sigma], rel=0.02)


@pytest.mark.parametrize("start", [{}, PLAIN])
def test_jitter_has_its_standard_deviation(start: dict[str, Any]) -> None:
    spots = np.tile(SPOTS, (40, 1))
    error = draw(spots, n=20, jitter=2.0, **start).position - np.tile(
        SPOTS * 0.95 * SIZE / 2 + MIDDLE, (800, 1)
    )
    assert error.std(axis=0) == pytest.approx([2, 2], rel=0.05)
    assert abs(error.mean()) < 0.1
    assert abs(np.corrcoef(error.T)[0, 1]) < 0.05


@pytest.mark.parametrize("start", [{}, PLAIN])
def test_missing_spots_are_neither_drawn_nor_visible(start: dict[str, Any]) -> None:
    rendered = draw(SPOTS, n=400, missing=0.3, **start)
    assert rendered.visible.mean() == pytest.approx(0.7, abs=0.05)
    x, y = np.round(rendered.position).astype(int).T
    pattern = np.repeat(np.arange(400), len(SPOTS))
    np.testing.assert_array_equal(rendered.images[pattern, y, x] > 0, rendered.visible)


@pytest.mark.parametrize("start", [{"central_radius": 0.0}, PLAIN])
def test_false_spots_are_added_within_the_resolution(start: dict[str, Any]) -> None:
    plain = draw(SPOTS, n=100, **start).images.astype(int)
    more = draw(SPOTS, n=100, false_spots=0.6, **start).images.astype(int)
    added = more - plain
    assert (added >= 0).all()
    # 0.6 of 5 spots; some overlap one another or a true spot
    numbers = [ndimage.label(one > 20)[1] for one in added]
    assert 2.5 < np.mean(numbers) <= 3.0
    assert not added[:, radius_map() > 0.95 * SIZE / 2 + 6].any()


def test_no_false_spots_without_spots() -> None:
    for start in ({"central_radius": 0.0}, PLAIN):
        assert not draw(n=20, false_spots=2.0, **start).images.any()


def test_spots_beyond_the_frame_are_clipped() -> None:
    rendered = draw(np.array([[0.9, 0.0], [0.0, 0.3]]), extent=1.3, central_radius=0.0)
    assert rendered.visible.tolist() == [False, True]
    assert ndimage.label(rendered.images[0])[1] == 1


# --- what can be seen ----------------------------------------------------------------------------


@pytest.mark.parametrize("start", [{}, PLAIN])
def test_hidden_spots_are_not_visible(start: dict[str, Any]) -> None:
    spots = np.array([[0.1, 0.0], [0.5, 0.0], [0.5, 0.5], [0.0, -0.5], [-0.5, 0.02]])
    for hidden, effects in (
        ([], {}),
        ([0], {"beam_stop": 0.2}),
        ([0, 1], {"beam_stop_arm": 0.1}),
        ([0, 1, 3, 4], {"gap_width": 4.0}),
        ([1, 2], {"shift_x": 0.42}),
    ):
        visible = draw(spots, **start, **effects).visible
        assert np.flatnonzero(~visible).tolist() == hidden, effects


def test_spots_within_the_direct_beam_are_not_visible() -> None:
    scale = 0.95 * SIZE / 2
    spots = np.array([[2.0, 0.0], [9.0, 0.0], [14.0, 0.0]]) / scale
    effects = {"central_radius": 10.0, "spot_radius": 1.5}
    assert draw(spots, **effects).visible.tolist() == [False, True, True]
    in_counts = draw(spots, **effects, signal=100.0).visible
    assert in_counts.tolist() == [False, False, True]


def test_spots_below_the_noise_are_not_visible() -> None:
    quiet = {**PLAIN, "signal": 10.0, "poisson": True}
    assert draw(SPOTS, **quiet).visible.all()
    assert not draw(SPOTS, **quiet, background=400.0).visible.any()
    assert not draw(SPOTS, **quiet, read_noise=20.0).visible.any()
    # a spot that the rounding to whole units hides
    assert not draw(SPOTS, **PLAIN | {"signal": 0.3}).visible.any()
    assert draw(SPOTS, **PLAIN | {"signal": 0.3, "gain": 100.0}).visible.all()
    assert not draw(SPOTS, intensity=0.0).visible.any()


def test_visible_spots_stand_out_of_the_picture() -> None:
    """The rule agrees with what a matched filter finds."""
    effects = {**PLAIN, "signal": 12.0, "background": 30.0, "poisson": True, "spot_radius": 2.0}
    rendered = draw(SPOTS, n=60, **effects)
    assert rendered.visible.all()
    kernel = (radius_map(7, 7, 15) <= 2).astype(float)
    x, y = np.round(rendered.position).astype(int).T
    sums = np.array(
        [ndimage.convolve(one.astype(float), kernel, mode="nearest") for one in rendered.images]
    )
    at_spots = sums[np.repeat(np.arange(60), len(SPOTS)), y, x] - 30 * kernel.sum()
    assert np.mean(at_spots > 3 * np.sqrt(30 * kernel.sum())) > 0.95


# --- all effects ---------------------------------------------------------------------------------

#: A setting of every effect that must change the picture of `BASE`.
BASE: dict[str, Any] = {
    **PLAIN,
    "central_radius": 3.0,
    "background": 20.0,
    "beam_stop_arm": 0.05,
    "ellipticity": 0.05,
    "elongation": 0.5,
    "halo": 100.0,
}
CHANGES: dict[str, Any] = {
    "extent": 0.5,
    "spot_radius": 4.0,
    "spot_softness": 0.0,
    "central_radius": 9.0,
    "signal": 200.0,
    "central_signal": 50.0,
    "background": 30.0,
    "halo": 50.0,
    "halo_width": 0.4,
    "carbon": 50.0,
    "ice": 50.0,
    "poisson": True,
    "read_noise": 3.0,
    "gain": 2.0,
    "offset": 5.0,
    "saturation": 50.0,
    "hot_pixels": 0.01,
    "dead_pixels": 0.01,
    "gap_width": 3.0,
    "beam_stop": 0.2,
    "beam_stop_arm": 0.1,
    "beam_stop_angle": 90.0,
    "shift_x": 0.1,
    "shift_y": 0.1,
    "ellipticity": 0.2,
    "ellipticity_angle": 45.0,
    "distortion": 0.1,
    "elongation": 1.0,
    "elongation_angle": 60.0,
    "missing": 0.5,
    "false_spots": 1.0,
    "jitter": 2.0,
}


def test_all_effects_are_tried() -> None:
    assert list(CHANGES) == [item.name for item in fields(DetectorEffects)]


@pytest.mark.parametrize("name", CHANGES)
def test_every_effect_shows(name: str) -> None:
    before, after = image(SPOTS, **BASE), image(SPOTS, **BASE | {name: CHANGES[name]})
    assert np.mean(before != after) > 0.002


@pytest.mark.parametrize("name", ["poisson", "read_noise", "hot_pixels", "missing", "jitter"])
def test_chance_follows_the_seed(name: str) -> None:
    effects = {**BASE, name: CHANGES[name]}
    one, same, other = (draw(SPOTS, n=3, seed=seed, **effects).images for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    assert (one[0] != one[1]).any()  # each pattern has its own


def test_settings_of_each_pattern_are_its_own() -> None:
    rows = np.stack([DetectorEffects(**PLAIN, background=b).row() for b in (0.0, 5.0, 9.0)])
    empty = np.zeros((0, 2), np.float32)
    rendered = render(np.zeros(4, np.int64), empty, np.zeros(0, np.float32), rows, np.ones(3), SIZE)
    assert [np.unique(one).tolist() for one in rendered.images] == [[0], [5], [9]]
