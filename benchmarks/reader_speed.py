"""Opening and stepping through large stacks: seconds, memory and milliseconds a pattern.

Run with `python benchmarks/reader_speed.py [--folder FOLDER]`.  Makes a 20 GB .npy and a 20 GB HDF5
file that take no room on the disk (sparse; not on Windows), a compressed HDF5 file, a TIFF of
10,000 pages and a folder of 3,000 TIFFs, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

LARGE = (40_000, 512, 512)  # uint16: 21 GB


def sparse_npy(folder: Path) -> Path:
    """21 GB of zeros as .npy, of which nothing is on the disk."""
    path = folder / "large.npy"
    with path.open("wb") as file:
        header = {"descr": "<u2", "fortran_order": False, "shape": LARGE}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + 2 * int(np.prod(LARGE)))
    return path


def sparse_hdf5(folder: Path) -> Path:
    """The same as HDF5."""
    import h5py

    path = folder / "large.h5"
    with h5py.File(path, "w") as file:
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple(LARGE)
        h5py.h5d.create(file.id, b"data", h5py.h5t.NATIVE_UINT16, space, layout)
    return path


def packed_hdf5(folder: Path) -> Path:
    """1,000 noisy patterns, bitshuffle, ten to a chunk."""
    import h5py
    import hdf5plugin

    path = folder / "packed.h5"
    block = np.random.default_rng(0).poisson(2, (100, 512, 512)).astype("u2")
    with h5py.File(path, "w") as file:
        options = {"chunks": (10, 512, 512), **hdf5plugin.Bitshuffle()}
        data = file.create_dataset("entry/data/data", (1000, 512, 512), "u2", **options)
        for start in range(0, 1000, 100):
            data[start : start + 100] = block
    return path


def many_pages(folder: Path) -> Path:
    """10,000 compressed pages, each with its own header."""
    import tifffile

    path = folder / "pages.tif"
    frame = np.random.default_rng(0).poisson(2, (128, 128)).astype("u2")
    with tifffile.TiffWriter(path) as file:
        for _ in range(10_000):
            file.write(frame, contiguous=False, compression="zlib", metadata=None)
    return path


def tiff_folder(folder: Path) -> Path:
    """3,000 TIFFs of 512x512 pixels."""
    import tifffile

    path = folder / "tiffs"
    path.mkdir()
    frame = np.random.default_rng(0).poisson(2, (512, 512)).astype("u2")
    for number in range(3000):
        tifffile.imwrite(path / f"{number:05}.tif", frame)
    return path


CASES = {f.__name__: f for f in (sparse_npy, sparse_hdf5, packed_hdf5, many_pages, tiff_folder)}


def measure(path: Path) -> None:
    """Open, step as napari does, read one after the other; print the figures as JSON."""
    import psutil

    from napari_diffraction.patterns.readers import open_stack

    process = psutil.Process()
    before = process.memory_info().rss
    start, start_cpu = time.perf_counter(), time.process_time()
    stack = open_stack(path)
    opened, opened_cpu = time.perf_counter() - start, time.process_time() - start_cpu
    memory = process.memory_info().rss - before
    times = []
    for index in np.linspace(0, len(stack) - 1, 100).astype(int):
        start = time.perf_counter()
        np.asarray(stack.data[int(index)])
        times.append(1e3 * (time.perf_counter() - start))
    start = time.perf_counter()
    for index in range(300):
        stack.frame(index)
    rate = 300 / (time.perf_counter() - start)
    figures = {
        "patterns": f"{len(stack):,}",
        "size MB": f"{stack.data.nbytes / 1e6:,.0f}",
        "open s": f"{opened:.2f}",
        "of it CPU s": f"{opened_cpu:.2f}",
        "memory MB": f"{memory / 1e6:.0f}",
        "step ms": f"{np.median(times):.1f}",
        "longest ms": f"{max(times):.1f}",
        "patterns/s": f"{rate:,.0f}",
    }
    print(json.dumps(figures))


def main() -> None:
    """Make the inputs and measure each in a fresh process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="where the files are made, for a short time")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure)
        return
    for number, (name, make) in enumerate(CASES.items()):
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            path = make(Path(folder))
            command = [sys.executable, __file__, "--measure", str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        figures = json.loads(done.stdout)
        if number == 0:
            print(f"{'input':13}" + "".join(f"{title:>13}" for title in figures))
        print(f"{name:13}" + "".join(f"{figure:>13}" for figure in figures.values()), flush=True)


if __name__ == "__main__":
    main()
