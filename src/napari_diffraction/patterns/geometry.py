"""What microscopes and cameras write down: electron wavelength, pixel size, pattern centre."""

from __future__ import annotations

import math
import re

#: Assumed where a file says nothing: 200 kV.
ASSUMED_KILOVOLTS = 200.0
#: Least and greatest x, y and distance of a pattern centre (EBSD), in Bruker's convention.
CENTRES = ((-0.5, 1.5), (-0.5, 1.5), (0.2, 3.0))

# Powers of ten that turn "per unit" into "per A".
_UNIT_IN_ANGSTROM = {"a": 1.0, "nm": 10.0, "um": 1e4, "µm": 1e4, "μm": 1e4, "m": 1e10, "pm": 0.01}
_LENGTH_IN_MILLIMETRES = {"m": 1e3, "cm": 10.0, "mm": 1.0, "um": 1e-3, "µm": 1e-3, "μm": 1e-3}


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
    volts = 1000.0 * kilovolts
    # h / sqrt(2 m e) in A sqrt(V), and e / (2 m c^2) in 1/V (CODATA 2018)
    return 12.264259 / math.sqrt(volts * (1.0 + 0.97847556e-6 * volts))


def reciprocal_pixel(pixel: float, distance: float, wavelength: float) -> float:
    """Return the reciprocal length of a pixel near the beam, in 1/A.

    Parameters
    ----------
    pixel, distance
        Pixel size and camera length, both in the same unit.
    wavelength
        Electron wavelength in A.

    Raises
    ------
    ValueError
        A value is not a positive number.
    """
    values = (pixel, distance, wavelength)
    if not all(math.isfinite(value) and value > 0 for value in values):
        raise ValueError("pixel size, camera length and wavelength have to be positive")
    return pixel / (distance * wavelength)


def _plain_unit(unit: str) -> str:
    text = re.sub(r"[\s$^{}()]", "", unit).lower()
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
    length = _UNIT_IN_ANGSTROM.get(match[1] or match[2])
    return None if length is None else value / length


def in_millimetres(value: float, unit: str) -> float | None:
    """Convert a length into mm, or return ``None`` where the unit is not a known length."""
    factor = _LENGTH_IN_MILLIMETRES.get(_plain_unit(unit))
    return None if factor is None else value * factor
