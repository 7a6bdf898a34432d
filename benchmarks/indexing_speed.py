r"""How fast a scan is indexed with nothing given, beside PyEBSDIndex, told phase and centre.

Three things are measured on one scan of nickel of 120 x 120 px, made by another program's dynamical
simulation, and a fourth where the orientations are known:

phases  from opening the file to pattern centre and phases, grains and all, with nothing given
points  then every pattern, ours and the peer in turns on the same patterns of the same scan
bands   the search for bands alone, in pictures that are made ready, of 60 and of 120 px
angles  how far the orientations of both are apart, and each from the truth

    python benchmarks/indexing_sets.py --masters masters scan Ni_EMsoft --shape 200 200 \
        --size 120 --grains 300 --seed 1 --output scan.h5
    uv venv .venv-ebsd --python 3.11
    uv pip install --python .venv-ebsd/bin/python -r benchmarks/peers/requirements-ebsd.txt
    python benchmarks/indexing_speed.py scan.h5 --output benchmarks/figures/indexing_speed.json

Another scan of a face-centred cubic metal is measured with its centre, ``--pc``.  Our clock sees
reading, static background, flattening, bands, orientation and band contrast.  The peer's does not
see the removal of the background, which the row below it adds.  Beside each rate stands the one per
second of processor time, which a busy machine hardly changes.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.orientation import detector_to_crystal
from napari_diffraction.crystal.symmetry import disorientation
from napari_diffraction.indexing.phases.grain_bands import BANDS
from napari_diffraction.indexing.scan import IndexProgress, index_scan
from napari_diffraction.indexing.solution import IndexedMap
from napari_diffraction.patterns.kikuchi.bands.lines import find_lines
from napari_diffraction.patterns.kikuchi.preparation import Preparation, prepare
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.patterns.stack import PatternStack
from spot_simulation_speed import print_table, processor, save

HERE = Path(__file__).resolve().parent
#: What is asked: seconds to the phases, times the peer, bands in patterns a second by side in px.
PHASES_SECONDS, TIMES_PEER = 60, 2
BANDS_RATE = {60: 1500, 120: 500}
PATTERNS = 2048  # of which bands are sought
CUBIC = UnitCell(3.524, 3.524, 3.524)

FloatArray = np.ndarray


@dataclass
class Clock:
    """Rates of several rounds: patterns per second, and per second of processor time."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def add(self, count: int, wall: float, used: float) -> None:
        """Add a round of so many patterns; both times in seconds."""
        self.wall.append(count / wall)
        self.processor.append(count / used)

    def row(self, what: str, program: str) -> dict[str, object]:
        """Return the median of the rounds, the slowest and the fastest."""
        return {
            "what": what,
            "program": program,
            "patterns_per_s": round(statistics.median(self.wall), 1),
            "slowest": round(min(self.wall), 1),
            "fastest": round(max(self.wall), 1),
            "per_core_s": round(statistics.median(self.processor), 1),
        }


