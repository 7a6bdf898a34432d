"""Frames of an EBSD camera made ready: binned, corrected, flattened, bands bright."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_diffraction.patterns.kikuchi.coarse import CoarseBlur
from napari_diffraction.patterns.kikuchi.flattening import (
    bin_frames,
    flatten,
    in_threads,
    reduce,
    reducer,
    standardise_all,
)
from napari_diffraction.patterns.kikuchi.mask import (
    StaticBackground,
    background_of,
    sample,
    stuck,
    without_stray_gaps,
)
from napari_diffraction.patterns.kikuchi.polarity import is_inverted
from napari_diffraction.patterns.kikuchi.specks import dead_pixels, standing
from napari_diffraction.patterns.stack import PatternStack

Floats = NDArray[np.float32]

#: Standard deviations of the Gaussians of background and contrast, in parts of the shorter side.
_BACKGROUND, _CONTRAST = 0.083, 0.1
#: Of the polynomial that describes the background before.
_DEGREE = 5
#: Cut off beside a mask, in parts of the longer side, beyond what the mask leaves out already.
_EDGE = 0.008
#: A static background below this part of its median is not divided by.
_DARK = 0.05


@dataclass(frozen=True, eq=False)
class Preparation:
    """How frames of one camera are made ready.

    Attributes
    ----------
    frame_shape
        Height and width of a frame in pixels.
    binning
        Pixels of the frame per pixel of a picture along the longer side, nearly so along the
        other.
    weight : ndarray of float32, (h, w)
        1 where the screen is lit and nothing but the pattern is seen, else 0.
    gain : ndarray of float32, (H, W)
        By what a frame is multiplied: one over the static background, 1 where there is none to be
        taken, 0 where pixels are of no use.
    inverted
        Whether the frames show dark bands on a bright ground.
    notes
        Sentences for a person.
    """

    frame_shape: tuple[int, int]
    binning: int
    weight: Floats
    gain: Floats
    inverted: bool = False
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of a picture in pixels."""
        return int(self.weight.shape[0]), int(self.weight.shape[1])

    def corrected(self, frames: NDArray[Any]) -> Floats:
        """Bin frames, divide the static background out and make the bands bright.

        Parameters
        ----------
        frames : ndarray, (n, H, W)
            Any real dtype; NaN and infinity count as the mean of the corrected frame.

        Returns
        -------
        ndarray of float32, (n, h, w)
            Zero mean and unit deviation over the weight, so that averages weigh all alike; 0
            where there is no weight, and for a frame without structure.
        """
        pictures = self.binned(frames)
        sign = -1.0 if self.inverted else 1.0
        in_threads(lambda part: standardise_all(pictures[part], self.weight, sign), len(pictures))
        return pictures

    def binned(self, frames: NDArray[Any]) -> Floats:
        """Bin frames and divide the static background out, and no more."""
        frames = np.asarray(frames)
        if frames.dtype == np.float16 or frames.dtype == bool or not frames.dtype.isnative:
            frames = frames.astype(np.float32)  # compiled code takes none of them
        out = np.empty((len(frames), *self.shape), np.float32)
        rows, columns = self._reducers

        def some(part: slice) -> None:
            chosen = np.ascontiguousarray(frames[part])
            bin_frames(chosen, self.gain, rows, columns, self._share, out[part])

        in_threads(some, len(frames))
        return out

    def flattened(self, pictures: Floats) -> Floats:
        """Take off the background of each picture and even its contrast out.

        A bright spot or a letter in one picture is clipped before it can brighten its
        surroundings.

        Parameters
        ----------
        pictures : ndarray of float32, (n, h, w)
            As `corrected` gives them, or averages of these.

        Returns
        -------
        ndarray of float32, (n, h, w)
            Zero mean and unit deviation over the weight, and times the weight.
        """
        pictures = np.asarray(pictures, np.float32)
        out = np.empty(pictures.shape, np.float32)
        wide, even = self.background, self._contrast

        def some(part: slice) -> None:
            chosen = np.ascontiguousarray(pictures[part])
            flatten(chosen, self.weight, wide.arguments(), even.arguments(), out[part])

        in_threads(some, len(pictures))
        return out

    def thinned(self, most: int) -> Preparation:
        """Return the same with pictures of at most so many pixels along the longer side."""
        factor = max(1.0, max(self.shape) / most)
        h, w = (max(1, round(size / factor)) for size in self.shape)
        if (h, w) == self.shape:
            return self
        met = np.empty((h, w), np.float32)
        rows, columns = zip(self.shape, (h, w), strict=True)
        reduce(self.weight, self.weight, *reducer(*rows), *reducer(*columns), met)
        # what is left of a speck in a pixel that is mostly lit counts little
        weight = (met > 0.6 * self.weight.size / (h * w)).astype(np.float32)
        gain = self.gain * self._unspecked
        binning = round(self.binning * factor)
        return replace(self, weight=weight, gain=gain.astype(np.float32), binning=binning)

    @cached_property
    def _unspecked(self) -> Floats:
        """0 at those pixels of a frame that belong to a pixel without weight, else 1."""
        rows, columns = (
            np.minimum(np.arange(size) * out // size, out - 1)
            for size, out in zip(self.frame_shape, self.shape, strict=True)
        )
        return np.asarray(self.weight[np.ix_(rows, columns)])

    @cached_property
    def _reducers(self) -> tuple[Any, Any]:
        rows, columns = zip(self.frame_shape, self.shape, strict=True)
        return reducer(*rows), reducer(*columns)

    @cached_property
    def _share(self) -> Floats:
        """One over the number of useful pixels behind each pixel of a picture."""
        useful = (self.gain > 0).astype(np.float32)
        met = np.empty(self.shape, np.float32)
        rows, columns = self._reducers
        reduce(useful, useful, *rows, *columns, met)
        return np.where(met > 0, 1 / np.maximum(met, 1e-6), 0).astype(np.float32)

    @cached_property
    def background(self) -> CoarseBlur:
        """The background of a picture."""
        return CoarseBlur.of(self.weight, _BACKGROUND * min(self.shape), _DEGREE)

    @cached_property
    def _contrast(self) -> CoarseBlur:
        return CoarseBlur.of(self.weight, _CONTRAST * min(self.shape))


def prepare(stack: PatternStack, most: int = 240) -> Preparation:
    """Look at a sample of patterns and find how frames of their camera are made ready.

    Parameters
    ----------
    stack
        Patterns of one camera; one is enough.
    most
        Pictures have at most so many pixels along their longer side.

    Raises
    ------
    InputError
        No pattern can be read.
    """
    return prepared(sample(stack), stack.background, most)


def prepared(
    frames: NDArray[Any], background: Floats | None = None, most: int = 240
) -> Preparation:
    """Find what `prepare` does from frames that were read already.

    Parameters
    ----------
    frames : ndarray, (n, H, W)
        From all over a scan.
    background : ndarray of float32, (H, W), optional
        Static background in the file.
    most
        As for `prepare`.
    """
    height, width = frames.shape[1:]
    frame_shape = (height, width)
    binning = -(-max(frame_shape) // most)
    h, w = (max(1, round(size / binning)) for size in frame_shape)
    frames = without_stray_gaps(frames)
    static = background_of(frames, background)
    notes = [static.reason] if len(frames) > 1 else []
    gain = _gain(frames, static, binning)
    lit = _lit(static.mask, (h, w))
    neutral = Preparation(frame_shape, binning, lit, gain)
    # where no pixel is of use, as in a gap, there is no light; taken for dark it would be a speck
    # that disturbs all around it
    useful = np.where(neutral._share == 0, 0, lit).astype(np.float32)
    neutral = replace(neutral, weight=useful)
    pictures = neutral.corrected(frames)
    specks = standing(pictures, useful, _BACKGROUND * min(h, w), _CONTRAST * min(h, w))
    weight = np.where(specks, 0, useful).astype(np.float32)
    if np.count_nonzero(weight) < 0.5 * np.count_nonzero(useful):
        weight = useful
    if (weight < lit).any():
        notes.append(
            f"{np.mean(lit > weight):.1%} of the frame shows no pattern (dust, writing, a gap, a "
            "dull edge or overexposure) and is left out."
        )
    ready = replace(neutral, weight=weight)
    if is_inverted(ready.flattened(ready.corrected(frames)), weight):
        notes.append("The bands are dark on a bright ground: the contrast is inverted.")
        ready = replace(ready, inverted=True)
    return replace(ready, notes=tuple(notes))


def _gain(frames: NDArray[Any], background: StaticBackground, binning: int) -> Floats:
    """One over the static background, or 1; 0 behind the mask and where pixels are dead."""
    level = np.nan_to_num(background.mean, nan=0, posinf=0, neginf=0)
    gain = background.mask.astype(np.float32)
    if background.usable:
        middle = float(np.median(level[background.mask]))
        lit = level > _DARK * middle
        gain *= np.where(lit, middle / np.maximum(level, 1e-6), 0)
    if binning > 1:
        # unbinned ones are found as specks
        mean = frames.mean(0, dtype=np.float32) if background.usable else level
        gain[dead_pixels(np.nan_to_num(mean))] = 0
    gain[stuck(frames)] = 0
    return gain.astype(np.float32)


def _lit(mask: NDArray[np.bool_], shape: tuple[int, int]) -> Floats:
    """Weight of the binned pixels: 1 where all of the pixel is lit, and its neighbours are."""
    if mask.all():
        return np.ones(shape, np.float32)
    whole = np.empty(shape, np.float32)
    rows, columns = zip(mask.shape, shape, strict=True)
    lit = mask.astype(np.float32)
    reduce(lit, lit, *reducer(*rows), *reducer(*columns), whole)
    area = mask.size / (shape[0] * shape[1])
    edge = max(1, round(_EDGE * max(shape)))
    lit_well = ndimage.binary_erosion(whole > 0.95 * area, iterations=edge, border_value=1)
    return np.asarray(lit_well, np.float32)
