"""The rows that a classification has made so far, in a file that outlives a kill."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_diffraction.errors import InputError
from napari_diffraction.files import ANY_NAME, SHOWN, replacing, writing_error

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

#: Six figures are more than any probability here deserves.
_FLOATS = "%.6g"
_TEXTS = {"source": str, "label": str, "mark": str}
#: Bytes of a file that are looked at together.
_PART = 2**20
#: Calibration of an EBSD camera; earlier versions did not write it.
GEOMETRY = "geometry"


def differences(earlier: Mapping[str, Any], run: Mapping[str, Any]) -> list[str]:
    """Return what of a run was otherwise in an earlier one, as far as that tells it."""
    return [
        key
        for key, value in run.items()
        if earlier.get(key) != value and (key != GEOMETRY or key in earlier)
    ]


@dataclass
class PartialTable:
    """The rows computed so far, in a file that outlives the program.

    The first line is a comment that says which run the rows belong to; the rest is CSV.  Rows are
    appended batch by batch; a last line that was cut short by a kill is dropped on reading.

    Attributes
    ----------
    path
        The file, ``OUT.csv.part``.
    run
        What must be the same for the rows to be of use: model, patterns, data set.
    """

    path: Path
    run: dict[str, Any]
    _count: int = field(default=0, init=False)
    _indices: list[NDArray[np.int64]] = field(default_factory=list, init=False)

    def __len__(self) -> int:
        return self._count

    def rows(self) -> pd.DataFrame:
        """Return the rows so far, in the order in which they came.

        They are read from the file: only their numbers are held in memory.
        """
        import pandas as pd

        return self._read()[1] if self._count else pd.DataFrame()

    def table(self) -> pd.DataFrame:
        """Return the rows so far, sorted by ``index``."""
        rows = self.rows()
        return rows if rows.empty else rows.sort_values("index", ignore_index=True)

    def indices(self) -> NDArray[np.int64]:
        """Return the numbers of the patterns that are done."""
        return np.concatenate([np.empty(0, np.int64), *self._indices])

    def start(self, *, resume: bool) -> None:
        """Begin, or take up what an earlier run left.

        Raises
        ------
        InputError
            There are rows of an earlier run and ``resume`` was not asked for, or they belong to
            another run; or the file cannot be written.
        """
        try:
            earlier, kept = self._read()
            if not kept.empty and not resume:
                raise InputError(
                    f"{self.path}: {len(kept)} patterns of an interrupted run are kept here; add "
                    "--resume to go on from them, or delete the file to start anew."
                )
            different = [*differences(earlier, self.run), *(earlier.keys() - self.run.keys())]
            if not kept.empty and different:
                differs = ", ".join(different)
                raise InputError(
                    f"{self.path}: the patterns kept here are of another run ({differs} differ); "
                    "delete the file to start anew."
                )
            if kept.empty:
                _write(self.path, f"# {json.dumps(self.run)}\n")
            else:
                os.truncate(self.path, _whole_lines(self.path)[1])
            self._count, self._indices = 0, []
            self._note(kept)
        except OSError as error:
            raise writing_error(self.path, error) from error

    def append(self, rows: pd.DataFrame) -> None:
        """Add rows to the file.

        Raises
        ------
        InputError
            The file cannot be written, for instance because the disk is full.
        """
        if rows.empty:
            return
        try:
            text = _csv(rows, header=not self._count)
            with self.path.open("a", encoding="utf-8", errors=ANY_NAME, newline="") as file:
                file.write(text)
        except OSError as error:
            raise writing_error(self.path, error) from error
        self._note(rows)

    def _note(self, rows: pd.DataFrame) -> None:
        self._count += len(rows)
        if "index" in rows:
            self._indices.append(rows["index"].to_numpy(np.int64))

    def what_is_kept(self) -> str:
        """Say how many patterns are kept and how to go on; empty where none are."""
        if not len(self):
            return ""
        return (
            f" {len(self)} patterns are kept in {self.path}: the same command with --resume goes "
            "on from there."
        )

    def _read(self) -> tuple[dict[str, Any], pd.DataFrame]:
        import pandas as pd

        lines, _ = _whole_lines(self.path) if self.path.exists() else (0, 0)
        if lines < 3:  # what run it is, names of columns, and a row
            return {}, pd.DataFrame()
        try:
            with self.path.open(encoding="utf-8", errors=ANY_NAME, newline="") as file:
                run = dict(json.loads(file.readline().removeprefix("# ")))
            # all digits, so that a border is moved as if nothing had been interrupted
            rows = pd.read_csv(
                self.path,
                dtype=_TEXTS,
                float_precision="round_trip",
                skiprows=1,
                nrows=lines - 2,
                encoding_errors=ANY_NAME,
            )
        except (ValueError, TypeError) as error:
            raise InputError(
                f"{self.path}: this is not what an interrupted run leaves; delete it."
            ) from error
        texts = [name for name in _TEXTS if name in rows]
        rows[texts] = rows[texts].fillna("")
        return run, rows


def _whole_lines(path: Path) -> tuple[int, int]:
    """Number of lines that a file has, and their bytes, without a last one that was cut short."""
    lines = bytes_read = whole = 0
    with path.open("rb") as file:
        while part := file.read(_PART):
            lines += part.count(b"\n")
            if b"\n" in part:
                whole = bytes_read + part.rindex(b"\n") + 1
            bytes_read += len(part)
    return lines, whole


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table of classes as CSV; the one before is replaced when it is complete."""
    _write(path, _csv(table, floats=_FLOATS))


def _csv(rows: pd.DataFrame, *, header: bool = True, floats: str | None = None) -> str:
    return "" if rows.empty else rows.to_csv(index=False, header=header, float_format=floats)


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors=SHOWN, newline="")
