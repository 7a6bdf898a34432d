"""A simulated EBSD scan with its truth: rutile needles in grains of quartz."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_diffraction.crystal.orientation import (
    beam_direction,
    detector_to_crystal,
    euler_angles,
    random_orientations,
)
from napari_diffraction.crystal.reflectors import reflectors
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack
from napari_diffraction.progress import Progress
from napari_diffraction.simulation.classes import NO_PATTERN
from napari_diffraction.simulation.kikuchi.bands import bands, padded
from napari_diffraction.simulation.kikuchi.effects import COLUMNS, KikuchiEffects
from napari_diffraction.simulation.kikuchi.patterns import KikuchiConditions

if TYPE_CHECKING:
    from napari_diffraction.crystal.structure import Structure

#: The phases of the sample, in the order of their numbers.
PHASES = ("quartz", "rutile")

_CONDITIONS = KikuchiConditions(
    voltage=20.0, pc_x=0.51, pc_y=0.27, pc_z=0.63, camera_tilt=4.0, excess=0.3
)
#: A camera in a hurry: the noise is two thirds of the bands' deviation.
_CAMERA = KikuchiEffects(
    contrast=0.13,
    noise=0.09,
    blur=0.006,
    dome=0.6,
    dome_x=0.08,
    dome_y=-0.2,
    dome_width=0.75,
    vignetting=0.3,
)
#: Distance of the points and the width of the screen, both in um: the centre moves with the beam.
_STEP, _SCREEN = 1.0, 24_000.0
#: Points that each quartz grain takes, the needles for so many points, and points lost to dust.
_GRAIN, _NEEDLE, _LOST = 110, 400, 0.008
#: Each point is looked at in so many places a side, within the beam's reach in points.
_PLACES, _REACH = 3, 0.7
_BATCH = 400
#: Grey of the mean background, and how much more the heavier phase scatters back.
_GREY = 140.0
_BRIGHTER = (1.0, 1.2)


@dataclass(frozen=True)
class SimulatedScan:
    """A simulated scan with everything that is known of it.

    Attributes
    ----------
    images : ndarray of uint8, (rows, columns, h, w)
        As a camera gives them, background and all.
    truth
        One row a point: ``index, row, column, phase, grain, purity, boundary, phi1, Phi, phi2``.
        ``phase`` is "quartz", "rutile" or "NoPattern"; ``purity`` the share of the pattern that
        comes from the grain named; ``boundary`` says whether another grain is near.
    structures
        The crystals by phase.
    geometry
        Calibration; the pattern centre of each point is in ``pc_map``.
    step
        Distance of rows and of columns in um.
    """

    images: NDArray[np.uint8]
    truth: pd.DataFrame
    structures: dict[str, Structure]
    geometry: KikuchiGeometry
    step: tuple[float, float]

    def __len__(self) -> int:
        return len(self.truth)

    def stack(self, name: str = "Rutilated quartz") -> PatternStack:
        """Return the scan as if it had been opened from a file."""
        import dask.array as da

        chunks = (1, *self.images.shape[1:])
        return PatternStack(
            da.from_array(self.images, chunks=chunks), name, geometry=self.geometry, step=self.step
        )


@dataclass(frozen=True)
class _Layout:
    """Which grain each place belongs to; -1: none."""

    phase: NDArray[np.int64]
    angles: NDArray[np.float64]
    places: NDArray[np.int64]


def rutilated_quartz(
    seed: int = 0, shape: tuple[int, int] = (60, 60), size: int = 60
) -> Generator[Progress, None, SimulatedScan]:
    """Simulate a scan of quartz grains with rutile needles through them.

    On boundaries the patterns of two grains mix; some points and a pore give no pattern.

    Parameters
    ----------
    seed
        The same seed gives the same scan.
    shape
        Rows and columns.
    size
        Height and width of the patterns in pixels.
    """
    from napari_diffraction.crystal.materials import load_structure

    rng = np.random.default_rng([seed, 60])
    structures = {name: load_structure(name) for name in PHASES}
    layout = _grow(shape, rng)
    first, second, purity = _two_grains(layout, shape)
    centres = _centres(shape)
    n = shape[0] * shape[1]
    images = np.empty((n, size, size), dtype=np.uint8)
    crystals = [reflectors(structures[name]) for name in PHASES]
    for start in range(0, n, _BATCH):
        some = slice(start, min(start + _BATCH, n))
        images[some] = _frames(
            layout, crystals, first[some], second[some], purity[some], centres[some], size, rng
        )
        yield Progress(some.stop, n, "Simulating patterns")
    return SimulatedScan(
        images.reshape(*shape, size, size),
        _truth(layout, shape, first, purity),
        structures,
        KikuchiGeometry(
            _CONDITIONS.pc,
            _CONDITIONS.sample_tilt,
            _CONDITIONS.camera_tilt,
            _CONDITIONS.voltage,
            centres.reshape(*shape, 3),
        ),
        (_STEP, _STEP),
    )


def save_scan(scan: SimulatedScan, path: str | Path) -> Path:
    """Write patterns, geometry and truth as HDF5, as `open_stack` reads it.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    from napari_diffraction.files import replacing_hdf5
    from napari_diffraction.simulation.files import write_patterns, write_table

    path = Path(path)
    with replacing_hdf5(path) as file:
        write_patterns(file, scan.images)
        for name, value in scan.geometry.numbers().items():
            file.attrs[name] = value
        file.attrs["step_rows"], file.attrs["step_columns"] = scan.step
        file.create_dataset("pattern_centre", data=scan.geometry.pc_map)
        write_table(file.create_group("labels"), scan.truth)
    return path


