"""Dynamical EBSD patterns with their truth, by which indexing is measured.

Three kinds of stacks are made from the master patterns of `dynamical_patterns.py`: single patterns
of one crystal before one camera, scans of grains of one to three phases, and controls in which
nothing can be indexed.  From Python::

    known = load_known("masters", ["Ni_EMsoft", "Al2O3"])
    stack, truth = singles(known[0], count=20, size=120, seed=1)
    stack, truth = dynamical_scan(known, shape=(40, 40), size=80, seed=1)

and from a terminal, patterns and truth into an HDF5 file that the program opens::

    python benchmarks/indexing_sets.py --masters masters scan Ti TiO2_rutile --output scan.h5
    python benchmarks/indexing_sets.py --masters masters singles Ni_EMsoft --output singles.h5
    python benchmarks/indexing_sets.py control noise --output noise.h5
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import dask.array as da
import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import zoom

from dynamical_patterns import OVERSAMPLE, VOLTAGE, load_master, structure_of
from napari_diffraction.crystal.orientation import random_rotations
from napari_diffraction.crystal.structure import Structure
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack
from napari_diffraction.simulation.kikuchi.effects import COLUMNS, realistic_rows
from napari_diffraction.simulation.kikuchi.master import MasterPattern
from napari_diffraction.simulation.kikuchi.torch_bands import degrade

#: Pattern centres of usual cameras, Bruker's convention.
PC_LOW, PC_HIGH = (0.46, 0.20, 0.45), (0.54, 0.50, 0.85)
SAMPLE_TILT = 70.0  # degrees
SCREEN = 24_000.0  # um, the height of the screen
FIELD = (60.0, 400.0)  # um, the side of the field that a scan covers
REACH = 0.7  # of the beam, in points; each point is looked at in PLACES x PLACES spots within it
PLACES = 3
LOST = 0.01  # of the points
POWDER = 300  # crystals under the beam
GREY = 120.0  # of the mean background
BATCH = 256
CONTROLS = ("noise", "masked noise", "amorphous", "powder", "rings")

#: The effects that belong to the camera and not to the single pattern.
_OF_CAMERA = (
    *("blur", "dome", "dome_x", "dome_y", "dome_width", "vignetting", "gamma", "step", "ceiling"),
    *("mask_x", "mask_y", "mask_radius", "outside", "contrast", "grain_size"),
)
#: Applied here, since dust, bad pixels and gains stay where they are from pattern to pattern.
_FIXED = ("gain", "dead", "dust", "residual")
#: Drawn relative to the contrast of the bands.
_RELATIVE = ("noise", "grain", "stripes")


@dataclass(frozen=True, eq=False)
class Known:
    """A crystal with its master pattern."""

    name: str
    lattice: str
    structure: Structure
    master: MasterPattern


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known of every pattern of a set.

    Attributes
    ----------
    crystals
        The phases.
    phase, grain : ndarray of int64, (n,)
        Number of the phase and of the grain; -1: nothing diffracts.
    rotation : ndarray of float64, (n, 3, 3)
        Turns directions of the detector's frame into the crystal's; NaN where nothing diffracts.
    pc : ndarray of float64, (n, 3)
        Pattern centres in Bruker's convention.
    purity : ndarray of float64, (n,)
        Share of the pattern that comes from the grain named.
    noise : ndarray of float64, (n,)
        Deviation of the pixels' noise over that of the bands.
    """

    crystals: tuple[Known, ...]
    phase: NDArray[np.int64]
    grain: NDArray[np.int64]
    rotation: NDArray[np.float64]
    pc: NDArray[np.float64]
    purity: NDArray[np.float64]
    noise: NDArray[np.float64]

    @property
    def centre(self) -> NDArray[np.float64]:
        """Mean pattern centre, (3,)."""
        return self.pc.mean(axis=0)


def load_known(folder: str | Path, names: Sequence[str] | None = None) -> list[Known]:
    """Read crystals by their names, or all of a folder of master patterns."""
    folder = Path(folder)
    names = names or sorted(path.stem for path in folder.glob("*.npz"))
    out = []
    for name in names:
        made = load_master(folder / f"{name}.npz")
        master = MasterPattern(made.hemispheres, name, VOLTAGE)
        out.append(Known(name, made.lattice, structure_of(name), master))
    return out


