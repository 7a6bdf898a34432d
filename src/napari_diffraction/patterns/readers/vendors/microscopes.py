"""Files of electron microscopes and their cameras, read by the optional package rosettasciio."""

from __future__ import annotations

import importlib
import math
import os
import warnings
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import h5py
import numpy as np
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.at_once import at_once
from napari_diffraction.patterns.geometry import per_angstrom, plausible_wavelength
from napari_diffraction.patterns.readers.datasets import Candidate, choose, stack_shape
from napari_diffraction.patterns.readers.hyperspy import geometry_of_axis, step_of_axes
from napari_diffraction.patterns.readers.slices import read_run
from napari_diffraction.patterns.readers.source import (
    Source,
    check_declared_size,
    check_frame_bytes,
    native,
    to_grey,
)
from napari_diffraction.patterns.stack import SpotGeometry

_READERS = {
    ".dm3": "digitalmicrograph",
    ".dm4": "digitalmicrograph",
    ".emi": "tia",
    ".emd": "emd",
}
_UNCOMPRESSED = {".dm3", ".dm4"}
# rosettasciio cuts what it maps into pieces of this size, which are read as a whole
_PIECE = "2MiB"
# where each pattern lies strewn over the whole file, all of it is read for every row of the scan
_LARGEST_STREWN = 2**30


def open_file(path: str, dataset: str | None = None) -> Source:
    """Open a file with rosettasciio and take its biggest stack.

    Raises
    ------
    InputError
        Among others, when rosettasciio is not installed.
    """
    signals = _load(path)
    names = _names(signals)
    candidates = [
        Candidate(name, signal["data"].shape, np.dtype(signal["data"].dtype))
        for name, signal in zip(names, signals, strict=True)
    ]
    chosen = choose(path, candidates, dataset if len(candidates) > 1 else None)
    number = candidates.index(chosen)
    stack = stack_shape(chosen.shape)
    assert stack is not None
    frame = math.prod(stack[0][-2:]) * chosen.dtype.itemsize
    check_frame_bytes(path, frame)
    if Path(path).suffix.lower() in _UNCOMPRESSED:
        needed = math.prod(chosen.shape) * chosen.dtype.itemsize
        check_declared_size(path, needed, os.path.getsize(path))
    chunks = signals[number]["data"].chunks
    lead = chunks[: -3 if stack[1] else -2]
    axes = signals[number].get("axes") or []
    return Source(
        path,
        stack[0],
        native(chosen.dtype),
        _Patterns(path, number, signals[number]["data"], stack[1]),
        run=int(lead[-1][0]) if lead else 1,
        dataset=chosen.name if len(candidates) > 1 else None,
        geometry=_geometry(signals[number]),
        notes=signals[number].get("notes", ()),
        step=step_of_axes(*axes[:2]) if len(axes) == len(stack[0]) == 4 else None,
    )


def _load(path: str) -> list[dict[str, Any]]:
    suffix = Path(path).suffix.lower()
    try:
        rsciio = importlib.import_module("rsciio")
    except ModuleNotFoundError as error:
        raise InputError(
            f"{path}: {suffix} files need an optional package; install it with "
            '`pip install "napari-diffraction[em]"`.'
        ) from error
    rsciio.set_log_level("CRITICAL")  # it reports below as errors what is only worth a note
    reader = importlib.import_module(f"rsciio.{_READERS[suffix]}")
    with warnings.catch_warnings(), dask.config.set({"array.chunk-size": _PIECE}):
        warnings.simplefilter("ignore")
        signals = _signals(reader, path)
    if not signals:
        raise InputError(f"{path} holds no image; choose another file.")
    for signal in signals:
        if not isinstance(signal["data"], da.Array):
            signal["data"] = da.from_array(np.asarray(signal["data"]))
        if suffix in _UNCOMPRESSED:
            _put_camera_last(path, signal)
    return list(signals)


