"""Orientations of crystals under the beam."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
