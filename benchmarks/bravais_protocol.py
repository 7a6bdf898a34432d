"""The closed protocol of Kaufmann et al., Science 367, 564 (2020), on simulated patterns.

Two materials teach each of the 14 Bravais lattices, 640 patterns a material, a fifth of them for
validation; ResNet-50 and Xception learn in batches of 32 with Adam until the validation loss falls
by less than 0.001.  They are then asked about fresh patterns of the same materials, and about the
materials of the paper that taught nothing.  The paper's figures, on measured patterns of nine
materials never seen, stand beside: 93.5 % (ResNet-50) and 91.2 % (Xception).

Full size: 640 patterns a material, as many epochs as it takes; hours without a graphics card.
Smaller: --patterns 64 --minutes 2.5, and the report says so.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_diffraction.crystal.materials import material, paper_materials, teachers
from napari_diffraction.errors import InputError
from napari_diffraction.files import replacing
from napari_diffraction.learning.bravais.data import PatternMaker, draw
from napari_diffraction.learning.bravais.structure_pool import LATTICES, pool_of
from napari_diffraction.learning.classification.inference import choose_device
from napari_diffraction.learning.evaluation.plots import confusion_figure
from napari_diffraction.learning.metrics import balanced_accuracy, confusion_matrix
from napari_diffraction.learning.networks.bravais_view import SIDE, standardise

BATCH = 32
#: An epoch counts as better if the validation loss fell by this; so many worse ones end it.
DELTA, PATIENCE = 0.001, 3
VALIDATION = 0.2
FULL_PATTERNS = 640
PAPER = {"resnet50": 0.935, "xception": 0.912}
#: Of the simulated patterns: of the materials that taught, to learn from and to ask; of the others.
LEARN, SAME, UNSEEN = 1, 2, 3


def resnet50() -> nn.Module:
    """ResNet-50 (He et al. 2016) of torchvision for two channels."""
    from torchvision.models import resnet50 as build

    network = build(weights=None, num_classes=len(LATTICES))
    network.conv1 = nn.Conv2d(2, 64, 7, stride=2, padding=3, bias=False)
    return network


def xception() -> nn.Module:
    """Xception (Chollet 2017) of timm for two channels."""
    try:
        import timm
    except ImportError as error:
        raise InputError(
            "Xception needs the package timm: install it (pip install timm)."
        ) from error
    network: nn.Module = timm.create_model("legacy_xception", num_classes=len(LATTICES), in_chans=2)
    return network


#: A new network is one function here.
NETWORKS: dict[str, Callable[[], nn.Module]] = {"resnet50": resnet50, "xception": xception}


@dataclass
class Patterns:
    """Patterns as the network sees them.

    Attributes
    ----------
    seen : Tensor of float16, (n, 2, 64, 64)
        From `napari_diffraction.learning.networks.bravais_view.standardise`.
    label : Tensor of int64, (n,)
        The number of the lattice.
    material : list of str
        The name of the material of each pattern.
    """

    seen: Tensor
    label: Tensor
    material: list[str]


@dataclass
class Training:
    """How a training went."""

    epochs: int = 0
    minutes: float = 0.0
    ended: str = "all epochs done"
    losses: list[tuple[float, float]] = field(default_factory=list)


def simulate(names: list[str], each: int, seed: int, hardness: float) -> Patterns:
    """Simulate patterns of materials in random orientations, `each` of every material."""
    device = choose_device()
    pool = pool_of([material(name).structure for name in names], device)
    maker = PatternMaker(pool, seed)
    rng = np.random.default_rng(seed)
    which = torch.arange(len(names)).repeat_interleave(each)
    parts = []
    for some in which.split(128):
        drawn = draw(len(some), rng, hardness, empty=0.0)
        frames, lit, label, _ = maker.frames(drawn, some.to(device))
        seen = standardise(frames, lit)
        parts.append((seen.half(), label))
    seen, label = (torch.cat(part) for part in zip(*parts, strict=True))
    return Patterns(seen, label, [names[i] for i in which])


def inputs(seen: Tensor, size: int) -> Tensor:
    """Scale what was seen to the side of the network's input."""
    seen = seen.float()
    if size != SIDE:
        seen = functional.interpolate(seen, (size, size), mode="bilinear", align_corners=False)
    return seen.contiguous(memory_format=torch.channels_last)


def split(patterns: Patterns, seed: int) -> tuple[Tensor, Tensor]:
    """Numbers of the patterns to learn from and of those for validation, 80:20 of each material."""
    rng = np.random.default_rng(seed)
    held = np.zeros(len(patterns.material), dtype=bool)
    names = np.array(patterns.material)
    for name in dict.fromkeys(patterns.material):
        own = rng.permutation(np.flatnonzero(names == name))
        held[own[: round(VALIDATION * len(own))]] = True
    return torch.from_numpy(np.flatnonzero(~held)), torch.from_numpy(np.flatnonzero(held))


