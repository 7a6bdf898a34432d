"""Bands of Kikuchi patterns: where their planes lie, and the profile across each of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_diffraction.patterns.sorting import order_down

#: Slopes on either side of the diagonal, so that a maximum on it lies inside of one family.
_SLOPES = np.tan(np.radians(np.arange(-47.5, 48.0, 2.5))).astype(np.float32)
#: Half widths of the inside and of the whole of a filter, in pixels, for squares of few pixels and
#: of more than `_FEW`.
_FILTERS = np.array([[1, 4], [2, 6], [4, 9]])
_FINER_FILTERS = np.array([[1, 4], [2, 6], [3, 9], [6, 14]])
_FEW = 80
#: Bins of a profile; an odd number, the middle one lying on the plane itself.
PROFILE_BINS = 25
#: A profile reaches as far as this sine of the angle to the plane.
PROFILE_SPAN = 0.14
#: Cosine of the angle within which two maxima are one band (3 degrees).
_SAME = 0.9986
#: Least number of pixels inside a filter, and outside, over the side of the square.
_INSIDE, _OUTSIDE = 12 / 64, 20 / 64
_WEAKEST = 0.5
_MOST = 3000
#: Pictures whose lines are kept at once.
_BLOCK = 64


@dataclass(frozen=True, eq=False)
class Bands:
    """Bands found in ``n`` pictures, the most distinct first, up to ``k`` in each.

    Attributes
    ----------
    normal : ndarray of float32, (n, k, 3)
        Unit normals of the planes in the detector's frame: x to the right, y up, z from the sample
        to the screen.
    strength : ndarray of float32, (n, k)
        Contrast to either side in units of its own noise, were the pixels independent.
    profile : ndarray of float32, (n, k, 25)
        Mean intensity at equal steps of the sine of the angle to the plane.
    area : ndarray of float32, (n, k, 25)
        Number of pixels behind each value of the profile.
    count : ndarray of int64, (n,)
        How many were found.
    """

    normal: NDArray[np.float32]
    strength: NDArray[np.float32]
    profile: NDArray[np.float32]
    area: NDArray[np.float32]
    count: NDArray[np.int64]


def find_bands(
    pictures: NDArray[np.float32],
    weights: NDArray[np.float32],
    pc: NDArray[np.float32],
    most: int = 20,
) -> Bands:
    """Find bright bands by sums along lines, and measure their profiles.

    The sums are taken along straight lines at equal steps of the angle (a Radon transform by
    shears; Joseph 1982, IEEE Trans. Med. Imaging 1, 192-196), each divided by the weight it met, so
    that a mask is left out and not filled.  Profiles are taken along true small circles about the
    band's normal, as on the sphere bands of one plane have one width (Hielscher, Bartel and Britton
    2019, Ultramicroscopy 207, 112836).

    Parameters
    ----------
    pictures : ndarray of float32, (n, s, s)
        Squares without background, zero mean and unit deviation.
    weights : ndarray of float32, (n, s, s) or (1, s, s)
        1 where the screen is lit, 0 behind a mask.
    pc : ndarray of float32, (n, 3) or (1, 3)
        Pattern centre in Bruker's convention, as fractions of the square's side.
    most
        Greatest number of bands in a picture.
    """
    blocks = [
        find_lines(pictures[at : at + _BLOCK], _part(weights, at)).bands(_part(pc, at), most)
        for at in range(0, len(pictures), _BLOCK)
    ] or [find_lines(pictures, weights).bands(pc, most)]
    if len(blocks) == 1:
        return blocks[0]
    names = [field.name for field in fields(Bands)]
    return Bands(*(np.concatenate([getattr(one, name) for one in blocks]) for name in names))


def _part(values: NDArray[np.float32], at: int) -> NDArray[np.float32]:
    """Return what belongs to a block of pictures; one is for all."""
    return values[at : at + _BLOCK] if len(values) > 1 else values


@dataclass(frozen=True, eq=False)
class Lines:
    """Lines of bands in ``n`` pictures, whatever the pattern centre.

    Attributes
    ----------
    pictures, weights : ndarray of float32
        See `find_bands`.
    line : ndarray of float64, (n, m, 4)
        Of each: a, b and c of ``a column + b row = c`` in pixels, and its contrast over noise; the
        most distinct first.
    count : ndarray of int64, (n,)
        How many there are.
    """

    pictures: NDArray[np.float32]
    weights: NDArray[np.float32]
    line: NDArray[np.float64]
    count: NDArray[np.int64]

    def bands(self, pc: NDArray[np.float32], most: int = 20) -> Bands:
        """Place the lines' planes in space, each once, and measure their profiles.

        Parameters
        ----------
        pc, most
            See `find_bands`.
        """
        n = len(self.pictures)
        found = Bands(
            np.zeros((n, most, 3), np.float32),
            np.zeros((n, most), np.float32),
            np.zeros((n, most, PROFILE_BINS), np.float32),
            np.zeros((n, most, PROFILE_BINS), np.float32),
            np.zeros(n, np.int64),
        )
        _measure(
            *(self.pictures, self.weights, np.ascontiguousarray(pc, np.float32)),
            *(self.line, self.count),
            *(found.normal, found.strength, found.profile, found.area, found.count),
        )
        return found

    def __getitem__(self, which: slice) -> Lines:
        """Return the lines of some of the pictures."""
        weights = self.weights[which] if len(self.weights) > 1 else self.weights
        return Lines(self.pictures[which], weights, self.line[which], self.count[which])


def find_lines(pictures: NDArray[np.float32], weights: NDArray[np.float32]) -> Lines:
    """First part of `find_bands`, which the pattern centre has no part in."""
    pictures = np.ascontiguousarray(pictures, np.float32)
    weights = np.ascontiguousarray(weights, np.float32)
    line, count = np.zeros((len(pictures), _MOST, 4)), np.zeros(len(pictures), np.int64)
    filters = _FILTERS if pictures.shape[-1] <= _FEW else _FINER_FILTERS
    _find(pictures, weights, _SLOPES, filters, line, count)
    return Lines(pictures, weights, line, count)


@njit(fastmath=True, nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _find(pictures: Any, weights: Any, slopes: Any, filters: Any, line: Any, count: Any) -> None:
    n, side = pictures.shape[0], pictures.shape[1]
    families = 2 * len(slopes)
    width = side + side // 2
    sums = np.zeros((families, width), np.float32)
    lit = np.zeros((families, width), np.float32)
    contrast = np.zeros((families, width), np.float32)
    maxima = np.zeros((_MOST, 3), np.float32)
    padded = np.zeros((side, 3 * side), np.float32)
    for i in range(n):
        weight = weights[i if len(weights) > 1 else 0]
        if i == 0 or len(weights) > 1:
            _radon(weight, weight, slopes, padded, lit)
        _radon(pictures[i], weight, slopes, padded, sums)
        _filter(sums, lit, filters, side, contrast)
        count[i] = _maxima(contrast, len(slopes), maxima)
        _lines(maxima, count[i], contrast, slopes, side, line[i])


@njit(fastmath=True, nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _measure(
    pictures: Any,
    weights: Any,
    pc: Any,
    line: Any,
    lines: Any,
    normal: Any,
    strength: Any,
    profile: Any,
    area: Any,
    count: Any,
) -> None:
    n, side = pictures.shape[0], pictures.shape[1]
    far = np.zeros((side, side), np.float32)
    for i in range(n):
        weight = weights[i if len(weights) > 1 else 0]
        centre = pc[i if len(pc) > 1 else 0]
        count[i] = _planes(line[i, : lines[i]], side, centre, normal[i], strength[i])
        if i == 0 or len(pc) > 1:
            _distances(centre, far)
        _profiles(pictures[i], weight, centre, far, normal[i], count[i], profile[i], area[i])


@njit(fastmath=True, nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _radon(picture: Any, weight: Any, slopes: Any, padded: Any, sums: Any) -> None:
    """Sums along x = t + slope (y - c), then along y = t + slope (x - c), by t from -s/4."""
    side = picture.shape[0]
    width = sums.shape[1]
    middle = (side - 1) / 2
    for turned in range(2):
        for row in range(side):
            for column in range(side):
                if turned:
                    value = picture[column, row] * weight[column, row]
                else:
                    value = picture[row, column] * weight[row, column]
                padded[row, side + column] = value
        for k in range(len(slopes)):
            line = sums[turned * len(slopes) + k]
            for t in range(width):
                line[t] = 0.0
            for row in range(side):
                shift = slopes[k] * (row - middle) - side // 4 + side
                whole = math.floor(shift)
                part = np.float32(shift - whole)
                rest = np.float32(1) - part
                left = padded[row, whole : whole + width]
                right = padded[row, whole + 1 : whole + 1 + width]
                for t in range(width):
                    line[t] += rest * left[t] + part * right[t]


@njit(fastmath=True, nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _filter(sums: Any, lit: Any, filters: Any, side: int, contrast: Any) -> None:
    """Best contrast of inside and outside among the filters, in units of its noise."""
    families, width = sums.shape
    least_inside, least_outside = np.float32(_INSIDE * side), np.float32(_OUTSIDE * side)
    total = np.zeros(width + 1, np.float32)
    weight = np.zeros(width + 1, np.float32)
    one, none = np.float32(1), np.float32(0)
    for k in range(families):
        for t in range(width):
            total[t + 1] = total[t] + sums[k, t]
            weight[t + 1] = weight[t] + lit[k, t]
        contrast[k] = 0
        for near, wide in filters:
            size = width - 2 * wide
            best = contrast[k, wide : wide + size]
            mine, more = total[wide - near :], total[wide + near + 1 :]
            all_mine, all_more = total[:size], total[2 * wide + 1 :]
            light, lighter = weight[wide - near :], weight[wide + near + 1 :]
            all_light, all_lighter = weight[:size], weight[2 * wide + 1 :]
            for t in range(size):
                inside = lighter[t] - light[t]
                outside = all_lighter[t] - all_light[t] - inside
                bright = more[t] - mine[t]
                others = all_more[t] - all_mine[t] - bright
                enough = inside >= least_inside and outside >= least_outside
                inside, outside = max(inside, one), max(outside, one)
                value = (bright * outside - others * inside) / np.sqrt(
                    inside * outside * (inside + outside)
                )
                best[t] = max(best[t], value if enough else none)


@njit(fastmath=True, nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _maxima(contrast: Any, slopes: int, maxima: Any) -> int:
    """Local maxima (contrast, family, place) of the two families of lines."""
    width = contrast.shape[1]
    found = 0
    for k in range(2 * slopes):
        if k % slopes == 0 or k % slopes == slopes - 1:
            continue
        for t in range(1, width - 1):
            value = contrast[k, t]
            if value <= _WEAKEST or found == len(maxima):
                continue
            before = max(
                contrast[k - 1, t - 1],
                contrast[k - 1, t],
                contrast[k - 1, t + 1],
                contrast[k, t - 1],
            )
            after = max(
                contrast[k + 1, t - 1],
                contrast[k + 1, t],
                contrast[k + 1, t + 1],
                contrast[k, t + 1],
            )
            if value > before and value >= after:
                maxima[found, 0], maxima[found, 1], maxima[found, 2] = value, k, t
                found += 1
    return found


@njit(fastmath=True, nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _vertex(left: float, middle: float, right: float) -> float:
    """Where the parabola through three neighbouring values has its maximum, -0.5 to 0.5."""
    bend = left - 2 * middle + right
    return 0.5 * (left - right) / bend if bend < -1e-6 else 0.0


@njit(fastmath=True, nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _lines(maxima: Any, found: int, contrast: Any, slopes: Any, side: int, line: Any) -> None:
    """Lines ``a column + b row = c`` of the maxima, between the steps; the highest first."""
    middle = (side - 1) / 2
    for rank, place in enumerate(order_down(maxima[:found, 0])):
        value, k, t = maxima[place, 0], int(maxima[place, 1]), int(maxima[place, 2])
        number = k % len(slopes)
        across = t + _vertex(contrast[k, t - 1], value, contrast[k, t + 1]) - side // 4
        turn = _vertex(contrast[k - 1, t], value, contrast[k + 1, t])
        slope = slopes[number] + turn * (slopes[number + 1] - slopes[number - 1]) / 2
        a, b, c = 1.0, -slope, across - slope * middle
        if k >= len(slopes):
            a, b = b, a
        line[rank, 0], line[rank, 1], line[rank, 2], line[rank, 3] = a, b, c, value


@njit(fastmath=True, nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _planes(line: Any, side: int, pc: Any, normal: Any, strength: Any) -> int:
    """Normals of the planes of the highest maxima, each band once."""
    kept = 0
    for rank in range(len(line)):
        a, b, c, value = line[rank]
        # in the plane at unit distance from the sample
        x, y = a * pc[2] * side, -b * pc[2] * side
        z = a * (pc[0] * side - 0.5) + b * (pc[1] * side - 0.5) - c
        length = math.sqrt(x * x + y * y + z * z)
        x, y, z = x / length, y / length, z / length
        again = False
        for j in range(kept):
            if abs(x * normal[j, 0] + y * normal[j, 1] + z * normal[j, 2]) > _SAME:
                again = True
                break
        if again:
            continue
        normal[kept, 0], normal[kept, 1], normal[kept, 2] = x, y, z
        strength[kept] = value
        kept += 1
        if kept == len(strength):
            break
    return kept


@njit(fastmath=True, nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _distances(pc: Any, far: Any) -> None:
    """Inverse distances of the pixels from the sample, the screen's being 1."""
    side = len(far)
    for row in range(side):
        y = (pc[1] - (row + 0.5) / side) / pc[2]
        for column in range(side):
            x = ((column + 0.5) / side - pc[0]) / pc[2]
            far[row, column] = 1 / math.sqrt(1 + x * x + y * y)


