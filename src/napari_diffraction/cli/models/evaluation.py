"""Compare models with labels that are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_diffraction.cli.terminal import claim_output, with_bar
from napari_diffraction.errors import InputError

if TYPE_CHECKING:
    from napari_diffraction.learning.evaluation.result import Evaluation


def evaluate_file(
    models: Sequence[str],
    data: str,
    folder: Path,
    *,
    device: str = "auto",
    batch_size: int = 64,
    share: Sequence[str] = (),
) -> list[str]:
    """Classify labelled patterns and write tables, figures and a page into a folder.

    Parameters
    ----------
    models
        Names of models or their files; the others are compared with the first.
    data
        Labelled patterns.
    folder
        Where the report goes.
    device, batch_size
        See `napari_diffraction.learning.classification.inference.classify`.
    share
        ``CLASS=SHARE``, as of `napari_diffraction.cli.shares.expected_shares`, of the first model.

    Returns
    -------
    list of str
        What was left out and the chief figures, for a terminal.

    Raises
    ------
    InputError
        The patterns bear no labels, or cannot be read, a share cannot be, or the folder cannot be
        written.
    """
    from napari_diffraction.cli.shares import expected_shares, usual_shares
    from napari_diffraction.learning.evaluation.data import open_judged
    from napari_diffraction.learning.evaluation.report import origin, write_report
    from napari_diffraction.learning.evaluation.run import evaluate_models
    from napari_diffraction.learning.labels.ground_truth import truth_of
    from napari_diffraction.learning.models.registry import load_model

    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: this is a file; name a folder.")
    if folder.resolve().parent == Path(data).resolve():
        raise InputError(f"{folder}: the next time this would be taken for a class: move it.")
    claim_output(folder)
    stack, labels = open_judged(data)
    shares = expected_shares(share, usual_shares(load_model(models[0]))) if share else None
    work = evaluate_models(
        stack,
        lambda classes: truth_of(labels, stack, classes),
        models,
        device=device,
        batch_size=batch_size,
        shares=shares,
    )
    made = with_bar(work)
    facts = origin(data, models, Device=device)
    page = with_bar(write_report(made, folder, stack, facts), unit="step")
    lines = [line for evaluation in made for line in _lines(evaluation, several=len(made) > 1)]
    if len(made) > 1:
        lines += _comparison(made)
    return [*lines, f"Tables and figures are in {folder}, all on one page in {page.name}."]


def _lines(evaluation: Evaluation, *, several: bool) -> list[str]:
    def show(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    summary = evaluation.summary
    lines = [f"Model {evaluation.name}"] if several else []
    lines += evaluation.notes
    lines.append(f"Patterns judged             {summary['judged']}")
    for name, title in (
        ("accuracy", "Accuracy"),
        ("balanced_accuracy", "Balanced accuracy"),
        ("expected_calibration_error", "Expected calibration error"),
    ):
        low, high = summary[f"{name}_95"]
        lines.append(f"{title:<27} {show(summary[name])} ({show(low)} to {show(high)})")
    if "expected_calibration_error_at_shares" in summary:
        error = summary["expected_calibration_error_at_shares"]
        lines.append(f"At natural shares           {show(error)}")
    for name, row in summary["per_class"].items():
        line = f"{name:<20}  precision {show(row['precision'])}  recall {show(row['recall'])}"
        if "precision_at_shares" in row:
            line += f"  precision at natural shares {show(row['precision_at_shares'])}"
        lines.append(line)
    return lines


def _comparison(made: Sequence[Evaluation]) -> list[str]:
    from napari_diffraction.learning.evaluation.comparison import compare
    from napari_diffraction.learning.evaluation.report_page import comparison_table

    table = comparison_table(compare(made))
    return ["Comparison", *table.to_string().splitlines()]
