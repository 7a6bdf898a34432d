"""How fast Kikuchi patterns are simulated, beside kikuchipy in the same run.

Direct rendering: every pattern has its own random crystal, orientation, voltage, pattern centre and
profile, and 160 bands; the reflectors are listed before the clock starts, and timed apart.
Projection: patterns of nickel from EMsoft's master pattern, by us and by kikuchipy's
``get_patterns``, in the same orientations, one pattern centre and one for each pattern.  All take
turns with the same number of threads; the figure is the median of the rounds.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import numba
import numpy as np

from napari_diffraction.crystal.orientation import (
    detector_to_crystal,
    euler_angles,
    random_orientations,
)
from napari_diffraction.crystal.random_structures.structures import random_structure
from napari_diffraction.crystal.reflectors import reflectors
from napari_diffraction.patterns.geometry import wavelength
from napari_diffraction.simulation.kikuchi.bands import bands, padded
from napari_diffraction.simulation.kikuchi.master import load_master

LATTICES = ("aP", "mP", "mC", "oP", "oC", "oI", "oF", "tP", "tI", "hP", "hR", "cP", "cI", "cF")
REFLECTORS = 160
CRYSTALS = 140  # drawn once; each pattern then takes one of them in its own geometry
PC = (0.5, 0.3, 0.6)


def direct(size: int, count: int, rng: np.random.Generator) -> Callable[[], Any]:
    """Return what renders `count` patterns of `size` px, each of its own crystal and geometry."""
    crystals = [
        reflectors(random_structure(LATTICES[i % len(LATTICES)], rng), REFLECTORS)
        for i in range(CRYSTALS)
    ]
    normal, g, u = padded([crystals[i] for i in rng.integers(CRYSTALS, size=count)])
    profile = rng.uniform(
        (0, 0.5, 0.002, 0.9, 0.0, 0.0, 1.5, 0.25),
        (0, 2.0, 0.006, 1.6, 0.2, 0.5, 6.0, 0.75),
        (count, 8),
    )
    profile[:, 0] = wavelength(rng.uniform(5, 30, count))
    pc = rng.uniform((0.4, 0.1, 0.35), (0.6, 0.5, 1.3), (count, 3))
    beam = np.tile([0.0, -1.0, 0.0], (count, 1))
    rotation = random_orientations(count, rng)
    return lambda: bands(normal, g, u, rotation, pc, profile, beam, (size, size))


def listing(rng: np.random.Generator) -> Callable[[], Any]:
    """Return what lists the reflectors of random crystals, in one thread."""
    crystals = [random_structure(LATTICES[i % len(LATTICES)], rng) for i in range(56)]
    return lambda: [reflectors(crystal, REFLECTORS) for crystal in crystals]


def projections(size: int, count: int, varying: bool) -> dict[str, Callable[[], Any]]:
    """Return our projection and kikuchipy's of the same patterns."""
    import kikuchipy
    from orix.quaternion import Rotation

    folder = Path(kikuchipy.__file__).parent / "data" / "emsoft_ebsd_master_pattern"
    ours = load_master(folder / "ni_mc_mp_20kv_uint8_gzip_opts9.h5")
    theirs = kikuchipy.data.nickel_ebsd_master_pattern_small(
        projection="lambert", hemisphere="both"
    )
    theirs.change_dtype("float32")
    rng = np.random.default_rng(1)
    angles = euler_angles(random_orientations(count, rng))
    pc = np.array(PC) + (rng.normal(0, 0.01, (count, 3)) if varying else 0)
    detector = kikuchipy.detectors.EBSDDetector(shape=(size, size), pc=pc, convention="bruker")
    turned = Rotation.from_euler(np.radians(angles))

    def mine() -> Any:
        return ours.project(detector_to_crystal(angles), pc, (size, size))

    def peer() -> Any:
        made = theirs.get_patterns(
            turned, detector, energy=20, dtype_out="float32", compute=True, show_progressbar=False
        )
        return made.data.reshape(-1, size, size)

    for a, b in zip(mine()[:20], peer()[:20], strict=True):
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.999
    return {"napari-diffraction": mine, "kikuchipy": peer}


def rates(works: dict[str, Callable[[], Any]], count: int, rounds: int) -> dict[str, list[float]]:
    """Patterns per second of each, in turns."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():  # compile, and fill the caches
        work()
    for _ in range(rounds):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            found[name].append(count / (time.perf_counter() - start))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--output", type=Path, help="JSON file with all figures")
    given = parser.parse_args()
    numba.set_num_threads(given.cores)
    dask.config.set(scheduler="threads", num_workers=given.cores)
    rng = np.random.default_rng(0)
    table: dict[str, dict[str, list[float]]] = {
        "reflectors of a random crystal, one thread": rates(
            {"napari-diffraction": listing(rng)}, 56, given.rounds
        )
    }
    for size, count in ((64, 2000), (96, 1000), (128, 600)):
        works = {"napari-diffraction": direct(size, count, rng)}
        table[f"direct, {size} px"] = rates(works, count, given.rounds)
    for size, count in ((60, 2000), (128, 500)):
        for varying in (False, True):
            name = f"from a master pattern, {size} px, {'own' if varying else 'one'} pattern centre"
            table[name] = rates(projections(size, count, varying), count, given.rounds)
    figures = {
        what: {
            who: {
                "median": statistics.median(values),
                "slowest": min(values),
                "fastest": max(values),
            }
            for who, values in found.items()
        }
        for what, found in table.items()
    }
    for what, found in figures.items():
        line = "   ".join(
            f"{who} {v['median']:,.0f}/s ({v['slowest']:,.0f} to {v['fastest']:,.0f})"
            for who, v in found.items()
        )
        if "kikuchipy" in found:
            ratio = found["napari-diffraction"]["median"] / found["kikuchipy"]["median"]
            line += f"   ratio {ratio:.1f}"
        print(f"{what}: {line}")
    if given.output:
        machine = {"machine": platform.machine(), "python": platform.python_version()}
        given.output.write_text(json.dumps({**machine, "figures": figures}, indent=1))


if __name__ == "__main__":
    main()
