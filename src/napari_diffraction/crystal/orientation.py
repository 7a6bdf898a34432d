"""Orientations of crystals under the beam, of the sample and of the screen."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


def fibonacci_sphere(n: int) -> FloatArray:
    """Spread ``n`` directions evenly over the sphere.

    Returns
    -------
    ndarray, (n, 3)
        Unit vectors.  The golden-angle spiral of Gonzalez, Math. Geosci. 42 (2010) 49-64.
    """
    i = np.arange(n) + 0.5
    z = 1 - 2 * i / n
    phi = i * np.pi * (3 - np.sqrt(5))
    r = np.sqrt(1 - z**2)
    return np.stack([r * np.cos(phi), r * np.sin(phi), z], axis=-1)


def rotations_to_beam(directions: FloatArray, in_plane: FloatArray | float = 0.0) -> FloatArray:
    """Rotate crystals so that given directions lie along the beam.

    Parameters
    ----------
    directions : ndarray, (n, 3)
        Unit vectors in the crystal frame.
    in_plane
        Further rotation about the beam in radians, one for all or one each.

    Returns
    -------
    ndarray, (n, 3, 3)
        Rotation matrices R with R @ direction = z, the direction in which the beam travels.
    """
    z = np.asarray(directions, dtype=float)
    helper = np.where(np.abs(z[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    x = np.cross(helper, z)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    y = np.cross(z, x)
    cos = np.broadcast_to(np.cos(in_plane), len(z))[:, None]
    sin = np.broadcast_to(np.sin(in_plane), len(z))[:, None]
    return np.stack([cos * x - sin * y, sin * x + cos * y, z], axis=1)


def random_rotations(n: int, rng: np.random.Generator) -> FloatArray:
    """Draw ``n`` uniform random rotation matrices, shape (n, 3, 3)."""
    directions = rng.normal(size=(n, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return rotations_to_beam(directions, rng.uniform(0, 2 * np.pi, n))


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
