"""Ordered and disordered pairs of Kaufmann et al. (2020), and the Laue groups of the Bravais model.

Parts
-----
pairs  train a network on each pair of materials, ask it about them and about two that it never saw
laue   the Laue group, as the Bravais model gives it beside the lattice: single pattern and vote

python benchmarks/point_groups.py --output benchmarks/figures
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import log_softmax

from napari_diffraction.crystal.materials import load_structure, material, paper_materials
from napari_diffraction.crystal.random_structures.structures import random_structure
from napari_diffraction.crystal.structure import LAUE_GROUPS, laue_group
from napari_diffraction.learning.bravais.data import PatternMaker, draw
from napari_diffraction.learning.bravais.shards import Arrays, as_batch, patterns_of
from napari_diffraction.learning.bravais.structure_pool import LATTICES, pool_of
from napari_diffraction.learning.models.registry import load_model
from napari_diffraction.learning.phases.data import narrow, told_centre
from napari_diffraction.learning.phases.recipe import PhasesRecipe
from napari_diffraction.learning.phases.training import train_phases
from napari_diffraction.learning.training.recipe import read_recipe
from napari_diffraction.progress import finish

#: Recipe, and the materials that it is asked about without having seen them, in the same order.
PAIRS = {
    "pair-feni3-cr3si": ("Ni3Al", "Mo3Si"),
    "pair-tic-ni": ("TaC", "Al"),
    "pair-nial-ta": ("FeAl", "W"),
}
VOTES = 20
_SEED = 515_151
_BATCH = 250


def logits(network: torch.nn.Module, arrays: Arrays, head: str) -> np.ndarray:
    """What one head of a network for bands says, (n, n_outputs)."""
    network.eval()
    with torch.inference_mode():
        inputs, _, _ = as_batch(arrays)
        return network(*inputs)[head].float().numpy()


def pairs(count: int) -> dict[str, Any]:
    """Train on two materials, ask about four."""
    out: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, blind in PAIRS.items():
            recipe = read_recipe(name)
            assert isinstance(recipe, PhasesRecipe)
            path = finish(train_phases(recipe, Path(folder) / f"{name}.safetensors"))
            out[name] = ask(recipe, load_model(str(path)), (*recipe.phases, *blind), count)
    return out


def ask(recipe: PhasesRecipe, model: Any, names: tuple[str, ...], count: int) -> dict[str, Any]:
    """Count what a model of two phases calls fresh patterns of four materials."""
    pool = pool_of([load_structure(name) for name in names])
    rng = np.random.default_rng([_SEED, 1])
    rows = {}
    for number, name in enumerate(names):
        said = []
        for _ in range(count // _BATCH):
            drawn = narrow(draw(_BATCH, rng, empty=0.0), recipe, rng)
            arrays = patterns_of(
                PatternMaker(pool, int(rng.integers(2**62))),
                drawn,
                torch.full((_BATCH,), number),
                told_centre(drawn, recipe),
            )
            z = model.card.scale * logits(model.network, arrays, "lattice")
            said.append(log_softmax(z + np.array(model.card.bias), axis=1))
        p = np.concatenate(said)
        called = np.bincount(p.argmax(axis=1), minlength=len(recipe.classes))
        votes = p[: len(p) // VOTES * VOTES].reshape(-1, VOTES, p.shape[1]).sum(axis=1)
        voted = votes[:, :2].argmax(axis=1)
        rows[name] = {
            "called": dict(zip(recipe.classes, called.tolist(), strict=True)),
            "right": float((p.argmax(axis=1) == number % 2).mean()),
            "vote": float((voted == number % 2).mean()),
        }
        print(f"  {name:6s} {rows[name]}", flush=True)
    return rows


def laue(count: int) -> dict[str, Any]:
    """Laue groups of unseen random structures and of the paper's materials."""
    network = load_model("bravais").network
    rng = np.random.default_rng([_SEED, 2])
    sets = {
        "random": [random_structure(name, rng) for name in LATTICES for _ in range(count)],
        "materials": [material(name).structure for name in paper_materials()],
    }
    out: dict[str, Any] = {}
    for title, structures in sets.items():
        truth = np.array([LAUE_GROUPS.index(laue_group(s.space_group)) for s in structures])
        pool = pool_of(structures)
        said = []
        for i in range(0, len(structures) * VOTES, _BATCH):
            which = torch.arange(i, min(i + _BATCH, len(structures) * VOTES)) // VOTES
            drawn = draw(len(which), rng, empty=0.0)
            arrays = patterns_of(PatternMaker(pool, int(rng.integers(2**62))), drawn, which)
            said.append(log_softmax(logits(network, arrays, "laue"), axis=1))
        p = np.concatenate(said).reshape(len(structures), VOTES, -1)
        called = p.argmax(axis=2)
        voted = p.sum(axis=1).argmax(axis=1)
        matrix = np.zeros((len(LAUE_GROUPS), len(LAUE_GROUPS)), int)
        np.add.at(matrix, (np.repeat(truth, VOTES), called.ravel()), 1)
        out[title] = {
            "single": float((called == truth[:, None]).mean()),
            "vote": float((voted == truth).mean()),
            "by group": {
                group: {
                    "structures": int((truth == k).sum()),
                    "single": float((called[truth == k] == k).mean()),
                    "vote": float((voted[truth == k] == k).mean()),
                }
                for k, group in enumerate(LAUE_GROUPS)
                if (truth == k).any()
            },
            "confusion": matrix.tolist(),
        }
        print(f"  {title}: single {out[title]['single']:.3f}, vote {out[title]['vote']:.3f}")
        for group, found in out[title]["by group"].items():
            print(f"    {group:6s} {found}", flush=True)
    return out


def main() -> None:
    """Run the parts that were asked for and write their figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=("pairs", "laue"), default=["pairs", "laue"])
    parser.add_argument("--patterns", type=int, default=1000, help="of each material of a pair")
    parser.add_argument("--structures", type=int, default=20, help="random ones of each lattice")
    parser.add_argument("--output", type=Path, help="folder for point_groups.json")
    options = parser.parse_args()
    found: dict[str, Any] = {}
    if "laue" in options.only:
        found["laue"] = laue(options.structures)
    if "pairs" in options.only:
        found["pairs"] = pairs(options.patterns)
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "point_groups.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
