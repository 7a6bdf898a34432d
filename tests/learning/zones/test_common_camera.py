"""Doubtful zones marked anew with what the others know of the camera."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from napari_diffraction.indexing.zones.net_fit import NetFit
from napari_diffraction.indexing.zones.pattern_nets import fit_of_spots
from napari_diffraction.learning.zones.common_camera import marked_anew
from napari_diffraction.learning.zones.peak_tables import Found

BEAM, REACH, BEND = np.array([130.0, 121.0]), 110.0, -0.04
#: Of rich zones, and of a poor one.
BASES = (
    [[9.0, 2.0], [-3.0, 14.0]],
    [[8.0, -3.0], [4.0, 13.0]],
    [[1.0, 10.0], [15.0, 0.5]],
    [[12.5, 3.0], [-2.0, 19.0]],
)


def zone(number: int, most: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Places of spots of a zone under a lens that bends, and their nodes."""
    rng = np.random.default_rng(number)
    node = np.stack(np.meshgrid(np.arange(-15, 16), np.arange(-15, 16)), -1).reshape(-1, 2)
    flat = node @ np.array(BASES[number])
    radius = np.hypot(*flat.T)
    inside = (radius > 1) & (radius < REACH)
    node, flat, radius = node[inside], flat[inside], radius[inside]
    if most is not None:
        some = rng.permutation(len(node))[:most]
        node, flat, radius = node[some], flat[some], radius[some]
    xy = BEAM + flat * (1 + BEND * (radius / REACH) ** 2)[:, None]
    return xy + rng.normal(0, 0.1, xy.shape), node


def found(number: int, most: int | None = None, *, known: bool = True) -> Found:
    xy, node = zone(number, most)
    table = pd.DataFrame(
        {
            "x": xy[:, 0],
            "y": xy[:, 1],
            "intensity": np.linspace(9, 1, len(xy)),
            "zonal": np.full(len(xy), known),
            "h": node[:, 0] * known,
            "k": node[:, 1] * known,
        }
    )
    return Found(table, (126.0, 124.0), 1.5)


@pytest.fixture(scope="module")
def rich() -> tuple[dict[int, Found], dict[int, NetFit]]:
    every = {number: found(number) for number in range(3)}
    fits = {number: fit_of_spots(one.table) for number, one in every.items()}
    return every, {number: fit for number, fit in fits.items() if fit is not None}


def test_a_poor_zone_gets_its_net(rich: tuple[dict[int, Found], dict[int, NetFit]]) -> None:
    every, fits = rich
    assert len(fits) == 3
    poor = found(3, 20, known=False)
    better = marked_anew({**every, 7: poor}, fits)
    assert list(better) == [7]
    table = better[7].table
    assert table["zonal"].mean() > 0.9
    ours = table.loc[table["zonal"], ["h", "k"]].to_numpy(float)
    true = zone(3, 20)[1][table["zonal"].to_numpy()]
    change = np.linalg.lstsq(true, ours, rcond=None)[0]
    assert true @ np.rint(change) == pytest.approx(ours)
    assert abs(np.linalg.det(change)) == pytest.approx(1)
    assert not poor.table["zonal"].any()  # what was given is as it was


def test_a_beam_that_wanders_tells_nothing(
    rich: tuple[dict[int, Found], dict[int, NetFit]],
) -> None:
    _, fits = rich
    poor = {7: found(3, 20, known=False)}
    away = {n: replace(fit, origin=fit.origin + 9.0 * n) for n, fit in fits.items()}
    assert marked_anew(poor, away) == {}
    assert marked_anew(poor, dict(list(fits.items())[:2])) == {}
