"""Orientation, and where wanted pattern centre, of a known crystal from the bands of patterns.

The truth by which band finders and indexing are measured on real patterns.  It is plain and slow on
purpose and shares nothing with the package's own indexing but the geometry of a band: all pairs of
bands against all pairs of reflectors, then least squares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from napari_diffraction.crystal.reflectors import reflectors
from napari_diffraction.crystal.structure import Structure
from napari_diffraction.patterns.geometry import electron_wavelength
from napari_diffraction.patterns.kikuchi.bands.lines import plane_vectors

FloatArray = NDArray[np.float64]

#: A band belongs to a reflector nearer than this, in degrees, while the fit begins, and at its end.
_AT_FIRST, _AT_LAST = 2.5, 1.2
#: Pairs of bands, and of reflectors, nearer than this to each other fix no orientation.
_CLOSE = np.cos(np.radians(12.0))


@dataclass(frozen=True, eq=False)
class Planes:
    """The planes of a crystal that make bands, one for each direction.

    Attributes
    ----------
    unit : ndarray of float64, (m, 3)
        Unit normals in the crystal's frame, the strongest first.
    half_width : ndarray of float64, (m,)
        Bragg angle in degrees of the strongest order.
    strength : ndarray of float64, (m,)
        |U_g| of that order over the greatest of the crystal.
    """

    unit: FloatArray
    half_width: FloatArray
    strength: FloatArray


def planes_of(structure: Structure, least: float = 0.1, voltage: float = 20.0) -> Planes:
    """List the planes whose |U_g| is at least so much of the greatest one; voltage in kV."""
    found = reflectors(structure, 400)
    strength = (found.u / found.u[0]).astype(float)
    unit, g = found.normal.astype(float), found.g.astype(float)
    kept: list[int] = []
    for k in range(len(unit)):  # the strongest first, so that it stands for its other orders
        if strength[k] >= least and (not kept or np.abs(unit[kept] @ unit[k]).max() < 1 - 1e-6):
            kept.append(k)
    bragg = np.degrees(np.arcsin(electron_wavelength(voltage) * g[kept] / 2))
    return Planes(unit[kept], bragg, strength[kept])


def lines_of(normals: FloatArray, pc: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """Lines on the screen, as in `patterns.kikuchi.bands.lines.Lines`, of planes.

    Parameters
    ----------
    normals : ndarray, (n, k, 3)
        Unit normals in the detector's frame; zeros where there is none.
    pc : ndarray, (n, 3) or (3,)
        Pattern centres for which they were computed.
    shape
        Height and width of the pictures.
    """
    h, w = shape
    pc = np.broadcast_to(pc, (len(normals), 3))[:, None, :]
    x, y, z = np.moveaxis(np.asarray(normals, float), -1, 0)
    a, b = x, -y
    c = a * (pc[..., 0] - 0.5) * w + b * (pc[..., 1] - 0.5) * h - z * pc[..., 2] * h
    length = np.maximum(np.hypot(a, b), 1e-12)
    return np.stack([a / length, b / length, c / length], axis=-1)


def normals_of(line: FloatArray, pc: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """Unit normals (n, k, 3) of lines; zeros where a line is zeros."""
    vectors = plane_vectors(line, np.asarray(pc, float), shape)
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(np.where(length > 1e-9, vectors / np.maximum(length, 1e-9), 0))


def angles_to(normals: FloatArray, unit: FloatArray) -> tuple[FloatArray, NDArray[np.int64]]:
    """Angle in degrees of each normal (k, 3) to the nearest of the planes, and which it is."""
    cosine = np.abs(normals @ unit.T)
    # the sine of small angles has more digits than their cosine
    which = cosine.argmax(axis=1)
    sine = np.linalg.norm(np.cross(normals, unit[which]), axis=1)
    angle = np.degrees(np.arcsin(np.clip(sine, 0, 1)))
    return np.where(np.linalg.norm(normals, axis=1) > 0.5, angle, 90.0), which


def _frames(a: FloatArray, b: FloatArray) -> FloatArray:
    """Matrices whose columns are a, the normal of a and b, and the third axis."""
    across = np.cross(a, b)
    across /= np.linalg.norm(across, axis=-1, keepdims=True)
    return np.stack([a, across, np.cross(a, across)], axis=-1)


def vote(normals: FloatArray, unit: FloatArray, paired: int = 9, within: float = 1.5) -> FloatArray:
    """Return the rotation (crystal to detector) that puts most bands on planes.

    Parameters
    ----------
    normals : ndarray, (k, 3)
        Of the bands, the most certain first; zeros where there is none.
    unit : ndarray, (m, 3)
        Of the planes.
    paired
        Pairs of the first so many bands are tried.
    within
        A band counts up to this many degrees from a plane, less the farther off it is.
    """
    normals = normals[np.linalg.norm(normals, axis=1) > 0.5]
    cosine = unit @ unit.T
    first, second = np.nonzero(np.abs(cosine) < _CLOSE)
    # each plane has two normals: of a pair only their relative sign matters
    ends = np.concatenate([unit[second], -unit[second]])
    starts, between = (
        np.tile(unit[first], (2, 1)),
        np.concatenate([cosine[first, second], -cosine[first, second]]),
    )
    made = _frames(starts, ends)
    best, best_score = np.eye(3), -1.0
    limit = np.cos(np.radians(within))
    for i in range(min(paired, len(normals))):
        for j in range(i):
            seen = float(normals[i] @ normals[j])
            if abs(seen) > _CLOSE:
                continue
            apart = np.abs(np.arccos(between) - np.arccos(seen))
            fits = apart < np.radians(within)
            if not fits.any():
                continue
            rotations = _frames(normals[i], normals[j]) @ np.swapaxes(made[fits], 1, 2)
            score = np.zeros(len(rotations))
            for part in range(0, len(rotations), 2000):
                turned = unit @ np.swapaxes(rotations[part : part + 2000], 1, 2)
                nearest = np.abs(turned @ normals.T).max(axis=1)
                score[part : part + 2000] = np.maximum(nearest - limit, 0).sum(axis=1) / (1 - limit)
            if score.max() > best_score:
                best, best_score = rotations[score.argmax()], float(score.max())
    return best


@dataclass(frozen=True, eq=False)
class Fit:
    """Orientations (crystal to detector, (n, 3, 3)) of known planes, and the pattern centre.

    ``misfit`` is the mean angle in degrees of the bands that belong to planes, ``bands`` their
    number over all patterns.
    """

    rotation: FloatArray
    pc: FloatArray
    misfit: float
    bands: int


def fit(
    line: FloatArray,
    shape: tuple[int, int],
    pc: Sequence[float] | FloatArray,
    unit: FloatArray,
    free_centre: bool = False,
) -> Fit:
    """Fit orientations of known planes to the bands of patterns, and one centre if it is free.

    Parameters
    ----------
    line : ndarray, (n, k, 3)
        Bands as lines on the screen.
    shape
        Height and width of the pictures.
    pc
        Pattern centre, or where its refinement begins.
    unit : ndarray, (m, 3)
        Normals of the planes.
    free_centre
        Whether the centre is refined.
    """
    pc = np.asarray(pc, float)
    rotation = np.stack([vote(one, unit) for one in normals_of(line, pc, shape)])
    misfit, bands = 90.0, 0
    for within in np.linspace(_AT_FIRST, _AT_LAST, 5):
        angle, which = _angles(normals_of(line, pc, shape), rotation, unit)
        used = angle < within
        if used.sum() < 4 + 3 * len(line) / 2:
            break
        rotation, pc = _least_squares(line, shape, pc, unit, rotation, which, used, free_centre)
        angle, _ = _angles(normals_of(line, pc, shape), rotation, unit)
        misfit, bands = float(angle[angle < within].mean()), int((angle < _AT_LAST).sum())
    return Fit(rotation, pc, misfit, bands)


def fit_centre(
    line: FloatArray,
    shape: tuple[int, int],
    unit: FloatArray,
    starts: Sequence[Sequence[float]],
) -> Fit:
    """Fit orientations and centre from several starts; the fit with most bands is taken."""
    fits = [fit(line, shape, pc, unit, free_centre=True) for pc in starts]
    return max(fits, key=lambda one: one.bands - 2 * one.misfit * len(line))


def _angles(
    normals: FloatArray, rotation: FloatArray, unit: FloatArray
) -> tuple[FloatArray, NDArray[np.int64]]:
    pairs = [angles_to(n, unit @ r.T) for n, r in zip(normals, rotation, strict=True)]
    return np.stack([one[0] for one in pairs]), np.stack([one[1] for one in pairs])


def _least_squares(
    line: FloatArray,
    shape: tuple[int, int],
    pc: FloatArray,
    unit: FloatArray,
    rotation: FloatArray,
    which: NDArray[np.int64],
    used: NDArray[np.bool_],
    free_centre: bool,
) -> tuple[FloatArray, FloatArray]:
    n = len(line)
    pattern, band = np.nonzero(used)

    def unpack(values: FloatArray) -> tuple[FloatArray, FloatArray]:
        turned = Rotation.from_rotvec(values[: 3 * n].reshape(n, 3)).as_matrix() @ rotation
        return turned, pc + values[3 * n :] if free_centre else pc

    def residuals(values: FloatArray) -> FloatArray:
        turned, centre = unpack(values)
        normals = normals_of(line, centre, shape)[pattern, band]
        planes = np.einsum("nij,nj->ni", turned[pattern], unit[which[pattern, band]])
        return np.cross(normals, planes).ravel()

    start = np.zeros(3 * n + 3 * free_centre)
    found = least_squares(residuals, start, loss="soft_l1", f_scale=np.radians(0.4))
    return unpack(found.x)
