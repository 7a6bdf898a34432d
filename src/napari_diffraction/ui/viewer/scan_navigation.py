"""The map of a scan beside its patterns: a click on it shows a pattern, and a marker follows."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from typing import Any
from weakref import WeakKeyDictionary, WeakSet, ref

import numpy as np
from napari import Viewer
from napari.components import ViewerModel
from napari.layers import Image, Layer, Points
from napari.qt.threading import create_worker
from numpy.typing import NDArray
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.growing import only_grew
from napari_diffraction.patterns.part import part_of
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.ui.viewer.layers import StackView, bare_viewer, can_be_scan, stack_of
from napari_diffraction.ui.viewer.quality_map import scan_pictures
from napari_diffraction.ui.viewer.quiet import choice_kept, remove_layers, set_data
from napari_diffraction.ui.viewer.stacks.stack_review import same_patterns, show_alone
from napari_diffraction.ui.viewer.vertex_arrays import guard

#: Seconds between two updates of the map.
_INTERVAL = 0.25
#: Milliseconds in which a first pattern begins to be drawn.
_AFTER_DRAWING = 20
#: Between map and patterns, in parts of a pattern's width.
_GAP = 0.05
_MARKER = "#FFFFFF"

_navigations: WeakKeyDictionary[Layer, ScanNavigation] = WeakKeyDictionary()


def link_when_added(stack: PatternStack) -> None:
    """Show the map of a scan as soon as its layer is in the window; for the reader.

    Parameters
    ----------
    stack
        What the reader is about to return; a list of patterns has no map.
    """
    if not stack.is_scan:
        return
    # nobody tells a reader for which window it reads: it may be another one than that in front
    windows = [ref(viewer) for viewer in Viewer._instances]

    def look(event: Any) -> None:
        layer = event.value
        if layer.metadata.get("pattern_stack") is stack:
            for viewer in filter(None, (window() for window in windows)):
                viewer.layers.events.inserted.disconnect(look)
            # Other layers can be added only when napari is done with this one; the pattern is
            # drawn before.
            QTimer.singleShot(_AFTER_DRAWING, lambda: link(layer))

    def link(layer: Image) -> None:
        for viewer in filter(None, (window() for window in windows)):
            if layer in viewer.layers:
                show_alone(viewer, layer, {})  # maps of several scans lie in one place
                ScanNavigation.of(viewer, layer)

    for viewer in filter(None, (window() for window in windows)):
        viewer.layers.events.inserted.connect(look)


class ScanNavigation:
    """Links the layer of a scan's patterns with maps of the scan that lie to its left.

    Parameters
    ----------
    viewer
        Where the layer is.
    layer
        Patterns, (rows, columns, h, w).

    Signals
    -------
    moved(int, int)
        The pattern of another row and column is on view.
    replaced()
        The layer has been given the patterns of other points: this is over, and so is all that was
        drawn with it.  `of` gives another one.
    """

    moved = Signal(int, int)
    replaced = Signal()

    def __init__(self, viewer: ViewerModel, layer: Image) -> None:
        self._viewer, self._layer = ref(viewer), ref(layer)
        self.stack = stack_of(layer)
        if not self.stack.is_scan:
            raise InputError(f"{layer.name} is a list of patterns, not a scan: it has no map.")
        self.shape = tuple(int(size) for size in layer.data.shape[:2])
        self._at: tuple[int, int] | None = None
        self._stopped = False
        #: All that is drawn for this scan, and what of it waits for the patterns to be shown again.
        self._drawn: WeakSet[Layer] = WeakSet()
        self._waiting: WeakSet[Layer] = WeakSet()
        self.scale, self.translate = self._place()
        with choice_kept(viewer):
            self.image = self._add_image(viewer)
            self.marker = self._add_marker(viewer)
        for made in (self.image, self.marker):
            self.go_with(made)
        viewer.layers.selection.active = layer
        viewer.dims.events.current_step.connect(self._on_step)
        viewer.mouse_drag_callbacks.append(self._on_press)
        viewer.layers.events.removed.connect(self._on_removed)
        layer.events.visible.connect(self._on_visible)
        for event in (layer.events.data, layer.events.metadata):
            event.connect(self._on_data)
        self._on_step()
        viewer.reset_view()
        self.look(0, self.shape[0])

    @classmethod
    def of(cls, viewer: Any, layer: Image) -> ScanNavigation:
        """Return the navigation of a layer, the same one every time.

        Raises
        ------
        InputError
            The layer shows no scan.
        """
        if layer not in _navigations:
            bare = bare_viewer(viewer)
            guard(bare)
            _navigations[layer] = cls(bare, layer)
        return _navigations[layer]

    # -- where maps lie -------------------------------------------------------------------------
    def _place(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return scale and translation of a map, as tall as the patterns and to their left."""
        layer = self._layer()
        assert layer is not None
        scale, corner = np.array(layer.scale[-2:]), np.array(layer.translate[-2:]) - 0.5
        height, width = scale * self.stack.frame_shape
        step = np.array(self.stack.step or (1.0, 1.0))
        size = step / step.min() * self.shape
        # A line scan gets points of a size that can be clicked on, but not of the whole height.
        factor = min(height / size[0], 1.5 * width / size[1])
        pixel = factor * step / step.min()
        left = corner[1] - _GAP * width - pixel[1] * self.shape[1]
        return tuple(pixel), (corner[0] + pixel[0] / 2, left + pixel[1] / 2)

    def as_map(self) -> dict[str, Any]:
        """Return the arguments that put a layer of (rows, columns) in the place of the map."""
        return {"scale": self.scale, "translate": self.translate}

    def _add_image(self, viewer: ViewerModel) -> Image:
        return viewer.add_image(
            np.zeros(self.shape, np.float32),
            name=f"{self.stack.name} - navigation",
            colormap="gray",
            metadata={"map_of": self.stack.name},
            **self.as_map(),
        )

    def _add_marker(self, viewer: ViewerModel) -> Points:
        return viewer.add_points(
            np.zeros((1, 2)),
            name=f"{self.stack.name} - position",
            symbol="square",
            # napari takes the size across the columns; of a point that is wider than high, no more
            # rows are covered
            size=1.6 * min(1.0, self.scale[0] / self.scale[1]),
            face_color="transparent",
            border_color=_MARKER,
            border_width=0.12,
            canvas_size_limits=(12, 10_000),
            metadata={"map_of": self.stack.name},
            **self.as_map(),
        )

    def raise_marker(self) -> None:
        """Bring the marker above the maps that were added after it."""
        viewer = self._viewer()
        if viewer is not None and self.marker in viewer.layers:
            viewer.layers.move(viewer.layers.index(self.marker), len(viewer.layers))

    # -- moving ---------------------------------------------------------------------------------
    @property
    def current(self) -> tuple[int, int] | None:
        """Row and column of the pattern on view."""
        view = self._view()
        index = None if view is None else view.index()
        return None if index is None else (index // self.shape[1], index % self.shape[1])

    def show(self, row: int, column: int) -> None:
        """Show the pattern of a point of the scan."""
        view = self._view()
        if view is not None:
            view.show(row * self.shape[1] + column)

    def _view(self) -> StackView | None:
        """Return the sliders' view of the patterns, which holds the layer: it is not kept."""
        viewer, layer = self._viewer(), self._layer()
        return None if viewer is None or layer is None else StackView(viewer, layer)

    def _on_step(self, event: Any = None) -> None:
        here = self.current
        if here is None or here == self._at:
            return
        self._at = here
        set_data(self.marker, np.array([here], float))
        self.moved.emit(*here)

    def _on_press(self, viewer: Any, event: Any) -> Iterator[None]:
        """Follow a click on the map; a drag moves the picture as always."""
        if event.button != 1:
            return
        start = np.array(event.pos)
        place = self._point_at(event.position)
        yield
        while event.type == "mouse_move":
            yield
        if place is not None and np.abs(np.array(event.pos) - start).max() < 4:
            self.show(*place)

    def _point_at(self, position: Any) -> tuple[int, int] | None:
        """Return the point of the scan at a position of the canvas."""
        viewer, layer = self._viewer(), self._layer()
        if viewer is None or layer is None or not layer.visible or viewer.dims.ndisplay != 2:
            return None
        if tuple(viewer.dims.displayed) != (viewer.dims.ndim - 2, viewer.dims.ndim - 1):
            return None  # somebody looks along other axes
        place = np.rint(self.image.world_to_data(position[-2:])).astype(int)
        if np.any(place < 0) or np.any(place >= self.shape):
            return None
        return int(place[0]), int(place[1])

    # -- the layers -----------------------------------------------------------------------------
    def look(self, first: int, stop: int) -> None:
        """Draw rows of the map anew, in another thread; stopping short of ``stop``."""
        columns = self.shape[1]
        create_worker(
            _looks,
            part_of(self.stack, first * columns, stop * columns),
            first,
            self._is_over,
            _connect={"yielded": self._show_looks},
        )

    def _on_data(self, event: Any = None) -> None:
        """Follow a scan that has grown, or was opened anew; begin anew with other points."""
        layer, viewer = self._layer(), self._viewer()
        if layer is None or (can_be_scan(layer) and stack_of(layer) is self.stack):
            return
        if not (can_be_scan(layer) and self._goes_on(stack_of(layer))):
            self._end(layer)
            if viewer is not None and can_be_scan(layer):
                ScanNavigation.of(viewer, layer)
            self.replaced.emit()
            return
        self.stack, before = stack_of(layer), self.shape[0]
        self.shape = tuple(int(size) for size in layer.data.shape[:2])
        more = self.shape[0] - before
        if more > 0:
            self.image.data = np.pad(self.image.data, ((0, more), (0, 0)))
            self.look(before, self.shape[0])

    def _goes_on(self, stack: PatternStack) -> bool:
        """Whether a stack has the patterns that are known, and perhaps more rows."""
        if stack.data.shape[1:] != self.stack.data.shape[1:]:
            return False
        return only_grew(stack, self.stack) or same_patterns(stack, self.stack)

    def go_with(self, layer: Layer) -> None:
        """Show a layer only together with the patterns: it lies where those of other scans do."""
        self._drawn.add(layer)
        self.set_visible(layer, layer.visible)

    def set_visible(self, layer: Layer, visible: bool) -> None:
        """Show or hide a layer that goes with the patterns, at once or when these are shown."""
        self._waiting.discard(layer)
        patterns = self._layer()
        if visible and patterns is not None and not patterns.visible:
            self._waiting.add(layer)
            visible = False
        if layer.visible != visible:
            layer.visible = visible

    def _on_visible(self, event: Any = None) -> None:
        patterns = self._layer()
        if patterns is None:
            return
        if patterns.visible:
            changed = list(self._waiting)
            self._waiting.clear()
        else:
            changed = [layer for layer in self._drawn if layer.visible]
            self._waiting.update(changed)
        for layer in changed:
            layer.visible = patterns.visible

    def _on_removed(self, event: Any) -> None:
        """Tidy up after somebody removed the patterns: no map without them."""
        if event.value is self._layer():
            self._end(event.value)

    def _end(self, patterns: Image) -> None:
        """Listen to nothing any more, and remove all that was drawn."""
        viewer = self._viewer()
        if viewer is None:
            return
        self._stopped = True
        viewer.dims.events.current_step.disconnect(self._on_step)
        viewer.mouse_drag_callbacks.remove(self._on_press)
        viewer.layers.events.removed.disconnect(self._on_removed)
        patterns.events.visible.disconnect(self._on_visible)
        for event in (patterns.events.data, patterns.events.metadata):
            event.disconnect(self._on_data)
        _navigations.pop(patterns, None)
        remove_layers(viewer.layers, self._drawn)

    def _is_over(self) -> bool:
        return self._stopped or self._viewer() is None or self._layer() is None

    def _show_looks(self, looked: tuple[int, NDArray[np.float32]]) -> None:
        viewer, (first, part) = self._viewer(), looked
        if self._is_over() or viewer is None or self.image not in viewer.layers:
            return
        picture = self.image.data.copy()
        picture[first : first + len(part)] = part
        self.image.data = picture
        low, high = np.nanquantile(picture, (0.01, 0.99)) if picture.size else (0.0, 1.0)
        self.image.contrast_limits = (float(low), float(max(high, low + 1e-6)))


def _looks(
    stack: PatternStack, first: int, is_over: Callable[[], bool]
) -> Generator[tuple[int, NDArray[np.float32]], None, None]:
    """Hand over the map of rows of a scan, and the first of them, now and then, for a worker."""
    sent = 0.0
    for picture in scan_pictures(stack):
        if is_over():
            return
        if time.monotonic() - sent > _INTERVAL:
            sent = time.monotonic()
            yield first, picture.copy()
    yield first, picture
