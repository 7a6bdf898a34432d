"""Patterns of one crystal found together: boundaries, twins, lists, noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_diffraction.crystal.orientation import (
    detector_to_crystal,
    detector_to_sample,
    euler_angles,
)
from napari_diffraction.patterns.kikuchi.grains.averages import Grains, find_grains
from napari_diffraction.patterns.kikuchi.preparation import prepare
from napari_diffraction.patterns.kikuchi.reading import blocks, chosen
from napari_diffraction.progress import finish

ANGLES = np.array([[12.0, 40.0, 25.0], [80.0, 20.0, 61.0], [200.0, 55.0, 10.0]])


def frames_of(clean: np.ndarray, noise: float, seed: int = 0) -> np.ndarray:
    """Patterns with noise, in parts of the deviation of the bands, on a bright ground."""
    rng = np.random.default_rng(seed)
    return 1000 + 100 * (clean + noise * rng.normal(size=clean.shape))


def grains_of(stack, **options) -> Grains:
    return finish(find_grains(stack, prepare(stack), **options))


def test_mixed_patterns_of_a_boundary_chain_nothing(
    clean_patterns: Callable, make_stack: Callable
) -> None:
    """Two grains with a boundary that fades from one to the other over five columns."""
    one, other = clean_patterns(ANGLES[:2])
    share = np.clip((np.arange(16) - 5) / 5, 0, 1)
    row = (1 - share)[:, None, None] * one + share[:, None, None] * other
    frames = frames_of(np.tile(row, (12, 1, 1)), 0.7)
    found = grains_of(make_stack(frames, (12, 16)))
    label = found.label.reshape(12, 16)
    assert len(found) == 2
    left, right = label[0, 0], label[0, 15]
    assert left != right
    assert (label[:, :6] == left).all()
    assert (label[:, 11:] == right).all()
    # averages are of one crystal each
    for picture, clean in ((found.average[left], one), (found.average[right], other)):
        assert np.corrcoef(picture.ravel(), clean.ravel())[0, 1] > 0.8
    both = np.corrcoef(found.average[left].ravel(), found.average[right].ravel())[0, 1]
    assert both < 0.5


def test_on_the_other_side_of_a_twin_is_the_same_crystal(
    clean_patterns: Callable, make_stack: Callable
) -> None:
    """An annealing twin lies as a lamella in a grain; matrix on both sides is one group."""
    angles = ANGLES[:1]
    matrix = detector_to_crystal(angles)[0]
    twin = Rotation.from_rotvec(np.radians(60) * np.ones(3) / np.sqrt(3)).as_matrix() @ matrix
    twin_angles = euler_angles(twin @ detector_to_sample().T)
    patterns = clean_patterns(np.stack([angles[0], twin_angles]))
    kind = np.zeros((10, 15), int)
    kind[:, 6:9] = 1
    found = grains_of(make_stack(frames_of(patterns[kind.ravel()], 0.7), (10, 15)))
    label = found.label.reshape(10, 15)
    assert len(found) == 2
    assert len(set(label[kind == 0].tolist())) == 1
    assert len(set(label[kind == 1].tolist())) == 1
    assert found.size.tolist() == [120, 30]
    assert label[0, 0] == 0


def test_sizes_members_and_labels_agree(clean_patterns: Callable, make_stack: Callable) -> None:
    patterns = clean_patterns(ANGLES)
    kind = np.repeat([0, 1, 2], [80, 40, 24])
    steps = []
    stack = make_stack(frames_of(patterns[kind], 0.8), (12, 12))
    found = finish(find_grains(stack, prepare(stack)), steps.append)
    assert found.size.tolist() == [80, 40, 24]
    assert [(found.label == k).sum() for k in range(3)] == [80, 40, 24]
    for k, members in enumerate(found.members):
        assert (found.label[members] == k).all()
        assert (np.diff(members) > 0).all()
    assert (found.alike[found.label >= 0] > 0).all()
    assert (found.contrast > 0).all()
    assert {step.message for step in steps} == {"Looking for grains", "Averaging grains"}
    assert all(0 <= step.done <= step.total for step in steps)
    assert len(grains_of(stack, keep=2)) == 2


def test_a_list_of_one_crystal_each_keeps_every_pattern(
    clean_patterns: Callable, make_stack: Callable
) -> None:
    rng = np.random.default_rng(3)
    angles = np.column_stack([rng.uniform(0, 360, 9), rng.uniform(5, 85, 9), rng.uniform(0, 90, 9)])
    found = grains_of(make_stack(frames_of(clean_patterns(angles), 0.5), (9,)))
    assert len(found) == 9
    assert sorted(found.label.tolist()) == list(range(9))


def test_a_list_of_few_crystals_is_gathered(clean_patterns: Callable, make_stack: Callable) -> None:
    patterns = clean_patterns(ANGLES)
    kind = np.random.default_rng(4).permutation(np.repeat([0, 1, 2], 15))
    found = grains_of(make_stack(frames_of(patterns[kind], 0.7), (45,)))
    assert len(found) == 3
    for k in range(3):
        assert len(set(found.label[kind == k].tolist())) == 1


@pytest.mark.parametrize("shape", [(1, 45), (45, 1)])
def test_a_single_line_is_gathered(
    clean_patterns: Callable, make_stack: Callable, shape: tuple[int, int]
) -> None:
    """There a pattern has two neighbours at most."""
    kind = np.repeat([0, 1, 2], 15)
    found = grains_of(make_stack(frames_of(clean_patterns(ANGLES)[kind], 0.7), shape))
    assert len(found) == 3
    for k in range(3):
        assert len(set(found.label[kind == k].tolist())) == 1


def test_noise_is_no_grain(clean_patterns: Callable, make_stack: Callable) -> None:
    rng = np.random.default_rng(5)
    noise = 1000 + 100 * rng.normal(size=(100, 60, 60))
    found = grains_of(make_stack(noise, (10, 10)))
    assert len(found) == 0
    assert (found.label == -1).all()
    assert found.average.shape[0] == 0
    assert not found.alike.any()
    # a hole in a grain stays a hole
    frames = frames_of(np.repeat(clean_patterns(ANGLES[:1]), 100, axis=0), 0.7)
    frames[44:47] = noise[:3]
    label = grains_of(make_stack(frames, (10, 10))).label
    assert (label[44:47] == -1).all()
    assert (np.delete(label, [44, 45, 46]) == 0).all()


@pytest.mark.parametrize("shape", [(6, 10), (60,)])
def test_a_stack_is_read_in_order_and_once(make_stack: Callable, shape: tuple[int, ...]) -> None:
    images = np.arange(60)[:, None, None] * np.ones((1, 8, 8))
    stack = make_stack(images, shape)
    seen = []
    for part, frames, readable in blocks(stack):
        assert len(frames) == part.stop - part.start == len(readable)
        assert readable.all()
        seen += frames[:, 0, 0].tolist()
    assert seen == list(range(60))
    wanted = np.array([2, 3, 17, 41, 59])
    got = np.concatenate([frames[:, 0, 0] for _, frames in chosen(stack, wanted)])
    assert got.tolist() == wanted.tolist()


def test_patterns_that_cannot_be_read_are_told(make_stack: Callable) -> None:
    from dataclasses import replace

    from napari_diffraction.errors import InputError

    images = np.ones((12, 8, 8))

    def read(index: int) -> np.ndarray:
        if index == 5:
            raise InputError("damaged")
        return images[index]

    stack = replace(make_stack(images, (3, 4)), read=read)
    readable = np.concatenate([known for _, _, known in blocks(stack)])
    assert np.flatnonzero(~readable).tolist() == [5]
    frames = np.concatenate([some for _, some, _ in blocks(stack)])
    assert not frames[5].any()
    assert frames[4].all()
