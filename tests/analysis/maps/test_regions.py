import importlib.util
from dataclasses import replace
from pathlib import Path

import dask.array as da
import numpy as np
import pytest

from napari_diffraction.analysis.maps.phase_map import NOT_INDEXED
from napari_diffraction.analysis.maps.regions import (
    find_regions,
    small_pictures,
    vote,
    vote_by_regions,
)
from napari_diffraction.errors import InputError
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import finish


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def grains(shape, noise, rng, d=200):
    """Three grains side by side, with a boundary column that is the mean of its neighbours."""
    crystal = unit(rng.normal(size=(3, d)))
    columns = np.repeat(np.arange(3), 4)
    clean = np.broadcast_to(crystal[columns], (shape[0], 12, d)).copy()
    clean[:, 4] = (crystal[0] + crystal[1]) / np.sqrt(2)
    return unit(clean + noise * unit(rng.normal(size=clean.shape))).reshape(-1, d), columns


@pytest.mark.parametrize("noise", [0.0, 0.5, 1.2])
def test_grains_are_found_and_boundaries_do_not_bridge_them(noise):
    pictures, columns = grains((9, 12), noise, np.random.default_rng(4))
    regions = find_regions(pictures, (9, 12)).reshape(9, 12)
    inside = [c for c in range(12) if c != 4]
    for grain in range(3):
        found = regions[:, [c for c in inside if columns[c] == grain]]
        share = np.bincount(found.ravel()).max() / found.size
        assert share > 0.9, f"grain {grain} is in pieces"
    middles = [np.bincount(regions[:, c]).argmax() for c in (1, 6, 10)]
    assert len(set(middles)) == 3
    assert regions[0, 0] == 0


def test_grains_are_parted_where_all_patterns_share_the_response_of_the_camera():
    rng = np.random.default_rng(8)
    camera, first, second = unit(rng.normal(size=(3, 300)))
    clean = np.where((np.arange(12) < 5)[:, None], 1.5 * camera + first, 1.5 * camera + second)
    pictures = unit(clean + 0.3 * unit(rng.normal(size=(8, 12, 300)))).reshape(96, 300)
    assert pictures[0] @ pictures[11] > 0.5
    regions = find_regions(pictures, (8, 12)).reshape(8, 12)
    assert (regions == (np.arange(12) >= 5)).all()


def test_a_single_crystal_is_one_region_and_noise_is_none():
    rng = np.random.default_rng(5)
    crystal = unit(rng.normal(size=300))
    one = unit(crystal + 0.8 * unit(rng.normal(size=(60, 300))))
    assert len(np.unique(find_regions(one, (6, 10)))) == 1
    noise = unit(rng.normal(size=(60, 300)))
    assert len(np.unique(find_regions(noise, (6, 10)))) > 40
    empty = np.zeros((60, 300), np.float32)
    assert len(np.unique(find_regions(empty, (6, 10)))) == 60
    assert find_regions(one[:1], (1, 1)).tolist() == [0]


def test_a_region_votes_and_the_single_patterns_are_kept(make_map, truth):
    names = truth.copy()
    names[2, 2] = "tI"  # one odd pattern in the grain
    made = make_map(names=names)
    regions = (truth == "hP").astype(np.int32).ravel()
    voted = vote(made, regions)
    assert voted.label(2, 2) == "cF"
    assert made.label(2, 2) == "tI"
    assert voted.unvoted().label(2, 2) == "tI"
    assert voted.label(5, 7) == "hP"
    assert voted.probabilities.sum(axis=1) == pytest.approx(np.ones(48), abs=1e-5)
    # Voting once more begins with the single patterns again.
    assert np.array_equal(vote(voted, regions).probabilities, voted.probabilities)


def test_points_without_probabilities_neither_vote_nor_get_a_label(make_map):
    made = make_map()
    probabilities = made.probabilities.copy()
    probabilities[:8] = np.nan
    made = replace(made, probabilities=probabilities)
    voted = vote(made, np.zeros(48, np.int32))
    assert (voted.labels(0)[0] == 0).all()
    assert (voted.labels(0)[1:] > 0).all()
    assert voted.shares(1.0) == {NOT_INDEXED: 1.0}


def test_real_frames_are_compared_behind_a_mask(make_map, truth):
    rng = np.random.default_rng(6)
    yy, xx = np.mgrid[:48, :48]
    lit = np.hypot(yy - 23.5, xx - 23.5) < 23

    def pattern(angle):
        bands = sum(
            np.exp(-((((xx - 24) * np.cos(a) + (yy - 24) * np.sin(a) - s) / 3) ** 2))
            for a, s in ((angle, 4), (angle + 1.1, -6), (angle + 2.0, 1))
        )
        dome = np.exp(-((yy - 20) ** 2 + (xx - 26) ** 2) / 900)
        return 120 * dome + 25 * bands

    data = np.empty((*truth.shape, 48, 48), np.uint8)
    for (row, column), name in np.ndenumerate(truth):
        frame = pattern(0.3 if name == "hP" else 1.0) + rng.normal(0, 12, (48, 48))
        data[row, column] = np.where(lit, np.clip(frame, 0, 255), 0)
    unreadable = 9

    def read(index):
        if index == unreadable:
            raise InputError("damaged")
        return data.reshape(-1, 48, 48)[index]

    stack = PatternStack(da.from_array(data, chunks=(1, 8, 48, 48)), "masked", read=read)
    pictures = finish(small_pictures(stack))
    assert pictures.shape == (48, 576)
    assert not pictures[unreadable].any()
    voted = finish(vote_by_regions(make_map(), stack))
    regions = voted.regions.reshape(truth.shape)
    assert len(np.unique(regions[:, 5:])) == 1
    left = np.delete(regions[:, :5].ravel(), 1 * 5 + 1)
    assert len(np.unique(left)) == 1
    assert regions[0, 0] != regions[0, 7]


def test_the_two_grains_of_a_measured_nickel_scan_are_found():
    spec = importlib.util.find_spec("kikuchipy")
    if spec is None:
        pytest.skip("kikuchipy, which ships the scan, is not installed")
    path = Path(spec.origin).parent / "data" / "kikuchipy_h5ebsd" / "patterns.h5"
    stack = open_stack(path, dataset="Scan 1/EBSD/Data/patterns")
    regions = find_regions(finish(small_pictures(stack)), (3, 3))
    assert regions.tolist() == [0, 1, 1] * 3
