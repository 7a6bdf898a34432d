"""The table of formats: one row each, and how a file is recognised."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.readers.source import Source, check_source, explained

_HEAD = 4096


def _starts(*magics: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(magics)


def _hdf5(head: bytes) -> bool:
    # a user block of 512, 1024, ... bytes may come first
    return any(head[at : at + 8] == b"\x89HDF\r\n\x1a\n" for at in (0, 512, 1024, 2048))


def _mrc(head: bytes) -> bool:
    return head[208:212] == b"MAP " or head[208:212] == b"MAP\0"


def _smv(head: bytes) -> bool:
    return head.lstrip()[:1] == b"{" and b"HEADER_BYTES" in head[:512]


def _never(head: bytes) -> bool:
    return False


@dataclass(frozen=True)
class Format:
    """A format that can be read.

    Attributes
    ----------
    name
        For people.
    suffixes
        Endings of file names, in lower case.
    opener
        "module:function" of this package; called with the path and the name of a data set.
    recognises
        Whether a file that starts with these bytes is of this format whatever its name.
    trusted
        Whether the name alone is enough (formats without a signature, or with too many).
    folder
        Whether a folder of this name is one input.
    confirms
        "module:function" of this package that tells whether a trusted file is really of this
        format, for endings that other programs use, too.
    """

    name: str
    suffixes: tuple[str, ...]
    opener: str
    recognises: Callable[[bytes], bool] = _never
    trusted: bool = False
    folder: bool = False
    confirms: str | None = None

    def open(self, path: str, dataset: str | None) -> Source:
        """Open a file of this format."""
        with explained(path, self.name):
            source: Source = _function(self.opener)(path, dataset)
            return check_source(source)

    def trusts(self, path: str) -> bool:
        """Whether the name of an existing file is enough to take it for this format."""
        if not self.trusted or self.confirms is None:
            return self.trusted
        with explained(path, self.name):
            return bool(_function(self.confirms)(path))


def _function(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(
        importlib.import_module(f"{__package__}.{module}"), function
    )
    return found


_EM = "vendors.microscopes:open_file"
FORMATS = (
    Format(
        "TIFF",
        (".tif", ".tiff", ".btf", ".tf8"),
        "general.tiff:open_file",
        _starts(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    ),
    Format("Blockfile", (".blo",), "vendors.blockfile:open_file", _starts(b"IMGBLO")),
    Format("Merlin", (".mib",), "vendors.merlin:open_file", _starts(b"MQ1,")),
    Format(
        "EMPAD",
        (".raw", ".xml"),
        "vendors.empad:open_file",
        trusted=True,
        confirms="vendors.empad:looks_like_empad",
    ),
    Format("TopSpin", (".app5",), "vendors.topspin:open_file", _hdf5),
    Format("TVIPS", (".tvips",), "vendors.tvips:open_file", trusted=True),
    Format("DigitalMicrograph", (".dm3", ".dm4"), _EM, trusted=True),
    Format("TIA series", (".ser",), "vendors.tia:open_file", _starts(b"II\x97\x01"), trusted=True),
    Format("TIA", (".emi",), _EM, trusted=True),
    Format("EMD", (".emd",), _EM, trusted=True),
    Format("HyperSpy Zarr", (".zspy",), "general.zarrs:open_store", trusted=True, folder=True),
    Format(
        "HDF5",
        (".h5", ".hdf5", ".hdf", ".nxs", ".nx5", ".cxi", ".h5oina", ".h5ebsd", ".oh5"),
        "hdf5.file:open_file",
        _hdf5,
    ),
    Format("HyperSpy", (".hspy",), "hdf5.file:open_file", _hdf5),
    Format("Zarr", (".zarr",), "general.zarrs:open_store", trusted=True, folder=True),
    Format(
        "zipped Zarr",
        (".zip",),
        "general.zarrs:open_store",
        trusted=True,
        confirms="general.zarrs:looks_zipped",
    ),
    Format("PNG", (".png",), "general.pictures:open_file", _starts(b"\x89PNG\r\n\x1a\n")),
    Format("JPEG", (".jpg", ".jpeg"), "general.pictures:open_file", _starts(b"\xff\xd8\xff")),
    Format("BMP", (".bmp",), "general.pictures:open_file", _starts(b"BM")),
    Format("GIF", (".gif",), "general.pictures:open_gif", _starts(b"GIF87a", b"GIF89a")),
    Format("NPY", (".npy",), "general.arrays:open_npy", _starts(b"\x93NUMPY")),
    Format("NPZ", (".npz",), "general.arrays:open_npz", _starts(b"PK\x03\x04")),
    Format("Panta Rhei", (".prz",), "vendors.pantarhei:open_file", _starts(b"PK\x03\x04")),
    Format("MRC", (".mrc", ".mrcs"), "general.mrc:open_file", _mrc, trusted=True),
    Format("SMV", (".img", ".smv"), "general.cameras:open_smv", _smv),
    Format(
        "UP1/UP2 (EDAX)",
        (".up1", ".up2"),
        "ebsd.binary:open_up",
        trusted=True,
        confirms="ebsd.binary:looks_like_up",
    ),
    Format(
        "NORDIF",
        (".dat",),
        "ebsd.binary:open_nordif",
        trusted=True,
        confirms="ebsd.binary:looks_like_nordif",
    ),
    Format("EBSP (Oxford)", (".ebsp",), "ebsd.binary:open_ebsp", trusted=True),
    Format("Bruker BCF", (".bcf",), "vendors.bruker:open_file", _starts(b"AAMVHFSS"), trusted=True),
    Format("CBF", (".cbf",), "general.cameras:open_cbf", _starts(b"###CBF")),
)
# many other programs zip their files or write HDF5, too: there the name decides between them
_BY_NAME_ONLY = ("NPZ", "Panta Rhei", "TopSpin")
_BY_SUFFIX = {suffix: row for row in FORMATS for suffix in row.suffixes}


def readable_formats() -> str:
    """Return the list of what can be read, for a message."""
    return ", ".join(f"{row.name} ({' '.join(row.suffixes)})" for row in FORMATS)


def by_name(path: str) -> Format | None:
    """Return the format that a file name stands for."""
    return _BY_SUFFIX.get(os.path.splitext(path)[1].lower())


def is_folder_input(path: str) -> bool:
    """Whether a folder is one input of its own, as a Zarr store is."""
    row = by_name(path)
    if row is not None and row.folder:
        return True
    return any(
        os.path.isfile(os.path.join(path, name)) for name in ("zarr.json", ".zarray", ".zgroup")
    )


def recognise(path: str) -> tuple[Format, str | None]:
    """Find the format of a file or Zarr folder from its name and first bytes.

    Returns
    -------
    (Format, str or None)
        The text is a remark where the name is misleading.

    Raises
    ------
    InputError
        The file is missing, empty or of no known format.
    """
    row = by_name(path)
    if os.path.isdir(path):
        return (row if row is not None and row.folder else _BY_SUFFIX[".zarr"]), None
    with explained(path), open(path, "rb") as file:
        head = file.read(_HEAD)
    if not head:
        raise InputError(f"{path} is empty (zero bytes); copy or record it again.")
    if row is not None and (row.recognises(head) or row.trusts(path)):
        return row, None
    for other in FORMATS:
        if other.recognises(head) and other.name not in _BY_NAME_ONLY:
            return other, f"{Path(path).name} is in fact a {other.name} file."
    if row is not None:
        text = " but text" if _is_text(head) else ""
        raise InputError(
            f"{path} is not a {row.name} file{text}, though its name says so; it may be damaged "
            "or misnamed."
        )
    raise InputError(f"{path} is of no known format; what can be read: {readable_formats()}.")


def open_source(path: str, dataset: str | None = None) -> Source:
    """Open one file or Zarr folder."""
    row, remark = recognise(path)
    source = row.open(path, dataset)
    if remark is None:
        return source
    return replace(source, notes=(remark, *source.notes))


def _is_text(head: bytes) -> bool:
    printable = sum(32 <= byte < 127 or byte in (9, 10, 13) for byte in head)
    return printable > 0.95 * len(head)
