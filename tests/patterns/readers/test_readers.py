from __future__ import annotations

import sys
from multiprocessing import Pipe
from pathlib import Path

import numpy as np
import pytest

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.readers import FORMATS, can_read, open_stack
from napari_diffraction.patterns.stack import PatternStack

STACKS = [
    ".tif", "pages.tif", ".h5", ".zarr", "v2.zarr", ".npy", ".npz", "packed.npz", ".mrc", ".mib",
    ".dm3", ".dm4", ".ser", ".hspy", ".zspy", ".emd",
]  # fmt: skip
SINGLES = [".png", ".bmp", ".img", ".cbf"]


def patterns(n: int = 5, h: int = 20, w: int = 28, dtype: str = "u2") -> np.ndarray:
    values = np.random.default_rng(0).integers(0, 200, (n, h, w))
    return values.astype(dtype)


def assert_same(stack: PatternStack, data: np.ndarray) -> None:
    flat = data.reshape(-1, *data.shape[-2:])
    assert len(stack) == len(flat)
    np.testing.assert_array_equal(np.asarray(stack.data), data)
    for index in range(len(flat)):
        np.testing.assert_array_equal(stack.frame(index), flat[index])


@pytest.mark.parametrize("kind", STACKS)
def test_a_stack_is_read_as_written(kind, write) -> None:
    data = patterns()
    path = write(kind, data)
    stack = open_stack(path)
    assert can_read(path)
    assert stack.name.startswith("run")
    assert not stack.is_scan
    assert stack.source(3) == str(path)
    assert stack.event(3) == 3
    assert stack.data.dtype == stack.frame(0).dtype
    assert_same(stack, data)


@pytest.mark.parametrize("kind", SINGLES)
def test_a_single_image_is_a_stack_of_one(kind, write) -> None:
    data = patterns(1, dtype="u1" if kind in (".png", ".bmp") else "u2")
    path = write(kind, data)
    assert can_read(path)
    assert_same(open_stack(path), data)


def test_tvips_is_read_as_written(write) -> None:
    data = patterns(h=20, w=20)
    stack = open_stack(write(".tvips", data, name="run_000"))
    assert_same(stack, data)


def test_blockfile_is_a_scan(write) -> None:
    data = patterns(3, 20, 20, "u1")
    assert_same(open_stack(write(".blo", data)), data.reshape(3, 1, 20, 20))


@pytest.mark.parametrize("kind", [".tif", ".npy", ".npz", ".h5", ".zarr", ".hspy"])
def test_four_dimensions_are_a_scan(kind, write) -> None:
    data = patterns(10).reshape(2, 5, 20, 28)
    stack = open_stack(write(kind, data))
    assert stack.is_scan
    assert_same(stack, data)
    assert stack.notes[0].startswith("A scan of 2 rows and 5 columns, 28x20 pixels, uint16")


@pytest.mark.parametrize("kind", [".tif", ".npy", ".h5", ".zarr"])
@pytest.mark.parametrize("dtype", ["b1", "u1", "i2", ">u2", "u4", "f2", ">f4", "f8"])
def test_number_types_are_kept_in_native_byte_order(kind, dtype, write) -> None:
    data = patterns(dtype=dtype)
    stack = open_stack(write(kind, data))
    assert stack.data.dtype == np.dtype(dtype).newbyteorder("=")
    assert stack.frame(0).dtype.isnative
    assert_same(stack, data)


def test_nan_stays_nan(write) -> None:
    data = patterns(2, dtype="f4")
    data[0, 3, 4] = np.nan
    assert_same(open_stack(write(".npy", data)), data)


@pytest.mark.parametrize("kind", [".png", ".tif", ".h5", ".npy", ".zarr"])
def test_colours_become_grey(kind, write) -> None:
    grey = patterns(1 if kind == ".png" else 3, dtype="u1")
    coloured = np.stack([grey] * 3, axis=-1)
    assert_same(open_stack(write(kind, coloured)), grey)


def test_colours_in_planes_become_grey(write) -> None:
    import tifffile

    grey = patterns(2, dtype="u1")
    path = write(".tif", grey)
    planes = np.stack([grey] * 3, axis=1)
    tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate", metadata=None)
    assert_same(open_stack(path), grey)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("kind", ["palette", "palette of 8 bits", "palette of imagej"])
