"""Asking where a file is to be written."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

#: What names of files cannot have on every system; layers and classes may be called "<110>/A".
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]')


def ask_where(
    parent: QWidget,
    title: str,
    folder: Path,
    name: str,
    filters: str = "",
    known: Collection[str] = (),
) -> Path | None:
    """Ask where a file is to be written, and before a file that is there is replaced.

    The dialog asks for the name as it was typed; where a suffix is added to this, another file may
    be replaced, for which it is asked here.

    Parameters
    ----------
    parent
        Before which window.
    title
        Of the dialog.
    folder, name
        What is suggested; the name may hold what names of files cannot.
    filters
        Kinds of files in Qt's way, ``Table (*.csv);;HDF5 (*.h5)``; none: the name stays as typed.
    known
        Suffixes that are left as they are typed, in lower case; any other end of a name, as that of
        "zones.v2", belongs to it and gets the suffix of the chosen kind.

    Returns
    -------
    Path or None
        ``None``: nowhere.
    """
    wanted = folder / _FORBIDDEN.sub("_", name)
    while True:
        typed, chosen = QFileDialog.getSaveFileName(parent, title, str(wanted), filters)
        if not typed:
            return None
        wanted = _with_suffix(Path(typed), chosen or filters, known)
        if wanted == Path(typed) or not wanted.exists() or _may_replace(parent, title, wanted):
            return wanted


def _with_suffix(path: Path, filters: str, known: Collection[str]) -> Path:
    usual = re.search(r"\*(\.\w+)", filters)
    if usual is None or path.suffix.lower() in {usual[1], *known}:
        return path
    return path.with_name(path.name + usual[1])


def _may_replace(parent: QWidget, title: str, path: Path) -> bool:
    yes, no = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No
    text = f"{path.name} is there already. Replace it?"
    return bool(QMessageBox.question(parent, title, text, yes | no, no) == yes)
