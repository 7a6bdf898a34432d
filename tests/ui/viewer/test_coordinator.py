"""The logic of the panels without a window."""

import errno
import os

import numpy as np
import pandas as pd
import pytest
from napari.components import ViewerModel

from napari_diffraction.learning.classes import (
    LAUE,
    MULTIPLE,
    NO_HIT,
    UNREADABLE,
    ZONE,
    ZONE_CLASSES,
)
from napari_diffraction.learning.palette import CLASS_COLOURS, GREY
from napari_diffraction.ui.viewer.coordinator import Coordinator
from napari_diffraction.ui.viewer.layers import first_stack, stack_of
from napari_diffraction.ui.widgets.colours import rgba

N = 40


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def table(learning, make_stack):
    learning.unreadable = (5,)
    return learning.table(make_stack(N), range(N))


@pytest.fixture
def work(viewer, make_stack, table):
    """Return the coordinator of a viewer with a classified stack."""
    stack = make_stack(N)
    viewer.add_image(stack.data, name="run42", metadata={"pattern_stack": stack})
    work = Coordinator.of(viewer)
    work.set_layer(viewer.layers["run42"])
    work.begin(ZONE_CLASSES, {"model": "zones", "model_sha256": "ab12"})
    work.add_rows(table.iloc[:25])
    work.add_rows(table.iloc[25:])
    return work


def least_certain(table, number):
    readable = table[table["label"] != UNREADABLE]
    return readable.sort_values(["confidence", "index"])["index"].tolist()[number]


def test_there_is_one_coordinator_per_viewer(viewer):
    assert Coordinator.of(viewer) is Coordinator.of(viewer)
    assert Coordinator.of(viewer) is not Coordinator.of(ViewerModel())


def test_results_are_one_point_per_pattern_with_text_colour_and_features(work, table):
    points = work.points_layer
    assert points.name == "run42 - classes"
    assert len(points.data) == N
    np.testing.assert_array_equal(points.data[:, 0], np.arange(N))
    assert np.all((points.data[:, 1:] > 0) & (points.data[:, 1:] < 10))
    assert points.shown.all()
    assert list(points.features.columns) == [*table.columns, "reviewed"]
    pd.testing.assert_frame_equal(
        points.features.drop(columns="reviewed"), table, check_dtype=False, check_categorical=False
    )
    row = table.iloc[3]
    assert points.text.values[3] == f"{row['label']} {row['confidence']:.2f}"
    assert points.text.values[5] == UNREADABLE
    expected = rgba([row["label"]], ZONE_CLASSES)[0]
    np.testing.assert_allclose(points.face_color[3], expected, atol=1e-6)
    np.testing.assert_allclose(points.text.color.array[3], expected, atol=1e-6)
    assert points.metadata["model_sha256"] == "ab12"


def test_every_class_has_its_own_colour():
    colours = [colour for colour in CLASS_COLOURS.values() if colour != GREY]
    assert len(set(colours)) == len(colours)
    grey = {name for name, colour in CLASS_COLOURS.items() if colour == GREY}
    assert grey == {NO_HIT, "NoPattern"}  # never in one picture


def test_points_of_patterns_not_classified_yet_are_hidden(viewer, make_stack, table):
    stack = make_stack(N)
    layer = viewer.add_image(stack.data, metadata={"pattern_stack": stack})
    work = Coordinator.of(viewer)
    work.set_layer(layer)
    work.begin(ZONE_CLASSES, {})
    assert not work.points_layer.shown.any()
    work.add_rows(table.iloc[10:20])
    assert np.flatnonzero(work.points_layer.shown).tolist() == list(range(10, 20))


def test_next_shows_the_least_certain_pattern(work, viewer, table):
    assert work.next() == least_certain(table, 0)
    assert viewer.dims.current_step[0] == work.current == least_certain(table, 0)
    assert set(work.points_layer.selected_data) == {work.current}
    assert work.next() == least_certain(table, 1)


def test_next_comes_back_to_the_pattern_from_which_one_looked_elsewhere(work, table):
    first = work.next()
    work.show((first + 3) % N)
    assert work.next() == first
    assert work.next() == least_certain(table, 1)


