import dask.array as da
import numpy as np
import pytest

from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack
from napari_diffraction.ui.viewer.quality_map import scan_pictures

ROWS, COLUMNS, SIDE = 21, 18, 60


def patterns(kikuchi):
    """Bands that fade from left to right on a light that flickers, or spots on a dark ground."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:SIDE, :SIDE]
    data = np.empty((ROWS, COLUMNS, SIDE, SIDE), np.float32)
    for row in range(ROWS):
        for column in range(COLUMNS):
            angle = rng.uniform(0, np.pi)
            wave = np.sin((np.cos(angle) * x + np.sin(angle) * y) / 4)
            strength = 30 * (1 - column / COLUMNS)
            light = rng.uniform(90, 130)
            data[row, column] = light + strength * wave + rng.normal(0, 8, (SIDE, SIDE))
    if not kikuchi:
        data = np.where(data > 150, data, 0)
    return data.astype(np.uint16)


def pictures(kikuchi, **known):
    stack = PatternStack(
        da.from_array(patterns(kikuchi), chunks=(1, 6, SIDE, SIDE)), "alloy", **known
    )
    return [picture.copy() for picture in scan_pictures(stack)], stack


@pytest.mark.parametrize("known", [{}, {"geometry": KikuchiGeometry()}])
def test_the_picture_of_an_ebsd_scan_is_the_quality_of_its_patterns(known):
    seen, stack = pictures(True, **known)
    assert len(seen) > 10
    assert all(picture.shape == (ROWS, COLUMNS) for picture in seen)
    assert seen[0].mean() > 50  # the first look is at mean intensities
    assert seen[1].max() < 1
    # coarse at once: already the second one is right in the large
    assert np.corrcoef(seen[1].mean(axis=0), -np.arange(COLUMNS))[0, 1] > 0.9
    last = seen[-1]
    assert np.corrcoef(last.ravel(), np.tile(-np.arange(COLUMNS), ROWS))[0, 1] > 0.9
    means = np.asarray(stack.data.mean(axis=(2, 3)))
    assert abs(np.corrcoef(last.ravel(), means.ravel())[0, 1]) < 0.3


def test_the_picture_of_other_scans_is_the_mean_intensity():
    seen, stack = pictures(False)
    np.testing.assert_allclose(seen[-1], np.asarray(stack.data.mean(axis=(2, 3))), rtol=1e-5)
