"""Files are written as a whole or not at all, and a person is told why."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest

from napari_diffraction import files
from napari_diffraction.errors import InputError
from napari_diffraction.files import replacing, replacing_hdf5


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file grow beyond some bytes, which libraries meet like a full disk."""
    resource = pytest.importorskip("resource", reason="limits need a Unix system")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_the_new_file_takes_the_place_of_the_old(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == tmp_path
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(
    ("error", "told", "sentence"),
    [
        (OSError(errno.ENOSPC, "x"), InputError, "a.txt cannot be written: the disk is full"),
        (OSError(errno.EIO, "odd"), InputError, "a.txt cannot be written: odd; choose another"),
        (OSError("9 requested and 2 written"), InputError, "the disk is full"),
        (RuntimeError("Can't close (errno = 28, ...)"), InputError, "the disk is full"),
        (RuntimeError("a bug"), RuntimeError, "a bug"),
        (ValueError("a bug"), ValueError, "a bug"),
        (KeyboardInterrupt(), KeyboardInterrupt, None),
    ],
)
def test_the_old_file_outlives_a_failure(
    tmp_path: Path, error: BaseException, told: type[BaseException], sentence: str | None
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(told, match=sentence):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_places_where_nothing_can_be_written(tmp_path: Path) -> None:
    for path, sentence in (
        (tmp_path / "none" / "a.txt", "the folder does not exist"),
        (tmp_path / "file" / "a.txt", "the folder does not exist"),
        (tmp_path / "folder", "a folder has this name"),
    ):
        (tmp_path / "file").touch()
        (tmp_path / "folder").mkdir(exist_ok=True)
        with pytest.raises(InputError, match=sentence), replacing(path) as temporary:
            temporary.write_text("x")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_hdf5_is_written_like_any_other(tmp_path: Path) -> None:
    images = np.arange(600, dtype=np.uint16).reshape(6, 10, 10)
    with replacing_hdf5(tmp_path / "a.h5") as file:
        file.create_dataset("entry/data", data=images, chunks=(1, 10, 10), compression="gzip")
        file.attrs["text"] = "kept"
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["entry/data"][:], images)
        assert file.attrs["text"] == "kept"
    assert os.listdir(tmp_path) == ["a.h5"]


@pytest.mark.skipif(sys.platform == "win32", reason="limits need a Unix system")
@pytest.mark.parametrize("memory", [1 << 26, 0])
@pytest.mark.parametrize("room", [0, 100, 3000, 10_000, 50_000, 200_000, 350_000])
def test_hdf5_on_a_full_disk(
    tmp_path: Path,
    room: int,
    memory: int,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One sentence, where HDF5 by itself prints pages and crashes on texts or on closing."""
    monkeypatch.setattr(files, "_MEMORY", memory)
    (tmp_path / "a.h5").write_bytes(b"old")
    noise = np.random.default_rng(0).integers(0, 255, (20, 128, 128), dtype=np.uint8)

    def write() -> None:
        with largest_file(room), replacing_hdf5(tmp_path / "a.h5") as file:
            file.create_dataset("a", data=noise, chunks=(1, 128, 128), compression="gzip")
            for number in range(20):
                file.create_dataset(f"table/{number}", data=np.arange(1000.0), compression="gzip")
                texts = np.array(["text"] * 50, dtype=h5py.string_dtype())
                file.create_dataset(f"texts/{number}", data=texts)
            file["texts"].attrs["columns"] = [str(number) for number in range(20)]

    with pytest.raises(InputError, match=r"a\.h5 cannot be written: the file would be too large"):
        write()
    assert (tmp_path / "a.h5").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.h5"]
    assert capfd.readouterr().err == ""


def test_an_error_of_the_writer_passes_through_hdf5(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to write"), replacing_hdf5(tmp_path / "a.h5"):
        raise InputError("There is nothing to write.")
    with pytest.raises(ValueError, match="a bug"), replacing_hdf5(tmp_path / "a.h5"):
        raise ValueError("a bug")
    assert os.listdir(tmp_path) == []
