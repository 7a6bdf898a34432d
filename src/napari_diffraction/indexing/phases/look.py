"""The lattice that grains show, looked at again with what was seen, and beside a second opinion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.indexing.bands.families import BandFamilies
from napari_diffraction.indexing.bands.four_bands import lattice_shape, reduced
from napari_diffraction.indexing.bands.sublattices import (
    letters_of,
    neighbours,
    second_neighbours,
)
from napari_diffraction.indexing.bands.visible import (
    SPEAKS,
    SPEAKS_ALONE,
    VisibleLattice,
    as_it_is,
    visible_lattice,
)
from napari_diffraction.indexing.phases.fitting import Fitted, fitted
from napari_diffraction.indexing.phases.grain_bands import GrainBands
from napari_diffraction.indexing.phases.shown import families_of

FloatArray = NDArray[np.float64]

#: How often a lattice is looked at again.
_AGAIN = 3
#: A lattice that serves fewer than this share of the grains is wrong.
_WORSE = 0.7
#: A second opinion contradicts a lattice that is less probable by more than this (logarithm).
_CONTRADICTS = 2.0
#: By so much it must be less probable that lattices further away are looked at, of these systems
#: alone: among so many lattices some have the symmetry of another system by chance.
_STRONGLY = 5.0
_SYMMETRIC = ("trigonal", "hexagonal", "tetragonal", "cubic")
#: Such a lattice must have this part of the gain of the one seen.
_PART = 0.7


def seen_lattice(
    basis: FloatArray,
    bands: GrainBands,
    pc: FloatArray,
    free_centre: bool,
    said: Mapping[str, float] | None,
) -> VisibleLattice:
    """Return the lattice that the bands of grains show, by their directions and their widths.

    Parameters
    ----------
    basis : ndarray of float64, (3, 3)
        Reciprocal basis (columns) of a lattice that has these directions.
    bands
        Of the grains.
    pc : ndarray of float64, (3,)
        Pattern centre.
    free_centre
        Whether it may be moved.
    said
        A second opinion: logarithms of the probabilities of lattices, by Pearson letters.
    """
    look = _Look(bands, pc, free_centre, said)
    fit = fitted(bands, [basis], pc)
    least = _WORSE * int((fit.phase == 0).sum())
    seen = look.settled(fit, least)
    if said is None:
        return seen
    own, letters = letters_of(seen.basis), max(said, key=lambda one: said[one])
    # lattices of its own symmetry were weighed on the way
    other = BRAVAIS_LATTICES[letters].system != BRAVAIS_LATTICES[own].system
    odds = said[letters] - said[own]
    if not other or odds < _CONTRADICTS:
        return seen
    found = look.of_letters(seen, letters, least)
    if found is None and odds > _STRONGLY and BRAVAIS_LATTICES[letters].system in _SYMMETRIC:
        found = look.further_away(seen, letters, least)
    return found or seen


@dataclass(frozen=True, eq=False)
class _Look:
    """A look at the pictures of grains for the lattice that they show.

    Attributes
    ----------
    bands
        Of the grains.
    pc : ndarray of float64, (3,)
        Pattern centre.
    free_centre
        Whether it may be moved.
    said
        A second opinion on the lattice.
    """

    bands: GrainBands
    pc: FloatArray
    free_centre: bool
    said: Mapping[str, float] | None

    def settled(self, fit: Fitted, least: float) -> VisibleLattice:
        """Look at the bands of a lattice, and again with what was seen, until it stays."""
        families = families_of(self.bands, fit)
        good = as_it_is(families)
        seen = self._visible(families)
        # bands of the lattice found lie better, and tell more
        for _ in range(_AGAIN):
            better = self._checked(seen.basis, least)
            if better is None:
                if good is seen:
                    break
                seen = good
                continue
            good = seen
            again = self._visible(families_of(self.bands, better), seen)
            if np.allclose(lattice_shape(again.basis), lattice_shape(seen.basis), rtol=0.03):
                return again
            seen = again
        return good

    def of_letters(self, seen: VisibleLattice, letters: str, least: float) -> VisibleLattice | None:
        """Find a lattice of a certain kind near the one seen, if the bands show it as well.

        It may have less symmetry, by which bands were taken together that it keeps apart.
        """
        fits = self._of_kind(neighbours(seen.basis), letters, least)
        found = (self._begun(seen, letters, unit, fit) for unit, fit in fits)
        return next((one for one in found if one is not None), None)

    def further_away(
        self, seen: VisibleLattice, letters: str, least: float
    ) -> VisibleLattice | None:
        """Find a lattice of a certain kind two steps away, if the bands show it more clearly."""
        gain = float(fitted(self.bands, [seen.basis], self.pc).gain.sum())
        fits = list(self._of_kind(second_neighbours(seen.basis), letters, least))
        for unit, fit in sorted(fits, key=lambda one: -float(one[1].gain.sum())):
            if fit.gain.sum() < _PART * gain:
                break
            found = self._begun(seen, letters, unit, fit)
            if found is not None and found.margin > seen.margin:
                return found
        return None

    def _of_kind(
        self, bases: Sequence[FloatArray], letters: str, least: float
    ) -> Iterator[tuple[float, Fitted]]:
        """Fit different lattices of a kind; with the cube root of the volume of each before."""
        tried: list[FloatArray] = []
        for basis in bases:
            shape = lattice_shape(reduced(basis))
            if any(np.allclose(shape, other, rtol=0.03) for other in tried):
                continue
            tried.append(shape)
            if letters_of(basis) != letters:
                continue
            unit = float(np.cbrt(abs(np.linalg.det(basis))))
            fit = self._checked(reduced(basis) / unit, least)
            if fit is not None:
                yield unit, fit

    def _begun(
        self, seen: VisibleLattice, letters: str, unit: float, fit: Fitted
    ) -> VisibleLattice | None:
        """Look at the bands of a lattice that was fitted; ``None``: they show another kind."""
        start = replace(seen, basis=fit.bases[0], scale=seen.scale * unit)
        found = self._visible(families_of(self.bands, fit), start)
        return found if letters_of(found.basis) == letters else None

    def _visible(
        self, families: BandFamilies, start: VisibleLattice | None = None
    ) -> VisibleLattice:
        single = bool(np.median(self.bands.size) == 1)
        return visible_lattice(families, start, SPEAKS_ALONE if single else SPEAKS, self.said)

    def _checked(self, basis: FloatArray, least: float) -> Fitted | None:
        """The fit of a lattice, if it serves enough of the grains.

        By how much is no measure: of a fine lattice the strong bands are but some of the
        directions.
        """
        for free in (self.free_centre, False):
            fit = fitted(self.bands, [basis], self.pc, free_centre=free)
            if (fit.phase == 0).sum() >= least:
                return fit
        return None
