"""What networks for pictures look at: the pattern itself, brought to one size and 256 greys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional

if TYPE_CHECKING:
    from napari_diffraction.learning.model_card import ModelCard
    from napari_diffraction.learning.networks.picture_preprocessing import Preprocessing
    from napari_diffraction.patterns.stack import PatternStack

Picture = NDArray[np.uint8]
FloatArray = NDArray[np.float64]

#: Raised whenever the same settings begin to give other pictures.
VERSION = 1
#: How far the logarithm is drawn out: black to white are a factor of 1 + this apart.
_LOG = 1000.0


def on_card(preprocessing: Preprocessing) -> dict[str, Any]:
    """Return the settings as the card of a model keeps them."""
    return {"pictures": VERSION} | asdict(preprocessing)


def from_card(values: Mapping[str, Any]) -> Preprocessing:
    """Take the settings from the card of a model.

    Raises
    ------
    InputError
        They make no sense.
    """
    from napari_diffraction.learning.networks.picture_preprocessing import Preprocessing
    from napari_diffraction.learning.settings import settings_of

    known = Preprocessing.__dataclass_fields__
    settings = {name: value for name, value in values.items() if name in known}
    return settings_of(Preprocessing, settings, "The card of the model")


def misfit(card: ModelCard) -> str:
    """Say what of a card does not fit to this version."""
    return "" if card.preprocessing.get("pictures") == VERSION else "which made other pictures"


def looker(card: ModelCard) -> Callable[[PatternStack], Callable[[NDArray[Any]], Picture]]:
    """Return what looks at the patterns of a stack for a model."""
    preprocessing = from_card(card.preprocessing)
    return lambda _: lambda frame: picture(frame, preprocessing)


def picture(frame: NDArray[Any], preprocessing: Preprocessing) -> Picture:
    """Make a picture of a frame, (size, size).

    Values that are not numbers become black and count for nothing else.  A frame that is not square
    stands in the middle of a black square.
    """
    values = np.asarray(frame, dtype=np.float32)
    known = np.isfinite(values)
    values = np.where(known, values, np.float32(0))
    if preprocessing.flatten:
        values = values - _background(values, known, preprocessing.flatten * values.shape[0])
    counted = values[known] if known.any() else values
    black, white = np.percentile(counted, (preprocessing.black, preprocessing.white))
    values = np.clip((values - black) / max(float(white - black), 1e-12), 0, 1)
    values[~known] = 0
    # Averaged before it is drawn out, as a coarser camera would.
    values = _resized(values, preprocessing.size)
    if preprocessing.grey == "sqrt":
        values = np.sqrt(values)
    elif preprocessing.grey == "log":
        values = np.log1p(_LOG * values) / np.log1p(_LOG)
    return np.asarray(np.rint(255 * values), dtype=np.uint8)


def _background(
    values: NDArray[np.float32], known: NDArray[np.bool_], width: float
) -> NDArray[np.float32]:
    """Blur a frame; each pixel is the mean over those near it that are known."""
    blurred = ndimage.gaussian_filter(values, width, mode="nearest")
    if not known.all():
        weight = ndimage.gaussian_filter(known.astype(np.float32), width, mode="nearest")
        blurred /= np.maximum(weight, 1e-6)
    return np.asarray(blurred)


def _resized(values: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Pad to a square and average or interpolate to a size."""
    height, width = values.shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    pad = (left, side - width - left, top, side - height - top)
    square = functional.pad(torch.from_numpy(np.ascontiguousarray(values)), pad)[None, None]
    if side != size:
        square = functional.interpolate(
            square, (size, size), mode="bilinear", align_corners=False, antialias=True
        )
    return np.asarray(square[0, 0].clamp(0, 1).numpy())


def tensors(seen: Sequence[Picture]) -> tuple[torch.Tensor, ...]:
    """Stack pictures into the input of the network, (n, 1, size, size) of uint8."""
    return (torch.from_numpy(np.stack(seen))[:, None],)


def picture_places(seen: Picture, shape: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
    """Where the rows and columns of a frame lie in its picture.

    Returns
    -------
    rows, columns : ndarray, (h,) and (w,)
        In pixels of the picture.
    """
    side, size = max(shape), seen.shape[-1]
    rows, columns = (
        (np.arange(length) + (side - length) // 2 + 0.5) * size / side - 0.5 for length in shape
    )
    return rows, columns
