"""Which reflections exist, and how strong they are."""

from __future__ import annotations

from dataclasses import dataclass

import gemmi
import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.settings import find_setting, metric_fits
from napari_diffraction.errors import InputError

INTENSITY_MODELS = ("equal", "random", "kinematical")

#: Elements of the random structures behind "kinematical" intensities.
_ELEMENTS = ("C", "N", "O", "Si", "S", "Fe")

#: As in `metric_fits`: a measured cell is good enough, one on other axes is not.
_METRIC_TOLERANCE = 0.05


@dataclass(frozen=True)
class ReflectionTable:
    """Intensities of all reflections up to a resolution.

    Attributes
    ----------
    cell
        The unit cell.
    intensity : ndarray of float32, (2 H + 1, 2 K + 1, 2 L + 1)
        Relative intensity of h k l at index (h + H, k + K, l + L), 0 for absent reflections and
        for 0 0 0; the mean over the present ones is 1.
    resolution
        Smallest plane spacing in A.
    """

    cell: UnitCell
    intensity: NDArray[np.float32]
    resolution: float

    def at(self, hkl: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the intensities of reflections, hkl of shape (..., 3)."""
        middle = np.array(self.intensity.shape) // 2
        i = np.asarray(hkl) + middle
        return np.asarray(self.intensity[i[..., 0], i[..., 1], i[..., 2]])


def parse_space_group(name: str | int, cell: UnitCell | None = None) -> gemmi.SpaceGroup:
    """Find a space group by number or Hermann-Mauguin symbol.

    Parameters
    ----------
    name
        The number or symbol.
    cell
        Says whether a rhombohedral group is on hexagonal axes, and has to have the symmetry of the
        group; without it nothing is checked.

    Raises
    ------
    InputError
        No such space group, or one that the cell contradicts.
    """
    group = find_setting(name, cell)
    if group is None:
        raise InputError(
            f"Unknown space group '{name}': give a number from 1 to 230 or a symbol like 'P 21/c'."
        )
    if cell is not None and not metric_fits(cell, group, _METRIC_TOLERANCE):
        raise InputError(
            f"The cell {' '.join(f'{x:g}' for x in cell.parameters)} contradicts the space group "
            f"'{group.hm}': one of the two is wrong, or give the symbol for these axes."
        )
    return group


def reflection_table(
    cell: UnitCell,
    resolution: float = 1.0,
    space_group: str | int | None = None,
    model: str = "equal",
    rng: np.random.Generator | None = None,
) -> ReflectionTable:
    """Tabulate the intensities of a crystal.

    Parameters
    ----------
    cell
        The unit cell.
    resolution
        Smallest plane spacing in A.
    space_group
        Number or symbol; its centring, screws and glides extinguish reflections.  ``None``: P 1.
        A rhombohedral group is on the axes that the cell has.
    model
        ``"equal"``: 1 for all; ``"random"``: Wilson's acentric statistics, the same for Friedel
        mates; ``"kinematical"``: |F|^2 of a random structure of light and medium atoms with the
        electron scattering factors of gemmi (c4322), B = 2 A^2.
    rng
        Source of randomness for the latter two.

    Raises
    ------
    InputError
        Unknown model or space group, a cell that contradicts the group, or one so large that the
        table would not fit.
    """
    rng = rng or np.random.default_rng()
    half = np.floor(cell.lengths / resolution).astype(int)
    if np.prod(2.0 * half + 1) > 2e7:
        raise InputError(
            f"A cell of {cell.volume:g} A^3 has too many reflections up to {resolution:g} A: "
            "give a smaller cell or a coarser resolution."
        )
    shape = tuple(int(n) for n in 2 * half + 1)
    grid = np.indices(shape, dtype=np.int32).reshape(3, -1).T - half.astype(np.int32)
    origin = len(grid) // 2
    if model == "equal":
        values = np.ones(len(grid))
    elif model == "random":
        values = rng.exponential(size=len(grid))
        values[origin + 1 :] = values[:origin][::-1]  # -h -k -l is the mirrored entry of the grid
    elif model == "kinematical":
        values = _random_structure_intensities(cell, grid, space_group, resolution, rng)
    else:
        raise InputError(
            f"Unknown intensities '{model}': use one of {', '.join(INTENSITY_MODELS)}."
        )
    if space_group is not None:
        group = parse_space_group(space_group, cell)
        absent = group.operations().systematic_absences(grid)
        values = np.where(absent, 0.0, values)
    values[origin] = 0.0  # the direct beam is no reflection
    present = values > 0
    values = values / values[present].mean() if present.any() else values
    return ReflectionTable(cell, values.reshape(shape).astype(np.float32), resolution)


def _random_structure_intensities(
    cell: UnitCell,
    hkl: NDArray[np.int32],
    space_group: str | int | None,
    resolution: float,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """|F|^2 of random atoms, one for some 20 A^3, placed by the space group."""
    g2 = np.sum((hkl @ cell.reciprocal_basis) ** 2, axis=1)
    inside = np.flatnonzero(g2 <= 1 / resolution**2)
    group = parse_space_group(space_group if space_group is not None else 1, cell)
    operations = list(group.operations())
    n_sites = max(1, min(40, round(cell.volume / 20 / len(operations))))
    factor = np.zeros(len(inside), dtype=complex)
    stol2 = g2[inside] / 4
    for position, name in zip(
        rng.uniform(size=(n_sites, 3)), rng.choice(_ELEMENTS, n_sites), strict=True
    ):
        scattering = gemmi.Element(str(name)).c4322.calculate_sf
        radial = np.array([scattering(s) for s in np.linspace(0, stol2.max() + 1e-9, 64)])
        f = np.interp(stol2, np.linspace(0, stol2.max() + 1e-9, 64), radial)
        phase = np.zeros(len(inside), dtype=complex)
        for operation in operations:
            site = np.array(operation.apply_to_xyz(position.tolist()))
            phase += np.exp(2j * np.pi * (hkl[inside] @ site))
        factor += f * np.exp(-2.0 * stol2) * phase
    values = np.zeros(len(hkl))
    values[inside] = np.abs(factor) ** 2
    return values