@dataclass(frozen=True)
class Peer:
    """PyEBSDIndex in its own environment, told the phase and the centre."""

    python: Path
    pc: tuple[float, ...]

    def index(self, frames: np.ndarray) -> dict[str, Any]:
        """Index frames (n, h, w); the clock starts when all is compiled."""
        with tempfile.TemporaryDirectory() as folder:
            patterns, found = Path(folder) / "patterns.npy", Path(folder) / "found.npz"
            np.save(patterns, frames)
            command = [self.python, HERE / "peers" / "hough.py", patterns, "--output", found]
            command += ["--cores", str(os.cpu_count() or 1), "--pc", *map(str, self.pc)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            return dict(np.load(found))


@dataclass
class Measured:
    """What was measured of one scan."""

    solution: IndexedMap
    phases: tuple[float, float]  # seconds, and those of processors
    ours: Clock
    peer: Clock
    peer_whole: Clock
    which: np.ndarray  # patterns that the peer indexed
    peer_rotation: np.ndarray  # NaN where it did not


def measure(stack: PatternStack, peer: Peer | None, rounds: int, most: int) -> Measured:
    """Index a scan; in so many pauses the peer indexes up to so many of the same patterns."""
    ours, theirs, whole = Clock(), Clock(), Clock()
    indices: list[np.ndarray] = []
    rotations: list[np.ndarray] = []
    work = index_scan(stack)
    began, used = time.perf_counter(), time.process_time()
    step = next(work)
    while step.stage < 2:
        step = next(work)
    phases = time.perf_counter() - began, time.process_time() - used
    done = 0
    for number in range(rounds):
        edge = len(stack) * (number + 1) // rounds
        began, used = time.perf_counter(), time.process_time()
        step = _until(work, step, edge)
        ours.add(step.done - done, time.perf_counter() - began, time.process_time() - used)
        if peer is not None:
            some = np.linspace(done, step.done - 1, min(most, step.done - done)).astype(int)
            found = peer.index(np.stack(list(stack.frames(some.tolist()))))
            seconds, removal = float(found["seconds"]), float(found["removal"])
            theirs.add(len(some), seconds, float(found["processor"]))
            whole.add(len(some), seconds + removal, float(found["processor"]) + removal)
            turned = detector_to_crystal(found["euler"])
            turned[~found["indexed"]] = np.nan
            indices.append(some)
            rotations.append(turned)
        done = step.done
    try:
        next(work)
    except StopIteration as stop:
        solution: IndexedMap = stop.value
    none = np.zeros((0, 3, 3))
    return Measured(
        solution, phases, ours, theirs, whole,
        np.concatenate([np.zeros(0, int), *indices]), np.concatenate([none, *rotations]),
    )  # fmt: skip


def _until(
    work: Generator[IndexProgress, None, IndexedMap], step: IndexProgress, edge: int
) -> IndexProgress:
    """Go on until so many patterns are done."""
    while step.done < edge:
        step = next(work)
    return step


def angles(measured: Measured, truth: FloatArray | None) -> list[dict[str, object]]:
    """How far orientations are apart, of patterns that are indexed by both."""
    which = measured.which
    ours = measured.solution.rotation[which].astype(float)
    largest = measured.solution.phase[which] == 0
    ours[~largest] = np.nan
    pairs = [("ours, PyEBSDIndex", ours, measured.peer_rotation)]
    if truth is not None:
        pairs += [("ours, truth", ours, truth[which])]
        pairs += [("PyEBSDIndex, truth", measured.peer_rotation, truth[which])]
    rows: list[dict[str, object]] = []
    for name, one, other in pairs:
        apart = disorientation(one, other, "cF", CUBIC)
        apart = apart[np.isfinite(apart)]
        rows.append(
            {
                "between": name,
                "patterns": f"{len(apart)} of {len(which)}",
                "median": round(float(np.median(apart)), 3),
                "90 %": round(float(np.quantile(apart, 0.9)), 3),
                "within 1 degree": round(float((apart <= 1).mean()), 4),
            }
        )
    return rows


def bands_rates(stack: PatternStack, rounds: int) -> dict[int, tuple[Clock, Clock]]:
    """Rates of the bands alone, and with the preparation of the frames."""
    ready = prepare(stack)
    some = np.linspace(0, len(stack) - 1, min(PATTERNS, len(stack))).astype(int)
    frames = np.stack([frame for frame in stack.frames(some.tolist()) if frame is not None])
    out = {}
    for side in BANDS_RATE:
        thin = ready.thinned(side)
        if max(thin.shape) == side:
            out[side] = _bands_rate(frames, thin, rounds)
    return out


def _bands_rate(frames: np.ndarray, ready: Preparation, rounds: int) -> tuple[Clock, Clock]:
    pictures = ready.flattened(ready.corrected(frames))
    alone, whole = Clock(), Clock()
    jobs: list[tuple[Clock, Callable[[], object]]] = [
        (alone, lambda: find_lines(pictures, ready.weight, BANDS)),
        (
            whole,
            lambda: find_lines(ready.flattened(ready.corrected(frames)), ready.weight, BANDS),
        ),
    ]
    for number in range(rounds + 1):
        for clock, job in jobs:
            began, used = time.perf_counter(), time.process_time()
            job()
            if number:  # the first one compiles
                clock.add(len(frames), time.perf_counter() - began, time.process_time() - used)
    return alone, whole


def warm(stack: PatternStack) -> None:
    """Have everything compiled, as after the first scan that a person indexes."""
    rows = stack.data[:8] if stack.is_scan else stack.data[:200]
    for _ in index_scan(PatternStack(rows, stack.name, geometry=stack.geometry)):
        pass


def told(asked: float, reached: float, at_most: bool = False) -> str:
    """Say whether a figure was met."""
    met = reached <= asked if at_most else reached >= asked
    return "met" if met else "missed"


def main() -> None:
    """Measure one scan."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scan", type=Path, help="of a face-centred cubic metal")
    parser.add_argument("--pc", type=float, nargs=3, help="for the peer; that of the truth without")
    parser.add_argument("--peer-python", type=Path, default=Path(".venv-ebsd/bin/python"))
    parser.add_argument("--peer-patterns", type=int, default=4096, help="in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="also write the tables as .json")
    given = parser.parse_args()
    stack = open_stack(given.scan)
    truth = None
    pc = given.pc
    with h5py.File(given.scan) as file:
        if "truth" in file:
            truth = file["truth/rotation"][()]
            pc = pc or file["truth/pc"][()].mean(axis=0).tolist()
    peer = Peer(given.peer_python, tuple(pc)) if given.peer_python.exists() and pc else None
    if peer is None:
        print(f"{given.peer_python} or the centre is missing: measured without PyEBSDIndex")
    about: dict[str, object] = {
        "scan": given.scan.stem,
        "points": len(stack),
        "frame": "x".join(map(str, stack.frame_shape)),
        "processor": processor(),
        "cores": os.cpu_count() or 1,
        "load before": ", ".join(f"{load:.1f}" for load in os.getloadavg()[:2]),
        "python": platform.python_version(),
    }
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    warm(stack)
    measured = measure(stack, peer, given.rounds, given.peer_patterns)
    seconds, used = measured.phases
    about |= {"phases, s": round(seconds, 1), "phases, s of processors": round(used, 1)}
    about["phases"] = [f"{one.lattice} {one.share:.1%}" for one in measured.solution.phases]
    met = told(PHASES_SECONDS, seconds, at_most=True)
    print(f"centre and phases in {seconds:.1f} s ({used:.1f} s of processors), asked "
          f"{PHASES_SECONDS}: {met}; {', '.join(about['phases'])}")  # fmt: skip
    rows = [measured.ours.row("every point", "napari-diffraction")]
    apart: list[dict[str, object]] = []
    if peer is not None:
        rows.append(measured.peer.row("every point, told phase and centre", "PyEBSDIndex"))
        rows.append(measured.peer_whole.row("the same and its background", "PyEBSDIndex"))
        apart = angles(measured, truth)
    for side, (alone, whole) in bands_rates(stack, given.rounds).items():
        rows.append(alone.row(f"bands, {side} px", "napari-diffraction"))
        rows.append(whole.row(f"bands and preparation, {side} px", "napari-diffraction"))
        reached = statistics.median(alone.wall)
        asked = BANDS_RATE[side]
        print(f"bands, {side} px: {reached:,.0f}/s, asked {asked:,}: {told(asked, reached)}")
    if peer is not None:
        ratios = [
            one / other for one, other in zip(measured.ours.wall, measured.peer.wall, strict=True)
        ]
        ratio = statistics.median(ratios)
        about["times the peer"] = round(ratio, 2)
        print(f"every point: {ratio:.2f} times PyEBSDIndex, asked {TIMES_PEER}: "
              f"{told(TIMES_PEER, ratio)}")  # fmt: skip
    print_table(rows)
    if apart:
        print("orientations, degrees")
        print_table(apart)
    about["load after"] = ", ".join(f"{load:.1f}" for load in os.getloadavg()[:2])
    if given.output is not None:
        save(given.output, rows, about | {"orientations": apart})


if __name__ == "__main__":
    main()
