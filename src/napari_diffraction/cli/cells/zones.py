"""Which patterns of a stack are zones: by the model `zones`, or by a table of `classify`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_diffraction.cli.terminal import with_bar
from napari_diffraction.errors import InputError
from napari_diffraction.files import SHOWN

if TYPE_CHECKING:
    import pandas as pd

    from napari_diffraction.patterns.stack import PatternStack
    from napari_diffraction.workers import Workers


@dataclass(frozen=True)
class Sorting:
    """How the patterns of a stack are sorted.

    Attributes
    ----------
    counts
        Number of patterns of each class.
    zones
        Numbers of the patterns that are zones, rising.
    """

    counts: dict[str, int]
    zones: list[int]


def sort_stack(
    stack: PatternStack,
    *,
    output: Path | None = None,
    device: str = "auto",
    resume: bool = False,
    workers: Workers | None = None,
    say: Callable[[str], None] = print,
) -> Sorting:
    """Sort the patterns by the model `zones` at its usual border.

    Parameters
    ----------
    stack
        Spot patterns.
    output
        Where the table of the classes is kept; ``None``: nowhere.
    device
        Where the network runs.
    resume
        Keep the classes that an interrupted run has found; only with ``output``.
    workers
        Other processes that do the work.
    say
        Called with sentences while it runs.

    Raises
    ------
    InputError
        The table cannot be written, or what is kept is of another run.
    Interrupted
        Ctrl-C was pressed; only with ``output``.
    """
    from napari_diffraction.cli.shares import usual_shares
    from napari_diffraction.cli.sorting.classification import classify_to_csv
    from napari_diffraction.learning.classes import ZONE
    from napari_diffraction.learning.classification.inference import classify
    from napari_diffraction.learning.models.registry import load_model

    model = load_model("zones")
    if output is None:
        shares = usual_shares(model)
        table = with_bar(classify(stack, model, device=device, shares=shares, workers=workers))
    else:
        table = classify_to_csv(
            stack, model, output, device=device, resume=resume, workers=workers, say=say
        )
    return Sorting(_counts(table), sorted(table.loc[table["label"] == ZONE, "index"].tolist()))


def read_sorting(path: Path, stack: PatternStack) -> Sorting:
    """Read a table of `classify`.

    Raises
    ------
    InputError
        The file is no such table, calls no pattern a zone, or belongs to another stack.
    """
    import pandas as pd

    from napari_diffraction.learning.classes import ZONE, ZONE_CLASSES

    if not path.exists():
        raise InputError(f"{path}: there is no such file; give the table that classify wrote.")
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no table of classes: give what classify writes.") from error
    if not {"index", "label"} <= set(table.columns):
        raise InputError(f"{path} has no columns index and label: give what classify writes.")
    if not table["label"].isin(ZONE_CLASSES).any():
        raise InputError(f"{path} names none of the classes of zones: give what classify writes.")
    chosen = table.loc[table["label"] == ZONE]
    if not len(chosen):
        raise InputError(f"{path} calls no pattern {ZONE}: without zones no cell can be found.")
    # those of the other classes, too: they show a table of another stack, or one counted from 1
    every = _numbers(path, table["index"], len(stack))
    numbers = [number for number, zone in zip(every, table["label"] == ZONE, strict=True) if zone]
    if "source" in chosen and stack.sources:
        for number, source in zip(numbers, chosen["source"].fillna("").astype(str), strict=True):
            if source and Path(source).name != _shown(Path(stack.source(number)).name):
                raise InputError(
                    f"{path} says that pattern {number} is of {source}, but INPUT has it from "
                    f"{stack.source(number)}: give the table of this stack."
                )
    return Sorting(_counts(table), sorted(set(numbers)))


def _shown(name: str) -> str:
    """Return the name of a file as `classify` writes it into its table."""
    return name.encode(errors=SHOWN).decode()


def _counts(table: pd.DataFrame) -> dict[str, int]:
    return {str(name): int(count) for name, count in table["label"].value_counts().items()}


def _numbers(path: Path, column: pd.Series, patterns: int) -> list[int]:
    """Numbers of patterns, as a file has them in a column."""
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    odd = column[~(numbers % 1 == 0)]
    if len(odd):
        first = odd.iloc[0]
        found = "an empty index" if pd.isna(first) else f"the index {first}"
        raise InputError(
            f"{path} has {found}, which is no number of a pattern: give what classify writes."
        )
    outside = numbers[(numbers < 0) | (numbers >= patterns)]
    if len(outside):
        raise InputError(
            f"{path} speaks of pattern {outside.iloc[0]:.0f}, but INPUT has {patterns}, counted "
            "from 0: give the table of this stack."
        )
    return [int(number) for number in numbers]
