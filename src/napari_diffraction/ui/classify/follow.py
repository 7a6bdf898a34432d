"""The switches for a stack that still grows, and what its growth does to the window."""

from __future__ import annotations

from collections.abc import Mapping

from napari.layers import Image
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from napari_diffraction.patterns.growing import may_grow
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.ui.classify.growth import Grown
from napari_diffraction.ui.viewer.coordinator import Coordinator
from napari_diffraction.ui.viewer.layers import follow
from napari_diffraction.ui.widgets.panel import named


class FollowBox(QWidget):
    """Whether what is added to the input is worked on, too, and whether the newest is shown.

    Parameters
    ----------
    coordinator
        Whose layers grow.
    tips
        What is said of the switches: ``follow``, ``follow_not`` where nothing can be added, and
        ``newest``.

    Signals
    -------
    switched(bool)
        A person wants a stack followed, or not any more.
    gone()
        The layer that is followed was removed.
    """

    switched = Signal(bool)
    gone = Signal()

    def __init__(
        self, coordinator: Coordinator, tips: Mapping[str, str], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._coordinator, self._tips = coordinator, tips
        self._layer: Image | None = None
        self._newest: int | None = None
        self.switch = named(
            QCheckBox("Follow what is added"), "Follow what is added", tips["follow"]
        )
        self.newest = named(QCheckBox("Show the newest"), "Show the newest", tips["newest"])
        # one below the other, which a narrow panel has room for
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.switch)
        column.addWidget(self.newest)
        self.switch.clicked.connect(self.switched)
        self.newest.clicked.connect(self._show_newest)
        follow(self, coordinator.viewer.layers.events.removed, self._on_removed)

    @property
    def on(self) -> bool:
        """Whether a stack is followed."""
        return self._layer is not None

    def begin(self, layer: Image, newest: int | None = None) -> None:
        """Note that a layer is followed from now on, and its newest pattern so far."""
        self._layer, self._newest = layer, newest

    def end(self) -> None:
        """Note that nothing is followed any more."""
        self._layer = None

    def refresh(self, stack: PatternStack | None, *, ready: bool) -> None:
        """Offer what can be done.

        Parameters
        ----------
        stack
            The patterns that are chosen.
        ready
            Whether a run could begin.
        """
        grows = stack is not None and may_grow(stack) is not None
        self.switch.setEnabled(self.on or (ready and grows))
        self.switch.setChecked(self.on)
        self.switch.setToolTip(self._tips["follow" if grows or self.on else "follow_not"])
        self.newest.setVisible(self.on)

    def grow(self, grown: Grown) -> None:
        """Let the layer and all that belongs to it grow."""
        if grown.moved is not None and self._newest is not None:
            self._newest = int(grown.moved[self._newest])
        if self._layer in self._coordinator.viewer.layers and grown.stack is not None:
            self._coordinator.grow(self._layer, grown.stack, grown.key, grown.moved)

    def show(self, newest: int) -> None:
        """Show the newest pattern that was worked on, if a person wants that."""
        self._newest = newest
        self._show_newest(self.newest.isChecked())

    def _show_newest(self, wanted: bool) -> None:
        if wanted and self.on and self._newest is not None:
            self._show(self._newest)

    def _show(self, index: int) -> None:
        at_work = self._coordinator.layer is self._layer
        # who looks at the patterns of one class, or at something else, is left alone
        if at_work and self._layer.visible and self._coordinator.class_on_view is None:
            self._coordinator.show(index)

    def _on_removed(self, event: object) -> None:
        if self._layer is not None and getattr(event, "value", None) is self._layer:
            self.gone.emit()