@njit(fastmath=True, nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _profiles(
    picture: Any, weight: Any, pc: Any, far: Any, normal: Any, count: int, profile: Any, area: Any
) -> None:
    """Mean intensity by the sine of the angle to each plane; a pixel is shared by two bins."""
    side = len(picture)
    step = 2 * PROFILE_SPAN / PROFILE_BINS
    nearest = (0.5 / side - pc[0]) / pc[2]
    pixel = 1 / (side * pc[2])
    farthest = max(abs(nearest), abs(nearest + (side - 1) * pixel))
    for k in range(count):
        nx, ny, nz = normal[k, 0], normal[k, 1], normal[k, 2]
        for row in range(side):
            y = (pc[1] - (row + 0.5) / side) / pc[2]
            rest = ny * y + nz
            reach = (PROFILE_SPAN + step) * math.sqrt(1 + farthest * farthest + y * y)
            first, last = 0, side
            if abs(nx) > 1e-4:
                one = ((-reach - rest) / nx - nearest) / pixel
                two = ((reach - rest) / nx - nearest) / pixel
                first = max(0, math.ceil(min(max(min(one, two), -1.0), side + 1.0)))
                last = min(side, math.floor(min(max(max(one, two), -1.0), side + 1.0)) + 1)
            elif abs(rest) > reach:
                continue
            for column in range(first, last):
                if weight[row, column] <= 0:
                    continue
                x = nearest + column * pixel
                place = ((nx * x + rest) * far[row, column] + PROFILE_SPAN) / step - 0.5
                if place <= -1 or place >= PROFILE_BINS:
                    continue
                low = math.floor(place)
                part = place - low
                value = picture[row, column]
                if low >= 0:
                    profile[k, low] += (1 - part) * value
                    area[k, low] += 1 - part
                if low + 1 < PROFILE_BINS:
                    profile[k, low + 1] += part * value
                    area[k, low + 1] += part
        for j in range(PROFILE_BINS):
            profile[k, j] = profile[k, j] / (area[k, j] + 1)  # a bin that met little says little


def is_ready() -> bool:
    """Whether the compiled functions are loaded; `find_bands` may have to compile them first."""
    return bool(_find.signatures and _measure.signatures)
