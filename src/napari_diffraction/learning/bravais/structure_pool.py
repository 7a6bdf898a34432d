"""Random structures for training, made by several processes beside it and kept on its device."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.crystal.structure import LAUE_GROUPS, Structure, laue_group
from napari_diffraction.files import replacing

LATTICES = tuple(BRAVAIS_LATTICES)
#: Structures in a chunk, the same number of each lattice.
CHUNK = 100 * len(LATTICES)
#: Reflections of a structure, the strongest ones; +g and -g count once.
REFLECTIONS = 160
_PARTS = ("normal", "g", "u", "label", "laue")


def structure_arrays(structures: list[Structure]) -> dict[str, NDArray[Any]]:
    """Tabulate what `napari_diffraction.simulation.kikuchi.torch_bands.bands` needs of structures.

    Returns
    -------
    dict
        ``normal`` (n, 160, 3), ``g`` and ``u`` (n, 160), all float32, filled
        up with zeros; ``label``, the number of the lattice, and ``laue``, that of the Laue group.
    """
    from napari_diffraction.crystal.reflectors import reflectors

    n = len(structures)
    out: dict[str, NDArray[Any]] = {
        "normal": np.zeros((n, REFLECTIONS, 3), np.float32),
        "g": np.zeros((n, REFLECTIONS), np.float32),
        "u": np.zeros((n, REFLECTIONS), np.float32),
        "label": np.zeros(n, np.int64),
        "laue": np.zeros(n, np.int64),
    }
    for i, structure in enumerate(structures):
        strong = reflectors(structure, REFLECTIONS)
        k = len(strong.g)
        out["normal"][i, :k], out["g"][i, :k], out["u"][i, :k] = strong.normal, strong.g, strong.u
        out["label"][i] = LATTICES.index(structure.lattice)
        out["laue"][i] = LAUE_GROUPS.index(laue_group(structure.space_group))
    return out


def make_chunk(job: tuple[str, int]) -> str:
    """Draw the random structures of one chunk and write them, unless the file is there already."""
    from napari_diffraction.crystal.random_structures.structures import random_structure

    path, seed = job
    if not os.path.exists(path):
        rng = np.random.default_rng([seed, 11])
        drawn = [random_structure(lattice, rng) for lattice in LATTICES for _ in range(100)]
        with replacing(Path(path)) as partial:
            save_arrays(partial, structure_arrays(drawn))
    return path


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays by name as ``.npz``, which `read_chunk` reads."""
    np.savez(path, **dict(arrays))  # type: ignore[arg-type]  # its stub takes names for options


def read_chunk(path: str | Path) -> dict[str, NDArray[Any]]:
    """Read a chunk of `make_chunk`."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in _PARTS}


class StructurePool:
    """Structures on a device, to which finished chunks are added as they come.

    Parameters
    ----------
    device
        Where the structures are needed.
    capacity
        Greatest number of structures, some 3.4 kB each; memory is taken at once.
    """

    def __init__(self, device: torch.device, capacity: int) -> None:
        self.device = device
        self.count = 0
        self._parts: dict[str, torch.Tensor] = {}
        self._capacity = capacity

    def add(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Add structures as far as there is room."""
        new = min(len(arrays["label"]), self._capacity - self.count)
        for name, values in arrays.items():
            tensor = torch.from_numpy(np.ascontiguousarray(values[:new]))
            if name not in self._parts:
                shape = (self._capacity, *tensor.shape[1:])
                self._parts[name] = torch.zeros(shape, dtype=tensor.dtype, device=self.device)
            self._parts[name][self.count : self.count + new] = tensor.to(self.device)
        self.count += new

    def take(self, which: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the arrays of some structures by number."""
        return {name: values[which] for name, values in self._parts.items()}


def pool_of(structures: list[Structure], device: str | torch.device = "cpu") -> StructurePool:
    """Put crystals on a device.

    Parameters
    ----------
    structures
        The crystals.
    device
        Where their arrays are to lie.

    Returns
    -------
    StructurePool
        With the crystals in their order.
    """
    pool = StructurePool(torch.device(device), len(structures))
    pool.add(structure_arrays(structures))
    return pool
