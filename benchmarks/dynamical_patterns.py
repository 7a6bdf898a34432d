"""Dynamical EBSD patterns of known crystals: a test set for networks trained on two-beam bands.

``masters`` makes master patterns, the intensity over all directions of a crystal at 20 kV, with
many-beam Bloch waves, weak beams as Bethe potentials, absorption, and the depths from which
electrons come back.  Structure factors, absorption (Weickenmeier and Kohl), depths and directions
come from ebsdsim.  The eigenvalues are solved here, since ebsdsim's solver wants a GPU; for nickel
the two correlate by 0.99, and either by 0.93 with EMsoft.  EMsoft's nickel is added from the data
of kikuchipy.  One .npz a crystal; those that exist are left alone::

    pip install ebsdsim
    python benchmarks/dynamical_patterns.py masters --folder masters

``project`` turns them into patterns of random orientation and camera and needs NumPy alone::

    python benchmarks/dynamical_patterns.py project --folder masters --count 50 --output test.npz
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynamical_crystals import CRYSTALS, Crystal

VOLTAGE = 20.0  # kV
D_MIN = 0.05  # nm, the finest lattice planes
STRONG = 20.0  # a beam below this ratio of excitation error to coupling is strong, ...
WEAK = 2.0  # ... below so many times that ratio weak, ...
BEAMS = 60  # ... and the ratio is lowered where there were more strong beams than this on average
HALF_WIDTH = 80  # the master pattern has 2 * HALF_WIDTH + 1 px
OVERSAMPLE = 2  # a pixel of a camera collects over its area, and the lines are finer than that
BLOCK = 256  # directions whose excitation errors are computed at once
EMSOFT_NICKEL = "Ni_EMsoft"
PC_LOW, PC_HIGH = (0.40, 0.20, 0.45), (0.60, 0.50, 0.85)  # Bruker's convention


@dataclass(frozen=True)
class Master:
    """A master pattern: (2, side, side), upper and lower hemisphere, square Lambert projection.

    Columns run along x and rows along y of the crystal's cartesian frame: a along x, b in xy.
    """

    name: str
    lattice: str
    space_group: int
    hemispheres: NDArray[np.float32]


def load_master(path: str | Path) -> Master:
    """Read one file that `masters` wrote."""
    with np.load(path, allow_pickle=False) as file:
        return Master(
            Path(path).stem, str(file["lattice"]), int(file["space_group"]), file["hemispheres"]
        )


def lambert(directions: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return x and y in -1..1 of unit vectors (..., 3) in the square Lambert projection."""
    x, y, z = np.moveaxis(directions, -1, 0)
    across, along = np.abs(x), np.abs(y)
    radius = np.sqrt(np.maximum(1 - np.abs(z), 0))
    large, small = np.maximum(across, along), np.minimum(across, along)
    minor = radius * (4 / np.pi) * np.arctan2(small, np.maximum(large, 1e-12))
    wide = across >= along
    u, v = np.where(wide, radius, minor), np.where(wide, minor, radius)
    return np.copysign(u, x), np.copysign(v, y)


