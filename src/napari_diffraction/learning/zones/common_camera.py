"""Zones whose net was not found alone, looked at anew with what other zones know of the camera.

The net of a zone with few spots is lost where the direct beam is hidden and the lens bends rows.
Other zones of the stack have shown both: the beam's place, where it keeps still, and the bend.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from napari_diffraction.indexing.spot_net.zonal import mark_zonal
from napari_diffraction.indexing.zones.net_fit import NetFit, shared_lens
from napari_diffraction.learning.zones.peak_tables import Found

#: Fewest nets from which the camera is known, and scatter of their beams in pixels.
_FEWEST, _STEADY = 3, 1.0
#: Times that the distance from the beam without the bend is worked out.
_ROUNDS = 4
#: A net through a smaller share of the spots is doubted.
_DOUBTED = 0.7


def marked_anew(found: Mapping[int, Found], fits: Mapping[int, NetFit]) -> dict[int, Found]:
    """Mark the zonal spots of doubtful zones anew.

    Parameters
    ----------
    found
        Spots, by the number of the pattern.
    fits
        The nets that were found.

    Returns
    -------
    dict of int to Found
        Those zones of which more spots are on a net now.
    """
    if len(fits) < _FEWEST:
        return {}
    origins = np.array([fit.origin for fit in fits.values()])
    beam = np.median(origins, axis=0)
    if np.median(np.hypot(*(origins - beam).T)) > _STEADY:
        return {}
    bend = shared_lens(fits.values()) or 0.0
    better = {}
    for index, one in found.items():
        table = one.table
        if index in fits and fits[index].used.sum() >= _DOUBTED * len(table):
            continue
        away = table[["x", "y"]].to_numpy(float) - beam
        flat = away
        for _ in range(_ROUNDS):
            flat = away / (1 + bend * (flat**2).sum(axis=1))[:, None]
        order = np.argsort(-table["intensity"].to_numpy(), kind="stable")
        zonal = mark_zonal((beam + flat)[order], (float(beam[0]), float(beam[1])), one.radius)
        if zonal.zonal.sum() > table["zonal"].sum():
            place = np.argsort(order, kind="stable")
            marks = {"zonal": zonal.zonal[place], "h": zonal.h[place], "k": zonal.k[place]}
            better[index] = replace(one, table=table.assign(**marks))
    return better
