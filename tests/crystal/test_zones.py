"""The dominant zone against a plain count over all pairs, and the shares of the paper."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from math import gcd

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.excitation import excited_reflections
from napari_diffraction.crystal.orientation import fibonacci_sphere, rotations_to_beam
from napari_diffraction.crystal.reflections import reflection_table
from napari_diffraction.crystal.zones import MIN_VISIBLE, ZoneLabels, label_zones

Reflection = tuple[int, int, int]


def reduced(u: int, v: int, w: int) -> Reflection:
    divisor = gcd(u, v, w)
    first = next(x for x in (u, v, w) if x != 0)
    divisor = divisor if first > 0 else -divisor
    return u // divisor, v // divisor, w // divisor


def cross(a: Reflection, b: Reflection) -> Reflection:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def largest_zone(spots: list[Reflection]) -> int:
    """Most reflections in one plane through the origin, by counting over all pairs."""
    members: dict[Reflection, set[Reflection]] = {}
    for a, b in combinations(spots, 2):
        axis = cross(a, b)
        if any(axis):
            members.setdefault(reduced(*axis), set()).update((a, b))
    return max((len(zone) for zone in members.values()), default=len(spots))


def label(patterns: list[list[Reflection]]) -> ZoneLabels:
    start = np.cumsum([0, *(len(spots) for spots in patterns)])
    hkl = np.array([spot for spots in patterns for spot in spots], dtype=np.int16).reshape(-1, 3)
    return label_zones(start, hkl)


def check(spots: list[Reflection], labels: ZoneLabels, i: int = 0) -> None:
    assert labels.count[i] == len(spots)
    if not spots:
        assert labels.fraction[i] == 0
        return
    most = largest_zone(spots)
    assert round(float(labels.fraction[i]) * len(spots)) == most
    axis = tuple(labels.uvw[i].tolist())
    if np.linalg.matrix_rank(np.array(spots)) < 2:
        assert axis == (0, 0, 0)
        assert labels.fraction[i] == 1
    else:
        assert axis == reduced(*axis)
        assert sum(int(np.dot(spot, axis)) == 0 for spot in spots) == most


def reflections(limit: int) -> st.SearchStrategy[Reflection]:
    index = st.integers(-limit, limit)
    return st.tuples(index, index, index).filter(any)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.integers(1, 300).flatmap(
            lambda limit: st.lists(reflections(limit), max_size=25, unique=True)
        ),
        min_size=1,
        max_size=4,
    )
)
def test_same_as_counting_over_pairs(patterns: list[list[Reflection]]) -> None:
    labels = label(patterns)
    for i, spots in enumerate(patterns):
        check(spots, labels, i)


@settings(max_examples=40, deadline=None)
@given(
    reflections(6),
    reflections(6),
    st.integers(3, 8),
    st.lists(reflections(9), max_size=8),
    st.randoms(use_true_random=False),
)
def test_net_with_foreign_reflections(
    a: Reflection, b: Reflection, reach: int, foreign: list[Reflection], random: object
) -> None:
    net = [
        tuple(int(x) for x in m * np.array(a) + n * np.array(b))
        for m in range(-reach, reach + 1)
        for n in range(-2, 3)
    ]
    spots = list({spot for spot in (*net, *foreign) if any(spot)})
    random.shuffle(spots)  # type: ignore[attr-defined]
    check(spots, label([spots]))  # type: ignore[arg-type]


def test_strict_means_all_in_one_plane_and_a_net_to_see() -> None:
    net = [(h, k, 0) for h in (-1, 0, 1) for k in (-1, 0, 1) if (h, k) != (0, 0)]
    row = [(h, 0, 0) for h in range(1, 10)]
    patterns: list[list[Reflection]] = [
        net,
        [*net, (0, 0, 1)],
        row,
        net[: MIN_VISIBLE - 1],
        net[:MIN_VISIBLE],
        [],
    ]
    labels = label(patterns)
    assert labels.strict.tolist() == [True, False, False, False, True, False]
    assert labels.fraction.tolist() == pytest.approx([1, 8 / 9, 1, 1, 1, 0])
    assert labels.uvw.tolist()[:3] == [[0, 0, 1], [0, 0, 1], [0, 0, 0]]


def test_thousands_of_reflections_are_counted_exactly() -> None:
    """One reflection of the zone first, the rest last, thousands of other zones between."""
    rng = np.random.default_rng(0)
    axis = np.array([3, -5, 7])
    grid = np.indices((61, 61, 61)).reshape(3, -1).T - 30
    inside = grid[(grid @ axis == 0) & np.any(grid != 0, axis=1)]
    outside = grid[grid @ axis != 0]
    zone = inside[rng.choice(len(inside), 300, replace=False)]
    others = outside[rng.choice(len(outside), 3000, replace=False)]
    spots = np.concatenate([zone[:1], others, zone[1:]]).astype(np.int16)
    labels = label_zones(np.array([0, len(spots)]), spots)
    assert labels.uvw[0].tolist() == axis.tolist()
    assert labels.fraction[0] == pytest.approx(300 / 3300)


def test_large_indices_are_not_confused() -> None:
    """Zones whose axes differ in the last digits only."""
    spots: list[Reflection] = [(181, 179, 1), (180, 178, 1), (1, 1, 0), (-181, 3, 90), (2, 2, 0)]
    check(spots, label([spots]))


@pytest.mark.parametrize(
    ("cell", "group", "low", "high"),
    [
        (UnitCell(5.6786, 10.4648, 20.4682, 109.7914, 106.5805, 105.8206), None, 3.0, 4.0),
        (UnitCell(9.7733, 11.979, 9.6421, 91.1645, 113.204, 102.2199), None, 2.2, 2.8),
        (UnitCell(3.8155, 10.0452, 13.7425, 90, 107.8717, 90), "P 1 21 1", 7.0, 9.0),
        (UnitCell(3.7061, 12.0249, 11.7474, 90, 103.1097, 90), "P 1 21 1", 7.0, 9.0),
    ],
    ids=["figure 1", "figure 2", "monoclinic 1", "monoclinic 2"],
)
def test_share_of_zones_is_that_of_the_paper(
    cell: UnitCell, group: str | None, low: float, high: float
) -> None:
    spots = excited_reflections(
        reflection_table(cell, 1.0, group), rotations_to_beam(fibonacci_sphere(1000))
    )
    labels = label_zones(spots.start, spots.hkl)
    assert low <= 100 * labels.strict.mean() <= high
    # every reflection of a strict zone obeys h u + k v + l w = 0, of the others the told share
    owner = np.repeat(np.arange(1000), spots.counts)
    in_zone = np.einsum("ij,ij->i", spots.hkl.astype(int), labels.uvw[owner]) == 0
    np.testing.assert_allclose(
        np.bincount(owner, in_zone, minlength=1000) / spots.counts, labels.fraction, atol=1e-6
    )
    for i in (0, 500, *np.flatnonzero(labels.strict)[:3]):
        pairs = combinations(spots.hkl[spots.slice(i)].tolist(), 2)
        axes = [cross(a, b) for a, b in pairs]
        zones = Counter(reduced(*axis) for axis in axes if any(axis))
        assert tuple(labels.uvw[i].tolist()) in [zone for zone, _ in zones.most_common(3)]
