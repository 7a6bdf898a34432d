"""What the profile of a band tells of the row of reflectors behind it.

Each order of a systematic row adds an edge at its Bragg angle: bright inside, dark outside, as the
two-beam intensity of anomalously absorbed electrons is, ``w / (1 + w^2)`` with ``w`` proportional
to the angle to the Bragg condition (Reimer 1998, Scanning Electron Microscopy, section 9.1),
widened by the camera.  A profile is then a Gaussian vector whose covariance follows from the orders
that there are: their heights are not known but have a usual size, and so has what the model lacks.
By this every lattice gives the profiles of all directions a likelihood (Rasmussen and Williams
2006, Gaussian Processes for Machine Learning, section 2.7), in which orders that are not seen cost
little, and edges where a lattice has no vectors much.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from napari_diffraction.indexing.bands.families import BandFamilies
from napari_diffraction.patterns.kikuchi.bands.profiles import ANGLES

FloatArray = NDArray[np.float64]

#: Steps of a profile that are looked at.
_STEPS = 33
_ANGLES = ANGLES[:_STEPS]
#: Bragg angles at which edges are prepared, and the widest that adds to a profile.
_GRID = np.arange(0.1, 7.01, 0.05)
_FIRST, _LAST = 0.15, 6.6
#: Widths of edges in degrees; the height of their even part, and where it has doubled.
_WIDTHS, _EVEN, _WIDER = (0.2, 0.5, 1.2), 0.15, 2.5
#: Edges lie a little inside of the Bragg angle.
_INSIDE = 0.92
#: Heights fall with the third power of the angle beyond this one.
_FALL = 1.5
#: What the model lacks: anywhere, in parts of the profile, and over how many degrees.
_LACK, _LACK_SHARE, _LACK_LENGTH, _FLICKER = 0.01, 0.15, 0.3, 0.003
#: Orders that are looked at; how many of those that tell must be bright inside.
_ORDERS, _BRIGHT = np.arange(1, 13), 3
#: Heights of all bands, and of those that tell a lattice from a coarser one in parts of these.
_STRENGTHS = np.array([0.35, 0.6, 1.0, 1.6, 2.5])
_SHARES = (0.1, 0.2, 0.4, 0.8)
#: Bragg angle from which on an order tells nothing.
_TELLS = 6.0
#: More than the square of any row that is divided by a root.
_ENOUGH = 1e30


@lru_cache(maxsize=8)
def _edges(blur: float) -> tuple[FloatArray, FloatArray]:
    """Covariance of an edge at every angle of the grid, (m, s, s), and its bright side, (m, s)."""
    offsets = np.arange(-4, 5) * blur / 2
    shares = np.exp(-0.5 * (offsets / blur) ** 2)
    shares /= shares.sum()
    angle = _ANGLES + offsets[:, None]
    covariance, bright = [], []
    for bragg in _GRID:
        even = _EVEN * (1 + (bragg / _WIDER) ** 2)
        total, side = np.zeros((_STEPS, _STEPS)), np.zeros(_STEPS)
        for width in _WIDTHS:
            inner, outer = ((_INSIDE * bragg + sign * angle) / width for sign in (-1, 1))
            odd = shares @ (inner / (1 + inner**2) + outer / (1 + outer**2))
            peak = even * (shares @ (1 / (1 + inner**2) + 1 / (1 + outer**2)))
            total += np.outer(odd, odd) + np.outer(peak, peak)
            side += odd
        covariance.append(total)
        bright.append(side)
    return np.array(covariance), np.array(bright)


def _usual(angle: FloatArray) -> FloatArray:
    """Variance of the height of an edge."""
    return np.asarray(1 / (1 + (angle / _FALL) ** 3) ** 2)


class Rows:
    """Profiles of families of bands as they are expected of the rows of a lattice.

    Parameters
    ----------
    families
        What is seen along directions.
    """

    def __init__(self, families: BandFamilies) -> None:
        profiles = families.profiles
        self._families = families
        self._length = families.length[families.place]
        self._covariance, self._bright = _edges(round(families.blur, 1))
        self._value = profiles.value[:, :_STEPS]
        apart, mirrored = (_ANGLES[:, None] + sign * _ANGLES for sign in (-1, 1))
        smooth = sum(np.exp(-0.5 * (one / _LACK_LENGTH) ** 2) for one in (apart, mirrored))
        size = np.mean(self._value**2, axis=1)[:, None, None]
        # the mean of a profile is not known: it was taken off
        self._noise = (_LACK**2 + _LACK_SHARE**2 * size) * smooth + np.ones((_STEPS, _STEPS))
        along = np.arange(_STEPS)
        self._noise[:, along, along] += _FLICKER**2 + profiles.noise**2 / np.maximum(
            profiles.area[:, :_STEPS], 0.5
        )
        self._nothing = _log_likelihood(self._value, self._noise)
        self._told: dict[tuple[float, ...], FloatArray] = {}

    def evidence(self, lattice: FloatArray, scale: float) -> tuple[float, float]:
        """Return the log evidence for the bands of a lattice, and how high their edges are.

        Parameters
        ----------
        lattice : ndarray of float64, (3, 3)
            Columns: reciprocal vectors.
        scale
            Bragg angle in degrees of a vector of length 1.
        """
        first = self._families.first_orders(lattice)[self._families.place]
        first = np.where(np.isfinite(first), first, 1e9) * scale
        rows = self._rows(first[:, None] * _ORDERS)
        gains = [
            float((_log_likelihood(self._value, self._noise + a**2 * rows) - self._nothing).sum())
            for a in _STRENGTHS
        ]
        return max(gains), float(_STRENGTHS[int(np.argmax(gains))])

    def telling(self, coarse: FloatArray, fine: FloatArray, scale: float, strength: float) -> float:
        """Return the log evidence for edges where a fine lattice has vectors and a coarse one none.

        Parameters
        ----------
        coarse, fine : ndarray of float64, (3, 3)
            Columns: reciprocal vectors.
        scale
            Bragg angle in degrees of a vector of length 1.
        strength
            How high the edges of the coarse lattice are.
        """
        families = self._families
        ratio = families.first_orders(coarse) / families.length
        # a family is one to the coarse lattice only where all of its members are
        inside = np.zeros(len(self._length))
        np.maximum.at(inside, families.family, ratio)
        first = (families.first_orders(fine) / families.length)[families.place]
        times = np.full(len(first), np.inf)
        both = np.isfinite(inside) & np.isfinite(first)
        times[both] = inside[both] / first[both]
        angle = np.where(np.isfinite(first), first, 1e9) * self._length * scale
        concerned = (np.abs(times - 1) > 0.01) & (angle < _TELLS)
        gains = np.zeros(len(_SHARES))
        # few kinds of rows occur, and one kind in many lattices
        for one, other in {
            (round(a, 4), round(b, 4))
            for a, b in zip(first[concerned], times[concerned], strict=True)
        }:
            own = concerned & (np.abs(first - one) < 1e-3)
            own &= (times == other) if np.isinf(other) else (np.abs(times - other) < 1e-3)
            gains += self._of_kind(one, other, scale, strength)[:, own].sum(axis=1)
        return float(np.logaddexp.reduce(gains) - np.log(len(gains)))

    def _of_kind(self, first: float, times: float, scale: float, strength: float) -> FloatArray:
        """Evidence of every family, were its orders ``first`` and all but ``times`` of them new."""
        kind = (first, times, scale, strength)
        if kind not in self._told:
            angle = first * self._length[:, None] * scale * _ORDERS
            known = np.zeros(len(_ORDERS), bool)
            if np.isfinite(times):
                known = np.abs(_ORDERS / times - np.rint(_ORDERS / times)) < 0.01
                known &= times - 0.01 < _ORDERS
            few = np.flatnonzero(angle[:, 0] < _TELLS)
            noise = self._noise[few] + strength**2 * self._rows(angle[few][:, known])
            rows = self._rows(angle[few][:, ~known])
            without = _log_likelihood(self._value[few], noise)
            out = np.zeros((len(_SHARES), len(self._length)))
            for place, share in enumerate(_SHARES):
                height = (strength * share) ** 2
                gain = self._bright_inside(
                    few, noise + height * rows, angle[few][:, ~known], height
                )
                out[place, few] = gain - without
            self._told[kind] = out
        return self._told[kind]

    def _bright_inside(
        self, few: NDArray[np.int64], covariance: FloatArray, angle: FloatArray, height: float
    ) -> FloatArray:
        """Log likelihood of profiles whose new edges are bright inside."""
        angle = angle[:, :_BRIGHT]
        usual = height * _usual(angle)
        sides = [
            one[:, None] * _between(self._bright, column)
            for one, column in zip(usual.T, angle.T, strict=True)
        ]
        out, white, *parts = _whitened(covariance, self._value[few], *sides)
        for order, part in enumerate(parts):
            seen = (angle[:, order] > 2 * _FIRST) & (angle[:, order] < _TELLS)
            mean = (part[seen] * white[seen]).sum(axis=1)
            variance = len(_WIDTHS) * usual[seen, order] - (part[seen] ** 2).sum(axis=1)
            out[seen] += np.log(2) + log_ndtr(mean / np.sqrt(np.maximum(variance, 1e-12)))
        return out

    def _rows(self, angle: FloatArray) -> FloatArray:
        """Covariance of profiles with edges at some Bragg angles, (f, orders)."""
        total = np.zeros((len(angle), _STEPS, _STEPS))
        for column in angle.T:
            lit = (column > _FIRST) & (column < _LAST)
            if lit.any():
                usual = _usual(column[lit])[:, None, None]
                total[lit] += usual * _between(self._covariance, column[lit])
        return total


def _between(table: FloatArray, angle: FloatArray) -> FloatArray:
    """Values of a table at angles between those of the grid."""
    place = (angle - _GRID[0]) / (_GRID[1] - _GRID[0])
    low = np.clip(place.astype(np.int64), 0, len(_GRID) - 2)
    part = (place - low).reshape(-1, *(1,) * (table.ndim - 1))
    return np.asarray((1 - part) * table[low] + part * table[low + 1])


def _log_likelihood(value: FloatArray, covariance: FloatArray) -> FloatArray:
    """Log density of Gaussian vectors of mean zero, without its constant."""
    return _whitened(covariance, value)[0]


def _whitened(covariance: FloatArray, value: FloatArray, *others: FloatArray) -> list[FloatArray]:
    """Log density of vectors, and they and others over the root of their covariance.

    Rows that stand below a matrix when its root is taken come out of it divided by that root.
    """
    count, steps = value.shape
    rows = np.stack([value, *others], axis=1)
    wide = np.zeros((count, steps + rows.shape[1], steps + rows.shape[1]))
    wide[:, :steps, :steps] = covariance
    wide[:, steps:, :steps] = rows  # what is above the diagonal is not looked at
    below = np.arange(steps, wide.shape[1])
    wide[:, below, below] = _ENOUGH
    root = np.linalg.cholesky(wide)
    white = root[:, steps:, :steps].transpose(1, 0, 2)
    along = np.arange(steps)
    density = -0.5 * (white[0] ** 2).sum(axis=1) - np.log(root[:, along, along]).sum(axis=1)
    return [density, *white]
