"""Bad input: each time one sentence that names the file."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.readers import FORMATS, can_read, open_stack
from napari_diffraction.patterns.readers.source import explained

SUFFIXES = sorted({s for row in FORMATS for s in row.suffixes if not row.folder})
UNCOMPRESSED = [".tif", ".npy", ".npz", ".mrc", ".img", ".blo"]


def read_all(path: Path | str) -> None:
    stack = open_stack(path)
    for index in range(len(stack)):
        stack.frame(index)


def problem(path: Path | str) -> str:
    """Open and read all; return the one sentence."""
    with pytest.raises(InputError) as caught:
        read_all(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_empty_files(suffix, tmp_path: Path) -> None:
    path = tmp_path / f"run{suffix}"
    path.touch()
    assert not can_read(path)
    assert problem(path) == f"{path} is empty (zero bytes); copy or record it again."


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_text_of_a_wrong_name(suffix, tmp_path: Path) -> None:
    path = tmp_path / f"run{suffix}"
    path.write_text("These are the notes of a long day at the microscope.\n" * 40)
    message = problem(path)
    assert message.startswith(str(path))
    if suffix == ".tif":
        assert "is not a TIFF file but text" in message


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_bytes_without_meaning(suffix, tmp_path: Path) -> None:
    path = tmp_path / f"run{suffix}"
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    assert str(path) in problem(path)


@pytest.mark.parametrize("kind", UNCOMPRESSED)
def test_a_single_pattern_cut_short_is_refused(kind, write) -> None:
    path = write(kind, np.ones((1, 32, 32), "u1" if kind == ".blo" else "u2"))
    path.write_bytes(path.read_bytes()[:-300])
    message = problem(path)
    assert str(path) in message
    if kind != ".npz":  # what a cut archive held cannot be told
        assert "is cut short or damaged: its header promises" in message


def test_missing_path(tmp_path: Path) -> None:
    path = tmp_path / "gone.tif"
    assert not can_read(path)
    assert problem(path) == f"{path} does not exist; check the name."


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_broken_symbolic_link(tmp_path: Path) -> None:
    path = tmp_path / "link.tif"
    path.symlink_to(tmp_path / "gone.tif")
    assert problem(path).startswith(str(path))


def test_unknown_ending(tmp_path: Path) -> None:
    path = tmp_path / "run.xyz"
    path.write_bytes(b"\x01\x02" * 100)
    assert not can_read(path)
    message = problem(path)
    assert f"{path} is of no known format; what can be read: TIFF (.tif" in message
    assert ".tvips" in message


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may read all")
def test_no_permission(write) -> None:
    path = write(".tif", np.zeros((2, 16, 16), "u1"))
    path.chmod(0)
    assert "may not be read" in problem(path)


def test_permission_is_told_from_damage() -> None:
    with (
        pytest.raises(InputError, match=r"x\.tif may not be read: ask its owner"),
        explained("x.tif"),
    ):
        raise PermissionError(13, "denied", "x.tif")


def test_long_and_many_lined_reasons_become_one_sentence() -> None:
    with pytest.raises(InputError) as caught, explained("x.tif", "TIFF"):
        raise ValueError("first   line.\nsecond line " + "x" * 500)
    assert str(caught.value) == (
        "x.tif cannot be read as TIFF (first line): it may be damaged or cut short."
    )


def test_missing_optional_package(write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(".dm4", np.ones((2, 32, 32), "u2"))
    monkeypatch.setitem(sys.modules, "rsciio", None)
    assert 'pip install "napari-diffraction[em]"' in problem(path)


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "sprung"),))

    array = np.empty((16, 16), object)
    array[:] = Trap()
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    np.savez(tmp_path / "a.npz", patterns=array)
    for name in ("a.npy", "a.npz"):
        assert "Python objects, which are not read for safety" in problem(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_complex_numbers_are_no_patterns(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 16, 16), complex))
    assert "holds no stack of images" in problem(tmp_path / "a.npy")


def test_absurd_sizes_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    import zlib

    from PIL import Image

    picture = tmp_path / "bomb.png"
    Image.fromarray(np.zeros((16, 16), "u1")).save(picture)
    content = bytearray(picture.read_bytes())
    content[16:24] = (40_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    picture.write_bytes(content)
    assert str(picture) in problem(picture)
    zarr = pytest.importorskip("zarr")
    zarr.create_array(tmp_path / "a.zarr", shape=(9, 10**6, 10**6), chunks=(1, 9, 9), dtype="u1")
    assert "its header is damaged" in problem(tmp_path / "a.zarr")
    zarr.create_array(tmp_path / "b.zarr", shape=(10**9, 16, 16), chunks=(1, 9, 9), dtype="u1")
    assert "declares 1,000,000,000 patterns" in problem(tmp_path / "b.zarr")


def test_frames_without_any_signal_are_read(write) -> None:
    for value in (np.nan, 0.0, 65535.0):
        data = np.full((2, 16, 16), value, "f4")
        stack = open_stack(write(".npy", data, name=f"v{value}"))
        np.testing.assert_array_equal(stack.frame(1), data[1])


@pytest.mark.parametrize("side", ["0", "-28"])
def test_smv_of_no_size(side, write) -> None:
    path = write(".img", np.ones((1, 20, 28), "u2"))
    path.write_bytes(path.read_bytes().replace(b"SIZE1=28", f"SIZE1={side}".encode()))
    assert "SMV header is damaged" in problem(path)
