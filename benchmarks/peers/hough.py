"""Hough indexing with PyEBSDIndex, told the phase, in the peers' own environment.

Runs as a child of `indexing_speed.py` and `indexing_accuracy.py`, or alone::

    python -m venv .venv-ebsd
    .venv-ebsd/bin/pip install -r benchmarks/peers/requirements-ebsd.txt
    .venv-ebsd/bin/python benchmarks/peers/hough.py patterns.npy --pc 0.5 0.3 0.6 --output out.npz

Patterns are an .npy file, (n, h, w).  Their background is removed by kikuchipy before the clock
starts.  One process a core, each with one thread and its own share, or with ``--threads`` one
process with so many threads.  The .npz holds Euler angles (Bunge, degrees, EDAX's frame), fit in
degrees and matched bands of every pattern, the seconds, and those of processors' time; with
``--optimise`` also the pattern centre that these patterns give.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

_given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
_given.add_argument("patterns", type=Path)
_given.add_argument("--pc", type=float, nargs=3, required=True, help="Bruker's convention")
_given.add_argument("--cell", type=float, default=3.524, help="a of the fcc phase in A")
_given.add_argument("--tilt", type=float, default=70.0, help="of the sample, degrees")
_given.add_argument("--cores", type=int, default=2)
_given.add_argument("--threads", action="store_true", help="threads of one process")
_given.add_argument("--optimise", action="store_true", help="find the centre from all patterns")
_given.add_argument("--prepared", action="store_true", help="the background is removed already")
_given.add_argument("--output", type=Path, required=True)
GIVEN = _given.parse_args()

# Must be set before numpy and numba are loaded.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = str(GIVEN.cores if GIVEN.threads else 1)
warnings.simplefilter("ignore")

import kikuchipy as kp  # noqa: E402
import numpy as np  # noqa: E402
from orix.crystal_map import Phase, PhaseList  # noqa: E402
from orix.quaternion import Rotation  # noqa: E402

CHUNK = 528  # patterns at a time, kikuchipy's default

_indexer: Any = None
_patterns: np.ndarray = np.zeros(0)


def phase_list() -> PhaseList:
    """The fcc phase."""
    from diffpy.structure import Atom, Lattice, Structure

    lattice = Lattice(GIVEN.cell, GIVEN.cell, GIVEN.cell, 90, 90, 90)
    structure = Structure(atoms=[Atom("Ni", [0, 0, 0])], lattice=lattice)
    return PhaseList(Phase(name="fcc", space_group=225, structure=structure))


def prepared(patterns: np.ndarray) -> kp.signals.EBSD:
    """Remove the background: the mean of all patterns divided out, then a wide Gaussian."""
    signal = kp.signals.EBSD(patterns)
    if not GIVEN.prepared:
        mean = patterns[:: max(1, len(patterns) // 2000)].mean(axis=0).astype(patterns.dtype)
        signal.remove_static_background(
            operation="subtract", static_bg=mean, show_progressbar=False
        )
        signal.remove_dynamic_background(show_progressbar=False)
    return signal


def start(patterns: Path, pc: list[float]) -> None:
    """Make what one process needs."""
    global _indexer, _patterns
    _patterns = np.load(patterns, mmap_mode="r")
    detector = kp.detectors.EBSDDetector(
        shape=_patterns.shape[-2:], sample_tilt=GIVEN.tilt, tilt=0, pc=pc
    )
    _indexer = detector.get_indexer(phase_list())


def index(share: range) -> tuple[np.ndarray, ...]:
    """Index a share of the patterns; the last is the processor's time."""
    began = time.process_time()
    data, *_ = _indexer.index_pats(
        patsin=_patterns[share.start : share.stop], verbose=0, chunksize=CHUNK
    )
    best = data[-1]
    used = np.array([time.process_time() - began])
    return best["quat"], best["fit"], best["nmatch"], best["phase"], used


def main() -> None:
    """Optimise the centre if asked for, index, and write what was found."""
    patterns = np.load(GIVEN.patterns)
    patterns = patterns.reshape(-1, *patterns.shape[-2:])
    began = time.perf_counter()
    signal = prepared(patterns)
    removal = time.perf_counter() - began
    pc, found = list(GIVEN.pc), {}
    if GIVEN.optimise:
        detector = kp.detectors.EBSDDetector(
            shape=patterns.shape[-2:], sample_tilt=GIVEN.tilt, tilt=0, pc=pc
        )
        better = signal.hough_indexing_optimize_pc(
            pc0=pc, indexer=detector.get_indexer(phase_list()), batch=False
        )
        pc = found["pc"] = list(better.pc_average)
    count = len(patterns)
    pieces = 1 if GIVEN.threads else GIVEN.cores
    edges = [k * count // pieces for k in range(pieces + 1)]
    shares = [range(*edges[k : k + 2]) for k in range(pieces)]
    warm = range(min(count, CHUNK))
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.npy"
        np.save(ready, signal.data)
        # not forked: a child of a process that has run threads would hang
        context = multiprocessing.get_context("spawn")
        with context.Pool(pieces, start, (ready, pc)) as pool:
            pool.map(index, [warm] * pieces, chunksize=1)  # compiles
            began = time.perf_counter()
            parts = pool.map(index, shares, chunksize=1)
            seconds = time.perf_counter() - began
    quaternion, fit, bands, phase, used = (np.concatenate(one) for one in zip(*parts, strict=True))
    np.savez(
        GIVEN.output,
        euler=Rotation(quaternion).to_euler(degrees=True),
        fit=fit,
        bands=bands,
        indexed=phase >= 0,
        seconds=seconds,
        processor=used.sum(),
        removal=removal,
        **found,
    )
    print(f"{count / seconds:.0f} patterns/s, median fit {np.median(fit):.2f} degrees")


if __name__ == "__main__":
    main()
