"""TopSpin (.app5) of NanoMegas: an HDF5 file in which each pattern is a data set of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.geometry import plausible_wavelength
from napari_diffraction.patterns.readers.datasets import Candidate, choose
from napari_diffraction.patterns.readers.grids import lay_out
from napari_diffraction.patterns.readers.hdf5.file import opened
from napari_diffraction.patterns.readers.hdf5.links import refuse_outside
from napari_diffraction.patterns.readers.source import Source, check_frame_bytes, native
from napari_diffraction.patterns.stack import SpotGeometry

_MOST_POINTS = 2_000_000
_NUMBER = r"\s*([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)\s*"
_LARGEST_TEXT = 2**20
# of a pixel, in rad
_LARGEST_ANGLE = 0.02


def open_file(path: str, dataset: str | None = None) -> Source:
    """Open the scan of a TopSpin file: the group whose members 0, 1, ... hold a pattern each.

    Images of the survey, which stand beside the scan, are left out.

    Raises
    ------
    AmbiguousDatasetError
        There are several scans of the same size.
    InputError
        There is none.
    """
    with opened(path) as file:
        scans = dict(_scans(file))
        chosen = choose(path, list(scans.values()), dataset)
        numbers = sorted(int(name) for name in file[chosen.name] if name.isdecimal())
        if numbers[-1] - numbers[0] + 1 > _MOST_POINTS:
            raise InputError(f"{path}: the patterns of {chosen.name} are numbered oddly: damaged.")
        first = file[chosen.name][str(numbers[0])]
        refuse_outside(path, first["Data"])
        frame = chosen.shape[-2:]
        check_frame_bytes(path, int(np.prod(frame)) * chosen.dtype.itemsize)
        columns, step = _columns(file[chosen.name], numbers)
        geometry = _geometry(_text(file, chosen.name), _text(file[chosen.name], str(numbers[0])))
    # a number that is left out is a pattern that was lost
    count = numbers[-1] - numbers[0] + 1
    lost = count - len(numbers)
    notes = (f"Missing in the scan: {lost} of {count} patterns.",)
    source = Source(
        path,
        (count, *frame),
        native(chosen.dtype),
        _Patterns(path, chosen.name, numbers[0], frame),
        dataset=chosen.name,
        geometry=geometry,
        step=step if columns else None,
        notes=notes if lost else (),
    )
    return lay_out(source, -(-count // columns), columns) if columns else source


def _scans(file: h5py.File) -> list[tuple[str, Candidate]]:
    """List the groups of numbered patterns, those within a session too."""
    found = []
    for top in file:
        groups = [top]
        if isinstance(file.get(top), h5py.Group) and "0" not in file[top]:
            groups = [f"{top}/{name}" for name in file[top]]
        for name in groups:
            group = file.get(name)
            if not isinstance(group, h5py.Group):
                continue
            numbers = [member for member in group if member.isdecimal()]
            data = group.get(f"{min(numbers, key=int)}/Data") if numbers else None
            if isinstance(data, h5py.Dataset) and data.ndim == 2:
                shape = (len(numbers), *data.shape)
                found.append((name, Candidate(name, shape, data.dtype, tier=1)))
    return found


def _columns(group: h5py.Group, numbers: list[int]) -> tuple[int, tuple[float, float] | None]:
    """Return the points of a row, from the places of the beam, and the steps in um; 0: no scan."""
    places: list[tuple[float, float]] = []
    for number in numbers:
        place = _place(_text(group, str(number)))
        if place is None or number - numbers[0] != len(places):
            return 0, None
        places.append(place)
        if abs(place[1] - places[0][1]) > 1e-3 * abs(place[0] - places[0][0]) + 1e-15:
            break
    columns = len(places) - 1
    if columns < 2 or places[-1][1] == places[0][1]:
        return 0, None
    x, y = np.array(places).T
    # the beam goes back to where the first row began
    width = abs(x[1] - x[0])
    if abs(x[-1] - x[0]) > 0.5 * width:
        return 0, None
    step = (float(abs(y[-1] - y[0]) * 1e6), float(width * 1e6))
    return columns, step if min(step) > 0 else None


def _text(group: h5py.Group, name: str) -> str:
    """Read the text that describes an object; empty where there is none."""
    for place in (f"{name}/Metadata", f"{name.rpartition('/')[0]}/Metadata".lstrip("/")):
        item = group.get(place)
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "SO" and item.size == 1:
            if item.dtype.itemsize > _LARGEST_TEXT:
                continue
            value = np.ravel(item[()])[0]
            return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return ""


def _place(text: str) -> tuple[float, float] | None:
    match = re.search(
        rf"RequestedBeamPosition.*?<X\b[^>]*>{_NUMBER}</X>\s*<Y\b[^>]*>{_NUMBER}</Y>",
        text,
        re.DOTALL,
    )
    return (float(match[1]), float(match[2])) if match else None


def _geometry(about: str, pattern: str) -> SpotGeometry:
    """Take voltage (V) and angle per pixel (rad) from the texts."""
    volts = re.search(rf"GunHighVoltage</Name>\s*<Value\b[^>]*>{_NUMBER}</Value>", about)
    angle = re.search(
        rf"<X\b[^>]*>(?:(?!</X>).)*?<Scale\b[^>]*>{_NUMBER}</Scale>(?:(?!</X>).)*?>Angle</Text>",
        pattern,
        re.DOTALL,
    )
    wavelength = plausible_wavelength(float(volts[1]) / 1000) if volts else None
    size = float(angle[1]) if angle else 0.0
    known = SpotGeometry(pixel_angle=size if 0 < size < _LARGEST_ANGLE else None)
    return known.with_wavelength(wavelength)


@dataclass(frozen=True)
class _Patterns:
    path: str
    name: str
    first: int
    frame: tuple[int, ...]

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        with opened(self.path) as file:
            return np.stack(
                [self._one(file[self.name], self.first + i) for i in range(start, stop)]
            )

    def _one(self, group: h5py.Group, number: int) -> NDArray[Any]:
        data = group.get(f"{number}/Data")
        if not isinstance(data, h5py.Dataset) or data.shape != self.frame:
            raise InputError(f"{self.path}: pattern {number} of {self.name} is missing.")
        refuse_outside(self.path, data)
        return np.asarray(data[()])
