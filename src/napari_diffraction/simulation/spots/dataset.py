"""Labelled stacks of simulated spot patterns."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.excitation import SpotLists, excited_reflections
from napari_diffraction.crystal.orientation import fibonacci_sphere, rotations_to_beam
from napari_diffraction.crystal.reflections import ReflectionTable, reflection_table
from napari_diffraction.errors import InputError
from napari_diffraction.patterns.stack import SpotGeometry
from napari_diffraction.progress import Progress, in_order
from napari_diffraction.simulation.conditions import DetectorEffects, SpotConditions
from napari_diffraction.simulation.spots.labels import Visible, class_labels
from napari_diffraction.simulation.spots.lists import overlay, weigh
from napari_diffraction.simulation.spots.render import frame_centre, frame_scale, render

if TYPE_CHECKING:
    from napari_diffraction.workers import Workers

_BATCH = 128


@dataclass(frozen=True)
class SimulatedStack:
    """Simulated patterns with everything that is known of them.

    Attributes
    ----------
    images : ndarray, (n, size, size)
        uint8 (0 and 255) for black and white patterns, uint16 counts for realistic ones.
    labels
        One row a pattern: ``index, cell, label, zone_fraction, u, v, w, n_spots, n_foreign,
        crystals, a, b, c, alpha, beta, gamma, r11 ... r33, seed``.  ``zone_fraction`` is the share
        of the visible reflections (``n_spots``, of all crystals) that lie in the dominant zone
        [uvw] of the crystal that shows most, ``n_foreign`` the number that do not; ``cell`` is
        the number of the cell, and ``r11 ... r33`` the rotation from the crystal to the laboratory
        frame of the first crystal.
    spots
        One row a spot: ``pattern, crystal, h, k, l, x, y, intensity, visible``, x and y in pixels.
    conditions, effects
        The settings of the simulation.
    geometry
        Calibration of the images.
    """

    images: NDArray[Any]
    labels: pd.DataFrame
    spots: pd.DataFrame
    conditions: SpotConditions
    effects: DetectorEffects
    geometry: SpotGeometry

    def __len__(self) -> int:
        return len(self.images)


def simulate_spots(
    cells: Sequence[UnitCell],
    conditions: SpotConditions | None = None,
    effects: DetectorEffects | None = None,
    *,
    orientations: int = 1000,
    size: int = 256,
    space_group: str | int | None = None,
    crystals: int = 1,
    seed: int = 0,
    workers: Workers | None = None,
) -> Generator[Progress, None, SimulatedStack]:
    """Simulate a stack of spot patterns, every cell in the same number of orientations.

    Parameters
    ----------
    cells
        Unit cells; their patterns follow one another.
    conditions, effects
        Beam, crystal and camera; by default those of Gorelik et al. (2025).
    orientations
        Number of orientations per cell, on a Fibonacci sphere.
    size
        Height and width of a pattern in pixels.
    space_group
        Number or symbol; extinguishes reflections.  ``None``: none are absent.
    crystals
        0 gives patterns without a crystal, 2 or 3 overlay crystals of the same cell in random
        orientations.
    seed
        The same seed gives the same stack.
    workers
        Other processes that draw the patterns.

    Raises
    ------
    InputError
        A number that makes no sense.
    """
    conditions, effects = conditions or SpotConditions(), effects or DetectorEffects()
    _check(cells, orientations, size, crystals, seed)
    settings = conditions, effects, size, orientations, crystals
    drawing = _Drawing(*settings)
    pieces = drawing.pieces(cells, space_group, seed)
    total = len(cells) * orientations
    parts: list[tuple[NDArray[Any], pd.DataFrame, pd.DataFrame]] = []
    done = 0
    results: Iterator[tuple[NDArray[Any], pd.DataFrame, pd.DataFrame]]
    if workers is None:
        results = map(drawing.draw, pieces)
    else:
        key = workers.share(_Drawing, *settings)
        submit = partial(workers.submit, key, _Drawing.draw)
        results = in_order(submit, pieces, workers.ahead)
    for part in results:
        parts.append(part)
        done += len(part[0])
        yield Progress(done, total, "Simulating patterns")
    labels = pd.concat([part[1] for part in parts], ignore_index=True)
    labels["seed"] = seed
    return SimulatedStack(
        np.concatenate([part[0] for part in parts]),
        labels,
        pd.concat([part[2] for part in parts], ignore_index=True),
        conditions,
        effects,
        _geometry(conditions, effects, size),
    )


@dataclass(frozen=True, eq=False)
class _Piece:
    """Some orientations of one cell."""

    number: int
    cell: UnitCell
    table: ReflectionTable
    rotations: NDArray[np.float64]
    first: int
    stream: int


@dataclass(frozen=True, eq=False)
class _Drawing:
    """Draws the patterns of a stack piece by piece, here or in a worker."""

    conditions: SpotConditions
    effects: DetectorEffects
    size: int
    orientations: int
    crystals: int
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def pieces(
        self, cells: Sequence[UnitCell], space_group: str | int | None, seed: int
    ) -> Iterator[_Piece]:
        conditions, n = self.conditions, self.orientations
        for number, cell in enumerate(cells):
            rng = np.random.default_rng([seed, number])
            table = reflection_table(
                cell, conditions.resolution, space_group, conditions.intensities, rng
            )
            rotations = _rotations(n, max(self.crystals, 1), conditions.in_plane, rng)
            for first in range(0, n, _BATCH):
                chosen = rotations[:, first : first + _BATCH]
                stream = int(rng.integers(2**31))
                yield _Piece(number, cell, table, chosen, number * n + first, stream)

    def draw(self, piece: _Piece) -> tuple[NDArray[Any], pd.DataFrame, pd.DataFrame]:
        # what is compiled uses all cores itself, and not from two threads at a time
        with self._turn:
            lists = [
                excited_reflections(
                    piece.table, r, self.conditions.wavelength, self.conditions.excitation_error
                )
                for r in piece.rotations[: self.crystals]
            ]
            drawn = _draw(
                lists, piece.rotations[0], piece.cell, self.conditions, self.effects, self.size,
                piece.stream, piece.first,
            )  # fmt: skip
        drawn[1].insert(1, "cell", piece.number)
        return drawn


def simulate_one(
    cell: UnitCell,
    conditions: SpotConditions | None = None,
    effects: DetectorEffects | None = None,
    *,
    orientation_index: int = 0,
    orientations: int = 1000,
    size: int = 256,
    space_group: str | int | None = None,
    crystals: int = 1,
    seed: int = 0,
) -> SimulatedStack:
    """Simulate one pattern of a stack, for a preview.

    With ``in_plane`` off and one crystal, it shows the orientation that `simulate_spots` gives
    that index; noise and further crystals are drawn anew.
    """
    conditions, effects = conditions or SpotConditions(), effects or DetectorEffects()
    _check([cell], orientations, size, crystals, seed)
    rng = np.random.default_rng([seed, 0])
    table = reflection_table(cell, conditions.resolution, space_group, conditions.intensities, rng)
    direction = fibonacci_sphere(orientations)[orientation_index % orientations][None]
    turn = rng.uniform(0, 2 * np.pi) if conditions.in_plane else 0.0
    rotations = _rotations(1, max(crystals, 1), True, np.random.default_rng([seed, 1]))
    rotations[0] = rotations_to_beam(direction, turn)
    lists = [
        excited_reflections(table, r, conditions.wavelength, conditions.excitation_error)
        for r in rotations[:crystals]
    ]
    images, labels, spots = _draw(lists, rotations[0], cell, conditions, effects, size, seed, 0)
    labels.insert(1, "cell", 0)
    labels["seed"] = seed
    geometry = _geometry(conditions, effects, size)
    return SimulatedStack(images, labels, spots, conditions, effects, geometry)


def _geometry(conditions: SpotConditions, effects: DetectorEffects, size: int) -> SpotGeometry:
    # A camera that stretches is calibrated by the mean of all directions.
    scale = frame_scale(effects, conditions.resolution, size) * np.sqrt(1 + effects.ellipticity)
    return SpotGeometry(conditions.wavelength, float(1 / scale), frame_centre(effects, size))


def _check(
    cells: Sequence[UnitCell], orientations: int, size: int, crystals: int, seed: int
) -> None:
    if not cells:
        raise InputError("There is no unit cell to simulate: give one or ask for random ones.")
    if orientations < 1:
        raise InputError(f"{orientations} orientations give no pattern: ask for at least 1.")
    if not 16 <= size <= 4096:
        raise InputError(f"A pattern of {size} pixels cannot be drawn: give a size of 16 to 4096.")
    if not 0 <= crystals <= 3:
        raise InputError(f"{crystals} crystals cannot be overlaid: give 0 to 3.")
    if seed < 0:
        raise InputError(f"The seed {seed} is negative: give 0 or a positive whole number.")


def _rotations(
    n: int, crystals: int, in_plane: bool, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Orientations of each crystal, (crystals, n, 3, 3): even for the first, else random."""
    directions = fibonacci_sphere(n)
    turn = rng.uniform(0, 2 * np.pi, n) if in_plane else 0.0
    out = [rotations_to_beam(directions, turn)]
    for _ in range(1, crystals):
        order = rng.permutation(n)
        tilt = directions if n > 1 else rng.normal(size=(1, 3))
        tilt = tilt / np.linalg.norm(tilt, axis=1, keepdims=True)
        out.append(rotations_to_beam(tilt[order], rng.uniform(0, 2 * np.pi, n)))
    return np.stack(out)


