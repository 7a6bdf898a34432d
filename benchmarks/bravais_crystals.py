"""What a Bravais network says of crystals that it did not simulate, each crystal counted once.

    python benchmarks/dynamical_patterns.py masters --folder masters --half-width 100
    python benchmarks/bravais_crystals.py masters --model bravais --output shipped.npz
    python benchmarks/bravais_crystals.py masters --together shipped.npz other.npz

Twenty many-beam patterns of each crystal, by another program's simulation, with noise and the
pattern centre told.  ``--together`` takes the mean of what two networks gave (logarithms).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexing_sets import load_known, singles
from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.learning.inference import classify
from napari_diffraction.learning.registry import load_model
from napari_diffraction.learning.structure_pool import LATTICES
from napari_diffraction.progress import finish

SYSTEMS = np.array([BRAVAIS_LATTICES[name].system for name in LATTICES])
FLOOR = 1e-6


def figures(said: NDArray[np.float64], lattice: str) -> list[float]:
    """Share of single patterns right, among three, vote, system, system by vote; said: (n, 14)."""
    true = LATTICES.index(lattice)
    order = np.argsort(-said, axis=1)
    vote = int(np.log(said + FLOOR).mean(axis=0).argmax())
    return [
        float((order[:, 0] == true).mean()),
        float((order[:, :3] == true).any(axis=1).mean()),
        float(vote == true),
        float((SYSTEMS[order[:, 0]] == SYSTEMS[true]).mean()),
        float(SYSTEMS[vote] == SYSTEMS[true]),
    ]


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
            said[known.name] = table[[f"p_{name}" for name in LATTICES]].to_numpy()
            print(known.name, known.lattice, figures(said[known.name], known.lattice), flush=True)
    rows = np.array([figures(said[known.name], known.lattice) for known in crystals])
    cubic = [known.lattice == "cF" for known in crystals]
    print(f"{len(rows)} crystals: single, top 3, vote, system, system by vote")
    print("all", rows.mean(axis=0).round(3))
    print("cF ", rows[cubic].mean(axis=0).round(3))
    if arguments.output:
        np.savez(arguments.output, **said)


if __name__ == "__main__":
    main()
