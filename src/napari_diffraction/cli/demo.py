"""The main job on the built-in sample, as files; `napari_diffraction.ui.demo` shows it."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from napari_diffraction.cli.sorting.classification import classify_to_csv
from napari_diffraction.cli.terminal import with_bar
from napari_diffraction.files import replacing, writing_error
from napari_diffraction.learning.classes import UNREADABLE, ZONE, ZONE_CLASSES
from napari_diffraction.learning.palette import CLASS_COLOURS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from napari_diffraction.patterns.stack import PatternStack

#: Knows the phases of the sample scan.
_PHASES = "quartz-rutile"
#: Rows and columns of the montage.
_GRID = 4, 6


def can_open_window() -> bool:
    """Return whether napari could open a window here: a display and a Qt binding are needed."""
    has_display = not sys.platform.startswith("linux") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    return has_display and any(
        find_spec(binding) is not None for binding in ("PyQt6", "PySide6", "PyQt5")
    )


def to_files(folder: Path, seed: int = 0) -> None:
    """Make the samples, classify them, and write patterns, tables and pictures.

    Parameters
    ----------
    folder
        Where the files go; made if absent.
    seed
        Seed of the samples.

    Raises
    ------
    InputError
        The folder cannot be written.
    """
    from napari_diffraction.learning.models.registry import load_model
    from napari_diffraction.patterns.readers import open_stack
    from napari_diffraction.simulation.files import save_simulated
    from napari_diffraction.simulation.samples import serial_experiment

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise writing_error(folder, error) from error
    sample = with_bar(serial_experiment(seed))
    patterns = folder / "serial_experiment.h5"
    save_simulated(sample, patterns)
    stack = open_stack(patterns)
    table = folder / "classification.csv"
    table.with_name(table.name + ".part").unlink(missing_ok=True)
    rows = classify_to_csv(stack, load_model("zones"), table)
    _save(_montage(stack, rows), folder / "zones.png")
    _save(_histogram(rows), folder / "confidence.png")
    right = (rows["label"].to_numpy() == sample.labels["label"].to_numpy()).mean()
    print(f"{len(rows)} simulated patterns of a serial experiment, {right:.1%} put in their class:")
    for name, count in rows["label"].value_counts().items():
        print(f"  {name}  {count}")
    print(f"{patterns}: the patterns, with their true classes")
    print(f"{table}: class and confidence of each")
    print(f"{folder / 'zones.png'}: the most likely zones, best first")
    print(f"{folder / 'confidence.png'}: how sure the model is, by class")
    _map_scan(folder, seed)


def _map_scan(folder: Path, seed: int) -> None:
    """Make the sample scan, map its phases, and say how far that agrees with the truth."""
    from napari_diffraction.analysis.maps.export import export_map
    from napari_diffraction.cli.scans.phase_map import map_scan
    from napari_diffraction.learning.models.registry import load_model
    from napari_diffraction.patterns.readers import open_stack
    from napari_diffraction.simulation.kikuchi.scan import rutilated_quartz, save_scan

    scan = with_bar(rutilated_quartz(seed))
    patterns = save_scan(scan, folder / "rutilated_quartz.h5")
    made = map_scan(open_stack(patterns), load_model(_PHASES))
    picture, table = folder / "phase_map.png", folder / "phase_map.csv"
    for path in (picture, table):
        export_map(made, path)
    inside = ~scan.truth["boundary"].to_numpy()
    said = [made.classes[k] if k >= 0 else "" for k in made.best.ravel()]
    right = (scan.truth["phase"].to_numpy() == said)[inside].mean()
    print(f"{len(scan)} points of a simulated scan of rutile needles in quartz, away from")
    print(f"boundaries {right:.1%} of them given their phase:")
    for name, share in made.shares().items():
        print(f"  {name}  {share:.1%}")
    print(f"{patterns}: the patterns, with their true phases")
    print(f"{picture}, {table}: the map of the phases")


def _montage(stack: PatternStack, rows: pd.DataFrame) -> Figure:
    """Show the patterns most likely to be zones, best first."""
    from matplotlib.figure import Figure

    from napari_diffraction.patterns.display import contrast_limits

    best = rows.sort_values(f"p_{ZONE}", ascending=False).head(_GRID[0] * _GRID[1])
    figure = Figure(figsize=(2 * _GRID[1], 2.25 * _GRID[0]), layout="constrained")
    for axes, (_, row) in zip(figure.subplots(*_GRID).flat, best.iterrows(), strict=False):
        frame = stack.frame(int(row["index"]))
        low, high = contrast_limits(frame)
        axes.imshow(frame, cmap="gray", vmin=low, vmax=high)
        axes.set_title(f"{row['index']}: {row['label']} {row['confidence']:.2f}", fontsize=7)
    for axes in figure.axes:
        axes.set_axis_off()
    return figure


def _histogram(rows: pd.DataFrame) -> Figure:
    """Show the confidences, stacked by class."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    readable = rows[rows["label"] != UNREADABLE]
    axes.hist(
        [readable.loc[readable["label"] == name, "confidence"] for name in ZONE_CLASSES],
        bins=20,
        range=(0, 1),
        stacked=True,
        label=ZONE_CLASSES,
        color=[CLASS_COLOURS[name] for name in ZONE_CLASSES],
    )
    axes.set(xlabel="Confidence", ylabel="Patterns")
    axes.legend(frameon=False)
    return figure


def _save(figure: Figure, path: Path) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)
