"""Whether patterns that a model was trained on are among those it is judged by."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Generator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import Progress

#: Entry of a model file's heading that holds the digests of its training patterns, joined.
HASHES = "training_hashes"
#: Hexadecimal digits of a digest: among 200,000 patterns two are alike by chance once in 10^9.
DIGITS = 16
_STEP = 64


def content_hash(frame: NDArray[Any]) -> str:
    """Return a short digest of what a pattern shows, whatever file and dtype hold it.

    Parameters
    ----------
    frame : (h, w)

    Returns
    -------
    str
        16 hexadecimal digits of the SHA-1 of the shape and the values as float32.
    """
    values = np.ascontiguousarray(frame, dtype="<f4")
    digest = hashlib.sha1(str(values.shape).encode(), usedforsecurity=False)
    digest.update(values.tobytes())
    return digest.hexdigest()[:DIGITS]


def training_hashes(model: str | Path) -> frozenset[str]:
    """Read the digests of the patterns that a model was trained on; empty where it keeps none.

    Raises
    ------
    InputError
        The file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(model), "np") as file:
            joined = (file.metadata() or {}).get(HASHES, "")
    except (SafetensorError, OSError) as error:
        raise InputError(f"{model} is damaged or gone: fetch or train it anew.") from error
    return frozenset(joined[at : at + DIGITS] for at in range(0, len(joined), DIGITS))


def find_known(
    stack: PatternStack, hashes: Collection[str]
) -> Generator[Progress, None, NDArray[np.int64]]:
    """Find the patterns of a stack that a model was trained on.

    Parameters
    ----------
    stack
        Patterns.
    hashes
        From `training_hashes`.

    Returns
    -------
    ndarray
        Flat numbers; patterns that cannot be read are not among them.
    """
    known = []
    for first in range(0, len(stack), _STEP):
        indices = range(first, min(first + _STEP, len(stack)))
        for index, frame in zip(indices, stack.frames(indices), strict=True):
            if frame is not None and content_hash(frame) in hashes:
                known.append(index)
        yield Progress(indices.stop, len(stack), "Looking for patterns of the training")
    return np.array(known, dtype=np.int64)