def test_numbers_of_colours_in_tiff_become_grey(kind, compression, tmp_path: Path) -> None:
    import tifffile

    grey = patterns(5, dtype="u1")
    # the numbers of the colours are in no order, as a program that saves colours leaves them
    numbers = np.random.default_rng(0).permutation(256)
    white = 1 if kind == "palette of 8 bits" else 257
    table = np.repeat(np.argsort(numbers)[np.newaxis].astype("u2") * white, 3, axis=0)
    stored = numbers[grey].astype("u1")
    imagej = kind == "palette of imagej"
    about = {"description": "ImageJ=1.53\nimages=5\n"} if imagej else {"metadata": None}
    tifffile.imwrite(
        tmp_path / "a.tif", stored, photometric="palette", colormap=table, compression=compression,
        **about,
    )  # fmt: skip
    assert_same(open_stack(tmp_path / "a.tif"), stored if imagej else grey)


@pytest.mark.parametrize("shape", [(3, 20, 28), (4, 20, 28), (2, 3, 20, 28), (5, 4, 20, 28)])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_three_images_are_no_colours(shape, compression, tmp_path: Path) -> None:
    import tifffile

    data = np.random.default_rng(0).integers(0, 200, shape).astype("u2")
    # as tifffile has stored such arrays without being asked to
    colours = {"photometric": "rgb", "planarconfig": "separate"}
    tifffile.imwrite(tmp_path / "a.tif", data, compression=compression, **colours)
    assert_same(open_stack(tmp_path / "a.tif"), data)


def test_jpeg_is_close(write, tmp_path: Path) -> None:
    from PIL import Image

    y, x = np.mgrid[:32, :40]
    smooth = (3 * y + 2 * x).astype("u1")
    Image.fromarray(smooth).convert("RGB").save(tmp_path / "a.jpg", quality=95)
    frame = open_stack(tmp_path / "a.jpg").frame(0)
    assert frame.shape == (32, 40)
    assert np.abs(frame.astype(int) - smooth).max() < 6


def test_sixteen_bit_png(write) -> None:
    data = (patterns(1).astype(int) * 300).astype("u2")
    assert_same(open_stack(write(".png", data)), data)


def test_fortran_order(tmp_path: Path) -> None:
    data = patterns()
    np.save(tmp_path / "a.npy", np.asfortranarray(data))
    assert_same(open_stack(tmp_path / "a.npy"), data)


def test_imagej_hyperstack_is_a_stack(tmp_path: Path) -> None:
    import tifffile

    data = patterns(6).reshape(2, 3, 20, 28)
    tifffile.imwrite(tmp_path / "a.tif", data, imagej=True, metadata={"axes": "TZYX"})
    assert_same(open_stack(tmp_path / "a.tif"), data.reshape(6, 20, 28))


def test_a_thumbnail_page_is_left_out_and_said(tmp_path: Path) -> None:
    import tifffile

    data = patterns(3)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for frame in [*data, data[0, :5, :7]]:
            file.write(frame, contiguous=False, metadata=None)
    stack = open_stack(tmp_path / "a.tif")
    assert_same(stack, data)
    assert "1 images of another size or kind in the file are left out." in stack.notes


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_tiff_written_image_by_image_is_one_stack(compression, tmp_path: Path) -> None:
    import tifffile

    data = patterns(5)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for frame in data:
            file.write(frame, compression=compression)
    stack = open_stack(tmp_path / "a.tif")
    assert_same(stack, data)
    assert not any("left out" in note for note in stack.notes)


def test_a_tiff_to_which_stacks_were_added(tmp_path: Path) -> None:
    import tifffile

    data = patterns(12)
    for part in (data[:5], data[5:10], data[10:]):
        tifffile.imwrite(tmp_path / "a.tif", part, append=True)
    assert_same(open_stack(tmp_path / "a.tif"), data)


def test_an_overview_behind_a_scan_is_left_out_and_said(tmp_path: Path) -> None:
    import tifffile

    data = patterns(10).reshape(2, 5, 20, 28)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(data)
        file.write(data[0, 0])
    stack = open_stack(tmp_path / "a.tif")
    assert_same(stack, data)
    assert "1 images of another size or kind in the file are left out." in stack.notes


