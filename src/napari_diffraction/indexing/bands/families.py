"""What is seen along the directions of a lattice: profiles and half widths of families of bands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.indexing.bands.directions import half_of_space
from napari_diffraction.indexing.bands.sublattices import first_orders, steps_of
from napari_diffraction.patterns.kikuchi.bands.profiles import STEP, Profiles, band_profiles

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Directions looked at.
COUNT = 360
#: Half widths up to this, in degrees, are measured.
_WIDEST = 6.4
#: A family is seen whose edge is this part of the strongest ones, and how gradually so.
_SEEN, _SEEN_SPREAD = 0.12, 0.03
#: Least height of an edge over its noise.
_CLEAR = 2.5
#: First step of a profile at which a fall is looked for.
_FIRST = 2
#: Share of its angle, and steps at least and at most, over which either side of a fall is averaged.
_REACH, _REACH_STEPS = 0.3, (2, 5)
#: Blur of a camera in degrees, and of a pixel in parts of one.
_CAMERA, _PIXEL = 0.3, 0.55
_HALF = half_of_space(8)


@dataclass(frozen=True, eq=False)
class BandFamilies:
    """What is seen along the directions of a lattice, f families of k directions.

    Attributes
    ----------
    basis : ndarray of float64, (3, 3)
        Columns: reciprocal vectors.
    hkl : ndarray of int64, (k, 3)
        Primitive indices of the directions.
    length : ndarray of float64, (k,)
        Of the shortest vectors.
    family : ndarray of int64, (k,)
        Number of the family, by which the following are ordered.
    half_width : ndarray of float64, (f,)
        Bragg angle in degrees, by the steepest fall of the profile.
    spread : ndarray of float64, (f,)
        Uncertainty of its logarithm.
    edge : ndarray of float64, (f,)
        Height of the fall in parts of the highest ones.
    clear : ndarray of float64, (f,)
        The same over its noise.
    seen : ndarray of float64, (f,)
        Probability that there is a band.
    possible : ndarray of int64, (f,)
        How often a band of the family crossed a picture.
    blur
        Of the profiles, degrees.
    profiles
        From which all this was read.
    """

    basis: FloatArray
    hkl: IntArray
    length: FloatArray
    family: IntArray
    half_width: FloatArray
    spread: FloatArray
    edge: FloatArray
    clear: FloatArray
    seen: FloatArray
    possible: IntArray
    blur: float
    profiles: Profiles

    @property
    def place(self) -> IntArray:
        """Number of the first direction of each family, (f,)."""
        return np.asarray(np.unique(self.family, return_index=True)[1])

    def first_orders(self, lattice: FloatArray) -> FloatArray:
        """Length of the shortest vector of a lattice along every direction, (k,)."""
        return first_orders(lattice, self.basis, self.hkl, self.length)


def band_families(
    pictures: NDArray[np.float32],
    weight: NDArray[np.float32],
    pc: FloatArray,
    rotation: FloatArray,
    basis: FloatArray,
    turns: IntArray | None = None,
) -> BandFamilies:
    """Measure what is seen along the directions of a lattice.

    Parameters
    ----------
    pictures : ndarray of float32, (n, h, w)
        Flattened.
    weight : ndarray of float32, (h, w)
        0 behind a mask.
    pc : ndarray of float64, (3,) or (n, 3)
        Pattern centres.
    rotation : ndarray of float64, (n, 3, 3)
        From crystal to detector.
    basis : ndarray of float64, (3, 3)
        Columns: reciprocal vectors.
    turns : ndarray of int64, (m, 3, 3), optional
        Rotations of the lattice in its direct axes; directions that they turn into each other are
        one family.
    """
    hkl, length = _directions(basis)
    family = _families(hkl, turns)
    normals = np.einsum("nij,kj->nki", rotation, hkl @ basis.T / length[:, None])
    profiles = band_profiles(pictures, weight, normals, pc, family)
    width, edge, clear = _edges(profiles)
    strongest = np.sort(edge)[-3:].mean()
    relative = edge / max(strongest, 1e-9)
    seen = (clear > _CLEAR) / (1 + np.exp(-(relative - _SEEN) / _SEEN_SPREAD))
    bragg = bragg_angle(width)
    spread = 0.035 + 0.1 / (1 + (bragg / 1.3) ** 6) + 0.04 * np.exp(-clear / 4)
    possible = np.zeros(len(width), np.int64)
    np.add.at(possible, family, _crossing(normals, pc, weight.shape).sum(axis=0))
    return BandFamilies(
        basis, hkl, length, family, bragg, spread, relative, clear, seen, possible,
        _blur(pc, weight.shape), profiles,
    )  # fmt: skip


def _directions(basis: FloatArray) -> tuple[IntArray, FloatArray]:
    """Directions of a lattice by length, those of the short vectors of finer ones among them."""
    length = np.linalg.norm(_HALF @ basis.T, axis=1)
    rank = length.copy()
    for finer in steps_of(basis)[1]:
        index = abs(np.linalg.det(basis) / np.linalg.det(finer))
        rank = np.minimum(rank, first_orders(finer, basis, _HALF, length) * np.cbrt(index))
    chosen = np.argsort(rank, kind="stable")[:COUNT]
    chosen = chosen[np.argsort(length[chosen], kind="stable")]
    return _HALF[chosen], length[chosen]


def _blur(pc: FloatArray, shape: tuple[int, ...]) -> float:
    """What camera and pixels make of a sharp edge, degrees."""
    distance = float(np.mean(np.asarray(pc)[..., 2])) * shape[0]
    return float(np.hypot(_CAMERA, _PIXEL * np.degrees(1 / distance)))


def _crossing(normals: FloatArray, pc: FloatArray, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Whether the middle of a band runs well within a picture, (n, k)."""
    h, w = shape
    centre = np.broadcast_to(pc, (len(normals), 3))[:, None]
    # the line n . (x, y, 1) = 0 in units of the screen's distance, and the middle of the picture
    scale = np.hypot(normals[..., 0], normals[..., 1]) / (centre[..., 2] * h)
    middle = (
        normals[..., 0] * (0.5 - centre[..., 0]) * w / (centre[..., 2] * h)
        + normals[..., 1] * (centre[..., 1] - 0.5) / centre[..., 2]
        + normals[..., 2]
    )
    return np.asarray(np.abs(middle) < 0.4 * min(h, w) * np.maximum(scale, 1e-9))


