"""How far the probability that a band is real can be believed, and the fit behind it.

Bands are sought in noisy dynamical patterns of all crystals of `dynamical_patterns.py`; one is real
when its plane lies within a degree of that of a reflector.  Every second crystal serves the fit (a
logistic regression on `patterns.kikuchi.bands.certainty.features`), the others the
test.  Printed are the weights of the fit, which stand in that module, and for the others what the
weights there say beside what is true.

    python benchmarks/band_probability.py --masters masters
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from known_bands import angles_to, normals_of
from napari_diffraction.indexing.phases.grain_bands import BANDS
from napari_diffraction.patterns.kikuchi.bands.certainty import features
from napari_diffraction.patterns.kikuchi.bands.lines import Lines, find_lines
from true_bands import NEAR, Task, dynamical, own

RIDGE = 1e-3
FIGURES = Path(__file__).parent / "figures" / "band_probability.json"


def looked_at(task: Task) -> tuple[Lines, NDArray[np.bool_]]:
    """Bands of a task, and which of them are real."""
    lines = find_lines(task.pictures, task.weight, BANDS)
    normals = normals_of(lines.line, task.pc, lines.shape)
    angle = np.stack(
        [
            angles_to(normal, task.planes.unit @ rotation.T)[0]
            for normal, rotation in zip(normals, task.rotation, strict=True)
        ]
    )
    return lines, angle < NEAR


def fitted(x: NDArray[np.float64], real: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Weights of a logistic regression, by Newton's method."""
    weights = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ weights))
        slope = x.T @ (real - p) - RIDGE * weights
        bend = (x.T * (p * (1 - p))) @ x + RIDGE * np.eye(len(weights))
        step = np.linalg.solve(bend, slope)
        weights += step
        if np.abs(step).max() < 1e-8:
            break
    return weights


def reliability(said: NDArray[np.float32], real: NDArray[np.bool_]) -> list[dict[str, float]]:
    """What is said beside what is true, by tenths of the probability."""
    rows = []
    for low in np.arange(0, 1, 0.1):
        here = (said >= low) & (said < low + 0.1 + 1e-6)
        if here.any():
            rows.append(
                {
                    "bands": int(here.sum()),
                    "said": round(float(said[here].mean()), 3),
                    "true": round(float(real[here].mean()), 3),
                }
            )
    return rows


def error(rows: list[dict[str, float]]) -> float:
    """Mean difference of what is said and what is true, weighted by the bands."""
    total = sum(row["bands"] for row in rows)
    return sum(row["bands"] * abs(row["said"] - row["true"]) for row in rows) / total


def main() -> None:
    """Fit on every second crystal, test on the others."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--masters", type=Path, required=True)
    parser.add_argument("--count", type=int, default=20, help="patterns of each crystal")
    parser.add_argument("--sizes", type=int, nargs="+", default=[120, 96, 60], help="px")
    given = parser.parse_args()
    learnt: list[tuple[NDArray[np.float32], NDArray[np.bool_]]] = []
    tested: dict[int, list[tuple[NDArray[np.float32], NDArray[np.bool_]]]] = {}
    for size in given.sizes:
        for number, task in enumerate(dynamical(given.masters, size, given.count, own)):
            lines, real = looked_at(task)
            there = lines.strength > 0
            if number % 2 == 0:
                facts = lines.strength, lines.support, lines.half_width
                learnt.append((features(*facts, min(lines.shape))[there], real[there]))
            else:
                said = lines.probability[there]
                tested.setdefault(size, []).append((said, real[there]))
    x, y = (np.concatenate(some) for some in zip(*learnt, strict=True))
    print("weights:", ", ".join(f"{value:.3f}" for value in fitted(x.astype(float), y)))
    figures: dict[str, object] = {}
    for size, found in tested.items():
        said, real = (np.concatenate(some) for some in zip(*found, strict=True))
        rows = reliability(said, real)
        figures[f"{size} px"] = {"rows": rows, "error": round(error(rows), 3)}
        print(f"{size} px: {len(said)} bands of other crystals, {real.mean():.1%} real, "
              f"calibration error {error(rows):.3f}")  # fmt: skip
        for row in rows:
            print(f"  {row['bands']:6d} bands   said {row['said']:.2f}   true {row['true']:.2f}")
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
