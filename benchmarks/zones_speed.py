"""How fast patterns are sorted on the CPU, from the file to the table, beside Faster R-CNN.

Ours: realistic simulated patterns of 512 x 512 px and of the 254 x 254 px that the peer sees,
uint16, in an HDF5 and a TIFF stack; the clock runs from opening the file to the table with
calibrated probabilities.  The files are put out of the system's cache before, where it allows.

The peer: torchvision's Faster R-CNN ResNet-50-FPN at 254 px with two classes, the network of
Gorelik et al. (2025), one pattern at a time.  Its clock does not see reading or scaling, and the
boxes of its random weights are all dropped before the last step, in which they would be compared
with one another: both in its favour.

All cores for either; they take turns, so that whatever else the machine does hits both.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import tifffile
import torch
from skimage.transform import resize
from torchvision.models.detection import FasterRCNN, fasterrcnn_resnet50_fpn

from napari_diffraction.crystal.cell import random_cell
from napari_diffraction.learning.classification.inference import classify
from napari_diffraction.learning.models.classifier import Classifier
from napari_diffraction.learning.models.registry import load_model
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.progress import finish
from napari_diffraction.simulation.conditions import realistic_conditions, realistic_effects
from napari_diffraction.simulation.spots.dataset import simulate_spots
from spot_simulation_speed import print_table, processor, save

PEER_SIZE = 254
SIZES = (512, PEER_SIZE)
PER_CELL = 30  # patterns of one crystal, by one camera
WARM_UP = 64
PEER_BATCH = 5  # patterns a turn


def patterns(count: int, size: int, seed: int = 0) -> np.ndarray:
    """Simulate realistic patterns, (count, size, size) uint16, of many crystals and cameras."""
    rng = np.random.default_rng(seed)
    parts = []
    for number in range(-(-count // PER_CELL)):
        work = simulate_spots(
            [random_cell((300, 2000), rng=rng)],
            realistic_conditions(rng),
            realistic_effects(rng, size),
            orientations=PER_CELL,
            size=size,
            seed=seed + number,
        )
        parts.append(finish(work).images.astype(np.uint16))
    return np.concatenate(parts)[:count]


def write(images: np.ndarray, folder: Path) -> dict[str, Path]:
    """Write the patterns as detectors do; return the files by what they are."""
    files = {"HDF5, bitshuffle-LZ4": folder / "stack.h5", "TIFF": folder / "stack.tif"}
    hdf5, tiff = files.values()
    with h5py.File(hdf5, "w") as file:
        file.create_dataset(
            "/entry/data/data",
            data=images,
            chunks=(1, *images.shape[1:]),
            compression=hdf5plugin.Bitshuffle(cname="lz4"),
        )
    tifffile.imwrite(tiff, images, photometric="minisblack")
    return files


def forget(path: Path) -> None:
    """Put a file out of the system's cache, so that it is read from the disk."""
    if hasattr(os, "posix_fadvise"):
        with path.open("rb+") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def our_rate(path: Path, classifier: Classifier) -> float:
    """Patterns per second from the file to the table."""
    stack = open_stack(path)
    finish(classify(stack, classifier, device="cpu", skip=range(WARM_UP, len(stack))))
    forget(path)
    begin = time.perf_counter()
    table = finish(classify(open_stack(path), classifier, device="cpu"))
    elapsed = time.perf_counter() - begin
    assert (table["label"] != "Unreadable").all()
    return len(table) / elapsed


def peer_network() -> FasterRCNN:
    """The network of the paper; without its weights, which are no matter for the speed."""
    torch.manual_seed(0)
    return fasterrcnn_resnet50_fpn(
        weights=None,
        weights_backbone=None,
        num_classes=3,
        min_size=PEER_SIZE,
        max_size=PEER_SIZE,
        box_score_thresh=1.0,  # no box is surer than that
    ).eval()


def peer_rate(network: FasterRCNN, inputs: list[torch.Tensor]) -> float:
    """Patterns per second of the network alone."""
    with torch.inference_mode():
        network(inputs[:1])
        begin = time.perf_counter()
        for one in inputs:
            network([one])
    return len(inputs) / (time.perf_counter() - begin)


def peer_input(image: np.ndarray) -> torch.Tensor:
    """Scale a pattern to what the network takes: 3 colours, 0 to 1."""
    small = resize(image.astype(np.float32), (PEER_SIZE, PEER_SIZE), anti_aliasing=True)
    small = small / max(float(small.max()), 1.0)
    return torch.from_numpy(np.repeat(small[None].astype(np.float32), 3, axis=0))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="zones", help="name or file of the model")
    parser.add_argument("--patterns", type=int, default=600)
    parser.add_argument("--output", type=Path, help="also write the table as .json or .csv")
    arguments = parser.parse_args()
    if arguments.output is not None and arguments.output.suffix not in (".json", ".csv"):
        parser.error(f"--output {arguments.output} must end in .json or .csv")

    cores = os.cpu_count() or 1
    torch.set_num_threads(cores)
    about: dict[str, object] = {
        "processor": processor(),
        "cores": cores,
        "load before": ", ".join(f"{load:.1f}" for load in os.getloadavg()[:2]),
        "python": platform.python_version(),
        "torch": version("torch"),
        "torchvision": version("torchvision"),
        "napari-diffraction": version("napari-diffraction"),
        "model": arguments.model,
        "patterns": arguments.patterns,
    }
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    classifier = load_model(arguments.model)
    network = peer_network()
    ours, peer = {}, []
    for size in SIZES:
        images = patterns(arguments.patterns, size)
        inputs = [peer_input(image) for image in images[:: max(1, len(images) // PEER_BATCH)]]
        with tempfile.TemporaryDirectory() as folder:
            for name, path in write(images, Path(folder)).items():
                ours[f"{name}, {size}x{size}"] = our_rate(path, classifier)
                peer.append(peer_rate(network, inputs[:PEER_BATCH]))
    theirs = float(np.mean(peer))
    rows: list[dict[str, object]] = [
        {
            "what": f"{name} uint16, to the table",
            "program": "napari-diffraction",
            "patterns_per_s": round(rate, 1),
            "times_the_peer": round(rate / theirs, 1),
        }
        for name, rate in ours.items()
    ]
    rows.append(
        {
            "what": f"{PEER_SIZE}x{PEER_SIZE} in memory, network alone",
            "program": "torchvision, Faster R-CNN ResNet-50-FPN",
            "patterns_per_s": round(theirs, 2),
            "times_the_peer": 1.0,
        }
    )
    print_table(rows)
    if arguments.output is not None:
        save(arguments.output, rows, about)


if __name__ == "__main__":
    main()
