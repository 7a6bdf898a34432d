"""The border of zones: moved where the zones of a stack stand apart, and only there."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_diffraction.errors import InputError
from napari_diffraction.learning.classes import LAUE, MULTIPLE, NO_HIT, UNREADABLE, ZONE
from napari_diffraction.learning.classification.adaptation import (
    CHOICES,
    Border,
    find_border,
    moved,
    placed,
    suited,
    told,
)

CLASSES = (ZONE, LAUE, NO_HIT, MULTIPLE)


def stack_of(zones: int, middle: float, others: int = 1500, seed: int = 0) -> np.ndarray:
    """Probabilities of a stack whose zones lie about some log odds."""
    rng = np.random.default_rng(seed)
    odds = np.concatenate(
        [rng.normal(middle, 1.0, zones), -6.5 - 2.5 * np.abs(rng.normal(size=others))]
    )
    zone = 1 / (1 + np.exp(-odds))
    return np.stack([zone, 0.9 * (1 - zone), np.zeros_like(zone), 0.1 * (1 - zone)], axis=1)


def is_zone(p: np.ndarray) -> np.ndarray:
    return p.argmax(axis=1) == 0


@pytest.mark.parametrize("seed", range(3))
def test_zones_that_stand_apart_but_are_not_sure_are_found(seed: int) -> None:
    p = stack_of(60, -2.0, seed=seed)
    assert is_zone(p)[:60].mean() < 0.1
    border = find_border(p, CLASSES)
    after = is_zone(moved(p, CLASSES, border))
    assert after[:60].mean() > 0.9
    assert after[60:].mean() < 0.005
    assert 40 < border.zones < 80
    assert "zones stand apart" in told(border)


@pytest.mark.parametrize("seed", range(3))
def test_a_stack_without_zones_gets_none(seed: int) -> None:
    p = stack_of(0, 0.0, seed=seed)
    border = find_border(p, CLASSES)
    assert border.shift == 0
    assert not told(border)
    assert not is_zone(moved(p, CLASSES, border)).any()


def test_sure_zones_stay_as_they_are() -> None:
    p = stack_of(60, 4.0)
    after = moved(p, CLASSES, find_border(p, CLASSES))
    np.testing.assert_array_equal(is_zone(after), is_zone(p))


def test_what_is_wanted_orders_the_borders() -> None:
    p = stack_of(60, -2.0)
    by = {one: find_border(p, CLASSES, one).shift for one in CHOICES}
    assert by["all"] > by["stack"] > by["sure"] > by["off"] == 0


def test_few_patterns_show_nothing() -> None:
    assert find_border(stack_of(20, -2.0, others=100), CLASSES).shift == 0


def test_the_order_of_the_patterns_does_not_matter() -> None:
    p = stack_of(60, -2.0)
    turned = p[np.random.default_rng(1).permutation(len(p))]
    assert find_border(turned, CLASSES).shift == pytest.approx(find_border(p, CLASSES).shift)


def test_no_hits_and_unreadable_patterns_stay() -> None:
    p = stack_of(60, -2.0)
    nothing = np.array([[0.3, 0.1, 0.59, 0.01], [np.nan] * 4])
    p = np.concatenate([p, nothing])
    table = pd.DataFrame(
        {"index": np.arange(len(p)), "label": LAUE, "confidence": np.nan_to_num(p.max(axis=1))}
        | {f"p_{name}": p[:, k] for k, name in enumerate(CLASSES)}
    )
    table.loc[len(p) - 2, "label"], table.loc[len(p) - 1, "label"] = NO_HIT, UNREADABLE
    after, border = suited(table)
    assert border.shift > 1
    assert (after["label"] == ZONE).sum() > 50
    assert after["label"].iloc[-2:].tolist() == [NO_HIT, UNREADABLE]
    pd.testing.assert_frame_equal(after.iloc[-2:], table.iloc[-2:])
    columns = [f"p_{name}" for name in CLASSES]
    np.testing.assert_allclose(after[columns].iloc[:-1].sum(axis=1), 1)


def test_an_unknown_wish_is_refused() -> None:
    with pytest.raises(InputError, match="use one of stack, all, sure, off"):
        find_border(stack_of(10, 0.0), CLASSES, "most")


def test_a_border_that_is_taken_back_leaves_what_was_there() -> None:
    p = stack_of(60, -2.0)
    columns = {f"p_{name}": values for name, values in zip(CLASSES, p.T, strict=True)}
    usual = placed(pd.DataFrame(columns), Border(1e-12))
    after, border = suited(usual)
    assert (after["label"] == ZONE).sum() > (usual["label"] == ZONE).sum()
    back = placed(after, Border(-border.shift))
    assert (back["label"] == usual["label"]).all()
    np.testing.assert_allclose(back[list(columns)], usual[list(columns)], atol=1e-9)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("wanted", CHOICES)
def test_a_stack_of_zones_beyond_doubt_has_no_border(wanted: str) -> None:
    p = stack_of(800, 11.0, others=400)
    assert find_border(p, CLASSES, wanted) == Border()
