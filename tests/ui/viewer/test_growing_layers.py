"""A stack that grows under its results, the patterns of a class, a filter and the queue."""

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_diffraction.errors import InputError
from napari_diffraction.learning.classes import ZONE, ZONE_CLASSES
from napari_diffraction.ui.viewer.coordinator import Coordinator

N, MORE = 40, 50
#: Five patterns come before all others, five in the middle.
MOVED = np.concatenate([np.arange(5, 25), np.arange(30, 50)])


@pytest.fixture
def table(learning, make_stack):
    return learning.table(make_stack(N), range(N))


@pytest.fixture
def work(make_stack, table):
    viewer = ViewerModel()
    stack = make_stack(N)
    viewer.add_image(stack.data, name="run42", metadata={"pattern_stack": stack})
    work = Coordinator.of(viewer)
    work.set_layer(viewer.layers["run42"])
    work.begin(ZONE_CLASSES, {"model": "zones"})
    work.add_rows(table)
    work.keep = viewer  # the coordinator alone does not hold it
    return work


@pytest.mark.parametrize("moved", [None, MOVED], ids=["behind", "between"])
def test_results_stay_with_their_patterns(work, make_stack, table, moved):
    points, image = work.points_layer, work.layer
    work.grow(image, make_stack(MORE), "key", moved)
    places = np.arange(N) if moved is None else moved
    assert work.points_layer is points
    assert len(points.data) == len(points.features) == MORE
    assert len(work.stack) == len(image.data) == MORE
    assert np.flatnonzero(points.shown).tolist() == places.tolist()
    assert points.features["label"].astype(str)[places].tolist() == table["label"].tolist()
    assert points.features["index"].tolist() == list(range(MORE))
    assert points.data[:, 0].tolist() == list(range(MORE))
    assert [text.split()[0] for text in points.text.string.array[places]] == table["label"].tolist()
    assert work.session.key == "key"


def test_the_patterns_of_a_class_stay_on_view(work, make_stack):
    work.open_class(ZONE)
    image = work.viewer.layers[f"run42 - {ZONE}"]
    work.viewer.dims.set_point(0, 1)
    before, count = work.current, len(image.data)
    work.grow(work.layer, make_stack(MORE), "key", MOVED)
    assert work.class_on_view == ZONE
    assert work.current == MOVED[before]
    assert work.viewer.dims.range[0].stop == count - 1
    work.decide(ZONE)
    assert work.session.given()[0].tolist() == [MOVED[before]]


def test_a_filter_goes_on_with_what_comes(work, make_stack, table):
    work.set_filter((0.5, 0.9))
    wanted = table["index"][table["confidence"].between(0.5, 0.9)].to_numpy()
    work.grow(work.layer, make_stack(MORE), "key", MOVED)
    points = work.points_layer
    assert np.flatnonzero(points.shown).tolist() == MOVED[wanted].tolist()
    rows = table.iloc[:2].assign(index=[0, 1], confidence=[0.7, 0.95])
    work.add_rows(rows)
    assert np.flatnonzero(points.shown).tolist() == [0, *MOVED[wanted].tolist()]


def test_the_queue_and_what_is_offered_stay_with_their_patterns(work, make_stack):
    work.offer(np.array([3, 30]))
    work.grow(work.layer, make_stack(MORE), "key", MOVED)
    assert work.offered.tolist() == [8, 40]
    work.offer(np.empty(0, int))
    first = work.next()
    work.show(0 if first else 1)
    work.grow(work.layer, make_stack(MORE + 1), "again", np.arange(1, MORE + 1))
    assert work.next() == first + 1


def test_points_that_somebody_deleted_come_back_as_many_as_there_are(work, make_stack):
    work.viewer.layers.remove(work.points_layer)
    work.grow(work.layer, make_stack(MORE), "key")
    work.show(45)
    assert len(work.points_layer.data) == MORE


def test_a_layer_that_is_gone_does_not_grow(work, make_stack):
    image = work.layer
    work.viewer.layers.remove(image)
    with pytest.raises(InputError, match="not open any more"):
        work.grow(image, make_stack(MORE), "key")
