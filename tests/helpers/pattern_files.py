"""Small files of every format, written independently of our readers."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Writer = Callable[[Path, np.ndarray], None]


def _tiff(path: Path, data: np.ndarray) -> None:
    import tifffile

    with warnings.catch_warnings():
        # three images are still taken for colours by tifffile, which is going to change
        warnings.simplefilter("ignore", DeprecationWarning)
        tifffile.imwrite(path, data)


def _tiff_pages(path: Path, data: np.ndarray) -> None:
    import tifffile

    with tifffile.TiffWriter(path) as file:
        for frame in data:
            file.write(frame, contiguous=False, metadata=None, compression="zlib")


def _picture(path: Path, data: np.ndarray) -> None:
    from PIL import Image

    Image.fromarray(data[0]).save(path)


def _hdf5(path: Path, data: np.ndarray) -> None:
    import h5py
    import hdf5plugin

    with h5py.File(path, "w") as file:
        file.create_dataset(
            "entry/data/data", data=data, chunks=(1, *data.shape[1:]), **hdf5plugin.Bitshuffle()
        )


def _zarr(version: int) -> Writer:
    def write(path: Path, data: np.ndarray) -> None:
        import zarr

        array = zarr.create_array(
            path, shape=data.shape, chunks=(2, *data.shape[1:]), dtype=data.dtype,
            zarr_format=version,
        )  # fmt: skip
        array[...] = data

    return write


def _mrc(path: Path, data: np.ndarray) -> None:
    import mrcfile

    with mrcfile.new(path) as file:
        file.set_data(data)
        file.set_image_stack()


def _smv(path: Path, data: np.ndarray) -> None:
    height, width = data.shape[-2:]
    fields = {
        "HEADER_BYTES": 512, "DIM": 2, "BYTE_ORDER": "little_endian", "TYPE": "unsigned_short",
        "SIZE1": width, "SIZE2": height, "PIXEL_SIZE": 0.055, "DISTANCE": 531.85,
        "WAVELENGTH": 0.0251, "BEAM_CENTER_X": width * 0.055 / 2, "BEAM_CENTER_Y": 0.55,
    }  # fmt: skip
    head = "{\n" + "".join(f"{key}={value};\n" for key, value in fields.items()) + "}\n"
    path.write_bytes(head.encode().ljust(512) + data[0].astype("<u2").tobytes())


def _cbf(path: Path, data: np.ndarray) -> None:
    from fabio.cbfimage import CbfImage

    lines = [
        "# Detector_distance 0.5 m",
        "# Pixel_size 55e-6 m x 55e-6 m",
        "# Wavelength 0.0251 A",
        "# Beam_xy (20.5, 12.25) pixels",
    ]
    header = {"_array_data.header_contents": "\r\n".join(lines)}
    CbfImage(data=data[0].astype(np.int32), header=header).write(str(path))


def _mib(path: Path, data: np.ndarray) -> None:
    height, width = data.shape[-2:]
    with path.open("wb") as file:
        for number, frame in enumerate(data, 1):
            head = (
                f"MQ1,{number:06d},00384,01,{width:04d},{height:04d},U16,   1x1,01,"
                "2018-01-23 18:37:09.004583,0.000400,0,0,0,"
                f"MQ1A,2018-01-23T23:37:09.{number:09d}Z,400000ns,6,"
            )
            # the camera counts rows from the bottom
            file.write(head.encode().ljust(384) + frame[::-1].astype(">u2").tobytes())


def _signal(data: np.ndarray) -> dict[str, Any]:
    navigation = data.ndim - 2
    axes = [
        {
            "name": f"axis{i}", "size": size, "index_in_array": i, "navigate": i < navigation,
            "scale": 1.0 if i < navigation else 0.05, "offset": 0.0,
            "units": "nm" if i < navigation else "1/nm", "is_binned": False,
            "_type": "UniformDataAxis",
        }
        for i, size in enumerate(data.shape)
    ]  # fmt: skip
    tem = {"TEM": {"beam_energy": 200.0, "camera_length": 800.0}}
    return {
        "data": data, "axes": axes, "original_metadata": {}, "attributes": {"_lazy": False},
        "metadata": {
            "General": {"title": "run"}, "Acquisition_instrument": tem,
            "Signal": {"signal_type": ""},
        },
        "learning_results": {}, "tmp_parameters": {},
    }  # fmt: skip


def _rsciio(module: str) -> Writer:
    def write(path: Path, data: np.ndarray) -> None:
        writer = pytest.importorskip(f"rsciio.{module}", reason="rosettasciio is not installed")
        writer.file_writer(str(path), _signal(data))

    return write


def _hyperspy_axes(signal: Any, dimensions: int) -> None:
    axis = signal.create_group(f"axis-{dimensions - 1}")
    axis.attrs.update({"scale": 0.05, "units": "1/nm"})
    signal.create_group("metadata/Acquisition_instrument/TEM").attrs["beam_energy"] = 200.0


def _hspy(path: Path, data: np.ndarray) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file["Experiments/run/data"] = data
        _hyperspy_axes(file["Experiments/run"], data.ndim)


def _zspy(path: Path, data: np.ndarray) -> None:
    import zarr

    signal = zarr.open_group(path, mode="w", zarr_format=2).create_group("Experiments/run")
    array = signal.create_array("data", shape=data.shape, chunks=data.shape, dtype=data.dtype)
    array[...] = data
    _hyperspy_axes(signal, data.ndim)


def _blo(path: Path, data: np.ndarray) -> None:
    # 8 bit, square patterns on a grid
    head = struct.pack("<6sHIIIHHHHHddIHI", b"IMGBLO", 258, 4096, 4096, 131141, data.shape[-1], 0,
                       1, len(data), 0, 1.0, 1.0, 200000, 100, 2000)  # fmt: skip
    with path.open("wb") as file:
        file.write(head.ljust(4096, b"\0"))
        for number, frame in enumerate(data):
            file.write(b"\xaa\x55" + struct.pack("<I", number) + frame.astype("u1").tobytes())


def _dm_tag(name: str, value: Any, wide: bool) -> bytes:
    """One tag of DigitalMicrograph: a group, an array, a number or a text."""
    kind = 20 if isinstance(value, dict | list) else 21
    head = struct.pack(">BH", kind, len(name)) + name.encode()
    if kind == 20:
        members = value.items() if isinstance(value, dict) else (("", item) for item in value)
        body = _dm_group([_dm_tag(key, item, wide) for key, item in members], wide)
    else:
        count = ">Q" if wide else ">I"
        if isinstance(value, np.ndarray):
            code = {"uint16": 4, "uint32": 5}[value.dtype.name]
            info, data = (20, code, value.size), value.tobytes()
        elif isinstance(value, str):
            info, data = (20, 4, len(value)), value.encode("utf-16-le")
        elif isinstance(value, float):
            info, data = (6,), struct.pack("<f", value)
        else:
            info, data = (5,), struct.pack("<I", value)
        body = b"%%%%" + b"".join(struct.pack(count, n) for n in (len(info), *info)) + data
    return head + (struct.pack(">Q", len(body)) if wide else b"") + body


def _dm_group(tags: list[bytes], wide: bool) -> bytes:
    return struct.pack(">BBQ" if wide else ">BBI", 1, 0, len(tags)) + b"".join(tags)


def _dm(version: int) -> Writer:
    def write(path: Path, data: np.ndarray) -> None:
        axis = {"Origin": 0.0, "Scale": 0.05, "Units": "1/nm"}
        step = {"Origin": 0.0, "Scale": 1.0, "Units": ""}
        write_dm(path, data, version, [axis, axis, step])

    return write


def write_dm(
    path: Path,
    data: np.ndarray,
    version: int,
    axes: list[dict[str, Any]],
    tags: dict[str, Any] | None = None,
) -> None:
    """Write a file of DigitalMicrograph; its first axis is the last one of the array."""
    wide = version == 4
    image = {
        "ImageData": {
            "Calibrations": {
                "Brightness": {"Origin": 0.0, "Scale": 1.0, "Units": ""},
                "Dimension": axes,
            },
            "Data": data.astype("<u2").ravel(),
            "DataType": 10,
            "Dimensions": [int(size) for size in data.shape[::-1]],
            "PixelDepth": 2,
        },
        "ImageTags": {"Microscope Info": {"Voltage": 200000.0}, **(tags or {})},
        "Name": "run",
    }
    root = _dm_group([_dm_tag("ImageList", [image], wide)], wide)
    size = struct.pack(">Q" if wide else ">I", len(root))
    path.write_bytes(struct.pack(">I", version) + size + struct.pack(">I", 1) + root)


def _ser(path: Path, data: np.ndarray) -> None:
    n, height, width = data.shape
    head = struct.pack("<HHHIIII", 0x4949, 0x0197, 0x0210, 0x4122, 0x4152, n, n)
    dimension = struct.pack("<I ddI", n, 0.0, 1.0, 0) + struct.pack("<II", 0, 0)
    table = len(head) + 8 + len(dimension)
    body = struct.pack("<ddIddIHII", 0.0, 1.0, 0, 0.0, 1.0, 0, 2, width, height)
    size = len(body) + 2 * height * width
    first = table + 8 * n
    with path.open("wb") as file:
        file.write(head + struct.pack("<II", table, 1) + dimension)
        file.write(b"".join(struct.pack("<I", first + i * size) for i in range(n)))
        file.write(b"".join(struct.pack("<I", first + n * size) for i in range(n)))
        for frame in data:
            # rows from the bottom
            file.write(body + frame[::-1].astype("<u2").tobytes())
        file.write(b"".join(struct.pack("<HHI", 0x4152, 0, 0) for i in range(n)))


WRITERS: dict[str, Writer] = {
    ".tif": _tiff,
    "pages.tif": _tiff_pages,
    ".png": _picture,
    ".bmp": _picture,
    ".h5": _hdf5,
    ".zarr": _zarr(3),
    "v2.zarr": _zarr(2),
    ".npy": lambda path, data: np.save(path, data),
    ".npz": lambda path, data: np.savez(path, patterns=data),
    "packed.npz": lambda path, data: np.savez_compressed(path, patterns=data),
    ".mrc": _mrc,
    ".img": _smv,
    ".cbf": _cbf,
    ".mib": _mib,
    ".blo": _blo,
    ".dm3": _dm(3),
    ".dm4": _dm(4),
    ".ser": _ser,
    ".tvips": _rsciio("tvips"),
    ".hspy": _hspy,
    ".zspy": _zspy,
    ".emd": _rsciio("emd"),
}
