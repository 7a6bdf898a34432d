"""The order in which doubtful patterns are looked at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class DoubtQueue:
    """Patterns ordered by confidence, the least certain first.

    Equal confidences are ordered by the pattern's number, so that the order is always the same.

    Parameters
    ----------
    confidence : ndarray, (n,), float
        Confidence of each pattern, 0 to 1.
    index : ndarray, (n,), int
        Number of each pattern.
    """

    def __init__(self, confidence: NDArray[np.float64], index: NDArray[np.int64]) -> None:
        self._order = np.lexsort((index, confidence))
        self._rank = np.empty_like(self._order)
        self._rank[self._order] = np.arange(len(self._order))

    def after(self, pending: NDArray[np.bool_], row: int | None = None) -> int | None:
        """Return the next pending row behind a row, beginning again at the end of the queue.

        Parameters
        ----------
        pending : ndarray, (n,), bool
            Which rows still wait for a decision.
        row
            The row looked at now; ``None``: start with the least certain.

        Returns
        -------
        int or None
            ``None`` where nothing is pending.  The row itself is returned only if no other is.
        """
        waiting = np.flatnonzero(pending[self._order])
        if not len(waiting):
            return None
        start = 0 if row is None else np.searchsorted(waiting, self._rank[row], side="right")
        return int(self._order[waiting[int(start) % len(waiting)]])
