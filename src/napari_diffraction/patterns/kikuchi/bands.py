"""Bands of Kikuchi patterns at the resolution of the camera: lines first, planes with a centre.

A band is sought as a line on the screen, so that the same lines serve every pattern centre that is
tried: only the normals of the planes depend on it.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from napari_diffraction.patterns.sorting import order_down

#: Half widths of the inside of a filter in shares of the shorter side, and of the whole.
_INSIDES = (0.0095, 0.019, 0.035, 0.058)
_WHOLES = (0.036, 0.052, 0.078, 0.120)
#: Step of the angle of the lines in degrees, at 60 and at 120 pixels; it goes with the root of it.
_STEP_60 = 2.4
#: Least number of pixels inside a filter and outside, in shares of the shorter side.
_LIT_INSIDE, _LIT_OUTSIDE = 0.15, 0.3
#: Two maxima nearer than this are one band: angle in degrees, distance in shares of the side.
_SAME_ANGLE, _SAME_PLACE = 4.0, 0.03
_MOST_MAXIMA = 4000
#: A line is looked at in so many pieces; one that lives from few of them is no band.
_PIECES = 8


@dataclass(frozen=True, eq=False)
class Lines:
    """Bright bands found in ``n`` pictures as lines on the screen, the most certain first.

    Attributes
    ----------
    line : ndarray of float64, (n, k, 3)
        a, b, c of ``a x + b y = c`` in pixels, x to the right and y down from the middle of the
        picture, ``a^2 + b^2 = 1``.
    strength : ndarray of float32, (n, k)
        Contrast to either side in units of its own noise, were the pixels independent, as far as
        it is supported all along the line; 0 for no band.
    half_width : ndarray of float32, (n, k)
        Half width of the filter that answered best, in pixels: coarse.
    support : ndarray of float32, (n, k)
        Median contrast of the pieces of the line over their mean, at most 1.
    count : ndarray of int64, (n,)
        How many were found.
    shape
        Height and width of the pictures.
    """

    line: NDArray[np.float64]
    strength: NDArray[np.float32]
    half_width: NDArray[np.float32]
    support: NDArray[np.float32]
    count: NDArray[np.int64]
    shape: tuple[int, int]

    def __len__(self) -> int:
        return len(self.line)

    def __getitem__(self, which: Any) -> Lines:
        """Return the lines of some of the pictures."""
        return Lines(
            self.line[which],
            self.strength[which],
            self.half_width[which],
            self.support[which],
            self.count[which],
            self.shape,
        )

    def normals(self, pc: ArrayLike) -> NDArray[np.float64]:
        """Return the unit normals of the planes, (n, k, 3), for a pattern centre.

        Parameters
        ----------
        pc : array_like, (3,) or (n, 3)
            Bruker's convention.

        Returns
        -------
        ndarray of float64, (n, k, 3)
            In the detector's frame: x to the right, y up, z from the sample to the screen; zeros
            where there is no band.
        """
        vectors = plane_vectors(self.line, np.asarray(pc, float), self.shape)
        length = np.linalg.norm(vectors, axis=-1, keepdims=True)
        return np.asarray(vectors / np.where(length > 0, length, 1))


def plane_vectors(
    line: NDArray[np.float64], pc: NDArray[np.float64], shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Vectors along the normals of planes whose traces are lines, linear in the pattern centre.

    Parameters
    ----------
    line : ndarray, (n, k, 3)
        As in `Lines`.
    pc : ndarray, (3,) or (n, 3)
        Bruker's convention.
    shape
        Height and width of the pictures.
    """
    h, w = shape
    if pc.ndim == 2:
        pc = pc[:, None, :]
    a, b, c = np.moveaxis(line, -1, 0)
    distance = pc[..., 2] * h
    # the foot of the pattern centre on the screen, from the middle of the picture
    right, down = (pc[..., 0] - 0.5) * w, (pc[..., 1] - 0.5) * h
    return np.stack([a * distance, -b * distance, a * right + b * down - c], axis=-1)


