"""The pictures of a solution, which the thread that finds it makes before the window shows them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_diffraction.indexing.solution import IndexedMap

#: Values of points that are not looked at or match nothing; phases count from 2.
NOT_YET, NONE, FIRST = 0, 1, 2
#: Misfits in degrees that the colours span.
MISFIT = (0.0, 1.5)

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pictured:
    """A solution and what is seen of it.

    Attributes
    ----------
    indexed
        The solution.
    phases, misfit, grains, quality
        Pictures, (rows, columns).
    colours : ndarray of float64, (n, 3)
        Of the orientations along `axis`.
    axis
        Of the sample.
    """

    indexed: IndexedMap
    phases: NDArray[np.uint8]
    misfit: NDArray[np.float32]
    grains: NDArray[Any]
    quality: NDArray[Any]
    colours: FloatArray
    axis: str = "z"


def pictured(indexed: IndexedMap, before: Pictured | None = None, axis: str = "z") -> Pictured:
    """Make the pictures of a solution.

    Parameters
    ----------
    indexed
        The solution.
    before
        Of another solution of the same scan; points that agree keep their colours.
    axis
        Of the sample, for the colours of orientations.
    """
    from napari_diffraction.analysis.indexed.ipf import ipf_colours

    colours = None
    if before is not None and before.axis == axis:
        colours = colours_kept(before.indexed, before.colours, indexed, axis)
    return Pictured(
        indexed,
        phase_picture(indexed),
        misfit_picture(indexed),
        grain_picture(indexed),
        quality_picture(indexed),
        ipf_colours(indexed, axis) if colours is None else colours,
        axis,
    )


def colours_kept(
    before: IndexedMap, colours: FloatArray, after: IndexedMap, axis: str
) -> FloatArray | None:
    """Colour those points anew of which another solution says something else.

    While a map fills, and when a phase gets a name, these are few or none.

    Parameters
    ----------
    before, colours
        A solution and its colours.
    after
        Another one of the same scan, which may have more or fewer rows by now.
    axis
        Of the sample.

    Returns
    -------
    ndarray of float64, (n, 3), or None
        ``None``: the phases have other symmetries, or the sample another tilt, so that no colour
        can be kept.
    """
    from napari_diffraction.analysis.indexed.ipf import ipf_colours, ipf_group
    from napari_diffraction.analysis.indexed.orientations import tilts

    symmetry = [[ipf_group(phase) for phase in one.phases] for one in (before, after)]
    if symmetry[0] != symmetry[1] or tilts(before) != tilts(after):
        return None
    both = min(len(before), len(after))
    of_before, of_after = before.phase[:both], after.phase[:both]
    same = (before.rotation[:both] == after.rotation[:both]).all(axis=(1, 2))
    # NaN equals nothing: of what was not indexed and is not there is no orientation
    same |= (of_before < 0) & (of_after < 0)
    known = np.zeros(len(after), bool)
    known[:both] = same & (of_before == of_after)
    part = replace(after, phase=after.phase[~known], rotation=after.rotation[~known])
    kept = np.zeros((len(after), 3))
    kept[known] = colours[:both][known[:both]]
    kept[~known] = ipf_colours(part, axis)
    return kept


def phase_picture(indexed: IndexedMap) -> NDArray[np.uint8]:
    """Return the number of each point's phase, as the layer counts."""
    values = np.where(indexed.phase >= 0, indexed.phase + FIRST, NONE)
    return np.where(indexed.done, values, NOT_YET).astype(np.uint8).reshape(indexed.shape)


def misfit_picture(indexed: IndexedMap) -> NDArray[np.float32]:
    """Return misfits; what matches nothing counts as the worst."""
    values = np.nan_to_num(indexed.misfit_deg, nan=MISFIT[1]).astype(np.float32)
    return values.reshape(indexed.shape)


def grain_picture(indexed: IndexedMap) -> NDArray[Any]:
    """Return the number of each point's grain, from 1."""
    picture: NDArray[Any] = (indexed.grain + 1).reshape(indexed.shape)
    return picture


def quality_picture(indexed: IndexedMap) -> NDArray[Any]:
    """Return the quality of each pattern."""
    return indexed.quality.reshape(indexed.shape)
