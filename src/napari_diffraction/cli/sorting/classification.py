"""Classify a stack into a CSV file; a kill at any moment loses one batch at most."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_diffraction.cli.shares import usual_shares
from napari_diffraction.cli.sorting.partial_table import (
    GEOMETRY,
    PartialTable,
    differences,
    write_table,
)
from napari_diffraction.cli.terminal import Interrupted, checked_output, with_bar
from napari_diffraction.errors import InputError
from napari_diffraction.learning.classes import ZONE
from napari_diffraction.patterns.stack import KikuchiGeometry
from napari_diffraction.review.fingerprint import stack_key
from napari_diffraction.review.provenance import beside, file_hash, write_beside
from napari_diffraction.review.store import now

if TYPE_CHECKING:
    import pandas as pd

    from napari_diffraction.learning.classification.adaptation import Border
    from napari_diffraction.learning.classification.batches import BatchDone
    from napari_diffraction.learning.models.registry import Classifier
    from napari_diffraction.patterns.stack import PatternStack
    from napari_diffraction.workers import Workers


def classify_to_csv(
    stack: PatternStack,
    classifier: Classifier,
    output: Path,
    *,
    device: str = "auto",
    batch_size: int = 64,
    shares: Mapping[str, float] | None = None,
    preprocess: str | None = None,
    border: str = "off",
    resume: bool = False,
    workers: Workers | None = None,
    say: Callable[[str], None] = print,
) -> pd.DataFrame:
    """Classify a stack, write the table, and beside it how it came about.

    Parameters
    ----------
    stack
        Patterns.
    classifier
        A loaded model.
    output
        The CSV file; while running, rows are kept in ``OUT.csv.part``; afterwards
        ``OUT.csv.json`` holds model, its hash, settings and version.
    device, batch_size, shares, workers
        See `napari_diffraction.learning.classification.inference.classify`.
    preprocess
        See `napari_diffraction.simulation.spots.redraw.preprocessed`.
    border
        Where the border between zones and other patterns lies, see
        `napari_diffraction.learning.classification.adaptation.find_border`.
    resume
        Go on from what an interrupted run kept.
    say
        Called with sentences for a person.

    Returns
    -------
    DataFrame
        One row a pattern, sorted by ``index``.

    Raises
    ------
    InputError
        The output cannot be written, what is kept belongs to another run, or the preprocessing is
        unknown or not meant for such patterns.
    Interrupted
        Ctrl-C was pressed.
    """
    from napari_diffraction.learning.classification.adaptation import suited
    from napari_diffraction.learning.classification.inference import classify
    from napari_diffraction.simulation.spots.redraw import preprocessed

    checked_output(output, (".csv",))
    shares = usual_shares(classifier) if shares is None else shares
    run = identity(stack, classifier, shares) | {"preprocess": preprocess, "border": border}
    if ZONE in classifier.card.classes and _camera(stack):
        say(
            f"Note: the file says that these are EBSD patterns, {classifier.card.name} sorts spot "
            "patterns: --model bravais names the lattices of EBSD patterns."
        )
    stack = preprocessed(stack, preprocess)
    if resume and _is_done(output, run):
        say(f"{output}: all {len(stack)} patterns were done already.")
        return _read_table(output)
    partial = PartialTable(output.with_name(output.name + ".part"), run)
    partial.start(resume=resume)
    if len(partial):
        say(f"Going on from {len(partial)} of {len(stack)} patterns.")
    work = classify(
        stack,
        classifier,
        device=device,
        batch_size=batch_size,
        shares=dict(shares),
        skip=partial.indices(),
        workers=workers,
    )
    found: tuple[str, ...] = ()

    def keep(batch: BatchDone) -> None:
        nonlocal found
        found = (batch.note,) if batch.note else found
        partial.append(batch.rows)

    try:
        with_bar(work, keep)
        stack = replace(stack, notes=(*stack.notes, *found))
        settings: dict[str, Any] = {"device": device, "batch_size": batch_size}
        put = suited(partial.table(), border)
        table = write_finished(output, put, stack, classifier, run, settings, say)
    except KeyboardInterrupt as stop:
        raise Interrupted(f"Stopped.{partial.what_is_kept()}") from stop
    except InputError as error:
        raise InputError(f"{error}{partial.what_is_kept()}") from error
    finally:
        if not len(partial):
            partial.path.unlink(missing_ok=True)
    partial.path.unlink()
    return table


def _camera(stack: PatternStack) -> dict[str, float]:
    """Return what the file tells of an EBSD camera; empty where it tells of none."""
    return stack.geometry.numbers() if isinstance(stack.geometry, KikuchiGeometry) else {}


def write_finished(
    output: Path,
    put: tuple[pd.DataFrame, Border],
    stack: PatternStack,
    classifier: Classifier,
    run: dict[str, Any],
    settings: dict[str, Any],
    say: Callable[[str], None],
) -> pd.DataFrame:
    """Write the table of all patterns and how it came about; tell of a border that was moved.

    Parameters
    ----------
    output
        The CSV file.
    put
        The table and its border, as `learning.classification.adaptation.suited` gives them.
    stack, classifier, run, settings
        See `provenance`.
    say
        Called with a sentence for a person.

    Returns
    -------
    DataFrame
        The table.

    Raises
    ------
    InputError
        The output cannot be written.
    """
    from napari_diffraction.learning.classification.adaptation import told

    table, border = put
    if sentence := told(border):
        say(sentence)
    write_table(output, table)
    moved = {"border_shift": border.shift} if border.shift else {}
    write_beside(output, provenance(stack, classifier, run, settings | moved))
    return table


def checked_border(border: str, shares: Sequence[str] | None) -> str:
    """Return where the border of zones is to lie: as usual where shares are given.

    Raises
    ------
    InputError
        There is no such border.
    """
    from napari_diffraction.learning.classification.adaptation import check_wanted

    check_wanted(border)
    return "off" if shares else border


def identity(
    stack: PatternStack, classifier: Classifier, shares: Mapping[str, float]
) -> dict[str, Any]:
    """Return what must be the same for two runs to give the same rows."""
    return model_identity(classifier, shares) | {
        "patterns": len(stack),
        "dataset": stack.dataset,
        "stack": stack_key(stack),
        GEOMETRY: _camera(stack),
    }


def model_identity(classifier: Classifier, shares: Mapping[str, float]) -> dict[str, Any]:
    """Return what must be the same of the model for two runs to give the same rows."""
    path = classifier.card.path
    return {"model_sha256": file_hash(Path(path) if path else None), "shares": dict(shares)}


def provenance(
    stack: PatternStack, classifier: Classifier, run: dict[str, Any], settings: dict[str, Any]
) -> dict[str, Any]:
    """Return how a table came about, for the file beside it."""
    return {
        "software": f"napari-diffraction {version('napari-diffraction')}",
        "finished": now(),
        "model": classifier.card.name,
        **run,
        "settings": settings,
        "sources": sorted(set(stack.sources)),
        "notes": list(stack.notes),
    }


def _is_done(output: Path, run: dict[str, Any]) -> bool:
    try:
        earlier = json.loads(beside(output).read_text(encoding="utf-8"))
        return output.exists() and not differences(earlier, run)
    except (OSError, ValueError, AttributeError):
        return False


def _read_table(path: Path) -> pd.DataFrame:
    import pandas as pd

    return pd.read_csv(path, dtype={"source": str, "label": str})
