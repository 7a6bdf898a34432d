"""How often the right unit cell is on top, from nets of zones with errors.

    python benchmarks/unit_cell_accuracy.py --output benchmarks/figures/unit_cell.json
    python benchmarks/unit_cell_accuracy.py --only random --cells 20
    python benchmarks/unit_cell_accuracy.py --only end_to_end --patterns 3000 --resume

Zones are drawn as an experiment shows them: patterns of 3,000 even orientations are simulated
(0.0251 A, 1 A, excitation error 0.01 1/A), and different zones among the strict ones are drawn,
each as often as it was seen.  The net is what the present reflections show.  Lengths get 0.5 % of
noise and angles 0.3 degrees.  A cell is right if it is the true lattice within 3 % and 2.5 degrees,
or within 2 % and 1.5 degrees (``strict``).  Part ``witness`` ranks cells by 100 patterns of random
orientations, too: a fifth of their peaks missing, a twentieth foreign, 0.0022 1/A of noise, the
beam off by 0.003 1/A.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.cell import UnitCell, random_cell
from napari_diffraction.crystal.excitation import excited_reflections
from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.crystal.orientation import (
    fibonacci_sphere,
    random_rotations,
    rotations_to_beam,
)
from napari_diffraction.crystal.reduction import cells_alike, primitive_cell
from napari_diffraction.crystal.reflections import parse_space_group, reflection_table
from napari_diffraction.crystal.zones import label_zones
from napari_diffraction.errors import InputError
from napari_diffraction.indexing.zones.nets import ZoneNet, gauss_change
from napari_diffraction.indexing.zones.pattern_nets import nets_of_patterns
from napari_diffraction.indexing.zones.patterns import PeakLists
from napari_diffraction.indexing.zones.search import CellsFound, find_cells
from napari_diffraction.indexing.zones.witness import hear_patterns
from napari_diffraction.learning.classes import ZONE
from napari_diffraction.learning.zones.common_camera import marked_anew
from napari_diffraction.learning.zones.peak_tables import tabulate
from napari_diffraction.patterns.spots.measure import find_spots
from napari_diffraction.progress import finish
from napari_diffraction.simulation.conditions import realistic_conditions, realistic_effects
from napari_diffraction.simulation.samples import FIGURE_1, ORDINARY_CAMERA, ORDINARY_CONDITIONS
from napari_diffraction.simulation.spots.dataset import simulate_spots
from unit_cell_end_to_end import end_to_end

SEED = 71_001
LENGTH, ANGLE = 0.005, 0.3
#: Space groups with absences, one or more a lattice.
GROUPS = (
    "P 1 21/c 1", "P 1 21 1", "C 1 2/c 1", "P 21 21 21", "P n m a", "C m c m", "I m m a",
    "F d d d", "P 42/m n m", "I 41/a m d", "P 63/m m c", "R -3 c", "P 21 3", "I a -3", "F d -3 m",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Case:
    """A crystal, and zones of it: [uvw], how often seen, and two vectors that span the net."""

    cell: UnitCell
    symmetry: str | int
    axes: list[tuple[int, int, int]]
    often: NDArray[np.float64]
    vectors: list[NDArray[np.float64]]


def case(cell: UnitCell, symmetry: str | int, rng: np.random.Generator) -> Case:
    """Simulate an experiment and gather its strict zones."""
    group = None if symmetry == "aP" else symmetry
    table = reflection_table(cell, 1.0, group)
    axes = rng.normal(size=3)
    turn = rotations_to_beam((axes / np.linalg.norm(axes))[None])[0]
    lists = excited_reflections(table, rotations_to_beam(fibonacci_sphere(3000) @ turn))
    labels = label_zones(lists.start, lists.hkl)
    seen: dict[tuple[int, int, int], int] = {}
    for i in np.flatnonzero(labels.strict):
        u, v, w = labels.uvw[i].tolist()
        seen[u, v, w] = seen.get((u, v, w), 0) + 1
    present = np.argwhere(table.intensity > 0) - np.array(table.intensity.shape) // 2
    # in-plane reflections within the resolution are what a pattern of the zone shows
    present = present[((present @ cell.reciprocal_basis) ** 2).sum(axis=1) < 1]
    out: list[tuple[tuple[int, int, int], int, NDArray[np.float64]]] = []
    for axis, count in seen.items():
        net = net_basis(present[present @ np.array(axis) == 0], cell)
        # zones that symmetry makes equal are one
        same = [i for i, other in enumerate(out) if np.allclose(_gram(net), _gram(other[2]))]
        if same:
            out[same[0]] = (out[same[0]][0], out[same[0]][1] + count, out[same[0]][2])
        else:
            out.append((axis, count, net))
    return Case(
        cell, symmetry, [one[0] for one in out], np.array([one[1] for one in out], float),
        [one[2] for one in out],
    )  # fmt: skip


def net_basis(plane: NDArray[np.int64], cell: UnitCell) -> NDArray[np.float64]:
    """Basis of the net that reflections of a plane span, (2, 3), reduced."""
    rows = plane[np.argsort(np.abs(plane).sum(axis=1), kind="stable")][:60].astype(np.int64)
    basis = []
    for column in range(3):  # Euclid's algorithm, column by column
        while np.count_nonzero(rows[:, column]) > 1:
            pivot = np.argmin(np.where(rows[:, column] == 0, 1 << 30, np.abs(rows[:, column])))
            steps = rows[:, column] // rows[pivot, column]
            steps[pivot] = 0
            rows = rows - steps[:, None] * rows[pivot]
        found = np.flatnonzero(rows[:, column])
        if len(found):
            basis.append(rows[found[0]])
            rows = np.delete(rows, found[0], axis=0)
    vectors = np.array(basis) @ cell.reciprocal_basis
    return np.asarray(gauss_change(vectors @ vectors.T) @ vectors)


def _gram(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.abs(vectors @ vectors.T))


def draw(one: Case, zones: int, rng: np.random.Generator) -> list[ZoneNet] | None:
    """Different zones with errors, or none where too few are seen."""
    if len(one.axes) < zones:
        return None
    chosen = rng.choice(len(one.axes), zones, replace=False, p=one.often / one.often.sum())
    return [noisy(one.vectors[i], rng) for i in chosen]


def noisy(basis: NDArray[np.float64], rng: np.random.Generator) -> ZoneNet:
    """Measure a net with errors."""
    a, b = np.linalg.norm(basis, axis=1)
    angle = np.degrees(np.arccos(np.clip(abs(basis[0] @ basis[1]) / (a * b), -1, 1)))
    return ZoneNet.measured(
        a * (1 + LENGTH * rng.normal()),
        b * (1 + LENGTH * rng.normal()),
        angle + ANGLE * rng.normal(),
        (LENGTH * a, LENGTH * b, ANGLE),
    )


def wrong_net(rng: np.random.Generator) -> ZoneNet:
    """A net of another random cell, one that was mistaken."""
    other = case(random_cell((300, 1200), rng=rng), "aP", rng)
    return noisy(other.vectors[int(rng.integers(len(other.vectors)))], rng)


def random_cells(n: int, zones: int, wrong: int = 0) -> Iterator[tuple[Case, list[ZoneNet]]]:
    """Triclinic cells of 300 to 1200 A^3."""
    number = 0
    while n:
        rng = np.random.default_rng([SEED, number])
        number += 1
        one = case(random_cell((300, 1200), rng=rng), "aP", rng)
        nets = draw(one, zones - wrong, rng)
        if nets is not None:
            n -= 1
            yield one, nets + [wrong_net(rng) for _ in range(wrong)]


def elongated(n: int, zones: int) -> Iterator[tuple[Case, list[ZoneNet]]]:
    """The cell of the paper's Fig. 1, and others as long."""
    for number in range(n):
        rng = np.random.default_rng([SEED + 1, number])
        cell = FIGURE_1 if number % 2 == 0 else random_cell((500, 1200), anisotropy=(3, 4), rng=rng)
        one = case(cell, "aP", rng)
        nets = draw(one, zones, rng)
        if nets is not None:
            yield one, nets