def _signals(reader: Any, path: str) -> list[dict[str, Any]]:
    """What a file holds, for rosettasciio puts together what lies in groups of an EMD file.

    It may be images of a series.  It may as well be what py4DSTEM keeps below a scan, mean and
    virtual images and lists of peaks, which have other shapes or are none at all.
    """
    arrays = _arrays(path) if Path(path).suffix.lower() == ".emd" else {}
    stacks = [name for name, shape in arrays.items() if len(shape) > 2]
    if stacks:
        return list(reader.file_reader(path, lazy=True, dataset_path=stacks))
    return list(reader.file_reader(path, lazy=True))


def _arrays(path: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the numeric arrays in an EMD file of Berkeley; none in one of Velox."""
    found: dict[str, tuple[int, ...]] = {}

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if (
            isinstance(item, h5py.Dataset)
            and item.dtype.kind in "iuf"
            and name.rsplit("/", 1)[-1].startswith("data")
            and "emd_group_type" in item.parent.attrs
        ):
            found[name] = item.shape

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def _put_camera_last(path: str, signal: dict[str, Any]) -> None:
    """Turn the axes of a scan of which DigitalMicrograph stored the places before the patterns.

    A tag says which of the two orders it is.  Before there was that tag, the places came first.
    """
    data, axes = signal["data"], signal["axes"]
    if data.ndim != 4 or min(data.shape) < 2 or _camera_is_last(signal):
        return
    if data.nbytes > _LARGEST_STREWN:
        raise InputError(
            f"{path} keeps each pattern strewn over the whole file, which is too slow to read; "
            "swap the axes of scan and camera in DigitalMicrograph or HyperSpy and save it anew."
        )
    order = (2, 3, 0, 1)
    signal["data"], signal["axes"] = data.transpose(order), [axes[i] for i in order]
    signal["notes"] = ("The file holds the scan before its patterns: the axes are swapped.",)


def _camera_is_last(signal: dict[str, Any]) -> bool:
    try:
        (image,) = signal["original_metadata"]["ImageList"].values()
        return bool(int(image["ImageTags"]["Meta Data"]["Data Order Swapped"]))
    except (KeyError, TypeError, ValueError):
        units = str(signal["axes"][-1].get("units", ""))
        return per_angstrom(1.0, units) is not None or units == "mrad"


def _names(signals: list[dict[str, Any]]) -> list[str]:
    names: list[str] = []
    for number, signal in enumerate(signals):
        title = signal.get("metadata", {}).get("General", {}).get("title") or f"signal {number}"
        names.append(title if title not in names else f"{title} ({number})")
    return names


def _geometry(signal: dict[str, Any]) -> SpotGeometry:
    wavelength = plausible_wavelength(_beam_energy(signal))
    axes = signal.get("axes")
    return geometry_of_axis(axes[-1] if axes else {}, wavelength)


def _beam_energy(signal: dict[str, Any]) -> float:
    """Return the voltage in kV, or NaN.

    rosettasciio either gives it with the metadata or says from where to take it.
    """
    target = "Acquisition_instrument.TEM.beam_energy"
    places: list[tuple[Any, str, Any]] = [(signal.get("metadata"), target, None)]
    for place, (name, convert) in (signal.get("mapping") or {}).items():
        if name == target:
            places.append((signal.get("original_metadata"), place, convert))
    for value, place, convert in places:
        try:
            for key in place.split("."):
                value = value[key]
            return float(convert(value) if convert else value)
        except (KeyError, TypeError, ValueError):
            continue
    return math.nan


class _Patterns:
    """Reads from the lazy array of rosettasciio; another process loads it anew."""

    def __init__(self, path: str, number: int, data: da.Array, colours: bool) -> None:
        self._path, self._number, self._colours = path, number, colours
        self._data = data

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self._path, self._number, self._colours)

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        lead = self._data.shape[: -3 if self._colours else -2]
        frames = read_run(self._data, lead, start, stop, at_once)
        return to_grey(frames) if self._colours else frames


def _reopened(path: str, number: int, colours: bool) -> _Patterns:
    return _Patterns(path, number, _load(path)[number]["data"], colours)
