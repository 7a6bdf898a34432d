"""Classify a stack of patterns, batch by batch."""

from __future__ import annotations

import os
from collections.abc import Collection, Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.learning.classes import UNREADABLE
from napari_diffraction.learning.classifier import Classifier
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import Progress


@dataclass(frozen=True)
class BatchDone(Progress):
    """A batch of patterns is classified.

    Attributes
    ----------
    rows
        The rows of the table that are new.
    """

    rows: pd.DataFrame = field(default_factory=pd.DataFrame)


def choose_device(name: str = "auto") -> torch.device:
    """Find the device: the best one for ``auto``, else the one named.

    Raises
    ------
    InputError
        The device is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, ImportError) as error:
        raise InputError(
            f"The device '{name}' is not there: use 'cpu', or 'auto' for the best one present."
        ) from error
    return device


def classify(
    stack: PatternStack,
    classifier: Classifier,
    *,
    device: str = "auto",
    batch_size: int = 64,
    shares: Mapping[str, float] | None = None,
    skip: Collection[int] = (),
) -> Generator[BatchDone, None, pd.DataFrame]:
    """Classify the patterns of a stack.

    Frames are read, flattened and searched for spots by one thread per core while the network
    judges the batch before.

    Parameters
    ----------
    stack
        The patterns.
    classifier
        From `napari_diffraction.learning.registry.load_model`.
    device
        ``auto``, ``cpu``, ``cuda``, ``mps``.
    batch_size
        Patterns per step of progress.
    shares
        Expected shares of the classes; by default those of an ordinary serial experiment.
    skip
        Flat numbers of patterns that are done already.

    Yields
    ------
    BatchDone
        After each batch; closing the generator keeps what was yielded.  The first one has no rows
        where something must be compiled before.

    Returns
    -------
    DataFrame
        Columns ``index, source, label, confidence, p_<class>...`` (a scan adds ``row, column``).
        A pattern that cannot be read has the label ``Unreadable``, confidence 0 and no
        probabilities.

    Raises
    ------
    InputError
        The device is not there, or a setting makes no sense.
    """
    if batch_size < 1:
        raise InputError(f"A batch of {batch_size} patterns is too small: use 1 or more.")
    kind = classifier.kind
    shares = kind.shares if shares is None else shares
    classifier = classifier.to(choose_device(device))
    done_already = set(skip)
    todo = [i for i in range(len(stack)) if i not in done_already]
    batches = [todo[i : i + batch_size] for i in range(0, len(todo), batch_size)]
    if todo and not kind.is_ready():
        yield BatchDone(0, len(todo), "Compiling, which takes up to a minute once on each machine")
    look = kind.looker(stack) if todo else None
    tables: list[pd.DataFrame] = []
    done = 0
    with _pool() as pool:
        ahead = [_submit(pool, stack, look, batch) for batch in batches[:2]]
        for number, batch in enumerate(batches):
            seen = [future.result() for future in ahead.pop(0)]
            if number + 2 < len(batches):
                ahead.append(_submit(pool, stack, look, batches[number + 2]))
            rows = _rows(stack, batch, seen, classifier, shares)
            tables.append(rows)
            done += len(batch)
            yield BatchDone(done, len(todo), "Classifying patterns", rows)
    if not tables:
        return _rows(stack, [], [], classifier, shares)
    return pd.concat(tables, ignore_index=True)


@contextmanager
def _pool() -> Iterator[ThreadPoolExecutor]:
    """A thread per core, whose waiting work is dropped when the caller stops early."""
    pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="view")
    # The cores are busy with the frames to come: more threads for the network only fight them.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(threads)


def _submit(
    pool: ThreadPoolExecutor, stack: PatternStack, look: Any, batch: list[int]
) -> list[Future[Any]]:
    return [pool.submit(_look, stack, look, index) for index in batch]


def _look(stack: PatternStack, look: Any, index: int) -> Any:
    """What the network needs of a pattern; None where it cannot be read."""
    try:
        frame = stack.frame(index)
    except InputError:
        return None
    return look(frame)


def _rows(
    stack: PatternStack,
    batch: list[int],
    seen: list[Any],
    classifier: Classifier,
    shares: Mapping[str, float] | None,
) -> pd.DataFrame:
    """Make the rows of a batch."""
    classes = classifier.card.classes
    p: NDArray[np.float64] = np.full((len(batch), len(classes)), np.nan)
    good = [i for i, one in enumerate(seen) if one is not None]
    if good:
        p[good] = classifier.probabilities([one for one in seen if one is not None], shares)
    label = np.full(len(batch), UNREADABLE, dtype=object)
    confidence = np.zeros(len(batch))
    label[good] = np.array(classes, dtype=object)[p[good].argmax(axis=1)] if good else []
    confidence[good] = p[good].max(axis=1) if good else []
    rows = pd.DataFrame(
        {
            "index": batch,
            "source": [stack.source(i) for i in batch],
            "label": label,
            "confidence": confidence,
        }
    )
    for column, name in enumerate(classes):
        rows[f"p_{name}"] = p[:, column]
    if stack.is_scan:
        rows["row"], rows["column"] = np.divmod(np.array(batch, dtype=int), stack.data.shape[1])
    return rows
