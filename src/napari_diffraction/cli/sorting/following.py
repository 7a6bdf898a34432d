"""Classify an input that grows into a CSV file that is complete after every look."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial as given
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_diffraction.cli.shares import usual_shares
from napari_diffraction.cli.sorting.classification import (
    identity,
    model_identity,
    provenance,
    write_finished,
)
from napari_diffraction.cli.sorting.partial_table import PartialTable, write_table
from napari_diffraction.cli.terminal import Interrupted, checked_output, with_bar
from napari_diffraction.cli.watching import ANEW, watch, whole
from napari_diffraction.errors import InputError
from napari_diffraction.learning.classes import UNREADABLE
from napari_diffraction.learning.classification.adaptation import suited
from napari_diffraction.learning.classification.followed_patterns import (
    FollowedCentre,
    judge_with_centre,
)
from napari_diffraction.learning.classification.following import (
    Classify,
    Known,
    classify_new,
    lasting,
)
from napari_diffraction.patterns.growing import Growing, Seen
from napari_diffraction.review.provenance import write_beside

if TYPE_CHECKING:
    import pandas as pd

    from napari_diffraction.learning.classification.adaptation import Border
    from napari_diffraction.learning.classification.batches import BatchDone
    from napari_diffraction.learning.models.classifier import Classifier
    from napari_diffraction.patterns.stack import PatternStack

#: The table is written anew within a look when so large a part of it is new.
_NEW_PART = 0.1
#: So many files that never became readable are named.
_NAMED = 3


def follow_to_csv(
    growing: Growing,
    classifier: Classifier,
    output: Path,
    *,
    device: str = "auto",
    batch_size: int = 64,
    shares: Mapping[str, float] | None = None,
    preprocess: str | None = None,
    border: str = "off",
    pc: tuple[float, float, float] | None = None,
    resume: bool = False,
    idle: float | None = None,
    wait: Callable[[float], None] = time.sleep,
    say: Callable[[str], None] = print,
) -> pd.DataFrame:
    """Classify what is there, then what comes, until nothing comes any more.

    Parameters
    ----------
    growing
        The input.
    classifier
        A loaded model.
    output
        The CSV file, which holds all patterns judged so far after every look; rows are kept in
        ``OUT.csv.part``, too, until the end.
    device, batch_size, shares, preprocess, border
        As of `napari_diffraction.cli.sorting.classification.classify_to_csv`.
    pc
        Pattern centre in Bruker's convention.
    resume
        Go on from what an interrupted run kept.
    idle
        Seconds without anything new after which the input counts as finished; ``None``: never.
    wait
        Called with the seconds to wait between two looks.
    say
        Called with sentences for a person.

    Returns
    -------
    DataFrame
        The table of the finished input, that of a run of `classify_to_csv` on it.

    Raises
    ------
    InputError
        The output cannot be written, what is kept belongs to another run, or there was never
        anything that can be opened.
    Interrupted
        Ctrl-C was pressed.
    """
    checked_output(output, (".csv",))
    shares = usual_shares(classifier) if shares is None else shares
    settings = {"device": device, "batch_size": batch_size}
    job = _Job(growing, classifier, output, dict(shares), settings, preprocess, border, pc, say)
    job.begin(resume=resume)
    try:
        job.follow(idle, wait)
        table = job.end()
    except KeyboardInterrupt as stop:
        raise Interrupted(f"Stopped.{job.keep()}") from stop
    except InputError as error:
        raise InputError(f"{error}{job.partial.what_is_kept()}") from error
    finally:
        if not len(job.partial):
            job.partial.path.unlink(missing_ok=True)
    job.partial.path.unlink(missing_ok=True)
    return table


@dataclass
class _Job:
    """A run: what it is to do, what is known, the last look, and in how many parts it judged."""

    growing: Growing
    classifier: Classifier
    output: Path
    shares: dict[str, float]
    settings: dict[str, Any]
    preprocess: str | None
    border: str
    pc: tuple[float, float, float] | None
    say: Callable[[str], None]
    known: Known = field(default_factory=Known, init=False)
    centre: FollowedCentre = field(init=False)
    partial: PartialTable = field(init=False)
    last: Seen = field(default_factory=Seen, init=False)
    parts: int = field(default=0, init=False)
    found: tuple[str, ...] = field(default=(), init=False)

    def __post_init__(self) -> None:
        run = model_identity(self.classifier, self.shares) | {
            "inputs": self.growing.inputs,
            "dataset": self.growing.dataset,
            "preprocess": self.preprocess,
            "border": self.border,
            "pc": None if self.pc is None else list(self.pc),
        }
        self.centre = FollowedCentre(self.classifier)
        self.partial = PartialTable(self.output.with_name(self.output.name + ".part"), run)

    def begin(self, *, resume: bool) -> None:
        """Begin, or take up what an earlier run left."""
        self.partial.start(resume=resume)
        if len(self.partial):
            self.known.add(self.partial.rows())
            self.parts += 1
            self.say(f"Going on from {len(self.partial)} patterns.")

    def follow(self, idle: float | None, wait: Callable[[float], None]) -> None:
        """Judge what is there and what comes, until it was quiet for the seconds given."""
        watch(self.growing, self._take, idle, wait, self.say)

    def _take(self, seen: Seen) -> bool:
        if not self._judge(seen, self.known):
            return False
        self.parts += 1
        self._show(self._written())
        return True

    def end(self) -> pd.DataFrame:
        """Judge what was not whole, too, and write the table of a plain run."""
        seen = whole(self.growing, self.say, needed=not len(self.partial))
        if seen is None:
            table, _ = self._table()
            self._write(table)
            return table
        assert seen.stack is not None
        known = self.known
        if self.classifier.kind.complete is not None and self._judged_in_parts(seen):
            # what is found out about all patterns together is only known now
            self.say(ANEW)
            known, self.centre = Known(), FollowedCentre(self.classifier)
        self._judge(seen, known)
        self.known = known
        put = self._table(unreadable=True)
        stack = self._noted()
        about = {"preprocess": self.preprocess, "border": self.border}
        about = identity(self._centred(seen.stack), self.classifier, self.shares) | about
        table = write_finished(
            self.output, put, stack, self.classifier, about, self.settings, self.say
        )
        self._tell_unreadable(table)
        return table

    def keep(self) -> str:
        """Write the table as far as it is; say where it is and how to go on."""
        if self.last.stack is None or not len(self.partial):
            return self.partial.what_is_kept()
        table = self._written()
        return (
            f" {len(table)} patterns are in {self.output}: the same command with --resume goes on "
            "from there."
        )

    def _judged_in_parts(self, seen: Seen) -> bool:
        """Whether what is known was not judged together with all there is now."""
        stack = self.last.stack
        if stack is None or seen.stack is None:
            return False
        return self.parts != 1 or len(stack) != len(seen.stack)

    def _centred(self, stack: PatternStack) -> PatternStack:
        return stack if self.pc is None else stack.with_centre(self.pc)

    def _noted(self) -> PatternStack:
        """Return the patterns with the note on what was found out about them."""
        stack = self.last.stack
        assert stack is not None
        return replace(stack, notes=(*stack.notes, *self.found))

    def _judge(self, seen: Seen, known: Known) -> int:
        """Classify what is new of a look; return how many patterns."""
        from napari_diffraction.learning.classification.inference import classify
        from napari_diffraction.simulation.spots.redraw import preprocessed

        if seen.stack is None:
            return 0
        stack = preprocessed(self._centred(seen.stack), self.preprocess)
        self.last = seen = replace(seen, stack=stack)
        judge: Classify = given(
            classify,
            classifier=self.classifier,
            shares=self.shares,
            **self.settings,
        )
        written = len(self.partial)

        def keep(batch: BatchDone) -> None:
            nonlocal written
            self.found = (batch.note,) if batch.note else self.found
            if len(batch.rows):
                readable = batch.rows[batch.rows["label"] != UNREADABLE]
                self.partial.append(lasting(readable, stack, seen.marks))
            if len(self.partial) > written * (1 + _NEW_PART) and batch.done < batch.total:
                written = len(self.partial)
                self._written()

        judge = judge_with_centre(judge, self.centre, seen)
        return with_bar(classify_new(seen, known, judge), keep)

    def _table(self, *, unreadable: bool = False) -> tuple[pd.DataFrame, Border]:
        return suited(self.known.table(self.last, unreadable=unreadable), self.border)

    def _written(self) -> pd.DataFrame:
        table, _ = self._table()
        self._write(table)
        return table

    def _write(self, table: pd.DataFrame) -> None:
        """Write a table that may not be the last one."""
        write_table(self.output, table)
        facts = provenance(self._noted(), self.classifier, self.partial.run, self.settings)
        write_beside(self.output, facts | {"followed": "not to its end"})

    def _show(self, table: pd.DataFrame) -> None:
        counts = ", ".join(f"{label} {n}" for label, n in table["label"].value_counts().items())
        self.say(f"{len(table)} patterns: {counts}.")

    def _tell_unreadable(self, table: pd.DataFrame) -> None:
        never = table[table["label"] == UNREADABLE]
        if never.empty:
            return
        files = list(dict.fromkeys(never["source"]))
        names = ", ".join(Path(file).name for file in files[:_NAMED])
        more = f" and {len(files) - _NAMED} more files" if len(files) > _NAMED else ""
        some = "1 pattern" if len(never) == 1 else f"{len(never)} patterns"
        self.say(f"{some} never became readable: {names}{more}.")
