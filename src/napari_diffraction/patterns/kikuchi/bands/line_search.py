"""Bright lines of pictures by sums along lines: what is compiled of `bands`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from napari_diffraction.patterns.kikuchi.bands.line_support import running_sums, weigh
from napari_diffraction.patterns.sorting import order_down

#: Least number of pixels inside a filter and outside, in shares of the shorter side.
_LIT_INSIDE, _LIT_OUTSIDE = 0.15, 0.3
#: Two maxima nearer than this are one band: angle in degrees, distance in shares of the side.
_SAME_ANGLE, _SAME_PLACE = 4.0, 0.03
_MOST_MAXIMA = 4000


def breadth_of(rows: int, columns: int) -> int:
    """Lines of one family: those that start farther beside the picture cut only a corner."""
    return columns + 2 * (rows // 4)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def room(rows: int, columns: int) -> Any:
    """Room for a picture with nothing on either side, as far as its lines reach, and even rows.

    The lines start up to a quarter of the height beside it and lean by up to 48 degrees.
    """
    return np.zeros((rows + rows % 2, columns + 2 * (math.ceil(0.82 * rows) + 3)), np.float32)


@njit(fastmath=True, nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def radon(picture: Any, slopes: Any, padded: Any, sums: Any) -> None:
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
        # two rows at a time: the sums are read and written half as often
        for row in range(0, len(padded), 2):
            shift = slopes[k] * (row - middle) - rows // 4 + side
            other = shift + slopes[k]
            whole, next_whole = math.floor(shift), math.floor(other)
            part, next_part = np.float32(shift - whole), np.float32(other - next_whole)
            rest, next_rest = np.float32(1) - part, np.float32(1) - next_part
            # beyond these there is nothing to be added
            begin = max(0, side - 1 - max(whole, next_whole))
            end = min(breadth, side + columns - min(whole, next_whole))
            target = line[begin:end]
            one = padded[row, whole + begin : whole + end + 1]
            two = padded[row + 1, next_whole + begin : next_whole + end + 1]
            for t in range(end - begin):
                target[t] += (
                    rest * one[t] + part * one[t + 1] + next_rest * two[t] + next_part * two[t + 1]
                )


@njit(fastmath=True, nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def find_all(
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
    """Find the lines of pictures (n, h, w); see `napari_diffraction.patterns.kikuchi.bands.lines`.

    Parameters
    ----------
    pictures, weight
        As for `find_lines`.
    lit, lit_turned
        Running sums of the weight that the lines meet, in the two families.
    slopes, filters
        Of the lines, and half widths of the inside and of the whole in pixels.
    out_line, out_strength, out_width, out_support, out_count
        What is found, as in `Lines`.
    """
    rows, columns = pictures.shape[1], pictures.shape[2]
    side = min(rows, columns)
    breadths = (lit.shape[1] - 1, lit_turned.shape[1] - 1)
    families, breadth = 2 * len(slopes), max(breadths)
    sums = np.zeros((families, breadth), np.float32)
    contrast = np.zeros((families, breadth), np.float32)
    total = np.zeros(breadth + 1, np.float32)
    maxima = np.zeros((_MOST_MAXIMA, 3), np.float32)
    padded, padded_turned = room(rows, columns), room(columns, rows)
    turned = np.zeros((columns, rows), np.float32)
    lit_enough = (np.float32(_LIT_INSIDE * side), np.float32(_LIT_OUTSIDE * side))
    n_slopes = len(slopes)
    candidates = 2 * out_strength.shape[1] + 4
    lines = np.zeros((candidates, 3))
    facts = np.zeros((candidates, 3), np.float32)
    bright, light = np.zeros((2, rows, columns + 1))
    bright_turned, light_turned = np.zeros((2, columns, rows + 1))
    running_sums(weight, light)
    running_sums(weight.T, light_turned)
    for i in range(len(pictures)):
        picture = pictures[i]
        for row in range(rows):
            for column in range(columns):
                turned[column, row] = picture[row, column]
        radon(picture, slopes, padded, sums[:n_slopes, : breadths[0]])
        radon(turned, slopes, padded_turned, sums[n_slopes:, : breadths[1]])
        _filter(sums[:n_slopes], lit, filters, lit_enough, total, contrast[:n_slopes])
        _filter(sums[n_slopes:], lit_turned, filters, lit_enough, total, contrast[n_slopes:])
        found = _maxima(contrast, n_slopes, maxima)
        kept = _choose(maxima, found, contrast, slopes, rows, columns, lines, facts)
        for j in range(kept):
            k, t = int(facts[j, 1]), int(facts[j, 2])
            met = lit[k] if k < n_slopes else lit_turned[k - n_slopes]
            facts[j, 1] = filters[_best_filter(sums[k], met, filters, lit_enough, t), 0] + 0.5
        running_sums(picture, bright)
        running_sums(turned, bright_turned)
        for j in range(kept):
            a, b, c = lines[j, 0], lines[j, 1], lines[j, 2]
            if abs(a) > abs(b):
                weigh(bright, light, a, b, c, facts[j])
            else:
                weigh(bright_turned, light_turned, b, a, c, facts[j])
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
