"""Damaged files of every kind, as many as time allows: crashes, hangs, wasted memory.

Run with ``python benchmarks/fuzz.py [KIND...] [--cases 10000] [--seconds 3600] [--seed 0]``.  Each
kind of ``tests/helpers/fuzz_targets.py`` is tried in a process of its own, in rounds, so that a
crash of a library costs one round.  The same seed gives the same cases; a failure is printed with
the kind and the seed of its round.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))

ROUND = 1000
#: Seconds for one case, and for a process that does not even answer to that.
CASE_SECONDS, SILENT_SECONDS = 10, 60
# before the first case libraries are imported
_START_SECONDS = 600
#: What asks for more memory than this fails, instead of slowing the machine down.
_ADDRESSES = 8 * 2**30
_SLOW = (
    "dask.array", "fabio", "gemmi", "h5py", "hdf5plugin", "pandas", "PIL.Image", "rsciio", "scipy",
    "spglib", "tifffile", "torch", "zarr", "napari_diffraction.learning.models.kinds",
    "napari_diffraction.learning.models.classifier", "napari_diffraction.learning.training.recipe",
    "napari_diffraction.learning.networks.zone_network",
    "napari_diffraction.patterns.readers.hdf5.file",
    "napari_diffraction.review.session", "napari_diffraction.crystal.cif",
)  # fmt: skip
# tracing memory takes longer than most cases
_MEMORY_EVERY = 10


class Hang(BaseException):
    """One case took too long; no library takes this for damage."""


def _late(*_: object) -> None:
    raise Hang


def one_round(
    kind: str, folder: str, seed: int, cases: int, pipe: Connection, keep: Path | None = None
) -> None:
    """Try cases, and report each: whether the input was read, refused, or what went wrong."""
    from fuzz_targets import TARGETS, Case
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded
    from hypothesis import strategies as st

    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESSES, _ADDRESSES))
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, _late)
    case = Case(TARGETS[kind], Path(folder))
    count = 0

    @seeded(seed)
    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, len(case.files) - 1), TARGETS[kind].damages)
    def damage_and_read(number: int, damage: Any) -> None:
        nonlocal count
        count += 1
        memory = TARGETS[kind].memory and count % _MEMORY_EVERY == 0
        signal.alarm(CASE_SECONDS)
        try:
            outcome = "read" if case.attempt(number, damage, memory=memory) else "refused"
        except Hang:
            outcome = f"hang: {traceback.format_exc(limit=-4)}"
        except Exception:
            outcome = f"error: {traceback.format_exc(limit=-6)}"
        finally:
            signal.alarm(0)
        if keep is not None and outcome.startswith(("hang", "error")):
            place = keep / f"{kind}-{seed}-{count}"
            place.mkdir(parents=True, exist_ok=True)
            name = case.files[number].name
            (place / name).write_bytes(damage(case.contents[number]))
        pipe.send(outcome)

    damage_and_read()
    pipe.send("")


def run_round(kind: str, seed: int, cases: int, keep: Path | None) -> Counter[str]:
    """Run a round in a process of its own and count what came of it."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    folder = tempfile.mkdtemp(prefix="fuzz-")
    worker = context.Process(target=one_round, args=(kind, folder, seed, cases, there, keep))
    worker.start()
    there.close()
    counts: Counter[str] = Counter()
    try:
        while True:
            if not here.poll(SILENT_SECONDS if counts else _START_SECONDS):
                worker.kill()
                counts["hang"] += 1
                print(f"HANG {kind} seed {seed} case {sum(counts.values())}", flush=True)
                break
            try:
                outcome = here.recv()
            except EOFError:
                worker.join()
                counts["crash"] += 1
                place = f"{kind} seed {seed} case {sum(counts.values())}"
                print(f"CRASH {place}: exit status {worker.exitcode}", flush=True)
                break
            if not outcome:
                break
            counts[outcome.partition(":")[0]] += 1
            if outcome.startswith(("hang", "error")):
                print(f"{kind} seed {seed} case {sum(counts.values())}: {outcome}", flush=True)
        if keep is not None and counts["hang"] + counts["crash"]:
            place = keep / f"{kind}-{seed}-{sum(counts.values())}"
            shutil.copytree(folder, place, dirs_exist_ok=True)
    finally:
        worker.join()
        shutil.rmtree(folder, ignore_errors=True)
    return counts


def main() -> None:
    """Go round all kinds until the cases or the time are used up, and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", help="all, unless named")
    parser.add_argument("--cases", type=int, default=10_000, help="of each kind")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="JSON file for the counts")
    parser.add_argument("--keep", type=Path, help="folder for inputs that fail")
    wanted = parser.parse_args()
    from fuzz_targets import TARGETS

    kinds = wanted.kinds or list(TARGETS)
    # imported once, before the processes are made; nothing is run here, since threads and locks
    # do not survive that
    for module in _SLOW:
        importlib.import_module(module)
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in kinds}
    start = time.monotonic()
    for number in range(-(-wanted.cases // ROUND)):
        for kind in kinds:
            if time.monotonic() - start > wanted.seconds:
                break
            seed = wanted.seed + number
            counts[kind] += run_round(
                kind, seed, min(ROUND, wanted.cases - number * ROUND), wanted.keep
            )
        if wanted.output is not None:
            wanted.output.write_text(json.dumps({k: dict(c) for k, c in counts.items()}, indent=1))
    total = sum(counts.values(), Counter())
    for kind, found in counts.items():
        print(f"{kind:16}", dict(found))
    print(f"{total.total():,} cases in {time.monotonic() - start:,.0f} s: {dict(total)}")


if __name__ == "__main__":
    main()
