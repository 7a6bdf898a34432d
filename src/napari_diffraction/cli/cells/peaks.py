"""Write the spots of the patterns of a stack into a CSV file."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from napari_diffraction.cli.terminal import Interrupted, checked_output, with_bar
from napari_diffraction.errors import InputError
from napari_diffraction.files import replacing
from napari_diffraction.patterns.stack import SpotGeometry
from napari_diffraction.review.provenance import write_beside
from napari_diffraction.review.store import now

if TYPE_CHECKING:
    import pandas as pd

    from napari_diffraction.learning.zones.peak_tables import PeaksFound
    from napari_diffraction.patterns.stack import PatternStack

#: What the file holds of a spot.
COLUMNS = ("index", "x", "y", "intensity", "snr", "zonal")


def peaks_to_csv(stack: PatternStack, output: Path, threshold: float) -> str:
    """Find the spots of all patterns, write them, and say in a line what was found.

    Parameters
    ----------
    stack
        Spot patterns.
    output
        The table, one row a spot; ``OUT.csv.json`` beside it says how it came about.
    threshold
        Least height of a spot over the noise of a pixel.

    Raises
    ------
    InputError
        The patterns have no spots, or the file cannot be written.
    Interrupted
        Ctrl-C was pressed; what was found is in ``OUT.csv.part``.
    """
    import pandas as pd

    from napari_diffraction.learning.zones.peak_tables import find_in_stack

    checked_output(output, (".csv",))
    if not isinstance(stack.geometry, SpotGeometry):
        raise InputError(f"{stack.name} holds Kikuchi patterns, which have no spots.")
    tables: list[pd.DataFrame] = []
    read = 0

    def keep(step: PeaksFound) -> None:
        nonlocal read
        read += len(step.found)
        tables.extend(one.table for one in step.found.values())

    try:
        with_bar(find_in_stack(stack, threshold), keep)
    except KeyboardInterrupt as stop:
        part = output.with_name(output.name + ".part")
        if read:
            _write(pd.concat(tables), part)
        kept = f" The spots of {read} patterns are kept in {part}." if read else ""
        raise Interrupted(f"Stopped.{kept}") from stop
    table = pd.concat(tables) if tables else pd.DataFrame(columns=list(COLUMNS))
    _write(table, output)
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
    unread = f"; {len(stack) - read} could not be read" if read < len(stack) else ""
    zonal = int(table["zonal"].sum())
    return f"{output}: {len(table)} spots of {read} patterns, {zonal} of them zonal{unread}."


def _write(table: pd.DataFrame, path: Path) -> None:
    with replacing(path) as temporary:
        table.to_csv(temporary, columns=list(COLUMNS), index=False, float_format="%.6g")
