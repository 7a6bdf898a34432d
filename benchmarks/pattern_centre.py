"""How well a single pattern tells its pattern centre: the lattice at that one and at the true one.

python benchmarks/pattern_centre.py

Patterns of the materials of Kaufmann et al. (2020) that physics does not hide, of cameras over a
wide range: x 0.5 +- 0.03, y 0.1 to 0.5, distance 0.42 to 0.9, a little less noise than in the
training.  Some three seconds a pattern.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import dask.array as da
import numpy as np
import torch

from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.crystal.materials import material, paper_materials
from napari_diffraction.learning.bravais.data import PatternMaker, draw
from napari_diffraction.learning.bravais.structure_pool import LATTICES, pool_of
from napari_diffraction.learning.classification.inference import classify
from napari_diffraction.learning.models.registry import load_model
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import finish

SEED = 606_060


def main() -> None:
    """Simulate, classify each pattern with and without its centre, and print the shares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patterns", type=int, default=200)
    count = parser.parse_args().patterns
    model = load_model("bravais")
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
