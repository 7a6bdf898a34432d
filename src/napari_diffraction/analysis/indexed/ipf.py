"""Colours of orientations by the crystal direction along a sample axis (inverse pole figure).

The key is EDAX's, in the form that Nolze and Hielscher gave it (J. Appl. Cryst. 49 (2016) 1786,
section 2.4) and that MTEX and orix have: hue is the direction from the middle of the sector of
unlike directions, stretched so that each corner has its pure colour; at the middle it fades to
white.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_diffraction.analysis.indexed.orientations import orientations
from napari_diffraction.analysis.indexed.phases import laue_of_phase, symmetry_of_phase
from napari_diffraction.analysis.maps.phases import AXES_BETWEEN
from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.structure import LAUE_GROUPS
from napari_diffraction.crystal.symmetry import proper_rotations
from napari_diffraction.errors import InputError
from napari_diffraction.learning.palette import NOT_INDEXED_COLOUR, rgb

if TYPE_CHECKING:
    from napari_diffraction.indexing.solution import IndexedMap, IndexedPhase

FloatArray = NDArray[np.float64]

#: Groups with a key.  In "-31m" the twofold axes stand between those of "-3m".
IPF_GROUPS = (*LAUE_GROUPS, "-31m")

#: Unlike directions of the upper half: from one azimuth to another, in degrees from a.
_WEDGES = {
    "2/m": (0, 180), "mmm": (0, 90), "4/m": (0, 90), "4/mmm": (0, 45), "-3": (0, 120),
    "-3m": (-30, 30), "-31m": (0, 60), "6/m": (0, 60), "6/mmm": (0, 30),
}  # fmt: skip
#: Normals of the planes around the sector, pointing inwards, of the other groups.
_NORMALS = {
    "-1": ((0, 0, 1),),
    "m-3": ((1, 0, 0), (0, 1, 0), (0, 0, 1), (0, -1, 1), (-1, 0, 1)),
    "m-3m": ((0, 1, 0), (1, -1, 0), (-1, 0, 1)),
}
#: Directions of the sector's corners, and what the legend calls them.
_CORNERS: dict[str, tuple[tuple[str, tuple[float, float, float]], ...]] = {
    "-1": (("c*", (0, 0, 1)), ("a", (1, 0, 0))),
    "2/m": (("b", (0, 0, 1)), ("c*", (1, 0, 0)), ("a", (0, 1, 0))),
    "mmm": (("[001]", (0, 0, 1)), ("[100]", (1, 0, 0)), ("[010]", (0, 1, 0))),
    "4/m": (("[001]", (0, 0, 1)), ("[100]", (1, 0, 0)), ("[010]", (0, 1, 0))),
    "4/mmm": (("[001]", (0, 0, 1)), ("[100]", (1, 0, 0)), ("[110]", (1, 1, 0))),
    "-3": (("[0001]", (0, 0, 1)), ("[2-1-10]", (1, 0, 0)), ("[-12-10]", (-0.5, 3**0.5 / 2, 0))),
    "-3m": (
        ("[0001]", (0, 0, 1)), ("[1-100]", (3**0.5 / 2, -0.5, 0)), ("[10-10]", (3**0.5 / 2, 0.5, 0))
    ),
    "-31m": (("[0001]", (0, 0, 1)), ("[2-1-10]", (1, 0, 0)), ("[11-20]", (0.5, 3**0.5 / 2, 0))),
    "6/m": (("[0001]", (0, 0, 1)), ("[2-1-10]", (1, 0, 0)), ("[11-20]", (0.5, 3**0.5 / 2, 0))),
    "6/mmm": (("[0001]", (0, 0, 1)), ("[2-1-10]", (1, 0, 0)), ("[10-10]", (3**0.5 / 2, 0.5, 0))),
    "m-3": (("[001]", (0, 0, 1)), ("[101]", (1, 0, 1)), ("[111]", (1, 1, 1)), ("[011]", (0, 1, 1))),
    "m-3m": (("[001]", (0, 0, 1)), ("[101]", (1, 0, 1)), ("[111]", (1, 1, 1))),
}  # fmt: skip
#: The key of monoclinic crystals stands on b: its x, y and z are our z, x and y.
_ON_B = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
#: Any cell of a group, for the rotations; all of one system have the same.
_CELLS = {
    group: UnitCell(1, 1, 1, gamma=120.0 if group[:2] in ("-3", "6/") else 90.0)
    for group in IPF_GROUPS
}
#: Axes of the sample.
AXES = ("x", "y", "z")
_STEPS = 7200
_CHUNK = 50_000


@dataclass(frozen=True, eq=False)
class _Sector:
    """Directions that no symmetry turns into each other.

    ``normals`` (k, 3) point inwards; azimuth is counted from ``first`` over ``second``, both at
    right angles to ``middle``; ``hue`` is that of each of `_STEPS` even azimuths and the first one
    again, 0 to 1; ``turns`` (m, 3, 3) are the proper rotations.
    """

    normals: FloatArray
    middle: FloatArray
    first: FloatArray
    second: FloatArray
    hue: FloatArray
    turns: FloatArray


def ipf_group(phase: IndexedPhase) -> str:
    """Return the group of `IPF_GROUPS` whose key colours a phase."""
    return "-31m" if symmetry_of_phase(phase) in AXES_BETWEEN else laue_of_phase(phase)


def direction_colours(directions: ArrayLike, laue: str) -> FloatArray:
    """Colours of crystal directions.

    Parameters
    ----------
    directions : array_like, (..., 3)
        In our frame of the crystal (a along x, c* along z), of any length.
    laue
        Laue group, one of `IPF_GROUPS`.

    Returns
    -------
    ndarray of float64, (..., 3)
        Red, green and blue, 0 to 1; NaN where a direction is NaN.

    Raises
    ------
    InputError
        Unknown Laue group.
    """
    sector = _sector(laue)
    given = np.asarray(directions, dtype=float)
    vectors = given.reshape(-1, 3)
    if laue == "2/m":
        vectors = vectors @ _ON_B.T
    out = np.full(vectors.shape, np.nan)
    for start in range(0, len(vectors), _CHUNK):
        part = slice(start, start + _CHUNK)
        known = np.flatnonzero(np.isfinite(vectors[part]).all(axis=1)) + start
        out[known] = _colours(sector, vectors[known])
    return out.reshape(given.shape)


def ipf_colours(indexed: IndexedMap, axis: str = "z") -> FloatArray:
    """Colours of every pattern's orientation by the crystal direction along a sample axis.

    Parameters
    ----------
    indexed
        The solution.
    axis
        Of the sample in EDAX's frame: "x" (down), "y" (right) or "z" (the normal).

    Returns
    -------
    ndarray of float64, (n, 3)
        Red, green and blue, 0 to 1; patterns that are not indexed are grey.
    """
    if axis not in AXES:
        raise InputError(f"Unknown axis '{axis}' of the sample: use one of {', '.join(AXES)}.")
    directions = orientations(indexed, "edax")[:, :, AXES.index(axis)]
    out = np.tile(np.array(rgb(NOT_INDEXED_COLOUR)), (len(indexed), 1))
    for number, phase in enumerate(indexed.phases):
        here = indexed.phase == number
        out[here] = direction_colours(directions[here], ipf_group(phase))
    return out


@dataclass(frozen=True, eq=False)
class IpfKey:
    """A picture of the key.

    Attributes
    ----------
    image : ndarray of float64, (h, w, 4)
        Red, green, blue and opacity, 0 to 1; the longer side has the size asked for.
    labels
        Name of each corner, and its column and row in the picture.
    """

    image: FloatArray
    labels: tuple[tuple[str, float, float], ...]


def ipf_key(laue: str, size: int = 200) -> IpfKey:
    """Draw the key of a Laue group, in stereographic projection.

    Parameters
    ----------
    laue
        Laue group, one of `IPF_GROUPS`.
    size
        Pixels along the longer side.
    """
    sector = _sector(laue)
    fine = np.linspace(-1, 1, 401)
    rough = _unprojected(fine[None, :], fine[:, None])
    inside = _inside(sector, rough) & (fine[None, :] ** 2 + fine[:, None] ** 2 <= 1)
    rows, columns = np.nonzero(inside)
    left, right = fine[columns.min()], fine[columns.max()]
    low, high = fine[rows.min()], fine[rows.max()]
    step = max(right - left, high - low) / (size - 1)
    x = np.arange(left, right + step / 2, step)
    y = np.arange(high, low - step / 2, -step)
    directions = _unprojected(x[None, :], y[:, None])
    shown = _inside(sector, directions) & (x[None, :] ** 2 + y[:, None] ** 2 <= 1 + step)
    image = np.zeros((len(y), len(x), 4))
    image[shown, :3] = _colours(sector, directions[shown])
    image[shown, 3] = 1
    labels = []
    for name, corner in _CORNERS[laue]:
        unit = np.array(corner) / np.linalg.norm(corner)
        place = unit[:2] / (1 + unit[2])
        labels.append((name, float((place[0] - left) / step), float((high - place[1]) / step)))
    return IpfKey(image, tuple(labels))


def _inside(sector: _Sector, directions: FloatArray) -> NDArray[np.bool_]:
    return np.asarray((directions @ sector.normals.T >= -1e-9).all(axis=-1))


def _unprojected(x: FloatArray, y: FloatArray) -> FloatArray:
    """Upper directions of points of the stereographic projection, (..., 3)."""
    square = x**2 + y**2
    parts = np.broadcast_arrays(2 * x, 2 * y, 1 - square)
    return np.asarray(np.stack(parts, axis=-1) / (1 + square)[..., None])


def _colours(sector: _Sector, vectors: FloatArray) -> FloatArray:
    """Colours of directions, (n, 3), in the frame of the key."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    # Of all equivalent directions, back sides too, the one that lies deepest in the sector.
    depth = np.full(len(unit), -np.inf)
    turned = unit.copy()
    for turn in sector.turns:
        for one in (unit @ turn.T, -unit @ turn.T):
            deep = (one @ sector.normals.T).min(axis=1)
            better = deep > depth
            depth[better], turned[better] = deep[better], one[better]
    along, aside = turned @ sector.first, turned @ sector.second
    azimuth = np.arctan2(aside, along) % (2 * np.pi)
    hue = np.interp(azimuth, np.linspace(0, 2 * np.pi, _STEPS + 1), sector.hue)
    away = np.arctan2(np.hypot(along, aside), turned @ sector.middle)
    share = np.clip(away / _reach(sector, azimuth), 0, 1)
    # from white in the middle, lightness 1, to the pure colour at the border, lightness 1/2
    pure = np.clip(np.abs((6 * hue[:, None] + [0, 4, 2]) % 6 - 3) - 1, 0, 1)
    return np.asarray(1 - share[:, None] * (1 - pure))


