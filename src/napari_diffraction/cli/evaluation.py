"""Compare a model with labels that are known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_diffraction.cli.manners import with_bar
from napari_diffraction.errors import InputError

if TYPE_CHECKING:
    from typing import Any


def evaluate_file(
    model: str, data: str, folder: Path, *, device: str = "auto", batch_size: int = 64
) -> list[str]:
    """Classify labelled patterns and write tables and plots into a folder.

    Parameters
    ----------
    model
        Name of a model or its file.
    data
        A labelled stack, as `napari_diffraction.simulation.files.save_simulated` writes it.
    folder
        Where tables and plots go.
    device, batch_size
        See `napari_diffraction.learning.inference.classify`.

    Returns
    -------
    list of str
        The chief figures, for a terminal.

    Raises
    ------
    InputError
        The patterns bear no labels, or cannot be read, or the folder cannot be written.
    """
    from napari_diffraction.learning.evaluation import evaluate_table
    from napari_diffraction.learning.inference import classify
    from napari_diffraction.learning.registry import load_model
    from napari_diffraction.patterns.readers import open_stack
    from napari_diffraction.simulation.files import load_labels

    stack = open_stack(data)
    labels = load_labels(data)
    if labels is None or "label" not in labels:
        raise InputError(
            f"{data}: no labels stand in this file, nor in a table {Path(data).name}.csv with a "
            "column label beside it; write such a table, or take patterns made by simulate."
        )
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: this is a file; name a folder.")
    classifier = load_model(model)
    table = with_bar(classify(stack, classifier, device=device, batch_size=batch_size))
    table = table.sort_values("index", ignore_index=True)
    return _lines(evaluate_table(table, labels["label"], folder), folder)


def _lines(summary: dict[str, Any], folder: Path) -> list[str]:
    def show(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    lines = [
        f"Patterns                    {summary['patterns']}",
        f"Balanced accuracy           {show(summary['balanced_accuracy'])}",
        f"Expected calibration error  {show(summary['expected_calibration_error'])}",
    ]
    if "expected_calibration_error_at_shares" in summary:
        error = summary["expected_calibration_error_at_shares"]
        lines.append(f"At natural shares           {show(error)}")
    for name, row in summary["per_class"].items():
        line = f"{name:<20}  precision {show(row['precision'])}  recall {show(row['recall'])}"
        if "precision_at_shares" in row:
            line += f"  precision at natural shares {show(row['precision_at_shares'])}"
        lines.append(line)
    return [*lines, f"Tables and plots are in {folder}."]
