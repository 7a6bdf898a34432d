"""The axes of an array as EMD has them, for files of py4DSTEM that are called .h5."""

from __future__ import annotations

import re
from typing import Any

import h5py
import numpy as np

from napari_diffraction.patterns.readers.hdf5.calibration import text_of

_MARKS = re.compile(r"[\[\]_ ]")


def axes_of(item: h5py.Dataset) -> list[dict[str, Any]]:
    """Return scale and unit of each axis of an array; none where the file is no EMD.

    Axes stand beside the array, as all their values or the first two of them.
    """
    group = item.parent
    if "emd_group_type" not in group.attrs:
        return []
    first = 0 if "dim0" in group else 1
    return [_axis(group.get(f"dim{first + number}")) for number in range(item.ndim)]


def _axis(values: object) -> dict[str, Any]:
    if not isinstance(values, h5py.Dataset) or values.dtype.kind not in "iuf":
        return {}
    if values.ndim != 1 or len(values) < 2:
        return {}
    start, second = np.asarray(values[:2], float)
    # Berkeley writes units as [n_m]
    unit = _MARKS.sub("", text_of(values.attrs.get("units", "")))
    return {"scale": abs(second - start), "units": unit}
