"""Opening patterns by drag and drop, File > Open or `napari --plugin napari-diffraction`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.notifications import show_error, show_info

from napari_diffraction.errors import InputError
from napari_diffraction.ui.alive import apart

if TYPE_CHECKING:
    from napari_diffraction.patterns.readers import AmbiguousDatasetError
    from napari_diffraction.patterns.stack import PatternStack

LayerTuple = tuple[Any, ...]
PathOrPaths = str | Sequence[str]

# So many patterns all over the stack are looked at for the contrast.
_SAMPLES = 5
_NOTHING: list[LayerTuple] = [(None,)]  # tells napari: handled, but no layer
_MODEL = ".safetensors"
# Several programs use these endings for other things.
_SHARED_SUFFIXES = {".img", ".dat", ".raw", ".xml", ".zip", ".gif"}


def get_reader(path: PathOrPaths) -> Callable[[PathOrPaths], list[LayerTuple]] | None:
    """Return a reader if the path or paths look like diffraction patterns, else ``None``."""
    paths = [path] if isinstance(path, str) else list(path)
    if paths and all(one.lower().endswith(_MODEL) for one in paths):
        return _take_in_models
    ours = bool(paths) and apart(lambda: all(map(_is_ours, paths)))
    return read_patterns if ours else None


def _take_in_models(path: PathOrPaths) -> list[LayerTuple]:
    from napari_diffraction.ui.widgets.model_list import take_in

    return take_in(path)


def _is_ours(path: str) -> bool:
    from napari_diffraction.patterns.readers import can_read
    from napari_diffraction.patterns.readers.formats import by_name, recognise

    if can_read(path):
        return True
    row = by_name(path)
    if row is None or os.path.isdir(path) or Path(path).suffix.lower() in _SHARED_SUFFIXES:
        return False
    try:
        recognise(path)
    except InputError:
        return True  # empty or damaged: ours to explain
    return False


@dataclass(frozen=True)
class _Opened:
    """A stack, its layer, and what else is known of it."""

    stack: PatternStack
    layer: LayerTuple
    earlier: tuple[str, ...]


def read_patterns(path: PathOrPaths) -> list[LayerTuple]:
    """Open patterns as one image layer; what goes wrong is shown as one notification."""
    try:
        opened = _open(path)
    except InputError as error:
        show_error(str(error))
        return _NOTHING
    if opened is None:
        return _NOTHING
    show_info("\n".join([*opened.stack.notes, *opened.earlier]))
    _show_map(opened.stack)
    return [opened.layer]


def _show_map(stack: PatternStack) -> None:
    """Show the map of a scan beside its patterns, where there is a window."""
    with suppress(ImportError):
        from napari_diffraction.ui.viewer.scan_navigation import link_when_added

        link_when_added(stack)


def _open(path: PathOrPaths) -> _Opened | None:
    """Open patterns in another thread: files may be slow, and libraries take long to import."""
    from napari_diffraction.patterns.readers import AmbiguousDatasetError

    try:
        return apart(lambda: _opened(path))
    except AmbiguousDatasetError as error:
        name = _ask_for_dataset(error)
        return apart(lambda: _opened(path, name)) if name else None


def _opened(path: PathOrPaths, dataset: str | None = None) -> _Opened:
    from napari_diffraction.patterns.readers import open_stack

    stack = open_stack(path, dataset=dataset)
    _prepare_window(stack)
    return _Opened(stack, as_layer(stack), _earlier_review(stack))


def _prepare_window(stack: PatternStack) -> None:
    """Import what the window needs to show a stack; napari imports the half of it late."""
    from napari_diffraction.ui.viewer.quiet import prepare_layers

    prepare_layers()
    with suppress(ImportError):  # without a window there is no map
        if stack.is_scan:
            from napari_diffraction.ui.viewer import scan_navigation  # noqa: F401


def _earlier_review(stack: PatternStack) -> tuple[str, ...]:
    """Say that a review of the stack was begun before, and where to take it up."""
    from napari_diffraction.review.fingerprint import stack_key
    from napari_diffraction.review.store import describe, saved_review

    saved = saved_review(stack_key(stack))
    if saved is None:
        return ()
    return (f"{describe(saved)} Plugins > Diffraction > Review patterns takes it up.",)


def _ask_for_dataset(problem: AmbiguousDatasetError) -> str | None:
    """Let a person choose; without a window the problem is raised again."""
    try:
        from qtpy.QtWidgets import QApplication, QInputDialog
    except ImportError:
        raise problem from None
    if QApplication.instance() is None:
        raise problem
    name, chosen = QInputDialog.getItem(
        QApplication.activeWindow(),
        "Choose the data set",
        f"{Path(problem.path).name} holds several stacks:",
        list(problem.names),
        0,
        False,
    )
    return str(name) if chosen else None


def as_layer(stack: PatternStack) -> LayerTuple:
    """Return a stack as the layer data that napari takes.

    The stack itself is kept in the layer's `metadata` under "pattern_stack", what is known of it
    in plain values under "napari_diffraction".
    """
    info = {
        "version": version("napari-diffraction"),
        "source": stack.sources[0] if stack.sources else "",
        "files": len(set(stack.sources)),
        "dataset": stack.dataset,
        "geometry": stack.geometry.numbers(),
        "step": stack.step,
        "notes": list(stack.notes),
    }
    options = {
        "name": stack.name,
        "contrast_limits": stack_contrast_limits(stack),
        "colormap": "gray",
        "rgb": False,
        "multiscale": False,
        "metadata": {"napari_diffraction": info, "pattern_stack": stack},
    }
    return stack.data, options, "image"


def stack_contrast_limits(stack: PatternStack) -> tuple[float, float]:
    """Return contrast limits fitted to the spots of a few patterns all over a stack."""
    from napari_diffraction.patterns.display import contrast_limits

    limits = []
    for index in sorted({i * (len(stack) - 1) // (_SAMPLES - 1) for i in range(_SAMPLES)}):
        try:
            limits.append(contrast_limits(stack.frame(index)))
        except InputError:
            continue
    if not limits:
        return 0.0, 1.0
    low, high = np.median(limits, axis=0)
    return float(low), float(high)