def logits(network: nn.Module, patterns: Patterns, which: Tensor, size: int) -> Tensor:
    """Judge some patterns, (n, 14)."""
    network.eval()
    parts = []
    with torch.inference_mode(), _halves(patterns.seen.device):
        for some in which.split(4 * BATCH):
            parts.append(network(inputs(patterns.seen[some], size)).float())
    return torch.cat(parts)


def _halves(device: torch.device) -> Any:
    return torch.autocast(device.type, torch.bfloat16)


def epoch(
    network: nn.Module, optimiser: Any, patterns: Patterns, which: Tensor, size: int
) -> Iterator[float]:
    """Learn once from every pattern; give the loss of each batch."""
    network.train()
    for some in which[torch.randperm(len(which))].split(BATCH):
        if len(some) < 2:
            continue  # batch normalisation needs more than one
        with _halves(patterns.seen.device):
            found = network(inputs(patterns.seen[some], size))
        loss = functional.cross_entropy(found.float(), patterns.label[some])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        yield float(loss.detach())


@torch.no_grad()
def settle(network: nn.Module, patterns: Patterns, which: Tensor, size: int) -> None:
    """Take the statistics of the normalisation anew, which lag behind in a short training."""
    layers = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the plain mean
    network.train()
    for some in which[torch.randperm(len(which))[: 8 * BATCH]].split(BATCH):
        if len(some) > 1:
            with _halves(patterns.seen.device):
                network(inputs(patterns.seen[some], size))
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum


def train(network: nn.Module, patterns: Patterns, options: argparse.Namespace) -> Training:
    """Train until the validation loss no longer falls, or the epochs or the time are used up."""
    learn, held = split(patterns, options.seed)
    optimiser = torch.optim.Adam(network.parameters(), lr=options.learning_rate)
    did = Training(ended="all epochs done")
    best, kept, worse, begin = np.inf, copy.deepcopy(network.state_dict()), 0, time.monotonic()
    limit = 60 * options.minutes if options.minutes else np.inf
    for _ in range(options.epochs):
        losses = []
        for loss in epoch(network, optimiser, patterns, learn, options.size):
            losses.append(loss)
            if time.monotonic() - begin > limit:
                break
        settle(network, patterns, learn, options.size)
        found = logits(network, patterns, held, options.size)
        valid = float(functional.cross_entropy(found, patterns.label[held]))
        right = float((found.argmax(1) == patterns.label[held]).float().mean())
        did.epochs += 1
        did.losses.append((float(np.mean(losses)), valid))
        print(
            f"  epoch {did.epochs}: loss {np.mean(losses):.3f}, of validation {valid:.3f}, "
            f"right {right:.3f}, {time.monotonic() - begin:.0f} s",
            flush=True,
        )
        worse = 0 if valid < best - DELTA else worse + 1
        if valid < best:
            best, kept = valid, copy.deepcopy(network.state_dict())
        if worse >= PATIENCE:
            did.ended = f"the validation loss fell by less than {DELTA} in {PATIENCE} epochs"
            break
        if time.monotonic() - begin > limit:
            did.ended = f"the {options.minutes:g} minutes were over"
            break
    network.load_state_dict(kept)
    did.minutes = round((time.monotonic() - begin) / 60, 2)
    return did


def examine(network: nn.Module, patterns: Patterns, size: int) -> dict[str, Any]:
    """Accuracy, by material too, and confusion matrix."""
    which = torch.arange(len(patterns.label))
    called = logits(network, patterns, which, size).argmax(1).cpu().numpy()
    truth = patterns.label.cpu().numpy()
    names = np.array(patterns.material)
    lattices = np.array(LATTICES)
    matrix = confusion_matrix(lattices[truth], lattices[called], LATTICES)
    by_material = {
        name: {
            "lattice": material(name).lattice,
            "hidden": material(name).hidden,
            "accuracy": float((called == truth)[names == name].mean()),
        }
        for name in dict.fromkeys(patterns.material)
    }
    shown = np.array([not material(name).hidden for name in patterns.material])
    return {
        "patterns": len(truth),
        "accuracy": float((called == truth).mean()),
        "balanced accuracy": balanced_accuracy(truth, called),
        "accuracy without the hidden": float((called == truth)[shown].mean()),
        "by material": by_material,
        "confusion": {"classes": list(LATTICES), "counts": matrix.to_numpy().tolist()},
        "_matrix": matrix,
    }


