"""What the panel that explains does in other threads."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.learning.explain.heatmaps import Explanation
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import Progress
from napari_diffraction.ui.explain.heat_layer import HeatLayer, Question

if TYPE_CHECKING:
    from napari_diffraction.learning.explain.heatmaps import Explainer
    from napari_diffraction.learning.models.classifier import Classifier


@dataclass(frozen=True)
class Answer:
    """One pattern is explained."""

    shown: HeatLayer
    question: Question
    index: int
    made: Explanation


class Explainers:
    """Loads a model when it is first asked; whoever asks holds the lock while it works."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._for: tuple[str, str, str, PatternStack] | None = None
        self._explainer: Explainer | None = None
        self._loaded: tuple[tuple[str, str], Classifier] | None = None

    def answer(self, shown: HeatLayer, question: Question, index: int, device: str) -> Answer:
        """Explain a pattern and keep its map.

        Raises
        ------
        InputError
            The pattern or the model cannot be read.
        """
        made = self._make(shown, question, index, shown.stack.frame(index), device)
        return Answer(shown, question, index, made)

    def several(
        self, shown: HeatLayer, question: Question, indices: Sequence[int], device: str
    ) -> Generator[Progress, None, None]:
        """Explain patterns and keep their maps; those that are there are not made again."""
        yield Progress(0, len(indices), "Loading the model")
        with self._lock:
            self._get(question, shown.stack, device)
        for done, index in enumerate(indices):
            if (question, index) not in shown.maps:
                with suppress(InputError):  # a pattern that cannot be read has no map
                    frame = shown.stack.frame(index)
                    self._make(shown, question, index, frame, device)
            yield Progress(done + 1, len(indices), "Explaining patterns")

    def _make(
        self, shown: HeatLayer, question: Question, index: int, frame: NDArray[Any], device: str
    ) -> Explanation:
        with self._lock:
            explainer = self._get(question, shown.stack, device)
            made = explainer.explain(frame, question.label, question.method)
        shown.maps.put(question, index, made)
        return made

    def _get(self, question: Question, stack: PatternStack, device: str) -> Explainer:
        wanted = (question.model, question.digest, device, stack)
        if self._for is None or self._for[:3] != wanted[:3] or self._for[3] is not stack:
            from napari_diffraction.learning.explain.heatmaps import Explainer

            classifier = self._model(question)
            self._explainer, self._for = Explainer(classifier, stack, device), wanted
        assert self._explainer is not None
        return self._explainer

    def _model(self, question: Question) -> Classifier:
        """Return the model of a question, which stays while patterns change or become more."""
        if self._loaded is None or self._loaded[0] != (question.model, question.digest):
            from napari_diffraction.learning.models.registry import load_model

            classifier = load_model(question.model)
            self._loaded = (question.model, question.digest), classifier
        return self._loaded[1]
