"""Spot simulation with diffsims and py4DSTEM, timed on request.

Runs in the peers' own environment as a child of ``spot_simulation_speed.py``.  It says its versions
in one line of JSON, then reads one line a measurement from stdin, ``NAME SECONDS``, and answers
each with one line: ``{"rate": patterns per second, "spots": mean number of spots a pattern}``.

Each peer works in as many processes as there are cores, every process on its own share of the
orientations, and keeps its patterns to itself: nothing is lost to sending them about.  What a
peer can prepare once for all orientations (reflection lists, structure factors, rotation matrices)
is prepared before the clock starts.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

# One thread a process: the processes fill the cores.  Must be set before numpy is loaded.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"
warnings.simplefilter("ignore")

import numpy as np  # noqa: E402
from diffpy.structure import Atom, Lattice, Structure  # noqa: E402
from diffsims.crystallography._diffracting_vector import DiffractingVector  # noqa: E402
from diffsims.generators.simulation_generator import SimulationGenerator  # noqa: E402
from diffsims.pattern.detector_functions import (  # noqa: E402
    get_pattern_from_pixel_coordinates_and_intensities,
)
from orix.crystal_map import Phase  # noqa: E402
from orix.quaternion import Rotation  # noqa: E402

# py4DSTEM prints advice on optional packages; stdout carries the answers only.
_stdout, sys.stdout = sys.stdout, sys.stderr
from py4DSTEM.process.diffraction import Crystal  # noqa: E402

sys.stdout = _stdout

#: Simulates the numbered orientations and returns how many spots they show, direct beams aside.
Peer = Callable[[range], int]


@dataclass(frozen=True)
class Task:
    """What is simulated: cell (A, degrees), wavelength (A), resolution (A), error (1/A), pixels."""

    cell: tuple[float, ...]
    wavelength: float
    resolution: float
    excitation_error: float
    size: int
    sigma: float


def _beam_frames(beams: np.ndarray) -> np.ndarray:
    """Return matrices (n, 3, 3) whose columns are the image's x, y and the beam direction."""
    helper = np.where(np.abs(beams[:, 2:]) > 0.9, [[0.0, 1.0, 0.0]], [[0.0, 0.0, 1.0]])
    x = np.cross(helper, beams)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return np.stack([x, np.cross(beams, x), beams], axis=2)


def py4dstem_peers(task: Task, beams: np.ndarray) -> dict[str, Peer]:
    """Return py4DSTEM's spot lists, from rotation matrices and from beam directions."""
    crystal = Crystal(positions=np.zeros((1, 3)), numbers=6, cell=np.array(task.cell))
    crystal.setup_diffraction(200e3)
    crystal.wavelength = task.wavelength
    crystal.calculate_structure_factors(k_max=1 / task.resolution, tol_structure_factor=0)
    frames = _beam_frames(beams)
    # The cut-off is sigma times the multiple; no spot is dropped for its intensity.
    limits = {
        "sigma_excitation_error": task.excitation_error,
        "tol_excitation_error_mult": 1.0,
        "tol_intensity": 0.0,
    }

    def from_matrices(which: range) -> int:
        spots = 0
        for i in which:
            found = crystal.generate_diffraction_pattern(orientation_matrix=frames[i], **limits)
            spots += len(found.data) - 1
        return spots

    def from_directions(which: range) -> int:
        spots = 0
        for i in which:
            found = crystal.generate_diffraction_pattern(zone_axis_cartesian=beams[i], **limits)
            spots += len(found.data) - 1
        return spots

    return {"py4dstem-matrices": from_matrices, "py4dstem-directions": from_directions}


class _Generator(SimulationGenerator):
    """diffsims's generator at a wavelength that is given rather than computed from a voltage."""

    wavelength = 0.0

    def __init__(self, wavelength: float) -> None:
        # No scattering factors and no shape factor: equal spots, and the least work.
        super().__init__(scattering_params=None, shape_factor_model="linear")
        self.wavelength = wavelength


def _all_indices(cell: Sequence[float], resolution: float) -> np.ndarray:
    """Return every hkl within the resolution but 000; orix's own list misses some when oblique."""
    inverse = Lattice(*cell).recbase  # columns are a*, b*, c*
    highest = [int(length / resolution) for length in cell[:3]]
    axes = [np.arange(-limit, limit + 1) for limit in highest]
    hkl = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    g = np.linalg.norm(hkl @ inverse.T, axis=1)
    return hkl[(g > 1e-9) & (g <= 1 / resolution)]


