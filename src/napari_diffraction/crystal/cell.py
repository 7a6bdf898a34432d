"""Unit cells, given or random, of all seven crystal systems."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.errors import InputError

FloatArray = NDArray[np.float64]

SYSTEMS = (
    "triclinic",
    "monoclinic",
    "orthorhombic",
    "tetragonal",
    "trigonal",
    "hexagonal",
    "cubic",
)


@dataclass(frozen=True)
class UnitCell:
    """A direct-space unit cell.

    Attributes
    ----------
    a, b, c
        Edge lengths in A.
    alpha, beta, gamma
        Angles in degrees.

    Raises
    ------
    InputError
        The six numbers do not span a cell.
    """

    a: float
    b: float
    c: float
    alpha: float = 90.0
    beta: float = 90.0
    gamma: float = 90.0

    def __post_init__(self) -> None:
        numbers = np.array([self.a, self.b, self.c, self.alpha, self.beta, self.gamma])
        possible = np.all(numbers > 0) and np.all(np.isfinite(numbers)) and max(numbers[3:]) < 180
        if not possible or _squared_unit_volume(numbers[3:]) < 1e-8:
            raise InputError(
                f"The cell {' '.join(f'{x:g}' for x in numbers)} has no volume: give three "
                "positive lengths in A and three angles in degrees that close a cell."
            )

    @property
    def lengths(self) -> FloatArray:
        """Edge lengths in A, shape (3,)."""
        return np.array([self.a, self.b, self.c])

    @property
    def angles(self) -> FloatArray:
        """Angles in degrees, shape (3,)."""
        return np.array([self.alpha, self.beta, self.gamma])

    @property
    def parameters(self) -> tuple[float, float, float, float, float, float]:
        """The six cell parameters, in A and degrees."""
        return self.a, self.b, self.c, self.alpha, self.beta, self.gamma

    @property
    def volume(self) -> float:
        """Volume in A^3."""
        return float(np.prod(self.lengths) * np.sqrt(_squared_unit_volume(self.angles)))

    @cached_property
    def basis(self) -> FloatArray:
        """Direct basis, rows a, b, c in A; a along x and b in the xy plane, shape (3, 3)."""
        ca, cb, cg = np.cos(np.radians(self.angles))
        sg = np.sin(np.radians(self.gamma))
        cx, cy = cb, (ca - cb * cg) / sg
        cz = np.sqrt(_squared_unit_volume(self.angles)) / sg
        rows = np.array([[1.0, 0.0, 0.0], [cg, sg, 0.0], [cx, cy, cz]])
        return np.asarray(rows * self.lengths[:, None])

    @cached_property
    def reciprocal_basis(self) -> FloatArray:
        """Reciprocal basis, rows a*, b*, c* in 1/A (no factor 2 pi), shape (3, 3)."""
        return np.asarray(np.linalg.inv(self.basis).T)

    def scaled(self, volume: float) -> UnitCell:
        """Return the cell of the same shape with another volume in A^3."""
        factor = (volume / self.volume) ** (1 / 3)
        return UnitCell(
            self.a * factor, self.b * factor, self.c * factor, self.alpha, self.beta, self.gamma
        )


def random_cell(
    volume: float | tuple[float, float],
    system: str = "triclinic",
    anisotropy: tuple[float, float] = (1.0, 4.0),
    rng: np.random.Generator | None = None,
) -> UnitCell:
    """Draw a random cell, from nearly isotropic to strongly anisotropic.

    Parameters
    ----------
    volume
        Volume in A^3, or a range from which it is drawn on a logarithmic scale.
    system
        One of `SYSTEMS`.  Trigonal means hexagonal axes, as for R centring.
    anisotropy
        Range of the ratio of the longest to the shortest edge.
    rng
        Source of randomness; a fresh one by default.

    Raises
    ------
    InputError
        Unknown system, or a volume or anisotropy that no cell can have.
    """
    rng = rng or np.random.default_rng()
    if system not in SYSTEMS:
        raise InputError(f"Unknown crystal system '{system}': use one of {', '.join(SYSTEMS)}.")
    low, high = np.broadcast_to(volume, 2).tolist()
    if not 0 < low <= high < 1e7:
        raise InputError(f"A cell volume of {low:g} to {high:g} A^3 cannot be: give 1 to 1e7 A^3.")
    if not 1 <= anisotropy[0] <= anisotropy[1]:
        raise InputError("The anisotropy is a range of ratios of at least 1, low to high.")
    ratio = np.exp(rng.uniform(*np.log(anisotropy)))
    edges = rng.permutation([1.0, ratio ** rng.uniform(), ratio])
    angles = np.full(3, 90.0)
    if system == "triclinic":
        angles = rng.uniform(75, 120, 3)
        while _squared_unit_volume(angles) < 0.2:  # nearly flat, or no cell at all
            angles = rng.uniform(75, 120, 3)
    elif system == "monoclinic":
        angles[1] = rng.uniform(91, 125)
    elif system in ("tetragonal", "trigonal", "hexagonal"):
        edges = np.array([1.0, 1.0, ratio if rng.uniform() < 0.5 else 1 / ratio])
        if system != "tetragonal":
            angles[2] = 120.0
    elif system == "cubic":
        edges = np.ones(3)
    shape = UnitCell(*edges.tolist(), *angles.tolist())
    return shape.scaled(float(np.exp(rng.uniform(np.log(low), np.log(high)))))


def _squared_unit_volume(angles: FloatArray) -> float:
    """Squared volume of a cell with unit edges; negative where the angles close no cell."""
    ca, cb, cg = np.cos(np.radians(angles))
    return float(1 - ca**2 - cb**2 - cg**2 + 2 * ca * cb * cg)