@dataclass(frozen=True, eq=False)
class Camera:
    """Effects of the patterns, and what stays on the screen from pattern to pattern."""

    rows: NDArray[np.float32]
    gain: NDArray[np.float32]
    dead: NDArray[np.bool_]
    hot: NDArray[np.bool_]

    @property
    def noise(self) -> NDArray[np.float64]:
        """Deviation of the pixels' noise over that of the bands, (n,)."""
        contrast, noise = (self.rows[:, COLUMNS.index(name)] for name in ("contrast", "noise"))
        return (noise / np.maximum(contrast, 1e-6)).astype(float)


def draw_camera(
    count: int,
    size: int,
    noise: float,
    rng: np.random.Generator,
    mask: bool | None = None,
    alike: bool = False,
) -> Camera:
    """Draw a camera, and the noise of ``count`` patterns.

    Parameters
    ----------
    count, size
        Number of patterns and their side in pixels.
    noise
        1: the full range that the Bravais classifier learns from; 0: a nearly perfect camera.
    rng
        Source of randomness.
    mask
        Whether there is a round mask; by chance without it.
    alike
        Whether all patterns have the same noise; otherwise each its own from the full range.
    """
    rows = realistic_rows(count, rng, noise)
    of = {name: place for place, name in enumerate(COLUMNS)}
    contrast = rows[:, of["contrast"]].copy()
    for name in COLUMNS if alike else _OF_CAMERA:
        rows[:, of[name]] = rows[0, of[name]]
    if not alike:
        for name in _RELATIVE:
            rows[:, of[name]] *= contrast[0] / contrast
    # the stacks hold the frames of the camera as they are, neither binned nor set in a square
    rows[:, of["pixels"]], rows[:, of["half_width"]], rows[:, of["half_height"]] = 0, 1, 1
    rows[:, of["overlap"]] = rows[:, of["ghost"]] = 0
    if mask is not None:
        rows[:, of["mask_radius"]] = rng.uniform(0.85, 1.1) if mask else 10.0
    gain = 1 + rows[0, of["gain"]] * rng.normal(size=(size, size))
    gain = gain * (1 - rows[0, of["dust"]] * _dust(size, rng))
    gain = gain * np.maximum(1 + rows[0, of["residual"]] * _uneven(size, rng), 0.1)
    dots, dead = rng.uniform(size=(size, size)), rows[0, of["dead"]]
    for name in _FIXED:
        rows[:, of[name]] = 0
    return Camera(rows, gain.astype(np.float32), dots < dead, dots > 1 - dead)


