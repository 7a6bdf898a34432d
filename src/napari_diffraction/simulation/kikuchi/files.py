"""Simulated Kikuchi patterns on disk, with their labels."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import tifffile

from napari_diffraction.errors import InputError
from napari_diffraction.files import replacing, replacing_hdf5
from napari_diffraction.simulation.files import labels_beside, write_patterns, write_table
from napari_diffraction.simulation.kikuchi.effects import KikuchiEffects
from napari_diffraction.simulation.kikuchi.patterns import SimulatedKikuchi

_HDF5 = (".h5", ".hdf5", ".nxs", ".cxi")
_TIFF = (".tif", ".tiff")

#: Endings of the files that can be written.
ENDINGS = (*_HDF5, ".npz", *_TIFF, ".npy")


def save_kikuchi(stack: SimulatedKikuchi, path: str | Path) -> Path:
    """Write simulated Kikuchi patterns, by the ending of the name.

    HDF5 holds the images in ``/entry/data/data``, the labels as columns in ``/labels``, and
    geometry and settings as attributes; NPZ holds the images as ``data`` and each column of the
    labels.  TIFF and NPY hold the images only; the labels stand beside them in ``NAME.csv``.

    Parameters
    ----------
    stack
        What to write.
    path
        With one of `ENDINGS`.

    Raises
    ------
    InputError
        Another ending, or the file cannot be written there.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in ENDINGS:
        raise InputError(f"{path.name}: patterns are written as .h5, .npz, .tif or .npy; use one.")
    if suffix in _HDF5:
        with replacing_hdf5(path) as file:
            write_patterns(file, stack.images)
            for name, value in stack.geometry.numbers().items():
                file.attrs[name] = value
            file.attrs["conditions"] = json.dumps(asdict(stack.conditions))
            if isinstance(stack.effects, KikuchiEffects):
                file.attrs["effects"] = json.dumps(asdict(stack.effects))
            write_table(file.create_group("labels"), stack.labels)
        return path
    with replacing(path) as images:
        if suffix == ".npz":
            columns = {str(name): np.array(stack.labels[name].tolist()) for name in stack.labels}
            np.savez_compressed(images, allow_pickle=False, data=stack.images, **columns)
            return path
        if suffix in _TIFF:
            tifffile.imwrite(images, stack.images, photometric="minisblack")
        else:
            np.save(images, stack.images, allow_pickle=False)
        with replacing(labels_beside(path)) as labels:
            stack.labels.to_csv(labels, index=False)
    return path
