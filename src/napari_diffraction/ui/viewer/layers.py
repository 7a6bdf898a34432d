"""Image layers as stacks of patterns: choosing one, wrapping it, finding the pattern on view."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import dask.array as da
import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer
from qtpy.QtWidgets import QComboBox, QWidget

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.stack import PatternStack

_wrapped: WeakKeyDictionary[Layer, PatternStack] = WeakKeyDictionary()
#: Of layers with a stack of their own: the stack, and the data with which it was first seen.
_first_seen: WeakKeyDictionary[Layer, tuple[PatternStack | None, Any]] = WeakKeyDictionary()
_known: WeakKeyDictionary[ViewerModel, dict[str, WeakKeyDictionary[Layer, Any]]] = (
    WeakKeyDictionary()
)


def bare_viewer(viewer: Any) -> ViewerModel:
    """Return the viewer behind the proxy that napari gives to plugins.

    Signals and weak references need the object itself.
    """
    return getattr(viewer, "__wrapped__", viewer)


def known_of(viewer: ViewerModel, what: str) -> WeakKeyDictionary[Layer, Any]:
    """Return what is known of the layers of a viewer, which a panel that is closed leaves behind.

    Parameters
    ----------
    viewer
        Where the layers are.
    what
        Names what is known; the same name gives the same dictionary.  Its values must hold neither
        the viewer nor the layer, which could not go then.
    """
    return _known.setdefault(viewer, {}).setdefault(what, WeakKeyDictionary())


def can_be_stack(layer: Layer) -> bool:
    """Return whether a layer shows grey patterns: one, a stack, or a scan."""
    if "map_of" in layer.metadata:  # a picture of the scan, not of a pattern
        return False
    return isinstance(layer, Image) and not layer.rgb and not layer.multiscale and layer.ndim <= 4


def stack_of(layer: Image) -> PatternStack:
    """Return the patterns of an image layer.

    The stack in ``layer.metadata["pattern_stack"]`` is taken as it is, unless somebody has given
    the layer other data since; any other data are wrapped without being read.

    Raises
    ------
    InputError
        The layer is not a stack of patterns.
    """
    if not can_be_stack(layer):
        raise InputError(
            f"{layer.name} is no stack of grey patterns (2 to 4 dimensions): choose another layer."
        )
    stack = layer.metadata.get("pattern_stack")
    if isinstance(stack, PatternStack) and _still_shows(layer, stack):
        return stack
    if layer not in _wrapped or _wrapped[layer].metadata["wrapped"] != id(layer.data):
        _wrapped[layer] = _wrap(layer)
    return _wrapped[layer]


def _still_shows(layer: Image, stack: PatternStack) -> bool:
    """Return whether nobody has given a layer other data than those of its stack."""
    if stack.data.shape != tuple(layer.data.shape):
        return False
    if layer not in _first_seen or _first_seen[layer][0] is not stack:
        _first_seen[layer] = stack, layer.data
    return layer.data is _first_seen[layer][1] or layer.data is stack.data


def add_chosen(
    viewer: ViewerModel, like: Image, chosen: PatternStack, about: Mapping[str, object]
) -> Image:
    """Show some patterns of a layer as one of their own, drawn alike.

    Parameters
    ----------
    viewer
        Where the layers are.
    like
        The one that the patterns are of.
    chosen
        Those patterns.
    about
        What is known of them, which the layer keeps.
    """
    return viewer.add_image(
        chosen.data,
        name=chosen.name,
        colormap=like.colormap,
        contrast_limits=like.contrast_limits,
        gamma=like.gamma,
        scale=(1, *like.scale[-2:]),
        translate=(0, *like.translate[-2:]),
        metadata={"pattern_stack": chosen, "chosen_from": like.name, **about},
    )


def draw_anew(layer: Image, data: Any) -> None:
    """Give a layer its own patterns drawn anew, which are still those of its stack."""
    _first_seen[layer] = layer.metadata.get("pattern_stack"), data
    layer.data = data


def _wrap(layer: Image) -> PatternStack:
    data: Any = layer.data
    if not isinstance(data, da.Array):
        chunks = (1,) * (data.ndim - 2) + tuple(data.shape[-2:])
        data = da.from_array(data, chunks=chunks, name=False)
    if data.ndim == 2:
        data = data[np.newaxis]
    path = layer.source.path
    # The identity of the data tells when somebody gave the layer new ones.
    return PatternStack(
        data,
        layer.name,
        sources=(str(path),) if path else (),
        metadata={"wrapped": id(layer.data)},
    )


def was_opened(layer: Layer) -> bool:
    """Return whether a layer is a stack of its own, not chosen or drawn from another."""
    return (
        can_be_stack(layer)
        and layer.ndim > 2
        and "pattern_stack" in layer.metadata
        and "chosen_from" not in layer.metadata
    )


def first_stack(viewer: ViewerModel) -> Image | None:
    """Return the layer that a person most probably means: the active one, or the topmost stack."""
    layers = [layer for layer in viewer.layers if can_be_stack(layer)]
    active = viewer.layers.selection.active
    if active in layers:
        return active
    return max(layers, key=lambda layer: (layer.ndim > 2, layers.index(layer)), default=None)


def can_be_scan(layer: Layer) -> bool:
    """Return whether a layer shows patterns in rows and columns."""
    return can_be_stack(layer) and bool(layer.ndim == 4)


class StackView:
    """Which pattern of an image layer the sliders show, and the way to another.

    Parameters
    ----------
    viewer
        Where the layer is.
    layer
        Image layer of one pattern, a stack or a scan.
    """

    def __init__(self, viewer: ViewerModel, layer: Image) -> None:
        self._dims = viewer.dims
        self.layer = layer

    @property
    def shape(self) -> tuple[int, ...]:
        """How many patterns there are along each slider; a stack may grow."""
        return tuple(int(size) for size in self.layer.data.shape[:-2])

    def _axes(self) -> list[int]:
        first = self._dims.ndim - self.layer.ndim
        return [first + axis for axis in range(len(self.shape))]

    def index(self) -> int | None:
        """Return the flat number of the pattern on view, ``None`` where the sliders show none."""
        if not self.shape:
            return 0
        point = self.layer.world_to_data(self._dims.point[-self.layer.ndim :])
        place = np.rint(point[: len(self.shape)]).astype(int)
        if np.any(place < 0) or np.any(place >= self.shape):
            return None
        return int(np.ravel_multi_index(tuple(place), self.shape))

    def show(self, index: int) -> None:
        """Move the sliders to a pattern."""
        if self.shape:
            self._dims.set_point(self._axes(), self._world(np.unravel_index(index, self.shape)))

    def fit_sliders(self) -> None:
        """Let the sliders run over this layer alone, for a layer that is shorter than others."""
        ranges = list(self._dims.range)
        for axis, low, high in self._reach():
            ranges[axis] = (low, high, ranges[axis][2])
        self._dims.range = ranges

    def widen_sliders(self) -> None:
        """Let the sliders reach all patterns of this layer, where they were fitted to fewer."""
        ranges = list(self._dims.range)
        for axis, low, high in self._reach():
            start, stop, step = ranges[axis]
            ranges[axis] = (min(start, low), max(stop, high), step)
        if ranges != list(self._dims.range):
            self._dims.range = ranges

    def _reach(self) -> Iterator[tuple[int, float, float]]:
        """Yield each slider with the least and the greatest place of this layer's patterns."""
        ends = self._world([0] * len(self.shape)), self._world(np.subtract(self.shape, 1))
        for axis, *both in zip(self._axes(), *ends, strict=True):
            yield axis, min(both), max(both)

    def _world(self, place: Any) -> list[float]:
        centre = (0,) * (self.layer.ndim - len(self.shape))
        world = self.layer.data_to_world((*(int(x) for x in place), *centre))
        return [float(x) for x in world[: len(self.shape)]]


