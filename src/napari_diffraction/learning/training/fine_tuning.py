"""Learn from the labels a person gave: the last layers of a model, in seconds, on a processor.

The body of the network stays as it is and looks at every labelled pattern once; what follows on it
is trained, first the layer that names the classes, then all of it at a low rate, and is held to the
weights it had.  Each label is also judged by a copy that did not learn from it; this gives the new
calibration and an honest figure.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from napari_diffraction.errors import InputError
from napari_diffraction.learning.metrics import balanced_accuracy
from napari_diffraction.learning.model_card import ModelCard
from napari_diffraction.learning.models.calibration import calibrate_scale
from napari_diffraction.learning.models.classifier import Classifier, save_classifier
from napari_diffraction.learning.models.leakage import content_hash, training_hashes
from napari_diffraction.learning.models.registry import load_model
from napari_diffraction.learning.training.adam import minimise
from napari_diffraction.learning.training.last_layers import Tail, tail_of
from napari_diffraction.learning.training.lesson import Indices, Lesson, counts_of, usable
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import Progress, finish

#: Steps and rates of the two stages: the head alone, then all that follows on the body.
_STAGES = ((60, 1e-2), (90, 2e-3))
#: How firmly the weights are held to what they were.
_HOLD = 0.1
#: Parts into which the labels are divided for the check.
_PARTS = 4
#: Most patterns that the body looks at in one step.
_BATCH = 32
#: Kind of recipe on the card of a model that learned so.
KIND = "labels"
#: Figures on its card: of the labels, how many the parent had right, and how many are right where
#: they were left out of the lesson; the mean over the classes.
BEFORE, AFTER = "your labels: before", "your labels: each left out of the lesson"
#: Figure on its card: so many of the labelled patterns the parent had learned from, where it had.
KNOWN = "your labels: learned from before"


@dataclass(frozen=True)
class _Seen:
    """What the body found in the labelled patterns.

    Attributes
    ----------
    found : Tensor, (v, n, m)
        In each pattern, and in its mirror image where the model goes by both.
    label : Tensor of int64, (n,)
    inputs
        The network's inputs for one of the patterns.
    hashes
        Digests of the patterns.
    """

    found: Tensor
    label: Tensor
    inputs: tuple[Tensor, ...]
    hashes: list[str]

    def take(self, some: Indices) -> _Seen:
        chosen = torch.from_numpy(some)
        return dataclasses.replace(self, found=self.found[:, chosen], label=self.label[chosen])


def learn(
    lesson: Lesson, parent: Classifier, output: Path, *, name: str = "", seed: int = 0
) -> Generator[Progress, None, ModelCard]:
    """Fine-tune a model by labels, check and calibrate it, and save it with its card.

    A model that has learned from nothing but these labels before is set aside for the one it came
    from, so that learning again after more labels is not learning twice.  Closing the generator
    stops the work, and nothing is written.

    Parameters
    ----------
    lesson
        The labels; those of classes that the model does not have are left out.
    parent
        The model to start from; it is not changed.
    output
        Name of the model file, ``.safetensors``.
    name
        Name of the model; by default that of the file.
    seed
        The same seed and labels give the same model.

    Yields
    ------
    Progress
        Steps; the last says how good the new model is.

    Returns
    -------
    ModelCard
        That of the new model.

    Raises
    ------
    InputError
        Too few labels, a pattern that cannot be read, a kind of model that cannot learn so, or the
        output cannot be written.
    """
    lesson = usable(lesson, parent.card.classes)
    n, classes = len(lesson.indices), len(parent.card.classes)
    total = n + _PARTS + 2
    seen = yield from _look(parent, lesson, total)
    parent = _first_model(parent, seen.hashes, lesson.stack.name)
    learned_before = hashes_of(parent)
    said = f"Learning from {n} labels"
    _keep_memory()
    label = seen.label.numpy()
    logits = np.zeros((n, classes))
    for part, (learned, asked) in enumerate(_parts(label, seed)):
        yield Progress(n + part, total, said)
        pupil = _Pupil(parent, seen)
        pupil.learn(seen.take(learned))
        logits[asked] = pupil.logits(seen.take(asked))
    yield Progress(total - 2, total, said)
    pupil = _Pupil(parent, seen)
    before = pupil.logits(seen)
    pupil.learn(seen)
    yield Progress(total - 1, total, "Saving the model")
    card = _card(parent.card, lesson, name or output.stem, calibrate_scale(logits, label), seed)
    card.options.update(pupil.options)
    card.figures.update({BEFORE: _share(label, before), AFTER: _share(label, logits)})
    if known := sum(one in learned_before for one in seen.hashes):
        card.figures[KNOWN] = known
    # It knows what its parent has learned from, too.
    hashes = [*seen.hashes, *sorted(learned_before.difference(seen.hashes))]
    save_classifier(pupil.network, card, output, hashes)
    yield Progress(total, total, verdict(card))
    return dataclasses.replace(card, path=str(output))


def _keep_memory() -> None:
    """Have freed memory kept for the next step of a lesson.

    The C library gives freed memory back from 128 kB on, and fetching it again in every step can
    take fifty times as long as the step.  When a block is freed, it raises this limit to twice the
    size of the block (mallopt(3)).
    """
    np.empty(1 << 24, np.uint8)


def _look(classifier: Classifier, lesson: Lesson, total: int) -> Generator[Progress, None, _Seen]:
    """Let the body look at the labelled patterns."""
    said = "Looking at the labelled patterns"
    yield Progress(0, total, said)
    look = looker(classifier, lesson.stack)
    views: list[Any] = []
    hashes = []
    for number, index in enumerate(lesson.indices.tolist()):
        frame = lesson.stack.frame(index)
        hashes.append(content_hash(frame))
        views.append(look(frame))
        yield Progress(number + 1, total, said)
    found = []
    for start in range(0, len(views), _BATCH):
        found.append(found_in(classifier, views[start : start + _BATCH]))
        yield Progress(len(views), total, said)
    classes = list(classifier.card.classes)
    label = torch.tensor([classes.index(str(name)) for name in lesson.labels])
    inputs = classifier.kind.tensors(views[:1])
    return _Seen(torch.cat(found, 1), label, inputs, hashes)


def looker(classifier: Classifier, stack: PatternStack) -> Callable[[NDArray[Any]], Any]:
    """Make the function that looks at a frame of a stack for a model."""
    kind = classifier.kind
    return kind.looker(stack if kind.complete is None else finish(kind.complete(stack, classifier)))


def found_in(classifier: Classifier, views: Sequence[Any]) -> Tensor:
    """What the body of a network finds in patterns.

    Parameters
    ----------
    classifier
        Ready for use.
    views
        What its looker gave.

    Returns
    -------
    Tensor of float32, (v, n, m)
        In each pattern, and in its mirror image where the model goes by both.
    """
    inputs = [one.to(classifier.device) for one in classifier.kind.tensors(views)]
    tail = _tail(classifier.network, classifier, inputs)
    with torch.no_grad():
        found = [tail.look(*inputs)]
        if classifier.card.preprocessing.get("mirror"):
            found.append(tail.look(*(one.flip(-1) for one in inputs)))
    return torch.stack([one.float().cpu() for one in found])


def _tail(network: nn.Module, classifier: Classifier, inputs: Sequence[Tensor]) -> Tail:
    with torch.enable_grad():
        return tail_of(network, classifier.kind.head, len(classifier.card.classes), inputs)


def hashes_of(model: Classifier) -> frozenset[str]:
    """Return the digests of the patterns that a model has learned from, as far as it keeps them."""
    return training_hashes(model.card.path) if model.card.path else frozenset()


def _first_model(parent: Classifier, hashes: Sequence[str], stack: str) -> Classifier:
    """Go back to the model that had not had a lesson of these labels, where it is there.

    A lesson of the same stack was one of these labels, too, though some of them may have been taken
    back since: what was wrong in it shall not live on.
    """
    recipe = parent.card.recipe
    if recipe.get("kind") != KIND:
        return parent
    try:
        first = load_model(str(recipe.get("parent", "")))
    except InputError:
        return parent
    if _file_hash(first.card.path) != recipe.get("parent_sha256"):
        return parent
    lesson, now = hashes_of(parent) - hashes_of(first), set(hashes)
    same = recipe.get("stack") == stack and 2 * len(lesson & now) > len(lesson)
    return _first_model(first, hashes, stack) if same or lesson <= now else parent


def _parts(label: NDArray[np.int64], seed: int) -> Iterator[tuple[Indices, Indices]]:
    """Divide labels so that every class is spread over the parts: the rest, and each part."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(label))
    order = order[np.argsort(label[order], kind="stable")]
    part = np.empty(len(label), np.int64)
    part[order] = np.arange(len(label)) % _PARTS
    for number in range(_PARTS):
        yield np.flatnonzero(part != number), np.flatnonzero(part == number)


