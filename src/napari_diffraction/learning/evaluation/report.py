"""Write an evaluation into a folder: tables, figures, and one page that shows it all."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.files import replacing, writing_error
from napari_diffraction.learning.evaluation.comparison import compare
from napari_diffraction.learning.evaluation.figure_files import Drawn
from napari_diffraction.learning.evaluation.report_page import page
from napari_diffraction.learning.evaluation.result import Evaluation, plain
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import Progress

#: Patterns on each sheet of examples.
EXAMPLES = 12
#: What not every report has: left there by an earlier one, it would be taken for part of this one.
_NOT_ALWAYS = (
    "comparison.csv",
    "unknown.csv",
    *(f"comparison{which}.{kind}" for which in ("", "_coverage") for kind in ("png", "svg")),
    *("worst.png", "least_certain.png"),
)


def write_report(
    evaluations: Sequence[Evaluation],
    folder: str | Path,
    stack: PatternStack | None = None,
    facts: Mapping[str, str] | None = None,
) -> Generator[Progress, None, Path]:
    """Write tables, figures and a page on one model, or on several compared with the first.

    Writes report.html, summary.json, patterns.csv, confusion.csv, confusion_normalised.csv,
    per_class.csv, reliability.csv, coverage.csv and thresholds.csv, as PNG and SVG the figures
    confusion, per_class, reliability and coverage, and as PNG worst and least_certain.  The files
    of the other models are in a folder each; comparison.csv, comparison and comparison_coverage
    (PNG and SVG) are beside those of the first.

    Parameters
    ----------
    evaluations
        Of the same patterns.
    folder
        Where to write; made if absent.
    stack
        The patterns, for the examples.
    facts
        What the page says at its end, see `origin`.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    InputError
        The folder cannot be written.
    """
    folder = Path(folder)
    comparison = compare(evaluations) if len(evaluations) > 1 else None
    steps = len(evaluations) + 1
    figures = []
    for number, evaluation in enumerate(evaluations):
        yield Progress(number, steps, "Drawing the figures")
        figures.append(_draw(evaluation, stack))
    both = {} if comparison is None else _draw_comparison(evaluations, comparison)
    yield Progress(steps - 1, steps, "Writing the report")
    for number, (evaluation, drawn) in enumerate(zip(evaluations, figures, strict=True)):
        inside = folder if number == 0 else folder / _inner(number + 1, evaluation.name)
        tables = _tables(evaluation)
        if number == 0 and comparison is not None:
            tables["comparison.csv"], drawn = comparison.to_csv, drawn | both
        earlier = all((inside / name).is_file() for name in tables if name not in _NOT_ALWAYS)
        written = _write(inside, tables, drawn)
        # files of these names in a folder without a report are somebody's own
        for name in set(_NOT_ALWAYS) - written if earlier else ():
            (inside / name).unlink(missing_ok=True)
    text = page(evaluations, figures, comparison, both, facts or {})
    path = folder / "report.html"
    _write(folder, {path.name: lambda part: part.write_text(text, encoding="utf-8")}, {})
    yield Progress(steps, steps, "Writing the report")
    return path


def _inner(number: int, name: str) -> str:
    """Name of the folder of a model, whose own name may be anything."""
    usable = re.sub(r"[^\w .+-]", "_", name)[:80]
    return f"{number}_{usable}"


def origin(data: str, models: Sequence[str], **settings: str) -> dict[str, str]:
    """Return what a report says of where it comes from: data, models, settings, version, time."""
    return {
        "Data": data,
        **{f"Model {number}": model for number, model in enumerate(models, 1)},
        **settings,
        "Software": f"napari-diffraction {version('napari-diffraction')}",
        "Time": datetime.now().astimezone().isoformat(" ", "seconds"),
    }


def _draw(evaluation: Evaluation, stack: PatternStack | None) -> dict[str, Drawn]:
    # Matplotlib takes long to import and only this needs it.
    from napari_diffraction.learning.evaluation import plots

    figures = {
        "confusion": plots.confusion_figure(evaluation.confusion),
        "per_class": plots.per_class_figure(evaluation.per_class),
        "reliability": plots.reliability_figure(evaluation.reliability),
        "coverage": plots.coverage_figure(
            {evaluation.name: evaluation.coverage}, evaluation.thresholds
        ),
    }
    made = {name: Drawn.of(figure) for name, figure in figures.items()}
    if stack is not None:
        for name, chosen in (
            ("worst", evaluation.worst(EXAMPLES)),
            ("least_certain", evaluation.least_certain(EXAMPLES)),
        ):
            frames, titles = _examples(evaluation, stack, chosen)
            if frames:
                made[name] = Drawn.pixels(plots.patterns_figure(frames, titles))
    return made


def _draw_comparison(
    evaluations: Sequence[Evaluation], comparison: pd.DataFrame
) -> dict[str, Drawn]:
    from napari_diffraction.learning.evaluation import plots

    curves = {
        str(name): evaluation.coverage
        for name, evaluation in zip(comparison.index, evaluations, strict=True)
    }
    return {
        "comparison": Drawn.of(plots.comparison_figure(comparison)),
        "comparison_coverage": Drawn.of(plots.coverage_figure(curves, pd.DataFrame())),
    }


def _examples(
    evaluation: Evaluation, stack: PatternStack, chosen: NDArray[Any]
) -> tuple[list[NDArray[Any]], list[str]]:
    rows = evaluation.table.set_index("index")
    frames, titles = [], []
    for index in chosen.tolist():
        with suppress(InputError):  # read when it was judged, and gone since
            frames.append(stack.frame(index))
            row = rows.loc[index]
            titles.append(f"{index}: {row['truth']}\ncalled {row['label']} {row['confidence']:.2f}")
    return frames, titles


Writer = Callable[[Path], object]


def _tables(evaluation: Evaluation) -> dict[str, Writer]:
    confusion = evaluation.confusion
    shares = confusion.div(confusion.sum(axis=1), axis=0)
    summary = json.dumps(plain(evaluation.summary), indent=2) + "\n"
    tables: dict[str, Writer] = {
        "confusion.csv": confusion.to_csv,
        "confusion_normalised.csv": shares.to_csv,
        "per_class.csv": evaluation.per_class.to_csv,
        "reliability.csv": lambda path: evaluation.reliability.to_csv(path, index=False),
        "coverage.csv": lambda path: evaluation.coverage.to_csv(path, index=False),
        "thresholds.csv": lambda path: evaluation.thresholds.to_csv(path, index=False),
        "patterns.csv": lambda path: evaluation.table.to_csv(path, index=False),
        "summary.json": lambda path: path.write_text(summary, encoding="utf-8"),
    }
    if len(evaluation.unknown):
        tables["unknown.csv"] = evaluation.unknown.to_csv
    return tables


def _write(folder: Path, tables: Mapping[str, Writer], figures: Mapping[str, Drawn]) -> set[str]:
    writers = dict(tables)
    for name, drawn in figures.items():
        writers[f"{name}.png"] = _bytes(drawn.png)
        if drawn.svg:
            writers[f"{name}.svg"] = _bytes(drawn.svg)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise writing_error(folder, error) from error
    for name, write in writers.items():
        with replacing(folder / name) as part:
            write(part)
    return set(writers)


def _bytes(content: bytes) -> Writer:
    return lambda path: path.write_bytes(content)