class LayerCombo(QComboBox):
    """A list of the viewer's stacks that follows the viewer.

    Parameters
    ----------
    viewer
        Whose layers are listed.
    accept
        Says which of them.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        parent: QWidget | None = None,
        accept: Callable[[Layer], bool] = can_be_stack,
    ) -> None:
        super().__init__(parent)
        self._accept = accept
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(12)
        self._layers = viewer.layers
        events = viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered, events.renamed):
            follow(self, event, self._fill)
        self._fill()

    def layer(self) -> Image | None:
        """Return the chosen layer."""
        layer = self.currentData()
        return layer if layer in self._layers and self._accept(layer) else None

    def choose(self, layer: Layer | None) -> None:
        """Choose a layer, if it is in the list."""
        places = [i for i in range(self.count()) if self.itemData(i) is layer]
        if places:
            self.setCurrentIndex(places[0])

    def _fill(self, event: Any = None) -> None:
        wanted = [layer for layer in self._layers if self._accept(layer)]
        # Stacks before single images, and what was opened before what was made from it.
        wanted.sort(key=lambda layer: (layer.ndim < 3, "chosen_from" in layer.metadata))
        before = self.currentData()
        self.blockSignals(True)
        self.clear()
        for layer in wanted:
            self.addItem(layer.name, layer)
        self.choose(before)
        self.blockSignals(False)
        if self.currentData() is not before:
            self.currentIndexChanged.emit(self.currentIndex())


def follow(widget: QWidget, event: Any, slot: Callable[..., None]) -> None:
    """Connect a slot of a widget to an event of napari until the widget is destroyed."""
    event.connect(slot)

    def leave() -> None:
        event.disconnect(slot)

    widget.destroyed.connect(leave)