def sample(master: Master, directions: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the intensity in the directions (..., 3), unit vectors in the crystal's frame."""
    side = master.hemispheres.shape[-1]
    x, y = (np.clip((part + 1) * (side - 1) / 2, 0, side - 1) for part in lambert(directions))
    left, top = (np.minimum(part.astype(np.int32), side - 2) for part in (x, y))
    dx, dy = x - left, y - top
    flat = master.hemispheres.reshape(-1)
    start = (directions[..., 2] < 0) * side * side + top * side + left
    upper = flat[start] * (1 - dx) + flat[start + 1] * dx
    lower = flat[start + side] * (1 - dx) + flat[start + side + 1] * dx
    return (upper * (1 - dy) + lower * dy).astype(np.float32)


def random_rotations(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return (count, 3, 3) rotation matrices, uniformly distributed."""
    w, x, y, z = (q := rng.normal(size=(4, count))) / np.linalg.norm(q, axis=0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


def directions(
    rotation: NDArray[np.floating], pc: Sequence[float], shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Return (h, w, 3) unit vectors from the sample to the pixels, in the crystal's frame.

    `pc` is in Bruker's convention; the camera's frame has x to the right, y up, z to the screen.
    """
    height, width = shape
    x = ((np.arange(width) + 0.5) / width - pc[0]) * (width / height) / pc[2]
    y = (pc[1] - (np.arange(height) + 0.5) / height) / pc[2]
    rays = np.stack(np.broadcast_arrays(x[None, :], y[:, None], 1.0), axis=-1)
    return (rays / np.linalg.norm(rays, axis=-1, keepdims=True)) @ np.asarray(rotation).T


def project(
    master: Master, count: int, size: int = 96, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
    """Return patterns (count, size, size), rotations (count, 3, 3), pattern centres (count, 3)."""
    rng = np.random.default_rng(seed)
    rotations = random_rotations(count, rng)
    centres = rng.uniform(PC_LOW, PC_HIGH, size=(count, 3))
    fine = (size * OVERSAMPLE, size * OVERSAMPLE)
    frames = [
        sample(master, directions(rotation, pc, fine))
        .reshape(size, OVERSAMPLE, size, OVERSAMPLE)
        .mean(axis=(1, 3))
        for rotation, pc in zip(rotations, centres, strict=True)
    ]
    return np.stack(frames), rotations, centres


class BlochWaves:
    """The backscattered intensity of one crystal in any direction (needs ebsdsim)."""

    def __init__(self, crystal: Crystal, beams: int = BEAMS) -> None:
        import ebsdsim
        from ebsdsim.energy.surrogate import infer_direct_exp_from_cell_rebinned
        from ebsdsim.physics.lookup import BuildLookupOptions, build_diff_lookup
        from ebsdsim.physics.site_tables import prepare_site_sgh_tables

        material = ebsdsim.Material(
            ebsdsim.Cell(*crystal.cell, space_group=crystal.space_group),
            [ebsdsim.Atom(*site, b_iso=crystal.b_iso) for site in crystal.sites],
        )
        self.cell = cell = material.to_simulation_cell()
        atoms = int(cell.multiplicities.sum())
        if atoms != crystal.atoms:
            raise ValueError(f"{atoms} atoms in the cell, not {crystal.atoms}")
        table = build_diff_lookup(cell, BuildLookupOptions(voltage_kv=VOLTAGE, dmin=D_MIN))
        sites = prepare_site_sgh_tables(cell, D_MIN)
        depths = infer_direct_exp_from_cell_rebinned(
            cell=cell, sigma_deg=70.0, beam_kv=VOLTAGE, energy_binwidth_keV=1.0, n_energy_bins=20
        )
        self.decay = float(depths.betas[0])  # 1/nm, of electrons that kept their energy
        self.wavelength = table.mlambda
        self.hashes, self.offset = table.hkl_hash.astype(np.int64), table.offset
        self.reach = np.where(table.reflection_dbdiff != 0, 0.0, table.coupling)
        # elastic and absorptive part: both are transforms of real functions
        unit = np.array([1, 1j])
        potential = table.diff_table.reshape(-1, 2) @ unit
        mirrored = potential[::-1].conj()
        factor = np.pi * self.wavelength / 2
        self.elastic = factor * (potential + mirrored)
        self.absorbed = factor * (potential - mirrored) / 1j
        self.source = (sites.tables.reshape(sites.n_sites, -1, 2) @ unit).sum(axis=0)
        parts = (self.elastic, self.absorbed, self.source)
        if all(np.abs(part.imag).max() < 1e-5 * np.abs(part).max() for part in parts):
            parts = tuple(part.real for part in parts)
        single = np.complex64 if np.iscomplexobj(parts[0]) else np.float32
        self.elastic, self.absorbed, self.source = (part.astype(single) for part in parts)
        g = table.hkl.reshape(-1, 3).astype(float)
        self.g_metric = g @ cell.reciprocal_metric.reshape(3, 3)
        self.g_square = (self.g_metric * g).sum(axis=1)
        self.beams: list[int] = []
        probe = np.random.default_rng(0).normal(size=(BLOCK, 3))
        _, ratios = self._excitation(probe / np.linalg.norm(probe, axis=1, keepdims=True))
        self.strong = min(STRONG, float(np.sort(ratios, axis=None)[beams * BLOCK]))

    def _excitation(
        self, directions: NDArray[np.floating]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return (n, beams): excitation errors in 1/nm and their ratios to the coupling."""
        structure = self.cell.direct_structure_matrix.reshape(3, 3)
        length = 1 / self.wavelength
        kg = np.asarray(directions, float) @ structure * length @ self.g_metric.T
        errors = -(2 * kg + self.g_square) / (2 * (length + kg / length))
        errors[:, 0] = 0
        return errors, np.abs(errors) / np.maximum(self.reach, 1e-12)

    def intensity(self, directions: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the intensity in the directions (n, 3), unit vectors in the crystal's frame."""
        values: list[float] = []
        for start in range(0, len(directions), BLOCK):
            errors, ratios = self._excitation(directions[start : start + BLOCK])
            values += [self._solve(*pair) for pair in zip(errors, ratios, strict=True)]
        return np.array(values)

    def _solve(self, errors: NDArray[np.float64], ratios: NDArray[np.float64]) -> float:
        strong = np.flatnonzero(ratios <= self.strong)
        weak = np.flatnonzero((ratios > self.strong) & (ratios <= WEAK * self.strong))
        self.beams.append(len(strong))
        hashes = self.hashes[strong]
        pairs = hashes[:, None] - hashes + self.offset
        matrix = self.elastic[pairs]
        matrix[np.diag_indices(len(strong))] = 2 * np.pi * errors[strong]
        coupling = self.elastic[hashes[:, None] - self.hashes[weak] + self.offset]
        matrix -= coupling / (2 * np.pi * errors[weak]).astype(np.float32) @ coupling.conj().T
        phases, waves = np.linalg.eigh(matrix)
        absorbed = (waves.conj() * (self.absorbed[pairs] @ waves)).sum(axis=0).real
        losses = np.maximum(absorbed + self.decay / 2, 1e-4)
        # beam 0 is the incident one; the integral over depth of all pairs of Bloch waves
        excited = np.outer(waves[0].conj(), waves[0])
        depth = excited / (losses[:, None] + losses - 1j * (phases[:, None] - phases))
        return float(np.sum((waves.conj().T @ self.source[pairs] @ waves) * depth.T).real)


def compute(crystal: Crystal, half_width: int = HALF_WIDTH, beams: int = BEAMS) -> dict[str, Any]:
    """Return what the file of one master pattern holds."""
    from ebsdsim.crystal.pointgroup import fs_normals, point_group_operators
    from ebsdsim.io.load import build_master_pattern_data
    from ebsdsim.lambert.kgrid import build_pg_k_grid

    started = time.process_time()
    waves = BlochWaves(crystal, beams)
    grid = build_pg_k_grid(waves.cell.pg_num, half_width, crystal.space_group)
    values = waves.intensity(grid.khat.reshape(-1, 3))
    data, _ = build_master_pattern_data(
        integrated_fs=values[:, None].astype(np.float32),
        bin_fs=np.zeros((0, len(values), 1), np.float32),
        kij=grid.kij.reshape(-1, 3),
        pg_operators=point_group_operators(grid.symbol).reshape(-1, 3, 3),
        fs_normals=fs_normals(grid.symbol).reshape(-1, 3),
        hw=half_width,
        side=2 * half_width + 1,
        needs_southern_hemisphere=bool((grid.khat.reshape(-1, 3)[:, 2] < -1e-9).any()),
    )
    north = data[0, 0, 0]
    south = data[0, 0, 1] if data.shape[2] == 2 else north[::-1, ::-1]
    return {
        "hemispheres": np.stack([north, south]).astype(np.float32),
        "lattice": crystal.lattice,
        "space_group": crystal.space_group,
        "source": crystal.source,
        "seconds": time.process_time() - started,
        "beams": float(np.mean(waves.beams)),
    }


def emsoft_nickel() -> dict[str, Any]:
    """Return EMsoft's master pattern of nickel, as kikuchipy ships it, at 20 kV."""
    import h5py
    import kikuchipy

    folder = Path(kikuchipy.__file__).parent / "data" / "emsoft_ebsd_master_pattern"
    with h5py.File(folder / "ni_mc_mp_20kv_uint8_gzip_opts9.h5") as file:
        halves = [file[f"EMData/EBSDmaster/mLP{half}H"][0, -1] for half in "NS"]
    return {
        "hemispheres": np.stack(halves).astype(np.float32),
        "lattice": "cF",
        "space_group": 225,
        "source": "EMsoft, from kikuchipy",
        "seconds": 0.0,
        "beams": 0.0,
    }


def write(path: Path, content: dict[str, Any]) -> None:
    """Write an .npz that is never seen half done."""
    part = path.with_name(f".{path.name}.{os.getpid()}.npz")
    np.savez_compressed(part, **content)
    os.replace(part, path)


def make_masters(folder: Path, names: Sequence[str], half_width: int, beams: int) -> None:
    """Make the master patterns that are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        path = folder / f"{name}.npz"
        if path.exists():
            continue
        try:
            content = (
                emsoft_nickel()
                if name == EMSOFT_NICKEL
                else compute(CRYSTALS[name], half_width, beams)
            )
        except (ImportError, ValueError) as error:
            print(f"{name}: left out: {error}", flush=True)
            continue
        write(path, content)
        print(
            f"{name}: {content['lattice']}, {content['beams']:.0f} beams, "
            f"{content['seconds']:.1f} s",
            flush=True,
        )


def project_all(folder: Path, count: int, size: int, seed: int, output: Path) -> None:
    """Write `count` patterns of every master pattern in the folder."""
    masters = [load_master(path) for path in sorted(folder.glob("*.npz"))]
    made = [project(master, count, size, seed + n) for n, master in enumerate(masters)]
    patterns, rotations, centres = (np.concatenate(part) for part in zip(*made, strict=True))
    write(
        output,
        {
            "patterns": patterns,
            "rotations": rotations,
            "pc": centres,
            "lattice": np.repeat([master.lattice for master in masters], count),
            "material": np.repeat([master.name for master in masters], count),
        },
    )


def main() -> None:
    """Run one of the two steps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    steps = parser.add_subparsers(dest="step", required=True)
    making = steps.add_parser("masters")
    making.add_argument("--folder", type=Path, required=True)
    making.add_argument("--only", nargs="*", help="names of crystals; all without it")
    making.add_argument("--half-width", type=int, default=HALF_WIDTH)
    making.add_argument("--beams", type=int, default=BEAMS, help="strong beams on average")
    projecting = steps.add_parser("project")
    projecting.add_argument("--folder", type=Path, required=True)
    projecting.add_argument("--output", type=Path, required=True)
    projecting.add_argument("--count", type=int, default=50, help="patterns a crystal")
    projecting.add_argument("--size", type=int, default=96)
    projecting.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.step == "masters":
        make_masters(
            given.folder, given.only or [EMSOFT_NICKEL, *CRYSTALS], given.half_width, given.beams
        )
    else:
        project_all(given.folder, given.count, given.size, given.seed, given.output)


if __name__ == "__main__":
    main()
