"""Published structures of the dynamical test set, two or more for most Bravais lattices."""

from __future__ import annotations

from dataclasses import dataclass

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.structure import Structure, expand, reference_setting


@dataclass(frozen=True)
class Crystal:
    """A structure in the standard setting (origin choice 2, b unique, R on hexagonal axes).

    `cell` is in A and degrees, `sites` the asymmetric unit (element, x, y, z), `atoms` the number
    in the conventional cell.
    """

    lattice: str
    space_group: int
    cell: tuple[float, ...]
    sites: tuple[tuple[str, float, float, float], ...]
    atoms: int
    source: str
    b_iso: float = 0.5  # A^2, thermal motion, one figure for all atoms

    def structure(self, name: str) -> Structure:
        """Return every atom of the cell."""
        sites = [(*site, 1.0, self.b_iso) for site in self.sites]
        setting = reference_setting(self.space_group)
        out = expand(UnitCell(*self.cell), self.space_group, sites, name, self.source, setting)
        if len(out.species) != self.atoms:
            raise ValueError(f"{name}: {len(out.species)} atoms in the cell, not {self.atoms}")
        return out


def _cubic(a: float) -> tuple[float, ...]:
    return (a, a, a, 90, 90, 90)


def _tetragonal(a: float, c: float) -> tuple[float, ...]:
    return (a, a, c, 90, 90, 90)


def _hexagonal(a: float, c: float) -> tuple[float, ...]:
    return (a, a, c, 90, 90, 120)


def _box(a: float, b: float, c: float) -> tuple[float, ...]:
    return (a, b, c, 90, 90, 90)


def _monoclinic(a: float, b: float, c: float, beta: float) -> tuple[float, ...]:
    return (a, b, c, 90, beta, 90)


WYCKOFF = "Wyckoff, Crystal Structures, 2nd ed. (1963)"
PEARSON = "Villars & Calvert, Pearson's Handbook (1991)"

