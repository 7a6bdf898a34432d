"""The list of models, alike in every panel, and dropping a model file on the window."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_error, show_info
from psygnal import Signal
from qtpy.QtWidgets import QApplication, QComboBox

from napari_diffraction.errors import InputError
from napari_diffraction.review.provenance import file_hash

#: Tells napari that a path is handled, but gives no layer.
_NO_LAYER: list[tuple[Any, ...]] = [(None,)]
#: Of files of models: what told that it was another one, and the digest.
_digests: dict[str, tuple[tuple[int, ...], str]] = {}


class _Models:
    """Says in every panel that there are other models than before; emit it in the window's thread.

    Signals
    -------
    changed()
    """

    changed = Signal()


MODELS = _Models()


def _anyone(card: Any) -> bool:
    return True


def _title(card: Any) -> str:
    return card.title or card.name


def digest_of(card: Any) -> str:
    """Return the SHA-256 of a model's file, which is read again only where it has changed.

    A lesson or a training of the same name takes the file of the one before.

    Returns
    -------
    str
        Empty for what has no file, or none that can be read.
    """
    path = str(card.path or "")
    try:
        state = os.stat(path)
    except OSError:
        return ""
    mark = (state.st_ino, state.st_size, state.st_mtime_ns)
    if path not in _digests or _digests[path][0] != mark:
        _digests[path] = mark, file_hash(Path(path))
    return _digests[path][1]


class ModelCombo(QComboBox):
    """The models that can be used, each with its card; a new one is offered as soon as it is there.

    Parameters
    ----------
    fits
        Whether a model belongs here.
    title
        What a model is called here.
    first
        Whether a model stands before the others.
    ahead
        What can be chosen besides models, before all of them; each has ``name`` and ``title``.
    """

    def __init__(
        self,
        fits: Callable[[Any], bool] = _anyone,
        title: Callable[[Any], str] = _title,
        first: Callable[[Any], bool] = _anyone,
        ahead: Sequence[Any] = (),
    ) -> None:
        super().__init__()
        self._fits, self._title, self._first = fits, title, first
        self._ahead = list(ahead)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(12)
        self.fill()
        MODELS.changed.connect(self.fill)

        def leave() -> None:
            MODELS.changed.disconnect(self.fill, missing_ok=True)

        self.destroyed.connect(leave)

    def fill(self) -> None:
        """Offer the models there are now; the choice stays where it can."""
        from napari_diffraction.learning.models.registry import list_models

        models = filter(self._fits, list_models())
        cards = self._ahead + sorted(models, key=lambda card: not self._first(card))
        if cards == [self.itemData(place) for place in range(self.count())]:
            return
        chosen = self.currentData()
        self.blockSignals(True)
        self.clear()
        for card in cards:
            self.addItem(card.title if card in self._ahead else self._title(card), card)
        if chosen is None or not self.choose(chosen.name):
            self.setCurrentIndex(0 if cards else -1)
        self.blockSignals(False)
        self.currentIndexChanged.emit(self.currentIndex())

    def choose(self, name: str) -> bool:
        """Choose a model by its name; return whether it is here."""
        names = [self.itemData(place).name for place in range(self.count())]
        if name in names:
            self.setCurrentIndex(names.index(name))
        return name in names

    def suit(self, geometry: type) -> None:
        """Choose a model for this kind of patterns, unless one is chosen."""
        from napari_diffraction.learning.explain.heatmaps import WAYS

        cards = [self.itemData(place) for place in range(self.count())]
        ways = [WAYS.get(getattr(card, "network", "")) for card in cards]
        known = [way.geometry if way else None for way in ways]
        if cards and known[self.currentIndex()] not in (None, geometry) and geometry in known:
            self.setCurrentIndex(known.index(geometry))


def take_in(path: str | Sequence[str]) -> list[tuple[Any, ...]]:
    """Take model files into every list of models, as napari's reader; there is no layer of them."""
    paths = [path] if isinstance(path, str) else list(path)
    if QApplication.instance() is None:
        _tell(_taken_in(paths))
    else:
        from napari.qt.threading import create_worker

        # Checking a model imports PyTorch, which takes seconds.
        create_worker(_taken_in, paths, _connect={"returned": _tell})
    return _NO_LAYER


def _taken_in(paths: Sequence[str]) -> list[Any]:
    """Import each file; return the card or what is wrong with it."""
    from napari_diffraction.learning.models.files import import_model

    found: list[Any] = []
    for path in paths:
        try:
            found.append(import_model(path, taken="number"))
        except InputError as error:
            found.append(error)
    return found


def _tell(found: Sequence[Any]) -> None:
    MODELS.changed.emit()
    for one in found:
        if isinstance(one, InputError):
            show_error(str(one))
        else:
            show_info(f"The model '{one.name}' is offered in every list of models. {one.summary}")
