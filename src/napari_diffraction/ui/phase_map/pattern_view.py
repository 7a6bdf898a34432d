"""The pattern on view raw, static-corrected or flattened, by one click."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer
from numpy.typing import NDArray
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QButtonGroup, QHBoxLayout, QPushButton, QWidget

from napari_diffraction.errors import InputError
from napari_diffraction.ui.viewer.layers import follow
from napari_diffraction.ui.widgets.latest_request import Latest
from napari_diffraction.ui.widgets.panel import button
from napari_diffraction.ui.widgets.tooltips import INDEXED

if TYPE_CHECKING:
    from napari_diffraction.patterns.kikuchi.preparation import Preparation
    from napari_diffraction.ui.viewer.scan_navigation import ScanNavigation

RAW, STATIC, FLATTENED = "raw", "static corrected", "flattened"
VIEWS = (RAW, STATIC, FLATTENED)
#: Of pictures with unit deviation.
_CONTRAST = (-2.5, 3.0)


class PatternView:
    """A layer with the pattern on view, corrected, that lies above the patterns of a scan.

    Parameters
    ----------
    viewer
        Where the layers are.
    layer
        The patterns.
    navigation
        Says which one is on view.
    """

    def __init__(self, viewer: ViewerModel, layer: Image, navigation: ScanNavigation) -> None:
        self._viewer, self._patterns, self.navigation = ref(viewer), ref(layer), navigation
        self._prepared: Preparation | None = None
        self._latest = Latest("The correction")
        viewer.layers.events.inserted.connect(self._on_inserted)
        self._latest.done.connect(self._show)
        self.image: Image | None = None
        self.view = RAW

    @property
    def busy(self) -> bool:
        """Whether a pattern is being corrected."""
        return self._latest.running

    def choose(self, view: str) -> None:
        """Show the pattern in another way, one of `VIEWS`."""
        self.view = view
        if self.view == RAW:
            if self.image is not None:
                self.navigation.set_visible(self.image, False)
        else:
            self.follow()

    def follow(self) -> None:
        """Correct the pattern that is on view now."""
        here = self.navigation.current
        if self.view == RAW or here is None:
            return
        index, view = here[0] * self.navigation.shape[1] + here[1], self.view
        self._latest.ask(lambda: (view, self._corrected(index, view)))

    def _corrected(self, index: int, view: str) -> NDArray[np.float32]:
        """Correct a pattern, in another thread; the first time the camera is looked at."""
        from napari_diffraction.patterns.kikuchi.preparation import prepare

        stack = self.navigation.stack
        if self._prepared is None:
            self._prepared = prepare(stack, most=max(stack.frame_shape))
        try:
            frame = stack.frame(index)[None]
        except InputError:
            return np.zeros(stack.frame_shape, np.float32)
        pictures = self._prepared.corrected(frame)
        if view == FLATTENED:
            pictures = self._prepared.flattened(pictures)
        return np.asarray(pictures[0])

    def _show(self, answer: tuple[str, NDArray[np.float32]]) -> None:
        view, picture = answer
        viewer, patterns = self._viewer(), self._patterns()
        if viewer is None or patterns is None or patterns not in viewer.layers:
            return
        if view != self.view:
            return
        if self.image is None or self.image not in viewer.layers:
            active = viewer.layers.selection.active
            self.image = viewer.add_image(
                picture,
                colormap="gray",
                contrast_limits=_CONTRAST,
                scale=patterns.scale[-2:],
                translate=patterns.translate[-2:],
                metadata={"map_of": self.navigation.stack.name},
            )
            self._lower()
            viewer.layers.selection.active = active
            self.navigation.go_with(self.image)
        self.image.data = picture
        self.image.name = f"{self.navigation.stack.name} - {view}"
        self.navigation.set_visible(self.image, True)

    def _on_inserted(self, event: Any = None) -> None:
        # a heat map, as an example, comes right above the patterns, where it would be covered
        if self.image is not None:
            QTimer.singleShot(0, self._lower)

    def _lower(self) -> None:
        """Lie above the patterns, and below all that is drawn over them."""
        viewer, patterns = self._viewer(), self._patterns()
        if viewer is None or patterns not in viewer.layers or self.image not in viewer.layers:
            return
        here, above = viewer.layers.index(self.image), viewer.layers.index(patterns) + 1
        if here != above:
            viewer.layers.move(here, above)

    def clear(self) -> None:
        """Remove the layer."""
        self.view = RAW  # also for a pattern that is being corrected
        viewer = self._viewer()
        if viewer is not None and self.image is not None and self.image in viewer.layers:
            viewer.layers.remove(self.image)
        self.image = None


class PatternViewBox(QWidget):
    """Three buttons, one of which is down: how the pattern on view is shown.

    Parameters
    ----------
    viewer
        Where the layers are.
    """

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._views: WeakKeyDictionary[Layer, PatternView] = WeakKeyDictionary()
        self._now: PatternView | None = None
        self.buttons: dict[str, QPushButton] = {}
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        together = QButtonGroup(self)
        for view in VIEWS:
            made = button(view, INDEXED["pattern"], partial(self._choose, view))
            made.setText(view.split()[0])  # a narrow panel has room for one word each
            made.setCheckable(True)
            together.addButton(made)
            self.buttons[view] = made
            row.addWidget(made)
        self.buttons[RAW].setChecked(True)
        follow(self, viewer.layers.events.removed, self._on_removed)

    def show_scan(self, layer: Image | None, navigation: ScanNavigation | None) -> None:
        """Take up another scan."""
        self._now = None
        if layer is not None and navigation is not None:
            before = self._views.get(layer)
            if before is not None and before.navigation is not navigation:
                before.clear()  # of patterns that were in this layer before
            if before is None or before.navigation is not navigation:
                self._views[layer] = PatternView(self._viewer, layer, navigation)
            self._now = self._views[layer]
        self.setEnabled(self._now is not None)
        self.buttons[RAW if self._now is None else self._now.view].setChecked(True)

    @property
    def busy(self) -> bool:
        """Whether the pattern on view is still being corrected."""
        return self._now is not None and self._now.busy

    def follow(self, row: int, column: int) -> None:
        """Another pattern is on view."""
        if self._now is not None:
            self._now.follow()

    def put_away(self) -> None:
        """Show the patterns themselves, as nothing follows them when the panel is closed."""
        for view in self._views.values():
            view.clear()

    def _on_removed(self, event: Any) -> None:
        gone = self._views.pop(event.value, None)
        if gone is not None:
            gone.clear()

    def _choose(self, view: str) -> None:
        if self._now is not None:
            self._now.choose(view)
