from __future__ import annotations

from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
from scipy import ndimage

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack
from napari_diffraction.progress import finish
from napari_diffraction.simulation.samples import serial_experiment
from napari_diffraction.simulation.spots.redraw import (
    SIZE,
    preprocessed,
    redraw,
    redraw_frame,
    redrawn_stack,
)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return finish(serial_experiment(seed=5, n=4)).images


def test_spots_are_drawn_alike_around_the_beam() -> None:
    centre = (300.0, 180.0)
    position = np.array([[400.0, 180.0], [300.0, 80.0], [250.0, 180.0]])
    image = redraw(position, centre, 400)
    assert image.shape == (SIZE, SIZE)
    assert set(np.unique(image)) == {0, 255}
    labels, n = ndimage.label(image)
    assert n == 4
    places = np.array(ndimage.center_of_mass(image, labels, range(1, n + 1)))[:, ::-1]
    middle, reach = (SIZE - 1) / 2, 0.95 * SIZE / 2
    wanted = middle + np.array([[0, 0], [1, 0], [0, -1], [-0.5, 0]]) * reach
    for place in wanted:
        assert np.hypot(*(places - place).T).min() < 0.6
    sizes = sorted(ndimage.sum_labels(image > 0, labels, range(1, n + 1)))
    assert sizes[-1] > 2 * sizes[0]  # the direct beam is larger


def test_spots_beside_the_beam_do_not_fill_the_picture() -> None:
    image = redraw([[266.0, 256.0]], (256.0, 256.0), 512)
    assert not image[:, SIZE // 2 + 30 :].any()
    assert redraw(np.empty((0, 2)), (0.0, 0.0), 100).sum() > 0


def test_a_stack_is_redrawn_when_it_is_looked_at(images: np.ndarray) -> None:
    seen: list[int] = []

    def read(index: int) -> np.ndarray:
        seen.append(index)
        return images[index]

    data = da.from_array(images.reshape(2, 2, 256, 256), chunks=(1, 2, 256, 256))
    stack = PatternStack(data, "run", ("run.h5",), read=read)
    drawn = redrawn_stack(stack)
    assert seen == []
    assert drawn.data.shape == (2, 2, SIZE, SIZE)
    assert drawn.sources == stack.sources
    np.testing.assert_array_equal(drawn.frame(3), redraw_frame(images[3]))
    assert seen == [3]
    np.testing.assert_array_equal(np.asarray(drawn.data[1, 1]), drawn.frame(3))


def test_only_what_is_known_can_be_done_before() -> None:
    stack = PatternStack(da.zeros((2, 32, 32)), "run")
    assert preprocessed(stack, None) is stack
    with pytest.raises(InputError, match=r"no preprocessing 'blur'.*redraw"):
        preprocessed(stack, "blur")
    with pytest.raises(InputError, match="no spots to redraw"):
        preprocessed(replace(stack, geometry=KikuchiGeometry()), "redraw")
