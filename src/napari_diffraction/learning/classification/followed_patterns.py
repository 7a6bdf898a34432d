"""Judge an input that grows by a model that may need to know all patterns together."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from napari_diffraction.learning.classification.batches import BatchDone, completed
from napari_diffraction.learning.classification.following import Classify, Known, classify_new
from napari_diffraction.learning.networks.pattern_centre import Centre, known_centre
from napari_diffraction.patterns.growing import Seen

if TYPE_CHECKING:
    from napari_diffraction.learning.models.classifier import Classifier

#: What all patterns have in common is found anew when there are so many times as many.
_GROWN = 2


class FollowedPatterns:
    """Patterns that become more, judged as far as they are there.

    What a model needs to know of all patterns together, as their pattern centre, is found of those
    that are there; when there are twice as many it is found anew, and all of them are judged anew.

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
        self._centre: Centre | None = None
        # so many patterns were there when the centre was found, and so many looks since then
        # brought something
        self._completed, self._looks = 0, 0

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
        stack, complete = seen.stack, self._classifier.kind.complete
        assert stack is not None
        alike = self._completed <= len(stack) < _GROWN * self._completed
        if complete is not None and not alike:
            known = yield from completed(stack, self._classifier)
            self._known, self._centre = Known(), known_centre(known)
            self._completed, self._looks = len(stack), 0
        if self._centre is not None and known_centre(stack) is None:
            seen = replace(seen, stack=stack.with_centre(self._centre))
        self._looks += (yield from classify_new(seen, self._known, self._judge)) > 0
        return self._known.table(seen)

    def judges_anew(self, seen: Seen) -> bool:
        """Whether `end` judges patterns once more: a model had not known all of them together."""
        assert seen.stack is not None
        together = self._completed == len(seen.stack) and self._looks == 1
        return self._looks > 0 and self._classifier.kind.complete is not None and not together

    def end(self, seen: Seen) -> Generator[BatchDone, None, pd.DataFrame]:
        """Judge all there is; the table is that of a plain run.

        Parameters and the rest as of `go_on`; patterns that are unreadable have rows, too.
        """
        if self.judges_anew(seen):
            self._known = Known()
        yield from classify_new(seen, self._known, self._judge)
        return self._known.table(seen, unreadable=True)
