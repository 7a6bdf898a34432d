"""Find the pattern centre where a file does not tell it."""

from __future__ import annotations

import heapq
import math
from collections.abc import Generator, Iterator
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp

from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.errors import InputError
from napari_diffraction.learning.networks import band_view, found_centres
from napari_diffraction.learning.networks.bravais_view import SIDES
from napari_diffraction.learning.networks.one_thread import one_thread
from napari_diffraction.patterns.kikuchi.band_finder import Lines, find_lines
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack
from napari_diffraction.progress import Progress, retold
from napari_diffraction.simulation.classes import NO_PATTERN

if TYPE_CHECKING:
    from napari_diffraction.learning.model_card import ModelCard

Centre = tuple[float, float, float]

#: Patterns that are looked at, evenly spread over the stack.
_SAMPLE = 48
#: Patterns of a scan are of few grains: more than this many tell nothing new.
_INDEPENDENT = 16
#: Patterns that a centre is tried on at once.
_PART = 12
#: First grid: from the top and the distance; x is near the middle of any camera.
_DOWN = [0.1 + 0.05 * step for step in range(12)]
_DISTANCES = [0.6 * 1.1**step for step in range(-5, 9)]
#: Steps around the best centre so far, sideways and down, and of the logarithm of the distance.
_STEPS = ((0.04, 0.025, 0.05), (0.02, 0.0125, 0.025), (0.01, 0.006, 0.012))
#: Where the centre of most cameras lies, and how far from it; the last one is of the logarithm.
_USUAL = np.array([0.5, 0.3, math.log(0.6)])
_SPREAD = np.array([0.03, 0.15, 0.25])
#: Ratios and angles of a cell that its crystal system leaves open.  With a wrong centre some
#: lattice can always be bent to fit; one that cannot be bent fits by chance hardly ever, so each
#: open number costs as much of the logarithm of the likelihood.
_FREE = {
    "cubic": 0,
    "tetragonal": 1,
    "trigonal": 1,
    "hexagonal": 1,
    "orthorhombic": 2,
    "monoclinic": 3,
    "triclinic": 5,
}
_OCCAM = 0.8


class Judge(Protocol):
    """What is asked of a classifier here."""

    card: ModelCard
    network: Any
    device: torch.device | None

    @property
    def kind(self) -> Any:
        """How networks of this kind look at patterns."""


def known_centre(stack: PatternStack) -> Centre | None:
    """Return the pattern centre that the file told, in Bruker's convention."""
    return stack.geometry.pc if isinstance(stack.geometry, KikuchiGeometry) else None


def with_centre(stack: PatternStack, classifier: Judge) -> Generator[Progress, None, PatternStack]:
    """Return a stack whose pattern centre is known, or else found.

    Some patterns are indexed, by which the centre is found wherever a lattice explains several of
    them; else it is the one at which the classifier is surest (`find_centre`).  One centre serves
    the whole stack; it is kept in the user's cache.

    Parameters
    ----------
    stack
        Any.
    classifier
        One whose network judges bands.

    Yields
    ------
    Progress
    """
    if known_centre(stack) is not None:
        return stack
    frames = list(_sample(stack))
    if not frames:
        return stack
    seen = frames if stack.background is None else [*frames, stack.background]
    key = found_centres.key_of(
        stack.data.shape, seen, classifier.card, classifier.network.state_dict()
    )
    centre = found_centres.recalled(key)
    if centre is None:
        centre = yield from _of_a_lattice(stack, frames)
        if centre is None:
            with one_thread():
                centre = find_centre(stack, frames, classifier)
        found_centres.keep(key, centre)
    note = (
        "The pattern centre is not in the file: ({:.3f}, {:.3f}, {:.3f}) in Bruker's convention "
        "was found, with which the bands fit lattices best; of few grains it may be wrong."
    ).format(*centre)
    return replace(stack.with_centre(centre), notes=(*stack.notes, note))


def _of_a_lattice(
    stack: PatternStack, frames: list[NDArray[np.generic]]
) -> Generator[Progress, None, Centre | None]:
    """Centre at which a lattice explains several of the frames, in Bruker's convention."""
    # most stacks that are judged tell their centre, or have none: they need not wait for these
    import dask.array as da

    from napari_diffraction.indexing.known import IndexSettings
    from napari_diffraction.indexing.phases.search import centre_of_a_lattice
    from napari_diffraction.indexing.scan import gathered
    from napari_diffraction.indexing.steps import FinishedSteps

    pictures = da.from_array(np.stack(frames), chunks=(1, *stack.frame_shape))
    some = replace(stack, data=pictures, sources=(), events=(), read=None, reopen=None)
    step = Progress(0, 0, "Looking for the pattern centre")
    work = gathered(some, IndexSettings(), FinishedSteps())
    bands = yield from retold(work, lambda _: step)
    found = yield from retold(centre_of_a_lattice(bands), lambda _: step)
    if found is None:
        return None
    x, y, z = found.tolist()
    return x, y, z


