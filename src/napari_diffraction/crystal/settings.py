"""Settings of space groups: axes and origin that a symbol means, or leaves open."""

from __future__ import annotations

import gemmi
import numpy as np

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.structure import operations

#: How ICSD marks the first and the second origin.
_ICSD_ORIGINS = {"S": ":1", "Z": ":2"}


def find_setting(name: str | int, cell: UnitCell | None = None) -> gemmi.SpaceGroup | None:
    """Find a setting by the number or symbol of its space group.

    Parameters
    ----------
    name
        Number from 1 to 230, or Hermann-Mauguin symbol.
    cell
        Says whether a rhombohedral group without ``:H`` or ``:R`` is on hexagonal axes; without it
        all are.

    Returns
    -------
    gemmi.SpaceGroup or None
        ``None`` where there is no such group; of two origins the first, unless the symbol says.
    """
    text = str(name).strip()
    if text.isdecimal():  # gemmi takes 0 for 1
        if not 1 <= int(text) <= 230:
            return None
        text = gemmi.find_spacegroup_by_number(int(text)).hm
    angles = (0.0, 0.0) if cell is None else (cell.alpha, cell.gamma)
    found = gemmi.find_spacegroup_by_name(text, *angles)
    if found is None and text[-1:] in _ICSD_ORIGINS:
        text = text[:-1].rstrip(" :") + _ICSD_ORIGINS[text[-1]]
        found = gemmi.find_spacegroup_by_name(text, *angles)
    return found


def hall_setting(symbol: str) -> gemmi.SpaceGroup | None:
    """Find a setting by Hall's symbol; ``None`` where that is none, or of no known setting."""
    try:
        return gemmi.find_spacegroup_by_ops(gemmi.symops_from_hall(symbol)) if symbol else None
    except (ValueError, RuntimeError):
        return None


def origins(group: gemmi.SpaceGroup, name: str | int) -> list[gemmi.SpaceGroup]:
    """Return the settings that a name can mean: two where it leaves the origin open.

    Parameters
    ----------
    group
        What `find_setting` made of the name.
    name
        Number or Hermann-Mauguin symbol.
    """
    said = str(name).strip().endswith((":1", ":2", *_ICSD_ORIGINS))
    if said or group.ext not in ("1", "2"):
        return [group]
    return [one for one in gemmi.spacegroup_table() if one.hm == group.hm]


def metric_fits(cell: UnitCell, group: gemmi.SpaceGroup, tolerance: float = 5e-3) -> bool:
    """Whether a cell has the symmetry of a space group, on the axes of its setting.

    Parameters
    ----------
    cell, group
        The cell and the setting.
    tolerance
        Largest relative change of the metric by an operation of the group.
    """
    metric = cell.basis @ cell.basis.T
    size = np.sqrt(np.outer(np.diag(metric), np.diag(metric)))
    rotations, _ = operations(group.number, group.xhm())
    turned = rotations.transpose(0, 2, 1) @ metric @ rotations
    return bool(np.max(np.abs(turned - metric) / size) <= tolerance)
