"""The net of a zonal pattern, fitted to its spots."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.indexing.zones.nets import ZoneNet, gauss_change

FloatArray = NDArray[np.float64]

#: Fewest spots on a net that is believed.
FEWEST = 6
#: Rounds of the robust fit, and deviations from which a spot no longer counts.
_ROUNDS, _CUT = 12, 4.0
#: Least scatter of a spot in pixels.
_LEAST_SCATTER = 0.05
#: Fewest spots from which the lens's distortion is judged, and how far it has to stand out.
_BENT_LEAST, _SURE = 16, 4.0
#: Fewest patterns from which the lens of all is known.
_SHARED_LEAST = 3
#: Share of the spots that has to lie on a coarser net.
_COARSER = 0.97
#: What tilt and camera do to lengths (relative) and angles (degrees), beside the scatter: with
#: these the deviations of simulated zones have the width that is told (benchmarks, part `nets`).
SYSTEMATIC = (0.00125, 0.06)


@dataclass(frozen=True, eq=False)
class NetFit:
    """A net in a pattern.

    Attributes
    ----------
    basis : ndarray of float64, (2, 2)
        Rows are the two shortest vectors in pixels, at an acute angle.
    origin : ndarray of float64, (2,)
        Place of the direct beam, x and y in pixels.
    covariance : ndarray of float64, (4, 4)
        Of the components of the basis, row after row, in pixels^2.
    distortion
        Share by which the lens shifts a spot outwards at the distance ``reach``.
    reach
        Distance of the farthest spot from the beam in pixels.
    used : ndarray of bool, (n,)
        Spots that the fit goes through.
    scatter
        Standard deviation of a spot's place in pixels.
    lens : tuple of float
        What this pattern alone says of the lens: the share by which it shifts a spot outwards over
        the square of its distance, in 1/pixel^2, and the standard uncertainty of that; infinite
        where the spots are too few.
    """

    basis: FloatArray
    origin: FloatArray
    covariance: FloatArray
    distortion: float
    reach: float
    used: NDArray[np.bool_]
    scatter: float
    lens: tuple[float, float]

    def net(
        self,
        pixel_size: float = 1.0,
        pattern: int | None = None,
        systematic: tuple[float, float] = SYSTEMATIC,
    ) -> ZoneNet:
        """Return the net by its lengths and angle.

        Parameters
        ----------
        pixel_size
            Reciprocal length of a pixel in 1/A.
        pattern
            Number of the pattern.
        systematic
            Uncertainty of lengths (relative) and of the angle (degrees) beside that of the places.
        """
        a, b = self.basis
        lengths = np.hypot(*self.basis.T)
        angle = float(np.degrees(np.arccos(np.clip(a @ b / lengths.prod(), -1, 1))))
        area = a[0] * b[1] - a[1] * b[0]
        sign = np.sign(area)
        turn_a = np.array([a[1], -a[0]]) / lengths[0] ** 2 * sign
        turn_b = np.array([-b[1], b[0]]) / lengths[1] ** 2 * sign
        jacobian = np.zeros((3, 4))
        jacobian[0, :2], jacobian[1, 2:] = a / lengths[0], b / lengths[1]
        jacobian[2] = np.degrees(np.concatenate([turn_a, turn_b]))
        spread = jacobian @ self.covariance @ jacobian.T
        spread += np.diag([*(systematic[0] * lengths) ** 2, systematic[1] ** 2])
        scale = np.array([pixel_size, pixel_size, 1.0])
        patterns = () if pattern is None else (pattern,)
        first, second = (lengths * pixel_size).tolist()
        return ZoneNet(first, second, angle, spread * np.outer(scale, scale), patterns).reduced()


def fit_net(
    position: FloatArray,
    node: NDArray[np.int64],
    zonal: NDArray[np.bool_],
    lens: float | None = None,
) -> NetFit | None:
    """Fit a net, its origin and the distortion of the lens to the spots of a zone.

    Parameters
    ----------
    position : ndarray of float64, (n, 2)
        x and y of all spots in pixels.
    node : ndarray of int64, (n, 2)
        Indices of the spots on the net, counted from the direct beam, as
        `napari_diffraction.indexing.spot_net.zonal.mark_zonal` finds them.
    zonal : ndarray of bool, (n,)
        Spots that belong to the zone.
    lens
        See `NetFit.lens`, where it is known from other patterns; ``None``: the distortion is
        refined, and taken off where the pattern shows it clearly.

    Returns
    -------
    NetFit or None
        ``None`` where too few spots span a net.
    """
    places = np.flatnonzero(zonal)
    xy, hk = position[places], node[places].astype(float)
    if len(places) < FEWEST or np.linalg.matrix_rank(hk) < 2:
        return None
    hk = _coarsened(hk)
    reach = float(np.hypot(*(xy - xy.mean(axis=0)).T).max())
    straight = _robust(xy, hk, 0.0, reach)
    if straight is None:
        return None
    best, eta, own = straight, 0.0, (0.0, np.inf)
    if len(places) >= _BENT_LEAST:
        bent, size, error = _bent(xy, hk, straight, reach)
        if bent is not None:
            own = size / reach**2, error / reach**2
            if abs(size) > _SURE * error:
                best, eta = bent, size
    if lens is not None:
        eta = lens * reach**2
        best = _robust(xy, hk, eta, reach) or straight
    solved, spread, weight, scatter = best
    change = gauss_change(solved[:2] @ solved[:2].T)
    turned = np.kron(change, np.eye(2))
    used = np.zeros(len(position), bool)
    used[places] = weight > 0
    return NetFit(
        change @ solved[:2],
        solved[2],
        turned @ np.kron(spread[:2, :2], np.eye(2)) @ turned.T,
        eta,
        reach,
        used,
        scatter,
        own,
    )


_Fit = tuple[FloatArray, FloatArray, FloatArray, float]


def _robust(xy: FloatArray, hk: FloatArray, eta: float, reach: float) -> _Fit | None:
    """Basis and origin, their covariance along one coordinate, weights of the spots, scatter."""
    weight = np.ones(len(xy))
    solved: FloatArray = np.zeros((3, 2))
    factor = np.ones(len(xy))
    scatter = 1.0
    for _ in range(_ROUNDS):
        rows = np.column_stack([hk * factor[:, None], np.ones(len(xy))])
        normal = rows.T @ (weight[:, None] * rows)
        if (weight > 0).sum() < FEWEST or np.linalg.cond(normal) > 1e10:
            return None
        solved = np.asarray(np.linalg.solve(normal, rows.T @ (weight[:, None] * xy)), float)
        rest = np.hypot(*(xy - rows @ solved).T)
        # the median of a Rayleigh distribution is 1.1774 of its deviation
        scatter = max(float(np.median(rest[weight > 0])) / 1.1774, _LEAST_SCATTER)
        weight = np.clip(1 - (rest / (_CUT * scatter)) ** 2, 0, None) ** 2
        radius = np.hypot(*(hk @ solved[:2]).T) / reach
        factor = 1 + eta * radius**2
    freedom = max(2 * weight.sum() - 6, 1.0)
    variance = max(float((weight * rest**2).sum()) / freedom, _LEAST_SCATTER**2)
    spread = np.linalg.inv(normal) * variance
    return solved, np.asarray(spread, float), weight, float(np.sqrt(variance))


def _bent(
    xy: FloatArray, hk: FloatArray, straight: _Fit, reach: float
) -> tuple[_Fit | None, float, float]:
    """The fit with the distortion that fits best, its size and its uncertainty."""
    fit: _Fit | None = straight
    eta, error = 0.0, 1.0
    inverse: FloatArray = np.eye(7)
    for _ in range(4):
        if fit is None:
            break
        solved, _, weight, scatter = fit
        flat = hk @ solved[:2]
        cube = flat * ((flat**2).sum(axis=1) / reach**2)[:, None]
        rows = np.column_stack([hk, np.ones(len(xy))])
        design = np.zeros((2 * len(xy), 7))
        design[0::2, 0:3], design[1::2, 3:6] = rows, rows
        design[0::2, 6], design[1::2, 6] = cube[:, 0], cube[:, 1]
        strength = np.repeat(weight, 2)
        normal = design.T @ (strength[:, None] * design)
        if np.linalg.cond(normal) > 1e14:
            break
        inverse = np.asarray(np.linalg.inv(normal), float)
        eta = float((inverse @ (design.T @ (strength * xy.ravel())))[6])
        error = float(np.sqrt(inverse[6, 6])) * scatter
        fit = _robust(xy, hk, eta, reach)
    if fit is None:
        return None, eta, error
    solved, _, weight, scatter = fit
    # what is not known of the distortion is not known of the lengths either
    spread = (inverse[:3, :3] + inverse[3:6, 3:6]) / 2 * scatter**2
    return (solved, spread, weight, scatter), eta, error


def _coarsened(hk: FloatArray) -> FloatArray:
    """Indices on the coarsest net that still holds nearly all spots."""
    for times in (2, 3):
        for change in _sublattices(times):
            moved = hk @ np.linalg.inv(change)
            inside = np.abs(moved - np.round(moved)).max(axis=1) < 1e-6
            if inside.mean() >= _COARSER and np.linalg.matrix_rank(moved[inside]) == 2:
                return _coarsened(np.asarray(np.round(moved), float))
    return hk


def _sublattices(index: int) -> list[FloatArray]:
    """Bases of the sublattices of an index, a prime, of a net."""
    columns = [np.array([[index, 0], [0, 1]], float)]
    return columns + [np.array([[1, p], [0, index]], float) for p in range(index)]


def shared_lens(fits: Iterable[NetFit]) -> float | None:
    """What patterns together say of the lens, see `NetFit.lens`; ``None``: nothing that is sure.

    One pattern seldom shows how much the lens bends, but all have the same one.
    """
    every = np.array([fit.lens for fit in fits if np.isfinite(fit.lens[1])]).reshape(-1, 2)
    if len(every) < _SHARED_LEAST:
        return None
    middle = float(np.median(every[:, 0]))
    near = np.abs(every[:, 0] - middle) < _CUT * np.maximum(every[:, 1], np.median(every[:, 1]))
    value, error = every[near].T
    weight = 1 / error**2
    mean = float((weight * value).sum() / weight.sum())
    excess = float((weight * (value - mean) ** 2).sum()) / max(len(value) - 1, 1)
    if abs(mean) < _SURE * np.sqrt(max(excess, 1.0) / weight.sum()):
        return None
    return mean