def _dust(size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    line = np.linspace(-1, 1, size)
    specks = np.zeros((size, size))
    for x, y, radius in rng.uniform([-1, -1, 0.02], [1, 1, 0.1], size=(rng.integers(1, 4), 3)):
        specks += np.exp(-((line[:, None] - y) ** 2 + (line - x) ** 2) / (2 * radius**2))
    return np.minimum(specks, 1)


def _uneven(size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A smooth field of unit deviation."""
    field = zoom(rng.normal(size=(5, 5)), size / 5, order=3, grid_mode=True, mode="nearest")
    return field / field.std()


def record(
    clean: NDArray[np.float32],
    camera: Camera,
    rng: np.random.Generator,
    other: NDArray[np.float32] | None = None,
    share: NDArray[np.float64] | None = None,
    which: slice = slice(None),
) -> NDArray[np.uint8]:
    """Return what the camera gives, grey and all, for band sums (n, size, size).

    Parameters
    ----------
    clean
        Patterns; zeros where nothing diffracts.
    camera
        The camera.
    rng
        Source of randomness.
    other, share
        Patterns of the neighbouring grains and their shares.
    which
        The patterns' places among the rows of the camera.
    """
    rows = camera.rows[which].copy()
    if share is not None:
        rows[:, COLUMNS.index("overlap")] = share
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    seen, lit = degrade(
        torch.from_numpy(np.ascontiguousarray(clean)),
        torch.from_numpy(rows),
        generator,
        torch.from_numpy(np.zeros_like(clean) if other is None else other),
    )
    frames = np.where(lit.numpy() > 0, camera.gain * seen.numpy(), seen.numpy())
    frames[:, camera.dead], frames[:, camera.hot] = 0, 2.5
    return np.clip(np.rint(GREY * frames), 0, 255).astype(np.uint8)


def draw_centre(rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw the pattern centre of a usual camera."""
    return rng.uniform(PC_LOW, PC_HIGH)


def singles(
    known: Known,
    count: int = 20,
    size: int = 120,
    noise: float = 1.0,
    seed: int = 0,
    pc: Sequence[float] | None = None,
    mask: bool | None = None,
    told: bool = False,
) -> tuple[PatternStack, Truth]:
    """Make patterns of one crystal in random orientations before one camera.

    Parameters
    ----------
    known
        The crystal.
    count, size
        Number of patterns and their side in pixels.
    noise, mask
        As in `draw_camera`; every pattern has a noise of its own.
    seed
        The same seed gives the same patterns.
    pc
        Pattern centre, drawn without it.
    told
        Whether the stack tells its pattern centre.
    """
    rng = np.random.default_rng([seed, 11])
    centre = draw_centre(rng) if pc is None else np.asarray(pc, dtype=float)
    rotation = random_rotations(count, rng)
    centres = np.tile(centre, (count, 1))
    camera = draw_camera(count, size, noise, rng, mask)
    frames = record(known.master.project(rotation, centres, (size, size), OVERSAMPLE), camera, rng)
    numbers = np.arange(count)
    truth = Truth((known,), 0 * numbers, numbers, rotation, centres, np.ones(count), camera.noise)
    return as_stack(frames, known.name, tuple(centre.tolist()) if told else None), truth


def as_stack(
    frames: NDArray[np.uint8], name: str, pc: tuple[float, ...] | None, step: float | None = None
) -> PatternStack:
    """Make a stack of frames (..., h, w), with its pattern centre where that is told."""
    chunks = (*(1 for _ in frames.shape[:-2]), *frames.shape[-2:])
    return PatternStack(
        da.from_array(frames, chunks=chunks),
        name,
        geometry=KikuchiGeometry(pc, SAMPLE_TILT, 0.0, VOLTAGE),  # type: ignore[arg-type]
        step=None if step is None else (step, step),
    )


@dataclass(frozen=True, eq=False)
class Layout:
    """Which two grains the beam meets at each point of a scan, and the share of the first."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    purity: NDArray[np.float64]


def lay_out(shape: tuple[int, int], grains: int, rng: np.random.Generator) -> Layout:
    """Lay out grains as a Voronoi diagram; -1: nothing diffracts."""
    rows, columns = shape
    seeds = rng.uniform(0, shape, (grains, 2))
    offsets = np.linspace(-REACH, REACH, PLACES)
    y, x = np.divmod(np.arange(rows * columns), columns)
    places = np.empty((rows * columns, PLACES**2), dtype=np.int64)
    for k, (down, across) in enumerate(np.stack(np.meshgrid(offsets, offsets), -1).reshape(-1, 2)):
        apart = (y[:, None] + down - seeds[:, 0]) ** 2 + (x[:, None] + across - seeds[:, 1]) ** 2
        places[:, k] = apart.argmin(axis=1)
    counts = np.zeros((rows * columns, grains), dtype=np.int64)
    np.add.at(counts, (np.arange(rows * columns)[:, None], places), 1)
    order = np.argsort(-counts, axis=1, kind="stable")[:, :2]
    most, next_most = np.take_along_axis(counts, order, axis=1).T
    first, second = order.T.copy()
    second[next_most == 0] = -1
    lost = rng.uniform(size=rows * columns) < LOST
    first[lost] = second[lost] = -1
    return Layout(first, second, np.where(lost, 0.0, most / np.maximum(most + next_most, 1)))


def drift_of(
    shape: tuple[int, int], field: float, tilt: float = SAMPLE_TILT
) -> NDArray[np.float64]:
    """Shifts of the pattern centre, (points, 3), as the beam moves over a tilted sample.

    Parameters
    ----------
    shape
        Rows and columns.
    field
        Width of the scan in um.
    tilt
        Tilt of the sample in degrees.
    """
    step = field / shape[1]
    down, right = np.mgrid[: shape[0], : shape[1]].reshape(2, -1) * step
    down, right = down - down.mean(), right - right.mean()
    slope = np.radians(tilt)
    return np.stack([right, down * np.sin(slope), -down * np.cos(slope)], axis=1) / SCREEN


def dynamical_scan(
    crystals: Sequence[Known],
    shape: tuple[int, int] = (40, 40),
    size: int = 80,
    grains: int = 30,
    shares: Sequence[float] | None = None,
    drift: bool = True,
    noise: float = 1.0,
    seed: int = 0,
    pc: Sequence[float] | None = None,
    mask: bool | None = None,
    told: bool = False,
) -> tuple[PatternStack, Truth]:
    """Make a scan of grains of some phases: boundaries mix patterns, some points are lost.

    Parameters
    ----------
    crystals
        The phases.
    shape, size, grains
        Rows and columns, side of the patterns in pixels, number of grains.
    shares
        Of the grains by phase; drawn without it, the least being half of an equal share.
    drift
        Whether the pattern centre moves with the beam.
    noise, mask
        As in `draw_camera`; all patterns of a scan have about the same noise.
    seed
        The same seed gives the same scan.
    pc
        Mean pattern centre, drawn without it.
    told
        Whether the stack tells its mean pattern centre.
    """
    rng = np.random.default_rng([seed, 40])
    centre = draw_centre(rng) if pc is None else np.asarray(pc, dtype=float)
    field = float(np.exp(rng.uniform(*np.log(FIELD))))
    count = shape[0] * shape[1]
    centres = centre + (drift_of(shape, field) if drift else np.zeros((count, 3)))
    if shares is None:
        shares = 0.5 / len(crystals) + 0.5 * rng.dirichlet(np.ones(len(crystals)))
    of_grain = phases_of_grains(grains, shares, rng)
    turned = random_rotations(grains, rng)
    layout = lay_out(shape, grains, rng)
    camera = draw_camera(count, size, noise, rng, mask, alike=True)
    brightness = rng.uniform(0.85, 1.15, len(crystals) + 1)[np.append(of_grain, -1)]
    frames = np.empty((count, size, size), dtype=np.uint8)
    for start in range(0, count, BATCH):
        some = slice(start, min(start + BATCH, count))
        clean, other = (
            _patterns(crystals, of_grain, turned, grain[some], centres[some], size)
            for grain in (layout.first, layout.second)
        )
        share = np.where(layout.second[some] >= 0, 1 - layout.purity[some], 0)
        made = record(clean, camera, rng, other, share, some)
        light = brightness[layout.first[some]][:, None, None]
        frames[some] = np.clip(np.rint(light * made), 0, 255)
    truth = Truth(
        tuple(crystals),
        np.where(layout.first < 0, -1, of_grain[layout.first]),
        layout.first,
        np.where((layout.first < 0)[:, None, None], np.nan, turned[layout.first]),
        centres,
        layout.purity,
        camera.noise,
    )
    name = " + ".join(known.name for known in crystals)
    told_centre = tuple(centre.tolist()) if told else None
    step = field / shape[1]
    return as_stack(frames.reshape(*shape, size, size), name, told_centre, step), truth


def phases_of_grains(
    grains: int, shares: Sequence[float], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Deal phases out to grains in given shares, every phase at least once."""
    edges = np.rint(np.cumsum(np.asarray(shares) / np.sum(shares)) * grains).astype(int)
    phase = np.searchsorted(edges, np.arange(grains), side="right")
    phase[: len(shares)] = np.arange(len(shares))
    return rng.permutation(phase)


def _patterns(
    crystals: Sequence[Known],
    of_grain: NDArray[np.int64],
    turned: NDArray[np.float64],
    grain: NDArray[np.int64],
    centres: NDArray[np.float64],
    size: int,
) -> NDArray[np.float32]:
    """Patterns of grains; zeros for grain -1."""
    out = np.zeros((len(grain), size, size), dtype=np.float32)
    phase = np.where(grain < 0, -1, of_grain[grain])
    for number, known in enumerate(crystals):
        if (mine := phase == number).any():
            master, rotation = known.master, turned[grain[mine]]
            out[mine] = master.project(rotation, centres[mine], (size, size), OVERSAMPLE)
    return out


def control(
    kind: str,
    shape: tuple[int, int] = (20, 20),
    size: int = 80,
    seed: int = 0,
    known: Known | None = None,
) -> PatternStack:
    """Make a scan in which nothing can be indexed.

    Parameters
    ----------
    kind
        ``noise``: white and correlated noise on an even ground; ``masked noise``: the same behind
        a round mask; ``amorphous``: the dome of a film without bands; ``powder``: each pattern the
        sum of 300 crystals in random orientations (``known`` is needed); ``rings``: the smooth
        rings of a powder about the pattern centre, the same at every point.
    shape, size
        Rows and columns, side of the patterns in pixels.
    seed
        The same seed gives the same scan.
    known
        Crystal of the powder.
    """
    rng = np.random.default_rng([seed, 70])
    count = shape[0] * shape[1]
    camera = draw_camera(count, size, 1.0, rng, kind == "masked noise" or None, alike=True)
    rows = camera.rows
    of = {name: place for place, name in enumerate(COLUMNS)}
    clean = np.zeros((count, size, size), dtype=np.float32)
    if kind in ("noise", "masked noise"):
        rows[:, [of["dome"], of["vignetting"]]] = 0
        rows[:, of["grain"]] = np.maximum(rows[:, of["grain"]], 0.3 * rows[:, of["contrast"]])
    if kind == "noise":
        rows[:, of["mask_radius"]] = 10
    elif kind == "powder":
        if known is None:
            raise ValueError("a powder needs a crystal")
        clean, weaker = _powder(known, count, size, rng)
        rows[:, of["contrast"]] *= weaker
    elif kind == "rings":
        clean = np.tile(_rings(draw_centre(rng), size), (count, 1, 1))
    return as_stack(record(clean, camera, rng).reshape(*shape, size, size), kind, None)


def _powder(
    known: Known, count: int, size: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], float]:
    """Sums of many crystals, and how much weaker their contrast is than that of one.

    The mean over all orientations is even: what is left are the bands of so few crystals.
    """
    centre = draw_centre(rng)
    pool = 40 * POWDER if count > 40 else count * POWDER
    sums = np.empty((pool // POWDER, size, size), dtype=np.float32)
    single = 0.0
    for k in range(len(sums)):
        made = known.master.project(random_rotations(POWDER, rng), centre, (size, size))
        single += float(made.std(axis=(1, 2)).mean()) / len(sums)
        sums[k] = made.mean(axis=0)
    # a point's pattern: three of the sums, so that few points are alike
    picked = rng.integers(len(sums), size=(count, 3))
    mixed = sums[picked].mean(axis=1)
    return mixed, float(sums.std(axis=(1, 2)).mean()) / single


def _rings(pc: NDArray[np.float64], size: int) -> NDArray[np.float32]:
    """Rings about the pattern centre, as a powder in transmission makes them."""
    line = (np.arange(size) + 0.5) / size
    radius = np.hypot(line - pc[0], line[:, None] - pc[1]) / pc[2]
    angle = np.degrees(np.arctan(radius))
    places = 6.0 * np.sqrt([3, 4, 8, 11, 12, 16, 19, 20, 24])  # of an fcc powder, widened
    return np.exp(-((angle[..., None] - places) ** 2) / (2 * 0.8**2)).sum(-1).astype(np.float32)


def write(path: Path, stack: PatternStack, truth: Truth | None) -> None:
    """Write patterns and truth as HDF5."""
    from napari_diffraction.files import replacing_hdf5

    with replacing_hdf5(path) as file:
        file.create_dataset("patterns", data=stack.data.compute())
        for name, value in stack.geometry.numbers().items():
            file.attrs[name] = value
        if truth is not None:
            _write_truth(file.create_group("truth"), truth)


def _write_truth(group: h5py.Group, truth: Truth) -> None:
    group.attrs["crystals"] = [known.name for known in truth.crystals]
    group.attrs["lattices"] = [known.lattice for known in truth.crystals]
    for name in ("phase", "grain", "rotation", "pc", "purity", "noise"):
        group[name] = getattr(truth, name)


def every_single(
    crystals: Sequence[Known], count: int, size: int, noise: float, seed: int
) -> Iterator[tuple[Known, PatternStack, Truth]]:
    """Singles of every crystal, each before a camera of its own."""
    for number, known in enumerate(crystals):
        yield known, *singles(known, count, size, noise, seed=1000 * seed + number)


def main() -> None:
    """Write one set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--masters", type=Path, help="folder of dynamical_patterns.py masters")
    parser.add_argument("kind", choices=("singles", "scan", "control"))
    parser.add_argument("names", nargs="+", help="crystals, or a control: " + ", ".join(CONTROLS))
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--shape", type=int, nargs=2, default=(40, 40))
    parser.add_argument("--size", type=int, default=80)
    parser.add_argument("--grains", type=int, default=30)
    parser.add_argument("--noise", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    shape = tuple(given.shape)
    truth: Truth | None = None
    if given.kind == "control":
        powder = load_known(given.masters, ["Al"])[0] if given.masters else None
        stack = control(" ".join(given.names), shape, given.size, given.seed, powder)
    elif given.masters is None:
        parser.error("--masters is needed")
    elif given.kind == "singles":
        known = load_known(given.masters, given.names)[0]
        stack, truth = singles(known, given.count, given.size, given.noise, given.seed)
    else:
        stack, truth = dynamical_scan(
            load_known(given.masters, given.names),
            shape,
            given.size,
            given.grains,
            noise=given.noise,
            seed=given.seed,
        )
    write(given.output, stack, truth)
    print(f"{given.output}: {len(stack)} patterns of {given.size} x {given.size} px")


if __name__ == "__main__":
    main()
