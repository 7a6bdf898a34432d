"""The 14 Bravais lattices by their Pearson letters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_diffraction.crystal.cell import UnitCell, random_cell


@dataclass(frozen=True)
class BravaisLattice:
    """One of the 14 Bravais lattices.

    Attributes
    ----------
    pearson
        Pearson letters, for instance ``"cF"``.
    system
        Crystal system, one of `napari_diffraction.crystal.cell.SYSTEMS`.
    space_group
        The symmorphic space group of highest symmetry that has this lattice; its absences are
        those of the centring alone.  hR stands on hexagonal axes.
    """

    pearson: str
    system: str
    space_group: str

    @property
    def centring(self) -> str:
        """Letter of the centring: P, C, I, F or R."""
        return self.space_group[0]

    def random_cell(
        self, volume: float | tuple[float, float], rng: np.random.Generator | None = None
    ) -> UnitCell:
        """Draw a random conventional cell of this lattice, volume in A^3."""
        return random_cell(volume, self.system, rng=rng)


BRAVAIS_LATTICES = {
    lattice.pearson: lattice
    for lattice in (
        BravaisLattice("aP", "triclinic", "P -1"),
        BravaisLattice("mP", "monoclinic", "P 1 2/m 1"),
        BravaisLattice("mC", "monoclinic", "C 1 2/m 1"),
        BravaisLattice("oP", "orthorhombic", "P m m m"),
        BravaisLattice("oC", "orthorhombic", "C m m m"),
        BravaisLattice("oI", "orthorhombic", "I m m m"),
        BravaisLattice("oF", "orthorhombic", "F m m m"),
        BravaisLattice("tP", "tetragonal", "P 4/m m m"),
        BravaisLattice("tI", "tetragonal", "I 4/m m m"),
        BravaisLattice("hP", "hexagonal", "P 6/m m m"),
        BravaisLattice("hR", "trigonal", "R -3 m:H"),
        BravaisLattice("cP", "cubic", "P m -3 m"),
        BravaisLattice("cI", "cubic", "I m -3 m"),
        BravaisLattice("cF", "cubic", "F m -3 m"),
    )
}
