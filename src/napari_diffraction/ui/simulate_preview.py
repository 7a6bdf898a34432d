"""The live preview: the newest wish is simulated in another thread and shown in one layer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from napari_diffraction.patterns.display import contrast_limits
from napari_diffraction.progress import Progress

_log = logging.getLogger(__name__)

LAYER_NAME = "Simulation preview"

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
    _over = Signal(object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._thread = thread = ThreadPoolExecutor(1, thread_name_prefix="preview")
        self._busy = False
        self._waiting: Callable[[], Any] | None = None
        self._over.connect(self._on_over)
        self.destroyed.connect(lambda: thread.shutdown(wait=False, cancel_futures=True))

    @property
    def busy(self) -> bool:
        """Whether a wish is being fulfilled."""
        return self._busy

    def ask(self, work: Callable[[], Any]) -> None:
        """Call ``work`` in the other thread as soon as it is free."""
        if self._busy:
            self._waiting = work
            return
        self._busy = True
        self._thread.submit(self._run, work)

    def _run(self, work: Callable[[], Any]) -> None:
        result, error = None, None
        try:
            with _one_at_a_time:
                result = work()
        except Exception as problem:  # handed over to the window
            error = problem
        try:
            self._over.emit(result, error)
        except RuntimeError:  # the window was closed meanwhile
            _log.debug("preview came too late")

    def _on_over(self, result: Any, error: Exception | None) -> None:
        self._busy = False
        work, self._waiting = self._waiting, None
        if work is not None:
            self.ask(work)
        if error is None:
            self.done.emit(result)
        else:
            self.failed.emit(error)


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
        if layers[-1] is not self.layer:
            layers.move(layers.index(self.layer), -1)
        self.layer.visible = True

    def hide(self) -> None:
        """Let the layers below be seen."""
        if self.layer is not None and self.layer in self._viewer.layers:
            self.layer.visible = False
