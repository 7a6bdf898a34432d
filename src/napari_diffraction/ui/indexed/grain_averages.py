"""Averages of the grains of an indexed scan, as a stack that is looked at like any other."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING
from weakref import ref

import dask.array as da
import numpy as np
from napari.components import ViewerModel
from napari.layers import Image

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import Progress
from napari_diffraction.ui.reader import as_layer
from napari_diffraction.ui.viewer.layers import known_of
from napari_diffraction.ui.widgets.wording import counted

if TYPE_CHECKING:
    from napari_diffraction.indexing.solution import IndexedMap

#: Grains shown, and the least number of patterns of one.
_MOST, _LEAST = 500, 3
#: Between the patterns and the averages, in parts of a pattern's width.
_GAP = 0.05
#: Of pictures with unit deviation.
_CONTRAST = (-2.0, 3.0)


def averaging(stack: PatternStack, indexed: IndexedMap) -> Generator[Progress, None, PatternStack]:
    """Average the flattened patterns of each grain.

    Parameters
    ----------
    stack
        The scan.
    indexed
        Its solution, which says which pattern is of which grain.

    Yields
    ------
    Progress
        Patterns read.

    Returns
    -------
    PatternStack
        The largest grain first.

    Raises
    ------
    InputError
        No grain has three patterns.
    """
    yield Progress(0, len(stack), "Looking at the camera")
    from napari_diffraction.patterns.kikuchi.preparation import prepare
    from napari_diffraction.patterns.kikuchi.reading import blocks

    size = np.bincount(indexed.grain[indexed.grain >= 0])
    numbers = np.argsort(-size, kind="stable")[:_MOST]
    numbers = numbers[size[numbers] >= _LEAST]
    if not len(numbers):
        raise InputError(f"No grain of {stack.name} has {_LEAST} patterns: there is no average.")
    place = np.full(len(size) + 1, -1)  # the last one: in no grain
    place[numbers] = np.arange(len(numbers))
    preparation = prepare(stack)
    total = np.zeros((len(numbers), *preparation.shape), np.float32)
    for part, frames, readable in blocks(stack):
        grain = np.where(readable, place[indexed.grain[part]], -1)
        pictures = preparation.corrected(frames)
        for one in np.unique(grain[grain >= 0]):
            total[one] += pictures[grain == one].sum(axis=0)
        yield Progress(part.stop, len(stack), "Averaging grains")
    return PatternStack(
        da.from_array(preparation.flattened(total), chunks=(1, *preparation.shape), name=False),
        f"{indexed.name} - grain averages",
        sources=indexed.sources[:1],
        geometry=stack.geometry,
        notes=(f"Averages of {counted(len(numbers), 'grains')} of {indexed.name}.",),
        metadata={"grain": numbers.tolist(), "patterns": size[numbers].tolist()},
    )


def add_averages(viewer: ViewerModel, averages: PatternStack, patterns: Image) -> Image:
    """Show averages to the right of the patterns of their scan, as large as these."""
    before = known_of(viewer, "averages")
    old = before.get(patterns)
    if old is not None and old() in viewer.layers:
        viewer.layers.remove(old())
    data, options, _ = as_layer(averages)
    height, width = np.array(patterns.data.shape[-2:]) * patterns.scale[-2:]
    scale = (height / data.shape[-2], width / data.shape[-1])
    top, left = patterns.translate[-2:] - 0.5 * patterns.scale[-2:]
    left += (1 + _GAP) * width
    corner = (0.0, top + 0.5 * scale[0], left + 0.5 * scale[1])
    options |= {"scale": (1.0, *scale), "translate": corner, "contrast_limits": _CONTRAST}
    image = viewer.add_image(data, **options)
    before[patterns] = ref(image)
    viewer.dims.set_current_step(viewer.dims.ndim - 3, 0)  # a scan may have more columns
    viewer.reset_view()
    return image
