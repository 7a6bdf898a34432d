"""EMPAD: a .raw file of frames and the .xml that says how many of them make up the scan."""

from __future__ import annotations

import os
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.readers.companions import whole_number
from napari_diffraction.patterns.readers.grids import lay_out
from napari_diffraction.patterns.readers.memory import MappedPatterns, open_all
from napari_diffraction.patterns.readers.source import Source, explained

# Each frame ends with two rows that are no part of the picture.
_SIDE, _ROWS_BEHIND = 128, 2
_DTYPE = np.dtype("<f4")
_LARGEST_XML = 4 * 2**20


def _xml_beside(path: str) -> str | None:
    """Return the .xml of a .raw file: of the same name, or the one in the folder that names it."""
    if path.lower().endswith(".xml"):
        return path
    same = Path(path).with_suffix(".xml")
    if same.is_file():
        return str(same)
    name = os.path.basename(path)
    with os.scandir(os.path.dirname(os.path.abspath(path))) as entries:
        others = sorted(e.path for e in entries if e.name.lower().endswith(".xml"))
    return next((other for other in others[:50] if name.encode() in _start(other)), None)


def _start(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(65536)


def looks_like_empad(path: str) -> bool:
    """Whether a .raw or .xml file is one of an EMPAD: the .xml names the .raw file."""
    beside = _xml_beside(path)
    return beside is not None and re.search(rb"<raw_file\b", _start(beside)) is not None


def may_describe(xml: str) -> tuple[str, str]:
    """Return the .raw files that an .xml may be about: of its own name, and the one it names."""
    named = re.search(rb'<raw_file\b[^>]*filename="([^"]*)"', _start(xml))
    text = named[1].decode("utf-8", "replace") if named else ""
    return str(Path(xml).with_suffix(".raw")), _named_raw(xml, text)


def open_file(path: str, dataset: str | None = None) -> Source:
    """Open the frames of an EMPAD by its .raw or .xml file.

    Raises
    ------
    InputError
        The other file of the two is missing, or no frame is whole.
    """
    xml = _xml_beside(path)
    if xml is None:
        raise InputError(f"{path} needs the .xml that the EMPAD wrote into the same folder.")
    with explained(xml, "EMPAD"):
        if os.path.getsize(xml) > _LARGEST_XML:
            raise InputError(f"{xml} is far too large for the .xml of an EMPAD.")
        root = ElementTree.parse(xml).getroot()
    raw = path if xml != path else _raw_of(xml, root)
    frame = MappedPatterns(
        raw, 0, (1, _SIDE, _SIDE), _DTYPE, after=_ROWS_BEHIND * _SIDE * _DTYPE.itemsize
    )
    source = open_all(frame)
    return lay_out(source, *_grid(root, os.path.basename(raw)))


def _raw_of(xml: str, root: ElementTree.Element) -> str:
    element = root.find("raw_file")
    named = "" if element is None else element.get("filename", "")
    raw = _named_raw(xml, named)
    if not os.path.isfile(raw):
        raise InputError(f"{xml} belongs to {os.path.basename(raw)}; put it into the same folder.")
    return raw


def _named_raw(xml: str, named: str) -> str:
    # only the name counts: the folder is that of the computer it was recorded with
    name = re.split(r"[\\/]", named)[-1]
    return os.path.join(os.path.dirname(xml), name) if name else str(Path(xml).with_suffix(".raw"))


def _grid(root: ElementTree.Element, name: str) -> tuple[int, int]:
    """Return rows and columns of the scan; 0, 0: not known, or a series."""
    if root.find("scan_parameters/series_count") is not None:
        return 0, 0
    sides = [whole_number(root.findtext(tag)) for tag in ("pix_y", "pix_x")]
    if all(sides):
        return sides[0], sides[1]
    named = re.search(r"_x(\d{1,5})_y(\d{1,5})\.", name)
    return (int(named[2]), int(named[1])) if named else (0, 0)
