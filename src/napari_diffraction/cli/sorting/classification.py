"""Classify a stack into a CSV file; a kill at any moment loses one batch at most."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_diffraction.cli.terminal import Interrupted, checked_output, with_bar
from napari_diffraction.errors import InputError
from napari_diffraction.files import replacing, writing_error
from napari_diffraction.learning.classes import NATURAL_SHARES
from napari_diffraction.review.fingerprint import stack_key
from napari_diffraction.review.provenance import beside, file_hash, write_beside
from napari_diffraction.review.store import now

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from napari_diffraction.learning.classification.adaptation import Border
    from napari_diffraction.learning.models.registry import Classifier
    from napari_diffraction.patterns.stack import PatternStack
    from napari_diffraction.workers import Workers

#: Six figures are more than any probability here deserves.
_FLOATS = "%.6g"
_TEXTS = {"source": str, "label": str, "mark": str}
#: Bytes of a file that are looked at together.
_PART = 2**20


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
            if not kept.empty and earlier != self.run:
                differs = ", ".join(key for key in self.run if self.run[key] != earlier.get(key))
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
            with self.path.open("a", encoding="utf-8", newline="") as file:
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
            with self.path.open(encoding="utf-8", newline="") as file:
                run = json.loads(file.readline().removeprefix("# "))
                # all digits, so that a border is moved as if nothing had been interrupted
                rows = pd.read_csv(
                    file, dtype=_TEXTS, float_precision="round_trip", nrows=lines - 2
                )
        except ValueError as error:
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
        temporary.write_text(text, encoding="utf-8", newline="")


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
    try:
        with_bar(work, lambda batch: partial.append(batch.rows))
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


def usual_shares(classifier: Classifier) -> Mapping[str, float]:
    """Shares of its classes that a model counts with where nothing else is said."""
    return classifier.kind.shares or classifier.card.shares


def expected_shares(
    pairs: Sequence[str], usual: Mapping[str, float] = NATURAL_SHARES
) -> dict[str, float] | None:
    """Read the shares of classes that a person expects.

    Parameters
    ----------
    pairs
        ``CLASS=SHARE``; classes that are not named keep their proportions among themselves.
    usual
        Usual shares of all classes.

    Returns
    -------
    dict or None
        Shares of all classes, 1 in sum; ``None`` where nothing is said.

    Raises
    ------
    InputError
        A class is unknown, or the shares cannot be.
    """
    if not pairs:
        return None
    given: dict[str, float] = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        try:
            given[name] = float(text)
        except ValueError:
            given[name] = -1.0
        if name not in usual or not 0 < given[name] < 1:
            raise InputError(
                f"--share {pair}: write --share CLASS=SHARE, CLASS being one of "
                f"{', '.join(usual)}, and SHARE between 0 and 1."
            )
    rest = {name: share for name, share in usual.items() if name not in given}
    left = 1 - sum(given.values())
    if (rest and left <= 0) or (not rest and abs(left) > 1e-6):
        raise InputError("The shares of all classes must be 1 in sum: mend the --share options.")
    return given | {name: share * left / sum(rest.values()) for name, share in rest.items()}


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
        return output.exists() and all(earlier.get(key) == value for key, value in run.items())
    except (OSError, ValueError, AttributeError):
        return False


def _read_table(path: Path) -> pd.DataFrame:
    import pandas as pd

    return pd.read_csv(path, dtype={"source": str, "label": str})