def test_volume_stack_mrc_is_a_scan(tmp_path: Path) -> None:
    import mrcfile

    data = patterns(6).reshape(2, 3, 20, 28)
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(data)
    assert_same(open_stack(tmp_path / "a.mrc"), data)


@pytest.mark.parametrize("kind", STACKS)
def test_a_stack_can_be_sent_to_another_process(kind, write) -> None:
    data = patterns()
    stack = open_stack(write(kind, data))
    stack.frame(1)
    here, there = Pipe()
    with here, there:
        here.send(stack)
        assert_same(there.recv(), data)


@pytest.mark.parametrize("kind", [".h5", "pages.tif", ".zarr", ".hspy", ".npy"])
def test_threads_may_read_at_once(kind, write) -> None:
    data = patterns(60)
    stack = open_stack(write(kind, data))
    read = stack.data.rechunk((1, 20, 28)).map_blocks(lambda block: block + 1)
    np.testing.assert_array_equal(read.compute(scheduler="threads", num_workers=8), data + 1)


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS does not tell what is mapped")
@pytest.mark.parametrize("kind", [".tif", "pages.tif", ".h5", ".npy", ".npz", ".mrc", ".png"])
def test_no_file_stays_open(kind, write) -> None:
    import psutil

    path = write(kind, patterns(1 if kind == ".png" else 5, dtype="u1"))
    stack = open_stack(path)
    stack.frame(0)
    np.asarray(stack.data[0])
    process = psutil.Process()
    assert str(path) not in [file.path for file in process.open_files()]
    assert str(path) not in [mapped.path for mapped in process.memory_maps()]


def test_any_part_of_the_data_can_be_taken(write) -> None:
    data = patterns(6).reshape(2, 3, 20, 28)
    stack = open_stack(write(".npy", data))
    for key in (
        np.s_[1, 2], np.s_[:, 1], np.s_[0, 1:, 4:9, -3:], np.s_[..., 5], np.s_[1, 2, 3, 4],
        np.s_[[1, 0], 1], np.s_[::-1], np.s_[0, ::2, ::3, 2::5], np.s_[:, :0],
    ):  # fmt: skip
        np.testing.assert_array_equal(np.asarray(stack.data[key]), data[key])


def test_chunks_hold_few_patterns() -> None:
    from napari_diffraction.patterns.readers.lazy import LazyPatterns, as_dask
    from napari_diffraction.patterns.readers.source import Source

    for shape in ((100_000, 8, 8), (300, 400, 8, 8), (1, 100_000, 8, 8), (100_000, 1, 8, 8)):
        source = Source("x", shape, np.dtype("u1"), lambda a, b: np.zeros((b - a, 8, 8)))
        data = as_dask(LazyPatterns(source))
        assert data.npartitions <= 2 * 4096
        assert np.prod(data.chunksize) <= 200 * 64


def test_frame_numbers_are_checked(write) -> None:
    stack = open_stack(write(".npy", patterns(3)))
    for index in (-1, 3):
        with pytest.raises(IndexError):
            stack.frame(index)


def test_a_wrong_ending_is_seen_through(write) -> None:
    data = patterns(1, dtype="u1")
    path = write(".png", data).rename(write(".npy", data).with_suffix(".tif"))
    stack = open_stack(path)
    assert_same(stack, data)
    assert "run.tif is in fact a PNG file." in stack.notes


def test_tables_are_not_claimed_as_patterns(tmp_path: Path) -> None:
    for name, array in {"points": np.zeros((500, 3)), "names": np.array(["a"])}.items():
        np.save(tmp_path / f"{name}.npy", array)
        assert not can_read(tmp_path / f"{name}.npy")
        with pytest.raises(InputError, match=r"no stack of images"):
            open_stack(tmp_path / f"{name}.npy")


def test_the_table_of_formats_has_no_double_suffixes() -> None:
    suffixes = [suffix for row in FORMATS for suffix in row.suffixes]
    assert len(suffixes) == len(set(suffixes))
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in suffixes)
