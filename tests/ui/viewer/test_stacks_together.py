"""Stacks beside one another in a window, and layers that are given other patterns."""

from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_diffraction.learning.classes import LAUE, ZONE, ZONE_CLASSES
from napari_diffraction.ui.viewer.coordinator import Coordinator
from napari_diffraction.ui.viewer.layers import draw_anew, stack_of

N = 40


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def add(viewer, make_stack):
    """Return a function that opens a stack of n patterns."""

    def open_stack(name, n=N):
        stack = make_stack(n)
        return viewer.add_image(stack.data, name=name, metadata={"pattern_stack": stack})

    return open_stack


@pytest.fixture
def classified(viewer, learning):
    """Return a function that classifies the stack of a layer."""

    def classify(layer):
        work = Coordinator.of(viewer)
        work.set_layer(layer)
        work.begin(ZONE_CLASSES, {})
        work.add_rows(learning.table(work.stack, range(len(work.stack))))
        return work

    return classify


def on_view(viewer):
    return [layer.name for layer in viewer.layers if layer.visible]


# -- other patterns in the same layer -----------------------------------------------------------
def test_new_data_end_what_was_known_of_the_old(viewer, classified):
    """As of the preview of a simulation, which is one layer for one pattern after the other."""
    layer = viewer.add_image(np.zeros((3, 16, 16)), name="preview")
    work = classified(layer)
    layer.data = np.ones((4, 16, 16))
    assert work.layer is layer
    assert work.session is None
    assert on_view(viewer) == ["preview"]
    assert work.stack.frame(0).max() == 1
    work = classified(layer)
    assert len(work.points_layer.data) == 4


def test_a_new_stack_in_the_metadata_takes_the_place_of_the_old(
    viewer, add, classified, make_stack
):
    layer = add("first")
    work = classified(layer)
    changed = []
    work.stack_changed.connect(lambda: changed.append(work.layer))
    again = make_stack(12)
    layer.data = again.data
    layer.metadata = {"pattern_stack": again}
    assert work.stack is again
    assert work.session is None
    assert changed[-1] is layer
    assert [one.name for one in viewer.layers] == ["first"]


def test_patterns_that_are_drawn_anew_keep_their_results(viewer, add, classified, make_stack):
    """As of patterns that are redrawn for each peak that is found or corrected."""
    layer = add("redrawn")
    layer.metadata = {**layer.metadata, "chosen_from": "run42"}
    work = classified(layer)
    again = make_stack(N)
    draw_anew(layer, again.data)
    layer.metadata = {**layer.metadata, "pattern_stack": again}
    assert len(work.session) == N
    assert work.points_layer in viewer.layers
    work.set_layer(layer)  # as Run does, which must not sort the old picture
    assert work.stack is again
    assert len(work.session) == N


def test_a_layer_at_rest_is_begun_anew_when_it_is_chosen(viewer, add, classified, make_stack):
    first, second = add("first"), add("second")
    work = classified(first)
    work.set_layer(second)
    again = replace(make_stack(), name="another")
    first.metadata["pattern_stack"] = again  # of which napari tells nobody
    work.set_layer(first)
    assert work.stack is again
    assert work.session is None
    assert [one.name for one in viewer.layers] == ["first", "second"]


def test_what_can_be_no_stack_any_more_is_left(viewer, classified):
    layer = viewer.add_image(np.zeros((3, 16, 16)))
    work = classified(layer)
    layer.data = np.zeros((2, 2, 2, 16, 16))
    assert work.layer is None
    assert list(viewer.layers) == [layer]


# -- one stack at a time ------------------------------------------------------------------------
def test_the_first_results_of_a_hidden_stack_do_not_bring_it_back(
    viewer, add, classified, learning
):
    first = add("first")
    work = Coordinator.of(viewer)
    work.set_layer(first)
    add("second", 12)
    work.begin(ZONE_CLASSES, {}, first)
    work.add_rows(learning.table(work.stack, range(N)), first)
    assert on_view(viewer) == ["second"]
    work.show(7)
    assert on_view(viewer) == ["first", "first - classes"]


def test_new_results_are_shown_where_a_class_was(viewer, add, classified):
    layer = add("first")
    work = classified(layer)
    work.open_class(ZONE)
    work.begin(ZONE_CLASSES, {})
    assert on_view(viewer) == ["first", "first - classes"]


