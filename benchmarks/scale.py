"""How time and memory of `classify` grow with the number of patterns.

Small patterns, so that reading them is little and what is kept of each counts.  Every run is a
process of its own; memory is the most that it held at any time.

    python benchmarks/scale.py --patterns 10000 100000 1000000
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

from spot_simulation_speed import print_table, processor, save

FIGURES = Path(__file__).parent / "figures" / "scale.json"
SIDE, CHUNK = 32, 1000
#: Runs the command and says on the last line how much memory it took, in KiB.
RUN = """
import resource, sys
from napari_diffraction.cli.app import run
status = run(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
sys.exit(status)
"""


def write(path: Path, count: int) -> None:
    """Write noise with a spot in the middle, (count, 32, 32) uint8."""
    rng = np.random.default_rng(0)
    block = rng.poisson(4, (CHUNK, SIDE, SIDE)).astype(np.uint8)
    block[:, 14:18, 14:18] += 100
    with h5py.File(path, "w") as file:
        data = file.create_dataset(
            "entry/data/data", (count, SIDE, SIDE), np.uint8, chunks=(CHUNK, SIDE, SIDE)
        )
        for first in range(0, count, CHUNK):
            part = min(CHUNK, count - first)
            data[first : first + part] = np.roll(block[:part], first // CHUNK, axis=2)


def main() -> None:
    """Classify stacks of growing size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patterns", type=int, nargs="+", default=[10_000, 30_000, 100_000])
    parser.add_argument("--output", type=Path, default=FIGURES)
    arguments = parser.parse_args()
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        for count in arguments.patterns:
            path, table = Path(folder) / "patterns.h5", Path(folder) / "table.csv"
            write(path, count)
            command = ["classify", str(path), "--output", str(table), "--batch-size", "256"]
            began = time.monotonic()
            said = subprocess.run(
                [sys.executable, "-c", RUN, *command], check=True, capture_output=True, text=True
            ).stdout
            seconds = time.monotonic() - began
            rows.append(
                {
                    "patterns": count,
                    "seconds": round(seconds, 1),
                    "patterns/s": round(count / seconds, 1),
                    "memory, MiB": round(int(said.split()[-1]) / 1024),
                    "table, MiB": round(table.stat().st_size / 2**20, 1),
                }
            )
            print_table(rows[-1:])
    save(arguments.output, rows, {"cpu": processor(), "cores": os.cpu_count(), "side": SIDE})


if __name__ == "__main__":
    main()
