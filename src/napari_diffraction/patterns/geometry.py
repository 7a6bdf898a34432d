"""What microscopes and cameras write down: electron wavelength, pixel size, pattern centre."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_diffraction.errors import InputError

#: Assumed where a file says nothing: 200 kV.
ASSUMED_KILOVOLTS = 200.0
#: Least and greatest x, y and distance of a pattern centre (EBSD), in Bruker's convention.
CENTRES = ((-0.5, 1.5), (-0.5, 1.5), (0.2, 3.0))
#: Whose pattern centre it is.
CONVENTIONS = ("bruker", "edax", "oxford")
#: h / sqrt(2 m e) in A sqrt(V), and e / (2 m c^2) in 1/V (CODATA 2018).
_SLOW, _RELATIVISTIC = 12.264259, 0.97847556e-6

_ANGSTROM = {
    "pm": 0.01, "a": 1.0, "nm": 10.0, "um": 1e4, "µm": 1e4, "μm": 1e4, "mm": 1e7, "cm": 1e8,
    "m": 1e10,
}  # fmt: skip
#: Units as words, as some writers of NeXus have them.
_PREFIXES = {"": "", "centi": "c", "milli": "m", "micro": "u", "nano": "n", "pico": "p"}
_METRES = re.compile(rf"({'|'.join(_PREFIXES)})met(?:re|er)s?")


def electron_wavelength(kilovolts: float) -> float:
    r"""Return the relativistic wavelength of electrons.

    .. math:: \lambda = \frac{h}{\sqrt{2 m e U \, (1 + e U / 2 m c^2)}}

    Parameters
    ----------
    kilovolts
        Acceleration voltage U in kV.

    Returns
    -------
    float
        Wavelength in A.

    Raises
    ------
    ValueError
        The voltage is not a positive number.
    """
    if not (math.isfinite(kilovolts) and kilovolts > 0):
        raise ValueError(f"an acceleration voltage of {kilovolts} kV is not positive")
    return float(wavelength(kilovolts))


def plausible_wavelength(kilovolts: float) -> float | None:
    """Return the wavelength in A for a voltage in a file; ``None`` for that of no microscope."""
    return electron_wavelength(kilovolts) if 1 <= kilovolts <= 10_000 else None


def _plain_unit(unit: str) -> str:
    text = re.sub(r"[\s$^{}()]", "", unit).lower()
    text = _METRES.sub(lambda word: f"{_PREFIXES[word[1]]}m", text)
    return re.sub(r"å|å|angstroms?|ang", "a", text).replace("⁻¹", "-1")


def per_angstrom(value: float, unit: str) -> float | None:
    """Convert a reciprocal length such as 0.05 "1/nm" into 1/A.

    Returns
    -------
    float or None
        ``None`` where the unit is no reciprocal length or the value not positive.
    """
    match = re.fullmatch(r"1/(\w+)|(\w+)-1", _plain_unit(unit))
    if match is None or not math.isfinite(value) or value <= 0:
        return None
    length = _ANGSTROM.get(match[1] or match[2])
    return None if length is None else value / length


def in_angstrom(value: float, unit: str) -> float | None:
    """Convert a length into A, or return ``None`` where the unit is not a known length."""
    factor = _ANGSTROM.get(_plain_unit(unit))
    return None if factor is None else value * factor


def in_millimetres(value: float, unit: str) -> float | None:
    """Convert a length into mm, or return ``None`` where the unit is not a known length."""
    factor = _ANGSTROM.get(_plain_unit(unit))
    return None if factor is None else value * factor / _ANGSTROM["mm"]


def wavelength(voltage: ArrayLike) -> Any:
    """Return `electron_wavelength` of any number of voltages, which are not checked."""
    volts = 1e3 * np.asarray(voltage, dtype=float)
    return _SLOW / np.sqrt(volts * (1.0 + _RELATIVISTIC * volts))


def acceleration(wavelength: float) -> float:
    """Return the voltage in kV of which `electron_wavelength` is a wavelength in A."""
    # what `wavelength` says, solved for the voltage
    root = math.sqrt(1.0 + 4.0 * _RELATIVISTIC * (_SLOW / wavelength) ** 2)
    return 1e-3 * (root - 1.0) / (2.0 * _RELATIVISTIC)


def to_bruker(pc: ArrayLike, convention: str, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Convert pattern centres to Bruker's convention.

    Bruker: from the left over the width, from the top over the height, distance over the height.
    EDAX (TSL): from the left over the width, from the bottom over the height, distance over the
    shorter side.  Oxford: from the left, from the bottom, and the distance, all over the width.

    Parameters
    ----------
    pc : array_like, (..., 3)
        Pattern centres.
    convention
        One of `CONVENTIONS`.
    shape
        Height and width of the patterns in pixels.

    Returns
    -------
    ndarray of float64, (..., 3)

    Raises
    ------
    InputError
        Unknown convention.
    """
    x, y, z = np.moveaxis(np.asarray(pc, dtype=float), -1, 0)
    y, z = _to_bruker(y, z, convention, shape)
    return np.stack([x, y, z], axis=-1)


def from_bruker(pc: ArrayLike, convention: str, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Convert pattern centres from Bruker's convention; see `to_bruker`."""
    x, y, z = np.moveaxis(np.asarray(pc, dtype=float), -1, 0)
    h, w = shape
    if convention == "edax":
        y, z = 1 - y, z * h / min(shape)
    elif convention == "oxford":
        y, z = (1 - y) * h / w, z * h / w
    else:
        _known(convention)
    return np.stack([x, y, z], axis=-1)


def _to_bruker(
    y: NDArray[np.float64], z: NDArray[np.float64], convention: str, shape: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    h, w = shape
    if convention == "edax":
        return 1 - y, z * min(shape) / h
    if convention == "oxford":
        return 1 - y * w / h, z * w / h
    _known(convention)
    return y, z


def _known(convention: str) -> None:
    if convention not in CONVENTIONS:
        raise InputError(
            f"Unknown convention '{convention}' of the pattern centre: "
            f"use one of {', '.join(CONVENTIONS)}."
        )
