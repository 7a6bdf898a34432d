"""A stack of diffraction patterns with what is known of its geometry."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.at_once import at_once

if TYPE_CHECKING:
    import dask.array as da


#: No stack has more patterns: a larger number in a file is a damaged one.
MOST_PATTERNS = 50_000_000


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
    pixel_angle
        Angle of a pixel near the beam in rad, where the file tells the scale so, as by a camera
        length: `pixel_size` is this over the wavelength.
    """

    wavelength: float | None = None
    pixel_size: float | None = None
    centre: tuple[float, float] | None = None
    pixel_angle: float | None = None

    @property
    def has_scale(self) -> bool:
        """Whether the scale is told, in 1/A or in angles."""
        return self.pixel_size is not None or self.pixel_angle is not None

    def with_wavelength(self, wavelength: float | None) -> SpotGeometry:
        """Return this calibration for another wavelength, on which a scale in angles depends.

        Parameters
        ----------
        wavelength
            In A; ``None``: nothing is changed.
        """
        if wavelength is None:
            return self
        angle = self.pixel_angle
        size = self.pixel_size if angle is None else angle / wavelength
        return replace(self, wavelength=wavelength, pixel_size=size)

    def numbers(self) -> dict[str, float]:
        """Return what is known, one number a name: `wavelength`, `pixel_size`, `centre_x`, ..."""
        values = {
            "wavelength": self.wavelength,
            "pixel_size": self.pixel_size,
            "pixel_angle": self.pixel_angle,
        }
        if self.centre is not None:
            values |= {"centre_x": self.centre[0], "centre_y": self.centre[1]}
        return {name: float(value) for name, value in values.items() if value is not None}

    @classmethod
    def of(cls, numbers: Mapping[str, float]) -> SpotGeometry:
        """Return the calibration whose `numbers` these are; others are passed over."""
        x, y = numbers.get("centre_x"), numbers.get("centre_y")
        centre = None if x is None or y is None else (x, y)
        return cls(
            numbers.get("wavelength"),
            numbers.get("pixel_size"),
            centre,
            numbers.get("pixel_angle"),
        )


@dataclass(frozen=True)
class KikuchiGeometry:
    """Calibration of an EBSD scan.  ``None`` means: not known.

    Attributes
    ----------
    pc
        Pattern centre in Bruker's convention, the mean of the scan: x from the left edge as a
        fraction of the width, y from the upper edge and z, the distance of the screen, both as
        fractions of the height.
    sample_tilt
        Tilt of the sample in degrees.
    camera_tilt
        Elevation of the camera in degrees.
    voltage
        Acceleration voltage in kV.
    pc_map
        (rows, columns, 3), the pattern centre of every point of a scan, where it is given.
    """

    pc: tuple[float, float, float] | None = None
    sample_tilt: float | None = None
    camera_tilt: float | None = None
    voltage: float | None = None
    pc_map: NDArray[np.float64] | None = field(default=None, compare=False)

    def numbers(self) -> dict[str, float]:
        """Return what is known, one number a name: `pc_x`, `pc_y`, `pc_z`, `sample_tilt`, ..."""
        values = {
            "sample_tilt": self.sample_tilt,
            "camera_tilt": self.camera_tilt,
            "voltage": self.voltage,
        }
        if self.pc is not None:
            values |= dict(zip(("pc_x", "pc_y", "pc_z"), self.pc, strict=True))
        return {name: float(value) for name, value in values.items() if value is not None}


Geometry = SpotGeometry | KikuchiGeometry
#: At most so much is read at a time.
_RUN_BYTES = 64 * 2**20