def test_a_decision_changes_text_and_colour_and_moves_on(work, table):
    index = work.next()
    label = next(name for name in ZONE_CLASSES if name != work.session.label(index))
    work.decide(label)
    points = work.points_layer
    assert points.text.values[index] == f"{label} (reviewed)"
    np.testing.assert_allclose(points.face_color[index], rgba([label], ())[0], atol=1e-6)
    assert points.features.loc[index, "label"] == label
    assert points.features.loc[index, "reviewed"]
    assert work.current == least_certain(table, 1)
    work.undo()
    assert work.current == index
    assert points.features.loc[index, "label"] == table.loc[index, "label"]
    assert not points.features.loc[index, "reviewed"]


def test_accept_and_undo_touch_all_points(work):
    work.set_threshold(0.8)
    number = work.session.counts().acceptable
    assert work.accept() == number > 2
    assert work.points_layer.features["reviewed"].sum() == number
    work.undo()
    assert work.points_layer.features["reviewed"].sum() == 0


def test_a_filter_hides_points_and_leads_the_queue(work, table):
    work.set_filter((0.6, 0.7))
    inside = table["confidence"].between(0.6, 0.7, inclusive="left")
    assert np.array_equal(work.points_layer.shown, inside)
    assert inside.sum() > 2
    assert work.current == table.loc[inside, "confidence"].idxmin()
    assert work.queue() == (inside.sum(), inside.sum())
    work.decide(ZONE)
    assert inside[work.current]
    assert work.queue() == (inside.sum() - 1, inside.sum())
    work.set_filter(None)
    assert work.points_layer.shown.all()


def test_selecting_a_point_shows_its_pattern(work):
    work.points_layer.selected_data = {17}
    assert work.current == 17


def test_deleted_points_come_back_as_they_were(work):
    work.show(7)
    work.decide(MULTIPLE)
    points = work.points_layer
    before = points.features.copy(), points.text.values.copy(), points.face_color.copy()
    points.selected_data = {3, 7}
    points.remove_selected()
    assert len(points.data) == N
    pd.testing.assert_frame_equal(points.features, before[0])
    np.testing.assert_array_equal(points.text.values, before[1])
    np.testing.assert_allclose(points.face_color, before[2])
    assert points.shown.all()


def test_a_deleted_points_layer_is_made_again(work, viewer):
    viewer.layers.remove(work.points_layer)
    work.decide(NO_HIT)
    assert work.next() is not None
    assert work.points_layer in viewer.layers
    assert "reviewed" in work.points_layer.text.values[work.session.index[work.session.decided]][0]


# -- the patterns of a class --------------------------------------------------------------------
def test_a_class_opens_as_its_own_layer_best_first(work, viewer, table):
    image = work.open_class(ZONE)
    zones = table[table["label"] == ZONE].sort_values("p_2DZone", ascending=False)
    assert image.name == "run42 - 2DZone"
    assert image.data.shape[0] == len(zones)
    stack = work.stack
    np.testing.assert_array_equal(image.data[0], stack.frame(zones["index"].iloc[0]))
    assert image.metadata["model"] == "zones"
    assert not work.layer.visible
    assert not work.points_layer.visible
    assert viewer.dims.range[0].stop == len(zones) - 1
    assert work.current == zones["index"].iloc[0]
    viewer.dims.set_current_step(0, 2)
    assert work.current == zones["index"].iloc[2]
    labels = viewer.layers["run42 - 2DZone - classes"]
    assert labels.text.values[2] == f"2DZone {zones['confidence'].iloc[2]:.2f}"


def test_deciding_among_the_patterns_of_a_class_goes_to_its_next(work, viewer):
    work.open_class(ZONE)
    first = work.current
    work.decide(LAUE)
    assert work.session.label(first) == LAUE
    assert viewer.dims.current_step[0] == 1
    assert viewer.layers["run42 - 2DZone - classes"].text.values[0] == f"{LAUE} (reviewed)"
    assert work.points_layer.text.values[first] == f"{LAUE} (reviewed)"


