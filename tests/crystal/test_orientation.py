"""Orientations: proper rotations that bring directions into the beam, spread evenly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_diffraction.crystal.orientation import (
    fibonacci_sphere,
    random_rotations,
    rotations_to_beam,
)


def assert_rotations(matrices: np.ndarray) -> None:
    np.testing.assert_allclose(
        matrices @ matrices.transpose(0, 2, 1),
        np.broadcast_to(np.eye(3), matrices.shape),
        atol=1e-12,
    )
    np.testing.assert_allclose(np.linalg.det(matrices), 1.0)


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=3), st.floats(-10, 10))
def test_rotation_brings_the_direction_into_the_beam(numbers: list[float], turn: float) -> None:
    direction = np.array(numbers)
    if np.linalg.norm(direction) < 1e-3:
        direction = np.array([0.0, 0.0, -1.0])
    direction = direction / np.linalg.norm(direction)
    matrix = rotations_to_beam(direction[None], turn)
    assert_rotations(matrix)
    np.testing.assert_allclose(matrix[0] @ direction, [0, 0, 1], atol=1e-12)


def test_in_plane_rotation_turns_right_to_down() -> None:
    """x is right, y is down: a positive turn about the beam is clockwise on the screen."""
    directions = fibonacci_sphere(20)
    plain, turned = rotations_to_beam(directions), rotations_to_beam(directions, np.pi / 2)
    right = plain.transpose(0, 2, 1) @ [1.0, 0.0, 0.0]  # what lies to the right without the turn
    np.testing.assert_allclose(
        np.einsum("nij,nj->ni", turned, right), np.tile([0.0, 1.0, 0.0], (20, 1)), atol=1e-12
    )


def test_one_turn_for_each_direction() -> None:
    directions, turns = fibonacci_sphere(5), np.arange(5.0)
    together = rotations_to_beam(directions, turns)
    for one, direction, turn in zip(together, directions, turns, strict=True):
        np.testing.assert_allclose(one, rotations_to_beam(direction[None], turn)[0])


@pytest.mark.parametrize("n", [1, 2, 100, 1000])
def test_fibonacci_directions_are_unit_vectors(n: int) -> None:
    points = fibonacci_sphere(n)
    assert points.shape == (n, 3)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1)


def test_fibonacci_directions_are_even() -> None:
    n = 1000
    points = fibonacci_sphere(n)
    assert np.abs(points.mean(axis=0)).max() < 1e-3
    # isotropic: the second moment is a third of the unit matrix
    np.testing.assert_allclose(points.T @ points / n, np.eye(3) / 3, atol=1e-3)
    nearest = np.sort(np.arccos(np.clip(points @ points.T, -1, 1)), axis=1)[:, 1]
    hexagonal = np.sqrt(8 * np.pi / np.sqrt(3) / n)  # the best that any arrangement can reach
    assert nearest.min() > 0.75 * hexagonal
    assert nearest.max() < hexagonal
    octant = ((points > 0) @ [4, 2, 1]).astype(int)
    assert np.abs(np.bincount(octant, minlength=8) - n / 8).max() < 6


def test_random_rotations_are_uniform() -> None:
    matrices = random_rotations(4000, np.random.default_rng(0))
    assert_rotations(matrices)
    # Haar measure: all elements have mean 0 and mean square 1/3, and the mean cosine of the
    # rotation angle is -1/2 (it would be 0 with even angles)
    np.testing.assert_allclose(matrices.mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose((matrices**2).mean(axis=0), 1 / 3, atol=0.03)
    cosine = (np.trace(matrices, axis1=1, axis2=2) - 1) / 2
    assert cosine.mean() == pytest.approx(-0.5, abs=0.04)
