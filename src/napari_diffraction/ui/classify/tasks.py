"""What the panel does behind its bar: sort a stack, or follow one that still grows."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_diffraction.learning.classes import UNREADABLE
from napari_diffraction.patterns.growing import EVERY, Growing, Seen
from napari_diffraction.patterns.readers import Opening
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import Progress
from napari_diffraction.ui.classify.growth import Growth
from napari_diffraction.ui.widgets.wording import counted

if TYPE_CHECKING:
    from napari_diffraction.learning.classification.following import Known
    from napari_diffraction.learning.models.classifier import Classifier

Steps = Generator[Progress, None, Any]

_ALIKE = "all classes alike"
#: Expected shares of the classes, to which the probabilities are corrected, and where the border
#: between zones and other patterns lies.
SHARES = {
    "suited to the stack": "stack",
    "all zones, some doubtful": "all",
    "sure zones only": "sure",
    "usual: 3 % zones": "off",
    _ALIKE: "off",
}
#: While a stack grows, the border is put anew when so large a part of it is new, or when nothing
#: came for so many looks.
_NEW_PART, _QUIET = 0.1, 5
#: Steps while it is waited for the next look; Cancel acts within one.
_STEPS = 10


@dataclass(frozen=True)
class Bordered(Progress):
    """The border between zones and other patterns was put anew.

    Attributes
    ----------
    rows
        The rows of all patterns.
    note
        What was done, for people; empty where the border is the usual one.
    shift
        As of `learning.classification.adaptation.Border`.
    """

    rows: pd.DataFrame = field(default_factory=pd.DataFrame)
    note: str = ""
    shift: float = 0.0


@dataclass(frozen=True)
class Earlier:
    """What a run before found out.

    Attributes
    ----------
    rows
        The rows of the patterns that are done already.
    shift
        Where the border of the zones was put in them.
    """

    rows: pd.DataFrame
    shift: float = 0.0

    def usual(self) -> pd.DataFrame:
        """Return the rows with the border where it lies for all stacks."""
        from napari_diffraction.learning.classification.adaptation import Border, placed

        return placed(self.rows, Border(-self.shift))


def classification(
    stack: PatternStack, model: str, settings: dict[str, Any], earlier: Earlier | None = None
) -> Steps:
    """Load a model and classify; runs in another thread, where importing torch freezes nothing.

    Parameters
    ----------
    stack
        The patterns.
    model
        Name or file.
    settings
        What is chosen in the panel.
    earlier
        What is done already.
    """
    yield Progress(0, len(stack), "Loading the model")
    from napari_diffraction.learning.classification.adaptation import suited, told
    from napari_diffraction.learning.classification.inference import classify
    from napari_diffraction.learning.models.registry import load_model
    from napari_diffraction.simulation.spots.redraw import preprocessed

    classifier = load_model(model)
    stack = preprocessed(stack, settings.get("preprocess"))
    known = None if earlier is None else earlier.usual()
    table = yield from classify(
        stack,
        classifier,
        **_asked(classifier, settings),
        skip=frozenset() if known is None else frozenset(known["index"]),
    )
    # only all patterns together show where the border lies
    whole = table if known is None else pd.concat([known, table], ignore_index=True)
    yield Progress(len(stack), len(stack), "Looking where the border of the zones lies")
    after, border = suited(whole, SHARES.get(settings["shares"], "off"))
    if border.shift or (earlier is not None and earlier.shift):
        yield Bordered(len(stack), len(stack), told(border), after, told(border), border.shift)
    return after


def _asked(classifier: Classifier, settings: dict[str, Any]) -> dict[str, Any]:
    classes = classifier.card.classes
    alike = dict.fromkeys(classes, 1 / len(classes))
    return {
        "device": settings["device"],
        "batch_size": settings["batch_size"],
        "shares": alike if settings["shares"] == _ALIKE else None,
    }


def following(
    opening: Opening,
    stack: PatternStack,
    model: str,
    settings: dict[str, Any],
    earlier: Earlier | None = None,
) -> Steps:
    """Classify what is there, then what comes, until somebody stops it.

    Parameters
    ----------
    opening
        How the stack was opened.
    stack
        The patterns that are there already.
    model, settings, earlier
        As of `classification`.

    Yields
    ------
    Progress
        `Grown` whenever there are more patterns; steps with ``rows`` of those that were sorted,
        numbered as in the stack that was told last; `Bordered`.

    Raises
    ------
    InputError
        The input has become another one, or can never be opened.
    """
    yield Progress(0, 0, "Loading the model")
    from napari_diffraction.learning.classification.following import Known
    from napari_diffraction.learning.models.registry import load_model

    run = _Following(Growth(stack), load_model(model), settings, earlier, Known())
    growing = Growing(opening.inputs, opening.dataset)
    while True:
        seen = growing.look()
        yield from run.take(seen)
        for _ in range(_STEPS):
            yield Progress(0, 0, run.waits(seen))
            time.sleep(EVERY / _STEPS)


@dataclass
class _Following:
    """A stack that grows, and what is known of it."""

    growth: Growth
    classifier: Classifier
    settings: dict[str, Any]
    earlier: Earlier | None
    known: Known
    count: int = field(default=0, init=False)
    shift: float = field(default=0.0, init=False)
    _last: Seen = field(default_factory=Seen, init=False)
    _bordered: int = field(default=0, init=False)
    _quiet: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        from napari_diffraction.learning.classification.followed_patterns import FollowedCentre

        self._centre = FollowedCentre(self.classifier)
        self.shift = 0.0 if self.earlier is None else self.earlier.shift

    def take(self, seen: Seen) -> Steps:
        """Take in what a look shows."""
        before, plain = self.count, seen.plain
        if plain is not None:
            grown = self.growth.to(plain, seen.stamp)
            if grown is not None:
                yield grown
            # a file that is written anew is gone until it has kept still
            if not self.growth.missing:
                self._remember(seen, self.growth.places)
                yield from self._judge(seen)
        self._quiet = 0 if self.count > before else self._quiet + 1
        if self.count > (1 + _NEW_PART) * self._bordered or self._quiet == _QUIET:
            yield from self._put_border()

    def waits(self, seen: Seen) -> str:
        """Say how far it is and what is waited for."""
        said = f"{self.count:,} sorted"
        if self.growth.missing:
            return f"{said} · {self.growth.waits()}"
        if seen.waiting:
            others = len(seen.waiting) - 1
            more = f" and {counted(others, 'more files')}" if others else ""
            return f"{said} · waiting for {Path(seen.waiting[0]).name}{more} to be complete"
        if seen.problem:
            return f"{said} · waiting: {seen.problem}"
        return f"{said} · looking for more"

    def _remember(self, seen: Seen, places: NDArray[np.int64]) -> None:
        """Take over what a run before found out of patterns that could be read."""
        from napari_diffraction.learning.classification.following import lasting

        earlier, self.earlier, stack = self.earlier, None, seen.stack
        if earlier is None or stack is None:
            return
        rows = earlier.usual()
        rows = rows[(rows["label"] != UNREADABLE) & (rows["index"] < len(places))]
        rows = rows.assign(index=places[rows["index"].to_numpy(int)])
        rows = rows.assign(source=[stack.source(index) for index in rows["index"]])
        self.known.add(lasting(rows, stack, seen.marks))
        self.count = self._bordered = len(rows)

    def _judge(self, seen: Seen) -> Steps:
        from napari_diffraction.learning.classification.adaptation import Border, placed
        from napari_diffraction.learning.classification.followed_patterns import judge_with_centre
        from napari_diffraction.learning.classification.following import classify_new
        from napari_diffraction.learning.classification.inference import classify
        from napari_diffraction.simulation.spots.redraw import preprocessed

        assert seen.stack is not None
        stack = preprocessed(seen.stack, self.settings.get("preprocess"))
        self._last = replace(seen, stack=stack)
        asked = _asked(self.classifier, self.settings)
        judge = partial(classify, classifier=self.classifier, **asked)
        with_centre = judge_with_centre(judge, self._centre, self._last)
        found = 0
        for batch in classify_new(self._last, self.known, with_centre):
            rows = batch.rows
            if len(rows):
                # of those that cannot be read it is not known yet whether they are incomplete
                rows = placed(rows[rows["label"] != UNREADABLE], Border(self.shift))
                found += len(rows)
            yield replace(batch, rows=rows)
        if found:
            self.count = len(self.known.judged(self._last)[0])

    def _put_border(self) -> Steps:
        from napari_diffraction.learning.classification.adaptation import suited, told

        wanted = SHARES.get(self.settings["shares"], "off")
        if self._bordered == self.count or wanted == "off":
            return
        self._bordered = self.count
        after, border = suited(self.known.table(self._last), wanted)
        if border.shift != self.shift:
            self.shift = border.shift
            yield Bordered(0, 0, told(border), after, told(border), border.shift)
