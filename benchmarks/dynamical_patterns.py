"""Dynamical EBSD patterns of known crystals: a test set for networks trained on two-beam bands.

``masters`` makes master patterns, the intensity over all directions of a crystal at 20 kV, with
many-beam Bloch waves (`napari_diffraction.simulation.kikuchi.many_beam`); for nickel they
correlate by 0.99 with ebsdsim's own solver, and either by 0.93 with EMsoft (half width 80, planes
down to 0.5 A).  EMsoft's nickel is added from the data of kikuchipy.  One .npz a crystal; those
that exist are left alone::

    pip install 'napari-diffraction[many-beam,em]'
    python benchmarks/dynamical_patterns.py masters --folder masters

``project`` turns them into patterns of random orientation and camera::

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

from dynamical_crystals import CRYSTALS
from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.materials import MATERIALS, load_structure, material
from napari_diffraction.crystal.structure import Structure, expand
from napari_diffraction.errors import InputError
from napari_diffraction.simulation.kikuchi.master import MasterPattern

VOLTAGE = 20.0  # kV
BEAMS = 60  # strong ones on average
# The master pattern has 2 * HALF_WIDTH + 1 px, half a degree each: a camera's pixel is a mean of
# several, else the fine lines of large cells would be noise.
HALF_WIDTH = 180
OVERSAMPLE = 2  # a pixel of a camera collects over its area, and the lines are finer than that
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


def random_rotations(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return (count, 3, 3) rotation matrices, uniformly distributed."""
    w, x, y, z = (q := rng.normal(size=(4, count))) / np.linalg.norm(q, axis=0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


def project(
    master: Master, count: int, size: int = 96, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
    """Return patterns (count, size, size), rotations (count, 3, 3), pattern centres (count, 3)."""
    rng = np.random.default_rng(seed)
    rotations = random_rotations(count, rng)
    centres = rng.uniform(PC_LOW, PC_HIGH, size=(count, 3))
    pattern = MasterPattern(master.hemispheres, master.name, VOLTAGE)
    frames = pattern.project(rotations, centres, (size, size), OVERSAMPLE)
    return frames, rotations, centres


def structure_of(name: str) -> Structure:
    """Return the atoms of a crystal of the test set, or of a material that the program knows."""
    if name == EMSOFT_NICKEL:
        cell, sites = UnitCell(3.524, 3.524, 3.524), [("Ni", 0, 0, 0, 1.0, 0.35)]
        return expand(cell, 225, sites, name, "EMsoft, from kikuchipy")
    return CRYSTALS[name].structure(name) if name in CRYSTALS else load_structure(name)


def compute(
    structure: Structure, half_width: int, beams: int, spacing: float | None
) -> dict[str, Any]:
    """Return what the file of one master pattern holds."""
    from napari_diffraction.simulation.kikuchi.many_beam import many_beam_master

    started = time.process_time()
    master = many_beam_master(structure, VOLTAGE, half_width, beams, spacing, oversample=1)
    return {
        "hemispheres": master.hemispheres,
        "lattice": structure.lattice,
        "space_group": structure.space_group,
        "source": structure.source,
        "seconds": time.process_time() - started,
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
    }


def write(path: Path, content: dict[str, Any]) -> None:
    """Write an .npz that is never seen half done."""
    part = path.with_name(f".{path.name}.{os.getpid()}.npz")
    np.savez_compressed(part, **content)
    os.replace(part, path)


def make_masters(
    folder: Path, names: Sequence[str], half_width: int, beams: int, spacing: float | None
) -> None:
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
                else compute(structure_of(name), half_width, beams, spacing)
            )
        except (ImportError, InputError) as error:
            print(f"{name}: left out: {error}", flush=True)
            continue
        write(path, content)
        print(f"{name}: {content['lattice']}, {content['seconds']:.1f} s", flush=True)


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
    making.add_argument(
        "--materials",
        action="store_true",
        help="the materials that the program knows, but for those of the set and those whose "
        "lattice hardly shows, in place of the set",
    )
    making.add_argument("--half-width", type=int, default=HALF_WIDTH)
    making.add_argument("--beams", type=int, default=BEAMS, help="strong beams on average")
    making.add_argument(
        "--spacing",
        type=float,
        help="smallest of lattice planes in A; without it suited to the cell",
    )
    projecting = steps.add_parser("project")
    projecting.add_argument("--folder", type=Path, required=True)
    projecting.add_argument("--output", type=Path, required=True)
    projecting.add_argument("--count", type=int, default=50, help="patterns a crystal")
    projecting.add_argument("--size", type=int, default=96)
    projecting.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.step == "masters":
        names = [EMSOFT_NICKEL, *CRYSTALS]
        if given.materials:
            names = [
                name for name in MATERIALS if name not in CRYSTALS and not material(name).hidden
            ]
        make_masters(
            given.folder, given.only or names, given.half_width, given.beams, given.spacing
        )
    else:
        project_all(given.folder, given.count, given.size, given.seed, given.output)


if __name__ == "__main__":
    main()
