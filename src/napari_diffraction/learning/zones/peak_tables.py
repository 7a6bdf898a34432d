"""The spots of the patterns of a stack as tables, each spot marked whether it is zonal."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_diffraction.errors import InputError
from napari_diffraction.indexing.spot_net.zonal import mark_zonal
from napari_diffraction.patterns.elsewhere import StackElsewhere
from napari_diffraction.patterns.spots.measure import THRESHOLD, Spots, find_spots
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import Progress, in_order

if TYPE_CHECKING:
    from napari_diffraction.workers import Workers

#: One row a spot.
COLUMNS = ("index", "x", "y", "intensity", "snr", "zonal", "h", "k")
_BATCH = 32


@dataclass(frozen=True)
class Found:
    """What is known of the spots of one pattern.

    Attributes
    ----------
    table
        One row a spot, strongest first: ``index`` (number of the pattern), ``x`` and ``y`` in
        pixels, ``intensity``, ``snr``, and on the dominant net ``zonal``, ``h``, ``k``.
    centre
        x and y of the direct beam in pixels.
    radius
        Typical radius of a spot in pixels.
    """

    table: pd.DataFrame
    centre: tuple[float, float]
    radius: float


@dataclass(frozen=True)
class PeaksFound(Progress):
    """The spots of some patterns are found.

    Attributes
    ----------
    found
        By the number of the pattern; one that cannot be read is left out.
    """

    found: dict[int, Found] = field(default_factory=dict)


def tabulate(index: int, spots: Spots, centre: tuple[float, float] | None = None) -> Found:
    """Make the table of the spots of a pattern, and mark those on its dominant net.

    Parameters
    ----------
    index
        Number of the pattern.
    spots
        Its spots.
    centre
        x and y of the direct beam, if it is known better than from the pattern.
    """
    centre = spots.centre if centre is None else centre
    order = np.argsort(-spots.intensity, kind="stable")  # the net is sought among the strongest
    zonal = mark_zonal(spots.position[order], centre, spots.radius)
    place = np.argsort(order, kind="stable")
    table = pd.DataFrame(
        {
            "index": np.full(len(spots), index),
            "x": spots.position[:, 0],
            "y": spots.position[:, 1],
            "intensity": spots.intensity,
            "snr": spots.snr,
            "zonal": zonal.zonal[place],
            "h": zonal.h[place],
            "k": zonal.k[place],
        }
    )
    return Found(table, centre, spots.radius)


def find_in_stack(
    stack: PatternStack,
    threshold: float = THRESHOLD,
    indices: Sequence[int] | None = None,
    workers: Workers | None = None,
) -> Generator[PeaksFound, None, pd.DataFrame]:
    """Find the spots of the patterns of a stack, with one thread a core.

    Parameters
    ----------
    stack
        Spot patterns.
    threshold
        See `napari_diffraction.patterns.spots.measure.find_spots`.
    indices
        Flat numbers of the patterns; ``None``: all.
    workers
        Other processes that read the patterns and find the spots.

    Yields
    ------
    PeaksFound
        After each batch; closing the generator keeps what was yielded.

    Returns
    -------
    DataFrame
        The tables of all patterns, see `Found`.
    """
    todo = list(range(len(stack))) if indices is None else list(indices)
    tables = [pd.DataFrame(columns=list(COLUMNS))] if not todo else []
    batches = [todo[first : first + _BATCH] for first in range(0, len(todo), _BATCH)]
    done = 0
    yield PeaksFound(0, len(todo), "Finding peaks")
    with _finding(stack, threshold, workers) as (submit, ahead):
        for batch, found in zip(batches, in_order(submit, batches, ahead), strict=True):
            tables += [one.table for one in found.values()]
            done += len(batch)
            yield PeaksFound(done, len(todo), "Finding peaks", found)
    filled = [table for table in tables if len(table)]
    return pd.concat(filled or tables[:1], ignore_index=True) if tables else pd.DataFrame()


@contextmanager
def _finding(
    stack: PatternStack, threshold: float, workers: Workers | None
) -> Iterator[tuple[Callable[[list[int]], Callable[[], dict[int, Found]]], Callable[[], int]]]:
    """Return what begins with a batch, here or in workers, and how many are begun at a time."""
    if workers is not None:
        key = workers.share(StackElsewhere.open, StackElsewhere.of(stack))
        yield (lambda batch: workers.submit(key, _found_in, batch, threshold)), workers.ahead
        return
    with ThreadPoolExecutor(os.cpu_count() or 1, "peaks") as pool:

        def submit(batch: list[int]) -> Callable[[], dict[int, Found]]:
            parts = [pool.submit(_found_in, stack, [index], threshold) for index in batch]
            return lambda: {i: one for part in parts for i, one in part.result().items()}

        yield submit, lambda: 2


def _found_in(stack: PatternStack, batch: list[int], threshold: float) -> dict[int, Found]:
    """Find the spots of some patterns; one that cannot be read is left out."""
    found = {}
    for index in batch:
        try:
            frame = stack.frame(index)
        except InputError:
            continue
        found[index] = tabulate(index, find_spots(frame, threshold))
    return found
