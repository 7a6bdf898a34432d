"""Sizes of atoms, and which elements occur together."""

from __future__ import annotations

import gemmi
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

#: Half the shortest distance (A) in the element, for metals and semimetals.
_METALLIC = {
    "Li": 1.52, "Be": 1.12, "Na": 1.86, "Mg": 1.60, "Al": 1.43, "K": 2.27, "Ca": 1.97,
    "Sc": 1.63, "Ti": 1.46, "V": 1.32, "Cr": 1.26, "Mn": 1.30, "Fe": 1.25, "Co": 1.25, "Ni": 1.25,
    "Cu": 1.28, "Zn": 1.35, "Ga": 1.35, "Rb": 2.48, "Sr": 2.15, "Y": 1.79, "Zr": 1.59,
    "Nb": 1.44, "Mo": 1.37, "Tc": 1.36, "Ru": 1.34, "Rh": 1.35, "Pd": 1.38, "Ag": 1.45, "Cd": 1.52,
    "In": 1.63, "Sn": 1.52, "Sb": 1.46, "Cs": 2.65, "Ba": 2.18, "La": 1.87, "Ce": 1.82,
    "Pr": 1.82, "Nd": 1.82, "Sm": 1.80, "Eu": 1.99, "Gd": 1.78, "Tb": 1.77, "Dy": 1.76,
    "Ho": 1.75, "Er": 1.74, "Tm": 1.73, "Yb": 1.94, "Lu": 1.72, "Hf": 1.57, "Ta": 1.44, "W": 1.38,
    "Re": 1.37, "Os": 1.35, "Ir": 1.36, "Pt": 1.39, "Au": 1.44, "Hg": 1.52, "Tl": 1.71, "Pb": 1.75,
    "Bi": 1.56, "Th": 1.80, "U": 1.42,
}  # fmt: skip

#: Anions of compounds: two of them keep this much (A) more than their covalent radii apart.
ANIONS = ("H", "B", "C", "N", "O", "F", "P", "S", "Cl", "Se", "Br", "Te", "I")
_ANION_SHELL = 0.62

#: Palettes of elements with the weight of each: (cations or metals, anions).
_ENGINEERING = (
    "Al 8 Ti 8 V 4 Cr 6 Mn 5 Fe 10 Co 6 Ni 10 Cu 7 Zn 4 Zr 5 Nb 5 Mo 5 Mg 5 W 4 Ta 4 Si 5 Sn 4"
)
_OTHER_METALS = (
    "Li 1 Be 1 Ca 2 Sc 1 Ga 2 Ge 2 Y 2 Ru 1 Rh 1 Pd 3 Ag 3 Cd 1 In 2 Sb 2 La 2 Ce 2 Nd 2 Sm 1 Gd 1"
    " Tb 1 Dy 1 Ho 1 Er 1 Yb 1 Lu 1 Hf 3 Re 2 Os 1 Ir 2 Pt 3 Au 3 Hg 1 Tl 1 Pb 2 Bi 2 Th 1 U 1"
    " Na 1 K 1 Sr 1 Ba 1 As 1 Te 1"
)
_ROCK = (
    "Mg 8 Al 9 Si 14 Ca 8 Fe 8 Ti 6 Na 5 K 4 Mn 4 Cr 3 Zr 4 Zn 3 Li 2 Ba 3 Sr 3 Nb 3 Ta 2 W 3 Mo 2"
    " V 3 Ni 3 Co 3 Cu 4 Y 3 La 3 Ce 2 Nd 2 Gd 1 Hf 2 Pb 3 Bi 2 Sn 2 Sb 1 P 3 Be 1 B 2 U 1 Th 1"
)
PALETTES = {
    "alloy": (f"{_ENGINEERING} {_OTHER_METALS}", ""),
    "hard": (f"{_ENGINEERING} Hf 4 Y 2 Sc 1 Re 1 U 1", "C 6 N 5 B 4 P 1"),
    "oxide": (_ROCK, "O 12 F 1 C 0.5"),
    "sulfide": (f"{_ENGINEERING} {_OTHER_METALS}", "S 6 Se 3 Te 3 P 2"),
    "halide": (
        "Na 4 K 4 Li 2 Rb 2 Cs 2 Mg 2 Ca 3 Sr 2 Ba 3 Ag 2 Cd 1 Pb 1 Tl 1",
        "F 5 Cl 5 Br 3 I 2",
    ),
    "semiconductor": (
        "Si 3 Ge 2 Ga 4 In 3 Al 3 Zn 4 Cd 3 Sn 2 Cu 2",
        "P 4 N 4 S 4 Se 3 Te 3",
    ),
}
_SHARES = {
    "alloy": 0.36,
    "hard": 0.14,
    "oxide": 0.28,
    "sulfide": 0.1,
    "halide": 0.05,
    "semiconductor": 0.07,
}


def _parse(palette: str) -> tuple[list[str], FloatArray]:
    words = palette.split()
    weights = np.array(words[1::2], dtype=float)
    return words[0::2], np.cumsum(weights / max(weights.sum(), 1e-9))


_PARSED = {name: (_parse(metals), _parse(anions)) for name, (metals, anions) in PALETTES.items()}
_KINDS = tuple(_SHARES)
_CUMULATED = np.cumsum(list(_SHARES.values()))


def radius(element: str) -> float:
    """Radius in A: metallic for metals, covalent for the rest."""
    return _METALLIC.get(element) or float(gemmi.Element(element).covalent_r)


def contacts(elements: list[str]) -> FloatArray:
    """Shortest usual distance in A of each pair of elements, shape (n, n).

    In a compound the anions keep farther apart than their covalent radii.
    """
    radii = np.array([radius(element) for element in elements])
    anion = np.array([element in ANIONS for element in elements])
    shell = _ANION_SHELL if not anion.all() else 0.0
    return np.asarray(radii[:, None] + radii + 2 * shell * (anion[:, None] & anion))


def choose_elements(
    metals: int, anions: int, rng: np.random.Generator, contrast: float = 0.85
) -> tuple[list[str], list[str]]:
    """Draw elements that occur together.

    Parameters
    ----------
    metals, anions
        How many of each; without anions an alloy.
    rng
        Source of randomness.
    contrast
        Probability with which all atomic numbers differ by a quarter or more.

    Returns
    -------
    tuple of two lists of element symbols
    """
    kind = "alloy"
    if anions:
        while kind == "alloy":
            kind = _KINDS[min(int(np.searchsorted(_CUMULATED, rng.random())), len(_KINDS) - 1)]
    clear = rng.random() < contrast
    chosen: list[str] = []
    numbers: list[int] = []
    needed = [_PARSED[kind][0]] * metals + [_PARSED[kind][1]] * anions
    for attempt in range(40 * len(needed)):
        if len(chosen) == len(needed):
            break
        names, cumulated = needed[len(chosen)]
        element = names[min(int(np.searchsorted(cumulated, rng.random())), len(names) - 1)]
        number = gemmi.Element(element).atomic_number
        near = any(abs(number - z) < 0.25 * max(number, z) for z in numbers)
        if element in chosen or (near and clear and attempt < 20 * len(needed)):
            continue
        chosen.append(element)
        numbers.append(number)
    return chosen[:metals], chosen[metals:]