def find_lines(
    pictures: NDArray[np.float32],
    weight: NDArray[np.float32],
    most: int = 16,
    threads: int | None = None,
) -> Lines:
    """Find bright bands by sums along lines.

    The sums are taken along straight lines at equal steps of the angle (a Radon transform by
    shears; Joseph 1982, IEEE Trans. Med. Imaging 1, 192-196), each divided by the weight it met, so
    that a mask is left out and not filled.  A maximum counts as far as its line's pieces agree:
    a line through a few bright zone axes is no band.

    Parameters
    ----------
    pictures : ndarray of float32, (n, h, w)
        Flattened: no background, zero mean and unit deviation.
    weight : ndarray of float32, (h, w)
        1 where the screen is lit, 0 behind a mask.
    most
        Greatest number of bands in a picture.
    threads
        Pictures looked at at a time; as many as there are processors by default.
    """
    n, h, w = pictures.shape
    found = Lines(
        np.zeros((n, most, 3)),
        np.zeros((n, most), np.float32),
        np.zeros((n, most), np.float32),
        np.zeros((n, most), np.float32),
        np.zeros(n, np.int64),
        (h, w),
    )
    pictures = np.ascontiguousarray(pictures, np.float32)
    weight = np.ascontiguousarray(weight, np.float32)
    slopes, filters = _settings(min(h, w))
    lit = _lit(weight, slopes)

    def some(part: slice) -> None:
        _find(
            pictures[part],
            weight,
            *lit,
            slopes,
            filters,
            found.line[part],
            found.strength[part],
            found.half_width[part],
            found.support[part],
            found.count[part],
        )

    threads = threads or os.cpu_count() or 1
    size = max(1, -(-n // (4 * threads)))
    parts = [slice(start, start + size) for start in range(0, n, size)]
    if threads == 1 or len(parts) < 2:
        for part in parts:
            some(part)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(some, parts))
    return found


def _settings(side: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Slopes of the lines, and half widths of the filters in pixels."""
    step = _STEP_60 * math.sqrt(60 / side)
    beyond = 45 + step  # a maximum on the diagonal lies inside of one family
    count = 2 * math.ceil(beyond / step) + 1
    slopes = np.tan(np.radians(np.linspace(-beyond, beyond, count))).astype(np.float32)
    near = np.maximum(1, np.rint(np.array(_INSIDES) * side)).astype(np.int64)
    wide = np.maximum(near + 3, np.rint(np.array(_WHOLES) * side).astype(np.int64))
    return slopes, np.unique(np.stack([near, wide], axis=1), axis=0)


def _lit(
    weight: NDArray[np.float32], slopes: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weight that every line meets, running sums, in the two families of lines."""
    sums = []
    for turned in (weight, np.ascontiguousarray(weight.T)):
        total = np.zeros((len(slopes), _breadth(*turned.shape)), np.float32)
        _radon(turned, slopes, _room(*turned.shape), total)
        sums.append(np.pad(np.cumsum(total, axis=1, dtype=np.float64), ((0, 0), (1, 0))))
    return sums[0].astype(np.float32), sums[1].astype(np.float32)


def _breadth(rows: int, columns: int) -> int:
    """Lines of one family: those that start farther beside the picture cut only a corner."""
    return columns + 2 * (rows // 4)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _room(rows: int, columns: int) -> Any:
    """Room for a picture with nothing on either side, as far as its lines reach.

    They start up to a quarter of the height beside it and lean by up to 48 degrees.
    """
    return np.zeros((rows, columns + 2 * (math.ceil(0.82 * rows) + 3)), np.float32)


@njit(fastmath=True, nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _radon(picture: Any, slopes: Any, padded: Any, sums: Any) -> None:
    """Sums along x = t + slope (y - middle), t from -rows/4."""
    rows, columns = picture.shape
    breadth = sums.shape[1]
    side = (padded.shape[1] - columns) // 2
    middle = (rows - 1) / 2
    for row in range(rows):
        for column in range(columns):
            padded[row, side + column] = picture[row, column]
    for k in range(len(slopes)):
        line = sums[k]
        for t in range(breadth):
            line[t] = 0.0
        for row in range(rows):
            shift = slopes[k] * (row - middle) - rows // 4 + side
            whole = math.floor(shift)
            part = np.float32(shift - whole)
            rest = np.float32(1) - part
            left = padded[row, whole : whole + breadth]
            right = padded[row, whole + 1 : whole + 1 + breadth]
            for t in range(breadth):
                line[t] += rest * left[t] + part * right[t]


@njit(fastmath=True, nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _find(
    pictures: Any,
    weight: Any,
    lit: Any,
    lit_turned: Any,
    slopes: Any,
    filters: Any,
    out_line: Any,
    out_strength: Any,
    out_width: Any,
    out_support: Any,
    out_count: Any,
) -> None:
    rows, columns = pictures.shape[1], pictures.shape[2]
    side = min(rows, columns)
    breadths = (lit.shape[1] - 1, lit_turned.shape[1] - 1)
    families, breadth = 2 * len(slopes), max(breadths)
    sums = np.zeros((families, breadth), np.float32)
    contrast = np.zeros((families, breadth), np.float32)
    total = np.zeros(breadth + 1, np.float32)
    maxima = np.zeros((_MOST_MAXIMA, 3), np.float32)
    padded, padded_turned = _room(rows, columns), _room(columns, rows)
    turned = np.zeros((columns, rows), np.float32)
    lit_enough = (np.float32(_LIT_INSIDE * side), np.float32(_LIT_OUTSIDE * side))
    n_slopes = len(slopes)
    candidates = 2 * out_strength.shape[1] + 4
    lines = np.zeros((candidates, 3))
    facts = np.zeros((candidates, 3), np.float32)
    for i in range(len(pictures)):
        picture = pictures[i]
        for row in range(rows):
            for column in range(columns):
                turned[column, row] = picture[row, column]
        _radon(picture, slopes, padded, sums[:n_slopes, : breadths[0]])
        _radon(turned, slopes, padded_turned, sums[n_slopes:, : breadths[1]])
        _filter(sums[:n_slopes], lit, filters, lit_enough, total, contrast[:n_slopes])
        _filter(sums[n_slopes:], lit_turned, filters, lit_enough, total, contrast[n_slopes:])
        found = _maxima(contrast, n_slopes, maxima)
        kept = _choose(maxima, found, contrast, slopes, rows, columns, lines, facts)
        for j in range(kept):
            k, t = int(facts[j, 1]), int(facts[j, 2])
            light = lit[k] if k < n_slopes else lit_turned[k - n_slopes]
            facts[j, 1] = filters[_best_filter(sums[k], light, filters, lit_enough, t), 0] + 0.5
        for j in range(kept):
            _support(picture, weight, lines[j], facts[j])
        count = 0
        for j in order_down(facts[:kept, 0]):
            if count == out_strength.shape[1] or facts[j, 0] <= 0:
                break
            out_line[i, count] = lines[j]
            out_strength[i, count] = facts[j, 0]
            out_width[i, count] = facts[j, 1]
            out_support[i, count] = facts[j, 2]
            count += 1
        out_count[i] = count


@njit(fastmath=True, nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _filter(sums: Any, lit: Any, filters: Any, enough: Any, total: Any, contrast: Any) -> None:
    """Best contrast of inside and outside among the filters, in units of its noise."""
    breadth = lit.shape[1] - 1
    one, none = np.float32(1), np.float32(0)
    for k in range(len(sums)):
        for t in range(breadth):
            total[t + 1] = total[t] + sums[k, t]
        contrast[k] = 0
        weight = lit[k]
        for f in range(len(filters)):
            near, wide = filters[f, 0], filters[f, 1]
            size = breadth - 2 * wide
            if size < 1:
                continue
            target = contrast[k, wide : wide + size]
            mine, more = total[wide - near :], total[wide + near + 1 :]
            all_mine, all_more = total[:size], total[2 * wide + 1 :]
            light, lighter = weight[wide - near :], weight[wide + near + 1 :]
            all_light, all_lighter = weight[:size], weight[2 * wide + 1 :]
            for t in range(size):
                inside = lighter[t] - light[t]
                outside = all_lighter[t] - all_light[t] - inside
                bright = more[t] - mine[t]
                others = all_more[t] - all_mine[t] - bright
                lit_well = inside >= enough[0] and outside >= enough[1]
                inside, outside = max(inside, one), max(outside, one)
                value = (bright * outside - others * inside) / np.sqrt(
                    inside * outside * (inside + outside)
                )
                target[t] = max(target[t], value if lit_well else none)


@njit(fastmath=True, nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _best_filter(sums: Any, lit: Any, filters: Any, enough: Any, t: int) -> int:
    """Which filter gave a line its contrast."""
    best, most = 0, 0.0
    for f in range(len(filters)):
        near, wide = filters[f, 0], filters[f, 1]
        if t < wide or t + wide + 1 > len(lit) - 1:
            continue
        bright, others = 0.0, 0.0
        for u in range(t - wide, t + wide + 1):
            if abs(u - t) <= near:
                bright += sums[u]
            else:
                others += sums[u]
        inside = lit[t + near + 1] - lit[t - near]
        outside = lit[t + wide + 1] - lit[t - wide] - inside
        if inside < enough[0] or outside < enough[1]:
            continue
        value = (bright * outside - others * inside) / math.sqrt(
            inside * outside * (inside + outside)
        )
        if value > most:
            best, most = f, value
    return best


@njit(fastmath=True, nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _maxima(contrast: Any, slopes: int, maxima: Any) -> int:
    """Local maxima (contrast, family, place) of the two families of lines."""
    found = 0
    for k in range(2 * slopes):
        if k % slopes == 0 or k % slopes == slopes - 1:
            continue
        above, here, below = contrast[k - 1], contrast[k], contrast[k + 1]
        for t in range(1, contrast.shape[1] - 1):
            value = here[t]
            if value <= 0.5 or found == len(maxima):
                continue
            before = max(max(above[t - 1], above[t]), max(above[t + 1], here[t - 1]))
            after = max(max(below[t - 1], below[t]), max(below[t + 1], here[t + 1]))
            if value > before and value >= after:
                maxima[found, 0], maxima[found, 1], maxima[found, 2] = value, k, t
                found += 1
    return found


@njit(fastmath=True, nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _vertex(left: float, middle: float, right: float) -> float:
    """Where the parabola through three neighbouring values has its maximum, -0.5 to 0.5."""
    bend = left - 2 * middle + right
    return 0.5 * (left - right) / bend if bend < -1e-6 else 0.0


@njit(fastmath=True, nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _choose(
    maxima: Any,
    found: int,
    contrast: Any,
    slopes: Any,
    rows: int,
    columns: int,
    lines: Any,
    facts: Any,
) -> int:
    """Lines of the highest maxima, each band once, with contrast, family and place."""
    n_slopes = len(slopes)
    same_angle = math.cos(math.radians(_SAME_ANGLE))
    same_place = _SAME_PLACE * min(rows, columns)
    kept = 0
    for place in order_down(maxima[:found, 0]):
        value, k, t = maxima[place, 0], int(maxima[place, 1]), int(maxima[place, 2])
        number = k % n_slopes
        across = t + _vertex(contrast[k, t - 1], value, contrast[k, t + 1])
        turn = _vertex(contrast[k - 1, t], value, contrast[k + 1, t])
        slope = slopes[number] + turn * (slopes[number + 1] - slopes[number - 1]) / 2
        # from the middle of the picture: t counts from -rows // 4 in pixels, x = across there
        if k < n_slopes:
            a, b, c = 1.0, -slope, across - rows // 4 - (columns - 1) / 2
        else:
            a, b, c = -slope, 1.0, across - columns // 4 - (rows - 1) / 2
        length = math.sqrt(a * a + b * b)
        a, b, c = a / length, b / length, c / length
        again = False
        for j in range(kept):
            cosine = a * lines[j, 0] + b * lines[j, 1]
            sign = 1.0 if cosine > 0 else -1.0
            if sign * cosine > same_angle and abs(sign * c - lines[j, 2]) < same_place:
                again = True
                break
        if again:
            continue
        lines[kept, 0], lines[kept, 1], lines[kept, 2] = a, b, c
        facts[kept, 0], facts[kept, 1], facts[kept, 2] = value, k, t
        kept += 1
        if kept == len(lines):
            break
    return kept


@njit(fastmath=True, nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _support(picture: Any, weight: Any, line: Any, facts: Any) -> None:
    """Weigh a line's contrast by how far the pieces of the line agree."""
    rows, columns = picture.shape
    a, b, c = line[0], line[1], line[2]
    near = facts[1]
    wide = near + max(3.0, near)
    inside = np.zeros((_PIECES, 2))
    outside = np.zeros((_PIECES, 2))
    middle_x, middle_y = (columns - 1) / 2, (rows - 1) / 2
    # along the line from its foot; the ends of the picture lie within the half diagonal
    reach = math.sqrt(max(middle_x**2 + middle_y**2 - c * c, 1.0))
    upright = abs(a) > abs(b)
    for i in range(rows if upright else columns):
        if upright:
            y = i - middle_y
            middle = (c - b * y) / a + middle_x
            span = wide / abs(a)
            size = columns
        else:
            x = i - middle_x
            middle = (c - a * x) / b + middle_y
            span = wide / abs(b)
            size = rows
        for j in range(max(0, math.ceil(middle - span)), min(size, math.floor(middle + span) + 1)):
            row, column = (i, j) if upright else (j, i)
            if weight[row, column] <= 0:
                continue
            x, y = column - middle_x, row - middle_y
            away = abs(a * x + b * y - c)
            piece = int((a * y - b * x + reach) / (2 * reach) * _PIECES)
            piece = min(max(piece, 0), _PIECES - 1)
            if away <= near:
                inside[piece, 0] += picture[row, column]
                inside[piece, 1] += 1
            elif away <= wide:
                outside[piece, 0] += picture[row, column]
                outside[piece, 1] += 1
    values = np.zeros(_PIECES)
    count, mean = 0, 0.0
    for p in range(_PIECES):
        if inside[p, 1] >= 3 and outside[p, 1] >= 3:
            values[count] = inside[p, 0] / inside[p, 1] - outside[p, 0] / outside[p, 1]
            mean += values[count]
            count += 1
    if count == 0:
        facts[0] = 0
        return
    mean /= count
    # the median by selection: so few values
    for p in range(count):
        for q in range(p + 1, count):
            if values[q] < values[p]:
                values[p], values[q] = values[q], values[p]
    median = 0.5 * (values[(count - 1) // 2] + values[count // 2])
    facts[2] = min(1.0, median / mean) if mean > 0 else 0.0
    facts[0] *= max(facts[2], 0.0)
