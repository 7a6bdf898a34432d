"""Have models judge the same labelled patterns, and see how good each of them is."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from napari_diffraction.errors import InputError
from napari_diffraction.learning.classes import NATURAL_SHARES
from napari_diffraction.learning.evaluation.result import Evaluation, evaluate
from napari_diffraction.learning.labels.ground_truth import Truth
from napari_diffraction.learning.models.leakage import find_known, training_hashes
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import Progress

#: Gives the truth as far as it is in terms of a model's classes.
TruthFor = Callable[[Sequence[str]], Truth]


def evaluate_models(
    stack: PatternStack,
    truth_for: TruthFor,
    models: Sequence[str],
    *,
    device: str = "auto",
    batch_size: int = 64,
    shares: Mapping[str, float] | None = None,
) -> Generator[Progress, None, list[Evaluation]]:
    """Classify labelled patterns with each model and compare the results with the labels.

    Parameters
    ----------
    stack
        The patterns.
    truth_for
        Gives the true classes of all of them, told the classes of a model.
    models
        Names of models, or their files.
    device, batch_size, shares
        See `napari_diffraction.learning.classification.inference.classify`.

    Raises
    ------
    InputError
        A model cannot be loaded, or nothing is left to judge.
    """
    from napari_diffraction.learning.models.registry import load_model

    yield Progress(0, len(stack), "Loading the model")
    # Every model and the labels are looked at before anything long is begun.
    classifiers = [load_model(name) for name in models]
    truths = [truth_for(classifier.card.classes) for classifier in classifiers]
    evaluations = []
    for classifier, truth in zip(classifiers, truths, strict=True):
        evaluations.append(
            (yield from _evaluate_one(stack, truth, classifier, device, batch_size, shares))
        )
    return evaluations


def _evaluate_one(
    stack: PatternStack,
    truth: Truth,
    classifier: Any,
    device: str,
    batch_size: int,
    shares: Mapping[str, float] | None,
) -> Generator[Progress, None, Evaluation]:
    from napari_diffraction.learning.classification.inference import classify

    table = yield from classify(
        stack, classifier, device=device, batch_size=batch_size, shares=shares
    )
    yield Progress(len(stack), len(stack), "Drawing intervals")
    table = table.sort_values("index", ignore_index=True)
    made = evaluate(table, truth, name=classifier.card.name, shares=shares or NATURAL_SHARES)
    return (yield from _with_leak(made, stack, str(classifier.card.path)))


def _with_leak(
    made: Evaluation, stack: PatternStack, model: str
) -> Generator[Progress, None, Evaluation]:
    """Say whether the model was trained on some of these patterns."""
    hashes: frozenset[str] = frozenset()
    with suppress(InputError):  # the model was loaded before, and its figures stand
        hashes = training_hashes(model)
    if not hashes:
        return made.noted(
            "The model keeps no list of its training patterns, so it could not be checked that "
            "none of them are here.",
            training_patterns_here=None,
        )
    known = yield from find_known(stack, hashes)
    if not len(known):
        note = f"None of these patterns is among the {len(hashes):,} that the model was trained on."
    else:
        note = (
            f"{len(known):,} of {len(stack):,} patterns were in the training of this model, so "
            "its figures are too good: take patterns that it has not seen."
        )
    return made.noted(note, training_patterns_here=len(known))
