from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.readers import (
    AmbiguousDatasetError,
    can_read,
    joined,
    open_stack,
)
from napari_diffraction.patterns.readers.natural_order import natural_key


def patterns(n: int = 12) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 200, (n, 16, 24)).astype("u2")


@pytest.fixture
def folder(write) -> Path:
    for number, frame in enumerate(patterns()):
        path = write(".tif", frame, name=f"shot{number}", folder="run42")
    return path.parent


def test_a_folder_is_one_stack_in_natural_order(folder: Path) -> None:
    stack = open_stack(folder)
    assert can_read(folder)
    assert stack.name == "run42"
    np.testing.assert_array_equal(np.asarray(stack.data), patterns())
    assert [Path(stack.source(i)).name for i in (2, 10)] == ["shot2.tif", "shot10.tif"]
    assert stack.event(10) == 0
    assert stack.notes[0] == "12 patterns, 24x16 pixels, uint16, from 12 files."


@pytest.mark.parametrize("kind", [".png", ".bmp", ".img", ".cbf", ".npy", ".mrc"])
def test_folders_of_other_single_images(kind, write) -> None:
    data = patterns(3).astype("u1" if kind in (".png", ".bmp") else "u2")
    for number, frame in enumerate(data):
        path = write(kind, frame[np.newaxis], name=f"{number:03}", folder="run")
    np.testing.assert_array_equal(np.asarray(open_stack(path.parent).data), data)


def test_globs_and_lists(folder: Path) -> None:
    data = patterns()
    by_glob = open_stack(str(folder / "shot1*.tif"))
    assert can_read(str(folder / "shot1*.tif"))
    np.testing.assert_array_equal(np.asarray(by_glob.data), data[[1, 10, 11]])
    by_list = open_stack([folder / "shot5.tif", str(folder / "shot3.tif")])
    np.testing.assert_array_equal(np.asarray(by_list.data), data[[5, 3]])
    assert by_list.name == "shot"
    assert open_stack([folder / "shot5.tif"]).name == "shot5"


