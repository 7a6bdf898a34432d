"""Where the true classes of a stack may be found, and the long work with them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from napari_diffraction.errors import InputError
from napari_diffraction.learning.evaluation.result import Evaluation
from napari_diffraction.learning.labels.ground_truth import label_column, truth_of
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import Progress
from napari_diffraction.ui.viewer.coordinator import Coordinator


@dataclass(frozen=True)
class Labels:
    """A place where the true classes of a stack are.

    Attributes
    ----------
    title
        For the list of such places.
    read
        Returns the table of the labels; ``None`` where there is none.  Called in another thread.
    """

    title: str
    read: Callable[[], pd.DataFrame | None]


def places_of(coordinator: Coordinator, layer: Any, stack: PatternStack) -> list[Labels]:
    """Return where the true classes of a layer may be found, the most trustworthy first."""
    places = []
    table = layer.metadata.get("labels")
    if isinstance(table, pd.DataFrame):
        places.append(Labels("those that came with the patterns", lambda: table))
    session = coordinator.session if coordinator.stack is stack else None
    if session is not None and session.counts().reviewed:
        number = session.counts().reviewed
        title = f"my review ({number:,} pattern{'' if number == 1 else 's'})"
        places.append(Labels(title, session.table))
    files = set(stack.sources)
    if len(files) == 1:
        (path,) = files
        places.append(Labels("those in the file or beside it", lambda: _in_file(path)))
    return places


def _in_file(path: str) -> pd.DataFrame | None:
    from napari_diffraction.simulation.files import load_labels

    return load_labels(path)


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation of one or several models found.

    Attributes
    ----------
    models
        Their names or files.
    evaluations
        Of each of them.
    comparison
        Of several of them; ``None`` for one.
    """

    models: tuple[str, ...]
    evaluations: tuple[Evaluation, ...]
    comparison: pd.DataFrame | None


def judging(
    stack: PatternStack, labels: Labels, models: Sequence[str], settings: dict[str, Any]
) -> Generator[Progress, None, Evaluated]:
    """Read the labels and have models judged by them; runs in another thread."""
    yield Progress(0, len(stack), "Loading the model")
    # Here, where importing torch and scipy freezes nothing.
    from napari_diffraction.learning.evaluation.comparison import compare
    from napari_diffraction.learning.evaluation.run import evaluate_models
    from napari_diffraction.learning.labels.labelled import aligned

    table = labels.read()
    if table is None or not label_column(table, ()):
        raise InputError(
            f"{stack.name}: no labels stand in its file, nor in a table beside it with a column "
            "label: write such a table, or label some patterns in the panel Review patterns."
        )
    table = aligned(table, len(stack), stack.name)
    made = yield from evaluate_models(
        stack, lambda classes: truth_of(table, stack, classes), models, **settings
    )
    comparison = compare(made) if len(made) > 1 else None
    return Evaluated(tuple(models), tuple(made), comparison)


def writing(found: Evaluated, folder: Path, stack: PatternStack) -> Generator[Progress, None, Path]:
    """Write the report; runs in another thread, where importing matplotlib freezes nothing."""
    yield Progress(0, 1, "Drawing the figures")
    from napari_diffraction.learning.evaluation.report import origin, write_report

    data = stack.source(0) if stack.sources else stack.name
    return (yield from write_report(found.evaluations, folder, stack, origin(data, found.models)))
