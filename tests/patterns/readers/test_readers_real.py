"""Measured patterns from public sources; skipped where they are not at hand."""

from __future__ import annotations

import pytest

from napari_diffraction.patterns.readers import open_stack

FILES = {
    "serial/au_rings_256px.tif": ((1, 256, 256), "float32"),
    "serial/moo3_zone_axis_256px.tif": ((1, 256, 256), "float32"),
    "serial/glycine_3ded_516px.tiff": ((1, 516, 516), "uint16"),
    "serial/precession_3x2x144x144.blo": ((3, 2, 144, 144), "uint8"),
    "serial/timepix_su_512px.img": ((1, 512, 512), "uint16"),
    "serial/ued_merlin_9x256x256.mib": ((9, 256, 256), "uint8"),
    "serial/ued_beamstop_512px.tif": ((1, 512, 512), "float64"),
    "ebsd/ni_superalloy_16x16x120x120.npz": ((16, 16, 120, 120), "uint8"),
    "ebsd/si_480px": ((3, 480, 480), "uint8"),
    "ebsd/fe3c_1040px.tif": ((1, 1040, 1040), "uint8"),
    "ebsd/gan_1344px.png": ((1, 1024, 1344), "uint8"),
    "ebsd/oxford_symmetry_unknown_phase.tiff": ((1, 1024, 1244), "uint8"),
}


@pytest.mark.parametrize("name", FILES)
def test_measured_patterns(name, real_patterns) -> None:
    shape, dtype = FILES[name]
    stack = open_stack(real_patterns / name)
    assert stack.data.shape == shape
    assert stack.data.dtype == dtype
    assert all(stack.frame(index).std() > 0 for index in (0, len(stack) - 1))


def test_calibration_of_a_measured_pattern(real_patterns) -> None:
    geometry = open_stack(real_patterns / "serial/timepix_su_512px.img").geometry
    assert geometry.wavelength == 0.0251
    assert geometry.pixel_size == pytest.approx(0.055 / (531.85 * 0.0251))
    assert geometry.centre == (246.0, 240.0)  # written in pixels