def test_brackets_in_the_name_of_a_folder_are_no_wildcards(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = folder.rename(folder.with_name("run[1]?"))
    for name in (odd / "shot1*.tif", odd / "shot[1].tif", odd.parent / "run*" / "shot1.tif"):
        assert can_read(str(name))
        assert len(open_stack(str(name)).data) == (3 if "*.tif" in name.name else 1)
    # another process opens it by its whole name
    monkeypatch.chdir(odd)
    assert len(open_stack("shot1*.tif").reopen()) == 3


def test_natural_order() -> None:
    names = ["b1", "a10", "a9", "A2", "a02x", "a"]
    assert sorted(names, key=natural_key) == ["a", "A2", "a02x", "a9", "a10", "b1"]


def test_a_corrupt_frame_does_not_stop_the_rest(folder: Path) -> None:
    data = patterns()
    (folder / "shot0.tif").write_bytes(b"")
    (folder / "shot7.tif").write_text("not an image")
    stack = open_stack(folder)
    data[[0, 7]] = 0
    np.testing.assert_array_equal(np.asarray(stack.data), data)
    with pytest.raises(InputError, match=r"shot0\.tif is empty"):
        stack.frame(0)
    with pytest.raises(InputError, match=r"shot7\.tif is not a TIFF file but text"):
        stack.frame(7)
    np.testing.assert_array_equal(stack.frame(8), data[8])


def test_if_no_file_is_readable_one_sentence_says_so(folder: Path) -> None:
    for path in folder.iterdir():
        path.write_bytes(b"")
    with pytest.raises(InputError, match=r"run42: none of the first files.*shot0\.tif is empty"):
        open_stack(folder)


def test_different_sizes_name_two_files(folder: Path, write) -> None:
    write(".tif", np.zeros((20, 30), "u2"), name="shot6", folder="run42")
    with pytest.raises(InputError, match=r"shot0\.tif has 24x16.*shot6\.tif has 30x20"):
        open_stack(folder)


def test_what_was_not_checked_on_opening_is_checked_on_reading(
    folder: Path, write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joined, "_CHECK_SECONDS", -1.0)
    write(".tif", np.zeros((20, 30), "u2"), name="shot6", folder="run42")
    write(".tif", np.zeros((3, 16, 24), "u2"), name="shot7", folder="run42")
    write(".tif", np.full((16, 24), 0.5, "f4"), name="shot8", folder="run42")
    stack = open_stack(folder)
    for index, problem in {6: "30x20 pixels", 7: "holds 3 patterns", 8: "float32 values"}.items():
        with pytest.raises(InputError, match=problem):
            stack.frame(index)
    assert not np.asarray(stack.data[6:9]).any()


def test_larger_numbers_than_those_of_the_first_files_do_not_wrap_round(
    write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joined, "_CHECK_SECONDS", -1.0)
    for number in range(3):
        write(".tif", np.full((16, 24), 200, "u1"), name=f"shot{number}", folder="run")
    path = write(".tif", np.full((16, 24), 300, "u2"), name="shot1", folder="run")
    stack = open_stack(path.parent)
    with pytest.raises(InputError, match=r"shot1\.tif holds uint16 values, unlike .*\(uint8\)"):
        stack.frame(1)
    assert (stack.frame(2) == 200).all()


def test_the_check_goes_all_over_the_folder() -> None:
    for count in (1, 2, 3, 8, 100):
        files = [str(i) for i in range(count)]
        assert sorted(joined._all_over(files), key=int) == files
    assert list(joined._all_over([str(i) for i in range(8)]))[:4] == ["0", "4", "2", "6"]


def test_files_of_other_kinds_are_left_out_and_said(folder: Path, write) -> None:
    write(".png", patterns(1).astype("u1"), name="overview", folder="run42")
    (folder / "notes.txt").write_text("x")
    stack = open_stack(folder)
    assert len(stack) == 12
    assert any("1 files of other kinds" in note for note in stack.notes)


def test_two_kinds_in_equal_number_are_not_guessed(write) -> None:
    write(".png", patterns(1).astype("u1"), folder="run")
    path = write(".tif", patterns(1), folder="run")
    with pytest.raises(InputError, match=r"PNG and TIFF files in equal number"):
        open_stack(path.parent)


def test_the_description_of_a_series_is_no_kind_of_its_own(write) -> None:
    data = patterns(3)
    path = write(".ser", data, name="run_1", folder="run")
    path.with_name("run.emi").write_bytes(b"JG\2\0")
    np.testing.assert_array_equal(np.asarray(open_stack(path.parent).data), data)


def test_mixed_number_types_are_kept_exactly(write) -> None:
    write(".tif", np.full((16, 24), 300, "u2"), name="a", folder="run")
    path = write(".tif", np.full((16, 24), 0.5, "f4"), name="b", folder="run")
    stack = open_stack(path.parent)
    assert stack.data.dtype == np.float32
    assert [stack.frame(i)[0, 0] for i in range(2)] == [300, 0.5]


def test_files_of_many_patterns_follow_each_other(write) -> None:
    data = patterns(9)
    for number, part in enumerate(np.split(data, [2, 6])):
        path = write(".h5", part, name=f"part{number}", folder="run")
    stack = open_stack(path.parent)
    np.testing.assert_array_equal(np.asarray(stack.data), data)
    assert [stack.event(i) for i in range(9)] == [0, 1, 0, 1, 2, 3, 0, 1, 2]
    assert Path(stack.source(5)).name == "part1.h5"
    np.testing.assert_array_equal(stack.frame(5), data[5])


def test_the_data_set_is_named_once_for_all_files(tmp_path: Path) -> None:
    import h5py

    for number in range(2):
        with h5py.File(tmp_path / f"run{number}.h5", "w") as file:
            file["a"], file["b"] = patterns(2), patterns(2) + 1
    with pytest.raises(AmbiguousDatasetError, match="a, b; name one"):
        open_stack(tmp_path)
    stack = open_stack(tmp_path, dataset="b")
    np.testing.assert_array_equal(stack.frame(3), patterns(2)[1] + 1)


def test_a_broken_file_among_many_patterns_counts_as_one_unreadable(write) -> None:
    data = patterns(6)
    for number, part in enumerate(np.split(data, 3)):
        path = write(".h5", part, name=f"part{number}", folder="run")
    (path.parent / "part1.h5").write_bytes(b"\x89HDF\r\n\x1a\n broken")
    stack = open_stack(path.parent)
    assert len(stack) == 5
    with pytest.raises(InputError, match=r"part1\.h5"):
        stack.frame(2)
    np.testing.assert_array_equal(stack.frame(3), data[4])


def test_what_is_said_of_one_of_many_files_is_not_lost(write) -> None:
    data = patterns(9)
    for number, part in enumerate(np.split(data, 3)):
        path = write(".npy", part, name=f"part{number}", folder="run")
    for name in ("part1.npy", "part2.npy"):
        content = (path.parent / name).read_bytes()
        (path.parent / name).write_bytes(content[:-1])
    (path.parent / "part3.npy").write_bytes(b"\x93NUMPY broken")
    stack = open_stack(path.parent)
    assert len(stack) == 8
    early = "The file ends early: 2 of 3 patterns are whole, and these are shown."
    assert f"part1.npy and 1 more: {early}" in stack.notes
    broken = "Files that cannot be read count as one pattern each: part3.npy."
    assert broken in stack.notes
    assert early in open_stack([path.parent / "part1.npy", path]).notes


def test_only_some_remarks_on_many_files_are_shown(write) -> None:
    for number in range(14):
        path = write(".npy", patterns(20), name=f"part{number:02}", folder="run")
        content = path.read_bytes()
        path.write_bytes(content[: -1 - number * patterns(1).nbytes])
    stack = open_stack(path.parent)
    assert sum("The file ends early" in note for note in stack.notes) == 10
    assert "4 more remarks on single files are left out." in stack.notes


def test_files_of_different_calibration_are_told(tmp_path: Path) -> None:
    import h5py

    for name, wavelength in (("a", 0.0251), ("b", 0.0197), ("c", 0.0251)):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["entry/data/data"] = patterns(2)
            file.attrs["wavelength"] = wavelength
    told = "The files differ in their calibration: that of a.h5 is taken for all."
    stack = open_stack(tmp_path)
    assert stack.geometry.wavelength == 0.0251
    assert told in stack.notes
    assert told not in open_stack([tmp_path / "a.h5", tmp_path / "c.h5"]).notes


def test_master_files_stand_for_their_data_files(write) -> None:
    import h5py

    data = patterns(4)
    for number, part in enumerate(np.split(data, 2)):
        path = write(".h5", part, name=f"run_data_{number:06}", folder="run")
    with h5py.File(path.parent / "run_master.h5", "w") as file:
        for number in range(2):
            name = f"entry/data/data_{number:06}"
            file[name] = h5py.ExternalLink(f"run_data_{number:06}.h5", "entry/data/data")
    stack = open_stack(path.parent)
    np.testing.assert_array_equal(np.asarray(stack.data), data)


def test_files_beside_those_of_a_master_file_are_told(write) -> None:
    import h5py

    path = write(".h5", patterns(4), name="run_data_000001", folder="run")
    with h5py.File(path.parent / "run_master.h5", "w") as file:
        name = "entry/data/data_000001"
        file[name] = h5py.ExternalLink(path.name, "entry/data/data")
    assert not any("Left out" in note for note in open_stack(path.parent).notes)
    for name in ("other", "third"):
        write(".h5", patterns(2), name=name, folder="run")
    stack = open_stack(path.parent)
    assert len(stack) == 4
    told = "Left out, since they belong to no master or first file: other.h5 and 1 more."
    assert told in stack.notes


def test_only_hdf5_has_master_files(folder: Path, write) -> None:
    write(".tif", patterns(1), name="dark_master", folder="run42")
    assert len(open_stack(folder)) == 13


def test_a_folder_with_one_zarr_store(write) -> None:
    data = patterns(3)
    path = write(".zarr", data, folder="run")
    np.testing.assert_array_equal(np.asarray(open_stack(path.parent).data), data)
    assert can_read(path.parent)


def test_a_zarr_store_of_any_name(write) -> None:
    data = patterns(3)
    path = write(".zarr", data)
    path = path.rename(path.with_suffix(""))
    assert can_read(path)
    np.testing.assert_array_equal(np.asarray(open_stack(path).data), data)


def test_nothing_to_read(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    assert not can_read(tmp_path)
    with pytest.raises(InputError, match=r"holds no file that can be read.*TIFF \(\.tif"):
        open_stack(tmp_path)
    with pytest.raises(InputError, match=r"no file matches .*\*\.tif"):
        open_stack(str(tmp_path / "*.tif"))
    with pytest.raises(InputError, match="no file was named"):
        open_stack([])
