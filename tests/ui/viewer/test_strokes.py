"""Miller indices written with strokes."""

import numpy as np
import pytest

from napari_diffraction.ui.viewer.strokes import index_strokes, index_text, ring


def bounds(strokes):
    ends = np.concatenate([strokes[:, 0], strokes.sum(axis=1)])
    return ends.min(axis=0), ends.max(axis=0)


@pytest.mark.parametrize("index", range(10))
def test_every_digit_has_its_own_shape_within_its_box(index):
    low, high = bounds(index_strokes((index,), "()"))
    assert high - low == pytest.approx([1.3, 2 * 0.86 + 0.06])  # the brackets
    assert low + high == pytest.approx([0, 0], abs=1e-9)  # around the origin
    others = [index_strokes((other,), "()") for other in range(10) if other != index]
    mine = index_strokes((index,), "()")
    assert all(mine.shape != one.shape or not np.allclose(mine, one) for one in others)


def test_negative_indices_have_a_bar_and_long_ones_stand_apart():
    plain, barred = index_strokes((1, 1, 0), "()"), index_strokes((1, -1, 0), "()")
    assert len(barred) == len(plain) + 1
    (bar,) = [one for one in barred.tolist() if one not in plain.tolist()]
    assert bar[0][0] < -0.5  # above the digit
    assert bar[1] == pytest.approx([0, 0.6])
    narrow, wide = (bounds(index_strokes(one, "[]")) for one in ((1, 2, 1), (11, 2, 1)))
    assert (wide[1] - wide[0] - narrow[1] + narrow[0])[1] == pytest.approx(2 * 0.86)


def test_a_ring_is_closed():
    strokes = ring()
    assert strokes[:, 1].sum(axis=0) == pytest.approx([0, 0], abs=1e-12)
    assert np.linalg.norm(strokes[:, 0], axis=1) == pytest.approx(np.full(8, 0.5))


def test_indices_as_text():
    assert index_text((1, 1, 0), "()") == "(110)"
    assert index_text((1, -1, 0), "()") == "(1 -1 0)"
    assert index_text((-1, -2, 7), "()") == "(-1 -2 7)"
    assert index_text((10, 2, -1), "[]") == "[10 2 -1]"
