"""Classify a stack of patterns, batch by batch."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.learning.classes import called, of_nothing
from napari_diffraction.learning.classification.batches import BatchDone, completed
from napari_diffraction.learning.models.classifier import Classifier
from napari_diffraction.learning.models.device import choose_device
from napari_diffraction.learning.networks.one_thread import one_thread
from napari_diffraction.patterns.blank import are_blank
from napari_diffraction.patterns.elsewhere import StackElsewhere
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import in_order

if TYPE_CHECKING:
    from napari_diffraction.workers import Workers

Floats = NDArray[np.float64]

_CORES = os.cpu_count() or 1
#: Frames that a thread reads in one go, which saves opening the file for each, and their bytes.
_TOGETHER, _TOGETHER_BYTES = 8, 2**24
#: What is seen of a frame that shows nothing, where the model has a class for it.
_NOTHING = object()


def classify(
    stack: PatternStack,
    classifier: Classifier,
    *,
    device: str = "auto",
    batch_size: int = 64,
    shares: Mapping[str, float] | None = None,
    skip: Collection[int] = (),
    workers: Workers | None = None,
) -> Generator[BatchDone, None, pd.DataFrame]:
    """Classify the patterns of a stack.

    One thread per core reads and prepares frames while the network judges the batch before; small
    frames that need little preparation are read and judged a whole batch a thread.

    Parameters
    ----------
    stack
        The patterns.
    classifier
        From `napari_diffraction.learning.models.registry.load_model`.
    device
        ``auto``, ``cpu``, ``cuda``, ``mps``.
    batch_size
        Patterns per step of progress.
    shares
        Expected shares of the classes; by default those of an ordinary serial experiment.
    skip
        Flat numbers of patterns that are done already.
    workers
        Other processes that read and judge the patterns.

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
        The device is not there, a setting makes no sense, or workers cannot open the patterns.
    """
    if batch_size < 1:
        raise InputError(f"A batch of {batch_size} patterns is too small: use 1 or more.")
    kind = classifier.kind
    shares = kind.shares if shares is None else shares
    classifier = classifier.to(choose_device(device))
    todo = np.setdiff1d(np.arange(len(stack)), np.fromiter(skip, np.int64, len(skip)))
    places = range(0, len(todo), batch_size)
    if not len(todo):
        return _rows(stack, [], _none_of(classifier, 0), classifier.card.classes)
    if not kind.is_ready():
        yield BatchDone(0, len(todo), "Compiling, which takes up to a minute once on each machine")
    stack = yield from completed(stack, classifier)
    found = _none_of(classifier, len(todo))
    batches = (todo[first : first + batch_size].tolist() for first in places)
    with _judging(stack, classifier, shares, workers) as (submit, ahead):
        for first, p in zip(places, in_order(submit, batches, ahead), strict=True):
            done = first + len(p)
            found[first:done] = p
            rows = _rows(stack, todo[first:done].tolist(), p, classifier.card.classes)
            yield BatchDone(done, len(todo), "Classifying patterns", rows)
    return _rows(stack, todo.tolist(), found, classifier.card.classes)


@contextmanager
def _judging(
    stack: PatternStack,
    classifier: Classifier,
    shares: Mapping[str, float] | None,
    workers: Workers | None,
) -> Iterator[tuple[Callable[[list[int]], Callable[[], Floats]], Callable[[], int]]]:
    """Return what begins with a batch, here or in workers, and how many are begun at a time."""
    if workers is not None:
        key = workers.share(_judge_elsewhere, StackElsewhere.of(stack), classifier, shares)
        yield (lambda batch: workers.submit(key, _Judge.block, batch)), workers.ahead
        return
    judge = _Judge(stack, classifier, shares)
    with _pool() as pool:
        ahead = _CORES + 2 if judge.in_blocks else 3
        yield (lambda batch: judge.submit(pool, batch)), (lambda: ahead)


def _judge_elsewhere(
    stack: StackElsewhere, classifier: Classifier, shares: Mapping[str, float] | None
) -> _Judge:
    """Make ready for judging in a worker, whose threads each judge a batch."""
    torch.set_num_threads(1)
    return _Judge(stack.open(), classifier, shares)


@contextmanager
def _pool() -> Iterator[ThreadPoolExecutor]:
    """A thread per core, whose waiting work is dropped when the caller stops early."""
    # The cores are busy with the frames to come: more threads for the network only fight them.
    with one_thread():
        pool = ThreadPoolExecutor(_CORES, "view", torch.set_num_threads, (1,))
        try:
            yield pool
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class _Judge:
    """Looks at patterns and judges them."""

    def __init__(
        self, stack: PatternStack, classifier: Classifier, shares: Mapping[str, float] | None
    ) -> None:
        self.stack, self.classifier, self.shares = stack, classifier, shares
        self.look = classifier.kind.looker(stack)
        self.of_nothing = of_nothing(classifier.card.classes)
        self.in_blocks = classifier.kind.in_blocks
        size = math.prod(stack.frame_shape) * stack.data.dtype.itemsize
        self._together = min(_TOGETHER, max(1, _TOGETHER_BYTES // max(1, size)))
        # Patterns that are stored together are read together: two threads at two places of a file
        # would unpack everything many times.
        self._reading = threading.Lock()

    def submit(self, pool: ThreadPoolExecutor, batch: list[int]) -> Callable[[], Floats]:
        """Begin with a batch; return what waits for its probabilities."""
        if self.in_blocks:
            return pool.submit(self.block, batch).result
        few = self._together
        parts = (batch[first : first + few] for first in range(0, len(batch), few))
        views = [pool.submit(self._views, part) for part in parts]
        return lambda: self.probabilities([one for view in views for one in view.result()])

    def block(self, batch: list[int]) -> Floats:
        """Read and judge a batch, (n, n_classes)."""
        with self._reading:
            frames = self.stack.frames(batch)
        return self.probabilities(self._seen(frames))

    def _views(self, indices: list[int]) -> list[Any]:
        """What the network needs of some patterns; None where one cannot be read."""
        return self._seen(self.stack.frames(indices))

    def _seen(self, frames: list[NDArray[Any] | None]) -> list[Any]:
        return [None if frame is None else self._seen_in(frame) for frame in frames]

    def _seen_in(self, frame: NDArray[Any]) -> Any:
        if self.of_nothing is not None and are_blank(frame[None])[0]:
            return _NOTHING
        return self.look(frame)

    def probabilities(self, seen: list[Any]) -> Floats:
        """Judge what was seen, (n, n_classes); NaN where nothing could be read."""
        p = _none_of(self.classifier, len(seen))
        for i, one in enumerate(seen):
            if one is _NOTHING:
                p[i] = self.of_nothing
        good = [i for i, one in enumerate(seen) if one is not None and one is not _NOTHING]
        if good:
            p[good] = self.classifier.probabilities([seen[i] for i in good], self.shares)
        return p


def _none_of(classifier: Classifier, count: int) -> Floats:
    """Probabilities of patterns that cannot be read."""
    return np.full((count, len(classifier.card.classes)), np.nan)


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
