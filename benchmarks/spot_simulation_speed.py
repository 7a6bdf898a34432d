"""How fast spot patterns are simulated, beside diffsims and py4DSTEM in the same run.

The cell of Fig. 1 of Gorelik et al. (2025) in orientations on a Fibonacci sphere, 0.0251 A, 1 A,
0.01 1/A.  All programs get the same directions and the same number of cores, and take turns, so
that whatever else the machine does hits all alike; the figure is the median of the rounds.
What one crystal needs once (reflection lists, structure factors, rotation matrices) is made before
the clock starts, for every program.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numba
import numpy as np

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.excitation import SpotLists, excited_reflections
from napari_diffraction.crystal.orientation import fibonacci_sphere, rotations_to_beam
from napari_diffraction.crystal.reflections import ReflectionTable, reflection_table
from napari_diffraction.crystal.zones import label_zones
from napari_diffraction.simulation.conditions import DetectorEffects, realistic_effects
from napari_diffraction.simulation.spots.render import render

HERE = Path(__file__).resolve().parent
CELL = (5.6786, 10.4648, 20.4682, 109.7914, 106.5805, 105.8206)
WAVELENGTH, RESOLUTION, EXCITATION_ERROR, SIZE = 0.0251, 1.0, 0.01, 256
SPOT_SIGMA = 1.0  # px, of the Gaussian spots that diffsims draws

#: Name of a measurement: what it makes, and which program makes it.
OURS = {
    "lists": ("spot lists", "napari-diffraction"),
    "labelled": ("spot lists with zone label", "napari-diffraction"),
    "rendered": ("clean 256x256 patterns", "napari-diffraction"),
    "realistic": ("realistic 256x256 patterns", "napari-diffraction"),
}
PEERS = {
    "py4dstem-matrices": ("spot lists", "py4DSTEM, given rotation matrices"),
    "py4dstem-directions": ("spot lists", "py4DSTEM, given beam directions"),
    "diffsims-parts": ("spot lists", "diffsims, its fastest parts"),
    "diffsims-one-call": ("spot lists", "diffsims, calculate_diffraction2d"),
    "diffsims-rendered": ("clean 256x256 patterns", "diffsims, its fastest parts"),
}

Measure = Callable[[float], dict[str, float]]


def our_measurements(beams: np.ndarray) -> dict[str, Measure]:
    """Return a function of the seconds to run for each of our measurements."""
    cell = UnitCell(*CELL)
    equal = reflection_table(cell, RESOLUTION)
    random = reflection_table(cell, RESOLUTION, model="random", rng=np.random.default_rng(0))
    rotations = rotations_to_beam(beams)
    clean = DetectorEffects().row()
    resolution = np.array([RESOLUTION])

    def lists(table: ReflectionTable = equal) -> SpotLists:
        return excited_reflections(table, rotations, WAVELENGTH, EXCITATION_ERROR)

    def labelled() -> SpotLists:
        spots = lists()
        label_zones(spots.start, spots.hkl)
        return spots

    def drawn(spots: SpotLists, effects: np.ndarray) -> SpotLists:
        render(spots.start, spots.position, spots.intensity, effects, resolution, SIZE)
        return spots

    def realistic() -> SpotLists:
        # every pattern with noise, background, beam stop... of its own, drawn within the clock
        rng = np.random.default_rng(0)
        rows = np.stack([realistic_effects(rng, SIZE).row() for _ in beams])
        return drawn(lists(random), rows)

    jobs: dict[str, Callable[[], SpotLists]] = {
        "lists": lists,
        "labelled": labelled,
        "rendered": lambda: drawn(lists(), clean),
        "realistic": realistic,
    }

    def timed(job: Callable[[], SpotLists]) -> Measure:
        def measure(seconds: float) -> dict[str, float]:
            done, begin = 0, time.perf_counter()
            while (elapsed := time.perf_counter() - begin) < seconds:
                spots = job()
                done += len(spots)
            return {"rate": done / elapsed, "spots": float(spots.counts.mean())}

        job()  # compiled or loaded here, not in the measurement
        return measure

    return {name: timed(job) for name, job in jobs.items()}


@contextmanager
def peer_measurements(python: Path, beams: np.ndarray, cores: int) -> Iterator[dict[str, Measure]]:
    """Start the peers in their own environment; yield their measurements."""
    task = {
        "cell": CELL,
        "wavelength": WAVELENGTH,
        "resolution": RESOLUTION,
        "excitation_error": EXCITATION_ERROR,
        "size": SIZE,
        "sigma": SPOT_SIGMA,
    }
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "beams.npy", beams)
        command = [str(python), str(HERE / "peers" / "simulate.py"), "--task", json.dumps(task)]
        command += ["--beams", str(Path(folder) / "beams.npy"), "--cores", str(cores)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            ask, answers = child.stdin, child.stdout

            def answer() -> Any:
                line = answers.readline()
                if not line:
                    sys.exit(f"The peers in {python} stopped: see their message above.")
                return json.loads(line)

            def timed(name: str) -> Measure:
                def measure(seconds: float) -> dict[str, float]:
                    ask.write(f"{name} {seconds}\n")
                    ask.flush()
                    return answer()  # type: ignore[no-any-return]

                return measure

            print(", ".join(f"{name} {number}" for name, number in answer().items()))
            yield {name: timed(name) for name in PEERS}
            ask.close()


def run(measurements: dict[str, Measure], seconds: float, rounds: int) -> list[dict[str, object]]:
    """Take turns and return one row a measurement, with its ratio to ours."""
    results: dict[str, list[dict[str, float]]] = {name: [] for name in measurements}
    for number in range(rounds):
        for name, measure in measurements.items():
            results[name].append(measure(seconds))
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
    median = {name: statistics.median(r["rate"] for r in got) for name, got in results.items()}
    ours = {OURS[name][0]: median[name] for name in OURS}
    rows: list[dict[str, object]] = []
    for name, got in results.items():
        what, program = (OURS | PEERS)[name]
        rates = [r["rate"] for r in got]
        row = {"what": what, "program": program, "patterns_per_s": round(median[name], 1)}
        row |= {"slowest": round(min(rates), 1), "fastest": round(max(rates), 1)}
        row |= {"spots_per_pattern": round(got[0]["spots"], 2)}
        row |= {"ours_is_faster_by": round(ours[what] / median[name], 1) if name in PEERS else ""}
        rows.append(row)
    return sorted(rows, key=lambda row: list(ours).index(str(row["what"])))


def print_table(rows: list[dict[str, object]]) -> None:
    """Print the rows as an aligned table."""
    texts = [list(rows[0])] + [
        [f"{v:,}" if isinstance(v, float) else str(v) for v in row.values()] for row in rows
    ]
    widths = [max(len(line[i]) for line in texts) for i in range(len(texts[0]))]
    for line in texts:
        cells = [
            t.ljust(w) if i < 2 else t.rjust(w)
            for i, (t, w) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


def save(path: Path, rows: list[dict[str, object]], about: dict[str, object]) -> None:
    """Write the rows as .json (with the circumstances) or .csv."""
    if path.suffix == ".json":
        text = json.dumps({"about": about, "rows": rows}, indent=2) + "\n"
    else:
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        text = buffer.getvalue()
    part = path.with_name(f".{path.name}.part")
    part.write_text(text)
    os.replace(part, path)


def processor() -> str:
    """Name of the CPU."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--orientations", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=1.0, help="least time of a measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cores", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument(
        "--peer-python", type=Path, default=HERE.parent / ".venv-peers" / "bin" / "python"
    )
    parser.add_argument("--output", type=Path, help="also write the table as .json or .csv")
    arguments = parser.parse_args()
    if arguments.output is not None:
        if arguments.output.suffix not in (".json", ".csv"):
            parser.error(f"--output {arguments.output} must end in .json or .csv")
        arguments.output.parent.mkdir(parents=True, exist_ok=True)

    numba.set_num_threads(min(arguments.cores, numba.config.NUMBA_NUM_THREADS))
    beams = fibonacci_sphere(arguments.orientations)
    about: dict[str, object] = {
        "processor": processor(),
        "cores": arguments.cores,
        "python": platform.python_version(),
        "napari-diffraction": version("napari-diffraction"),
        "orientations": arguments.orientations,
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
    }
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    measurements = our_measurements(beams)
    if arguments.peer_python.exists():
        with peer_measurements(arguments.peer_python, beams, arguments.cores) as peers:
            rows = run(measurements | peers, arguments.seconds, arguments.rounds)
    else:
        print(f"No peers at {arguments.peer_python}: make them with 'make peers'.")
        rows = run(measurements, arguments.seconds, arguments.rounds)
    print_table(rows)
    if arguments.output is not None:
        save(arguments.output, rows, about)


if __name__ == "__main__":
    main()