def _draw(
    lists: list[SpotLists],
    rotations: NDArray[np.float64],
    cell: UnitCell,
    conditions: SpotConditions,
    effects: DetectorEffects,
    size: int,
    seed: int,
    first: int,
) -> tuple[NDArray[Any], pd.DataFrame, pd.DataFrame]:
    """Draw some patterns and make their tables."""
    n = len(rotations)
    merged, crystal = overlay([weigh(spots, conditions) for spots in lists], n)
    rendered = render(
        merged.start,
        merged.position,
        merged.intensity,
        effects.row(),
        np.full(n, conditions.resolution),
        size,
        seed,
    )
    pattern = np.repeat(np.arange(n), merged.counts)
    spots = pd.DataFrame(
        {
            "pattern": pattern + first,
            "crystal": crystal,
            "h": merged.hkl[:, 0],
            "k": merged.hkl[:, 1],
            "l": merged.hkl[:, 2],
            "x": rendered.position[:, 0],
            "y": rendered.position[:, 1],
            "intensity": merged.intensity,
            "visible": rendered.visible,
        }
    )
    seen = Visible.of(merged, crystal, rendered.visible)
    labels = pd.DataFrame({"index": np.arange(first, first + n)})
    labels["label"] = class_labels(seen, strict=effects.is_clean)
    labels["zone_fraction"] = seen.share
    labels[["u", "v", "w"]] = seen.zones.uvw
    labels["n_spots"] = seen.count
    labels["n_foreign"] = seen.count - seen.in_zone
    labels["crystals"] = len(lists)
    for name, value in zip(("a", "b", "c", "alpha", "beta", "gamma"), cell.parameters, strict=True):
        labels[name] = value
    for i in range(3):
        for j in range(3):
            labels[f"r{i + 1}{j + 1}"] = rotations[:, i, j]
    return rendered.images, labels, spots
