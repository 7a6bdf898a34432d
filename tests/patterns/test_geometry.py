from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_diffraction.patterns.geometry import (
    acceleration,
    electron_wavelength,
    in_millimetres,
    per_angstrom,
)
from napari_diffraction.patterns.stack import SpotGeometry


@pytest.mark.parametrize(
    ("kilovolts", "wavelength"),
    [(20, 0.08588), (80, 0.04176), (100, 0.03701), (200, 0.02508), (300, 0.01969)],
)
def test_wavelengths_of_the_textbook(kilovolts, wavelength) -> None:
    assert electron_wavelength(kilovolts) == pytest.approx(wavelength, abs=6e-6)


@given(st.floats(1e-3, 1e4))
def test_wavelength_from_momentum(kilovolts: float) -> None:
    h, m, e, c = 6.62607015e-34, 9.1093837015e-31, 1.602176634e-19, 299792458.0
    energy = kilovolts * 1e3 * e
    momentum = math.sqrt(energy * (energy + 2 * m * c**2)) / c
    assert electron_wavelength(kilovolts) == pytest.approx(1e10 * h / momentum, rel=1e-6)
    assert acceleration(electron_wavelength(kilovolts)) == pytest.approx(kilovolts, rel=1e-7)


@pytest.mark.parametrize("kilovolts", [0, -5, math.nan, math.inf])
def test_impossible_voltages(kilovolts) -> None:
    with pytest.raises(ValueError, match="not positive"):
        electron_wavelength(kilovolts)


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0.5, "1/nm", 0.05), (0.5, "nm^-1", 0.05), (0.5, "1 / nm", 0.05), (0.5, "$nm^{-1}$", 0.05),
        (0.5, "1/Å", 0.5), (0.5, "A-1", 0.5), (0.5, "1/Angstrom", 0.5), (0.5, "Å⁻¹", 0.5),
        (5e7, "1/m", 5e-3), (500.0, "1/µm", 0.05),
        (0.5, "nm", None), (0.5, "", None), (0.5, "mrad", None), (0.0, "1/nm", None),
        (math.nan, "1/nm", None), (-1.0, "1/nm", None), (1.0, "1/furlong", None),
    ],
)  # fmt: skip
def test_reciprocal_units(value, unit, expected) -> None:
    assert per_angstrom(value, unit) == (None if expected is None else pytest.approx(expected))


def test_camera_length() -> None:
    # 55 micrometres at 1 m and 200 kV
    known = SpotGeometry(pixel_angle=0.055 / 1000.0)
    assert known.pixel_size is None
    assert known.with_wavelength(0.02508).pixel_size == pytest.approx(0.002193, abs=1e-6)
    # at another voltage than that of the file
    assert known.with_wavelength(0.02508).with_wavelength(0.0197).pixel_size == pytest.approx(
        0.055 / 1000.0 / 0.0197
    )
    # a scale in 1/A depends on no voltage
    assert SpotGeometry(0.02508, 0.002).with_wavelength(0.0197) == SpotGeometry(0.0197, 0.002)
    assert known.with_wavelength(None) is known
    assert SpotGeometry.of(known.numbers()) == known


def test_units_of_length() -> None:
    assert in_millimetres(2.0, "m") == 2000.0
    assert in_millimetres(55.0, "um") == pytest.approx(0.055)
    assert in_millimetres(1.0, "parsec") is None


@pytest.mark.parametrize(
    ("unit", "expected"),
    [("metre", 2000.0), ("Meters", 2000.0), ("millimetre", 2.0), ("micrometers", 0.002)],
)
def test_lengths_may_be_written_out(unit: str, expected: float) -> None:
    assert in_millimetres(2.0, unit) == pytest.approx(expected)
    assert per_angstrom(0.05, "1/nanometer") == per_angstrom(0.05, "1/nm")
