"""From the microscope's angles and a vendor's pattern centre to the directions of the pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_diffraction.errors import InputError

FloatArray = NDArray[np.float64]

#: Whose pattern centre it is.
CONVENTIONS = ("bruker", "edax", "oxford")


def wavelength(voltage: ArrayLike) -> Any:
    """Relativistic electron wavelength in A, voltage in kV (Reimer 1993, eq. 2.12)."""
    volts = 1e3 * np.asarray(voltage, dtype=float)
    return 12.2643 / np.sqrt(volts * (1 + 0.97845e-6 * volts))


def to_bruker(pc: ArrayLike, convention: str, shape: tuple[int, int]) -> FloatArray:
    """Convert pattern centres to Bruker's convention.

    Bruker: from the left over the width, from the top over the height, distance over the height.
    EDAX (TSL): from the left over the width, from the bottom over the height, distance over the
    shorter side.  Oxford: from the left, from the bottom, and the distance, all over the width.

    Parameters
    ----------
    pc : array_like, (..., 3)
        Pattern centres.
    convention
        One of `CONVENTIONS`.
    shape
        Height and width of the patterns in pixels.

    Returns
    -------
    ndarray of float64, (..., 3)

    Raises
    ------
    InputError
        Unknown convention.
    """
    x, y, z = np.moveaxis(np.asarray(pc, dtype=float), -1, 0)
    y, z = _to_bruker(y, z, convention, shape)
    return np.stack([x, y, z], axis=-1)


def from_bruker(pc: ArrayLike, convention: str, shape: tuple[int, int]) -> FloatArray:
    """Convert pattern centres from Bruker's convention; see `to_bruker`."""
    x, y, z = np.moveaxis(np.asarray(pc, dtype=float), -1, 0)
    h, w = shape
    if convention == "edax":
        y, z = 1 - y, z * h / min(shape)
    elif convention == "oxford":
        y, z = (1 - y) * h / w, z * h / w
    else:
        _known(convention)
    return np.stack([x, y, z], axis=-1)


def _to_bruker(
    y: FloatArray, z: FloatArray, convention: str, shape: tuple[int, int]
) -> tuple[FloatArray, FloatArray]:
    h, w = shape
    if convention == "edax":
        return 1 - y, z * min(shape) / h
    if convention == "oxford":
        return 1 - y * w / h, z * w / h
    _known(convention)
    return y, z


def _known(convention: str) -> None:
    if convention not in CONVENTIONS:
        raise InputError(
            f"Unknown convention '{convention}' of the pattern centre: "
            f"use one of {', '.join(CONVENTIONS)}."
        )


def euler_matrices(angles: ArrayLike) -> FloatArray:
    """Matrices that turn directions of the sample into the crystal's frame.

    Parameters
    ----------
    angles : array_like, (..., 3)
        Bunge's Euler angles phi1, Phi, phi2 in degrees, as EBSD programs give them.

    Returns
    -------
    ndarray of float64, (..., 3, 3)
    """
    phi1, phi, phi2 = np.moveaxis(np.radians(np.asarray(angles, dtype=float)), -1, 0)
    c1, s1, c, s, c2, s2 = (f(angle) for angle in (phi1, phi, phi2) for f in (np.cos, np.sin))
    rows = (
        (c1 * c2 - s1 * s2 * c, s1 * c2 + c1 * s2 * c, s2 * s),
        (-c1 * s2 - s1 * c2 * c, -s1 * s2 + c1 * c2 * c, c2 * s),
        (s1 * s, -c1 * s, c),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def euler_angles(matrices: ArrayLike) -> FloatArray:
    """Bunge's Euler angles in degrees, (..., 3), of matrices from the sample to the crystal."""
    m = np.asarray(matrices, dtype=float)
    phi = np.arccos(np.clip(m[..., 2, 2], -1, 1))
    upright = np.sin(phi) < 1e-7  # phi1 and phi2 are about one axis: all of it is phi1
    phi1 = np.where(
        upright, np.arctan2(m[..., 0, 1], m[..., 0, 0]), np.arctan2(m[..., 2, 0], -m[..., 2, 1])
    )
    phi2 = np.where(upright, 0.0, np.arctan2(m[..., 0, 2], m[..., 1, 2]))
    turns = np.stack([phi1 % (2 * np.pi), phi, phi2 % (2 * np.pi)], axis=-1)
    return np.asarray(np.degrees(turns))


def quaternions(matrices: ArrayLike) -> FloatArray:
    """Unit quaternions, scalar first and not negative, (..., 4), of rotation matrices."""
    from scipy.spatial.transform import Rotation

    m = np.asarray(matrices, dtype=float)
    xyzw = Rotation.from_matrix(m.reshape(-1, 3, 3)).as_quat(canonical=True)
    return np.asarray(np.roll(xyzw, 1, axis=1).reshape(*m.shape[:-2], 4))


def detector_to_sample(sample_tilt: float = 70.0, camera_tilt: float = 0.0) -> FloatArray:
    """Matrix that turns directions of the detector into the sample's frame, (3, 3).

    Detector: x to the right, y up, z from the sample to the screen.  Sample: z along the surface's
    normal, x down the slope towards the screen and y to the right, the setting of the Euler angles
    of EDAX.

    Parameters
    ----------
    sample_tilt
        Tilt of the sample towards the screen in degrees.
    camera_tilt
        Elevation of the camera in degrees; 0: the screen is upright.
    """
    slope = np.radians(90 - sample_tilt + camera_tilt)
    c, s = np.cos(slope), np.sin(slope)
    return np.array([[0, -c, s], [1, 0, 0], [0, s, c]])


def detector_to_crystal(
    angles: ArrayLike, sample_tilt: float = 70.0, camera_tilt: float = 0.0
) -> FloatArray:
    """Matrices that turn directions of the detector into the crystal's frame, (..., 3, 3).

    Parameters
    ----------
    angles : array_like, (..., 3)
        Bunge's Euler angles in degrees.
    sample_tilt, camera_tilt
        See `detector_to_sample`.
    """
    return np.asarray(euler_matrices(angles) @ detector_to_sample(sample_tilt, camera_tilt))


def beam_direction(camera_tilt: float = 0.0) -> FloatArray:
    """Unit vector in which the beam travels, in the detector's frame, (3,)."""
    tilt = np.radians(camera_tilt)
    return np.array([0.0, -np.cos(tilt), np.sin(tilt)])


def random_orientations(n: int, rng: np.random.Generator) -> FloatArray:
    """Uniformly distributed rotation matrices, (n, 3, 3)."""
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.random(n, rng=rng).as_matrix())
