"""Reading a part of a dask array at once, in the thread that asks for it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def at_once(part: Any) -> NDArray[Any]:
    """Compute a dask array in this thread, unseen by callbacks that other code has registered.

    napari registers dask's cache for the whole process, which fails (`KeyError`) where several
    threads compute at the same time.

    Parameters
    ----------
    part : dask array
        Of any shape.
    """
    return np.asarray(part.compute(scheduler="synchronous", callbacks=()))
