from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_diffraction.learning.networks.zone_view import N_FEATURES, PICTURE, VECTORS, view
from napari_diffraction.progress import finish
from napari_diffraction.simulation.conditions import DetectorEffects, SpotConditions
from napari_diffraction.simulation.samples import FIGURE_1
from napari_diffraction.simulation.spots.dataset import simulate_spots


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    effects = DetectorEffects(
        signal=60, background=4, halo=40, poisson=True, read_noise=1, spot_radius=1.6,
        spot_softness=0.8, central_radius=3, central_signal=30,
    )  # fmt: skip
    return finish(simulate_spots([FIGURE_1], SpotConditions(), effects, orientations=3)).images[1]


def difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(float) - b.astype(float)).mean())


def assert_alike(changed: np.ndarray, frame: np.ndarray) -> None:
    one, other = view(changed), view(frame)
    assert difference(one.picture, other.picture) < 1  # of 255
    assert difference(one.vectors, other.vectors) < 1
    np.testing.assert_allclose(one.features, other.features, atol=0.05)


def test_shapes_and_types(image: np.ndarray) -> None:
    seen = view(image)
    assert seen.picture.shape == (2, PICTURE, PICTURE)
    assert seen.vectors.shape == (VECTORS, VECTORS)
    assert seen.features.shape == (N_FEATURES,)
    assert seen.picture.dtype == seen.vectors.dtype == np.uint8
    assert seen.features.dtype == np.float32
    # A pattern fills its picture, in both planes and in the vectors.
    assert (seen.picture[0] > 60).mean() > 0.01
    assert (seen.picture[1] > 128).sum() > 30
    assert (seen.vectors > 30).sum() > 30


@given(gain=st.floats(1e-3, 1e3), offset=st.floats(-1e4, 1e4))
@settings(max_examples=10, deadline=None)
def test_gain_and_offset_do_not_matter(image: np.ndarray, gain: float, offset: float) -> None:
    assert_alike((image + offset) * gain, image)


def test_dark_spots_on_bright_are_seen_alike(image: np.ndarray) -> None:
    assert_alike(image.max() - image, image)


def test_where_the_pattern_lies_in_the_frame_does_not_matter(image: np.ndarray) -> None:
    fill = np.median(image).astype(image.dtype)
    seen = view(np.pad(image, ((20, 20), (20, 20)), constant_values=fill))
    moved = view(np.pad(image, ((10, 30), (25, 15)), constant_values=fill))
    assert difference(seen.picture[1], moved.picture[1]) < 2
    assert difference(seen.vectors, moved.vectors) < 1


def test_the_size_of_the_frame_does_not_matter(image: np.ndarray) -> None:
    seen, doubled = view(image), view(image.repeat(2, 0).repeat(2, 1))
    # The redrawn spots are the same; the frame itself is as coarse as it is.
    assert difference(seen.picture[1], doubled.picture[1]) < 2
    assert difference(seen.vectors, doubled.vectors) < 2


def test_planes_are_centred_on_the_direct_beam(image: np.ndarray) -> None:
    seen = view(image)
    assert seen.picture[0, 61:67, 61:67].min() > 150  # the direct beam
    assert seen.picture[1, 63:65, 63:65].max() < 128  # which is no spot
    np.testing.assert_allclose(seen.vectors, seen.vectors[::-1, ::-1], atol=1)  # v and -v


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((64, 80), np.uint8),
        np.full((64, 80), 255, np.uint8),
        np.full((64, 80), np.nan, np.float32),
        np.ones((1, 1)),
        np.eye(3),
        np.random.default_rng(0).poisson(4, (2, 900)),
    ],
    ids=["zero", "saturated", "nan", "one pixel", "nine pixels", "two lines"],
)
def test_frames_that_show_nothing_have_a_view(frame: np.ndarray) -> None:
    seen = view(frame)
    assert np.isfinite(seen.features).all()
    assert seen.picture[1].sum() == 0 or seen.features[0] > 0
