"""What a person has said of each stack, for when the stack is looked at again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from napari.layers import Layer
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QWidget

from napari_diffraction.patterns.growing import same_input
from napari_diffraction.patterns.stack import Geometry, KikuchiGeometry, PatternStack

T = TypeVar("T")
#: The choice that lets a person say it.
BY_HAND = "as I say"
#: What was said, by what it is about: it outlives the panel in which it was said.
_KEPT: dict[str, WeakKeyDictionary[Layer, Any]] = {}


class Said(Generic[T]):
    """Keeps what was said of the patterns of a layer, as long as they are those of one input.

    Parameters
    ----------
    what
        What it is about ("voltage"); what was said of it in a panel that was closed counts.

    Attributes
    ----------
    stack
        The patterns on view.
    """

    def __init__(self, what: str) -> None:
        self.stack: PatternStack | None = None
        self._layer: Layer | None = None
        self._kept: WeakKeyDictionary[Layer, tuple[PatternStack, T]] = _KEPT.setdefault(
            what, WeakKeyDictionary()
        )

    def turn_to(self, stack: PatternStack | None, layer: Layer | None) -> bool:
        """Take other patterns on view; return whether they are others, not more of the same.

        Parameters
        ----------
        stack, layer
            The patterns, and what shows them.
        """
        before, self.stack = self.stack, stack
        if layer is self._layer and same_input(stack, before):
            return False
        self._layer = layer
        return True

    def keep(self, said: T) -> None:
        """Keep what is said of the patterns on view; of none nothing can be."""
        if self._layer is not None and self.stack is not None:
            self._kept[self._layer] = self.stack, said

    def again(self) -> T | None:
        """Return what was said of these patterns, or of fewer of the same input, before."""
        if self._layer is None or self._layer not in self._kept:
            return None
        before, said = self._kept[self._layer]
        return said if same_input(self.stack, before) else None


def of_scan(geometry: Geometry | None) -> KikuchiGeometry:
    """Return what is known of a scan; of other patterns nothing is."""
    return geometry if isinstance(geometry, KikuchiGeometry) else KikuchiGeometry()


class SaidBox(QWidget):
    """What holds of the beam or the camera: as the file or the program says, or as a person says.

    Parameters
    ----------
    what
        As of `Said`.
    source
        Where the numbers come from.
    numbers
        Those that a person says.

    Signals
    -------
    changed()
        Another value holds.
    """

    changed = Signal()

    def __init__(self, what: str, source: QComboBox, numbers: Sequence[QDoubleSpinBox]) -> None:
        super().__init__()
        self._said: Said[tuple[int, tuple[float, ...]]] = Said(what)
        self.source, self._numbers = source, numbers

    def _listen(self) -> None:
        """Begin without a scan, when all parts are there."""
        self.show_stack(None)
        self.source.currentIndexChanged.connect(self._on_source)
        for number in self._numbers:
            number.valueChanged.connect(self.changed)
        self.changed.connect(self._keep)

    def show_stack(self, stack: PatternStack | None, layer: Layer | None = None) -> None:
        """Offer what is known of patterns, and what was said of them by hand before.

        Parameters
        ----------
        stack
            The patterns.
        layer
            The one that shows them: as long as it is there, what is said by hand stays.
        """
        if not self._said.turn_to(stack, layer) and self.source.count():
            return
        first, usual = self._offer(None if stack is None else stack.geometry)
        place, values = self._said.again() or (0, usual)
        self.source.blockSignals(True)
        self.source.clear()
        self.source.addItems((first, BY_HAND))
        self.source.setCurrentIndex(place)
        self.source.blockSignals(False)
        for number, value in zip(self._numbers, values, strict=True):
            number.blockSignals(True)
            number.setValue(value)
            number.blockSignals(False)
        self._on_source()

    def _offer(self, geometry: Geometry | None) -> tuple[str, Sequence[float]]:
        """Take what the file tells; return it in words, and the numbers to begin with by hand."""
        raise NotImplementedError

    @property
    def by_hand(self) -> bool:
        """Whether it is as a person says."""
        return bool(self.source.currentText() == BY_HAND)

    @property
    def values(self) -> tuple[float, ...]:
        """The numbers, also where they do not hold."""
        return tuple(number.value() for number in self._numbers)

    def _keep(self) -> None:
        self._said.keep((self.source.currentIndex(), self.values))

    def _on_source(self) -> None:
        self.changed.emit()