def with_absences(n: int, zones: int) -> Iterator[tuple[Case, list[ZoneNet]]]:
    """Space groups from mP to cF with the absences of centring, screws and glides."""
    number = 0
    while n:
        rng = np.random.default_rng([SEED + 2, number])
        symbol = GROUPS[number % len(GROUPS)]
        number += 1
        group = parse_space_group(symbol)
        system = BRAVAIS_LATTICES[_pearson(group.number)].system
        primitive = rng.uniform(250, 700)
        cell = random_cell(primitive, system, rng=rng)
        times = 1 / abs(np.linalg.det(primitive_cell(cell, group.number)))
        cell = cell.scaled(primitive * times)
        one = case(cell, group.number, rng)
        nets = draw(one, zones, rng)
        if nets is not None:
            n -= 1
            yield one, nets


def _pearson(number: int) -> str:
    from napari_diffraction.crystal.structure import pearson

    return pearson(number)


def peaks_of(one: Case, rng: np.random.Generator, n: int = 100) -> PeakLists:
    """Peaks of patterns of any orientation, as a camera would give them."""
    group = None if one.symmetry == "aP" else one.symmetry
    table = reflection_table(one.cell, 1.0, group)
    lists = excited_reflections(table, random_rotations(n, rng), excitation_error=0.008)
    positions = []
    for i in range(n):
        own = lists.position[lists.slice(i)].astype(float)
        own = own[rng.uniform(size=len(own)) > 0.2]
        foreign = rng.uniform(-0.7, 0.7, (len(own) // 20, 2))
        own = np.concatenate([own + 0.0022 * rng.normal(size=own.shape), foreign])
        own = own + 0.003 / 2**0.5 * rng.normal(size=2)
        positions.append(own[np.argsort((own**2).sum(axis=1))])
    counts = [len(own) for own in positions]
    rows = np.concatenate([np.arange(count) for count in counts])
    start = np.concatenate([[0], np.cumsum(counts)])
    return PeakLists(np.arange(n), start, np.concatenate(positions), rows, 0.0026)


def measure(
    cases: Iterator[tuple[Case, list[ZoneNet]]], *, witness: bool = False
) -> dict[str, float | list[int]]:
    """Search the cell of each case; with a witness, patterns of any orientation rank the cells."""
    right = strict = explained = n = lattice = 0
    seconds, misses = [], []
    for one, nets in cases:
        start = time.perf_counter()
        try:
            found = finish(find_cells(nets, phases=1, most=30 if witness else 10))
            if witness:
                peaks = peaks_of(one, np.random.default_rng([SEED, 9, n]))
                found = finish(hear_patterns(found, peaks)).found
        except InputError:  # two of three nets are equal within the noise
            found = CellsFound((), ())
        seconds.append(time.perf_counter() - start)
        symmetry = one.symmetry
        hits = [
            cells_alike(one.cell, cell.niggli, symmetry, "aP", lengths=0.03, angles=2.5, scale=0.03)
            for phase in found.phases
            for cell in phase
        ]
        n += 1
        if not any(hits[:1]):
            misses.append(n - 1)
        else:
            top = found.phases[0][0]
            right += 1
            strict += cells_alike(one.cell, top.niggli, symmetry, "aP")
            lattice += top.lattice == (symmetry if symmetry == "aP" else _pearson(int(symmetry)))
        explained += any(hits)
    return {
        "cells": n,
        "on_top": right / n,
        "on_top_strict": strict / n,
        "among_ten": explained / n,
        "lattice_right": lattice / n,
        "seconds_median": float(np.median(seconds)),
        "seconds_most": float(np.max(seconds[1:])),
        "missed": misses,
    }


def fitted_nets(n: int, *, ordinary: bool) -> dict[str, float | list[int]]:
    """Fit the nets of simulated zones of at least 15 visible spots, all zones of n cells.

    ``ordinary``: the camera of the sample data, which stretches patterns by 4.6 %; else the whole
    range of realistic cameras, but without a stretch, since cells are not many patterns there.
    """
    zones = right = 0
    away, pulls = [], []
    for number in range(n):
        rng = np.random.default_rng([SEED + 3, number])
        cell = random_cell((200, 1500), rng=rng)
        conditions, camera = ORDINARY_CONDITIONS, ORDINARY_CAMERA
        if not ordinary:
            conditions = realistic_conditions(rng)
            camera = replace(realistic_effects(rng), ellipticity=0.0)
        stack = finish(simulate_spots([cell], conditions, camera, orientations=900, seed=number))
        table = reflection_table(cell, conditions.resolution)
        present = np.argwhere(table.intensity > 0) - np.array(table.intensity.shape) // 2
        inside = ((present @ cell.reciprocal_basis) ** 2).sum(axis=1) < conditions.resolution**-2
        labels = stack.labels
        chosen = np.flatnonzero((labels["label"] == ZONE) & (labels["n_spots"] >= 15))[:20]
        spots = {int(i): tabulate(int(i), find_spots(stack.images[i])) for i in chosen}
        found = nets_of_patterns({i: one.table for i, one in spots.items()})
        spots |= marked_anew(spots, found.fits)
        found = nets_of_patterns({i: one.table for i, one in spots.items()})
        nets = {net.patterns[0]: net for net in found.nets(stack.geometry.pixel_size or 1.0)}
        zones += len(chosen)
        for i, net in nets.items():
            axis = labels.loc[i, ["u", "v", "w"]].to_numpy(int)
            true = net_basis(present[inside & (present @ axis == 0)], cell)
            a, b = np.linalg.norm(true, axis=1)
            angle = np.degrees(np.arccos(np.clip(abs(true[0] @ true[1]) / (a * b), -1, 1)))
            error = np.array([net.first - a, net.second - b, net.angle - angle])
            if max(abs(error[0]) / a, abs(error[1]) / b) < 0.04 and abs(error[2]) < 2.5:
                right += 1
                away.append(np.abs(error) / [a, b, 1.0])
                pulls.append(error / net.su)
    wrong, pull = np.array(away), np.abs(pulls)
    return {
        "zones": zones,
        "right": right / max(zones, 1),
        "length_median": float(np.median(wrong[:, :2])),
        "angle_median": float(np.median(wrong[:, 2])),
        "pull_width_length": float(1.4826 * np.median(pull[:, :2])),
        "pull_width_angle": float(1.4826 * np.median(pull[:, 2])),
    }


PARTS: dict[str, Callable[[int], Iterator[tuple[str, Iterator[tuple[Case, list[ZoneNet]]]]]]] = {
    "random": lambda n: ((f"{z} zones", random_cells(n, z)) for z in (3, 4, 5, 8)),
    "wrong": lambda n: iter([("10 zones, 2 wrong", random_cells(n, 10, 2))]),
    "elongated": lambda n: iter([("elongated, 8 zones", elongated(n, 8))]),
    "absences": lambda n: iter([("mP to cF, 6 zones", with_absences(n, 6))]),
}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path)
    parser.add_argument("--only", choices=sorted([*PARTS, "nets", "end_to_end", "witness"]))
    parser.add_argument("--cells", type=int, default=100)
    parser.add_argument("--patterns", type=int, default=3000, help="of each end-to-end run")
    parser.add_argument("--experiment", help="part of the name of the end-to-end runs wanted")
    parser.add_argument("--resume", action="store_true", help="keep finished end-to-end runs")
    parser.add_argument("--zones", type=int, nargs="*", default=[3, 4], help="with a witness")
    arguments = parser.parse_args()
    figures: dict[str, dict[str, Any]] = {}
    if arguments.output and arguments.output.exists():
        figures = json.loads(arguments.output.read_text(encoding="utf-8"))
    for part, make in PARTS.items():
        if arguments.only in (None, part):
            for name, cases in make(arguments.cells):
                figures[name] = measure(cases)
                print(name, figures[name], flush=True)
    if arguments.only in (None, "witness"):
        for zones in arguments.zones:
            name = f"{zones} zones and 100 patterns"
            figures[name] = measure(random_cells(arguments.cells, zones), witness=True)
            print(name, figures[name], flush=True)
    if arguments.only in (None, "nets"):
        for name, ordinary in (("nets, sample camera", True), ("nets, all cameras", False)):
            figures[name] = fitted_nets(max(arguments.cells // 4, 2), ordinary=ordinary)
            print(name, figures[name], flush=True)
    if arguments.only in (None, "end_to_end"):
        known = figures if arguments.resume else {}
        for name, one in end_to_end(arguments.patterns, known, arguments.experiment):
            figures[name] = one
            print(name, one, flush=True)
            write(figures, arguments.output)
    figures["machine"] = {"cores": os.cpu_count() or 1}
    write(figures, arguments.output)


def write(figures: dict[str, dict[str, Any]], path: Path | None) -> None:
    if path is not None:
        path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
