"""Static backgrounds that were found before, kept in the user's cache."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.files import cache_folder, replacing
from napari_diffraction.patterns.kikuchi.mask import StaticBackground, static_background
from napari_diffraction.patterns.stack import PatternStack

#: So many are kept, those found last.
_MOST = 20
#: Patterns, evenly spread over the stack, by which a stack is known again.
_KNOWN_BY = 32


def background_of_stack(stack: PatternStack) -> StaticBackground:
    """Return the static background of a stack, searched once for the same files.

    A stack is known again by names, sizes and times of its files and by some of its patterns; of
    one that comes from no file nothing is kept.

    Parameters
    ----------
    stack
        Patterns of one camera.

    Raises
    ------
    InputError
        No pattern can be read.
    """
    if len(stack) <= _KNOWN_BY:  # is found as quickly
        return static_background(stack)
    stamps = _stamps(stack)
    if not stamps:
        return static_background(stack)
    path = _folder() / f"{_key_of(stack, stamps)}.npz"
    kept = _recalled(path, stack.frame_shape)
    if kept is None:
        kept = static_background(stack)
        _keep(path, kept)
    return kept


def _stamps(stack: PatternStack) -> list[tuple[str, int, int]]:
    """Name, size and time of every file of a stack; nothing where one cannot be asked."""
    try:
        files = [(str(path), path.stat()) for path in map(Path, sorted(set(stack.sources)))]
    except OSError:
        return []
    return [(name, known.st_size, known.st_mtime_ns) for name, known in files]


def _key_of(stack: PatternStack, stamps: list[tuple[str, int, int]]) -> str:
    digest = hashlib.sha256(json.dumps([stack.data.shape, stack.dataset, stamps]).encode())
    for frame in _some(stack):
        digest.update(f"{frame.shape} {frame.dtype.str}".encode())
        digest.update(frame.tobytes())
    return digest.hexdigest()


def _some(stack: PatternStack) -> Iterator[NDArray[Any]]:
    """The background in the file, where it holds one, and the patterns that can be read."""
    if stack.background is not None:
        yield stack.background
    for index in np.linspace(0, len(stack) - 1, _KNOWN_BY).astype(int):
        with suppress(InputError):
            yield stack.frame(int(index))


def _recalled(path: Path, shape: tuple[int, int]) -> StaticBackground | None:
    """Return what is kept in a file; nothing where it is damaged or not there."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            mean, mask = kept["mean"], kept["mask"]
            usable, reason = bool(kept["usable"]), str(kept["reason"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    fits = mean.shape == mask.shape == shape and mean.dtype == np.float32 and mask.dtype == bool
    return StaticBackground(mean, mask, usable, reason) if fits else None


def _keep(path: Path, found: StaticBackground) -> None:
    """Keep a background for the next time, where there is room for it."""
    with suppress(InputError, OSError):  # else it is searched anew
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            np.savez(
                temporary,
                mean=found.mean,
                mask=found.mask,
                usable=found.usable,
                reason=found.reason,
            )
        by_age = sorted(path.parent.glob("*.npz"), key=lambda one: one.stat().st_mtime_ns)
        for old in by_age[:-_MOST]:
            old.unlink(missing_ok=True)


def _folder() -> Path:
    # another version may search otherwise
    return cache_folder() / "backgrounds"