def find_centre(
    stack: PatternStack, frames: list[NDArray[np.generic]], classifier: Judge
) -> Centre:
    """Find the pattern centre of some frames at which a classifier is surest of their classes.

    It is searched on a grid, then around the best one; classes that leave the cell little freedom
    count above all, which only the right angles between the bands allow.  Where the classifier can
    tell little, the centre stays near that of usual cameras.  All in Bruker's convention.
    """
    look = band_view.looker(stack)
    seen = [look(frame) for frame in frames]
    pictures = band_view.flat(
        torch.stack([one[0] for one in seen]), torch.stack([one[1] for one in seen]), SIDES[0]
    )
    search = _Search(classifier, find_lines(*pictures), stack.frame_shape)
    found = search.best([(float(_USUAL[0]), y, z) for y, z in product(_DOWN, _DISTANCES)])
    for right, down, away in _STEPS:
        found = search.best(
            [
                (found[0] + i * right, found[1] + j * down, found[2] * math.exp(k * away))
                for i, j, k in product((-1, 0, 1), repeat=3)
            ]
        )
    return found


def _free_ratios(name: str) -> int:
    """How many numbers of a cell its lattice leaves open, but for the scale; 0 for a phase."""
    return _FREE[BRAVAIS_LATTICES[name].system] if name in BRAVAIS_LATTICES else 0


def _sample(stack: PatternStack) -> Iterator[NDArray[np.generic]]:
    for index in np.unique(np.linspace(0, len(stack) - 1, _SAMPLE).astype(int)):
        try:
            yield stack.frame(int(index))
        except InputError:
            continue


class _Search:
    """Finds which of several centres has the greatest merit.

    The merit is the logarithm of how sure the classifier is, and of how usual the centre is.
    A centre whose merit could not be the greatest, were the classifier as sure as can be of the
    patterns that it was not tried on yet, is not tried on these.

    Parameters
    ----------
    classifier
        Judges bands.
    lines
        Of the patterns.
    shape
        Height and width of a frame.
    """

    def __init__(self, classifier: Judge, lines: Lines, shape: tuple[int, int]) -> None:
        self._classifier, self._shape, self._count = classifier, shape, len(lines.count)
        # no centre makes a pattern more of a pattern: only what kind it is counts
        self._kinds = [name != NO_PATTERN for name in classifier.card.classes]
        free = [_free_ratios(name) for name in classifier.card.classes if name != NO_PATTERN]
        self._costs = _OCCAM * np.array(free)
        parts = -(-self._count // _PART)
        # every part with patterns from all over the stack
        self._parts = [lines[number::parts] for number in range(parts)]
        self._told: dict[tuple[Centre, int], float] = {}

    def best(self, centres: list[Centre]) -> Centre:
        """Return the centre of greatest merit, the first of equals."""
        sure = -float(self._costs.min()) * self._count
        queue = [
            (-self._merit(centre, sure), place, 0, sure) for place, centre in enumerate(centres)
        ]
        heapq.heapify(queue)
        while True:
            _, place, tried, sure = heapq.heappop(queue)
            if tried == len(self._parts):
                return centres[place]
            part = self._parts[tried]
            sure += self._sure(centres[place], tried) + float(self._costs.min()) * len(part.count)
            heapq.heappush(queue, (-self._merit(centres[place], sure), place, tried + 1, sure))

    def _merit(self, centre: Centre, sure: float) -> float:
        """Merit of a centre by the sum over the patterns of how sure the classifier is."""
        off = (np.array([centre[0], centre[1], math.log(centre[2])]) - _USUAL) / _SPREAD
        evidence = sure / self._count * min(self._count, _INDEPENDENT)
        return float(evidence - 0.5 * (off**2).sum())

    def _sure(self, centre: Centre, number: int) -> float:
        """Sum of the logarithms of how sure the classifier is, over a part of the patterns."""
        if (centre, number) not in self._told:
            card, judge = self._classifier.card, self._classifier
            square = np.array([band_view.centre_in_square(centre, self._shape)], np.float32)
            with torch.inference_mode():
                inputs = band_view.as_inputs(self._parts[number].bands(square, band_view.BANDS[0]))
                out = judge.network(*(one.to(judge.device) for one in inputs))
            logits = card.scale * out[judge.kind.head].float().cpu().numpy() + np.array(card.bias)
            logits = logits[:, self._kinds]
            told = logits - logsumexp(logits, axis=1, keepdims=True)
            self._told[centre, number] = float(logsumexp(told - self._costs, axis=1).sum())
        return self._told[centre, number]
