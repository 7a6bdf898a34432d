"""The live preview: the newest wish is simulated in another thread and shown in one layer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer
from napari.utils.notifications import show_error
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QLabel, QPushButton

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.display import contrast_limits
from napari_diffraction.progress import Progress
from napari_diffraction.ui.widgets.worker_bar import WorkBar

LAYER_NAME = "Simulation preview"
_POLL_MS = 5
_log = logging.getLogger(__name__)

# numba's simplest threading layer, the only one on some systems, ends the process when two threads
# run parallel code at once.
_one_at_a_time = Lock()


def in_turn(work: Generator[Progress, None, Any]) -> Generator[Progress, None, Any]:
    """Take the steps of a simulation in turn with the preview."""
    while True:
        with _one_at_a_time:
            try:
                step = next(work)
            except StopIteration as stop:
                return stop.value
        yield step


class Newest(QObject):
    """Does work in one other thread; of the wishes that come in meanwhile only the newest counts.

    Signals
    -------
    done(object)
        The result of a wish.
    failed(object)
        The exception of a wish.
    """

    done = Signal(object)
    failed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        # The thread never touches Qt, so that a window may be closed while it works; it ends when
        # this object is no more.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="preview")
        self._work: Future[Any] | None = None
        self._waiting: Callable[[], Any] | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(_POLL_MS)
        self._timer.timeout.connect(self._look)

    @property
    def busy(self) -> bool:
        """Whether a wish is being fulfilled."""
        return self._work is not None

    def ask(self, work: Callable[[], Any]) -> None:
        """Call ``work`` in the other thread as soon as it is free."""
        if self._work is not None:
            self._waiting = work
            return
        self._work = self._thread.submit(_alone, work)
        self._timer.start()

    def _look(self) -> None:
        if self._work is None or not self._work.done():
            return
        over, self._work = self._work, None
        self._timer.stop()
        work, self._waiting = self._waiting, None
        if work is not None:
            self.ask(work)
        error = over.exception()
        if error is None:
            self.done.emit(over.result())
        else:
            self.failed.emit(error)


def _alone(work: Callable[[], Any]) -> Any:
    with _one_at_a_time:
        return work()


def is_overlay(layer: Layer) -> bool:
    """Whether a layer is drawn over the preview and so may lie above it."""
    return bool(layer.metadata.get("napari_diffraction", {}).get("overlay"))


class PreviewLayer:
    """The image layer of the preview, made when first needed.

    Parameters
    ----------
    viewer
        Gets the layer.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self.layer: Image | None = None

    def show(self, image: NDArray[np.integer], fit_contrast: bool = True) -> None:
        """Show a pattern on top of all other layers.

        Parameters
        ----------
        image : ndarray, (h, w)
            The pattern.
        fit_contrast
            Whether to fit the contrast to this pattern.
        """
        layers = self._viewer.layers
        if self.layer is None or self.layer not in layers:
            self.layer = self._viewer.add_image(image, name=LAYER_NAME, colormap="gray")
            self.layer.metadata["napari_diffraction"] = {"preview": True}
            fit_contrast = True
        elif self.layer.data.shape != image.shape:
            self.layer.data = image
            self._viewer.reset_view()
        else:
            self.layer.data = image
        if fit_contrast:
            self.layer.reset_contrast_limits_range()
            self.layer.contrast_limits = contrast_limits(image)
        pictures = [layer for layer in layers if not is_overlay(layer)]
        if pictures[-1] is not self.layer:
            layers.move(layers.index(self.layer), -1)
        self.layer.visible = True

    def hide(self) -> None:
        """Let the layers below be seen."""
        if self.layer is not None and self.layer in self._viewer.layers:
            self.layer.visible = False


class Previewed:
    """What the forms with a live preview share: its switch, and what is wrong with the form.

    Attributes
    ----------
    preview_layer
        The preview.
    error
        Says what is wrong.
    run_button, work
        The button that simulates a stack, and the work that it starts.
    """

    preview_layer: PreviewLayer
    error: QLabel
    run_button: QPushButton
    work: WorkBar
    _shown_error = ""

    def update_preview(self) -> None:
        """Simulate the preview anew."""
        raise NotImplementedError

    def _on_live(self, on: bool) -> None:
        if on:
            self.update_preview()
        else:
            self.preview_layer.hide()

    def _on_failure(self, error: Exception) -> None:
        if isinstance(error, InputError):
            self._show_error(str(error))
        else:
            _log.error("The preview failed", exc_info=error)
            self._show_error(f"The preview failed ({type(error).__name__}: {error}).")

    def _show_error(self, text: str) -> None:
        """Say what is wrong beside the form, and once as a notification."""
        if text and text != self._shown_error:
            show_error(text)
        self._shown_error = text
        self.error.setText(f"⚠ {text}")
        self.error.setVisible(bool(text))
        self.run_button.setEnabled(not text and not self.work.running)
