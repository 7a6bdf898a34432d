"""What the zone classifier says of patterns whose spots py4DSTEM and diffsims computed.

    make peers
    .venv-peers/bin/python benchmarks/peers/spot_stacks.py stacks
    python benchmarks/foreign_zones.py stacks --model zones --output benchmarks/figures

Zones, Laue patterns and several crystals count where 8 spots or more are visible, as fewer are a
no-hit by definition; what shows fewer counts as a no-hit.  The stacks are few crystals before few
cameras: their patterns count, but no more than four crystals do.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd

from napari_diffraction.learning import metrics
from napari_diffraction.learning.classes import NO_HIT, ZONE, ZONE_CLASSES
from napari_diffraction.learning.classification.adaptation import suited
from napari_diffraction.learning.classification.inference import classify
from napari_diffraction.learning.models.registry import load_model
from napari_diffraction.patterns.spots.peaks import find_peaks
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import finish

FEWEST = 8


def main() -> None:
    """Judge all stacks and print a line for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="zones")
    parser.add_argument("--output", type=Path, help="folder for foreign_zones.json")
    arguments = parser.parse_args()
    model = load_model(arguments.model)
    rows = []
    for path in sorted(arguments.folder.glob("*.npz")):
        with np.load(path) as file:
            data, label, visible, centre = (
                file[name] for name in ("data", "label", "visible", "centre")
            )
        stack = PatternStack(da.from_array(data, chunks=(1, -1, -1)), path.stem)
        table, _ = suited(finish(classify(stack, model)))
        called = table.sort_values("index")["label"].to_numpy(str)
        rows.append(judged(path.stem, label, visible, called))
        rows[-1] |= intermediate(data, label, centre)
    print(pd.DataFrame(rows).round(3).T.to_string())
    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "foreign_zones.json").write_text(json.dumps(rows, indent=1) + "\n")


def judged(name: str, label: np.ndarray, visible: np.ndarray, called: np.ndarray) -> dict[str, Any]:
    """Count what is right, of each class."""
    truth = np.where(visible < FEWEST, NO_HIT, label)
    known = truth != "between"
    truth, called = truth[known], called[known]
    row: dict[str, Any] = {"stack": name}
    for kind in ZONE_CLASSES:
        mine = truth == kind
        row[kind] = f"{int((called[mine] == kind).sum())} of {int(mine.sum())}"
    others = truth != ZONE
    row["others called zones"] = f"{int((called[others] == ZONE).sum())} of {int(others.sum())}"
    row["balanced accuracy"] = float(metrics.balanced_accuracy(truth, called))
    return row


def intermediate(data: np.ndarray, label: np.ndarray, centre: np.ndarray) -> dict[str, float]:
    """False spots in frames without any, and how far the beam is from where it is found."""
    found = [find_peaks(frame) for frame in data]
    off = [np.hypot(*np.subtract(one.centre, at)) for one, at in zip(found, centre, strict=True)]
    empty = [len(one.position) for one, name in zip(found, label, strict=True) if name == NO_HIT]
    return {
        "false spots in an empty frame, mean": float(np.mean(empty)),
        "beam off, median, px": float(np.median(off)),
    }


if __name__ == "__main__":
    main()