@runtime_checkable
class ReadsRuns(Protocol):
    """What can read neighbouring patterns together, in less time than one by one."""

    def between(self, start: int, stop: int) -> NDArray[Any]:
        """Read the patterns ``start`` to ``stop - 1``; raise `InputError` where one cannot be."""


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
        Calibration, as far as the file tells it; its type says what kind of patterns these are,
        spots unless the file is of an EBSD system.
    step
        Distance between the rows and between the columns of a scan, in um.
    notes
        Sentences for a person: what was read and what is assumed.
    metadata
        Anything else worth keeping from the file, as plain JSON values.
    background : ndarray of float32, (h, w), or None
        Static background of the camera, where the file holds one.
    read
        Reads one pattern by its flat number and raises `InputError` where it is unreadable, while
        `data` shows an unreadable pattern as zeros.  ``None``: computed from `data`.  One that also
        `ReadsRuns` is asked for neighbouring patterns together.
    reopen
        Opens the same patterns in another process, to which it can be sent; ``None`` for what only
        this process holds.
    """

    data: da.Array
    name: str
    sources: tuple[str, ...] = ()
    events: tuple[int, ...] = ()
    dataset: str | None = None
    geometry: Geometry = field(default_factory=SpotGeometry)
    notes: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    step: tuple[float, float] | None = None
    background: NDArray[np.float32] | None = None
    read: Callable[[int], NDArray[Any]] | None = None
    reopen: Callable[[], PatternStack] | None = None

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

    def with_centre(self, pc: tuple[float, float, float]) -> PatternStack:
        """Return these patterns as Kikuchi patterns with a pattern centre, in Bruker's convention.

        Raises
        ------
        InputError
            No camera can stand there.
        """
        if not all(math.isfinite(value) for value in pc) or not 0.2 <= pc[2] <= 3:
            raise InputError(
                f"{pc} is no pattern centre: give x, y from the top and the distance in Bruker's "
                "convention, such as 0.5 0.3 0.6."
            )
        known = self.geometry if isinstance(self.geometry, KikuchiGeometry) else KikuchiGeometry()
        return replace(self, geometry=replace(known, pc=pc, pc_map=None))

    def with_tilts(self, sample: float | None = None, camera: float | None = None) -> PatternStack:
        """Return these patterns as Kikuchi patterns with other tilts of sample and camera.

        Parameters
        ----------
        sample, camera
            In degrees, as in `KikuchiGeometry`; ``None``: what is known stays.
        """
        if sample is None and camera is None:
            return self
        known = self.geometry if isinstance(self.geometry, KikuchiGeometry) else KikuchiGeometry()
        sample = known.sample_tilt if sample is None else sample
        camera = known.camera_tilt if camera is None else camera
        return replace(self, geometry=replace(known, sample_tilt=sample, camera_tilt=camera))

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
        return at_once(self.data[where])

    def frames(self, indices: Sequence[int]) -> list[NDArray[Any] | None]:
        """Read several patterns, which takes less time than one by one.

        Parameters
        ----------
        indices
            Flat numbers, rising.

        Returns
        -------
        list
            As `frame` returns them; ``None`` where a pattern cannot be read.
        """
        if not len(indices):
            return []
        if self.read is not None:
            return self._read_runs(self.read, indices)
        try:
            return [one for part in self._parts(indices) for one in at_once(part)]
        except InputError:
            return [self._frame_or_none(self.frame, index) for index in indices]

    def _parts(self, indices: Sequence[int]) -> list[da.Array]:
        """Some patterns, row by row: to flatten a scan first asks dask for a task per chunk."""
        if not self.is_scan:
            first, last = indices[0], indices[-1] + 1
            run = last - first == len(indices)
            return [self.data[first:last] if run else self.data[list(indices)]]
        rows, columns = np.divmod(np.asarray(indices), self.data.shape[1])
        parts = []
        for row in np.unique(rows):
            within = columns[rows == row]
            run = within[-1] + 1 - within[0] == len(within)
            place = slice(int(within[0]), int(within[-1]) + 1) if run else within.tolist()
            parts.append(self.data[int(row), place])
        return parts

    def _read_runs(
        self, read: Callable[[int], NDArray[Any]], indices: Sequence[int]
    ) -> list[NDArray[Any] | None]:
        """Read neighbouring patterns together where that can be done."""
        if not isinstance(read, ReadsRuns):
            return [self._frame_or_none(read, index) for index in indices]
        most = max(1, _RUN_BYTES // max(1, math.prod(self.frame_shape) * self.data.dtype.itemsize))
        out: list[NDArray[Any] | None] = []
        while len(out) < len(indices):
            first = place = len(out)
            while place + 1 < len(indices) and indices[place + 1] == indices[place] + 1:
                place += 1
            place = min(place, first + most - 1)
            try:
                out += list(read.between(indices[first], indices[place] + 1))
            except InputError:
                some = indices[first : place + 1]
                out += [self._frame_or_none(read, index) for index in some]
        return out

    @staticmethod
    def _frame_or_none(read: Callable[[int], NDArray[Any]], index: int) -> NDArray[Any] | None:
        try:
            return read(index)
        except InputError:
            return None

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
