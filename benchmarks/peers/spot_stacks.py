"""Stacks of serial electron diffraction whose spots py4DSTEM and diffsims compute.

    .venv-peers/bin/python benchmarks/peers/spot_stacks.py FOLDER

writes a file ``NAME.npz`` for each stack, which ``benchmarks/foreign_zones.py`` reads: ``data``,
``label``, ``visible`` (spots that stand six times out of the noise) and ``centre``.  Of our own
program nothing is used.  A zone has all of its visible spots in one plane of the reciprocal
lattice, a Laue pattern less than 0.8 of them; those between count for nothing.

The camera is drawn by hand: halo, Poisson noise, hot pixels, a direct beam that wanders, a stop
with an arm or dead columns, and an elliptical distortion.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

warnings.simplefilter("ignore")

#: x, y, hkl and intensity of the spots of an orientation (rows: laboratory axes in crystal axes).
Spots = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
KINDS = ("2DZone", "3DLaueIntersections", "NoHit", "MultipleCrystals")
SHARES = (0.15, 0.55, 0.15, 0.15)
#: Deviation of a spot in pixels, and its least height over the noise to be visible.
WIDTH, VISIBLE = 1.2, 6.0


@dataclass(frozen=True)
class Camera:
    """One camera: shape in pixels, 1/A per pixel, stretch, gain, type of its pixels, stop."""

    shape: tuple[int, int]
    pixel: float
    stretch: float
    gain: float = 1.0
    dtype: str = "uint16"
    stop: bool = True
    beam: float = 3000.0


def expanded(sites: list[tuple[int, float, float, float]], operations: list[str]) -> tuple:
    """Return places and atomic numbers of all atoms of a cell."""
    places, numbers = [], []
    for number, x, y, z in sites:
        for operation in operations:
            at = np.mod(np.round(eval(operation, {"x": x, "y": y, "z": z}), 6), 1)
            same = (np.abs((np.array(places) - at + 0.5) % 1 - 0.5) < 1e-3).all(1) if places else []
            if not np.any(same):
                places.append(at)
                numbers.append(number)
    return np.array(places), np.array(numbers)


PNMA = [
    "(x, y, z)", "(0.5-x, -y, 0.5+z)", "(-x, 0.5+y, -z)", "(0.5+x, 0.5-y, 0.5-z)",
    "(-x, -y, -z)", "(0.5+x, y, 0.5-z)", "(x, 0.5-y, z)", "(0.5-x, 0.5+y, 0.5+z)",
]  # fmt: skip
P21C = ["(x, y, z)", "(-x, 0.5+y, 0.5-z)", "(-x, -y, -z)", "(x, 0.5-y, 0.5+z)"]
P3221 = [
    "(x, y, z)", "(-y, x-y, z+2/3)", "(-x+y, -x, z+1/3)",
    "(y, x, -z)", "(x-y, -y, -z+1/3)", "(-x, -x+y, -z+2/3)",
]  # fmt: skip
OLIVINE = [
    (3, 0, 0, 0), (26, 0.282, 0.25, 0.974), (15, 0.095, 0.25, 0.418),
    (8, 0.097, 0.25, 0.743), (8, 0.457, 0.25, 0.206), (8, 0.165, 0.047, 0.285),
]  # fmt: skip


def molecule(seed: int) -> list[tuple[int, float, float, float]]:
    """Draw light atoms at random, as of an organic crystal."""
    rng = np.random.default_rng(seed)
    return [(int(rng.choice([6, 6, 6, 7, 8])), *rng.uniform(0, 1, 3)) for _ in range(14)]


def by_py4dstem(cell: list[float], atoms: tuple, sigma: float, reach: float) -> tuple:
    """Return spots of an orientation, and the axes of the cell (rows, A)."""
    import py4DSTEM

    crystal = py4DSTEM.process.diffraction.Crystal(*atoms, cell)
    crystal.setup_diffraction(200e3)
    crystal.calculate_structure_factors(reach, tol_structure_factor=1e-6)

    def spots(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        found = crystal.generate_diffraction_pattern(
            orientation_matrix=matrix,
            sigma_excitation_error=sigma,
            tol_excitation_error_mult=3,
            k_max=reach,
        ).data
        hkl = np.stack([found[name] for name in "hkl"], axis=1)
        return np.stack([found["qx"], found["qy"]], axis=1), hkl, found["intensity"]

    return spots, crystal.lat_real


def by_diffsims(cell: list[float], atoms: tuple, sigma: float, reach: float) -> tuple:
    """Return spots of an orientation, and the axes of the cell (rows, A)."""
    from diffpy.structure import Atom, Lattice, Structure
    from diffsims.generators.simulation_generator import SimulationGenerator
    from orix.crystal_map import Phase
    from orix.quaternion import Rotation as Orix

    names = {6: "C", 7: "N", 8: "O", 14: "Si"}
    listed = [Atom(names[int(number)], place) for place, number in zip(*atoms, strict=True)]
    phase = Phase("crystal", space_group=1, structure=Structure(listed, Lattice(*cell)))
    generator = SimulationGenerator(accelerating_voltage=120)

    def spots(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        found = generator.calculate_diffraction2d(
            phase,
            Orix.from_matrix(matrix),
            reciprocal_radius=reach,
            with_direct_beam=False,
            max_excitation_error=2.5 * sigma,
            shape_factor_width=5 * sigma,
        ).coordinates
        return found.data[:, :2], np.round(found.hkl).astype(int), np.asarray(found.intensity)

    return spots, phase.structure.lattice.base


def in_one_plane(hkl: np.ndarray) -> float:
    """Greatest share of reflections that one plane through the origin has."""
    hkl = hkl[(hkl != 0).any(axis=1)]
    best = 0.0 if len(hkl) > 2 else 1.0
    for i in range(min(len(hkl), 12)):
        for j in range(i + 1, min(len(hkl), 12)):
            normal = np.cross(hkl[i], hkl[j])
            if normal.any():
                best = max(best, float((hkl @ normal == 0).mean()))
    return best


def along_axis(axes: np.ndarray, rng: np.random.Generator, tilt: float = 1.2) -> np.ndarray:
    """Orientation with a short zone axis within some degrees of the beam."""
    uvw = np.zeros(3)
    while not uvw.any():
        uvw = rng.integers(-2, 3, 3)
    axis = uvw @ axes
    turned, _ = Rotation.align_vectors([[0, 0, 1]], [axis / np.linalg.norm(axis)])
    angle = rng.uniform(0, 2 * np.pi)
    off = Rotation.from_rotvec(
        np.radians(rng.uniform(0, tilt)) * np.array([np.cos(angle), np.sin(angle), 0])
    )
    return (off * Rotation.from_rotvec([0, 0, rng.uniform(0, 2 * np.pi)]) * turned).as_matrix()


def stack(spots: Spots, axes: np.ndarray, camera: Camera, count: int, seed: int) -> dict:
    """Draw a stack with its truth."""
    rng = np.random.default_rng(seed)
    h, w = camera.shape
    y, x = np.mgrid[:h, :w].astype(float)
    walk = np.cumsum(rng.normal(0, 0.35, (count, 2)), axis=0)
    beams = np.clip(walk - walk.mean(0), -6, 6) + np.array([(w - 1) / 2 + 2, (h - 1) / 2 - 3])
    hot = rng.integers(0, h, 8), rng.integers(0, w, 8)
    angle = rng.uniform(0, np.pi)
    along = np.array([np.cos(angle), np.sin(angle)])
    bent = np.eye(2) + camera.stretch * np.outer(along, along)
    hidden = np.zeros((h, w), bool)
    if camera.stop:
        away, across = x - (w - 1) / 2 - 2, y - (h - 1) / 2 + 3
        hidden = (np.hypot(away, across) < 9) | ((np.abs(across + 0.1 * away) < 4) & (away < 0))
    out = {
        "data": np.zeros((count, h, w), camera.dtype),
        "label": [],
        "visible": [],
        "centre": beams,
    }
    for number, kind in enumerate(rng.choice(4, count, p=SHARES)):
        r = np.hypot(x - beams[number][0], y - beams[number][1])
        light = 0.6 + 40 * np.exp(-r / (0.08 * w)) + 1.5 * np.exp(-r / (0.4 * w))
        if kind == 2:  # nothing but the film
            light += 3 * np.exp(-((r - 0.45 / camera.pixel) ** 2) * camera.pixel**2 / 0.0072)
        noise = np.sqrt(light * camera.gain) / camera.gain
        light += camera.beam * np.exp(-(r**2) / 8)
        shown = []
        for _ in range((1, 1, 0, 2)[kind]):
            turned = along_axis(axes, rng) if kind == 0 else Rotation.random(rng=rng).as_matrix()
            q, hkl, strength = spots(turned.T)
            there = (np.hypot(*q.T) > 1e-3) & (strength > 0)
            q, hkl, strength = q[there], hkl[there], strength[there]
            if not len(q):
                continue
            height = np.clip(strength / np.sort(strength)[-max(1, len(strength) // 8)], 0, 4)
            height *= rng.uniform(60, 250)
            at = q @ bent.T / camera.pixel + beams[number]
            inside = ((at > 3) & (at < [w - 4, h - 4])).all(axis=1) & (height > 1)
            for (px, py), top in zip(at[inside], height[inside], strict=True):
                i, j = (
                    slice(max(round(py) - 6, 0), round(py) + 7),
                    slice(max(round(px) - 6, 0), round(px) + 7),
                )
                light[i, j] += top * np.exp(
                    -((x[i, j] - px) ** 2 + (y[i, j] - py) ** 2) / 2 / WIDTH**2
                )
            i, j = np.round(at[inside][:, ::-1]).astype(int).T
            plain = height[inside] * np.sqrt(np.pi) * WIDTH > VISIBLE * noise[i, j]
            shown.append(hkl[inside][plain & ~hidden[i, j]])
        frame = rng.poisson(np.where(hidden, 0.3, light) * camera.gain).astype(float)
        top = np.iinfo(camera.dtype).max if camera.dtype.startswith("u") else np.inf
        frame[hot] = min(0.9 * top, 60000)
        if not camera.stop:
            frame[:, w // 3 : w // 3 + 4] = 0  # dead columns
        out["data"][number] = np.clip(frame, 0, top).astype(camera.dtype)
        share = in_one_plane(shown[0]) if len(shown) == 1 else 0.0
        name = KINDS[kind]
        if kind < 2:
            name = KINDS[0] if share == 1 else KINDS[1] if share < 0.8 else "between"
        out["label"].append(name)
        out["visible"].append(sum(map(len, shown)))
    return {name: np.array(values) for name, values in out.items()}


ORGANIC, OTHER = [7.4, 9.1, 12.2, 90, 104.0, 90], [8.3, 11.6, 9.8, 90, 97.0, 90]
QUARTZ = [(14, 0.4697, 0, 0), (8, 0.4133, 0.2672, 0.1188)]
#: Program, cell, sites and operations, excitation error and reach in 1/A, camera.
STACKS = {
    "olivine": (
        *(by_py4dstem, [10.33, 6.01, 4.69, 90, 90, 90], OLIVINE, PNMA, 0.004, 1.3),
        Camera((256, 256), 0.0105, 0.03),
    ),
    "organic": (
        *(by_py4dstem, ORGANIC, molecule(8), P21C, 0.003, 1.4),
        Camera((300, 380), 0.0085, 0.015, gain=0.5, dtype="uint8"),
    ),
    "organic without a stop": (
        *(by_py4dstem, OTHER, molecule(9), P21C, 0.003, 1.2),
        Camera((256, 256), 0.0095, 0.02, gain=2.0, stop=False, beam=20000),
    ),
    "quartz": (
        *(by_diffsims, [4.913, 4.913, 5.405, 90, 90, 120], QUARTZ, P3221, 0.004, 1.2),
        Camera((288, 320), 0.0075, 0.06, dtype="float32", stop=False, beam=20000),
    ),
}


def main() -> None:
    """Write all stacks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--patterns", type=int, default=400, help="of each stack")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for number, (name, made_by) in enumerate(STACKS.items()):
        program, cell, sites, operations, sigma, reach, camera = made_by
        spots, axes = program(cell, expanded(sites, operations), sigma, reach)
        made = stack(spots, axes, camera, arguments.patterns, 100 + number)
        np.savez(arguments.folder / f"{name}.npz", **made)
        print(name, *np.unique(made["label"], return_counts=True), flush=True)


if __name__ == "__main__":
    main()