def bragg_angle(width: FloatArray) -> FloatArray:
    """Bragg angle of a band, degrees, by where its profile falls most steeply.

    The fall is a little inside, more so for narrow bands, as was measured on dynamical patterns of
    40 crystals at 60 to 240 pixels.
    """
    return np.asarray(width / (0.948 - 0.07 / (1 + (width / 1.15) ** 6)))


def edge_angle(bragg: FloatArray) -> FloatArray:
    """Where the profile of a band falls most steeply: the inverse of `bragg_angle`."""
    width = 0.93 * bragg
    for _ in range(6):
        width = bragg * (0.948 - 0.07 / (1 + (width / 1.15) ** 6))
    return np.asarray(width)


def _families(hkl: IntArray, turns: IntArray | None) -> IntArray:
    """Number the families of directions, in the order of their first member."""
    if turns is None or len(turns) < 2:
        return np.arange(len(hkl))
    place = {tuple(one): number for number, one in enumerate(hkl.tolist())}
    family = np.full(len(hkl), -1)
    count = 0
    for number in range(len(hkl)):
        if family[number] >= 0:
            continue
        for moved in (hkl[number] @ turns).tolist():
            if next(value for value in moved if value) < 0:
                moved = [-value for value in moved]
            other = place.get(tuple(moved))
            if other is not None:
                family[other] = count
        count += 1
    return family


def _levels(profiles: Profiles) -> tuple[FloatArray, FloatArray]:
    """How deep profiles fall at every step from ``_FIRST`` on, and over how many times their noise.

    The mean on either side is taken over a share of the angle, within some steps.
    """
    value, area = profiles.value, profiles.area
    steps = np.arange(_FIRST, int(_WIDEST / STEP))
    sums = np.cumsum(np.pad(value * area, ((0, 0), (1, 0))), axis=1)
    areas = np.cumsum(np.pad(area, ((0, 0), (1, 0))), axis=1)
    fall = np.zeros((len(value), len(steps)))
    weight = np.zeros_like(fall)
    for column, at in enumerate(steps.tolist()):
        reach = int(np.clip(round(_REACH * at), *_REACH_STEPS))
        low, high = max(0, at - reach), min(value.shape[1], at + 1 + reach)
        inside, outside = areas[:, at] - areas[:, low], areas[:, high] - areas[:, at + 1]
        difference = (sums[:, at] - sums[:, low]) / np.maximum(inside, 1e-9)
        difference -= (sums[:, high] - sums[:, at + 1]) / np.maximum(outside, 1e-9)
        fall[:, column] = difference
        weight[:, column] = np.sqrt(inside * outside / np.maximum(inside + outside, 1e-9)) * (
            np.minimum(inside, outside) > 20
        )
    level = fall * weight
    # what a direction without a band shows: other bands, and noise
    noise = float(np.median(np.abs(level[weight > 0]))) if (weight > 0).any() else 1.0
    return np.where(weight > 0, fall, -np.inf), level / max(noise, 1e-9)


def _edges(profiles: Profiles) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Where profiles fall most steeply, degrees, how deep, and over how many times their noise."""
    fall, level = _levels(profiles)
    best = np.argmax(fall, axis=1)
    row, last = np.arange(len(fall)), fall.shape[1] - 1
    within = (best > 0) & (best < last)
    left = fall[row, np.maximum(best - 1, 0)]
    right = fall[row, np.minimum(best + 1, last)]
    with np.errstate(invalid="ignore"):
        bend = left - 2 * fall[row, best] + right
    shift = np.zeros(len(best))
    sharp = within & np.isfinite(bend) & (bend < 0)
    shift[sharp] = 0.5 * (left[sharp] - right[sharp]) / bend[sharp]
    width = STEP * (best + _FIRST + shift)
    return width, np.nan_to_num(np.maximum(fall[row, best], 0.0)), level[row, best]
