"""Spot lists made ready for drawing: weighed, and several crystals laid over one another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.excitation import SpotLists
from napari_diffraction.simulation.conditions import SpotConditions


def weigh(lists: SpotLists, conditions: SpotConditions) -> SpotLists:
    """Apply the falloff with resolution and the rocking curve to the intensities.

    The falloff is exp(-B g^2 / 2), the square of an amplitude's exp(-B (sin theta / lambda)^2), g
    being the reciprocal length across the beam (that along it is negligible); the rocking curve is
    the kinematical sinc^2 of a crystal whose first zero lies at the excitation error, floored at
    2 %.
    """
    intensity = lists.intensity
    if conditions.falloff:
        g2 = np.sum(lists.position**2, axis=1)
        intensity = intensity * np.exp(-conditions.falloff * g2 / 2)
    if conditions.rocking:
        curve = np.sinc(lists.excitation / conditions.excitation_error) ** 2
        intensity = intensity * np.maximum(curve, 0.02)
    return replace(lists, intensity=intensity.astype(np.float32))


def overlay(lists: list[SpotLists], n: int) -> tuple[SpotLists, NDArray[np.int8]]:
    """Lay the patterns of several crystals over one another.

    Parameters
    ----------
    lists
        Spot lists of ``n`` patterns each; none gives patterns without spots.
    n
        Number of patterns.

    Returns
    -------
    SpotLists
        Each pattern's spots, crystal after crystal.
    ndarray of int8, (m,)
        The crystal, counted from 0, to which each spot belongs.
    """
    if not lists:
        empty = np.zeros(0, dtype=np.float32)
        start = np.zeros(n + 1, dtype=np.int64)
        hkl = np.zeros((0, 3), dtype=np.int16)
        return SpotLists(start, hkl, np.zeros((0, 2), np.float32), empty, empty), np.zeros(0, "i1")
    owner = np.concatenate([np.full(len(one.hkl), i, dtype=np.int8) for i, one in enumerate(lists)])
    if len(lists) == 1:
        return lists[0], owner
    pattern = np.concatenate([np.repeat(np.arange(n), one.counts) for one in lists])
    order = np.argsort(pattern, kind="stable")
    start = np.zeros(n + 1, dtype=np.int64)
    np.cumsum(np.bincount(pattern, minlength=n), out=start[1:])
    merged = SpotLists(
        start,
        np.concatenate([one.hkl for one in lists])[order],
        np.concatenate([one.position for one in lists])[order],
        np.concatenate([one.excitation for one in lists])[order],
        np.concatenate([one.intensity for one in lists])[order],
    )
    return merged, owner[order]
