"""Links, virtual data sets and plain bytes that lead out of the folder of an HDF5 file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.readers import open_stack

SECRET = np.arange(3 * 16 * 16, dtype="u1").reshape(3, 16, 16)
REFUSED = r"outside of this file's folder; if you trust it, set .* NAPARI_DIFFRACTION_LINKS="

Lead = Callable[[h5py.File, Path], None]


def by_bytes(file: h5py.File, target: Path) -> None:
    file.create_dataset("data", (3, 16, 16), "u1", external=[(str(target / "a.bin"), 0, 768)])


def by_link(file: h5py.File, target: Path) -> None:
    file["data"] = h5py.ExternalLink(str(target / "a.h5"), "data")


def by_relative_link(file: h5py.File, target: Path) -> None:
    name = os.path.relpath(target / "a.h5", Path(file.filename).parent)
    file["data"] = h5py.ExternalLink(name, "data")


def by_virtual(file: h5py.File, target: Path) -> None:
    layout = h5py.VirtualLayout((3, 16, 16), "u1")
    layout[:] = h5py.VirtualSource(str(target / "a.h5"), "data", (3, 16, 16))
    file.create_virtual_dataset("data", layout)


def by_virtual_of_bytes(file: h5py.File, target: Path) -> None:
    beside = Path(file.filename).with_name("beside.h5")
    with h5py.File(beside, "w") as other:
        by_bytes(other, target)
    layout = h5py.VirtualLayout((3, 16, 16), "u1")
    layout[:] = h5py.VirtualSource("beside.h5", "data", (3, 16, 16))
    file.create_virtual_dataset("data", layout)


def by_two_links(file: h5py.File, target: Path) -> None:
    beside = Path(file.filename).with_name("beside.h5")
    with h5py.File(beside, "w") as other:
        by_link(other, target)
    file["data"] = h5py.ExternalLink("beside.h5", "data")


def by_link_to_bytes(file: h5py.File, target: Path) -> None:
    beside = Path(file.filename).with_name("beside.h5")
    with h5py.File(beside, "w") as other:
        by_bytes(other, target)
    file["data"] = h5py.ExternalLink("beside.h5", "data")


LEADS = [
    by_bytes, by_link, by_relative_link, by_virtual, by_virtual_of_bytes, by_two_links,
    by_link_to_bytes,
]  # fmt: skip


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "a.bin").write_bytes(SECRET.tobytes())
    with h5py.File(folder / "a.h5", "w") as file:
        file["data"] = SECRET
    return folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here" / "x.h5"


@pytest.mark.parametrize("lead", LEADS)
def test_refused_unless_allowed(lead: Lead, elsewhere, path, monkeypatch) -> None:
    with h5py.File(path, "w") as file:
        lead(file, elsewhere)
    with pytest.raises(InputError, match=REFUSED) as caught:
        open_stack(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    with pytest.raises(InputError, match=REFUSED):
        open_stack(path, "data")
    monkeypatch.setenv("NAPARI_DIFFRACTION_LINKS", "anywhere")
    np.testing.assert_array_equal(open_stack(path).data, SECRET)


@pytest.mark.parametrize("lead", LEADS)
def test_within_the_folder_all_is_well(lead: Lead, path: Path) -> None:
    inner = path.parent / "inner"
    inner.mkdir()
    (inner / "a.bin").write_bytes(SECRET.tobytes())
    with h5py.File(inner / "a.h5", "w") as file:
        file["data"] = SECRET
    with h5py.File(path, "w") as file:
        lead(file, inner)
    np.testing.assert_array_equal(open_stack(path).data, SECRET)


def test_a_symbolic_link_does_not_help(elsewhere: Path, path: Path) -> None:
    try:
        (path.parent / "a.bin").symlink_to(elsewhere / "a.bin")
    except OSError:
        pytest.skip("links need rights")
    with h5py.File(path, "w") as file:
        by_bytes(file, path.parent)
    with pytest.raises(InputError, match=REFUSED):
        open_stack(path)


def test_plain_bytes_of_the_working_directory(elsewhere: Path, path: Path, monkeypatch) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("data", (3, 16, 16), "u1", external=[("a.bin", 0, 768)])
    monkeypatch.chdir(elsewhere)
    with pytest.raises(InputError, match=REFUSED):
        open_stack(path)


def test_what_is_in_the_file_is_shown_and_the_rest_is_told(elsewhere: Path, path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["images"] = SECRET[:, ::-1]
        by_link(file, elsewhere)
    stack = open_stack(path)
    np.testing.assert_array_equal(stack.data, SECRET[:, ::-1])
    assert any("1 data set outside of this file's folder is left out" in n for n in stack.notes)


def test_an_absolute_link_to_a_file_that_lies_beside(elsewhere: Path, path: Path) -> None:
    # files that were moved together: HDF5 itself tries the name alone
    with h5py.File(path, "w") as file:
        by_link(file, elsewhere)
    (elsewhere / "a.h5").rename(path.parent / "a.h5")
    np.testing.assert_array_equal(open_stack(path).data, SECRET)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_a_pipe_is_not_waited_for(path: Path) -> None:
    os.mkfifo(path.parent / "pipe.h5")
    with h5py.File(path, "w") as file:
        file["data"] = h5py.ExternalLink("pipe.h5", "data")
    with pytest.raises(InputError, match="broken link"):
        open_stack(path)
