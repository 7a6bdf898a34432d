"""Damaged files of every format give a stack or one sentence, quickly and in little memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.readers import open_stack

KINDS = [
    ".tif", "pages.tif", ".png", ".bmp", ".h5", ".zarr", "v2.zarr", ".npy", ".npz", "packed.npz",
    ".mrc", ".img", ".cbf", ".mib", ".blo", ".dm3", ".dm4", ".ser", ".tvips", ".hspy", ".zspy",
    ".emd",
]  # fmt: skip
BYTES_ONLY = {".png", ".bmp", ".blo"}
SINGLE = {".png", ".bmp", ".img", ".cbf"}
# Libraries take some memory for themselves, whatever the file.
FIXED_BYTES = 8 * 2**20

Damage = Callable[[bytes], bytes]


def cut(place: float) -> Damage:
    return lambda content: content[: int(place * len(content))]


def change(spots: list[tuple[float, int]]) -> Damage:
    def damage(content: bytes) -> bytes:
        changed = bytearray(content)
        for place, value in spots:
            changed[int(place * (len(changed) - 1))] = value
        return bytes(changed)

    return damage


# Changed bytes in their texts can crash the HDF5 library, which rosettasciio reads first of all.
ONLY_CUT = {".emd"}
# headers, where it hurts, are at the beginning
place = st.one_of(st.floats(0, 0.08), st.floats(0, 1))
cuts = st.floats(0, 0.999).map(cut)
changes = st.lists(st.tuples(place, st.integers(0, 255)), min_size=1, max_size=12).map(change)


def read_all(path: Path) -> None:
    stack = open_stack(path)
    for index in range(min(len(stack), 4)):
        try:
            pattern = stack.frame(index)
        except InputError:
            continue
        assert pattern.shape == stack.frame_shape
        assert pattern.dtype == stack.data.dtype
    assert np.asarray(stack.data[(0,) * (stack.data.ndim - 2)]).shape == stack.frame_shape


@pytest.mark.timeout(200)  # no hang
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files(kind: str, write: Callable[..., Path]) -> None:
    data = np.random.default_rng(0).integers(0, 200, (1 if kind in SINGLE else 3, 64, 64))
    path = write(kind, data.astype("u1" if kind in BYTES_ONLY else "u2"), name="run_000")
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    contents = [file.read_bytes() for file in files]
    read_all(path)  # what is imported on first use is not counted below

    @settings(
        max_examples=25,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, len(files) - 1), cuts if kind in ONLY_CUT else st.one_of(cuts, changes))
    def damage_and_read(number: int, damage: Damage) -> None:
        files[number].write_bytes(damage(contents[number]))
        tracemalloc.start()
        try:
            read_all(path)
        except InputError as error:
            message = str(error)
            assert "\n" not in message
            assert path.name in message
        finally:
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            files[number].write_bytes(contents[number])
        assert peak < FIXED_BYTES + 10 * sum(map(len, contents))

    damage_and_read()