def _grow(shape: tuple[int, int], rng: np.random.Generator) -> _Layout:
    """Lay out the grains (a Voronoi diagram), the needles through them, and a pore."""
    rows, columns = shape
    offsets = (np.arange(_PLACES) - (_PLACES - 1) / 2) * (2 * _REACH / (_PLACES - 1))
    y = (np.arange(rows)[:, None] + offsets).reshape(-1, 1)
    x = (np.arange(columns)[:, None] + offsets).reshape(1, -1)
    points = rows * columns
    seeds = rng.uniform(0, (rows, columns), (max(2, points // _GRAIN), 2))
    apart = (y[..., None] - seeds[:, 0]) ** 2 + (x[..., None] - seeds[:, 1]) ** 2
    places = apart.argmin(axis=2)
    needles = max(1, points // _NEEDLE)
    for k in range(needles):
        places[_needle(y, x, shape, rng)] = len(seeds) + k
    middle = rng.uniform(0.2, 0.8, 2) * shape
    pore = (y - middle[0]) ** 2 + (x - middle[1]) ** 2 < max(1.5, 0.002 * points)
    places[pore] = -1
    whole = places.reshape(rows, _PLACES, columns, _PLACES)
    lost = rng.uniform(size=shape) < _LOST
    places = np.where(lost[:, None, :, None], -1, whole)
    return _Layout(
        np.repeat([0, 1], [len(seeds), needles]),
        euler_angles(random_orientations(len(seeds) + needles, rng)),
        places.transpose(0, 2, 1, 3).reshape(points, -1),
    )


def _needle(
    y: NDArray[Any], x: NDArray[Any], shape: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Places within a straight needle."""
    middle = rng.uniform(0.1, 0.9, 2) * shape
    angle, length = rng.uniform(0, np.pi), rng.uniform(0.2, 0.6) * max(shape)
    dy, dx = y - middle[0], x - middle[1]
    along = dy * np.sin(angle) + dx * np.cos(angle)
    across = dy * np.cos(angle) - dx * np.sin(angle)
    half = rng.uniform(0.9, 2.2)
    return np.asarray((np.abs(along) < length / 2) & (np.abs(across) < half))


def _two_grains(
    layout: _Layout, shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Of each point the grain that fills most of the beam, the next one, and the first's share."""
    counts = np.stack(
        [(layout.places == k).sum(axis=1) for k in range(-1, len(layout.phase))], axis=1
    )
    order = counts.argsort(axis=1, kind="stable")[:, ::-1]
    rows = np.arange(len(counts))
    first, second = order[:, 0], order[:, 1]
    most, next_most = counts[rows, first], counts[rows, second]
    return first - 1, second - 1, most / (most + next_most)


def _centres(shape: tuple[int, int]) -> NDArray[np.float64]:
    """Pattern centres, (points, 3): the beam moves over a sample that is tilted."""
    rows, columns = shape
    down, right = np.mgrid[:rows, :columns].reshape(2, -1) * _STEP
    down, right = down - down.mean(), right - right.mean()
    tilt = np.radians(_CONDITIONS.sample_tilt - _CONDITIONS.camera_tilt)
    moved = np.stack([right, down * np.sin(tilt), -down * np.cos(tilt)], axis=1) / _SCREEN
    return np.asarray(np.array(_CONDITIONS.pc) + moved)


def _frames(
    layout: _Layout,
    crystals: list[Any],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    purity: NDArray[np.float64],
    centres: NDArray[np.float64],
    size: int,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Patterns of some points as the camera gives them."""
    import torch

    from napari_diffraction.simulation.kikuchi.torch_bands import degrade

    mixed = (purity < 1) & (first >= 0)
    clean, other = np.zeros((2, len(first), size, size), dtype=np.float32)
    clean[first >= 0] = _bands(layout, crystals, first, centres, first >= 0, size)
    other[mixed & (second >= 0)] = _bands(
        layout, crystals, second, centres, mixed & (second >= 0), size
    )
    rows = np.tile(_CAMERA.row(), (len(first), 1))
    rows[:, COLUMNS.index("overlap")] = np.where(mixed, 1 - purity, 0)
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    seen, _ = degrade(
        torch.from_numpy(clean), torch.from_numpy(rows), generator, torch.from_numpy(other)
    )
    light = np.append(np.array(_BRIGHTER)[layout.phase], 0.7)[first]  # the last one: no crystal
    grey: NDArray[np.uint8] = np.clip(
        np.rint(_GREY * light[:, None, None] * seen.numpy()), 0, 255
    ).astype(np.uint8)
    return grey


def _bands(
    layout: _Layout,
    crystals: list[Any],
    grain: NDArray[np.int64],
    centres: NDArray[np.float64],
    wanted: NDArray[np.bool_],
    size: int,
) -> NDArray[np.float32]:
    grain = grain[wanted]
    n = len(grain)
    if n == 0:
        return np.zeros((0, size, size), dtype=np.float32)
    return bands(
        *padded([crystals[k] for k in layout.phase[grain]]),
        detector_to_crystal(layout.angles[grain], _CONDITIONS.sample_tilt, _CONDITIONS.camera_tilt),
        centres[wanted],
        np.tile(_CONDITIONS.profile(), (n, 1)),
        np.tile(beam_direction(_CONDITIONS.camera_tilt), (n, 1)),
        (size, size),
    )


def _truth(
    layout: _Layout,
    shape: tuple[int, int],
    first: NDArray[np.int64],
    purity: NDArray[np.float64],
) -> pd.DataFrame:
    """Tabulate the points."""
    names = np.array([*PHASES, NO_PATTERN])
    row, column = np.divmod(np.arange(len(first)), shape[1])
    phase = np.where(first < 0, len(PHASES), layout.phase[first])
    angles = np.where((first < 0)[:, None], np.nan, layout.angles[first])
    table = {"index": np.arange(len(first)), "row": row, "column": column}
    table |= {"phase": names[phase], "grain": first, "purity": purity}
    table |= {"boundary": _near_another(first.reshape(shape)).ravel() | (purity < 1)}
    return pd.DataFrame(table | dict(zip(("phi1", "Phi", "phi2"), angles.T, strict=True)))


def _near_another(grain: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Points with a neighbour, above, below or beside, of another grain."""
    near = np.zeros(grain.shape, dtype=bool)
    across, down = grain[:, 1:] != grain[:, :-1], grain[1:] != grain[:-1]
    near[:, 1:] |= across
    near[:, :-1] |= across
    near[1:] |= down
    near[:-1] |= down
    return near
