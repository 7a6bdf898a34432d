from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import dask.array as da
import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from napari_diffraction.errors import InputError
from napari_diffraction.learning.classes import NATURAL_SHARES, NO_HIT, UNREADABLE, ZONE_CLASSES
from napari_diffraction.learning.classification.batches import BatchDone
from napari_diffraction.learning.classification.inference import classify
from napari_diffraction.learning.models.classifier import Classifier
from napari_diffraction.learning.models.device import choose_device
from napari_diffraction.learning.networks.zone_view import view
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import finish

COLUMNS = ["index", "source", "label", "confidence", *(f"p_{name}" for name in ZONE_CLASSES)]
P = COLUMNS[4:]
FRAMES = np.random.default_rng(0).poisson(5, (7, 64, 72)).astype(np.uint16)
for _i, _frame in enumerate(FRAMES):
    _frame[8 + _i :: 9, 5 + _i :: 11] += 60


def stack_of(frames: np.ndarray, **options: object) -> PatternStack:
    return PatternStack(
        da.from_array(frames, chunks=(1,) * (frames.ndim - 2) + (-1, -1)), "test", **options
    )


@pytest.fixture
def stack() -> PatternStack:
    return stack_of(FRAMES, sources=tuple(f"p{i}.tif" for i in range(7)))


def table_of(stack: PatternStack, classifier: Classifier, **options: object) -> pd.DataFrame:
    return finish(classify(stack, classifier, device="cpu", **options))


def running() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("view")]


def test_the_table_has_a_row_a_pattern(stack: PatternStack, untrained: Classifier) -> None:
    table = table_of(stack, untrained)
    assert list(table.columns) == COLUMNS
    assert table["index"].tolist() == list(range(7))
    assert table["source"].tolist() == list(stack.sources)
    p = table[P].to_numpy()
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_array_equal(table["confidence"], p.max(axis=1))
    np.testing.assert_array_equal(table["label"], np.array(ZONE_CLASSES)[p.argmax(axis=1)])
    expected = untrained.probabilities([view(frame) for frame in FRAMES], NATURAL_SHARES)
    np.testing.assert_allclose(p, expected, atol=1e-5)


def test_batches_hold_the_rows_of_the_table(stack: PatternStack, untrained: Classifier) -> None:
    steps: list[BatchDone] = []
    table = finish(classify(stack, untrained, device="cpu", batch_size=3), steps.append)
    assert [(step.done, step.total) for step in steps] == [(3, 7), (6, 7), (7, 7)]
    pd.testing.assert_frame_equal(
        pd.concat([step.rows for step in steps], ignore_index=True), table
    )


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_the_size_of_a_batch_does_not_matter(
    stack: PatternStack, untrained: Classifier, batch_size: int
) -> None:
    pd.testing.assert_frame_equal(
        table_of(stack, untrained, batch_size=batch_size),
        table_of(stack, untrained, batch_size=4),
        atol=1e-5,
    )


def test_patterns_that_are_done_are_skipped(stack: PatternStack, untrained: Classifier) -> None:
    whole = table_of(stack, untrained)
    part = table_of(stack, untrained, batch_size=2, skip={0, 3, 6, 99})
    pd.testing.assert_frame_equal(part, whole.iloc[[1, 2, 4, 5]].reset_index(drop=True), atol=1e-5)
    nothing = table_of(stack, untrained, skip=range(7))
    assert list(nothing.columns) == COLUMNS
    assert len(nothing) == 0


def test_a_scan_has_rows_and_columns(untrained: Classifier) -> None:
    stack = stack_of(FRAMES[:6].reshape(2, 3, 64, 72))
    table = table_of(stack, untrained, batch_size=4)
    assert list(table.columns) == [*COLUMNS, "row", "column"]
    assert table["row"].tolist() == [0, 0, 0, 1, 1, 1]
    assert table["column"].tolist() == [0, 1, 2, 0, 1, 2]
    assert list(table_of(stack, untrained, skip=range(6)).columns) == list(table.columns)


def test_an_unreadable_pattern_has_a_row_and_the_rest_is_done(
    stack: PatternStack, untrained: Classifier
) -> None:
    def read(index: int) -> np.ndarray:
        if index in (2, 3):
            raise InputError("p2.tif is damaged.")
        return FRAMES[index]

    broken = stack_of(FRAMES, sources=stack.sources, read=read)
    table = table_of(broken, untrained, batch_size=1)
    assert table["label"].tolist()[2:4] == [UNREADABLE, UNREADABLE]
    assert table["confidence"].tolist()[2:4] == [0, 0]
    assert table.loc[[2, 3], P].isna().all(axis=None)
    rest = [0, 1, 4, 5, 6]
    pd.testing.assert_frame_equal(
        table.iloc[rest], table_of(stack, untrained).iloc[rest], atol=1e-5
    )