class _Pupil:
    """A copy of a model that learns."""

    def __init__(self, parent: Classifier, seen: _Seen) -> None:
        card = parent.card
        self.network: nn.Module = copy.deepcopy(parent.network).cpu().eval()
        self._tail = _tail(self.network, parent, seen.inputs)
        self.options: dict[str, Any] = {}
        # As if all classes were alike frequent, which labels chosen by hand are as a rule.
        self._scale, self._bias = card.scale, torch.from_numpy(_even_bias(card)).float()

    def _judge(self, found: Tensor) -> Tensor:
        out = torch.stack([self._tail.judge(one) for one in found]).mean(dim=0)
        return self._scale * out + self._bias

    def logits(self, seen: _Seen) -> NDArray[np.float64]:
        """Logits of patterns at even shares of the classes, (n, n_classes)."""
        with torch.no_grad():
            out: NDArray[np.float64] = self._judge(seen.found).double().numpy()
        return out

    def learn(self, seen: _Seen) -> None:
        """Train the head, then all that follows on the body."""
        self.network.requires_grad_(False)
        heed: Any = getattr(self.network, "heed", None)
        if heed is not None:  # a network that goes by a rule, too
            self.options = heed(seen.found[0], seen.label)
        counts = torch.bincount(seen.label, minlength=len(self._bias)).clamp(min=1)
        weight = counts.sum() / counts / len(counts)
        learning: tuple[nn.Parameter, ...] = ()
        for (steps, rate), more in zip(_STAGES, (self._tail.head, self._tail.others), strict=True):
            learning += more
            if more:
                self._stage(seen, learning, steps, rate, weight)

    def _stage(
        self,
        seen: _Seen,
        learning: Sequence[nn.Parameter],
        steps: int,
        rate: float,
        weight: Tensor,
    ) -> None:
        held = [one.detach().clone() for one in learning]
        for one in learning:
            one.requires_grad_(True)

        def loss() -> Tensor:
            wrong = functional.cross_entropy(self._judge(seen.found), seen.label, weight)
            pairs = zip(learning, held, strict=True)
            moved = [(now - then).square().sum() for now, then in pairs]
            return wrong + _HOLD * torch.stack(moved).sum()

        minimise(loss, learning, steps, rate)


