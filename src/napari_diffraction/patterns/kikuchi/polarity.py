"""Whether the bands of Kikuchi patterns are bright or dark."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def is_inverted(pictures: NDArray[np.float32], weight: NDArray[np.float32]) -> bool:
    """Return whether bands are dark on a bright ground."""
    return False
