"""Two-dimensional nets of zones: what is measured of them, and equal ones put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.errors import InputError

FloatArray = NDArray[np.float64]

#: Two nets are one if their three numbers differ by no more than chance does (chi squared of 3),
_SAME = 11.3
#: and not by more than this share of their lengths (or radians) either, however unsure they are.
_NEAR = 0.03
#: Vectors that are nearer than so many degrees to one line span no net that could be measured.
_ON_A_LINE = 1.0


@dataclass(frozen=True, eq=False)
class ZoneNet:
    """The net of a zone, reduced after Gauss.

    Attributes
    ----------
    first, second
        Lengths of its two shortest vectors in 1/A (or in any unit, if the scale is not known),
        ``first <= second``.
    angle
        Between them in degrees, 60 to 90 but for what errors do.
    covariance : ndarray of float64, (3, 3)
        Of first, second and angle, in their units.
    patterns
        Numbers of the patterns that show it.
    """

    first: float
    second: float
    angle: float
    covariance: FloatArray
    patterns: tuple[int, ...] = ()

    @classmethod
    def measured(
        cls,
        first: float,
        second: float,
        angle: float,
        su: tuple[float, float, float],
        pattern: int | None = None,
    ) -> ZoneNet:
        """Make a net of any two vectors that span it, with independent uncertainties.

        Parameters
        ----------
        first, second
            Lengths in 1/A.
        angle
            Degrees, 1 to 179.
        su
            Standard uncertainties of the three.
        pattern
            Number of the pattern.

        Raises
        ------
        InputError
            The numbers span no net.
        """
        numbers = np.array([first, second, angle, *su], float)
        flat = not _ON_A_LINE <= angle <= 180 - _ON_A_LINE
        if not np.isfinite(numbers).all() or min(numbers) <= 0 or flat:
            raise InputError(
                f"Lengths {first:g}, {second:g} and angle {angle:g} span no net: give two positive "
                f"lengths, an angle between {_ON_A_LINE:g} and {180 - _ON_A_LINE:g} degrees and "
                "positive uncertainties."
            )
        spread = np.diag(np.square(np.asarray(su, float)))
        patterns = () if pattern is None else (pattern,)
        return cls(first, second, angle, spread, patterns).reduced()

    @property
    def su(self) -> FloatArray:
        """Standard uncertainties of first, second and angle, (3,)."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def area(self) -> float:
        """Area of the mesh in 1/A^2."""
        return float(self.first * self.second * np.sin(np.radians(self.angle)))

    @property
    def products(self) -> FloatArray:
        """Squares of the two vectors and their scalar product, in 1/A^2, (3,)."""
        a, b = self.first, self.second
        return np.array([a * a, b * b, a * b * np.cos(np.radians(self.angle))])

    @property
    def products_covariance(self) -> FloatArray:
        """Covariance of `products`, (3, 3)."""
        jacobian = self._jacobian()
        return np.asarray(jacobian @ self.covariance @ jacobian.T)

    def _jacobian(self) -> FloatArray:
        a, b, angle = self.first, self.second, np.radians(self.angle)
        c, s = np.cos(angle), np.sin(angle)
        return np.array([[2 * a, 0, 0], [0, 2 * b, 0], [b * c, a * c, -a * b * np.radians(s)]])

    def reduced(self) -> ZoneNet:
        """Return the net by its two shortest vectors, at an acute angle."""
        metric = _matrix(self.products)
        change = gauss_change(metric)
        if np.array_equal(change, np.eye(2)):
            return self
        moved = np.array([_products(change @ _matrix(unit) @ change.T) for unit in np.eye(3)]).T
        return of_products(moved @ self.products, moved @ self.products_covariance @ moved.T,
                           self.patterns)  # fmt: skip


def of_products(products: FloatArray, covariance: FloatArray, patterns: tuple[int, ...]) -> ZoneNet:
    """Make a net of the squares and the scalar product of two vectors that are reduced."""
    a, b = np.sqrt(products[:2])
    cosine = np.clip(products[2] / (a * b), -1, 1)
    net = ZoneNet(float(a), float(b), float(np.degrees(np.arccos(cosine))), np.eye(3), patterns)
    back = np.linalg.inv(net._jacobian())
    return ZoneNet(net.first, net.second, net.angle, back @ covariance @ back.T, patterns)


def gauss_change(metric: FloatArray) -> FloatArray:
    """Integers, (2, 2), that turn a basis (rows) with some metric into its two shortest vectors."""
    change = np.eye(2)
    for _ in range(100):
        g = change @ metric @ change.T
        if g[1, 1] < g[0, 0]:
            change = change[::-1]
            continue
        steps = np.round(g[0, 1] / g[0, 0])
        if steps == 0:
            break
        change = np.array([change[0], change[1] - steps * change[0]])
    if (change @ metric @ change.T)[0, 1] < 0:
        change = np.array([change[0], -change[1]])
    return change


def distinct(nets: Sequence[ZoneNet]) -> list[list[int]]:
    """Gather nets that are one and the same within their uncertainties.

    Returns
    -------
    list of list of int
        Numbers of the nets of each group, the groups with most members first.
    """
    groups: list[list[int]] = []
    means: list[ZoneNet] = []
    for number, net in enumerate(nets):
        close = [
            (_difference(net, mean), place)
            for place, mean in enumerate(means)
            if _close(net, mean)
        ]  # fmt: skip
        if close and min(close)[0] < _SAME:
            place = min(close)[1]
            groups[place].append(number)
            means[place] = mean_net([nets[i] for i in groups[place]])
        else:
            groups.append([number])
            means.append(net)
    return sorted(groups, key=lambda one: (-len(one), one[0]))


def mean_net(nets: Sequence[ZoneNet]) -> ZoneNet:
    """Weighted mean of nets that are the same."""
    if len(nets) == 1:
        return nets[0]
    weights = [np.linalg.inv(one.products_covariance) for one in nets]
    spread = np.linalg.inv(np.sum(weights, axis=0))
    total = np.sum([w @ one.products for w, one in zip(weights, nets, strict=True)], axis=0)
    return of_products(spread @ total, spread, sum((one.patterns for one in nets), ()))


def _close(one: ZoneNet, other: ZoneNet) -> bool:
    lengths = np.log([one.first / other.first, one.second / other.second])
    angle = np.radians(one.angle - other.angle)
    return bool(max(*np.abs(lengths), abs(angle)) < _NEAR)


def _difference(one: ZoneNet, other: ZoneNet) -> float:
    """Chi squared of the difference of two nets."""
    away = one.products - other.products
    spread = one.products_covariance + other.products_covariance
    return float(away @ np.linalg.solve(spread, away))


def _matrix(products: FloatArray) -> FloatArray:
    return np.array([[products[0], products[2]], [products[2], products[1]]])


def _products(metric: FloatArray) -> FloatArray:
    return np.array([metric[0, 0], metric[1, 1], metric[0, 1]])
