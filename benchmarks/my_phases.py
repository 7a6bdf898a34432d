"""Accuracy of the classifiers of named phases on fresh patterns, and of the map of the sample scan.

python benchmarks/my_phases.py                    # all three sets, some 8 minutes each
python benchmarks/my_phases.py titanium --minutes 3
python benchmarks/my_phases.py scan               # with the shipped model
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from napari_diffraction.learning.phases.recipe import PhasesRecipe
from napari_diffraction.progress import finish

SETS = {
    "rutilated quartz": ("quartz", "rutile"),
    "steel": ("ferrite", "austenite", "cementite"),
    "titanium": ("alpha-Ti", "beta-Ti"),
}


def train(name: str, minutes: float, folder: Path) -> None:
    """Train for 20 kV and a usual camera, as the panel does, and print the figures."""
    from napari_diffraction.learning.models.registry import read_card
    from napari_diffraction.learning.phases.training import train_phases

    recipe = PhasesRecipe(
        name=name, phases=SETS[name], voltage=20.0, pc=(0.5, 0.28, 0.6), shape=(60, 60)
    )
    if minutes:
        recipe = PhasesRecipe(**{**recipe.__dict__, "minutes": minutes})
    began = time.monotonic()
    path = finish(train_phases(recipe, folder / f"{name}.safetensors"))
    card = read_card(path)
    print(f"{name}: {time.monotonic() - began:.0f} s, {card.recipe['patterns']} patterns")
    for what, value in card.figures.items():
        print(f"  {what}: {value:.2%}", flush=True)


def scan() -> None:
    """Map the sample scan with the shipped model and print how far it agrees with the truth."""
    from napari_diffraction.learning.classification.inference import classify
    from napari_diffraction.learning.models.registry import load_model
    from napari_diffraction.simulation.kikuchi.scan import rutilated_quartz

    for seed in range(2):
        sample = finish(rutilated_quartz(seed))
        table = finish(classify(sample.stack(), load_model("quartz-rutile")))
        right = table["label"].to_numpy() == sample.truth["phase"].to_numpy()
        inside = ~sample.truth["boundary"].to_numpy()
        print(f"scan {seed}: away from boundaries {right[inside].mean():.2%}", end=", ")
        print(f"everywhere {right.mean():.2%}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", choices=[*SETS, "scan"], default=[*SETS, "scan"])
    parser.add_argument("--minutes", type=float, default=0, help="of the training itself")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for what in arguments.what:
            if what == "scan":
                scan()
            else:
                train(what, arguments.minutes, Path(temporary))