def diffsims_peers(task: Task, beams: np.ndarray) -> dict[str, Peer]:
    """Return diffsims's spot lists (its one call; its fastest parts) and rendered patterns."""
    generator = _Generator(task.wavelength)
    structure = Structure(atoms=[Atom("C", [0, 0, 0])], lattice=Lattice(*task.cell))
    phase = Phase("cell", space_group=1, structure=structure)
    reflections = DiffractingVector(phase, hkl=_all_indices(task.cell, task.resolution))
    rotations = Rotation.from_matrix(_beam_frames(beams))
    each = [rotations[i] for i in range(len(beams))]
    radius = 1 / task.resolution
    pixels_per_unit = (task.size / 2 - 1) / radius

    def one_call(which: range) -> int:
        simulation = generator.calculate_diffraction2d(
            phase,
            rotation=rotations[which.start : which.stop],
            reciprocal_radius=radius,
            max_excitation_error=task.excitation_error,
            with_direct_beam=False,
        )
        return sum(spots.size for spots in simulation.coordinates)

    def intersect(i: int) -> np.ndarray:
        spots, _, _ = generator.get_intersecting_reflections(
            reflections,
            each[i],
            task.wavelength,
            task.excitation_error,
            with_direct_beam=False,
        )
        return np.asarray(spots.data)

    def parts(which: range) -> int:
        return sum(len(intersect(i)) for i in which)

    def rendered(which: range) -> int:
        count = 0
        for i in which:
            spots = intersect(i)
            where = np.vstack([spots[:, :2], [[0.0, 0.0]]]) * pixels_per_unit + task.size / 2
            get_pattern_from_pixel_coordinates_and_intensities(
                where.astype(int), np.ones(len(where)), (task.size, task.size), task.sigma
            )
            count += len(spots)
        return count

    return {"diffsims-one-call": one_call, "diffsims-parts": parts, "diffsims-rendered": rendered}


_peers: dict[str, Peer] = {}
_count = 0


def _prepare(task: Task, beams: np.ndarray) -> None:
    global _count
    _peers.update(py4dstem_peers(task, beams))
    _peers.update(diffsims_peers(task, beams))
    _count = len(beams)


def _work(job: tuple[str, float, range]) -> tuple[int, int, float]:
    """Simulate a share of the orientations again and again for some seconds.

    Returns
    -------
    tuple
        Patterns, spots and seconds.
    """
    name, seconds, share = job
    peer, spots, done = _peers[name], 0, 0
    peer(share[:5])  # what is compiled on first use is compiled here
    begin = time.perf_counter()
    while (elapsed := time.perf_counter() - begin) < seconds:
        spots += peer(share)
        done += len(share)
    return done, spots, elapsed


def measure(pool: multiprocessing.pool.Pool, name: str, seconds: float, cores: int) -> str:
    """Run one measurement in all processes and return its answer line."""
    edges = [k * _count // cores for k in range(cores + 1)]
    jobs = [(name, seconds, range(*edges[k : k + 2])) for k in range(cores)]
    parts = pool.map(_work, jobs, chunksize=1)
    done = sum(part[0] for part in parts)
    rate = sum(part[0] / part[2] for part in parts)
    return json.dumps({"rate": rate, "spots": sum(part[1] for part in parts) / done})


def main() -> None:
    """Answer measurement requests until stdin ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", required=True, help="the fields of Task as JSON")
    parser.add_argument("--beams", required=True, help=".npy with beam directions (n, 3)")
    parser.add_argument("--cores", type=int, default=2)
    arguments = parser.parse_args()
    _prepare(Task(**json.loads(arguments.task)), np.load(arguments.beams, allow_pickle=False))
    with multiprocessing.get_context("fork").Pool(arguments.cores) as pool:
        print(json.dumps({name: version(name) for name in ("diffsims", "py4DSTEM")}), flush=True)
        for line in sys.stdin:
            name, seconds = line.split()
            print(measure(pool, name, float(seconds), arguments.cores), flush=True)


if __name__ == "__main__":
    main()
