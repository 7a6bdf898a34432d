"""Sorting, in compiled code above all.

That does without ``numpy.sort`` and ``numpy.argsort``: numba compiles these from functions that
have one name and one numbering in every process, so that two cached functions, one with a sort and
one with an argsort, can be linked to the same of them when both are loaded, and then give wrong
numbers (numba issue 10486 has the mechanism).
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray


def quantile(values: NDArray[Any], share: float) -> float:
    """Quantile of a few numbers without NaN, as numpy's linear one and many times sooner there."""
    line = np.sort(values, axis=None)
    place = share * (len(line) - 1)
    low = int(place)
    high = min(low + 1, len(line) - 1)
    return float(line[low]) + (place - low) * (float(line[high]) - float(line[low]))


@nb.njit(cache=True, nogil=True, error_model="numpy")
def sort(values):  # type: ignore[no-untyped-def]
    """Sort an array of numbers without NaN where it lies, from the least (Shell 1959)."""
    n = len(values)
    gap = _first_gap(n)
    while gap > 0:
        for i in range(gap, n):
            value = values[i]
            j = i
            while j >= gap and values[j - gap] > value:
                values[j] = values[j - gap]
                j -= gap
            values[j] = value
        gap = gap // 3
    return values


@nb.njit(cache=True, nogil=True, error_model="numpy")
def order_down(values):  # type: ignore[no-untyped-def]
    """Places of an array's numbers, none NaN, from the greatest; equal ones in any order."""
    n = len(values)
    order = np.arange(n)
    gap = _first_gap(n)
    while gap > 0:
        for i in range(gap, n):
            place = order[i]
            value = values[place]
            j = i
            while j >= gap and values[order[j - gap]] < value:
                order[j] = order[j - gap]
                j -= gap
            order[j] = place
        gap = gap // 3
    return order


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _first_gap(n):  # type: ignore[no-untyped-def]
    """Greatest of 1, 4, 13, ... (Knuth 1973) below a third of the length."""
    gap = 1
    while gap < n // 3:
        gap = 3 * gap + 1
    return gap


@nb.njit(cache=True, nogil=True, error_model="numpy")
def put_in(scores, others, place, score, other):  # type: ignore[no-untyped-def]
    """Put a score and what goes with it into lists from the greatest score down.

    What stands at ``place`` is lost; what is less than the score and stands before it moves down.
    """
    while place > 0 and scores[place - 1] < score:
        scores[place] = scores[place - 1]
        others[place] = others[place - 1]
        place -= 1
    scores[place] = score
    others[place] = other
