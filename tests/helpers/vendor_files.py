"""Files of single makers of cameras and microscopes, written byte by byte."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import h5py
import numpy as np

SCAN = "a0dba950-15bf-4a74-a81c-9cea8560c2c8"
ABOUT = "<Metadata><Item><Name>GunHighVoltage</Name><Value S='x'>200000</Value></Item></Metadata>"


def place(index: int, columns: int = 5) -> str:
    y, x = divmod(index, columns)
    axis = "<{0}><Offset>-0.1</Offset><Scale>2.0E-05</Scale><Type><Text>Angle</Text></Type></{0}>"
    return (
        f"<Metadata><Calibration>{axis.format('X')}{axis.format('Y')}</Calibration><Item>"
        f"<Name>RequestedBeamPosition</Name><Value><X S='d'>{1e-7 + 2e-9 * x:.12E}</X>"
        f"<Y S='d'>{2e-7 - 3e-9 * y:.12E}</Y></Value></Item></Metadata>"
    )


def topspin(path: Path, data: np.ndarray, numbers: range | list[int]) -> Path:
    with h5py.File(path, "w") as file:
        file["39a4bbcd-2551-4912-9093-0eaed678dcff"] = np.ones((400, 400))  # the survey image
        file["Metadata"] = np.bytes_(ABOUT)
        for number in numbers:
            file[f"{SCAN}/{number}/Data"] = data[number]
            file[f"{SCAN}/{number}/Metadata"] = np.bytes_(place(number))
    return path


def arina(folder: Path, data: np.ndarray, beside: dict[str, float] | None) -> Path:
    with h5py.File(folder / "run_data_000001.h5", "w") as file:
        file["entry/data/data"] = data
    path = folder / "run_master.h5"
    with h5py.File(path, "w") as file:
        file["entry/data/data_000001"] = h5py.ExternalLink("run_data_000001.h5", "entry/data/data")
        file["entry/instrument/detector/description"] = np.bytes_("Dectris ARINA CZT")
        file["entry/instrument/detector/x_pixel_size"] = 1e-4
    if beside is not None:
        with h5py.File(folder / "run.h5", "w") as file:
            file.create_group("STEM Metadata").attrs.update(beside)
    return path


BESIDE = {
    "NumPixelsX": 4, "NumPixelsY": 3, "High Tension": np.array([300000.0]),
    "Camera Length": np.array([0.1]), "Pixel Size": np.array([0.5]),
    "IsPixelSizeCalibrated": np.array([1], "u1"),
}  # fmt: skip


def info(**other: str) -> str:
    fields = {
        "Scan - Enable": "Enable", "Scan - Type": "Raster", "Scan - ROI Enable": "Disable",
        "Scan - Size X": "4", "Scan - Size Y": "3", "Scan - ROI Size X": "2",
        "Scan - ROI Size Y": "6", "Instrument Accelerating Voltage (V)": "300000",
        "Diffraction Pixel Size X": "0.1", "Specimen Pixel Size X (nanometers)": "1.5",
        "Specimen Pixel Size Y (nanometers)": "2.5",
    } | other  # fmt: skip
    return "".join(f"{name:64}= {value}\n" for name, value in fields.items())


def empad(folder: Path, data: np.ndarray, about: str, name: str = "scan_x4_y3.raw") -> Path:
    raw = np.full((len(data), 130, 128), np.nan, "<f4")
    raw[:, :128] = data
    (folder / name).write_bytes(raw.tobytes())
    path = folder / "acquisition.xml"
    path.write_text(f'<root><raw_file filename="C:\\data\\{name}"/>{about}</root>')
    return path


def prz(path: Path, data: np.ndarray, **about: object) -> Path:
    about = {"electron_gun.voltage": 200000} | about
    trap = np.empty(1, object)
    np.savez(path, data=data, meta_data=trap, meta_data_json=json.dumps([about]))
    path.with_name(path.name + ".npz").rename(path)
    return path


class Container:
    """Writes chunks of `size`, each behind a header that may name the next one."""

    def __init__(self, size: int) -> None:
        self.size, self.room = size, size - 32
        self.chunks: list[tuple[int, bytes]] = [(0, b"")]  # the first one tells of the others

    def chain(self, content: bytes, length: int) -> int:
        """Write what says in each chunk where the next one is; return the first."""
        first = len(self.chunks)
        for start in range(0, len(content), length):
            self.chunks.append((len(self.chunks) + 1, content[start : start + length]))
        return first

    def scattered(self, content: bytes) -> int:
        """Write a file in chunks that are not neighbours; return the chunk that lists them."""
        places = []
        for start in range(0, len(content), self.room):
            places.append(len(self.chunks))
            self.chunks += [(0, content[start : start + self.room]), (0, b"")]
        return self.chain(struct.pack(f"<{len(places)}I", *places), self.room // 4 * 4)

    def write(self, path: Path, files: dict[str, bytes]) -> Path:
        items = [(0, 0, -1, True, "EBSDData")]
        items += [(self.scattered(c), len(c), 0, False, name) for name, c in files.items()]
        tree = b"".join(
            struct.pack("<iQ28xi176s?3s256s32s", t, n, p, b"", folder, b"", name.encode(), b"")
            for t, n, p, folder, name in items
        )
        place = self.chain(tree, self.room // 512 * 512)
        self.chunks[0] = (0, struct.pack("<8xIII", place, len(items), len(self.chunks)))
        whole = bytearray(0x118 + self.size * len(self.chunks))
        whole[:8] = b"AAMVHFSS"
        struct.pack_into("<fI", whole, 0x124, 2.6, self.size)
        for number, (following, content) in enumerate(self.chunks):
            at = self.size * number + 0x118
            struct.pack_into("<I", whole, at, following)
            whole[at + 32 : at + 32 + len(content)] = content
        path.write_bytes(whole)
        return path


def zipped(content: bytes, block: int = 1000) -> bytes:
    blocks = [zlib.compress(content[i : i + block]) for i in range(0, len(content), block)]
    head = struct.pack("<4sIII", b"AACS", block, 0, len(blocks)).ljust(0x80, b"\0")
    return head + b"".join(struct.pack("<I12x", len(b)) + b for b in blocks)


def ebsd_files(data: np.ndarray, order: list[int], rows: int, columns: int) -> dict[str, bytes]:
    """Describe patterns that were recorded at the points `order` of a grid."""
    frames, places = b"", np.full(rows * columns, 2**64 - 1, "<u8")
    for frame, point in zip(data, order, strict=True):
        places[point] = len(frames)
        y, x = divmod(point, columns)
        height, width = frame.shape
        head = struct.pack("<6iB", x, y, frame.nbytes + 17, width, height, frame.itemsize, 0)
        frames += head + frame.tobytes()
    table = struct.pack("<3i", columns, rows, rows * columns) + places.tobytes()
    others = {f"Other{number}": b"x" * 100 for number in range(9)}
    return others | {"FrameDescription": table, "FrameData": frames}
