"""The questions of the phase map panel for files."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QWidget

from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.ui.widgets.save_dialog import ask_where

_MAPS = "Maps (*.ang *.ctf *.h5 *.hdf5 *.h5oina *.oh5)"
_FILES = (
    "orix crystal map (*.h5);;EDAX (*.ang);;Oxford (*.ctf);;Figure with legend (*.png);;"
    "Table (*.csv)"
)
_INDEXED_FILES = f"{_FILES};;Solution (*.json)"


def ask_map(parent: QWidget, stack: PatternStack) -> Path | None:
    """Ask for the map of another program; ``None``: nobody wants one."""
    name, _ = QFileDialog.getOpenFileName(parent, "Compare with", str(_folder(stack)), _MAPS)
    return Path(name) if name else None


def ask_export(parent: QWidget, stack: PatternStack, indexed: bool) -> Path | None:
    """Ask where a map is to be written; ``None``: nowhere.

    Parameters
    ----------
    parent
        Before which window.
    stack
        The scan.
    indexed
        Whether the map is a solution, or a network's.
    """
    from napari_diffraction.analysis.indexed import export as indexed_export
    from napari_diffraction.analysis.maps import export as map_export

    known = (indexed_export if indexed else map_export).WRITERS
    files = _INDEXED_FILES if indexed else _FILES
    return ask_where(parent, "Export", _folder(stack), f"{stack.name}-phases.h5", files, known)


def _folder(stack: PatternStack) -> Path:
    return Path(stack.sources[0]).parent if stack.sources else Path.home()