def test_frames_that_show_nothing_have_a_class(untrained: Classifier) -> None:
    frames = np.zeros((5, 64, 72), np.float32)
    frames[1] = np.nan
    frames[2] = 65535
    frames[3] = np.inf
    frames[4, 10:20] = np.nan
    table = table_of(stack_of(frames), untrained)
    assert len(table) == 5
    assert np.isfinite(table[P].to_numpy()).all()
    assert table["label"].tolist() == [NO_HIT] * 5
    assert (table["confidence"] == 1).all()


def test_frames_that_show_nothing_are_left_to_a_model_without_a_class_for_it(
    untrained: Classifier,
) -> None:
    names = ("A", "B", "C", "D")
    card = replace(untrained.card, classes=names, shares=dict.fromkeys(names, 0.25))
    table = table_of(
        stack_of(np.zeros((2, 64, 72), np.float32)),
        replace(untrained, card=card),
        shares=card.shares,
    )
    assert table["label"].isin(names).all()
    assert (table["confidence"] < 1).all()


def test_what_was_yielded_is_kept_and_the_threads_stop(
    stack: PatternStack, untrained: Classifier
) -> None:
    threads = torch.get_num_threads()
    work = classify(stack, untrained, device="cpu", batch_size=2)
    first = next(step for step in work if len(step.rows))
    assert running()
    work.close()
    assert running() == []
    assert torch.get_num_threads() == threads
    assert first.rows["index"].tolist() == [0, 1]


def test_the_threads_stop_when_reading_crashes(untrained: Classifier) -> None:
    def read(index: int) -> np.ndarray:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        table_of(stack_of(FRAMES, read=read), untrained)
    assert running() == []


def test_little_is_read_ahead(untrained: Classifier) -> None:
    read: list[int] = []

    def note(index: int) -> np.ndarray:
        read.append(index)
        return FRAMES[index % 7]

    stack = stack_of(np.broadcast_to(FRAMES[:1], (50, 64, 72)), read=note)
    work = classify(stack, untrained, device="cpu", batch_size=2)
    next(work)
    work.close()
    assert len(read) <= 6


def test_a_file_is_opened_for_eight_patterns_at_once(
    tmp_path: Path, untrained: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = np.concatenate([FRAMES, FRAMES[::-1], FRAMES])
    with h5py.File(tmp_path / "many.h5", "w") as new:
        new.create_dataset("data", data=frames, chunks=(1, 64, 72))
    stack, opened = open_stack(tmp_path / "many.h5"), []
    monkeypatch.setattr(h5py, "File", lambda *a, _=h5py.File, **k: opened.append(a) or _(*a, **k))
    table = table_of(stack, untrained)
    assert 0 < len(opened) <= 3
    expected = untrained.probabilities([view(frame) for frame in frames], NATURAL_SHARES)
    np.testing.assert_allclose(table[P].to_numpy(), expected, atol=1e-5)


def test_shares_shift_the_probabilities(stack: PatternStack, untrained: Classifier) -> None:
    rare = table_of(stack, untrained)
    even = table_of(stack, untrained, shares=dict.fromkeys(ZONE_CLASSES, 1.0))
    assert (even["p_2DZone"] > rare["p_2DZone"]).all()
    with pytest.raises(InputError, match="lack"):
        table_of(stack, untrained, shares={"2DZone": 1.0})


@pytest.mark.parametrize("name", ["warp", "", "meta", "hpu", "mtia", "xla", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"'{name}' is not there"):
        choose_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_is_not_there_is_refused_before_anything_is_read(
    untrained: Classifier,
) -> None:
    def read(index: int) -> np.ndarray:
        raise AssertionError("read")

    with pytest.raises(InputError, match="use 'cpu'"):
        finish(classify(stack_of(FRAMES, read=read), untrained, device="cuda"))
    assert running() == []
    assert choose_device("auto").type in ("cpu", "mps")


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_of_nothing_is_refused(
    stack: PatternStack, untrained: Classifier, batch_size: int
) -> None:
    with pytest.raises(InputError, match="too small"):
        table_of(stack, untrained, batch_size=batch_size)


def test_a_folder_with_a_damaged_picture_is_classified(
    tmp_path: Path, untrained: Classifier
) -> None:
    from PIL import Image

    from napari_diffraction.patterns.readers import open_stack

    for i in range(3):
        Image.fromarray(FRAMES[i].astype(np.uint8)).save(tmp_path / f"{i}.png")
    damaged = tmp_path / "1.png"
    damaged.write_bytes(damaged.read_bytes()[:60])
    table = table_of(open_stack(tmp_path), untrained)
    assert (table["label"] == UNREADABLE).tolist() == [False, True, False]
    assert table.loc[1, "source"] == str(damaged)
