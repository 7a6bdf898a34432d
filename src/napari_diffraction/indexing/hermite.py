"""Hermite's normal form: every sublattice of a lattice has one, and only one."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@lru_cache(maxsize=8)
def sublattices(index: int) -> tuple[FloatArray, ...]:
    """Return a basis, as rows, of each sublattice of an index, in Hermite's normal form."""
    out = []
    for a in range(1, index + 1):
        for b in range(1, index // a + 1):
            c, rest = divmod(index, a * b)
            if rest:
                continue
            out += [
                np.array([[a, p, q], [0, b, r], [0, 0, c]], float)
                for p in range(b)
                for q in range(c)
                for r in range(c)
            ]
    return tuple(out)


def normal_form(rows: IntArray) -> IntArray | None:
    """Hermite's normal form of the lattice that integer rows span; ``None`` where it is flat."""
    left = [list(map(int, row)) for row in rows]
    form: list[list[int]] = []
    for column in range(3):
        rest = [row for row in left if row[column] == 0]
        pivots = [row for row in left if row[column] != 0]
        if not pivots:
            return None
        while len(pivots) > 1:
            pivots.sort(key=lambda row: abs(row[column]))
            least = pivots[0]
            again: list[list[int]] = []
            for row in pivots[1:]:
                times = row[column] // least[column]
                reduced_row = [a - times * b for a, b in zip(row, least, strict=True)]
                (again if reduced_row[column] else rest).append(reduced_row)
            pivots = [least, *again]
        sign = 1 if pivots[0][column] > 0 else -1
        form.append([sign * value for value in pivots[0]])
        left = [row for row in rest if any(row)]
    for low in (1, 2):
        for high in range(low):
            times = form[high][low] // form[low][low]
            form[high] = [a - times * b for a, b in zip(form[high], form[low], strict=True)]
    return np.array(form, dtype=np.int64)
