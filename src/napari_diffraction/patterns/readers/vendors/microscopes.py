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
import numpy as np
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.at_once import at_once
from napari_diffraction.patterns.geometry import per_angstrom, plausible_wavelength
from napari_diffraction.patterns.readers.datasets import Candidate, choose, stack_shape
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
    return Source(
        path,
        stack[0],
        native(chosen.dtype),
        _Patterns(path, number, signals[number]["data"], stack[1]),
        run=int(lead[-1][0]) if lead else 1,
        dataset=chosen.name if len(candidates) > 1 else None,
        geometry=_geometry(signals[number]),
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
        signals = reader.file_reader(path, lazy=True)
    if not signals:
        raise InputError(f"{path} holds no image; choose another file.")
    for signal in signals:
        if not isinstance(signal["data"], da.Array):
            signal["data"] = da.from_array(np.asarray(signal["data"]))
    return list(signals)


def _names(signals: list[dict[str, Any]]) -> list[str]:
    names: list[str] = []
    for number, signal in enumerate(signals):
        title = signal.get("metadata", {}).get("General", {}).get("title") or f"signal {number}"
        names.append(title if title not in names else f"{title} ({number})")
    return names


def _geometry(signal: dict[str, Any]) -> SpotGeometry:
    kilovolts, pixel_size = _beam_energy(signal), None
    if signal.get("axes"):
        axis = signal["axes"][-1]
        pixel_size = per_angstrom(float(axis.get("scale", 0.0)), str(axis.get("units", "")))
    wavelength = plausible_wavelength(kilovolts)
    return SpotGeometry(wavelength=wavelength, pixel_size=pixel_size)


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
        data = self._data
        inner = data.shape[-3:] if self._colours else data.shape[-2:]
        lead = data.shape[: -len(inner)]
        if len(lead) == 1:
            parts = data[start:stop]
        elif not lead:
            parts = data[np.newaxis]
        else:
            where = (np.unravel_index(index, lead) for index in range(start, stop))
            parts = da.stack([data[tuple(map(int, position))] for position in where])
        frames = at_once(parts)
        return to_grey(frames) if self._colours else frames


def _reopened(path: str, number: int, colours: bool) -> _Patterns:
    return _Patterns(path, number, _load(path)[number]["data"], colours)