def report(found: dict[str, Any]) -> str:
    """Everything as a text."""
    about = found["about"]
    lines = [
        f"Size of this run: {about['patterns']} patterns a material (the paper: {FULL_PATTERNS}), "
        f"{about['materials that teach']} materials that teach, input {about['size']} px, at most "
        f"{about['epochs']} epochs"
        + (f" and {about['minutes']:g} minutes a network" if about["minutes"] else "")
        + f", {about['device']}, noise {about['hardness']:g} of the full range.",
        "THIS IS A REDUCED SIZE." if about["reduced"] else "This is the full size.",
    ]
    for name, one in found["networks"].items():
        did = one["training"]
        lines.append(
            f"\n== {name}: {did['epochs']} epochs, {did['minutes']} minutes; {did['ended']}"
        )
        for part in ("same materials", "unseen materials"):
            figures = one[part]
            lines.append(
                f"\n{part}, {figures['patterns']} fresh patterns: "
                f"{figures['accuracy']:.1%} right, balanced {figures['balanced accuracy']:.1%}, "
                f"without those that physics hides {figures['accuracy without the hidden']:.1%}"
                + (f"; the paper: {PAPER[name]:.1%}" if part != "same materials" else "")
            )
            lines.append(figures["_matrix"].to_string())
            lines.append(
                ", ".join(
                    f"{m} ({v['lattice']}{', hidden' if v['hidden'] else ''}) {v['accuracy']:.0%}"
                    for m, v in figures["by material"].items()
                )
            )
    return "\n".join(lines)


def write(found: dict[str, Any], text: str, folder: Path) -> None:
    """Write report, figures and pictures of the confusion matrices."""
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "bravais_protocol.txt") as path:
        path.write_text(text + "\n")
    for name, one in found["networks"].items():
        for part in ("same materials", "unseen materials"):
            picture = confusion_figure(one[part].pop("_matrix"))
            picture.suptitle(f"{name}, {part}, {found['about']['patterns']} patterns a material")
            file = f"bravais_protocol_{name}_{part.split()[0]}.png"
            with replacing(folder / file) as path:
                picture.savefig(path, dpi=70, format="png")
    with replacing(folder / "bravais_protocol.json") as path:
        path.write_text(json.dumps(found, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--patterns", type=int, default=FULL_PATTERNS, help="of each material")
    parser.add_argument("--asked", type=int, default=100, help="patterns of each, to be judged")
    parser.add_argument("--size", type=int, default=SIDE, help="side of the network's input, px")
    parser.add_argument("--epochs", type=int, default=100, help="at most")
    parser.add_argument("--minutes", type=float, help="at most, of training of each network")
    parser.add_argument("--hardness", type=float, default=0.25, help="noise, 1: the full range")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("bravais_protocol"), help="folder")
    options = parser.parse_args()
    if options.patterns < 5 or options.size < 32:
        parser.error("at least 5 patterns a material and 32 px are needed")

    torch.manual_seed(options.seed)
    torch.set_num_threads(os.cpu_count() or 1)
    teaching = [name for pair in teachers().values() for name in pair]
    others = [name for name in paper_materials() if name not in teaching]
    networks = {}
    for name in options.network:  # a missing package shows before the long work
        try:
            networks[name] = NETWORKS[name]()
        except InputError as error:
            print(f"{name} is left out.  {error}")
    if not networks:
        parser.exit(1, "No network is left.\n")
    sets = {}
    for key, names, each in (
        (LEARN, teaching, options.patterns),
        (SAME, teaching, options.asked),
        (UNSEEN, others, options.asked),
    ):
        sets[key] = simulate(names, each, 1000 * options.seed + key, options.hardness)
    about = {
        **{key: getattr(options, key) for key in ("patterns", "asked", "size", "epochs")},
        **{key: getattr(options, key) for key in ("minutes", "hardness", "seed")},
        "device": str(choose_device()),
        "materials that teach": len(teaching),
        "materials never seen": len(others),
        "reduced": options.patterns < FULL_PATTERNS or bool(options.minutes),
    }
    found: dict[str, Any] = {"about": about, "networks": {}}
    for name, network in networks.items():
        print(f"{name}: learning from {len(sets[LEARN].label)} patterns", flush=True)
        network = network.to(choose_device(), memory_format=torch.channels_last)
        did = train(network, sets[LEARN], options)
        found["networks"][name] = {
            "paper": PAPER[name],
            "training": asdict(did),
            "same materials": examine(network, sets[SAME], options.size),
            "unseen materials": examine(network, sets[UNSEEN], options.size),
        }
    text = report(found)
    print(text)
    write(found, text, options.output)


if __name__ == "__main__":
    main()
