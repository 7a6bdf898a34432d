"""How well patterns tell their pattern centre, and what the network says there and at the true one.

    python benchmarks/pattern_centre.py
    python benchmarks/dynamical_patterns.py masters --folder masters
    python benchmarks/pattern_centre.py --crystals masters

The first asks single patterns of the materials of Kaufmann et al. (2020) that physics does not
hide, of cameras over a wide range: x 0.5 +- 0.03, y 0.1 to 0.5, distance 0.42 to 0.9, a little less
noise than in the training.  Some three seconds a pattern.

The second asks lists of twenty noisy many-beam patterns of one crystal before one camera, crystals
that no training has seen: the centre that indexing finds (the network where no lattice explains
several patterns), and the one at which the network alone is surest.  Half a minute a crystal.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import dask.array as da
import numpy as np
import torch

from indexing_sets import load_known, singles
from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.crystal.materials import material, paper_materials
from napari_diffraction.learning.bravais.data import PatternMaker, draw
from napari_diffraction.learning.bravais.structure_pool import LATTICES, pool_of
from napari_diffraction.learning.classification.inference import classify
from napari_diffraction.learning.models.classifier import Classifier
from napari_diffraction.learning.models.registry import load_model
from napari_diffraction.learning.networks.pattern_centre import (
    find_centre,
    known_centre,
    with_centre,
)
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import finish

SEED = 606_060
#: A centre that is farther off changes angles between bands by more than a degree.
_FAR = 0.02


def main() -> None:
    """Ask single patterns, or lists of patterns of one crystal each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patterns", type=int, default=200)
    parser.add_argument("--crystals", type=Path, help="folder of master patterns")
    parser.add_argument("--every", type=int, default=1, help="of the crystals only every n-th")
    arguments = parser.parse_args()
    model = load_model("bravais")
    # centres that were found before are not to be recalled
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        if arguments.crystals is None:
            of_single_patterns(model, arguments.patterns)
        else:
            of_crystals(model, arguments.crystals, arguments.every)


def of_crystals(model: Classifier, masters: Path, every: int) -> None:
    """Find the centre of a list of patterns of each crystal in both ways, and vote there."""
    off: dict[str, list[float]] = {"indexing first": [], "network alone": [], "true": []}
    votes: dict[str, list[bool]] = {way: [] for way in off}
    for number, known in enumerate(load_known(masters)):
        if number % every:
            continue
        stack, truth = singles(known, seed=SEED + number)
        frames = [stack.frame(index) for index in range(len(stack))]
        centre = truth.pc[0]
        found = {
            "indexing first": known_centre(finish(with_centre(stack, model))),
            "network alone": find_centre(stack, frames, model),
            "true": tuple(centre.tolist()),
        }
        line = f"{known.name:16s} {known.lattice}"
        for way, one in found.items():
            assert one is not None
            table = finish(classify(stack.with_centre(one), model))
            p = table[[f"p_{name}" for name in LATTICES]].to_numpy(float)
            said = LATTICES[int(np.log(p + 1e-6).mean(axis=0).argmax())]
            off[way].append(float(np.linalg.norm(np.array(one) - centre)))
            votes[way].append(said == known.lattice)
            line += f"  {way}: {off[way][-1]:.4f} {said}"
        print(line, flush=True)
    for way in off:
        far = np.mean(np.array(off[way]) > _FAR)
        print(
            f"{way}: off by {np.median(off[way]):.4f} in the median, farther than {_FAR} in "
            f"{far:.0%}; vote right {np.mean(votes[way]):.0%} of {len(votes[way])}"
        )


def of_single_patterns(model: Classifier, count: int) -> None:
    """Simulate, classify each pattern with and without its centre, and print the shares."""
    names = [name for name in paper_materials() if not material(name).hidden]
    pool = pool_of([material(name).structure for name in names])
    rng = np.random.default_rng(SEED)
    which = torch.from_numpy(rng.integers(len(names), size=count))
    centres = np.stack(
        [
            0.5 + 0.03 * rng.normal(size=count),
            rng.uniform(0.1, 0.5, count),
            np.exp(rng.uniform(np.log(0.42), np.log(0.9), count)),
        ],
        axis=1,
    ).astype(np.float32)
    drawn = replace(draw(count, rng, hardness=0.6, empty=0.0), pc=centres)
    frames, _, label, _ = PatternMaker(pool, SEED).frames(drawn, which)
    called: dict[str, list[str]] = {"found": [], "true": []}
    for frame, pc in zip(frames.numpy(), centres.tolist(), strict=True):
        stack = PatternStack(da.from_array(frame[None]), "one")
        for kind, one in (("found", stack), ("true", stack.with_centre(tuple(pc)))):
            called[kind].append(finish(classify(one, model))["label"].iloc[0])
    truth = np.array(LATTICES)[label.numpy()]
    system = {name: lattice.system for name, lattice in BRAVAIS_LATTICES.items()}
    for kind, said in called.items():
        right = np.mean(np.array(said) == truth)
        alike = np.mean([system.get(a) == system[b] for a, b in zip(said, truth, strict=True)])
        print(f"centre {kind}: lattice right {right:.1%}, crystal system right {alike:.1%}")


if __name__ == "__main__":
    main()
