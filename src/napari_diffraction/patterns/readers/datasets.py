"""Which of the arrays in a file holds the patterns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_diffraction.errors import InputError

# Anything smaller is a table, not an image.
_SMALLEST_FRAME = 8
_LIKELY_NAMES = ("data", "images", "image", "patterns", "frames")


class AmbiguousDatasetError(InputError):
    """Several data sets of a file fit equally well.

    Parameters
    ----------
    path
        The file.
    names
        The data sets to choose from.
    """

    def __init__(self, path: str, names: Sequence[str]) -> None:
        self.path = path
        self.names = tuple(names)
        super().__init__(
            f"{path} holds several stacks that fit: {', '.join(names)}; name one with --dataset "
            "(in Python dataset=...)."
        )


@dataclass(frozen=True)
class Candidate:
    """An array inside a file.

    Attributes
    ----------
    name
        Its path inside the file.
    shape, dtype
        As stored.
    tier
        How clearly the file itself says that these are the images; 0: it does not.
    members
        The arrays that one after the other make up this one, where there are several.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    tier: int = 0
    members: tuple[tuple[str, int], ...] = ()


def stack_shape(shape: tuple[int, ...]) -> tuple[tuple[int, ...], bool] | None:
    """Return the shape of the stack that an array makes, and whether it has colours.

    Returns
    -------
    ((n, h, w) or (rows, columns, h, w), colours) or None
        ``None``: the array holds no images.
    """
    colours = len(shape) >= 3 and shape[-1] in (3, 4) and min(shape[-3:-1]) >= _SMALLEST_FRAME
    if colours:
        shape = shape[:-1]
    if len(shape) < 2 or min(shape[-2:]) < _SMALLEST_FRAME or min(shape) < 1:
        return None
    return (*lead_shape(shape[:-2]), *shape[-2:]), colours


def lead_shape(axes: tuple[int, ...]) -> tuple[int, ...]:
    """Return (n,) or (rows, columns) for the axes of an array before those of its patterns.

    Of more than two axes, those of length 1 are dropped; where more are left, as in several scans
    one after the other, the patterns are a list.
    """
    while len(axes) > 2 and 1 in axes:
        at = axes.index(1)
        axes = axes[:at] + axes[at + 1 :]
    return axes if 0 < len(axes) <= 2 else (math.prod(axes),)


def _fits(candidate: Candidate) -> bool:
    return candidate.dtype.kind in "buif" and stack_shape(candidate.shape) is not None


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:8])
    return f"{shown} and {len(names) - 8} more" if len(names) > 8 else shown


def _named(path: str, candidates: Sequence[Candidate], dataset: str) -> Candidate:
    wanted = dataset.strip("/")
    same = [c for c in candidates if c.name.strip("/") == wanted]
    same = same or [c for c in candidates if c.name.strip("/").endswith("/" + wanted)]
    if len(same) > 1:
        raise AmbiguousDatasetError(path, [c.name for c in same])
    if not same:
        others = [c.name for c in candidates if _fits(c)]
        hint = f"it has {_listed(others)}" if others else "it has no stack of images at all"
        raise InputError(f"{path} has no data set {dataset}: {hint}.")
    if not _fits(same[0]):
        raise InputError(
            f"{path}: the data set {dataset} ({same[0].dtype}, shape {same[0].shape}) holds no "
            "images; choose another."
        )
    return same[0]


def choose(
    path: str,
    candidates: Sequence[Candidate],
    dataset: str | None,
    unless_named: Sequence[Candidate] = (),
) -> Candidate:
    """Choose the array that holds the patterns.

    What the file itself marks as its images comes first, stacks before single images, the biggest
    before smaller ones, then one of a telling name.

    Parameters
    ----------
    path
        The file, for the error.
    candidates
        All arrays in it.
    dataset
        The name a person gave.
    unless_named
        Further arrays that are only taken when named.

    Raises
    ------
    AmbiguousDatasetError
        Several fit equally well.
    InputError
        None fits, or none is called `dataset`.
    """
    if dataset is not None:
        return _named(path, [*candidates, *unless_named], dataset)
    fitting = [c for c in candidates if _fits(c)]
    if not fitting:
        raise InputError(
            f"{path} holds no stack of images (no numeric array of two or more dimensions, at "
            f"least {_SMALLEST_FRAME}x{_SMALLEST_FRAME} pixels); choose another file."
        )

    def rank(candidate: Candidate) -> tuple[int, bool, int]:
        return candidate.tier, len(candidate.shape) > 2, math.prod(candidate.shape)

    best = max(map(rank, fitting))
    equal = [c for c in fitting if rank(c) == best]
    telling = [c for c in equal if c.name.rsplit("/", 1)[-1].lower() in _LIKELY_NAMES]
    if len(telling) == 1:
        equal = telling
    if len(equal) > 1:
        raise AmbiguousDatasetError(path, [c.name for c in equal])
    return equal[0]
