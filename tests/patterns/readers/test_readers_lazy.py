"""A stack of 20 GB, of which nothing is on the disk, opens at once and in little memory."""

from __future__ import annotations

import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from napari_diffraction.patterns.readers import open_stack

SHAPE = (40_000, 512, 512)  # uint16: 21 GB
BYTES = 2 * int(np.prod(SHAPE))


def sparse_npy(folder: Path) -> Path:
    with (folder / "run.npy").open("wb") as file:
        header = {"descr": "<u2", "fortran_order": False, "shape": SHAPE}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + BYTES)
    return folder / "run.npy"


def sparse_hdf5(folder: Path) -> Path:
    with h5py.File(folder / "run.h5", "w") as file:
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple(SHAPE)
        h5py.h5d.create(file.id, b"data", h5py.h5t.NATIVE_UINT16, space, layout)
    return folder / "run.h5"


def sparse_mrc(folder: Path) -> Path:
    import mrcfile

    path = folder / "run.mrc"
    with mrcfile.new_mmap(path, SHAPE[-2:], mrc_mode=6):
        pass
    content = bytearray(path.read_bytes()[:1024])
    content[8:12] = SHAPE[0].to_bytes(4, "little")
    with path.open("wb") as file:
        file.write(content)
        file.truncate(1024 + BYTES)
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="files on Windows are not sparse")
@pytest.mark.parametrize("make", [sparse_npy, sparse_hdf5, sparse_mrc])
def test_twenty_gigabytes(make: Callable[[Path], Path], tmp_path: Path) -> None:
    path = make(tmp_path)
    assert path.stat().st_size >= BYTES
    tracemalloc.start()
    start = time.process_time()
    stack = open_stack(path)
    opened = time.process_time() - start
    start = time.process_time()
    for index in range(0, 40_000, 4000):
        assert np.asarray(stack.data[index]).shape == (512, 512)
        assert stack.frame(index).shape == (512, 512)
    step = (time.process_time() - start) / 20
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(stack) == 40_000
    assert opened < 2.0
    assert step < 0.1
    assert peak < 100e6


def test_a_long_folder_is_not_read_on_opening(write, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_diffraction.patterns.readers import joined

    frame = np.ones((16, 16), "u1")
    path = write(".npy", frame, folder="run")
    for number in range(1000):
        (path.parent / f"{number}.npy").hardlink_to(path)
    opened = []
    original = joined.open_source
    monkeypatch.setattr(joined, "open_source", lambda *a: opened.append(a) or original(*a))
    monkeypatch.setattr(joined, "_CHECK_SECONDS", 0.02)
    stack = open_stack(path.parent)
    assert len(stack) == 1001
    assert len(opened) < 1000
