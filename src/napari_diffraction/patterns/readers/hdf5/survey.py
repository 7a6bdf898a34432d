"""A look through an HDF5 file: its arrays, what NeXus and CXI say of them, broken links."""

from __future__ import annotations

import math
import os
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_diffraction.patterns.geometry import in_millimetres, reciprocal_pixel
from napari_diffraction.patterns.readers.datasets import Candidate, stack_shape
from napari_diffraction.patterns.readers.ebsd.hdf5 import PATTERNS
from napari_diffraction.patterns.readers.hdf5.links import link_target, outside
from napari_diffraction.patterns.readers.natural_order import natural_key
from napari_diffraction.patterns.stack import Geometry, KikuchiGeometry, SpotGeometry

# A file with more objects than this is not searched to the end.
_MOST_OBJECTS = 20_000
_DEEPEST = 16
_DEFAULT, _SIGNAL = 3, 2  # tiers: the file's default plot; data marked as signal or by convention
_CONVENTIONAL = re.compile(r"entry(_\d+)?/data(_\d+)?/data")
_NUMBERED = re.compile(r"(.*?)(\d{3,})")
_SCALARS = (
    "incident_wavelength",
    "detector_distance",
    "distance",
    "x_pixel_size",
    "beam_center_x",
    "beam_center_y",
)


@dataclass
class Survey:
    """What a file holds.

    Attributes
    ----------
    candidates
        The arrays; numbered ones that continue each other ("data_000001", ...) count as one.
    parts
        The single arrays of such series.
    broken
        Links that lead nowhere: their name and where they point to.
    outside
        Links that lead out of the file's folder and so are not followed: name and target.
    scalars
        Numbers that describe the experiment, with their unit.
    """

    candidates: list[Candidate] = field(default_factory=list)
    parts: list[Candidate] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    outside: dict[str, str] = field(default_factory=dict)
    scalars: dict[str, tuple[float, str]] = field(default_factory=dict)

    def broken_parts(self, chosen: Candidate) -> list[str]:
        """Return the missing files that would continue a numbered series."""
        stem = chosen.name.rstrip("*")
        return [t for name, t in self.broken.items() if chosen.members and name.startswith(stem)]


def survey(path: str, file: h5py.File) -> Survey:
    """Look through a file that was opened by the name `path`."""
    look = _Look(path)
    look.group(file, "", 0)
    found = Survey(broken=look.broken, outside=look.outside, scalars=look.scalars)
    default = _default_signal(file)
    arrays = []
    for names, shape, dtype in look.arrays.values():
        tiers = {name: _tier(name, look.signals, default) for name in names}
        best = max(names, key=lambda name: (tiers[name], -len(name)))
        arrays.append(Candidate(best, shape, dtype, tiers[best]))
    _join_numbered(arrays, found)
    return found


class _Look:
    def __init__(self, path: str) -> None:
        self.path = path
        self.outside: dict[str, str] = {}
        self.arrays: dict[Any, tuple[list[str], tuple[int, ...], np.dtype[Any]]] = {}
        self.broken: dict[str, str] = {}
        self.scalars: dict[str, tuple[float, str]] = {}
        self.signals: set[str] = set()
        self._open_groups: list[Any] = []
        self._left = _MOST_OBJECTS

    def group(self, group: h5py.Group, prefix: str, depth: int) -> None:
        signal = _text(group.attrs.get("signal"))
        if signal:
            self.signals.add(prefix + signal)
        for name in group:
            self._left -= 1
            if self._left < 0:
                return
            full = prefix + name
            if not self._may_follow(group, name, full):
                continue
            try:
                item = group[name]
            except (KeyError, OSError):
                self.broken[full] = _target(group, name)
                continue
            if isinstance(item, h5py.Dataset):
                self._dataset(item, name, full)
            elif not isinstance(item, h5py.Group):
                continue
            # a link may lead back to a group that contains it
            elif depth < _DEEPEST and item.id not in self._open_groups:
                self._open_groups.append(item.id)
                self.group(item, full + "/", depth + 1)
                self._open_groups.pop()

    def _may_follow(self, group: h5py.Group, name: str, full: str) -> bool:
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.ExternalLink):
            return True
        target = link_target(self.path, group, link)
        if outside(self.path, target):
            self.outside[full] = target
        elif not os.path.isfile(target):  # a pipe would be waited for
            self.broken[full] = str(link.filename)
        return full not in self.outside and full not in self.broken

    def _dataset(self, data: h5py.Dataset, name: str, full: str) -> None:
        shape, dtype = data.shape, data.dtype
        if not shape:
            shape = () if shape is None else shape
        if math.prod(shape) == 1 and dtype.kind in "iuf" and name in _SCALARS:
            value = float(np.ravel(data[()])[0]) if shape is not None else math.nan
            self.scalars.setdefault(name, (value, _text(data.attrs.get("units"))))
        if len(shape) < 2:
            return
        if "signal" in data.attrs:
            self.signals.add(full)
        info = h5py.h5o.get_info(data.id)
        key = data.file.filename, info.fileno, info.addr
        self.arrays.setdefault(key, ([], shape, dtype))[0].append(full)


def _target(group: h5py.Group, name: str) -> str:
    link = group.get(name, getlink=True)
    if isinstance(link, h5py.ExternalLink):
        return str(link.filename)
    return str(getattr(link, "path", "nothing"))


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""


