"""Scans that were stopped, or went on: every whole pattern is kept, and what is odd is told."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.patterns.readers.grids import fit_grid
from napari_diffraction.patterns.stack import PatternStack


def patterns(n: int, dtype: str = "u2") -> np.ndarray:
    return np.random.default_rng(n).integers(1, 200, (n, 32, 32)).astype(dtype)


def whole(stack: PatternStack) -> dict[int, np.ndarray]:
    """Return the patterns that can be read, by their number."""
    found = {}
    for index in range(len(stack)):
        try:
            found[index] = stack.frame(index)
        except InputError as error:
            if "never recorded" not in str(error):
                raise
    return found


def check(stack: PatternStack, shape: tuple[int, ...], data: np.ndarray, note: str) -> None:
    assert stack.data.shape[:-2] == shape
    found = whole(stack)
    assert sorted(found) == list(range(len(data)))
    np.testing.assert_array_equal(list(found.values()), data)
    assert any(note in line for line in stack.notes), stack.notes
    # what is shown of a pattern that is not there is blank
    shown = np.asarray(stack.data).reshape(-1, 32, 32)
    np.testing.assert_array_equal(shown[: len(data)], data)
    assert not shown[len(data) :].any()


@pytest.mark.parametrize(
    ("count", "rows", "columns", "grid", "words"),
    [
        (8, 2, 4, (2, 4), ""),
        (7, 2, 4, (2, 4), "ends early: 7 of 2 x 4"),
        (4, 2, 4, (1, 4), "ends early"),
        (1, 2, 4, (1, 4), "ends early"),
        (9, 2, 4, (2, 4), "followed by 1 more pattern, which is left over"),
        (11, 2, 4, (2, 4), "followed by 3 more patterns, which are left over"),
        (12, 2, 4, None, "promises 2 x 4 points but there are 12"),
        (2, 1, 41, None, "promises"),
        (5, 0, 4, None, ""),
    ],
)
def test_grids(count, rows, columns, grid, words) -> None:
    found, note = fit_grid(count, rows, columns)
    assert found == grid
    assert words in note
    assert bool(words) == bool(note)


# --- Merlin


def merlin(
    path: Path, data: np.ndarray, *, total: int = 8, trigger: int = 1, row: int = 4, rest: int = 0
) -> Path:
    """Frames 1 ms apart, 20 us more at the end of a row, and bytes of one more frame."""
    kinds = {1: "U08", 2: "U16", 4: "U32"}
    time = 0
    with path.open("wb") as file:
        for number, frame in enumerate(data, 1):
            head = (
                (
                    f"MQ1,{number:06d},00384,01,0032,0032,{kinds[frame.itemsize]},   1x1,01,"
                    "2021-05-07 18:51:10.905800,0.100000,0,0,0,1.0E+1,3RX,068,511,MQ1A,"
                    f"2021-05-07T18:51:10.{time:09d}Z,100000000ns,6"
                )
                .encode()
                .ljust(384)
            )
            content = head + frame[::-1].astype(f">u{frame.itemsize}").tobytes()
            file.write(content)
            time += 1_000_000 + number % 3 + (20_000 if number % row == 0 else 0)
        file.write(content[:rest])
    path.with_suffix(".hdr").write_text(
        f"HDR,\t\nFrames in Acquisition (Number):\t{total}\n"
        f"Frames per Trigger (Number):\t{trigger}\nEnd\t\n"
    )
    return path


def test_merlin_film_of_one_trigger_is_no_scan(tmp_path: Path) -> None:
    data = patterns(8)
    stack = open_stack(merlin(tmp_path / "a.mib", data, trigger=8))
    assert stack.data.shape == data.shape
    np.testing.assert_array_equal(np.asarray(stack.data), data)


@pytest.mark.parametrize("trigger", [1, 4])
def test_merlin_scan_that_was_stopped(trigger, tmp_path: Path) -> None:
    data = patterns(7)
    stack = open_stack(merlin(tmp_path / "a.mib", data, trigger=trigger))
    check(stack, (2, 4), data, "The scan ends early: 7 of 2 x 4 points were recorded")


@pytest.mark.parametrize("trigger", [1, 4])
def test_merlin_scan_that_ends_within_a_frame(trigger, tmp_path: Path) -> None:
    data = patterns(7)
    stack = open_stack(merlin(tmp_path / "a.mib", data, trigger=trigger, rest=1000))
    check(stack, (2, 4), data, "The last pattern is not whole and is left out.")


@pytest.mark.parametrize("trigger", [1, 4])
def test_merlin_scan_with_a_frame_too_many(trigger, tmp_path: Path) -> None:
    data = patterns(9)
    stack = open_stack(merlin(tmp_path / "a.mib", data, trigger=trigger))
    check(stack, (2, 4), data[:8], "followed by 1 more pattern, which is left over")


def test_merlin_scan_of_many_rows_by_time(tmp_path: Path) -> None:
    data = patterns(20, "u1")
    stack = open_stack(merlin(tmp_path / "a.mib", data, total=20, row=5))
    assert stack.data.shape[:2] == (4, 5)
    np.testing.assert_array_equal(whole(stack)[19], data[19])


def test_merlin_pauses_that_are_not_regular_make_no_scan(tmp_path: Path) -> None:
    path = merlin(tmp_path / "a.mib", patterns(20), total=20, row=5)
    content = path.read_bytes()
    # one pause in the middle of a row
    late = content[384 + 2048 :].replace(b"18:51:10.", b"18:51:11.")
    path.write_bytes(content[: 384 + 2048] + late)
    assert open_stack(path).data.shape[0] == 20


def test_merlin_list_of_another_length_than_promised(tmp_path: Path) -> None:
    data = patterns(7)
    stack = open_stack(merlin(tmp_path / "a.mib", data, total=9, row=100))
    check(stack, (7,), data, "The header promises 9 patterns and 7 are there.")


def test_merlin_raw_numbers_are_refused(tmp_path: Path) -> None:
    path = merlin(tmp_path / "a.mib", patterns(2))
    path.write_bytes(path.read_bytes().replace(b"U16", b"R64"))
    with pytest.raises(InputError, match="holds R64 numbers"):
        open_stack(path)


# --- the other formats


@pytest.mark.parametrize("kind", [".npy", ".mrc", ".tif", ".ser"])
def test_stacks_cut_short(kind, write) -> None:
    data = patterns(6)
    path = write(kind, data)
    content = path.read_bytes()
    # pages are described, and series tagged, behind the patterns
    last = content.rindex(data[-1, :: -1 if kind == ".ser" else 1].tobytes())
    path.write_bytes(content[: last + 100])
    check(open_stack(path), (5,), data[:5], "5 of 6 patterns")


@pytest.mark.parametrize("kind", ["_000.tvips", ".up2"])
def test_recordings_without_a_count_say_that_the_last_is_not_whole(kind, write, tmp_path) -> None:
    data = patterns(6)
    if kind == ".up2":
        path = tmp_path / "run.up2"
        path.write_bytes(struct.pack("<4I", 1, 32, 32, 16) + data.tobytes())
    else:
        path = write(".tvips", data, name="run_000")
    path.write_bytes(path.read_bytes()[:-100])
    check(open_stack(path), (5,), data[:5], "The last pattern is not whole and is left out.")


@pytest.mark.parametrize("kind", [".npy", ".blo", ".mrc", ".tif"])
def test_scans_cut_short(kind, write) -> None:
    data = patterns(12, "u1" if kind == ".blo" else "u2")
    if kind == ".blo":
        path = write(kind, data)
        content = bytearray(path.read_bytes())
        content[24:28] = struct.pack("<HH", 4, 3)
        path.write_bytes(content)
    elif kind == ".mrc":
        mrcfile = pytest.importorskip("mrcfile")
        path = write(".npy", data).with_suffix(".mrc")
        with mrcfile.new(path) as file:
            file.set_data(data.reshape(3, 4, 32, 32))
    else:
        path = write(kind, data.reshape(3, 4, 32, 32))
    content = path.read_bytes()
    last = content.rindex(data[10].tobytes())
    path.write_bytes(content[: last + 100])
    check(open_stack(path), (3, 4), data[:10], "The scan ends early: 10 of 3 x 4 points")


@pytest.mark.parametrize("kind", [".npy", ".mrc"])
def test_patterns_behind_the_last_are_told(kind, write) -> None:
    data = patterns(4)
    path = write(kind, data)
    with path.open("ab") as file:
        file.write(data[:2].tobytes())
    check(open_stack(path), (4,), data, "holds 2 more, which are left over")


@pytest.mark.parametrize("metadata", [None, {}])
def test_pages_whose_chain_breaks_off(metadata, tmp_path: Path) -> None:
    data = patterns(6)
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        for frame in data:
            file.write(frame, contiguous=False, metadata=metadata)
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(data[3].tobytes()) + 2048 + 10])
    stack = open_stack(path)
    kept = whole(stack)
    assert len(kept) >= 3
    for index, frame in kept.items():
        np.testing.assert_array_equal(frame, data[index])
    assert any("breaks off" in note for note in stack.notes)


def test_series_of_which_fewer_are_valid(write) -> None:
    data = patterns(6)
    path = write(".ser", data)
    content = bytearray(path.read_bytes())
    content[18:22] = struct.pack("<I", 4)
    path.write_bytes(content)
    check(open_stack(path), (4,), data[:4], "4 of 6 patterns were recorded")


def test_parts_of_a_recording(write, tmp_path: Path) -> None:
    data = patterns(5)
    path = write(".tvips", data[:3], name="run_000")
    content = path.read_bytes()
    frames = content[256:]
    size = len(frames) // 3
    other = write(".tvips", data[3:], name="other_000").read_bytes()[256:]
    (tmp_path / "run_001.tvips").write_bytes(other[: size + 200])
    stack = open_stack(path)
    check(stack, (4,), data[:4], "The last pattern is not whole")


# --- HDF5


def test_chunks_that_were_never_written(tmp_path: Path) -> None:
    data = patterns(8).reshape(2, 4, 32, 32)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        scan = file.create_dataset("entry/data/data", data.shape, "u2", chunks=(1, 1, 32, 16))
        for index in range(7):
            scan[divmod(index, 4)] = data[divmod(index, 4)]
        scan[1, 3, :, :16] = 1
    stack = open_stack(tmp_path / "a.h5")
    check(stack, (2, 4), data.reshape(8, 32, 32)[:7], "1 of 8 patterns were never recorded.")


def test_chunks_of_several_patterns(tmp_path: Path) -> None:
    data = patterns(9)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        stack = file.create_dataset("data", data.shape, "u2", chunks=(4, 32, 32))
        stack[:4] = data[:4]
        stack[8:] = data[8:]
    stack = open_stack(tmp_path / "a.h5")
    assert sorted(whole(stack)) == [0, 1, 2, 3, 8]
    assert any("4 of 9 patterns were never recorded." in note for note in stack.notes)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a program that is killed")
def test_a_file_whose_program_was_killed(tmp_path: Path) -> None:
    data, path = patterns(4), tmp_path / "a.h5"
    child = os.fork()
    if child == 0:
        file = h5py.File(path, "w", libver="latest")
        stack = file.create_dataset("data", (6, 32, 32), "u2", chunks=(1, 32, 32))
        file.swmr_mode = True
        stack[:4] = data
        file.flush()
        os._exit(9)
    os.waitpid(child, 0)
    check(open_stack(path), (6,), data, "2 of 6 patterns were never recorded.")


def test_missing_sources_of_a_virtual_scan(tmp_path: Path) -> None:
    data = patterns(8)
    layout = h5py.VirtualLayout((2, 4, 32, 32), "u2")
    for row in range(2):
        with h5py.File(tmp_path / f"row{row}.h5", "w") as file:
            file["data"] = data[4 * row : 4 * row + 4]
        layout[row] = h5py.VirtualSource(f"row{row}.h5", "data", (4, 32, 32))
    with h5py.File(tmp_path / "master.h5", "w") as file:
        file.create_virtual_dataset("data", layout)
    (tmp_path / "row1.h5").unlink()
    stack = open_stack(tmp_path / "master.h5")
    np.testing.assert_array_equal(stack.frame(3), data[3])
    with pytest.raises(InputError, match=r"links to row1\.h5, which is not there"):
        stack.frame(4)


@pytest.mark.parametrize(
    ("shape", "scan"),
    [
        ((1, 2, 3), (2, 3)),
        ((2, 1, 3), (2, 3)),
        ((2, 3, 1), (2, 3)),
        ((1, 1, 6), (1, 6)),
        ((1, 6), (1, 6)),
        ((2, 2, 3), (12,)),
    ],
)
@pytest.mark.parametrize("kind", [".npy", ".h5", ".zarr"])
def test_axes_of_length_1_do_not_hide_a_scan(shape, scan, kind, tmp_path: Path) -> None:
    data = patterns(int(np.prod(shape))).reshape(*shape, 32, 32)
    path = tmp_path / f"a{kind}"
    if kind == ".npy":
        np.save(path, data)
    elif kind == ".h5":
        with h5py.File(path, "w") as file:
            file["data"] = data
    else:
        zarr = pytest.importorskip("zarr")
        zarr.save_array(path, data)
    stack = open_stack(path)
    assert stack.data.shape[:-2] == scan
    np.testing.assert_array_equal(np.asarray(stack.data).reshape(data.shape), data)
