import dask.array as da
import numpy as np
import pytest

from napari_diffraction.analysis.maps.phase_map import NOT_INDEXED, PhaseMap
from napari_diffraction.errors import InputError
from napari_diffraction.patterns.stack import PatternStack


def test_a_map_names_every_point(make_map, truth):
    made = make_map()
    names = np.array([NOT_INDEXED, *made.classes], dtype=object)
    assert (names[made.labels(0.5)] == truth).all()
    assert made.confidence == pytest.approx(np.full(truth.shape, 0.9))
    assert made.step == (0.5, 0.25)
    assert made.label(0, 7) == "hP"
    assert made.at(0, 7).sum() == pytest.approx(1)


def test_the_threshold_recolours_and_shares_are_of_all_points(make_map, truth):
    confidence = np.full(truth.shape, 0.9)
    confidence[:, 0] = 0.4
    made = make_map(confidence.ravel())
    assert (made.labels(0.5)[:, 0] == 0).all()
    assert (made.labels(0.5)[:, 1:] > 0).all()
    assert (made.labels(0.3) > 0).all()
    assert made.shares(0.5) == {"cF": 24 / 48, "hP": 18 / 48, NOT_INDEXED: 6 / 48}
    assert list(made.shares(0.3)) == ["cF", "hP", "NoPattern"]
    assert sum(made.shares(0.95).values()) == made.shares(0.95)[NOT_INDEXED] == 1


def test_a_partial_map_grows_and_counts_only_what_was_looked_at(make_table, stack, card, truth):
    table = make_table(truth)
    made = PhaseMap.from_classification(table.iloc[8:20], stack, card)
    assert made.known.sum() == 12
    assert (made.labels(0)[0] == 0).all()
    assert (made.best[0] == -1).all()
    assert np.isnan(made.confidence[0]).all()
    assert sum(made.shares(0).values()) == pytest.approx(1)
    made.add(table)
    assert made.known.all()


def test_an_unreadable_pattern_is_done_but_not_indexed(make_table, stack, card, truth):
    table = make_table(truth)
    table.loc[3, [f"p_{name}" for name in card.classes]] = np.nan
    made = PhaseMap.from_classification(table, stack, card)
    assert made.done.all()
    assert made.labels(0)[0, 3] == 0
    assert made.shares(0)[NOT_INDEXED] == pytest.approx(1 / 48)


def test_what_does_not_belong_to_the_scan_is_refused(make_table, stack, card, truth):
    table = make_table(truth)
    with pytest.raises(InputError, match="no column p_aP"):
        PhaseMap.from_classification(table.drop(columns="p_aP"), stack, card)
    table["index"] += 1
    with pytest.raises(InputError, match="pattern 48, but alloy has 48"):
        PhaseMap.from_classification(table, stack, card)


def test_a_list_of_patterns_is_no_scan_and_a_line_is_one(make_table, card):
    with pytest.raises(InputError, match=r"list of 5 patterns.*rows and columns"):
        PhaseMap.empty(PatternStack(da.zeros((5, 8, 8)), "run42"), card)
    line = PatternStack(da.zeros((1, 5, 8, 8)), "line")
    made = PhaseMap.from_classification(make_table(np.full((1, 5), "cI", object)), line, card)
    assert made.shares() == {"cI": 1.0}
    point = PatternStack(da.zeros((1, 1, 8, 8)), "point")
    made = PhaseMap.from_classification(make_table(np.full((1, 1), "cI", object)), point, card)
    assert made.shape == (1, 1)
