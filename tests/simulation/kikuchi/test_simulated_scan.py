"""The sample scan: what its truth says is what its patterns show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.progress import finish
from napari_diffraction.simulation.files import load_labels
from napari_diffraction.simulation.kikuchi.scan import SimulatedScan, rutilated_quartz, save_scan


@pytest.fixture(scope="module")
def scan() -> SimulatedScan:
    return finish(rutilated_quartz(seed=1, shape=(16, 20), size=40))


def test_every_point_has_a_pattern_and_a_truth(scan: SimulatedScan) -> None:
    assert scan.images.shape == (16, 20, 40, 40)
    assert scan.images.dtype == np.uint8
    truth = scan.truth
    assert len(truth) == len(scan) == 320
    assert set(truth["phase"]) == {"quartz", "rutile", "NoPattern"}
    assert list(truth["row"] * 20 + truth["column"]) == list(truth["index"])
    assert truth["purity"].between(0.4, 1).all()
    assert truth.loc[truth["purity"] < 1, "boundary"].all()
    assert truth.groupby("grain")["phase"].nunique().max() == 1


def _sharp(frames: np.ndarray) -> np.ndarray:
    """What is left of patterns without the camera's background, of unit length."""
    flat = frames.reshape(len(frames), -1).astype(float)
    flat = flat / flat.mean(axis=1, keepdims=True)
    flat = flat - flat.mean(axis=0)
    return flat / np.linalg.norm(flat, axis=1, keepdims=True)


def test_points_of_one_grain_look_alike_and_those_of_others_do_not(scan: SimulatedScan) -> None:
    truth = scan.truth
    inside = truth[~truth["boundary"] & (truth["grain"] >= 0)]
    look = _sharp(scan.images.reshape(-1, 40, 40)[inside["index"]])
    grain = inside["grain"].to_numpy()
    alike = look @ look.T
    same = (grain[:, None] == grain) & ~np.eye(len(grain), dtype=bool)
    assert alike[same].mean() > 0.1 + alike[~same & ~np.eye(len(grain), dtype=bool)].mean()


def test_the_same_seed_gives_the_same_scan(scan: SimulatedScan) -> None:
    again = finish(rutilated_quartz(seed=1, shape=(16, 20), size=40))
    np.testing.assert_array_equal(again.images, scan.images)
    other = finish(rutilated_quartz(seed=2, shape=(16, 20), size=40))
    assert not np.array_equal(other.truth["grain"], scan.truth["grain"])


def test_the_centre_moves_little_and_its_mean_is_that_of_the_scan(scan: SimulatedScan) -> None:
    centres = scan.geometry.pc_map
    assert centres is not None
    np.testing.assert_allclose(centres.mean(axis=(0, 1)), scan.geometry.pc)
    assert 0 < np.ptp(centres[..., 0]) < 0.01
    assert centres[0, 0, 1] < centres[-1, 0, 1]  # further down the slope: lower on the screen


def test_a_saved_scan_is_read_as_a_scan(scan: SimulatedScan, tmp_path: Path) -> None:
    path = save_scan(scan, tmp_path / "scan.h5")
    stack = open_stack(path)
    assert stack.is_scan
    assert stack.geometry.numbers() == scan.geometry.numbers()
    assert stack.step == scan.step
    np.testing.assert_array_equal(stack.geometry.pc_map, scan.geometry.pc_map)
    np.testing.assert_array_equal(stack.frame(33), scan.images[1, 13])
    labels = load_labels(path)
    assert labels is not None
    assert list(labels["phase"]) == list(scan.truth["phase"])
