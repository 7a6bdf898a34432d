"""Judge an input that grows by a model that may need to know all patterns together."""

from __future__ import annotations

from collections.abc import Collection, Generator
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from napari_diffraction.learning.classification.batches import BatchDone, completed
from napari_diffraction.learning.classification.following import Classify, Known, classify_new
from napari_diffraction.learning.networks.pattern_centre import Centre, known_centre
from napari_diffraction.patterns.growing import Seen, unchanged

if TYPE_CHECKING:
    from napari_diffraction.learning.models.classifier import Classifier
    from napari_diffraction.patterns.stack import PatternStack

#: The centre is found anew when there are so many times as many patterns.
_GROWN = 2


class FollowedCentre:
    """The pattern centre of an input that grows, for a model that needs it.

    It is found of the patterns that are there, and anew when there are twice as many, or when these
    are no longer there.

    Parameters
    ----------
    classifier
        A loaded model.

    Attributes
    ----------
    centre
        In Bruker's convention; ``None`` where none was found.
    """

    def __init__(self, classifier: Classifier) -> None:
        self._classifier, self._found_in = classifier, Seen()
        self.centre: Centre | None = None

    def told(self, seen: Seen) -> Generator[BatchDone, None, Seen]:
        """Return a look whose patterns have the centre, where the model needs it.

        Yields
        ------
        BatchDone
            Without rows; one has a note where a centre was found.
        """
        stack = seen.stack
        if (
            stack is None
            or not len(stack)
            or self._classifier.kind.complete is None
            or known_centre(stack) is not None
        ):
            return seen
        if not self._holds(seen):
            self.centre = known_centre((yield from completed(stack, self._classifier)))
            self._found_in = seen
        if self.centre is None:
            return seen
        return replace(seen, stack=stack.with_centre(self.centre))

    def _holds(self, seen: Seen) -> bool:
        """Whether what was found is still that of these patterns."""
        before = 0 if self._found_in.stack is None else len(self._found_in.stack)
        now = 0 if seen.stack is None else len(seen.stack)
        return before <= now < _GROWN * before and unchanged(self._found_in, seen) == before


def judge_with_centre(classify: Classify, centre: FollowedCentre, seen: Seen) -> Classify:
    """Make what judges patterns of a look with a centre, searched only if there are some to judge.

    Parameters
    ----------
    classify
        `learning.classification.inference.classify` by a model, but for the stack and what to skip.
    centre
        Of the input.
    seen
        The look.
    """

    def judge(
        stack: PatternStack, *, skip: Collection[int]
    ) -> Generator[BatchDone, None, pd.DataFrame]:
        told = yield from centre.told(replace(seen, stack=stack))
        return (yield from classify(told.stack, skip=skip))

    return judge


class FollowedPatterns:
    """Patterns that become more, judged as far as they are there.

    All of them are judged anew whenever a centre was found anew that the model needs.

    Parameters
    ----------
    classifier
        A loaded model.
    judge
        `learning.classification.inference.classify` by this model, but for the stack and what to
        skip.
    """

    def __init__(self, classifier: Classifier, judge: Classify) -> None:
        self._classifier, self._judge, self._known = classifier, judge, Known()
        self._centre = FollowedCentre(classifier)
        # so many patterns there were at each look since then that brought something
        self._counts: list[int] = []

    def go_on(self, seen: Seen) -> Generator[BatchDone, None, pd.DataFrame]:
        """Judge what is new of a look at patterns that are recorded.

        Yields
        ------
        BatchDone
            As of `classify_new`; one has a note where a pattern centre was found.

        Returns
        -------
        DataFrame
            The table of all patterns that were judged.

        Raises
        ------
        InputError
            As of `learning.classification.inference.classify`.
        """
        assert seen.stack is not None
        count, before = len(seen.stack), self._centre.centre
        seen = yield from self._centre.told(seen)
        if self._centre.centre != before:
            self._known, self._counts = Known(), []
        if (yield from classify_new(seen, self._known, self._judge)):
            self._counts.append(count)
        return self._known.table(seen)

    def judges_anew(self, seen: Seen) -> bool:
        """Whether `end` judges patterns once more: a model had not known all of them together."""
        assert seen.stack is not None
        together = self._counts in ([], [len(seen.stack)])
        return self._classifier.kind.complete is not None and not together

    def end(self, seen: Seen) -> Generator[BatchDone, None, pd.DataFrame]:
        """Judge all there is; the table is that of a plain run.

        Parameters and the rest as of `go_on`; patterns that are unreadable have rows, too.
        """
        if self.judges_anew(seen):
            self._known = Known()
        yield from classify_new(seen, self._known, self._judge)
        return self._known.table(seen, unreadable=True)
