"""Which patterns are put forward."""

import dask.array as da
import numpy as np

from napari_diffraction.learning.classes import ZONE_CLASSES
from napari_diffraction.learning.training.active_learning import farthest, teach_most
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import finish


def test_the_most_doubtful_comes_first_and_none_that_looks_like_it_next():
    found = np.array([[0.0, 0], [0.01, 0], [5, 0], [0, 5], [0.02, 0]])
    doubt = np.array([1.0, 0.99, 0.5, 0.4, 0.98])
    chosen = farthest(found, doubt, 3)
    assert chosen[0] == 0
    assert set(chosen) == {0, 2, 3}
    assert sorted(farthest(found, doubt, 9)) == [0, 1, 2, 3, 4]


def test_a_pattern_of_which_the_model_is_sure_is_not_put_forward_for_being_far_off():
    found = np.array([[0.0], [1], [100]])
    assert farthest(found, np.array([1.0, 0.5, 1e-4]), 2).tolist() == [0, 1]


def test_only_doubtful_patterns_that_can_be_read_are_chosen(untrained):
    rng = np.random.default_rng(0)
    frames = da.from_array(rng.poisson(5, (12, 64, 64)).astype(np.uint16), chunks=(1, 64, 64))
    p = np.full((6, len(ZONE_CLASSES)), 0.25)
    p[2] = np.nan
    index = np.array([1, 3, 5, 7, 9, 11])
    chosen = finish(teach_most(PatternStack(frames, "run"), untrained, index, p, 4))
    assert len(set(chosen)) == 4
    assert set(chosen) <= {1, 3, 7, 9, 11}
    nothing = finish(teach_most(PatternStack(frames, "run"), untrained, index[:0], p[:0], 4))
    assert len(nothing) == 0


def test_a_model_of_one_class_is_never_in_doubt(untrained):
    frames = da.zeros((3, 64, 64), chunks=(1, 64, 64))
    work = teach_most(PatternStack(frames, "run"), untrained, np.arange(3), np.ones((3, 1)), 2)
    assert len(finish(work)) == 0
