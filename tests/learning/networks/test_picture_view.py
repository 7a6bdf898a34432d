from __future__ import annotations

import numpy as np
import pytest

from napari_diffraction.learning.networks.picture_preprocessing import Preprocessing
from napari_diffraction.learning.networks.picture_view import picture

FRAME = np.random.default_rng(0).normal(10_000, 300, (32, 32)).astype(np.float32)


@pytest.mark.parametrize("offset", [0.0, -20_000.0])
@pytest.mark.parametrize("flatten", [0.0, 0.1])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_no_numbers_are_black_and_change_no_others(
    offset: float, flatten: float, bad: float
) -> None:
    how = Preprocessing(size=32, flatten=flatten, black=1.0, white=99.0)
    frame = FRAME + np.float32(offset)
    whole = picture(frame, how).astype(int)
    frame[:2, :2] = bad
    seen = picture(frame, how).astype(int)
    assert (seen[:2, :2] == 0).all()
    seen[:2, :2] = whole[:2, :2]
    # Where the background is taken off, those near the gap are compared with fewer others.
    assert np.abs(seen - whole).mean() < 2


def test_a_frame_without_numbers_is_black() -> None:
    for flatten in (0.0, 0.1):
        how = Preprocessing(size=32, flatten=flatten)
        assert not picture(np.full((32, 32), np.nan, np.float32), how).any()


def test_a_frame_of_numbers_gives_the_picture_of_version_1() -> None:
    from scipy import ndimage

    values = FRAME - ndimage.gaussian_filter(FRAME, 0.1 * 32, mode="nearest")
    black, white = np.percentile(values, (1, 99))
    values = np.rint(255 * np.clip((values - black) / float(white - black), 0, 1))
    how = Preprocessing(size=32, flatten=0.1, black=1.0, white=99.0)
    np.testing.assert_array_equal(picture(FRAME, how), values.astype(np.uint8))
