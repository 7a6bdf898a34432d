"""A stack of diffraction patterns with what is known of its geometry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SpotGeometry:
    """Calibration of a spot pattern.  ``None`` means: not known.

    Attributes
    ----------
    wavelength
        Electron wavelength in A.
    pixel_size
        Reciprocal length per pixel, in 1/A.
    centre
        Position (x, y) of the direct beam in pixels, x to the right, y down, the centre of the
        top left pixel being (0, 0).
    """

    wavelength: float | None = None
    pixel_size: float | None = None
    centre: tuple[float, float] | None = None


@dataclass(frozen=True)
class PatternStack:
    """Patterns that are read when they are looked at, not before.

    Attributes
    ----------
    data
        Dask array, (n, h, w), or (rows, columns, h, w) for a scan; one chunk holds few patterns.
    name
        Short name for layers ("run42").
    sources
        The source file of every pattern, or one single file for all of them.
    events
        Number of every pattern within its source file, counted from 0; empty where every source
        file holds one pattern or one source holds them in order.
    dataset
        Name of the data set inside an HDF5 or Zarr source.
    geometry
        Calibration, as far as the file tells it.
    notes
        Sentences for a person: what was read and what is assumed.
    metadata
        Anything else worth keeping from the file, as plain JSON values.
    read
        Reads one pattern by its flat number and raises `InputError` where it is unreadable, while
        `data` shows an unreadable pattern as zeros.  ``None``: computed from `data`.
    """

    data: da.Array
    name: str
    sources: tuple[str, ...] = ()
    events: tuple[int, ...] = ()
    dataset: str | None = None
    geometry: SpotGeometry = field(default_factory=SpotGeometry)
    notes: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    read: Callable[[int], NDArray[Any]] | None = None

    def __len__(self) -> int:
        return int(np.prod(self.data.shape[:-2]))

    @property
    def is_scan(self) -> bool:
        """Whether the patterns lie on a grid of rows and columns."""
        return bool(self.data.ndim == 4)

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Height and width of a pattern in pixels."""
        return int(self.data.shape[-2]), int(self.data.shape[-1])

    def frame(self, index: int) -> NDArray[Any]:
        """Read one pattern.

        Parameters
        ----------
        index
            Flat number of the pattern; for a scan, row by row.

        Returns
        -------
        ndarray, (h, w)
            In the dtype of the file.

        Raises
        ------
        InputError
            The pattern cannot be read.
        """
        if self.read is not None:
            return self.read(index)
        where = np.unravel_index(index, self.data.shape[:-2])
        return np.asarray(self.data[where].compute(scheduler="synchronous"))

    def source(self, index: int) -> str:
        """Return the file that holds a pattern, or an empty text for data made in memory."""
        if not self.sources:
            return ""
        return self.sources[0] if len(self.sources) == 1 else self.sources[index]

    def event(self, index: int) -> int:
        """Return the number of a pattern within its source file."""
        if self.events:
            return self.events[index]
        return index if len(self.sources) <= 1 else 0