# the cheapest of every lattice first
CRYSTALS = {
    "Al": Crystal("cF", 225, _cubic(4.0496), (("Al", 0, 0, 0),), 4, WYCKOFF, b_iso=0.86),
    "Fe": Crystal("cI", 229, _cubic(2.8665), (("Fe", 0, 0, 0),), 2, WYCKOFF, b_iso=0.35),
    "CsCl": Crystal(
        "cP", 221, _cubic(4.123), (("Cs", 0, 0, 0), ("Cl", 0.5, 0.5, 0.5)), 2, WYCKOFF, b_iso=1.9
    ),
    "Ti": Crystal("hP", 194, _hexagonal(2.9508, 4.6855), (("Ti", 1 / 3, 2 / 3, 0.25),), 2, WYCKOFF),
    "Sn": Crystal(
        "tI", 141, _tetragonal(5.8318, 3.1819), (("Sn", 0, 0.75, 0.125),), 4, WYCKOFF, b_iso=1.1
    ),
    "TiO2_rutile": Crystal(
        "tP",
        136,
        _tetragonal(4.5937, 2.9587),
        (("Ti", 0, 0, 0), ("O", 0.3053, 0.3053, 0)),
        6,
        "Abrahams & Bernstein, J. Chem. Phys. 55 (1971) 3206",
    ),
    "U": Crystal(
        "oC",
        63,
        _box(2.8537, 5.8695, 4.9548),
        (("U", 0, 0.1025, 0.25),),
        4,
        "Barrett, Mueller & Hitterman, Phys. Rev. 129 (1963) 625",
    ),
    "Bi": Crystal(
        "hR",
        166,
        _hexagonal(4.546, 11.862),
        (("Bi", 0, 0, 0.2339),),
        6,
        "Cucka & Barrett, Acta Cryst. 15 (1962) 865",
        b_iso=1.1,
    ),
    "FeB": Crystal(
        "oP",
        62,
        _box(5.506, 2.952, 4.061),
        (("Fe", 0.18, 0.25, 0.125), ("B", 0.036, 0.25, 0.61)),
        8,
        PEARSON,
    ),
    "Ta3B4": Crystal(
        "oI",
        71,
        _box(3.29, 14.0, 3.13),
        (("Ta", 0.5, 0.5, 0), ("Ta", 0, 0.18, 0), ("B", 0, 0.375, 0), ("B", 0, 0.444, 0.5)),
        14,
        "Kiessling, Acta Chem. Scand. 3 (1949) 603",
    ),
    "TiSi2": Crystal(
        "oF",
        70,
        _box(8.2671, 4.8000, 8.5505),
        (("Ti", 0.125, 0.125, 0.125), ("Si", 0.4615, 0.125, 0.125)),
        24,
        "Jeitschko, Acta Cryst. B33 (1977) 2347",
    ),
    "NiTi_B19p": Crystal(
        "mP",
        11,
        _monoclinic(2.898, 4.108, 4.646, 97.78),
        (("Ti", 0.4176, 0.25, 0.2164), ("Ni", 0.0372, 0.25, 0.6752)),
        4,
        "Kudoh et al., Acta Metall. 33 (1985) 2049",
    ),
    "CuO": Crystal(
        "mC",
        15,
        _monoclinic(4.6837, 3.4226, 5.1288, 99.54),
        (("Cu", 0.25, 0.25, 0), ("O", 0, 0.4184, 0.25)),
        8,
        "Asbrink & Norrby, Acta Cryst. B26 (1970) 8",
    ),
    "CuWO4": Crystal(
        "aP",
        2,
        (4.7026, 5.8389, 4.8784, 91.677, 92.469, 82.805),
        (
            ("Cu", 0.49533, 0.65976, 0.24481),
            ("W", 0.02106, 0.17348, 0.25429),
            ("O", 0.2491, 0.3535, 0.4245),
            ("O", 0.2145, 0.8812, 0.4309),
            ("O", 0.7353, 0.3803, 0.0981),
            ("O", 0.7826, 0.9079, 0.0533),
        ),
        12,
        "Kihlborg & Gebert, Acta Cryst. B26 (1970) 1020",
    ),
    "Cu": Crystal("cF", 225, _cubic(3.6149), (("Cu", 0, 0, 0),), 4, WYCKOFF, b_iso=0.55),
    "Si": Crystal("cF", 227, _cubic(5.4310), (("Si", 0.125, 0.125, 0.125),), 8, WYCKOFF),
    "NaCl": Crystal(
        "cF", 225, _cubic(5.6402), (("Na", 0, 0, 0), ("Cl", 0.5, 0.5, 0.5)), 8, WYCKOFF, b_iso=1.5
    ),
    "W": Crystal("cI", 229, _cubic(3.1652), (("W", 0, 0, 0),), 2, WYCKOFF, b_iso=0.16),
    "Cr3Si": Crystal(
        "cP", 223, _cubic(4.5578), (("Si", 0, 0, 0), ("Cr", 0.25, 0, 0.5)), 8, PEARSON
    ),
    "AuCu3": Crystal(
        "cP", 221, _cubic(3.7493), (("Au", 0, 0, 0), ("Cu", 0.5, 0.5, 0)), 4, PEARSON, b_iso=0.6
    ),
    "SrTiO3": Crystal(
        "cP",
        221,
        _cubic(3.905),
        (("Ti", 0, 0, 0), ("Sr", 0.5, 0.5, 0.5), ("O", 0.5, 0, 0)),
        5,
        WYCKOFF,
    ),
    "Cu2O": Crystal(
        "cP", 224, _cubic(4.2696), (("O", 0.25, 0.25, 0.25), ("Cu", 0, 0, 0)), 6, WYCKOFF
    ),
    "Mg": Crystal(
        "hP", 194, _hexagonal(3.2094, 5.2107), (("Mg", 1 / 3, 2 / 3, 0.25),), 2, WYCKOFF, b_iso=1.6
    ),
    "WC": Crystal(
        "hP",
        187,
        _hexagonal(2.9065, 2.8366),
        (("W", 0, 0, 0), ("C", 1 / 3, 2 / 3, 0.5)),
        2,
        PEARSON,
        b_iso=0.2,
    ),
    "ZnO": Crystal(
        "hP",
        186,
        _hexagonal(3.2495, 5.2069),
        (("Zn", 1 / 3, 2 / 3, 0), ("O", 1 / 3, 2 / 3, 0.3825)),
        4,
        WYCKOFF,
    ),
    "Al2O3": Crystal(
        "hR",
        167,
        _hexagonal(4.7589, 12.991),
        (("Al", 0, 0, 0.35216), ("O", 0.30624, 0, 0.25)),
        30,
        "Lewis, Schwarzenbach & Flack, Acta Cryst. A38 (1982) 733",
        b_iso=0.25,
    ),
    "Sb": Crystal(
        "hR", 166, _hexagonal(4.307, 11.273), (("Sb", 0, 0, 0.2335),), 6, WYCKOFF, b_iso=0.8
    ),
    "SnO2": Crystal(
        "tP",
        136,
        _tetragonal(4.7374, 3.1864),
        (("Sn", 0, 0, 0), ("O", 0.3056, 0.3056, 0)),
        6,
        "Bolzan et al., Acta Cryst. B53 (1997) 373",
    ),
    "PbO": Crystal(
        "tP",
        129,
        _tetragonal(3.9729, 5.0217),
        (("O", 0.75, 0.25, 0), ("Pb", 0.25, 0.25, 0.2345)),
        4,
        WYCKOFF,
        b_iso=0.9,
    ),
    "MoSi2": Crystal(
        "tI",
        139,
        _tetragonal(3.2064, 7.8478),
        (("Mo", 0, 0, 0), ("Si", 0, 0, 0.3353)),
        6,
        PEARSON,
    ),
    "TiO2_anatase": Crystal(
        "tI",
        141,
        _tetragonal(3.7845, 9.5143),
        (("Ti", 0, 0.75, 0.125), ("O", 0, 0.75, 0.3331)),
        12,
        "Horn, Schwerdtfeger & Meagher, Z. Kristallogr. 136 (1972) 273",
    ),
    "MnP": Crystal(
        "oP",
        62,
        _box(5.258, 3.172, 5.918),
        (("Mn", 0.0049, 0.25, 0.1965), ("P", 0.1878, 0.25, 0.5686)),
        8,
        "Rundqvist, Acta Chem. Scand. 16 (1962) 287",
    ),
    "FeS2_marcasite": Crystal(
        "oP",
        58,
        _box(4.4430, 5.4245, 3.3871),
        (("Fe", 0, 0, 0), ("S", 0.2000, 0.3782, 0)),
        6,
        "Buerger, Z. Kristallogr. 97 (1937) 504",
    ),
    "CrB": Crystal(
        "oC",
        63,
        _box(2.969, 7.858, 2.932),
        (("Cr", 0, 0.146, 0.25), ("B", 0, 0.436, 0.25)),
        8,
        PEARSON,
    ),
    "Ga": Crystal(
        "oC",
        64,
        _box(4.5192, 7.6586, 4.5258),
        (("Ga", 0, 0.1549, 0.0810),),
        8,
        "Sharma & Donohue, Z. Kristallogr. 117 (1962) 293",
        b_iso=0.9,
    ),
    "CeCu2": Crystal(
        "oI",
        74,
        _box(4.425, 7.057, 7.475),
        (("Ce", 0, 0.25, 0.5377), ("Cu", 0, 0.051, 0.1648)),
        12,
        "Larson & Cromer, Acta Cryst. 14 (1961) 73",
    ),
    "Pu_gamma": Crystal(
        "oF",
        70,
        _box(3.1587, 5.7682, 10.162),
        (("Pu", 0.125, 0.125, 0.125),),
        8,
        "Zachariasen & Ellinger, Acta Cryst. 8 (1955) 431",
    ),
    "ZrO2": Crystal(
        "mP",
        14,
        _monoclinic(5.1505, 5.2116, 5.3173, 99.23),
        (
            ("Zr", 0.2754, 0.0395, 0.2083),
            ("O", 0.0700, 0.3317, 0.3447),
            ("O", 0.4496, 0.7569, 0.4792),
        ),
        12,
        "Howard, Hill & Reichert, Acta Cryst. B44 (1988) 116",
    ),
    "Ga2O3": Crystal(
        "mC",
        12,
        _monoclinic(12.23, 3.04, 5.80, 103.7),
        (
            ("Ga", 0.0904, 0, 0.7948),
            ("Ga", 0.3414, 0, 0.6857),
            ("O", 0.1674, 0, 0.1011),
            ("O", 0.4957, 0, 0.2553),
            ("O", 0.8279, 0, 0.4365),
        ),
        20,
        "Geller, J. Chem. Phys. 33 (1960) 676",
    ),
    "Cf": Crystal(
        "aP",
        2,
        (3.307, 7.412, 2.793, 89.06, 85.15, 85.70),
        (("Cf", 0, 0, 0), ("Cf", 0, 0.5, 0), ("Cf", 0.572, 0.259, 0.433)),
        4,
        "a disputed phase: Noe & Peterson (1976), in Pearson's Handbook",
    ),
}