def test_the_whole_stack_comes_back(work, viewer):
    work.open_class(ZONE)
    viewer.dims.set_current_step(0, 1)
    index = work.current
    work.show_all()
    assert work.layer.visible
    assert work.points_layer.visible
    assert work.current == viewer.dims.current_step[0] == index
    assert viewer.dims.range[0].stop == N - 1
    assert work.class_on_view is None


def test_opening_a_class_again_replaces_its_layers(work, viewer):
    work.open_class(ZONE)
    number = len(viewer.layers)
    work.decide(LAUE)
    image = work.open_class(ZONE)
    assert len(viewer.layers) == number
    assert image.data.shape[0] == work.session.counts().classes[ZONE]


def test_removing_the_layer_of_a_class_brings_the_stack_back(work, viewer):
    image = work.open_class(ZONE)
    viewer.layers.remove(image)
    assert [layer.name for layer in viewer.layers] == ["run42", "run42 - classes"]
    assert work.layer.visible
    assert viewer.dims.range[0].stop == N - 1


def test_a_row_of_a_class_is_found_among_the_patterns_of_the_class(work, viewer):
    work.open_class(ZONE)
    points = viewer.layers["run42 - 2DZone - classes"]
    points.selected_data = {3}
    assert viewer.dims.current_step[0] == 3
    assert work.class_on_view == ZONE
    assert work.current == points.features["index"][3]


# -- taken up again -----------------------------------------------------------------------------
def reopen(make_stack):
    viewer = ViewerModel()
    stack = make_stack(N)
    layer = viewer.add_image(stack.data, name="run42", metadata={"pattern_stack": stack})
    work = Coordinator.of(viewer)
    work.set_layer(layer)
    return work, viewer  # the coordinator does not keep its viewer alive


def test_a_review_is_offered_and_taken_up_where_it_stopped(work, make_stack, table):
    work.next()
    work.decide(ZONE)
    here = work.current
    again, viewer = reopen(make_stack)
    assert (again.saved.decisions, again.saved.patterns) == (1, N)
    assert again.session is None
    again.resume()
    assert again.saved is None
    assert again.current == here == least_certain(table, 1)
    assert again.session.label(least_certain(table, 0)) == ZONE
    assert len(viewer.layers) == 2


def test_starting_anew_keeps_the_classification_only(work, make_stack):
    work.next()
    work.decide(ZONE)
    again, viewer = reopen(make_stack)
    again.start_anew()
    assert again.session.counts().reviewed == 0
    assert len(again.session) == N
    assert reopen(make_stack)[0].saved.decisions == 0
    del viewer


def test_decisions_outlast_a_new_classification_until_told_otherwise(work, make_stack, table):
    work.show(3)
    work.decide(MULTIPLE)
    again, viewer = reopen(make_stack)
    again.begin(ZONE_CLASSES, {})
    again.add_rows(table)
    assert again.session.label(3) == MULTIPLE
    assert again.saved is not None
    again.start_anew()
    assert again.session.label(3) == table.loc[3, "label"]
    assert again.points_layer.text.values[3].startswith(table.loc[3, "label"])
    del viewer


