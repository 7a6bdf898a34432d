"""Wide Gaussians of pictures with a mask, on a coarse grid: as good as exact, and far quicker."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

#: Cells of the grid per standard deviation of the Gaussian.
_CELLS = 1.6


@dataclass(frozen=True, eq=False)
class CoarseBlur:
    """What `blurred` needs to know of pictures of one shape and mask.

    Attributes
    ----------
    cell
        Pixels of a cell along each side.
    rows, columns : ndarray of float32, (g, g)
        The Gaussian between cells, along either axis.
    light : ndarray of float32, (gh, gw)
        One over the weight that the Gaussian meets; 0 where there is none.
    sums : ndarray of float32, (gh, gw)
        Weight within each cell.
    terms : ndarray of float32, (k, gh, gw)
        A polynomial's terms, orthonormal under the weight.  What such a polynomial describes is
        left as it is: beside a mask or an edge, a Gaussian alone would bend a slope.
    """

    cell: int
    rows: NDArray[np.float32]
    columns: NDArray[np.float32]
    light: NDArray[np.float32]
    sums: NDArray[np.float32]
    terms: NDArray[np.float32]

    @classmethod
    def of(cls, weight: NDArray[np.float32], sigma: float, degree: int | None = None) -> CoarseBlur:
        """Make ready for pictures with this weight (h, w).

        Parameters
        ----------
        weight : ndarray of float32, (h, w)
            0 where pixels do not count.
        sigma
            Standard deviation in pixels.
        degree
            Of the polynomial; none by default.
        """
        cell = max(1, round(sigma / _CELLS))
        # the mean over a cell and the interpolation between cells blur, too
        rest = math.sqrt(max(sigma**2 - (cell**2 - 1) / 12 - cell**2 / 6, 0.01)) / cell
        shape = [-(-size // cell) for size in weight.shape]
        rows, columns = (_gaussian(size, rest) for size in shape)
        sums = cells(weight, cell)
        met = rows @ sums @ columns.T
        light = np.where(met > 0.02 * cell**2, 1 / np.maximum(met, 1e-6), 0).astype(np.float32)
        return cls(cell, rows, columns, light, sums, _terms(sums, degree))

    def arguments(self) -> tuple[Any, ...]:
        """Return the fields in the order in which compiled code takes them."""
        return self.cell, self.rows, self.columns, self.light, self.sums, self.terms

    def blur(self, picture: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[Any]:
        """Return the weighted mean around each pixel of one picture, (h, w)."""
        weighted = np.ascontiguousarray(picture * weight, np.float32)
        grid = blurred(weighted, *self.arguments())
        out = np.empty(weighted.shape, np.float32)
        for row, line in enumerate(out):
            interpolate_row(grid, self.cell, row, line)
        return out


def _terms(sums: NDArray[np.float32], degree: int | None) -> NDArray[np.float32]:
    if degree is None or np.count_nonzero(sums) < 100:
        return np.zeros((0, *sums.shape), np.float32)
    y, x = (np.linspace(-1, 1, size) for size in sums.shape)
    basis = np.polynomial.legendre.legvander
    products = np.einsum("yi,xj->ijyx", basis(y, degree), basis(x, degree))
    low = np.add.outer(np.arange(degree + 1), np.arange(degree + 1)) <= degree
    terms = products[low].reshape(np.count_nonzero(low), -1)
    root = np.sqrt(sums.ravel()).astype(float)
    scales = np.linalg.qr((terms * root).T)[1]
    # beyond the mask a polynomial may grow as it likes, but for the cells beside lit ones: between
    # these pixels are interpolated
    near = ndimage.binary_dilation(sums > 0, np.ones((3, 3)))
    whole = np.linalg.solve(scales.T, terms) * near.ravel()
    return np.asarray(whole.reshape(-1, *sums.shape), np.float32)


def _gaussian(size: int, sigma: float) -> NDArray[np.float32]:
    apart = np.subtract.outer(np.arange(size), np.arange(size)) / sigma
    return (np.exp(-0.5 * apart**2) / (sigma * math.sqrt(2 * math.pi))).astype(np.float32)


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "arcp", "reassoc"})  # type: ignore[untyped-decorator]
def cells(picture: Any, cell: int) -> Any:
    """Sums over the cells of a grid; the last ones may stick out."""
    h, w = picture.shape
    out = np.zeros((-(-h // cell), -(-w // cell)), np.float32)
    line = np.empty(w, np.float32)
    for i in range(len(out)):
        line[:] = picture[i * cell]
        for row in range(i * cell + 1, min((i + 1) * cell, h)):
            for column in range(w):
                line[column] += picture[row, column]
        for j in range(out.shape[1]):
            total = np.float32(0)
            for column in range(j * cell, min((j + 1) * cell, w)):
                total += line[column]
            out[i, j] = total
    return out


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "arcp", "reassoc"})  # type: ignore[untyped-decorator]
def blurred(
    weighted: Any, cell: int, rows: Any, columns: Any, light: Any, sums: Any, terms: Any
) -> Any:
    """Weighted mean within the Gaussian, on the grid, of a picture times its weight."""
    grid = cells(weighted, cell)
    gh, gw = grid.shape
    smooth = np.zeros((gh, gw), np.float32)
    for k in range(len(terms)):
        share = np.float32(0)
        for i in range(gh):
            for j in range(gw):
                share += grid[i, j] * terms[k, i, j]
        for i in range(gh):
            for j in range(gw):
                smooth[i, j] += share * terms[k, i, j]
    half = np.zeros((gh, gw), np.float32)
    for i in range(gh):
        for j in range(gw):
            grid[i, j] -= smooth[i, j] * sums[i, j]
    for i in range(gh):
        for k in range(gh):
            share = rows[i, k]
            if share > np.float32(1e-5):
                for j in range(gw):
                    half[i, j] += share * grid[k, j]
    for i in range(gh):
        line = np.zeros(gw, np.float32)
        for k in range(gw):
            value = half[i, k]
            for j in range(gw):
                line[j] += value * columns[k, j]
        for j in range(gw):
            smooth[i, j] += line[j] * light[i, j]
    return smooth


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "arcp", "reassoc"})  # type: ignore[untyped-decorator]
def interpolate_row(grid: Any, cell: int, row: int, line: Any) -> None:
    """Fill a line with the values of a grid at one row of the picture."""
    gh, gw = grid.shape
    place = min(max((row + 0.5) / cell - 0.5, 0.0), gh - 1.0)
    above = min(int(place), max(gh - 2, 0))
    low, part = grid[above], np.float32(place - above)
    high = grid[min(above + 1, gh - 1)]
    step = np.float32(1 / cell)
    first = np.float32((0.5 - cell / 2) / cell)
    width = len(line)
    before = low[0] + part * (high[0] - low[0])
    column = 0
    while column < width and first + column * step < 0:
        line[column] = before
        column += 1
    for j in range(gw - 1):
        after = low[j + 1] + part * (high[j + 1] - low[j + 1])
        begin = column
        end = min(width, math.ceil((j + 1.5) * cell - 0.5))
        offset = first - j
        slope = after - before
        for c in range(begin, end):
            line[c] = before + slope * (offset + c * step)
        column = max(column, end)
        before = after
    for c in range(column, width):
        line[c] = before
