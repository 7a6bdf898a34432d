"""Tables of labels beside stacks."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

#: Columns that may hold classes, which are texts even where they look like numbers or gaps.
CLASS_COLUMNS = ("reviewed_label", "label", "phase", "structure", "material", "lattice")
#: What programs write where a value is missing.
_GAPS = ("NA", "NaN", "nan")


def read_labels(path: str | Path, texts: Collection[str] = ()) -> pd.DataFrame:
    """Read a table of labels (.csv) so that classes keep their names, also ``NA`` and ``01``.

    Parameters
    ----------
    path
        The table.
    texts
        Columns that stay texts besides those that usually hold classes.

    Raises
    ------
    OSError, ValueError
        It cannot be read.
    """
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    for name in table.columns.difference([*CLASS_COLUMNS, *texts]):
        numbers = pd.to_numeric(table[name], errors="coerce")
        if (table[name].isin(["", *_GAPS]) | numbers.notna()).all():
            table[name] = numbers
    return table


def gap_notes(labels: NDArray[np.str_], classes: Collection[str] = ()) -> tuple[str, ...]:
    """Return a sentence for each name of a class that may have been meant for none.

    Parameters
    ----------
    labels : ndarray of str, (n,)
        Names of classes, empty where there is none.
    classes
        Those that are known to be meant.
    """
    return tuple(
        f"{name} is taken for the name of a class: leave the cell empty where there is no label."
        for name in _GAPS
        if name not in classes and (labels == name).any()
    )
