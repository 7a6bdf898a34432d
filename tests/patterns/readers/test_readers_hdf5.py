from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.readers import AmbiguousDatasetError, open_stack


def patterns(n: int = 4, seed: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 200, (n, 16, 24)).astype("u2")


def assert_same(path: Path, data: np.ndarray, dataset: str | None = None) -> None:
    stack = open_stack(path, dataset=dataset)
    np.testing.assert_array_equal(np.asarray(stack.data), data)
    np.testing.assert_array_equal(stack.frame(len(stack) - 1), data[-1])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.h5"


def test_the_biggest_stack_is_found(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["dark"] = patterns(2)
        file["deep/down/here"] = patterns(5)
        file["table"] = np.zeros((10_000, 3))
        file["names"] = np.array([b"a", b"b"])
        file["mean"] = np.zeros((500, 500))
        file["spots"] = np.zeros(5, dtype=[("x", "f4"), ("y", "f4")])
    assert open_stack(path).dataset == "deep/down/here"
    assert_same(path, patterns(5))
    assert "data set deep/down/here" in open_stack(path).notes[0]


@pytest.mark.parametrize("name", ["run.mat", "run.nc", "run", "run.tif"])
def test_hdf5_of_any_name_is_recognised(name: str, path: Path) -> None:
    with h5py.File(path.with_name(name), "w") as file:
        file["data"] = patterns()
    assert_same(path.with_name(name), patterns())
    assert f"{name} is in fact a HDF5 file." in open_stack(path.with_name(name)).notes


def test_equal_stacks_are_not_guessed(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["run/a"] = patterns(seed=1)
        file["run/b"] = patterns(seed=2)
    with pytest.raises(AmbiguousDatasetError, match=r"run/a, run/b; name one with --dataset") as e:
        open_stack(path)
    assert e.value.names == ("run/a", "run/b")
    for name in ("/run/b", "run/b", "b"):
        assert_same(path, patterns(seed=2), name)


def test_a_telling_name_decides_between_equals(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["a/mask"] = patterns(seed=1)
        file["a/images"] = patterns(seed=2)
    assert_same(path, patterns(seed=2))


def test_a_data_set_that_is_not_there(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["run/a"] = patterns()
        file["table"] = np.zeros((50, 3))
    with pytest.raises(InputError, match=r"no data set /run/c: it has run/a\."):
        open_stack(path, dataset="/run/c")
    with pytest.raises(InputError, match=r"table \(float64, shape \(50, 3\)\) holds no images"):
        open_stack(path, dataset="table")


def test_the_default_of_nexus_comes_first(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["entry/raw/frames"] = patterns(9)
        file["entry/small/signal_is_here"] = patterns(3)
        file["entry/other/counts"] = patterns(5)
        file["entry/other"].attrs["signal"] = "counts"
        file["entry/small"].attrs["signal"] = "signal_is_here"
        file.attrs["default"] = "entry"
        file["entry"].attrs["default"] = "small"
    assert_same(path, patterns(3))


def test_cxi_data_comes_before_its_mask_and_links_count_once(path: Path) -> None:
    path = path.with_suffix(".cxi")
    with h5py.File(path, "w") as file:
        file["entry_1/instrument_1/detector_1/data"] = patterns()
        file["entry_1/instrument_1/detector_1/mask"] = patterns(seed=5)
        file["entry_1/data_1/data"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/data")
    assert open_stack(path).dataset == "entry_1/data_1/data"
    assert_same(path, patterns())


def test_external_links(path: Path, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["frames"] = patterns()
    with h5py.File(path, "w") as file:
        file["entry/data/data"] = h5py.ExternalLink("raw.h5", "frames")
    assert_same(path, patterns())
    (tmp_path / "raw.h5").unlink()
    with pytest.raises(InputError, match=r"entry/data/data is a broken link to raw\.h5; put"):
        open_stack(path)


def test_numbered_data_sets_are_one_stack(path: Path) -> None:
    data = patterns(7)
    with h5py.File(path, "w") as file:
        file["entry/data/data_000002"] = data[3:]
        file["entry/data/data_000001"] = data[:3]
        file["entry/data/data_000003"] = h5py.ExternalLink("gone.h5", "data")
    assert_same(path, data)
    assert_same(path, data[3:], "data_000002")
    assert any("gone.h5" in note for note in open_stack(path).notes)


def linked(path: Path, parts: list[np.ndarray]) -> Path:
    """Write a master and its data files, which are numbered from 1."""
    with h5py.File(path, "w") as file:
        for number, part in enumerate(parts, start=1):
            name = f"run_data_{number:06}.h5"
            with h5py.File(path.with_name(name), "w") as other:
                other["data"] = part
            file[f"entry/data/data_{number:06}"] = h5py.ExternalLink(name, "data")
    return path


@pytest.mark.parametrize("gone", [[1], [2], [1, 2]])
def test_a_missing_data_file_does_not_move_the_patterns_behind_it(gone: list, path: Path) -> None:
    data = patterns(7)
    linked(path, np.split(data, [2, 4, 6]))
    for number in gone:
        path.with_name(f"run_data_{number:06}.h5").unlink()
        data[2 * number - 2 : 2 * number] = 0
    stack = open_stack(path)
    np.testing.assert_array_equal(np.asarray(stack.data), data)
    np.testing.assert_array_equal(stack.frame(6), data[6])
    with pytest.raises(InputError, match=rf"run_data_{gone[0]:06}\.h5, which is not there"):
        stack.frame(2 * gone[0] - 1)
    assert sum("Linked data file missing" in note for note in stack.notes) == len(gone)


def test_the_second_of_two_data_files_stays_in_its_place(path: Path) -> None:
    data = patterns(4)
    linked(path, np.split(data, 2)).with_name("run_data_000001.h5").unlink()
    data[:2] = 0
    assert_same(path, data)


def test_numbered_data_sets_are_in_natural_order(path: Path) -> None:
    data = patterns(4)
    with h5py.File(path, "w") as file:
        for number, frame in enumerate(data, start=998):
            file[f"frame_{number}"] = frame[np.newaxis]
    assert_same(path, data)


def virtual(path: Path, parts: list[np.ndarray]) -> None:
    layout = h5py.VirtualLayout((sum(map(len, parts)), *parts[0].shape[1:]), parts[0].dtype)
    start = 0
    for number, part in enumerate(parts):
        with h5py.File(path.parent / f"part{number}.h5", "w") as file:
            file["data"] = part
        layout[start : start + len(part)] = h5py.VirtualSource(
            f"part{number}.h5", "data", part.shape
        )
        start += len(part)
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("entry/data/data", layout)


def test_virtual_data_sets(path: Path) -> None:
    virtual(path, np.split(patterns(6), [2]))
    assert_same(path, patterns(6))


def test_patterns_of_a_missing_virtual_source_are_unreadable(path: Path) -> None:
    data = patterns(6)
    virtual(path, np.split(data, [2]))
    (path.parent / "part0.h5").unlink()
    stack = open_stack(path)
    with pytest.raises(InputError, match=r"part0\.h5, which is not there"):
        stack.frame(1)
    np.testing.assert_array_equal(stack.frame(2), data[2])
    assert any("part0.h5" in note for note in stack.notes)
    data[:2] = 0
    np.testing.assert_array_equal(np.asarray(stack.data), data)
    (path.parent / "part1.h5").unlink()
    with pytest.raises(InputError, match="which is not there; put it into the same folder"):
        open_stack(path)


def test_groups_that_contain_themselves(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["entry/data"] = patterns()
        file["entry/again"] = file["entry"]
        file["entry/up"] = h5py.SoftLink("/")
    assert_same(path, patterns())


def test_all_compressions_in_use(path: Path) -> None:
    import hdf5plugin

    filters = [
        {"compression": "gzip"}, {"compression": "lzf"}, hdf5plugin.Bitshuffle(),
        hdf5plugin.LZ4(), hdf5plugin.Blosc(), hdf5plugin.Zstd(),
    ]  # fmt: skip
    for options in filters:
        with h5py.File(path, "w") as file:
            file.create_dataset("data", data=patterns(), chunks=(2, 16, 24), **options)
        assert_same(path, patterns())


def test_a_chunk_of_many_patterns_is_unpacked_once(path: Path, monkeypatch) -> None:
    data = patterns(40)
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=data, chunks=(10, 16, 24), compression="gzip")
    stack = open_stack(path)
    source = stack.read.source
    calls = []
    original = source.read

    def read(start: int, stop: int) -> np.ndarray:
        calls.append((start, stop))
        return original(start, stop)

    object.__setattr__(source, "read", read)
    for index in range(10, 30):
        np.testing.assert_array_equal(stack.frame(index), data[index])
    assert calls == [(10, 20), (20, 30)]


def test_one_damaged_chunk_spoils_one_pattern(path: Path) -> None:
    data = patterns(6)
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=data, chunks=(1, 16, 24), compression="gzip")
        place = file["data"].id.get_chunk_info(3)
    with path.open("r+b") as file:
        file.seek(place.byte_offset)
        file.write(b"\xff" * place.size)
    stack = open_stack(path)
    with pytest.raises(InputError, match=r"run\.h5 cannot be read"):
        stack.frame(3)
    data[3] = 0
    np.testing.assert_array_equal(np.asarray(stack.data), data)


def test_nothing_to_show(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["spectrum"] = np.zeros(1000)
    with pytest.raises(InputError, match=r"run\.h5 holds no stack of images"):
        open_stack(path)
    with h5py.File(path, "w") as file:
        file.create_dataset("data", (10, 16, 24), "u2")
    with pytest.raises(InputError, match="nothing was ever written to /data"):
        open_stack(path)


@pytest.mark.parametrize("shape", [(40,), (5, 8)])
def test_neighbouring_patterns_are_read_at_once(path: Path, shape: tuple, monkeypatch) -> None:
    data = patterns(40).reshape(*shape, 16, 24)
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=data)
    stack = open_stack(path)
    source, calls = stack.read.source, []
    original = source.read

    def read(start: int, stop: int) -> np.ndarray:
        calls.append((start, stop))
        return original(start, stop)

    object.__setattr__(source, "read", read)
    wanted = [0, 3, 4, 5, 14, 15, 16, 17, 18, 39]
    found = stack.frames(wanted)
    np.testing.assert_array_equal(found, data.reshape(-1, 16, 24)[wanted])
    assert calls == [(0, 1), (3, 6), (14, 19), (39, 40)]


def test_one_unreadable_pattern_does_not_take_its_neighbours_along(path: Path) -> None:
    data = patterns(10)
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=data)
    stack = open_stack(path)
    source = stack.read.source
    original = source.read

    def read(start: int, stop: int) -> np.ndarray:
        if start <= 4 < stop:
            raise OSError("a bad sector")
        return original(start, stop)

    object.__setattr__(source, "read", read)
    found = stack.frames(range(2, 8))
    assert [one is None for one in found] == [False, False, True, False, False, False]
    np.testing.assert_array_equal(found[3], data[5])


@pytest.mark.parametrize("place", ["detector", "detector/detectorSpecific"])
def test_masked_pixels_have_no_value(place: str, path: Path) -> None:
    data = patterns(6)
    mask = np.zeros((16, 24), "u4")
    mask[3, 4], mask[8:10] = 2, 1
    data[:, mask > 0] = 65535
    linked(path, np.split(data, 2))
    with h5py.File(path, "a") as file:
        file[f"entry/instrument/{place}/pixel_mask"] = mask
    stack = open_stack(path)
    expected = np.where(mask > 0, np.nan, data).astype("f4")
    assert stack.data.dtype == np.float32
    np.testing.assert_array_equal(np.asarray(stack.data), expected)
    np.testing.assert_array_equal(stack.frame(4), expected[4])
    assert "The detector masks 49 of 384 pixels, which have no value." in stack.notes


@pytest.mark.parametrize("mask", [np.zeros((16, 24)), np.ones((16, 24)), np.ones((8, 24))])
def test_a_mask_that_says_nothing_or_does_not_fit(mask: np.ndarray, path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["entry/data/data"] = patterns()
        file["entry/instrument/detector/pixel_mask"] = mask.astype("u4")
    assert open_stack(path).data.dtype == np.uint16
    assert_same(path, patterns())


def test_a_scan_that_is_blank_but_for_masked_pixels_is_mentioned(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["entry/data/data"] = np.zeros((2, 3, 16, 24), "u2")
        file["entry/instrument/detector/pixel_mask"] = np.eye(16, 24, dtype="u4")
    assert any("is blank" in note for note in open_stack(path).notes)


@pytest.mark.parametrize("lead", [(3,), (2, 3), ()])
def test_frames_of_matlab_are_not_mirrored(lead, tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 200, (*lead, 16, 24)).astype("u1")
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        # an array of 16 rows and 24 columns lies there as one of 24 rows and 16 columns
        file["patterns"] = data.swapaxes(-1, -2)
        file["patterns"].attrs["MATLAB_class"] = np.bytes_("uint8")
    stack = open_stack(tmp_path / "a.mat")
    expected = data if lead else data[np.newaxis]
    np.testing.assert_array_equal(np.asarray(stack.data), expected)
    np.testing.assert_array_equal(stack.frame(len(stack) - 1), data.reshape(-1, 16, 24)[-1])


@pytest.mark.parametrize("columns", [None, 3])
def test_a_missing_file_of_a_virtual_stack_leaves_those_in_between(columns, path: Path) -> None:
    frames = patterns(12)
    shape = frames.shape if columns is None else (4, columns, *frames.shape[1:])
    grid = frames.reshape(shape)
    layout = h5py.VirtualLayout(shape, frames.dtype)
    for number in range(2):
        part = grid[..., number::2, :, :]
        with h5py.File(path.with_name(f"part{number}.h5"), "w") as file:
            file["data"] = part
        layout[..., number::2, :, :] = h5py.VirtualSource(f"part{number}.h5", "data", part.shape)
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("entry/data/data", layout)
    path.with_name("part1.h5").unlink()
    stack = open_stack(path)
    for index in range(12):
        place = index if columns is None else index % columns
        if place % 2:
            with pytest.raises(InputError, match=r"part1\.h5, which is not there"):
                stack.frame(index)
        else:
            np.testing.assert_array_equal(stack.frame(index), frames[index])
