"""Calibration as our own exports write it down: one number a name."""

from __future__ import annotations

from collections.abc import Mapping

from napari_diffraction.patterns.stack import Geometry, KikuchiGeometry, SpotGeometry

_CENTRE = ("pc_x", "pc_y", "pc_z")
_OTHERS = ("sample_tilt", "camera_tilt", "voltage")
#: Those of spot patterns.
SPOTS = ("wavelength", "pixel_size", "pixel_angle", "centre_x", "centre_y")
#: Of these a number that is not positive says nothing.
POSITIVE = ("wavelength", "pixel_size", "pixel_angle", "voltage")
#: All names there are.
NAMES = (*_CENTRE, *_OTHERS, *SPOTS)


def geometry_of_numbers(numbers: Mapping[str, float]) -> Geometry:
    """Return the calibration whose `numbers` these are; what it belongs to is told by the names.

    Other programs note a voltage beside the wavelength of spot patterns, too.
    """
    pc = None
    if all(name in numbers for name in _CENTRE):
        pc = numbers["pc_x"], numbers["pc_y"], numbers["pc_z"]
    sample, camera, voltage = (numbers.get(name) for name in _OTHERS)
    nothing = pc is None and sample is None and camera is None and voltage is None
    if nothing or any(name in numbers for name in SPOTS):
        return SpotGeometry.of(numbers)
    return KikuchiGeometry(pc, sample, camera, voltage)