def _even_bias(card: ModelCard) -> NDArray[np.float64]:
    """Bias that takes logits to even shares of the classes."""
    shares = np.array([card.shares[name] for name in card.classes])
    return np.asarray(np.asarray(card.bias) - np.log(np.maximum(shares, 1e-4)))


def _share(label: NDArray[np.int64], logits: NDArray[np.float64]) -> float:
    return round(balanced_accuracy(label, logits.argmax(axis=1)), 4)


def _card(parent: ModelCard, lesson: Lesson, name: str, scale: float, seed: int) -> ModelCard:
    """Make the card: who said what of which stack, and from which model it was learned."""
    counts = counts_of(lesson)
    n = sum(counts.values())
    person = f" of {lesson.person}" if lesson.person else ""
    return dataclasses.replace(
        parent,
        options=dict(parent.options),
        name=name,
        title=f"{name} (learned from labels)",
        summary=f"{parent.name}, fine-tuned by {n} labels{person} on {lesson.stack.name}: for "
        "patterns of this camera and sample.",
        scale=scale * parent.scale,
        bias=tuple((scale * _even_bias(parent)).tolist()),
        shares=dict.fromkeys(parent.classes, 1 / len(parent.classes)),
        recipe={
            "kind": KIND,
            "labels": n,
            "by_class": counts,
            "person": lesson.person,
            "stack": lesson.stack.name,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "parent": parent.name,
            "parent_sha256": _file_hash(parent.path),
            "seed": seed,
        },
        figures={},
        path="",
    )


def _file_hash(path: str) -> str:
    if not path:
        return ""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verdict(card: ModelCard) -> str:
    """Say how good a model that learned from labels is."""
    before, after = card.figures[BEFORE], card.figures[AFTER]
    known = card.figures.get(KNOWN, 0)
    return (
        f"{after:.0%} of the labels are right when each is left out of the lesson; "
        f"{before:.0%} were before"
        + (f"; too good, as the model had learned from {known:,} of them earlier" if known else "")
    )
