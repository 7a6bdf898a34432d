"""The ellipticity of a camera, from nets that show the same reciprocal vectors in many directions.

Crystals lie at random angles about the beam.  A vector that several zones have in common, or one
zone seen twice, has one length; a camera that stretches along a direction makes it longer there.
The stretch that makes most lengths recur is the camera's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

FloatArray = NDArray[np.float64]

#: Fewest nets from which a stretch is believed.
FEWEST = 8
#: Lengths recur within these shares of themselves, at first and at last.
_WIDTHS = (0.008, 0.003)
#: Stretches that are tried: as components of a symmetric matrix without trace.
_MOST, _STEPS = 0.04, 17
#: How much more often than without a stretch lengths have to recur.
_GAIN = 1.1


@dataclass(frozen=True)
class Ellipse:
    """A stretch of the pattern by ``1 + stretch`` along a direction.

    Attributes
    ----------
    stretch
        Share, 0 or more.
    angle
        Direction in degrees from x towards y, 0 to 180.
    """

    stretch: float
    angle: float

    @property
    def matrix(self) -> FloatArray:
        """Matrix, (2, 2), that turns true into measured vectors (columns).

        Areas stay as they are: the scale of a pattern, which rings or the mean of all directions
        tell, is the geometric mean of those along the stretch and across it.
        """
        c, s = np.cos(np.radians(self.angle)), np.sin(np.radians(self.angle))
        longer = np.eye(2) + self.stretch * np.outer([c, s], [c, s])
        return np.asarray(longer / np.sqrt(1 + self.stretch))

    def corrected(self, basis: FloatArray) -> FloatArray:
        """Return vectors, rows, as a camera without the stretch shows them."""
        return np.asarray(basis @ np.linalg.inv(self.matrix).T)


def find_ellipse(bases: Sequence[FloatArray]) -> Ellipse | None:
    """Find the stretch from the bases of nets, each (2, 2), in pixels.

    Returns
    -------
    Ellipse or None
        ``None`` where the nets are too few or nothing speaks for a stretch.
    """
    if len(bases) < FEWEST:
        return None
    vectors = np.array([[a, b, a + b, a - b] for a, b in bases])
    owner = np.repeat(np.arange(len(bases)), 4)
    i, j = np.triu_indices(len(owner), 1)
    apart = owner[i] != owner[j]
    i, j = i[apart], j[apart]
    flat = vectors.reshape(-1, 2)
    close = np.abs(_logarithms(flat, (0.0, 0.0))[i] - _logarithms(flat, (0.0, 0.0))[j])
    near = close < 2 * _MOST + 3 * _WIDTHS[0]
    i, j = i[near], j[near]

    def recur(parts: FloatArray, width: float) -> float:
        logs = _logarithms(flat, (float(parts[0]), float(parts[1])))
        return float(np.exp(-0.5 * ((logs[i] - logs[j]) / width) ** 2).sum())

    grid = np.linspace(-_MOST, _MOST, _STEPS)
    trials = [np.array([p, q]) for p in grid for q in grid if np.hypot(p, q) <= _MOST * 1.001]
    best = max(trials, key=lambda parts: recur(parts, _WIDTHS[0]))
    for width in _WIDTHS:
        best = minimize(lambda parts, w=width: -recur(parts, w), best, method="Nelder-Mead").x
    if recur(best, _WIDTHS[1]) < _GAIN * recur(np.zeros(2), _WIDTHS[1]):
        return None
    size = float(np.hypot(*best))
    angle = float(np.degrees(np.arctan2(best[1], best[0])) / 2 % 180)
    return Ellipse((1 + size) / (1 - size) - 1, angle)


def _logarithms(vectors: FloatArray, parts: tuple[float, float]) -> FloatArray:
    """Logarithms of lengths after a stretch by 1 + p along one direction is taken off."""
    p, q = parts
    back = np.linalg.inv(np.array([[1 + p, q], [q, 1 - p]]))
    return np.asarray(0.5 * np.log(((vectors @ back.T) ** 2).sum(axis=1)))