def _default_signal(file: h5py.File) -> str:
    """Follow the `default` attributes of NeXus to the data set that is to be shown first."""
    group, name = file, ""
    for _ in range(_DEEPEST):
        step = _text(group.attrs.get("default"))
        if not step or not isinstance(group.get(step), h5py.Group):
            break
        group, name = group[step], f"{name}{step.strip('/')}/"
    return name + _text(group.attrs.get("signal")) if "signal" in group.attrs else ""


def _tier(name: str, signals: Iterable[str], default: str) -> int:
    if name == default:
        return _DEFAULT
    for worse, patterns in enumerate(PATTERNS):
        if patterns.fullmatch(name):
            return _SIGNAL - worse
    return _SIGNAL if name in signals or _CONVENTIONAL.fullmatch(name) else 0


def _join_numbered(arrays: list[Candidate], found: Survey) -> None:
    series: dict[Any, list[Candidate]] = defaultdict(list)
    for array in arrays:
        match = _NUMBERED.fullmatch(array.name)
        if match and len(array.shape) == 3 and stack_shape(array.shape) is not None:
            series[match[1], array.shape[1:], array.dtype].append(array)
    for (stem, *_), members in series.items():
        members.sort(key=lambda member: natural_key(member.name))
        names = _with_missing(stem, members, found.broken)
        if len(names) < 2:
            continue
        shape = (sum(count for _, count in names), *members[0].shape[1:])
        tier = max(member.tier for member in members)
        found.parts += members
        found.candidates.append(Candidate(f"{stem}*", shape, members[0].dtype, tier, names))
    found.candidates += [array for array in arrays if array not in found.parts]


def _with_missing(
    stem: str, members: list[Candidate], broken: Iterable[str]
) -> tuple[tuple[str, int], ...]:
    """Name the members of a series and how many patterns each of them has.

    Those that are missing before the last one are taken to be as long as the first, so that what
    follows them stays in its place.
    """
    counts = {member.name: member.shape[0] for member in members}
    last, length = natural_key(members[-1].name), members[0].shape[0]
    for name in broken:
        match = _NUMBERED.fullmatch(name)
        if match and match[1] == stem and natural_key(name) < last:
            counts[name] = length
    return tuple(sorted(counts.items(), key=lambda item: natural_key(item[0])))


def geometry_of(file: h5py.File, scalars: dict[str, tuple[float, str]]) -> Geometry:
    """Return the calibration: of our own files from attributes of the root, else from NeXus."""
    kikuchi = _own_kikuchi(file)
    if kikuchi is not None:
        return kikuchi
    names = ("wavelength", "pixel_size", "centre_x", "centre_y")
    numbers = {name: _finite_attribute(file, name) for name in names}
    own = SpotGeometry.of({name: value for name, value in numbers.items() if value is not None})
    wavelength, pixel_size, centre = own.wavelength, own.pixel_size, own.centre
    if wavelength is None:
        wavelength = _wavelength(scalars)
    if pixel_size is None and wavelength is not None:
        pixel_size = _pixel_size(scalars, wavelength)
    if centre is None:
        x, y = (_finite(scalars.get(f"beam_center_{axis}", (None,))[0]) for axis in "xy")
        # writers without a calibrated centre leave zeros
        centre = (x, y) if x and y else None
    return SpotGeometry(wavelength, pixel_size, centre)


def _own_kikuchi(file: h5py.File) -> KikuchiGeometry | None:
    names = ("pc_x", "pc_y", "pc_z", "sample_tilt", "camera_tilt", "voltage")
    x, y, z, sample, camera, voltage = (_finite_attribute(file, name) for name in names)
    pc = None if x is None or y is None or z is None else (x, y, z)
    if pc is None and sample is None and camera is None and voltage is None:
        return None
    return KikuchiGeometry(pc, sample, camera, voltage, _own_pc_map(file))


def _own_pc_map(file: h5py.File) -> NDArray[np.float64] | None:
    item = file.get("pattern_centre")
    if not isinstance(item, h5py.Dataset) or item.dtype.kind != "f" or len(item.shape or ()) != 3:
        return None
    return np.asarray(item[()], np.float64) if item.shape[-1] == 3 else None


def step_of(file: h5py.File) -> tuple[float, float] | None:
    """Return the step of a scan in one of our own files: that of rows and that of columns."""
    rows, columns = (_finite_attribute(file, f"step_{axis}") for axis in ("rows", "columns"))
    return None if rows is None or columns is None else (rows, columns)


def _finite_attribute(file: h5py.File, name: str) -> float | None:
    # other types are not even read: damaged ones can crash the HDF5 library
    if name not in file.attrs or file.attrs.get_id(name).dtype.kind not in "iuf":
        return None
    return _finite(file.attrs[name])


def _finite(value: Any) -> float | None:
    try:
        number = float(np.ravel(value)[0])
    except (TypeError, ValueError, IndexError):
        return None
    return number if math.isfinite(number) else None


def _wavelength(scalars: dict[str, tuple[float, str]]) -> float | None:
    value, unit = scalars.get("incident_wavelength", (math.nan, ""))
    value *= {"nm": 10.0, "pm": 0.01, "m": 1e10}.get(unit, 1.0)
    return value if math.isfinite(value) and value > 0 else None


def _pixel_size(scalars: dict[str, tuple[float, str]], wavelength: float) -> float | None:
    # NeXus lengths without a unit are in m
    pixel = scalars.get("x_pixel_size")
    distance = scalars.get("detector_distance") or scalars.get("distance")
    if pixel is None or distance is None:
        return None
    lengths = [in_millimetres(value, unit or "m") for value, unit in (pixel, distance)]
    try:
        return reciprocal_pixel(lengths[0] or 0.0, lengths[1] or 0.0, wavelength)
    except ValueError:
        return None
