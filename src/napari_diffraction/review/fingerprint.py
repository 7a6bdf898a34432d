"""The name under which the review of a stack is kept."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path

import numpy as np

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.stack import PatternStack


def stack_key(stack: PatternStack) -> str:
    """Return a short name that is the same whenever the same stack is opened.

    It is made of the absolute paths of the source files, size and time of change of the first,
    the data set, the shape and the dtype.  Data without files are told by their first and last
    pattern.

    Returns
    -------
    str
        24 hexadecimal digits.
    """
    facts = {
        "dataset": stack.dataset,
        "shape": list(stack.data.shape),
        "dtype": str(stack.data.dtype),
        "sources": [str(Path(source).absolute()) for source in stack.sources],
        "events": list(stack.events),
    }
    digest = hashlib.sha256()
    if stack.sources:
        facts["file"] = _size_and_time(Path(stack.sources[0]))
    else:
        facts["name"] = stack.name
        for index in {0, len(stack) - 1} if len(stack) else ():
            with suppress(InputError):  # an unreadable pattern tells nothing
                digest.update(np.ascontiguousarray(stack.frame(index)).tobytes())
    digest.update(json.dumps(facts, sort_keys=True).encode())
    return digest.hexdigest()[:24]


def _size_and_time(path: Path) -> list[int]:
    try:
        status = path.stat()
    except OSError:  # remote, or gone since it was opened
        return []
    return [status.st_size, status.st_mtime_ns]
