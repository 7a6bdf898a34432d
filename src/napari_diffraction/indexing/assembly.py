"""From the points that were indexed to the solution of a scan, whole or so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.indexing.candidates import rank_candidates
from napari_diffraction.indexing.known import IndexSettings, Known, settings_told
from napari_diffraction.indexing.matching import KnownGrains, Points
from napari_diffraction.indexing.phases.crystals import Crystal
from napari_diffraction.indexing.solution import (
    NOT_INDEXED,
    IndexedMap,
    IndexedPhase,
    SecondBest,
    scale_note,
)
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack

if TYPE_CHECKING:
    from napari_diffraction.crystal.structure import Structure

FloatArray = NDArray[np.float64]


def with_candidates(
    crystals: tuple[Crystal, ...], structures: Mapping[str, Structure] | None
) -> tuple[Crystal, ...]:
    """Return crystals that were found with the known materials that they may be.

    Parameters
    ----------
    crystals
        As found.
    structures
        A person's own materials, besides the built-in ones.
    """
    return tuple(
        replace(one, phase=replace(one.phase, candidates=rank_candidates(one.phase, structures)))
        for one in crystals
    )


@dataclass(frozen=True, eq=False)
class Assembly:
    """All of a solution but its points.

    Attributes
    ----------
    stack
        The patterns.
    settings, known
        What was asked for, and what was known before.
    crystals
        The phases that were found or given.
    grains
        Phase and orientation of the grains.
    centre, centre_su : ndarray of float64, (3,)
        Pattern centre of the middle of the scan and its standard uncertainties.
    gradient : ndarray of float64, (2, 3)
        Its change per row and per column.
    notes
        Sentences for a person.
    """

    stack: PatternStack
    settings: IndexSettings
    known: Known
    crystals: tuple[Crystal, ...]
    grains: KnownGrains
    centre: FloatArray
    centre_su: FloatArray
    gradient: FloatArray
    notes: tuple[str, ...]

    def solution(self, points: Points, finished: bool = True) -> IndexedMap:
        """Return the solution.

        Parameters
        ----------
        points
            The points; those not done yet are left out.
        finished
            Whether all are done.  Until then the solution has copies of its own, since ``points``
            are filled further, and the phases of the grains, whether a point has them yet or not.
        """
        if not finished:
            copies = {one.name: getattr(points, one.name).copy() for one in fields(Points)}
            points = Points(**copies)
        phases, order = self._phases(points, finished)
        second = order[points.second_phase]
        # that of a phase that no pattern has is no answer
        second_rotation = np.where((second < 0)[:, None, None], np.nan, points.second_rotation)
        geometry = self.stack.geometry
        known = self.known
        # cells that are given do not depend on it
        voltage_note = () if self.settings.phases else scale_note(known.voltage, known.voltage_from)
        return IndexedMap(
            name=self.stack.name,
            shape=tuple(int(size) for size in self.stack.data.shape[:-2]),
            phases=phases,
            phase=order[points.phase],
            rotation=points.rotation,
            misfit_deg=points.misfit_deg,
            bands=points.bands,
            bands_found=points.bands_found,
            confidence=points.confidence,
            quality=points.quality,
            grain=self.grains.label,
            done=points.done,
            pattern_centre=_three(self.centre),
            pattern_centre_su=_three(self.centre_su),
            pattern_centre_from=self._centre_from(),
            pc_gradient=self.gradient,
            voltage=self.known.voltage,
            voltage_from=self.known.voltage_from,
            geometry=geometry if isinstance(geometry, KikuchiGeometry) else None,
            step=self.stack.step,
            sources=self.stack.sources,
            notes=(*self.notes, *voltage_note),
            about={"settings": settings_told(self.settings)},
            frame_shape=self.stack.frame_shape,
            second=SecondBest(second, second_rotation, points.second_share),
            finished=finished,
        )

    def _centre_from(self) -> str:
        """Where the centre is from; that of a usual camera is assumed where none was found."""
        found = bool(self.crystals)
        if self.known.pc is None:
            return "found" if found else "assumed"
        return "found" if self.settings.refine_centre and found else self.known.pc_from

    def _phases(
        self, points: Points, finished: bool
    ) -> tuple[tuple[IndexedPhase, ...], NDArray[np.int16]]:
        """The phases that patterns have, the largest first, and their new numbers (last: none)."""
        counts = _counts(points.phase, len(self.crystals))
        size = counts if finished else self._expected()
        chosen = [n for n in np.argsort(-size, kind="stable") if size[n] or counts[n]]
        order = np.full(len(self.crystals) + 1, NOT_INDEXED, np.int16)
        phases = []
        looked_at = max(1, int(points.done.sum()))
        for place, number in enumerate(chosen):
            order[number] = place
            phase, here = self.crystals[number].phase, points.phase == number
            phases.append(
                replace(
                    phase,
                    name=phase.name if phase.structure else f"phase {place + 1}",
                    patterns=int(counts[number]),
                    share=int(counts[number]) / looked_at,
                    grains=int((self.grains.phase == number).sum()),
                    misfit_deg=float(np.median(points.misfit_deg[here])) if here.any() else np.nan,
                )
            )
        return tuple(phases), order

    def _expected(self) -> NDArray[np.int64]:
        """How many patterns belong to the grains of each phase."""
        label = self.grains.label
        return _counts(self.grains.phase[label[label >= 0]], len(self.crystals))


def _counts(phase: NDArray[np.int16] | NDArray[np.int64], crystals: int) -> NDArray[np.int64]:
    """Patterns of each crystal."""
    return np.bincount(phase[phase >= 0], minlength=crystals).astype(np.int64)


def _three(values: FloatArray) -> tuple[float, float, float]:
    x, y, z = values.tolist()
    return x, y, z
