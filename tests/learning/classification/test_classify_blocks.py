"""Scans of small patterns, which are read and judged a whole batch at a time."""

from __future__ import annotations

import threading

import dask.array as da
import numpy as np
import pytest
import torch

from napari_diffraction.errors import InputError
from napari_diffraction.learning.bravais.data import BRAVAIS_CLASSES
from napari_diffraction.learning.classes import UNREADABLE
from napari_diffraction.learning.classification.inference import classify
from napari_diffraction.learning.model_card import ModelCard
from napari_diffraction.learning.models.classifier import Classifier
from napari_diffraction.learning.networks import band_view, bravais_view
from napari_diffraction.learning.networks.band_network import BandNetwork
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack
from napari_diffraction.progress import finish

RNG = np.random.default_rng(5)
FRAMES = RNG.integers(0, 255, (3, 4, 40, 48)).astype(np.uint8)
P = [f"p_{name}" for name in BRAVAIS_CLASSES]
GEOMETRY = KikuchiGeometry(pc=(0.5, 0.3, 0.6))


@pytest.fixture(scope="module")
def small() -> Classifier:
    torch.manual_seed(1)
    options = {"width": 16, "depth": 1, "heads": 2}
    card = ModelCard(
        name="small",
        title="",
        summary="",
        network="bands",
        classes=BRAVAIS_CLASSES,
        options=options,
        scale=1.0,
        bias=(0.0,) * len(BRAVAIS_CLASSES),
        shares=dict.fromkeys(BRAVAIS_CLASSES, 1 / len(BRAVAIS_CLASSES)),
        recipe={},
        preprocessing=band_view.PREPROCESSING,
    )
    return Classifier(card, BandNetwork(len(BRAVAIS_CLASSES), **options).eval())


def test_a_scan_is_judged_as_pattern_by_pattern(small: Classifier) -> None:
    stack = PatternStack(da.from_array(FRAMES, chunks=(2, 3, -1, -1)), "scan", geometry=GEOMETRY)
    table = finish(classify(stack, small, device="cpu", batch_size=5))
    look = band_view.looker(stack)
    single = [small.probabilities([look(frame)])[0] for frame in FRAMES.reshape(-1, 40, 48)]
    np.testing.assert_allclose(table[P], single, atol=1e-2)
    assert table["row"].tolist() == np.repeat(range(3), 4).tolist()
    assert table["index"].tolist() == list(range(12))
    part = finish(classify(stack, small, device="cpu", batch_size=3, skip={0, 5, 6}))
    assert part["index"].tolist() == [1, 2, 3, 4, 7, 8, 9, 10, 11]
    np.testing.assert_allclose(part[P], table.loc[part["index"], P], atol=1e-2)


def test_a_pattern_that_cannot_be_read_does_not_take_its_batch_along(small: Classifier) -> None:
    def read(index: int) -> np.ndarray:
        if index == 2:
            raise InputError("It is damaged.")
        return FRAMES.reshape(-1, 40, 48)[index]

    stack = PatternStack(da.from_array(FRAMES), "scan", read=read, geometry=GEOMETRY)
    table = finish(classify(stack, small, device="cpu", batch_size=4))
    assert table.index[table["label"] == UNREADABLE].tolist() == [2]
    assert table.loc[2, P].isna().all()
    assert table.drop(index=2)[P].notna().all(axis=None)


def test_batches_are_read_one_after_the_other(small: Classifier) -> None:
    order: list[int] = []
    flat = FRAMES.reshape(-1, 40, 48)

    def read(index: int) -> np.ndarray:
        if threading.current_thread().name.startswith("view"):
            order.append(index)
        return flat[index]

    stack = PatternStack(da.from_array(FRAMES), "scan", read=read, geometry=GEOMETRY)
    finish(classify(stack, small, batch_size=3))
    assert order == list(range(12))


@pytest.mark.parametrize("gap", [False, True])
def test_one_mask_for_all_frames_is_as_a_mask_for_each(gap: bool) -> None:
    frames = torch.from_numpy(FRAMES.reshape(-1, 40, 48)[:3].astype(np.float32))
    if gap:
        frames[1, 4:9, 10:20] = torch.nan
    lit = torch.ones(40, 48)
    lit[:6, :8] = 0
    shared = bravais_view.standardise(frames, lit)
    each = bravais_view.standardise(frames, lit.expand_as(frames))
    np.testing.assert_allclose(shared, each, atol=2e-4)
    assert (shared[1, 1] == 0).sum() > (shared[0, 1] == 0).sum() or not gap


def test_frames_are_read_as_one_by_one() -> None:
    stack = PatternStack(da.from_array(FRAMES, chunks=(1, 3, 40, 48)), "scan")
    for wanted in ([], [7], [3, 4, 5, 6], [0, 2, 11]):
        got = stack.frames(wanted)
        assert len(got) == len(wanted)
        for index, frame in zip(wanted, got, strict=True):
            np.testing.assert_array_equal(frame, stack.frame(index))
