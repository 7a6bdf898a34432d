"""Random actions in napari's window, as many as one likes: errors, threads left, memory.

Run with ``xvfb-run -a python benchmarks/random_actions.py --actions 1000 --seed 0``.  The same seed
makes the same choices; what happens in between depends on the machine, too.  ``--log`` keeps every
action in a file, written before it is done, so that also a crash tells what led to it.
"""

from __future__ import annotations

import argparse
import ctypes
import faulthandler
import gc
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--actions", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--warm-up", type=int, default=300, help="actions of another seed before memory is measured"
    )
    parser.add_argument("--log", type=Path, help="a file for every action")
    arguments = parser.parse_args()
    faulthandler.enable()
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("CACHE", "CONFIG", "DATA", "STATE"):
            os.environ[f"XDG_{kind}_HOME"] = f"{folder}/{kind.lower()}"
        return play(arguments, Path(folder))


def play(arguments: argparse.Namespace, folder: Path) -> int:
    # before the first window: its OpenGL driver and triton bring LLVMs that do not bear one another
    import torch._dynamo  # noqa: F401, I001
    import napari
    import psutil
    from random_actions import Session

    log = arguments.log.open("w", buffering=1) if arguments.log else None

    def tell(line: str) -> None:
        if log is not None:
            log.write(f"{line}\n")

    def window() -> napari.Viewer:
        viewer = napari.Viewer(show=True)
        viewer.window.resize(1280, 800)
        return viewer

    def memory() -> float:
        gc.collect()
        if sys.platform.startswith("linux"):
            ctypes.CDLL("libc.so.6").malloc_trim(0)  # what was given back already is no growth
        return float(psutil.Process().memory_info().rss) / 1e6

    window().close()  # napari's own threads and memory
    # what is imported, compiled and loaded once is no growth
    errors: list[str] = []
    if arguments.warm_up:
        warm = Session(arguments.seed + 1_000_000, folder, window, tell)
        warm.run(arguments.warm_up)
        errors += warm.errors
        del warm
    before, threads = memory(), {thread.ident for thread in threading.enumerate()}
    print(f"memory before: {before:.0f} MB", flush=True)

    def between(done: int) -> None:
        if done % 100 == 0:
            print(f"{done} actions: {memory():.0f} MB, {len(session.errors)} errors", flush=True)

    began = time.monotonic()
    session = Session(arguments.seed, folder, window, tell)
    session.run(arguments.actions, between)
    errors += session.errors
    left = [one.name for one in threading.enumerate() if one.ident not in threads]
    for error in errors:
        print(error)
    print(", ".join(f"{name} {number}" for name, number in sorted(session.counts.items())))
    print(
        f"seed {arguments.seed}: {arguments.actions} actions in {time.monotonic() - began:.0f} s, "
        f"{len(errors)} errors (those of the warm-up included), threads left: {left or 'none'}, "
        f"memory {memory() - before:+.0f} MB"
    )
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
