"""The class of a pattern from what can be seen of it."""

from __future__ import annotations

import numpy as np
import pytest

from napari_diffraction.crystal.excitation import SpotLists
from napari_diffraction.simulation.classes import LAUE, MULTIPLE, NO_HIT, ZONE, ZONE_CLASSES
from napari_diffraction.simulation.spots.labels import (
    MIN_FURTHER,
    MIN_HIT,
    MIN_HIT_CLEAN,
    Visible,
    class_labels,
)
from napari_diffraction.simulation.spots.lists import overlay

NET = [(h, k, 0) for h in range(-3, 4) for k in range(-3, 4) if (h, k) != (0, 0)]
FOREIGN = [(1, 2, 3), (4, -1, 2), (0, 3, 1), (5, 5, -1), (2, -7, 4), (3, 1, 5), (-4, 2, 1)]
ROW = [(h, 0, 0) for h in range(1, 13)]


def lists(*hkl: tuple[int, int, int]) -> SpotLists:
    """One pattern of one crystal."""
    n = len(hkl)
    return SpotLists(
        np.array([0, n]),
        np.array(hkl, dtype=np.int16).reshape(-1, 3),
        np.zeros((n, 2), np.float32),
        np.zeros(n, np.float32),
        np.ones(n, np.float32),
    )


def look(*crystals: list[tuple[int, int, int]], hidden: int = 0) -> Visible:
    """Look at overlaid crystals; the first spots of the first are hidden."""
    merged, crystal = overlay([lists(*one) for one in crystals], 1)
    visible = np.arange(len(crystal)) >= hidden
    return Visible.of(merged, crystal, visible)


def name(seen: Visible, strict: bool) -> str:
    return str(class_labels(seen, strict)[0])


@pytest.mark.parametrize(
    ("crystals", "clean", "noisy"),
    [
        ([], NO_HIT, NO_HIT),
        ([NET], ZONE, ZONE),
        ([NET + FOREIGN[:1]], LAUE, ZONE),  # on noise, 48 of 49 still count as a zone
        ([NET[:36] + FOREIGN[:4]], LAUE, ZONE),  # 0.9
        ([NET[:36] + FOREIGN[:5]], LAUE, LAUE),
        ([ROW], LAUE, LAUE),  # a row is no net
        ([NET[: MIN_HIT_CLEAN - 1]], NO_HIT, NO_HIT),
        ([NET[: MIN_HIT - 1]], ZONE, NO_HIT),
        ([NET[:MIN_HIT_CLEAN]], LAUE, NO_HIT),  # too few to see a net
        ([NET, NET[:20]], MULTIPLE, MULTIPLE),
        ([NET[:20], NET], MULTIPLE, MULTIPLE),
        ([NET, FOREIGN[: MIN_FURTHER - 1]], LAUE, ZONE),  # 48 of 51 spots in the net
        ([NET[:10], FOREIGN[:3]], LAUE, LAUE),  # 10 of 13
        ([NET, FOREIGN[:5]], LAUE, ZONE),  # less than 15 % of the spots; 48 of 53 in the net
        ([NET[:20], FOREIGN[:5]], MULTIPLE, MULTIPLE),
    ],
)
def test_classes(crystals: list[list[tuple[int, int, int]]], clean: str, noisy: str) -> None:
    seen = look(*crystals)
    assert name(seen, strict=True) == clean
    assert name(seen, strict=False) == noisy


def test_only_what_is_visible_counts() -> None:
    spots = FOREIGN[:2] + NET
    assert name(look(spots), strict=True) == LAUE
    seen = look(spots, hidden=2)
    assert name(seen, strict=True) == ZONE
    assert seen.count.tolist() == [48]
    assert name(look(spots, hidden=49), strict=True) == NO_HIT


def test_share_is_that_of_all_crystals() -> None:
    seen = look(NET[:30] + FOREIGN[:2], NET[:8])
    assert seen.count.tolist() == [40]
    assert seen.others.tolist() == [8]
    assert seen.in_zone.tolist() == [30]
    assert seen.share.tolist() == [0.75]
    assert look([]).share.tolist() == [0]


def test_the_strongest_crystal_gives_the_zone() -> None:
    other_net = [(0, k, m) for k in range(-2, 3) for m in range(-2, 3) if (k, m) != (0, 0)]
    assert look(other_net[:10], NET).zones.uvw.tolist() == [[0, 0, 1]]
    assert look(other_net, NET[:10]).zones.uvw.tolist() == [[1, 0, 0]]


def test_each_pattern_has_its_own_strictness() -> None:
    one = lists(*NET, *FOREIGN[:1])
    twice = SpotLists(
        np.array([0, 49, 98]),
        *(
            np.concatenate([part, part])
            for part in (one.hkl, one.position, one.excitation, one.intensity)
        ),
    )
    seen = Visible.of(twice, np.zeros(98, np.int8), np.ones(98, bool))
    assert class_labels(seen, np.array([True, False])).tolist() == [LAUE, ZONE]


def test_overlay_keeps_every_spot_with_its_pattern_and_crystal() -> None:
    def two(
        a: list[tuple[int, int, int]], b: list[tuple[int, int, int]], value: float
    ) -> SpotLists:
        n = len(a) + len(b)
        return SpotLists(
            np.array([0, len(a), n]),
            np.array(a + b, dtype=np.int16),
            np.arange(2 * n, dtype=np.float32).reshape(n, 2),
            np.zeros(n, np.float32),
            np.full(n, value, np.float32),
        )

    first, second = two(NET[:3], NET[3:5], 1.0), two(FOREIGN[:1], FOREIGN[1:4], 2.0)
    merged, crystal = overlay([first, second], 2)
    assert merged.start.tolist() == [0, 4, 9]
    assert merged.hkl.tolist() == [
        list(spot) for spot in NET[:3] + FOREIGN[:1] + NET[3:5] + FOREIGN[1:4]
    ]
    assert crystal.tolist() == [0, 0, 0, 1, 0, 0, 1, 1, 1]
    assert merged.intensity.tolist() == (crystal + 1.0).tolist()
    assert overlay([first], 2)[0] is first


def test_names_are_those_of_the_tables() -> None:
    assert ZONE_CLASSES == ("2DZone", "3DLaueIntersections", "NoHit", "MultipleCrystals")
