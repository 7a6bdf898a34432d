"""What a Bravais network says of crystals that it did not simulate, each crystal counted once.

    python benchmarks/dynamical_patterns.py masters --folder masters
    python benchmarks/bravais_crystals.py masters --model bravais --output shipped.npz
    python benchmarks/bravais_crystals.py masters --together shipped.npz other.npz

and of the materials that the program knows, which are in no training either::

    python benchmarks/dynamical_patterns.py masters --materials --folder materials
    python benchmarks/bravais_crystals.py materials

Twenty many-beam patterns of each crystal, with noise and the pattern centre told.
``--together`` takes the mean of what two networks gave (logarithms).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bravais_accuracy import figures
from indexing_sets import Known, load_known, singles
from napari_diffraction.learning.bravais.data import BRAVAIS_CLASSES
from napari_diffraction.learning.bravais.structure_pool import LATTICES
from napari_diffraction.learning.classification.inference import classify
from napari_diffraction.learning.metrics import expected_calibration_error, reliability
from napari_diffraction.learning.models.registry import load_model
from napari_diffraction.progress import finish

FLOOR = 1e-6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("masters", type=Path, help="folder of master patterns")
    parser.add_argument("--model", default="bravais")
    parser.add_argument("--size", type=int, default=120)
    parser.add_argument("--patterns", type=int, default=20)
    parser.add_argument("--output", type=Path, help=".npz of the probabilities")
    parser.add_argument(
        "--together", type=Path, nargs=2, help="two such files, in place of a model"
    )
    arguments = parser.parse_args()
    crystals = list(load_known(arguments.masters))
    said: dict[str, NDArray[np.float64]] = {}
    if arguments.together:
        first, second = (np.load(path) for path in arguments.together)
        for known in crystals:
            mean = (np.log(first[known.name] + FLOOR) + np.log(second[known.name] + FLOOR)) / 2
            said[known.name] = np.exp(mean)
    else:
        model = load_model(arguments.model)
        for number, known in enumerate(crystals):
            stack, _ = singles(
                known, arguments.patterns, arguments.size, 1.0, seed=7000 + number, told=True
            )
            table = finish(classify(stack, model)).sort_values("index")
            said[known.name] = table[[f"p_{name}" for name in BRAVAIS_CLASSES]].to_numpy()
            print(known.name, known.lattice, *_said_of(said, [known]).values(), flush=True)
    cubic = [known for known in crystals if known.lattice == "cF"]
    print("all", _rounded(_said_of(said, crystals)))
    print("cF ", _rounded(_said_of(said, cubic)))
    if arguments.output:
        np.savez(arguments.output, **said)


def _said_of(said: dict[str, NDArray[np.float64]], crystals: list[Known]) -> dict[str, Any]:
    truth = np.array([LATTICES.index(known.lattice) for known in crystals])
    p = np.stack([said[known.name] for known in crystals])
    right = p.argmax(axis=2) == truth[:, None]
    curve = reliability(p.max(axis=2).ravel(), right.ravel())
    error = {"calibration error": expected_calibration_error(curve)}
    return figures(p, truth, BRAVAIS_CLASSES) | error


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 3) for name, value in values.items()}


if __name__ == "__main__":
    main()
