"""How much faster two processes of dask sort patterns than one; rates of one thread each.

The workers sort some patterns before, so that the clock, which runs from the first batch to the
last one, does not see them being started.  The tables must be equal, byte by byte.

    python benchmarks/workers_speed.py --patterns 1500
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile

from napari_diffraction.learning.classification.batches import BatchDone
from napari_diffraction.learning.classification.inference import classify
from napari_diffraction.learning.models.registry import load_model
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.progress import finish
from napari_diffraction.workers import workers
from spot_simulation_speed import print_table, processor, save
from zones_speed import patterns

FIGURES = Path(__file__).parent / "figures" / "workers_speed.json"
WANTED = 1.7
OURS = "napari-diffraction"
DIFFERENT = 600
WARM_UP = 1024


def rate(path: Path, count: int | None) -> tuple[float, pd.DataFrame]:
    """Return patterns per second between the first batch and the last one, and the table."""
    seen: list[tuple[float, int]] = []

    def note(step: BatchDone) -> None:
        if len(step.rows):
            seen.append((time.perf_counter(), step.done))

    stack, model = open_stack(path), load_model("zones")
    with workers(count=count) as them:
        finish(classify(stack, model, skip=range(WARM_UP, len(stack)), workers=them))
        table = finish(classify(stack, model, workers=them), note)
    (begin, first), (end, last) = seen[0], seen[-1]
    return (last - first) / (end - begin), table


def main() -> None:
    """Sort a stack by one and by two workers, turn about, and print their rates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patterns", type=int, default=3000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--output", type=Path, default=FIGURES)
    arguments = parser.parse_args()
    one, two = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "patterns.tif"
        some = patterns(min(arguments.patterns, DIFFERENT))
        with tifffile.TiffWriter(path) as file:
            for number in range(arguments.patterns):
                file.write(some[number % len(some)], photometric="minisblack", contiguous=True)
        for _ in range(arguments.turns):
            slow, table = rate(path, 1)
            fast, other = rate(path, 2)
            assert table.equals(other), "two workers gave another table"
            one.append(slow)
            two.append(fast)
    rows: list[dict[str, object]] = [
        {
            "what": what,
            "program": OURS,
            "patterns_per_s": round(float(np.median(rates)), 1),
            "ratio": round(float(np.median(np.array(rates) / one)), 2),
        }
        for what, rates in (("two workers", two), ("one worker", one))
    ]
    print_table(rows)
    about = {"cpu": processor(), "cores": os.cpu_count(), "patterns": arguments.patterns}
    save(arguments.output, rows, about | {"wanted": WANTED})


if __name__ == "__main__":
    main()