def test_a_full_disk_is_said_once_and_stops_nothing(work, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    seen = []
    monkeypatch.setattr("napari_diffraction.ui.viewer.stacks.saving.show_error", seen.append)
    work.next()
    work.decide(ZONE)
    work.decide(ZONE)
    assert work.session.counts().reviewed == 2
    assert len(seen) == 1
    assert "disk is full" in seen[0]


# -- other kinds of stacks ----------------------------------------------------------------------
@pytest.mark.parametrize(
    "shape", [(9, 10), (3, 9, 10), (2, 3, 9, 10)], ids=["one", "stack", "scan"]
)
@pytest.mark.parametrize("scale", [1, 0.25])
def test_any_image_layer_can_be_reviewed(viewer, shape, scale, learning):
    viewer.add_image(np.zeros((4, 5, 6, 7, 8)))  # the viewer may have more sliders
    data = np.random.default_rng(0).random(shape)
    layer = viewer.add_image(data, scale=[scale] * len(shape))
    stack = stack_of(layer)
    n = int(np.prod(shape[:-2]))
    assert len(stack) == n
    work = Coordinator.of(viewer)
    work.set_layer(layer)
    work.begin(ZONE_CLASSES, {})
    work.add_rows(learning.table(stack, range(n)))
    for index in range(n):
        work.show(index)
        assert work.current == index
        np.testing.assert_array_equal(layer.data[viewer.dims.current_step[5 - len(shape) : 3]],
                                      stack.frame(index))  # fmt: skip
    image = work.open_class(work.session.label(n - 1))
    assert image.data.shape[-2:] == shape[-2:]


def test_new_data_in_a_layer_make_a_new_stack(viewer):
    layer = viewer.add_image(np.zeros((3, 9, 10)))
    assert stack_of(layer) is stack_of(layer)
    layer.data = np.ones((4, 9, 10))
    assert len(stack_of(layer)) == 4
    assert stack_of(layer).frame(0)[0, 0] == 1


def test_other_data_of_the_same_shape_end_what_is_known_of_those_before(work, viewer):
    layer, before = work.layer, work.stack
    layer.data = np.full(before.data.shape, 7, before.data.dtype)
    assert work.layer is layer
    assert work.session is None
    assert work.points_layer is None
    assert np.all(work.stack.frame(3) == 7)
    layer.data = before.data
    assert stack_of(layer) is before


def test_the_active_layer_is_meant_unless_it_shows_no_patterns(viewer):
    assert first_stack(viewer) is None
    viewer.add_image(np.zeros((9, 9, 3)), rgb=True)
    assert first_stack(viewer) is None
    older = viewer.add_image(np.zeros((3, 9, 9)))
    newer = viewer.add_image(np.zeros((3, 9, 9)))
    single = viewer.add_image(np.zeros((9, 9)))
    assert first_stack(viewer) is single
    viewer.layers.selection.active = older
    assert first_stack(viewer) is older
    viewer.add_points(np.zeros((1, 3)))
    assert first_stack(viewer) is newer


def test_two_stacks_are_worked_on_in_turn(work, viewer, learning):
    first = work.layer
    index = work.next()
    work.decide(ZONE)
    second = viewer.add_image(np.random.default_rng(0).random((5, 9, 10)), name="second")
    work.set_layer(second)
    assert work.session is None
    work.begin(ZONE_CLASSES, {})
    work.add_rows(learning.table(work.stack, range(5)))
    work.set_layer(first)
    assert work.session.reviewed(index)
    assert work.saved is None
    assert work.points_layer.name == "run42 - classes"
    assert len(viewer.layers) == 4


def test_removing_the_stack_ends_its_work(work, viewer):
    work.open_class(ZONE)
    viewer.layers.remove(work.layer)
    assert not viewer.layers
    assert work.layer is None
    assert work.session is None
    assert work.current is None


def test_a_stack_that_is_opened_is_shown_without_the_classes_of_another(work, viewer, make_stack):
    """What stands in the corner of a pattern must not be the class of another stack's pattern."""
    first, points = work.layer, work.points_layer
    work.show(30)
    stack = make_stack(12)
    exam = viewer.add_image(stack.data, name="exam", metadata={"pattern_stack": stack})
    assert exam.visible
    assert not first.visible
    assert not points.visible
    assert viewer.dims.current_step[0] < 12
    assert work.current is None
    viewer.layers.selection.active = exam
    assert work.at_hand() is exam  # for a new panel
    work.show(7)  # as a key of the review does
    assert first.visible
    assert points.visible
    assert not exam.visible
    assert work.current == 7
    work.set_layer(exam)
    assert exam.visible
    assert not first.visible
    assert not points.visible
    work.set_layer(first)
    assert first.visible
    assert points.visible
    assert not exam.visible


def test_patterns_of_a_class_do_not_become_the_stack_of_a_new_panel(work, viewer):
    chosen = work.open_class(ZONE)
    assert viewer.layers.selection.active is chosen
    assert work.at_hand() is work.layer
