"""Simulated stacks on disk: HDF5 with everything, or TIFF with a table beside it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import tifffile
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.files import replacing, replacing_hdf5
from napari_diffraction.simulation.label_table import read_labels
from napari_diffraction.simulation.spots.dataset import SimulatedStack

#: Where the patterns stand in an HDF5 file.
DATASET = "/entry/data/data"
_HDF5 = (".h5", ".hdf5", ".nxs", ".cxi")
_TIFF = (".tif", ".tiff")


def save_simulated(stack: SimulatedStack, path: str | Path) -> Path:
    """Write a simulated stack, by the ending of the name.

    HDF5 holds the images in ``/entry/data/data``, the labels and the spots as tables of columns in
    ``/labels`` and ``/spots``, and geometry and settings as attributes.  TIFF and NPY hold the
    images only; the labels stand beside them in ``NAME.csv``.

    Parameters
    ----------
    stack
        What to write.
    path
        ``.h5``, ``.hdf5``, ``.nxs``, ``.cxi``, ``.tif``, ``.tiff`` or ``.npy``.

    Raises
    ------
    InputError
        Another ending, or the file cannot be written there.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (*_HDF5, *_TIFF, ".npy"):
        raise InputError(f"{path.name}: patterns are written as .h5, .tif or .npy; use one.")
    if suffix in _HDF5:
        with replacing_hdf5(path) as file:
            _write_hdf5(stack, file)
        return path
    with replacing(path) as images:
        if suffix in _TIFF:
            tifffile.imwrite(images, stack.images, photometric="minisblack")
        else:
            np.save(images, stack.images, allow_pickle=False)
        with replacing(labels_beside(path)) as labels:
            stack.labels.to_csv(labels, index=False)
    return path


def labels_beside(path: Path) -> Path:
    """Name of the table of labels that belongs to a file without room for one."""
    return path.with_name(path.name + ".csv")


def load_labels(path: str | Path, texts: Collection[str] = ()) -> pd.DataFrame | None:
    """Read the labels that belong to a stack; ``None`` where there are none.

    They are those of a simulated HDF5 file, else a table ``NAME.csv`` beside the file (``run42.h5``
    has ``run42.h5.csv``), else those of an HDF5 file that was exported after a review, or those
    that stand beside the patterns in an NPZ file.

    Parameters
    ----------
    path
        The stack.
    texts
        Columns of a table beside it that stay texts besides those that usually hold classes.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    path = Path(path)
    beside = labels_beside(path)
    try:
        if path.suffix.lower() not in _HDF5:
            if beside.exists():
                return of_this_file(read_labels(beside, texts), path)
            return _read_npz(path) if path.suffix.lower() == ".npz" else None
        with h5py.File(path) as file:
            simulated, exported = file.get("labels"), file.get("entry/labels")
            if isinstance(simulated, h5py.Group) and "columns" in simulated.attrs:
                return _read_table(simulated, simulated.attrs["columns"])
            if beside.exists():
                return read_labels(beside, texts)
            if isinstance(exported, h5py.Group) and "label" in exported:
                return _without_old_index(_read_table(exported, _columns_of(exported)))
            return None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path}: its labels cannot be read ({error}); write them anew."
        ) from error


def of_this_file(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return the table beside a file as one of this file.

    Where an older version exported the file after a review, the numbers in the table are those of
    the stack that the patterns came from; they are left out.

    Parameters
    ----------
    table
        As it stands in the table beside the file.
    path
        The file.
    """
    try:
        facts = json.loads(path.with_name(path.name + ".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return table
    exported = isinstance(facts, dict) and facts.get("chosen") == len(table)
    return _without_old_index(table) if exported else table


def _without_old_index(table: pd.DataFrame) -> pd.DataFrame:
    """Leave out numbers that older versions took over from the stack they exported."""
    return table if "stack_index" in table else table.drop(columns="index", errors="ignore")


def write_patterns(file: h5py.File, images: NDArray[Any]) -> None:
    """Write patterns into an HDF5 file where every reader of this program looks first."""
    file.create_dataset(
        DATASET, data=images, chunks=(1, *images.shape[1:]), compression="gzip", compression_opts=1
    )
    file["entry"].attrs["default"] = "data"
    file["entry/data"].attrs["signal"] = "data"
    file["entry"].attrs["NX_class"] = "NXentry"
    file["entry/data"].attrs["NX_class"] = "NXdata"
    file.attrs["default"] = "entry"


def write_table(group: h5py.Group, table: pd.DataFrame) -> None:
    """Write the columns of a table as data sets of a group, for `load_labels`."""
    for name in table.columns:
        values = table[name].to_numpy()
        if values.dtype.kind not in "biuf":
            values = values.astype(h5py.string_dtype())
        group.create_dataset(name, data=values, compression="gzip" if len(values) > 999 else None)
    group.attrs["columns"] = list(table.columns)


def _write_hdf5(stack: SimulatedStack, file: h5py.File) -> None:
    write_patterns(file, stack.images)
    file.attrs["wavelength"] = stack.geometry.wavelength
    file.attrs["pixel_size"] = stack.geometry.pixel_size
    assert stack.geometry.centre is not None
    file.attrs["centre_x"], file.attrs["centre_y"] = stack.geometry.centre
    file.attrs["conditions"] = json.dumps(asdict(stack.conditions))
    file.attrs["effects"] = json.dumps(asdict(stack.effects))
    write_table(file.create_group("labels"), stack.labels)
    write_table(file.create_group("spots"), stack.spots)


def _read_npz(path: Path) -> pd.DataFrame | None:
    """Read the columns that stand beside the patterns in an NPZ file; ``None``: no labels."""
    if not zipfile.is_zipfile(path):
        return None
    with np.load(path, allow_pickle=False) as file:
        if "label" not in file:
            return None
        shape = file["label"].shape
        columns = {name: file[name] for name in file if name != "data"}
    return pd.DataFrame({name: one for name, one in columns.items() if one.shape == shape})


def _columns_of(group: Any) -> Iterator[str]:
    """Names of columns; older versions made folders of those with a slash, as of a class Fe/Ni."""
    for name, item in group.items():
        if isinstance(item, h5py.Group):
            yield from (f"{name}/{rest}" for rest in _columns_of(item))
        else:
            yield name


def _read_table(group: Any, names: Iterable[str]) -> pd.DataFrame:
    columns = {}
    for name in names:
        item = group[name]
        columns[name] = item.asstr()[:] if h5py.check_string_dtype(item.dtype) else item[:]
    return pd.DataFrame(columns)
