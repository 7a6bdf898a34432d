"""How many of the bands that are found are true, and how well each is measured.

A band is true when its plane lies within a degree of that of a reflector of the crystal before the
camera.  Behind each line stands how many of the first 12 are true by the probability that the
finder gives them (`band_probability.py` has its reliability).  Parts:

dynamical   single patterns of all crystals of `dynamical_patterns.py`, full range of noise
nickel      the scan of a Ni superalloy in NAPARI_DIFFRACTION_REAL: averages of its grains, patterns
kikuchipy   the nine Ni patterns that kikuchipy ships
others      Si, Fe3C and GaN in NAPARI_DIFFRACTION_REAL; their centres are fitted to the bands

    python benchmarks/true_bands.py --masters masters --real REAL --finder new
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, gaussian_filter, zoom

from dynamical_patterns import structure_of
from indexing_sets import every_single, load_known
from known_bands import Planes, angles_to, fit, fit_centre, lines_of, normals_of, planes_of
from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.orientation import detector_to_crystal
from napari_diffraction.crystal.structure import Structure, expand
from napari_diffraction.patterns.kikuchi.band_finder import find_bands
from napari_diffraction.patterns.kikuchi.bands.lines import find_lines
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack

FIRST = 12  # bands of a pattern that are judged, ...
MOST = 16  # ... of so many found
NEAR = 1.0  # degree
NICKEL = "ni_superalloy_64x80x120x120.h5"
NICKEL_PC = (0.5088, 0.3409, 0.6276)  # PyEBSDIndex's, told fcc Ni
ALIKE, LEAST = 0.65, 15  # correlation of the patterns of a grain, and how many make one
AVERAGED = 300
ENOUGH = 7  # bands of an average that fit nickel; other groups are carbides, or nothing
EACH = 8  # single patterns of a grain
SEED = 31

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Found:
    """Bands of pictures, the most certain first: lines and half widths in degrees (or NaN).

    The probability that each is real is told by the finder of indexing alone, else NaN.
    """

    line: FloatArray
    half_width: FloatArray
    seconds: float
    probability: FloatArray


def old(pictures: NDArray[np.float32], weight: NDArray[np.float32], pc: FloatArray) -> Found:
    """The finder of the Bravais classifier, for squares."""
    began = time.perf_counter()
    centres = np.broadcast_to(pc, (len(pictures), 3)).astype(np.float32)
    bands = find_bands(pictures, weight[None], centres, MOST)
    seconds = time.perf_counter() - began
    line = lines_of(bands.normal, pc, pictures.shape[1:])
    line[np.arange(MOST) >= bands.count[:, None]] = 0
    nothing = np.full(line.shape[:2], np.nan)
    return Found(line, nothing, seconds, nothing)


def new(pictures: NDArray[np.float32], weight: NDArray[np.float32], pc: FloatArray) -> Found:
    """The finder of indexing."""
    began = time.perf_counter()
    lines = find_lines(pictures, weight, MOST)
    seconds = time.perf_counter() - began
    line = np.where(lines.strength[..., None] > 0, lines.line, 0)
    half_width = _as_angle(line, lines.half_width, pc, pictures.shape[1:])
    return Found(line, half_width, seconds, np.asarray(lines.probability, float))


def _as_angle(
    line: FloatArray, pixels: NDArray[np.float32], pc: FloatArray, shape: tuple[int, int]
) -> FloatArray:
    """Half widths in degrees where the lines are nearest to the pattern centre."""
    h, w = shape
    centre = np.broadcast_to(pc, (len(line), 3))[:, None, :]
    away = line[..., 2] - (
        line[..., 0] * (centre[..., 0] - 0.5) * w + line[..., 1] * (centre[..., 1] - 0.5) * h
    )
    distance = centre[..., 2] * h
    edges = np.arctan((away + pixels) / distance) - np.arctan((away - pixels) / distance)
    return np.degrees(edges / 2)


FINDERS: dict[str, Callable[..., Found]] = {"old": old, "new": new}


def sketched(stack: PatternStack, frames: NDArray[np.float32]) -> tuple[FloatArray, FloatArray]:
    """Flatten frames by plain Gaussians: what the finders are given without the program's own."""
    every = stack.data.reshape(-1, *stack.frame_shape)
    mean = np.asarray(every[:: max(1, len(every) // 500)].astype(np.float32).mean(axis=0))
    side = min(stack.frame_shape)
    light = gaussian_filter(mean if stack.background is None else stack.background, side / 60)
    lit = light > 0.2 * np.percentile(light, 90)
    if len(every) > 1:
        lit &= np.asarray(every[:50].astype(np.float32).std(axis=0)) > 0
    mask = binary_erosion(lit, iterations=max(2, side // 40), border_value=1)
    weight = mask.astype(np.float32)

    def blurred(pictures: FloatArray, sigma: float) -> FloatArray:
        smooth = gaussian_filter(pictures * weight, (0, sigma * side, sigma * side))
        return smooth / np.maximum(gaussian_filter(weight, sigma * side), 0.05)

    if stack.background is not None:
        ground = np.maximum(stack.background, 1)
    elif len(every) > 100:
        ground = np.maximum(mean, 1)
    else:
        ground = np.maximum(blurred(frames, 0.25), 1e-6)
    out = (frames / ground) * weight
    out = (out - blurred(out, 1 / 12)) * weight
    out = np.clip(out / np.sqrt(blurred(out * out, 0.1) + 1e-12), -4, 4) * weight
    return (out / out[:, mask].std(axis=1)[:, None, None]).astype(np.float32), weight


def own(stack: PatternStack, frames: NDArray[np.float32]) -> tuple[FloatArray, FloatArray]:
    """Prepare frames as the program does."""
    from napari_diffraction.patterns.kikuchi.preparation import prepare

    made = prepare(stack)
    return made.flattened(made.corrected(frames)), made.weight


PREPARATIONS = {"sketch": sketched, "program": own}


@dataclass(frozen=True, eq=False)
class Task:
    """Pictures whose bands are known."""

    name: str
    pictures: NDArray[np.float32]
    weight: NDArray[np.float32]
    planes: Planes
    rotation: FloatArray  # crystal to detector, (n, 3, 3)
    pc: FloatArray


@dataclass(frozen=True)
class Figures:
    """What is said of a set of pictures; angles in degrees."""

    pictures: int
    true: float  # bands among the first 12, mean
    of_16: float
    error: float  # median
    width_ratio: float  # found over true, median
    width_error: float  # median of the relative difference once the ratio is taken out
    rate: float  # pictures a second
    said: float  # bands among the first 12 by the sum of their probabilities


def judge(task: Task, finder: Callable[..., Found]) -> Figures:
    """Count the true bands of a task."""
    found = finder(task.pictures, task.weight, task.pc)
    normals = normals_of(found.line, task.pc, task.pictures.shape[1:])
    angles, widths = [], []
    for normal, half, rotation in zip(normals, found.half_width, task.rotation, strict=True):
        angle, which = angles_to(normal, task.planes.unit @ rotation.T)
        angles.append(angle)
        widths.append(np.where(angle < NEAR, half / task.planes.half_width[which], np.nan))
    angle, width = np.stack(angles), np.stack(widths)[:, :FIRST]
    true = angle < NEAR
    ratio = float(np.nanmedian(width)) if np.isfinite(width).any() else float("nan")
    off = np.abs(width / ratio - 1)
    return Figures(
        len(angle),
        float(true[:, :FIRST].sum(axis=1).mean()),
        float(true.sum(axis=1).mean()),
        float(np.median(angle[:, :FIRST][true[:, :FIRST]])) if true.any() else float("nan"),
        ratio,
        float(np.nanmedian(off)) if np.isfinite(off).any() else float("nan"),
        len(angle) / found.seconds,
        float(found.probability[:, :FIRST].sum(axis=1).mean()),
    )


def dynamical(
    folder: Path, size: int, count: int, prepare: Callable[..., object]
) -> Iterator[Task]:
    """Singles of all crystals."""
    for known, stack, truth in every_single(load_known(folder), count, size, 1.0, SEED):
        frames = stack.data.astype(np.float32).compute()
        pictures, weight = prepare(stack, frames)
        turned = np.swapaxes(truth.rotation, 1, 2)
        planes = planes_of(known.structure)
        yield Task(known.name, pictures, weight, planes, turned, truth.centre)


def grains_of(
    stack: PatternStack, frames: NDArray[np.float32], weight: NDArray[np.float32]
) -> list[NDArray[np.int64]]:
    """Patterns of each grain of a scan: those alike to one in the midst of others."""
    rows, columns = stack.data.shape[:2]
    small = gaussian_filter(frames, (0, 1, 1))[:, ::2, ::2] * weight[::2, ::2]
    small = small.reshape(len(small), -1)
    for axis in (1, 0):
        small = small - small.mean(axis=axis, keepdims=True)
        small /= np.linalg.norm(small, axis=1, keepdims=True)
    grid = small.reshape(rows, columns, -1)
    right = np.pad((grid[:, 1:] * grid[:, :-1]).sum(-1), ((0, 0), (0, 1))).ravel()
    down = np.pad((grid[1:] * grid[:-1]).sum(-1), ((0, 1), (0, 0))).ravel()
    free = np.ones(len(small), dtype=bool)
    grains = []
    for leader in np.argsort(-np.minimum(right, down)):
        if free[leader]:
            mine = np.flatnonzero((small @ small[leader] > ALIKE) & free)
            free[leader] = False
            if len(mine) >= LEAST:
                free[mine] = False
                grains.append(mine)
    return grains


def nickel(real: Path, prepare: Callable[..., object], side: int | None = None) -> Iterator[Task]:
    """Averages of the grains of the real scan, and patterns of them; binned to `side` pixels."""
    stack = open_stack(real / "ebsd" / NICKEL)
    every = stack.data.reshape(-1, *stack.frame_shape).compute().astype(np.float32)
    pictures, weight = prepare(stack, every)
    grains = grains_of(stack, pictures, weight)
    averages, _ = prepare(stack, np.stack([every[one[:AVERAGED]].mean(axis=0) for one in grains]))
    pc, planes = np.array(NICKEL_PC), _families(structure_of("Ni_EMsoft"), 24)
    # the truth comes from full resolution and the old finder, whatever is measured
    fits = [
        fit(one[None], averages.shape[1:], pc, planes.unit)
        for one in old(averages, weight, pc).line
    ]
    kept = [k for k, one in enumerate(fits) if one.bands >= ENOUGH]
    print(
        f"  {len(grains)} groups, {len(kept)} of them nickel; their bands fit to "
        f"{np.mean([fits[k].misfit for k in kept]):.2f} degrees"
    )
    rotation = np.concatenate([fits[k].rotation for k in kept])
    some = [grains[k][:: max(1, len(grains[k]) // EACH)][:EACH] for k in kept]
    of_grain = np.repeat(np.arange(len(kept)), [len(one) for one in some])
    for name, shown, turned in (
        ("Ni averages", averages[kept], rotation),
        ("Ni single patterns", pictures[np.concatenate(some)], rotation[of_grain]),
    ):
        for size in (side,) if side else (len(weight), 60):
            yield Task(f"{name}, {size} px", *_resized(shown, weight, size), planes, turned, pc)


def _families(structure: Structure, highest: int) -> Planes:
    """All planes of a cubic crystal up to h^2 + k^2 + l^2 = highest."""
    planes = planes_of(structure, least=0.0)
    wavelength_over_2a = np.sin(np.radians(planes.half_width)).min() / np.sqrt(3)
    length = np.sin(np.radians(planes.half_width)) / wavelength_over_2a
    kept = length**2 < highest + 0.5
    return Planes(planes.unit[kept], planes.half_width[kept], planes.strength[kept])


def _resized(
    pictures: NDArray[np.float32], weight: NDArray[np.float32], side: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Pictures with so many rows, standardised anew."""
    if side == len(weight):
        return pictures, weight
    factor = side / len(weight)
    smooth = gaussian_filter(pictures, (0, 0.4 / factor, 0.4 / factor))
    small = zoom(smooth, (1, factor, factor), order=1, grid_mode=True, mode="nearest")
    mask = zoom(weight, factor, order=1, grid_mode=True, mode="nearest") > 0.99
    small = small * mask
    small /= small[:, mask].std(axis=1)[:, None, None]
    return small.astype(np.float32), mask.astype(np.float32)


def kikuchipy_nickel(prepare: Callable[..., object]) -> Iterator[Task]:
    """The nine patterns that kikuchipy ships, at the centre and orientations in their file."""
    import kikuchipy

    folder = Path(kikuchipy.__file__).parent / "data" / "kikuchipy_h5ebsd"
    stack = open_stack(folder / "patterns.h5", "Scan 1/EBSD/Data/patterns")
    geometry = stack.geometry
    assert isinstance(geometry, KikuchiGeometry)
    assert geometry.pc is not None
    frames = stack.data.reshape(-1, *stack.frame_shape).compute().astype(np.float32)
    pictures, weight = prepare(stack, frames)
    with h5py.File(folder / "patterns.h5", locking=False) as file:
        data = file["Scan 1/EBSD/CrystalMap/crystal_map/data"]
        angles = np.degrees([data[name][()] for name in ("phi1", "Phi", "phi2")]).T
    rotation = np.swapaxes(detector_to_crystal(angles), 1, 2)
    planes = _families(structure_of("Ni_EMsoft"), 24)
    yield Task("kikuchipy's Ni", pictures, weight, planes, rotation, np.array(geometry.pc))


def silicon() -> Structure:
    return structure_of("Si")


def cementite() -> Structure:
    """Fe3C (Wood et al., J. Appl. Cryst. 37 (2004) 82)."""
    sites = [
        ("Fe", 0.0367, 0.25, 0.8402),
        ("Fe", 0.1816, 0.0666, 0.3374),
        ("C", 0.8770, 0.25, 0.4440),
    ]
    return expand(UnitCell(5.0837, 6.7475, 4.5165), 62, sites, "Fe3C")


def gallium_nitride() -> Structure:
    """GaN, wurtzite (Schulz & Thiemann, Solid State Commun. 23 (1977) 815)."""
    sites = [("Ga", 1 / 3, 2 / 3, 0.0), ("N", 1 / 3, 2 / 3, 0.377)]
    return expand(UnitCell(3.190, 3.190, 5.189, 90, 90, 120), 186, sites, "GaN")


#: File, structure and where the centre's refinement begins.
MEASURED = {
    "Si in": ("si_480px/si_in.h5", silicon, [(0.5, 0.15, 0.48)]),
    "Si out 5 mm": ("si_480px/si_out5mm.h5", silicon, [(0.5, 0.15, 0.59)]),
    "Si out 10 mm": ("si_480px/si_out10mm.h5", silicon, [(0.5, 0.15, 0.71)]),
    "Fe3C": ("fe3c_1040px.tif", cementite, None),
    "GaN": ("gan_1344px.png", gallium_nitride, None),
}
STARTS = [(0.5, y, z) for y in (0.15, 0.3, 0.45) for z in (0.5, 0.62, 0.76)]


def others(real: Path, prepare: Callable[..., object], side: int = 240) -> Iterator[Task]:
    """Single patterns of Si, Fe3C and GaN, binned to at most `side` rows."""
    for name, (file, structure, starts) in MEASURED.items():
        stack = open_stack(real / "ebsd" / file)
        frames = stack.data.reshape(-1, *stack.frame_shape).compute().astype(np.float32)
        pictures, weight = prepare(stack, frames)
        if min(weight.shape) > side:
            pictures, weight = _resized(pictures, weight, side)
        planes = planes_of(structure())
        shape = pictures.shape[1:]
        line = new(pictures, weight, np.array([0.5, 0.3, 0.6])).line
        truth = fit_centre(line, shape, planes.unit[:60], starts or STARTS)
        x, y, z = truth.pc
        print(
            f"  {name}: centre fitted ({x:.3f}, {y:.3f}, {z:.3f}), {truth.bands} bands, "
            f"{truth.misfit:.2f} degrees"
        )
        yield Task(name, pictures, weight, planes, truth.rotation, truth.pc)


def show(name: str, found: Figures) -> None:
    print(
        f"  {name:28s} {found.pictures:4d}   {found.true:5.2f} of {FIRST}   "
        f"{found.of_16:5.2f} of {MOST}   {found.error:.2f} deg   "
        f"width x {found.width_ratio:.2f} +- {100 * found.width_error:.0f} %   "
        f"{found.rate:6.0f}/s   said {found.said:5.2f}",
        flush=True,
    )


def mean_of(figures: list[Figures]) -> Figures:
    """Mean of the figures of sets of equal size."""
    return Figures(
        sum(one.pictures for one in figures),
        *(
            float(np.nanmean([getattr(one, name) for one in figures]))
            for name in ("true", "of_16", "error", "width_ratio", "width_error", "rate", "said")
        ),
    )


PARTS = ("nickel", "kikuchipy", "others", "dynamical")


def main() -> None:
    """Print the figures of one finder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--finder", choices=FINDERS, default="new")
    parser.add_argument("--preparation", choices=PREPARATIONS, default="program")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--masters", type=Path, help="folder of dynamical_patterns.py masters")
    parser.add_argument(
        "--real", type=Path, default=os.environ.get("NAPARI_DIFFRACTION_REAL"),
        help="folder of measured patterns; NAPARI_DIFFRACTION_REAL without it",
    )  # fmt: skip
    parser.add_argument("--count", type=int, default=20, help="patterns of each crystal")
    parser.add_argument("--sizes", type=int, nargs="+", default=[120, 60], help="px, dynamical")
    parser.add_argument("--output", type=Path, help="JSON with the figures")
    given = parser.parse_args()
    finder, prepare = FINDERS[given.finder], PREPARATIONS[given.preparation]
    found: dict[str, Figures] = {}
    tasks: dict[str, Callable[[], Iterator[Task]]] = {
        "kikuchipy": lambda: kikuchipy_nickel(prepare)
    }
    if given.real:
        real = Path(given.real)
        tasks["nickel"] = lambda: nickel(real, prepare)
        tasks["others"] = lambda: others(real, prepare)
    for part in given.only:
        if part in tasks:
            print(part)
            for task in tasks[part]():
                found[task.name] = judge(task, finder)
                show(task.name, found[task.name])
        elif part == "dynamical" and given.masters:
            for size in given.sizes:
                print(f"dynamical, {size} px")
                made = []
                for task in dynamical(given.masters, size, given.count, prepare):
                    made.append(judge(task, finder))
                    show(task.name, made[-1])
                    found[f"{task.name}, {size} px"] = made[-1]
                found[f"all dynamical, {size} px"] = mean_of(made)
                show("all", found[f"all dynamical, {size} px"])
        else:
            print(f"{part}: left out, its folder is not named")
    if given.output:
        given.output.parent.mkdir(parents=True, exist_ok=True)
        plain = {name: vars(one) for name, one in found.items()}
        given.output.write_text(json.dumps(plain, indent=1))


if __name__ == "__main__":
    main()
