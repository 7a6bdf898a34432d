"""Master patterns by many-beam theory, with structure factors and depths of ebsdsim."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gemmi
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d

from napari_diffraction.crystal.structure import Structure, operations, reference_setting
from napari_diffraction.errors import InputError
from napari_diffraction.simulation.kikuchi.master import MasterPattern

if TYPE_CHECKING:
    import ebsdsim

#: A beam below this ratio of excitation error to coupling is strong, below so many times that
#: ratio weak; the ratio is lowered where more beams than asked would be strong on average.
_STRONG, _WEAK = 20.0, 2.0
#: Directions whose excitation errors are computed at once.
_BLOCK = 256
#: Smallest spacing in A of lattice planes for primitive cells up to so many A^3, and for any.
_FINEST, _SMALL, _COARSEST = 0.6, 60.0, 0.9
#: Images of an atom closer than this (A) to another atom are that atom.
_SAME = 0.02


def many_beam_master(
    structure: Structure,
    voltage: float = 20.0,
    half_width: int = 80,
    beams: int = 60,
    spacing: float | None = None,
    oversample: int = 2,
) -> MasterPattern:
    """Compute the master pattern of a crystal with Bloch waves.

    Kikuchi lines are finer than the steps of a master pattern, and more so the larger the cell: a
    master pattern of single directions is noise for the most part (that of nickel, at a half width
    of 56, is like EMsoft's by 0.83, correlation; of twice as many directions each way by 0.95).

    Parameters
    ----------
    structure
        The crystal, in the standard setting; both choices of its origin will do.
    voltage
        Energy of the electrons in keV.
    half_width
        Pixels from the pole to the equator.
    beams
        Strong beams on average.
    spacing
        Smallest spacing in A of the lattice planes; by default `suited_spacing`.
    oversample
        A pixel is a mean over its neighbourhood, of directions so many times closer than pixels.

    Returns
    -------
    MasterPattern
        Of ``2 half_width + 1`` pixels a side.

    Raises
    ------
    InputError
        ebsdsim is not installed, or the atoms do not have the symmetry of the space group.
    """
    spacing = suited_spacing(structure) if spacing is None else spacing
    waves = BlochWaves(structure, voltage, beams, spacing)
    fine = half_width * oversample
    from ebsdsim.crystal.pointgroup import fs_normals, point_group_operators
    from ebsdsim.io.load import build_master_pattern_data
    from ebsdsim.lambert.kgrid import build_pg_k_grid
    from threadpoolctl import threadpool_limits

    grid = build_pg_k_grid(waves.cell.pg_num, fine, structure.space_group)
    with threadpool_limits(1):  # threads for such small matrices cost more than they give
        values = waves.intensity(grid.khat.reshape(-1, 3))
    data, _ = build_master_pattern_data(
        integrated_fs=values[:, None].astype(np.float32),
        bin_fs=np.zeros((0, len(values), 1), np.float32),
        kij=grid.kij.reshape(-1, 3),
        pg_operators=point_group_operators(grid.symbol).reshape(-1, 3, 3),
        fs_normals=fs_normals(grid.symbol).reshape(-1, 3),
        hw=fine,
        side=2 * fine + 1,
        needs_southern_hemisphere=bool((grid.khat.reshape(-1, 3)[:, 2] < -1e-9).any()),
    )
    north = data[0, 0, 0]
    south = data[0, 0, 1] if data.shape[2] == 2 else north[::-1, ::-1]
    hemispheres = _averaged(np.stack([north, south]), oversample)
    return MasterPattern(hemispheres.astype(np.float32), structure.name, voltage)


def suited_spacing(structure: Structure) -> float:
    """Return the smallest spacing in A of lattice planes whose lines a master pattern can show.

    The larger the cell, the more planes there are, and the more of their lines fall between two
    pixels, where they are nothing but noise.

    Parameters
    ----------
    structure
        The crystal.
    """
    suited = _FINEST * np.cbrt(structure.primitive_volume / _SMALL)
    return float(np.clip(suited, _FINEST, _COARSEST))


def _finest_axial(structure: Structure, spacing: float) -> float:
    """Return the spacing in A down to which ebsdsim has to go along the axes to have all beams.

    Its indices go as far as those of h00, 0k0 and 00l.  Where axes are not at right angles to one
    another others go farther, as 4 -2 0 does, which is alike to 2 2 0 in a hexagonal cell.
    """
    farthest = np.floor(np.linalg.norm(structure.cell.basis, axis=1) / spacing)
    axial = np.linalg.norm(structure.cell.reciprocal_basis, axis=1) * farthest
    return float(min(spacing, (1 - 1e-6) / axial.max())) if axial.max() > 0 else spacing


def _averaged(hemispheres: NDArray[Any], times: int) -> NDArray[Any]:
    """Take every so many-th direction, each the mean of those around it, nearer ones more."""
    if times == 1:
        return hemispheres
    weights = np.concatenate([np.arange(1, times + 1), np.arange(times - 1, 0, -1)]) / times**2
    rim = times - 1
    # beyond the edge of one hemisphere lies the other, mirrored
    padded = np.pad(hemispheres, ((0, 0), (rim, rim), (rim, rim)), "reflect")[::-1].copy()
    padded[:, rim:-rim, rim:-rim] = hemispheres
    for axis in (1, 2):
        padded = convolve1d(padded, weights, axis=axis)
    out = padded[:, rim:-rim:times, rim:-rim:times]
    # around a corner, one direction for both halves, the neighbours are not those of the square
    corners = out[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    out[:, [0, 0, -1, -1], [0, -1, 0, -1]] = corners.mean(axis=0)
    return out


class BlochWaves:
    """Backscattered intensity of a crystal in any direction.

    Many beams are solved as Bloch waves, with weak beams as Bethe potentials, absorption, and the
    depths from which electrons come back (Callahan and De Graef, Microsc. Microanal. 19, 1255,
    2013).  Structure factors, absorption (Weickenmeier and Kohl) and depths come from ebsdsim; the
    eigenvalues are solved here, since ebsdsim's solver wants a graphics card.

    Parameters
    ----------
    structure, voltage, beams, spacing
        See `many_beam_master`.

    Raises
    ------
    InputError
        As `many_beam_master`.
    """

    def __init__(self, structure: Structure, voltage: float, beams: int, spacing: float) -> None:
        try:
            from ebsdsim.energy.surrogate import infer_direct_exp_from_cell_rebinned
            from ebsdsim.physics.lookup import BuildLookupOptions, build_diff_lookup
            from ebsdsim.physics.site_tables import prepare_site_sgh_tables
        except ImportError as error:
            raise InputError(
                "Many-beam patterns need the package ebsdsim: "
                "install napari-diffraction with [many-beam]."
            ) from error
        self.cell = cell = _material(structure).to_simulation_cell()
        finest = _finest_axial(structure, spacing) / 10
        table = build_diff_lookup(cell, BuildLookupOptions(voltage_kv=voltage, dmin=finest))
        sites = prepare_site_sgh_tables(cell, finest)
        depths = infer_direct_exp_from_cell_rebinned(
            cell=cell, sigma_deg=70.0, beam_kv=voltage, energy_binwidth_keV=1.0, n_energy_bins=20
        )
        self._decay = float(depths.betas[0])  # 1/nm, of electrons that kept their energy
        self._wavelength = table.mlambda
        g = table.hkl.reshape(-1, 3).astype(float)
        g_metric = g @ cell.reciprocal_metric.reshape(3, 3)
        g_square = (g_metric * g).sum(axis=1)
        chosen = g_square < (10 / spacing) ** 2
        self._g_metric, self._g_square = g_metric[chosen], g_square[chosen]
        self._hashes, self._offset = table.hkl_hash[chosen].astype(np.int64), table.offset
        self._reach = np.where(table.reflection_dbdiff != 0, 0.0, table.coupling)[chosen]
        # elastic and absorptive part: both are transforms of real functions
        unit = np.array([1, 1j])
        potential = table.diff_table.reshape(-1, 2) @ unit
        mirrored = potential[::-1].conj()
        factor = np.pi * self._wavelength / 2
        parts: list[NDArray[Any]] = [
            factor * (potential + mirrored),
            factor * (potential - mirrored) / 1j,
            # with the other sign of the phases than the potential
            (sites.tables.reshape(sites.n_sites, -1, 2) @ unit).sum(axis=0).conj(),
        ]
        if all(np.abs(part.imag).max() < 1e-5 * np.abs(part).max() for part in parts):
            parts = [part.real for part in parts]
        single = np.complex64 if np.iscomplexobj(parts[0]) else np.float32
        self._elastic, self._absorbed, self._source = (part.astype(single) for part in parts)
        probe = np.random.default_rng(0).normal(size=(_BLOCK, 3))
        _, ratios = self._excitation(probe / np.linalg.norm(probe, axis=1, keepdims=True))
        most = min(beams * _BLOCK, ratios.size - 1)
        self._strong = min(_STRONG, float(np.sort(ratios, axis=None)[most]))

    def _excitation(
        self, directions: NDArray[np.floating]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return (n, beams): excitation errors in 1/nm and their ratios to the coupling."""
        structure = self.cell.direct_structure_matrix.reshape(3, 3)
        length = 1 / self._wavelength
        kg = np.asarray(directions, float) @ structure * length @ self._g_metric.T
        errors = -(2 * kg + self._g_square) / (2 * (length + kg / length))
        errors[:, 0] = 0
        return errors, np.abs(errors) / np.maximum(self._reach, 1e-12)

    def intensity(self, directions: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the intensity in the directions (n, 3), unit vectors in the crystal's frame."""
        values: list[float] = []
        for start in range(0, len(directions), _BLOCK):
            errors, ratios = self._excitation(directions[start : start + _BLOCK])
            values += [self._solve(*pair) for pair in zip(errors, ratios, strict=True)]
        return np.array(values)

    def _solve(self, errors: NDArray[np.float64], ratios: NDArray[np.float64]) -> float:
        strong = np.flatnonzero(ratios <= self._strong)
        weak = np.flatnonzero((ratios > self._strong) & (ratios <= _WEAK * self._strong))
        hashes = self._hashes[strong]
        pairs = hashes[:, None] - hashes + self._offset
        matrix = self._elastic[pairs]
        matrix[np.diag_indices(len(strong))] = 2 * np.pi * errors[strong]
        coupling = self._elastic[hashes[:, None] - self._hashes[weak] + self._offset]
        matrix -= coupling / (2 * np.pi * errors[weak]).astype(np.float32) @ coupling.conj().T
        phases, waves = np.linalg.eigh(matrix)
        absorbed = (waves.conj() * (self._absorbed[pairs] @ waves)).sum(axis=0).real
        losses = np.maximum(absorbed + self._decay / 2, 1e-4)
        # beam 0 is the incident one; the integral over depth of all pairs of Bloch waves
        excited = np.outer(waves[0], waves[0].conj())
        depth = excited / (losses[:, None] + losses - 1j * (phases - phases[:, None]))
        source = waves.conj().T @ self._source[pairs] @ waves
        return float(np.sum(source * depth).real)


def _material(structure: Structure) -> ebsdsim.Material:
    """Return the crystal as ebsdsim takes it: one atom of each orbit, the second origin."""
    import ebsdsim

    number = structure.space_group
    cell = ebsdsim.Cell(*structure.cell.lengths, *structure.cell.angles, space_group=number)
    moved = gemmi.find_spacegroup_by_number(number).basisop.inverse()
    for setting, move in ("", moved), (reference_setting(number), gemmi.Op()):
        atoms = []
        for i in _one_of_each_orbit(structure, setting):
            position = move.apply_to_xyz(structure.positions[i].tolist())
            element, b_iso = structure.species[i], float(structure.b_iso[i])
            atoms.append(ebsdsim.Atom(element, *position, float(structure.occupancy[i]), b_iso))
        material = ebsdsim.Material(cell, atoms)
        if int(material.to_simulation_cell().multiplicities.sum()) == len(structure.species):
            return material
    raise InputError(
        f"{structure.name or 'The crystal'}: its atoms do not have the symmetry of space group "
        f"{number} in the standard setting; check the structure."
    )


def _one_of_each_orbit(structure: Structure, setting: str) -> list[int]:
    """Numbers of atoms of which symmetry makes all others."""
    rotations, shifts = operations(structure.space_group, setting)
    left, chosen = np.ones(len(structure.species), bool), []
    for i, species in enumerate(structure.species):
        if not left[i]:
            continue
        chosen.append(i)
        images = rotations @ structure.positions[i] + shifts
        apart = images[:, None] - structure.positions
        apart -= np.round(apart)
        near = np.linalg.norm(apart @ structure.cell.basis, axis=2).min(axis=0) < _SAME
        left &= ~(near & (np.array(structure.species) == species))
    return chosen