def _reach(sector: _Sector, azimuth: FloatArray) -> FloatArray:
    """Angle from the middle to the border of the sector, in radians."""
    tangent = np.cos(azimuth)[:, None] * sector.first + np.sin(azimuth)[:, None] * sector.second
    reach = np.arctan2(sector.normals @ sector.middle, -(tangent @ sector.normals.T))
    return np.asarray(reach.min(axis=1))


@cache
def _sector(laue: str) -> _Sector:
    if laue not in IPF_GROUPS:
        raise InputError(f"Unknown Laue group '{laue}': use one of {', '.join(IPF_GROUPS)}.")
    normals = _normals(laue)
    middle = _middle(laue, normals)
    pole = np.array([1.0, 0.0, 0.0] if laue == "-1" else [0.0, 0.0, 1.0])
    first = pole - pole @ middle * middle
    first /= np.linalg.norm(first)
    turns = proper_rotations(AXES_BETWEEN[0] if laue == "-31m" else laue, _CELLS[laue])
    if laue == "2/m":
        turns = _ON_B @ turns @ _ON_B.T
    second = np.cross(middle, first)
    plain = _Sector(normals, middle, first, second, np.zeros(0), turns)
    azimuth = np.linspace(0, 2 * np.pi, _STEPS, endpoint=False) + np.pi / _STEPS
    density = _reach(plain, azimuth)
    corners = [np.array(corner) for _, corner in _CORNERS[laue]]
    if len(corners) == 3 and laue != "2/m":
        # each side of a triangle has a third of all hues
        at = sorted(float(np.arctan2(c @ second, c @ first) % (2 * np.pi)) for c in corners)
        side = np.searchsorted(at, azimuth) % 3
        for number in range(3):
            density[side == number] /= density[side == number].sum()
    hue = np.concatenate([[0.0], np.cumsum(density)])
    return _Sector(normals, middle, first, second, hue / hue[-1], turns)