def test_the_patterns_of_a_class_do_not_lie_over_the_stack_chosen_next(viewer, add, classified):
    first = add("first")
    work = classified(first)
    work.open_class(ZONE)
    second = add("second")
    assert on_view(viewer) == ["second"]
    work.decide(LAUE)  # the key of a review that is still that of the first
    assert not work.session.decided.any()
    work.set_layer(first)
    work.open_class(ZONE)
    work.set_layer(second)
    assert on_view(viewer) == ["second"]


def test_the_sliders_reach_all_patterns_after_those_of_a_class(viewer, add, classified):
    first, second = add("first"), add("second")
    work = classified(first)
    work.open_class(ZONE)
    assert viewer.dims.range[0].stop < N - 1
    work.set_layer(second)
    work.show(N - 1)
    assert work.current == N - 1


def test_what_another_panel_chose_from_a_stack_goes_with_it(viewer, add, classified):
    """As the wrong ones of an evaluation, which hides the stack while it shows them."""
    first, second = add("first"), add("second")
    work = classified(first)
    first.visible = False
    wrong = viewer.add_image(
        np.zeros((3, 64, 64)), name="wrong ones", metadata={"chosen_from": "first"}
    )
    viewer.add_points(np.zeros((3, 3)), name="said", metadata={"made_from": wrong.name})
    work.set_layer(second)
    assert on_view(viewer) == ["second"]


def test_a_class_of_another_stack_is_removed_without_bringing_that_back(viewer, add, classified):
    first, second = add("first"), add("second", 12)
    work = classified(first)
    image = work.open_class(ZONE)
    work.set_layer(second)
    viewer.layers.remove(image)
    assert on_view(viewer) == ["second"]
    work.set_layer(first)
    image = work.open_class(ZONE)
    work.show_all()
    viewer.dims.set_point(0, 30)
    viewer.layers.remove(image)  # not on view, though of the stack at work
    assert on_view(viewer) == ["first", "first - classes"]
    assert work.current == 30
    assert stack_of(first) is work.stack


def test_scans_are_shown_one_at_a_time_with_the_averages_of_their_grains(viewer, make_stack):
    def add_scan(name):
        stack = replace(make_stack(6), name=name, sources=(name,))
        stack = replace(stack, data=stack.data.reshape(2, 3, 64, 64))
        return viewer.add_image(stack.data, name=name, metadata={"pattern_stack": stack})

    first, second = add_scan("first"), add_scan("second")
    work = Coordinator.of(viewer)
    work.set_layer(first)
    assert on_view(viewer) == ["first"]
    averages = replace(make_stack(2), sources=("first",), metadata={"grain": [4, 7]})
    viewer.add_image(averages.data, name="averages", metadata={"pattern_stack": averages})
    viewer.add_image(np.zeros((2, 3)), name="map", metadata={"map_of": "first"})
    assert on_view(viewer) == ["first", "averages", "map"]
    work.show_alone(second)  # as a panel does that works on scans by itself
    assert on_view(viewer) == ["second", "map"]
    assert work.layer is first
    work.show_alone(first)
    assert on_view(viewer) == ["first", "map"]
    third = add_scan("third")
    assert on_view(viewer) == ["map", "third"]
    work.show_alone(second)
    assert on_view(viewer) == ["second", "map"]
    viewer.layers.selection.active = third
    assert work.at_hand() is third


def test_data_set_by_hand_in_patterns_of_a_class_are_noticed(viewer, add, classified):
    work = classified(add("first"))
    chosen = work.open_class(ZONE)
    before = stack_of(chosen)
    chosen.data = np.full(before.data.shape, 7, before.data.dtype)
    assert np.all(stack_of(chosen).frame(0) == 7)
    chosen.data = before.data
    assert stack_of(chosen) is before


def test_a_new_panel_begins_with_the_stack_that_another_one_shows(viewer, add):
    work = Coordinator.of(viewer)
    first, second = add("first"), add("second")
    assert viewer.layers.selection.active is second
    work.show_alone(first)  # chosen in a panel
    assert work.at_hand() is first


def test_a_stack_that_is_opened_is_shown_alone_before_one_is_at_work(viewer, add):
    Coordinator.of(viewer)
    add("first")
    add("second")
    assert on_view(viewer) == ["second"]
