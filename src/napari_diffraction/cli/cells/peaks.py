"""Write the spots of the patterns of a stack into a CSV file."""

from __future__ import annotations

import os
from collections.abc import Generator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from napari_diffraction.cli.terminal import Interrupted, checked_output, with_bar
from napari_diffraction.errors import InputError
from napari_diffraction.files import writing_error
from napari_diffraction.patterns.stack import SpotGeometry
from napari_diffraction.review.provenance import write_beside
from napari_diffraction.review.store import now

if TYPE_CHECKING:
    from napari_diffraction.learning.zones.peak_tables import Found, PeaksFound
    from napari_diffraction.patterns.stack import PatternStack

#: What the file holds of a spot.
COLUMNS = ("index", "x", "y", "intensity", "snr", "zonal")
_HEAD = ",".join(COLUMNS) + "\n"
#: Patterns whose spots are held in memory.
_AT_ONCE = 1024


def peaks_to_csv(stack: PatternStack, output: Path, threshold: float) -> str:
    """Find the spots of all patterns, write them, and say in a line what was found.

    Parameters
    ----------
    stack
        Spot patterns.
    output
        The table, one row a spot; while running, its rows are in ``OUT.csv.part``; afterwards
        ``OUT.csv.json`` says how it came about.
    threshold
        Least height of a spot over the noise of a pixel.

    Raises
    ------
    InputError
        The patterns have no spots, or the file cannot be written.
    Interrupted
        Ctrl-C was pressed; what was found is in ``OUT.csv.part``.
    """
    checked_output(output, (".csv",))
    if not isinstance(stack.geometry, SpotGeometry):
        raise InputError(f"{stack.name} holds Kikuchi patterns, which have no spots.")
    rows = _Rows(output.with_name(output.name + ".part"))
    rows.check()
    try:
        with_bar(_in_pieces(stack, threshold), lambda step: rows.append(step.found))
    except KeyboardInterrupt as stop:
        raise Interrupted(f"Stopped.{rows.what_is_kept()}") from stop
    except InputError as error:
        raise InputError(f"{error}{rows.what_is_kept()}") from error
    rows.finish(output)
    write_beside(
        output,
        {
            "software": f"napari-diffraction {version('napari-diffraction')}",
            "finished": now(),
            "settings": {"threshold": threshold},
            "patterns": len(stack),
            "sources": sorted(set(stack.sources)),
            "notes": list(stack.notes),
        },
    )
    unread = len(stack) - rows.patterns
    missing = f"; {unread} could not be read" if unread else ""
    return (
        f"{output}: {rows.spots} spots of {rows.patterns} patterns, {rows.zonal} of them "
        f"zonal{missing}."
    )


def _in_pieces(stack: PatternStack, threshold: float) -> Generator[PeaksFound, None, None]:
    """Find the spots piece by piece, since a search holds all its tables until its end."""
    from napari_diffraction.learning.zones.peak_tables import find_in_stack

    for first in range(0, len(stack), _AT_ONCE):
        piece = range(first, min(first + _AT_ONCE, len(stack)))
        for step in find_in_stack(stack, threshold, piece):
            yield replace(step, done=first + step.done, total=len(stack))


@dataclass
class _Rows:
    """The rows so far, in a file.

    Attributes
    ----------
    path
        The file, ``OUT.csv.part``.
    patterns, spots, zonal
        How many are in it.
    """

    path: Path
    patterns: int = 0
    spots: int = 0
    zonal: int = 0

    def check(self) -> None:
        """See that the rows replace nothing but those of an earlier search for peaks."""
        try:
            # earlier versions have ended lines as the system does
            with self.path.open(encoding="utf-8", errors="replace", newline=None) as file:
                first = file.readline(len(_HEAD))
        except FileNotFoundError:
            return
        except OSError as error:
            raise writing_error(self.path, error) from error
        if not _HEAD.startswith(first):
            raise InputError(
                f"{self.path}: this is what another command has kept, such as classify: choose "
                "another output, or delete the file."
            )

    def append(self, found: dict[int, Found]) -> None:
        """Add the spots of some patterns; the first ones take the place of an earlier run's."""
        import pandas as pd

        if not found:
            return
        tables = [one.table for one in found.values() if len(one.table)]
        text = ""
        if tables:
            table = pd.concat(tables)
            text = table.to_csv(
                columns=list(COLUMNS),
                index=False,
                header=False,
                float_format="%.6g",
                lineterminator="\n",
            )
            self.spots += len(table)
            self.zonal += int(table["zonal"].sum())
        self._write(text)
        self.patterns += len(found)

    def finish(self, output: Path) -> None:
        """Give the file its name."""
        if not self.patterns:
            self._write("")
        try:
            os.replace(self.path, output)
        except OSError as error:
            raise writing_error(output, error) from error

    def what_is_kept(self) -> str:
        """Say how many patterns are kept; empty where none are."""
        if not self.patterns:
            return ""
        return f" The spots of {self.patterns} patterns are kept in {self.path}."

    def _write(self, text: str) -> None:
        begins = not self.patterns
        try:
            with self.path.open("w" if begins else "a", encoding="utf-8", newline="") as file:
                file.write(_HEAD + text if begins else text)
        except OSError as error:
            raise writing_error(self.path, error) from error
