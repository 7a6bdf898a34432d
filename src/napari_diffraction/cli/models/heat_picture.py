"""The picture of a map beside its pattern.

It is drawn by Pillow, as importing Matplotlib and laying out its figure take more than a second.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from napari_diffraction.learning.explain.heatmaps import Explanation
from napari_diffraction.patterns.display import contrast_limits

#: Pixels of the picture in an inch.
DPI = 150
#: Matplotlib's colours "inferno" at equal steps, between which they are nearly straight.
_INFERNO = (
    "000004", "0a0722", "1e0c45", "380962", "510e6c", "69166e", "801f6c", "982766", "b0315b",
    "c63d4d", "d94d3d", "e9612b", "f47918", "fa9407", "fcb014", "f8cd37", "f2ea69", "fcffa4",
)  # fmt: skip
#: How much of the map covers the pattern.
_COVER = 0.55
#: Sizes in pixels: the picture's width, a pattern's width, what is above and below of it; the left
#: of the two patterns and of the bar, the bar's width.
_WIDTH, _SIDE, _ABOVE, _BELOW = 1440, 634, 48, 20
_LEFT, _RIGHT, _BAR, _BAR_WIDTH = 6, 654, 1320, 36
_LETTERS, _FEWEST_PIXELS = 21, 9


def explanation_picture(
    frame: NDArray[Any], made: Explanation, method: str, title: str
) -> Image.Image:
    """Draw a pattern, and beside it the same with the map over it.

    Parameters
    ----------
    frame
        The pattern, (h, w).
    made
        What the network looked at.
    method
        How the map was made, for the heading.
    title
        Which pattern it is.
    """
    height = max(1, round(_SIDE * frame.shape[0] / frame.shape[1]))
    picture = Image.new("RGB", (_WIDTH, _ABOVE + height + _BELOW), "white")
    low, high = contrast_limits(frame)
    # as floating-point numbers, of which differences cannot overflow; no number is white
    grey = np.clip((frame.astype(np.float64) - low) / (high - low), 0, 1)
    pattern = np.repeat(np.nan_to_num(grey, nan=1.0)[..., None], 3, axis=2)
    covered = (1 - _COVER) * pattern + _COVER * _inferno(made.heat)
    picture.paste(_scaled(pattern, (_SIDE, height)), (_LEFT, _ABOVE))
    picture.paste(_scaled(covered, (_SIDE, height)), (_RIGHT, _ABOVE))
    likely = f"{made.predicted} {made.probabilities[made.predicted]:.2f}"
    _heading(picture, f"{title}: {likely}", _LEFT)
    p = made.probabilities[made.label]
    _heading(picture, f"{method}, why {made.label} ({p:.2f})", _RIGHT)
    _draw_bar(picture, _ABOVE, height)
    return picture


def _inferno(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the colours, (..., 3), of values from 0 to 1."""
    colours = np.array([list(bytes.fromhex(colour)) for colour in _INFERNO]) / 255
    at = np.linspace(0, 1, len(colours))
    return np.stack([np.interp(values, at, colours[:, channel]) for channel in range(3)], axis=-1)


def _scaled(colours: NDArray[np.float64], size: tuple[int, int]) -> Image.Image:
    """Make a picture of a size: pixels are squares where they are enlarged."""
    picture = Image.fromarray(np.rint(255 * colours).astype(np.uint8))
    larger = size[0] >= picture.width
    way = Image.Resampling.NEAREST if larger else Image.Resampling.HAMMING
    return picture.resize(size, way)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Matplotlib's letters, which are more of the world's than Pillow's, without importing it."""
    spec = find_spec("matplotlib")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder, "mpl-data", "fonts", "ttf", "DejaVuSans.ttf")
        if path.exists():
            return ImageFont.truetype(path, size)
    return ImageFont.load_default(size)


def _heading(picture: Image.Image, text: str, left: int) -> None:
    """Write above a pattern, with smaller letters where there are many."""
    size = _LETTERS
    while size > _FEWEST_PIXELS and _font(size).getlength(text) > _SIDE:
        size -= 1
    place = (left + _SIDE / 2, _ABOVE - 10)
    ImageDraw.Draw(picture).text(place, text, "black", _font(size), anchor="ms")


def _draw_bar(picture: Image.Image, top: int, height: int) -> None:
    """Draw what the colours mean."""
    draw, font = ImageDraw.Draw(picture), _font(_LETTERS)
    shares = np.linspace(1, 0, height)[:, None].repeat(_BAR_WIDTH, axis=1)
    colours = (1 - _COVER) + _COVER * _inferno(shares)
    picture.paste(_scaled(colours, (_BAR_WIDTH, height)), (_BAR, top))
    right, bottom = _BAR + _BAR_WIDTH, top + height - 1
    draw.rectangle((_BAR, top, right, bottom), outline="black", width=2)
    for tenth in range(0, 11, 2):
        y = bottom - tenth / 10 * (height - 1)
        draw.line((right, y, right + 7, y), "black", 2)
        draw.text((right + 14, y), f"{tenth / 10:.1f}", "black", font, anchor="lm")
    text = "share of the largest value"
    words = Image.new("L", (round(font.getlength(text)) + 4, 2 * _LETTERS))
    ImageDraw.Draw(words).text((2, _LETTERS), text, 255, font, anchor="lm")
    words = words.rotate(90, expand=True)
    corner = (_WIDTH - words.width, top + (height - words.height) // 2)
    picture.paste("black", corner, words)
