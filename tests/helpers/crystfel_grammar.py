"""Strict readers of CrystFEL's text files, after its manual pages and not after our writer."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

_NUMBER = r"[+-]?\d+(?:\.\d+)?"
_VECTOR = re.compile(rf"({_NUMBER})x ({_NUMBER})y")
_TOP = {
    "wavelength": rf"{_NUMBER} A",
    "clen": rf"{_NUMBER} m",
    "res": _NUMBER,
    "adu_per_photon": _NUMBER,
    "data": r"/\S+",
    "dim0": "%",
    "dim1": "ss",
    "dim2": "fs",
    "peak_list": r"/\S+",
    "peak_list_type": "cxi|list3|auto",
}
_PANEL = {"min_fs", "max_fs", "min_ss", "max_ss", "fs", "ss", "corner_x", "corner_y"}
_LATTICES = {
    "triclinic", "monoclinic", "orthorhombic", "tetragonal", "rhombohedral", "hexagonal", "cubic",
}  # fmt: skip


def read_cell(path: Path) -> tuple[dict[str, str], list[float]]:
    """Facts and parameters in A and degrees of a ``.cell`` file."""
    first, *lines = path.read_text().splitlines()
    assert first == "CrystFEL unit cell file version 1.0"
    facts: dict[str, str] = {}
    for line in lines:
        if not line or line.startswith(";"):
            continue
        name, sign, *values = line.split(" ")
        assert sign == "="
        assert name not in facts
        facts[name] = values[0]
        assert values[1:] == (
            ["A"] if name in "abc" else ["deg"] if name in ("al", "be", "ga") else []
        )
    assert facts["lattice_type"] in _LATTICES
    assert facts["centering"] in "PABCIFRH"
    # without it CrystFEL refuses these lattices, and warns of it with the others
    needs = facts["lattice_type"] in ("monoclinic", "tetragonal", "hexagonal")
    assert ("unique_axis" in facts) == needs
    return facts, [float(facts[name]) for name in ("a", "b", "c", "al", "be", "ga")]


class Camera:
    """A ``.geom`` file with one panel."""

    def __init__(self, path: Path) -> None:
        self.top: dict[str, str] = {}
        panel: dict[str, str] = {}
        for line in path.read_text().splitlines():
            text = line.split(";")[0].strip()
            if not text:
                continue
            name, value = text.split(" = ")
            if "/" in name:
                panel[name.split("/")[1]] = value
            else:
                assert not panel  # what follows a panel does not hold for it
                assert re.fullmatch(_TOP[name], value)
                self.top[name] = value
        assert set(panel) == _PANEL
        self.shape = int(panel["max_ss"]) + 1, int(panel["max_fs"]) + 1
        self._axes = np.array(
            [[float(v) for v in _VECTOR.fullmatch(panel[n]).groups()] for n in ("fs", "ss")]
        )
        self._corner = np.array([float(panel["corner_x"]), float(panel["corner_y"])])

    def scattering(self, pixels: np.ndarray) -> np.ndarray:
        """Scattering vectors, (n, 3), in 1/A of places (fs, ss) counted from the panel's corner."""
        wavelength = float(self.top["wavelength"].split()[0])
        across = (self._corner + pixels @ self._axes) / float(self.top["res"])
        away = np.column_stack([across, np.full(len(across), float(self.top["clen"].split()[0]))])
        away /= np.linalg.norm(away, axis=1)[:, None]
        return (away - [0, 0, 1]) / wavelength


def read_solutions(path: Path) -> dict[str, tuple[np.ndarray, str]]:
    """Reciprocal axes, rows, in 1/A and lattice, by file and frame, of a ``.sol`` file."""
    out = {}
    for line in path.read_text().splitlines():
        *name, lattice = line.split(" ")
        numbers = [float(word) for word in name[-11:]]
        assert numbers[9:] == [0, 0]
        assert re.fullmatch("[amotch][PABCIFRH][abc]?", lattice)
        out[" ".join(name[:-11])] = np.array(numbers[:9]).reshape(3, 3) / 10, lattice
    return out
