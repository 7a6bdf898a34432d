"""Classify a stack of patterns, batch by batch."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.learning.classes import called
from napari_diffraction.learning.classifier import Classifier
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import Progress

Floats = NDArray[np.float64]

_CORES = os.cpu_count() or 1


@dataclass(frozen=True)
class BatchDone(Progress):
    """A batch of patterns is classified.

    Attributes
    ----------
    rows
        The rows of the table that are new.
    note
        What was found out about the whole stack, such as its pattern centre.
    """

    rows: pd.DataFrame = field(default_factory=pd.DataFrame)
    note: str = ""


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

    One thread per core reads and prepares frames while the network judges the batch before; small
    frames that need little preparation are read and judged a whole batch a thread.

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
    if todo and kind.complete is not None:
        told = stack
        stack = kind.complete(stack, classifier)
        if stack is not told:
            yield BatchDone(0, len(todo), stack.notes[-1], note=stack.notes[-1])
    look = kind.looker(stack) if todo else None
    judge = _Judge(stack, classifier, look, shares)
    tables: list[pd.DataFrame] = []
    done = 0
    with _pool() as pool:
        ahead = deque(judge.submit(pool, batch) for batch in batches[: judge.ahead])
        for number, batch in enumerate(batches):
            finish_batch = ahead.popleft()
            if number + judge.ahead < len(batches):
                ahead.append(judge.submit(pool, batches[number + judge.ahead]))
            rows = _rows(stack, batch, finish_batch(), classifier.card.classes)
            tables.append(rows)
            done += len(batch)
            yield BatchDone(done, len(todo), "Classifying patterns", rows)
    if not tables:
        return _rows(stack, [], judge.probabilities([]), classifier.card.classes)
    return pd.concat(tables, ignore_index=True)


@contextmanager
def _pool() -> Iterator[ThreadPoolExecutor]:
    """A thread per core, whose waiting work is dropped when the caller stops early."""
    # The cores are busy with the frames to come: more threads for the network only fight them.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    pool = ThreadPoolExecutor(_CORES, "view", torch.set_num_threads, (1,))
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(threads)


class _Judge:
    """Has batches looked at and judged, ahead of the one that is asked for."""

    def __init__(
        self,
        stack: PatternStack,
        classifier: Classifier,
        look: Any,
        shares: Mapping[str, float] | None,
    ) -> None:
        self.stack, self.classifier, self.look, self.shares = stack, classifier, look, shares
        self.in_blocks = classifier.kind.in_blocks
        self.ahead = _CORES + 1 if self.in_blocks else 2
        # Patterns that are stored together are read together: two threads at two places of a file
        # would unpack everything many times.
        self._reading = threading.Lock()

    def submit(self, pool: ThreadPoolExecutor, batch: list[int]) -> Callable[[], Floats]:
        """Begin with a batch; return what waits for its probabilities."""
        if self.in_blocks:
            return pool.submit(self._block, batch).result
        views = [pool.submit(self._view, index) for index in batch]
        return lambda: self.probabilities([view.result() for view in views])

    def _block(self, batch: list[int]) -> Floats:
        with self._reading:
            frames = self.stack.frames(batch)
        return self.probabilities([None if one is None else self.look(one) for one in frames])

    def _view(self, index: int) -> Any:
        """What the network needs of a pattern; None where it cannot be read."""
        try:
            frame = self.stack.frame(index)
        except InputError:
            return None
        return self.look(frame)

    def probabilities(self, seen: list[Any]) -> Floats:
        """Judge what was seen, (n, n_classes); NaN where nothing could be read."""
        p = np.full((len(seen), len(self.classifier.card.classes)), np.nan)
        good = [i for i, one in enumerate(seen) if one is not None]
        if good:
            p[good] = self.classifier.probabilities([seen[i] for i in good], self.shares)
        return p


def _rows(
    stack: PatternStack, batch: list[int], p: Floats, classes: tuple[str, ...]
) -> pd.DataFrame:
    """Make the rows of a batch."""
    label, confidence = called(p, classes)
    columns = {
        "index": batch,
        "source": [stack.source(i) for i in batch],
        "label": label,
        "confidence": confidence,
    } | {f"p_{name}": p[:, number] for number, name in enumerate(classes)}
    if stack.is_scan:
        columns["row"], columns["column"] = np.divmod(
            np.array(batch, dtype=int), stack.data.shape[1]
        )
    return pd.DataFrame(columns)
