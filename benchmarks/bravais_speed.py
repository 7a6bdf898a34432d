"""How fast EBSD patterns are classified, those of 60 x 60 px beside kikuchipy's Hough indexing.

Ours: the shipped model `bravais`, from a scan in memory and from a file (kikuchipy's HDF5), to the
table with probabilities of all lattices; no phase is given.  A graphics card is measured, too,
where there is one.

The peer: `EBSD.hough_indexing` of kikuchipy (PyEBSDIndex), with the right phase given, from
patterns in memory.  Its clock does not see the removal of the background, which ours does.

The scan: the nine nickel patterns of kikuchipy (or noise, without it) over and over with fresh
counting noise; ``--side 120`` makes each of their pixels four.  They take turns, so that whatever
else the machine does hits both; the figure is the median of the rounds.  Beside it stands the rate
per second of processor time, which a busy machine hardly changes: on idle cores ours comes near
that times the number of cores.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import numpy as np
import torch

from napari_diffraction.errors import InputError
from napari_diffraction.learning.bravais.data import BRAVAIS_CLASSES
from napari_diffraction.learning.classification.inference import classify
from napari_diffraction.learning.model_card import ModelCard
from napari_diffraction.learning.models.classifier import Classifier
from napari_diffraction.learning.models.registry import load_model
from napari_diffraction.learning.networks.band_network import BandNetwork
from napari_diffraction.learning.networks.band_view import PREPROCESSING
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack
from napari_diffraction.progress import finish
from spot_simulation_speed import print_table, processor, save

SIDE = 60
COLUMNS = 64
#: Pattern centre, as kikuchipy has it for its nickel.
PC = (0.425, 0.213, 0.501)
#: What is asked: patterns per second on two cores by the side, and how many times the peer.
ASKED, ASKED_RATIO = {60: 2500, 120: 700}, 10
PEER = "kikuchipy, Hough indexing, phase given"
#: Patterns per second, and per second of processor time.
Rate = tuple[float, float]


def _rate(count: int, begin: float, used: float) -> Rate:
    return count / (time.perf_counter() - begin), count / (time.process_time() - used)


def nickel() -> Any:
    """The signal of kikuchipy's nickel patterns, or ``None`` where kikuchipy is missing."""
    try:
        import kikuchipy
    except ImportError:
        print("kikuchipy is not installed (pip install napari-diffraction[em]): noise is sorted")
        return None
    return kikuchipy.data.nickel_ebsd_small()


