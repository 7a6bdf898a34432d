"""Tables of labels beside stacks."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pandas as pd

#: Columns that may hold classes, which are texts even where they look like numbers or gaps.
CLASS_COLUMNS = ("reviewed_label", "label", "phase", "structure", "material", "lattice")


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
        if ((table[name] == "") | numbers.notna()).all():
            table[name] = numbers
    return table
