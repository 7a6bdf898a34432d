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

from napari_diffraction.patterns.readers.datasets import Candidate, stack_shape
from napari_diffraction.patterns.readers.ebsd.hdf5 import PATTERNS
from napari_diffraction.patterns.readers.hdf5.calibration import SCALARS, Scalars, text_of
from napari_diffraction.patterns.readers.hdf5.links import link_target, outside
from napari_diffraction.patterns.readers.natural_order import natural_key

# A file with more objects than this is not searched to the end.
_MOST_OBJECTS = 20_000
_DEEPEST = 16
_DEFAULT, _SIGNAL = 3, 2  # tiers: the file's default plot; data marked as signal or by convention
_CONVENTIONAL = re.compile(r"entry(_\d+)?/data(_\d+)?/data")
_NUMBERED = re.compile(r"(.*?)(\d{3,})")


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
        Numbers that describe the experiment, by their path in the file.
    """

    candidates: list[Candidate] = field(default_factory=list)
    parts: list[Candidate] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    outside: dict[str, str] = field(default_factory=dict)
    scalars: Scalars = field(default_factory=dict)

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
        self.scalars: Scalars = {}
        self.signals: set[str] = set()
        self._open_groups: list[Any] = []
        self._left = _MOST_OBJECTS

    def group(self, group: h5py.Group, prefix: str, depth: int) -> None:
        signal = text_of(group.attrs.get("signal"))
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
        if shape is None:  # nothing was ever written
            return
        if math.prod(shape) == 1 and dtype.kind in "iuf" and name in SCALARS:
            value = float(np.ravel(data[()])[0])
            self.scalars[full] = value, text_of(data.attrs.get("units"))
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


def _default_signal(file: h5py.File) -> str:
    """Follow the `default` attributes of NeXus to the data set that is to be shown first."""
    group, name = file, ""
    for _ in range(_DEEPEST):
        step = text_of(group.attrs.get("default"))
        if not step or not isinstance(group.get(step), h5py.Group):
            break
        group, name = group[step], f"{name}{step.strip('/')}/"
    return name + text_of(group.attrs.get("signal")) if "signal" in group.attrs else ""


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