def scan(signal: Any, count: int, side: int = SIDE) -> np.ndarray:
    """Make a scan of about `count` patterns, (rows, 64, side, side) uint8."""
    rng = np.random.default_rng(0)
    rows = max(1, round(count / COLUMNS))
    if signal is None:
        return rng.integers(0, 256, (rows, COLUMNS, side, side)).astype(np.uint8)
    nine = signal.data.reshape(-1, SIDE, SIDE).astype(np.float32)
    nine = nine.repeat(side // SIDE, axis=1).repeat(side // SIDE, axis=2)
    chosen = nine[np.arange(rows * COLUMNS) % len(nine)]
    noisy = rng.normal(chosen, np.sqrt(chosen))
    return np.clip(noisy, 0, 255).astype(np.uint8).reshape(rows, COLUMNS, side, side)


def write(frames: np.ndarray, folder: Path) -> Path:
    """Write a scan as kikuchipy does, in HDF5."""
    path = folder / "scan.h5"
    with h5py.File(path, "w") as file:
        file["manufacturer"], file["version"] = "kikuchipy", "0.13.1"
        header = file.create_group("Scan 1/EBSD/Header")
        header["n_rows"], header["n_columns"] = frames.shape[:2]
        header["pcx"], header["pcy"], header["pcz"] = PC
        header["pattern_height"], header["pattern_width"] = frames.shape[2:]
        file.create_dataset("Scan 1/EBSD/Data/patterns", data=frames.reshape(-1, *frames.shape[2:]))
    return path


def untrained() -> Classifier:
    """A network like the shipped one, without its weights, which are no matter for the speed."""
    n = len(BRAVAIS_CLASSES)
    card = ModelCard(
        name="untrained",
        title="",
        summary="",
        network="bands",
        classes=BRAVAIS_CLASSES,
        options={},
        scale=1.0,
        bias=(0.0,) * n,
        shares=dict.fromkeys(BRAVAIS_CLASSES, 1 / n),
        recipe={},
        preprocessing=PREPROCESSING,
    )
    return Classifier(card, BandNetwork(n).eval())


def our_rate(
    stack: Callable[[], PatternStack], classifier: Classifier, device: str, size: int
) -> Callable[[], Rate]:
    """What measures patterns per second, from opening the scan to the table."""

    def measure() -> Rate:
        begin, used = time.perf_counter(), time.process_time()
        table = finish(classify(stack(), classifier, device=device, batch_size=size))
        rate = _rate(len(table), begin, used)
        assert (table["label"] != "Unreadable").all()
        return rate

    return measure


def peer_rate(signal: Any, frames: np.ndarray, count: int) -> Callable[[], Rate] | None:
    """What measures patterns per second of Hough indexing; ``None`` where something is missing."""
    try:
        import kikuchipy
        import pyebsdindex  # noqa: F401
    except ImportError as error:
        print(f"{error.name} is not installed: no Hough indexing (pip install kikuchipy[all])")
        return None
    rows = max(1, count // COLUMNS)
    detector = signal.detector.deepcopy()
    detector.pc = detector.pc_average  # nine centres do not go with a scan
    patterns = kikuchipy.signals.EBSD(frames[:rows], detector=detector)
    patterns.remove_static_background(static_bg=signal.static_background, show_progressbar=False)
    patterns.remove_dynamic_background(show_progressbar=False)
    phases = signal.xmap.phases
    indexer = patterns.detector.get_indexer(phases)

    def measure() -> Rate:
        begin, used = time.perf_counter(), time.process_time()
        patterns.hough_indexing(phases, indexer, verbose=0)
        return _rate(rows * COLUMNS, begin, used)

    return measure


def in_memory(frames: np.ndarray) -> PatternStack:
    """The scan without a file."""
    return PatternStack(da.from_array(frames), "scan", geometry=KikuchiGeometry(pc=PC))


def judge(classifier: Classifier, frames: np.ndarray) -> float:
    """Greatest difference in probability between the quick way and plain 32-bit numbers."""
    quick = finish(classify(in_memory(frames), classifier, device="cpu"))
    columns = [name for name in quick if name.startswith("p_")]
    look = classifier.kind.looker(in_memory(frames))
    seen = [look(frame) for frame in frames.reshape(-1, *frames.shape[2:])]
    inputs = classifier.kind.tensors(seen)
    with torch.inference_mode():
        logits = classifier.network(*inputs)["lattice"]
        if classifier.card.preprocessing.get("mirror"):
            logits = (logits + classifier.network(*(x.flip(-1) for x in inputs))["lattice"]) / 2
    card = classifier.card
    exact = torch.softmax(logits * card.scale + torch.tensor(card.bias), dim=1).numpy()
    return float(np.abs(quick[columns].to_numpy() - exact).max())


def installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="bravais", help="name or file of the model")
    parser.add_argument("--untrained", action="store_true", help="measure without any model file")
    parser.add_argument("--patterns", type=int, default=4096)
    parser.add_argument("--side", type=int, choices=ASKED, default=SIDE, help="of the patterns")
    parser.add_argument("--peer-patterns", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=64, help="patterns a batch on the CPU")
    parser.add_argument("--output", type=Path, help="also write the table as .json or .csv")
    options = parser.parse_args()
    if options.output is not None and options.output.suffix not in (".json", ".csv"):
        parser.error(f"--output {options.output} must end in .json or .csv")
    try:
        classifier = untrained() if options.untrained else load_model(options.model)
    except InputError as error:
        parser.error(f"{error}  Or measure with --untrained.")
    about: dict[str, object] = {
        "processor": processor(),
        "cores": os.cpu_count() or 1,
        "load before": ", ".join(f"{load:.1f}" for load in os.getloadavg()[:2]),
        "python": platform.python_version(),
        **{name: installed(name) for name in ("torch", "kikuchipy", "pyebsdindex")},
        "model": classifier.card.name,
        "patterns": options.patterns,
    }
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    signal = nickel()
    side = options.side
    frames = scan(signal, options.patterns, side)
    about["difference in probability"] = judge(classifier, frames[:2])
    print(f"bfloat16 changes no probability by more than {about['difference in probability']:.4f}")
    with tempfile.TemporaryDirectory() as folder:
        path = write(frames, Path(folder))
        memory = in_memory(frames)
        measures: dict[str, Callable[[], Rate]] = {
            "from memory": our_rate(lambda: memory, classifier, "cpu", options.batch),
            "from a file": our_rate(lambda: open_stack(path), classifier, "cpu", options.batch),
        }
        if torch.cuda.is_available():
            card = torch.cuda.get_device_name()
            measures[f"from memory, {card}"] = our_rate(lambda: memory, classifier, "cuda", 1024)
        theirs = signal is not None and side == SIDE
        if theirs and (peer := peer_rate(signal, frames, options.peer_patterns)):
            measures[PEER] = peer
        rates: dict[str, list[Rate]] = {name: [] for name in measures}
        for number in range(options.rounds + 1):
            for name, measure in measures.items():
                rate = measure()
                if number > 0 or options.rounds == 0:  # the first one compiles and warms up
                    rates[name].append(rate)
    median = {name: statistics.median(rate for rate, _ in found) for name, found in rates.items()}
    rows: list[dict[str, object]] = [
        {
            "what": name if name == PEER else f"{side}x{side} {name}",
            "program": "PyEBSDIndex" if name == PEER else "napari-diffraction",
            "patterns_per_s": round(rate, 1),
            "slowest": round(min(rates[name])[0], 1),
            "fastest": round(max(rates[name])[0], 1),
            "per_core_s": round(statistics.median(used for _, used in rates[name]), 1),
            "times_the_peer": round(rate / median[PEER], 2) if PEER in median else "",
        }
        for name, rate in median.items()
    ]
    print_table(rows)
    for name in ("from memory", "from a file"):
        met = "met" if median[name] >= ASKED[side] else "missed"
        print(f"{name}: {median[name]:,.0f} patterns/s, asked {ASKED[side]:,}: {met}")
        if PEER in median:
            ratio = median[name] / median[PEER]
            met = "met" if ratio >= ASKED_RATIO else "missed"
            print(f"{name}: {ratio:.1f} times Hough indexing, asked {ASKED_RATIO}: {met}")
    if options.output is not None:
        save(options.output, rows, about)


if __name__ == "__main__":
    main()