def _normals(laue: str) -> FloatArray:
    if laue in _NORMALS:
        normals = np.array(_NORMALS[laue], dtype=float)
        return np.asarray(normals / np.linalg.norm(normals, axis=1, keepdims=True))
    start, end = np.radians(_WEDGES[laue])
    sides = [[-np.sin(start), np.cos(start), 0], [np.sin(end), -np.cos(end), 0]]
    return np.array([[0.0, 0.0, 1.0], *sides])


def _middle(laue: str, normals: FloatArray) -> FloatArray:
    """Middle of the sector: of a triangle the mean of its corners."""
    if laue == "-1":
        middle = np.array([0.0, 0.0, 1.0])
    elif laue == "2/m":
        middle = np.array([0.0, 1.0, 1.0])
    elif laue == "m-3":
        # the mean of all its directions
        line = (np.arange(600) + 0.5) / 600
        x, y = np.meshgrid(line, line)
        weight = (1 + x**2 + y**2) ** -1.5
        length = np.sqrt(1 + x**2 + y**2)
        middle = np.array([np.sum(weight * part / length) for part in (x, y, np.ones_like(x))])
    else:
        corners = np.array([corner for _, corner in _CORNERS[laue]])
        middle = (corners / np.linalg.norm(corners, axis=1, keepdims=True)).sum(axis=0)
    return np.asarray(middle / np.linalg.norm(middle))
