"""Opens stacks of patterns in all formats; nothing is read before it is looked at."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.blank import are_blank
from napari_diffraction.patterns.geometry import ASSUMED_KILOVOLTS, electron_wavelength
from napari_diffraction.patterns.readers.datasets import AmbiguousDatasetError
from napari_diffraction.patterns.readers.files import (
    Inputs,
    find_inputs,
    holds_inputs,
    literal_folders,
)
from napari_diffraction.patterns.readers.formats import (
    FORMATS,
    is_folder_input,
    open_source,
    recognise,
)
from napari_diffraction.patterns.readers.general.arrays import looks_like_patterns
from napari_diffraction.patterns.readers.joined import join
from napari_diffraction.patterns.readers.lazy import LazyPatterns, as_dask
from napari_diffraction.patterns.readers.source import Source
from napari_diffraction.patterns.stack import Geometry, KikuchiGeometry, PatternStack, SpotGeometry

__all__ = [
    "FORMATS",
    "AmbiguousDatasetError",
    "Look",
    "Opening",
    "as_stack",
    "can_read",
    "look",
    "open_stack",
]

# So many patterns are tried before a stack is taken for unreadable as a whole.
_TRIES = 5


def open_stack(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], dataset: str | None = None
) -> PatternStack:
    """Open a stack of patterns without reading it.

    Parameters
    ----------
    path
        A file, a folder of images, a glob, or a list of files.
    dataset
        Name of the data set, for files that hold several.

    Returns
    -------
    PatternStack
        `data` is (n, h, w), or (rows, columns, h, w) where the file says that it is a scan; a
        single image makes a stack of one.  Numbers are as in the file, colours as grey.

    Raises
    ------
    AmbiguousDatasetError
        Several data sets fit equally well; it has their names.
    InputError
        The input is missing, damaged or of no known format.
    """
    return as_stack(look(path, dataset))


def as_stack(seen: Look) -> PatternStack:
    """Make a stack of an input that was looked at."""
    source = seen.source
    return PatternStack(
        data=as_dask(seen.patterns),
        name=seen.name,
        sources=source.sources or (source.path,),
        events=source.events,
        dataset=source.dataset,
        geometry=source.geometry,
        notes=seen.notes,
        metadata=source.metadata,
        step=source.step,
        background=source.background,
        read=seen.patterns,
        reopen=seen.reopen,
    )


@dataclass(frozen=True)
class Opening:
    """Opens an input again, also in another process or when there is more of it.

    Attributes
    ----------
    inputs
        As of `open_stack`, absolute.
    dataset
        Name of the data set that was asked for.
    """

    inputs: str | list[str]
    dataset: str | None = None

    def __call__(self) -> PatternStack:
        """Open it."""
        return open_stack(self.inputs, self.dataset)


@dataclass(frozen=True)
class Look:
    """What a look at an input shows, before dask is needed, which takes long to import.

    Attributes
    ----------
    name, notes
        As in `PatternStack`.
    source
        The patterns.
    patterns
        Reads them.
    reopen
        As in `PatternStack`.
    """

    name: str
    source: Source
    patterns: LazyPatterns
    notes: tuple[str, ...]
    reopen: Callable[[], PatternStack]


def look(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], dataset: str | None = None
) -> Look:
    """Look at an input without making a stack of it; arguments and errors as of `open_stack`."""
    inputs = find_inputs(path)
    if len(inputs.files) == 1:
        source = open_source(inputs.files[0], dataset)
    else:
        source = join(inputs, dataset)
    patterns = LazyPatterns(source)
    blank = _try_some(patterns)
    notes = (
        _what_was_read(inputs, source),
        *inputs.notes,
        *source.notes,
        *blank,
        *_calibration_notes(source.geometry, scan=len(source.shape) == 4),
    )
    return Look(inputs.name, source, patterns, notes, Opening(_absolute(path), dataset))


def _absolute(path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> str | list[str]:
    """Name an input so that it is found from another folder."""
    if isinstance(path, (str, os.PathLike)):
        return os.path.abspath(path)
    return [os.path.abspath(one) for one in path]


def can_read(path: str | os.PathLike[str]) -> bool:
    """Whether a file, folder or glob looks like patterns, from names and first bytes only."""
    text = os.fspath(path)
    try:
        if os.path.isdir(text):
            return is_folder_input(text) or holds_inputs(text)
        if not os.path.exists(text) and glob.has_magic(text):
            return any(can_read(match) for match in glob.glob(literal_folders(text))[:3])
        return _is_images(text)
    except (InputError, OSError):
        return False


def _is_images(path: str) -> bool:
    row, _ = recognise(path)
    if row.name != "NPY":
        return True
    # other programs keep tables in .npy files
    try:
        return looks_like_patterns(path)
    except ValueError:
        return False


def _try_some(patterns: LazyPatterns) -> tuple[str, ...]:
    """Raise the error of the first pattern if neither it nor some others can be read.

    Returns
    -------
    tuple of str
        A remark where those of a scan show nothing.
    """
    count = patterns.source.count
    problem: InputError | None = None
    read = 0
    for index in dict.fromkeys(i * (count - 1) // max(1, _TRIES - 1) for i in range(_TRIES)):
        try:
            frame = patterns.frame(index)
        except InputError as error:
            problem = problem or error
        else:
            read += 1
            if len(patterns.shape) == 3 or not are_blank(frame[None])[0]:
                return ()
    if not read and problem is not None:
        raise problem
    return (f"Every pattern that was looked at ({read} of {count}) is blank.",)


def _what_was_read(inputs: Inputs, source: Source) -> str:
    height, width = source.frame_shape
    size = f"{width}x{height} pixels, {source.dtype}"
    if len(source.shape) == 4:
        rows, columns = source.shape[:2]
        grid = f"{_counted(rows, 'row')} and {_counted(columns, 'column')}"
        what = f"A scan of {grid}, {size}"
    else:
        what = f"{_counted(source.count, 'pattern')}, {size}"
    where = f"{len(inputs.files)} files" if len(inputs.files) > 1 else Path(source.path).name
    inside = f", data set {source.dataset}" if source.dataset else ""
    return f"{what}, from {where}{inside}."


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number > 1 else ''}"


def _calibration_notes(geometry: Geometry, scan: bool) -> tuple[str, ...]:
    found: list[str] = []
    assumed: list[str] = []
    lead = "Not in the file"
    if isinstance(geometry, KikuchiGeometry):
        _describe_kikuchi(geometry, found, assumed)
    else:
        _describe_spots(geometry, found, assumed)
        if scan and not found:  # it may as well be of an EBSD camera
            lead = "Not in the file, if these are spot patterns"
    notes = []
    if found:
        notes.append(f"Calibration in the file: {', '.join(found)}.")
    if assumed:
        notes.append(f"{lead}: {'; '.join(assumed)}.")
    return tuple(notes)


def _describe_spots(geometry: SpotGeometry, found: list[str], assumed: list[str]) -> None:
    if geometry.wavelength is not None:
        found.append(f"wavelength {geometry.wavelength:.5f} A")
    else:
        wavelength = electron_wavelength(ASSUMED_KILOVOLTS)
        assumed.append(f"wavelength {wavelength:.4f} A ({ASSUMED_KILOVOLTS:g} kV) is assumed")
    if geometry.pixel_size is not None:
        found.append(f"{geometry.pixel_size:.6g} 1/A per pixel")
    elif geometry.pixel_angle is not None:
        found.append(f"{1e3 * geometry.pixel_angle:.6g} mrad per pixel")
        assumed.append("1/A per pixel is known when the wavelength is")
    else:
        assumed.append("1/A per pixel is unknown")
    if geometry.centre is not None:
        x, y = geometry.centre
        found.append(f"beam at x {x:.1f}, y {y:.1f}")
    else:
        assumed.append("the beam is taken to be near the middle")


def _describe_kikuchi(geometry: KikuchiGeometry, found: list[str], assumed: list[str]) -> None:
    if geometry.pc is not None:
        found.append("pattern centre x {:.3f}, y {:.3f}, z {:.3f} (Bruker)".format(*geometry.pc))
    else:
        assumed.append("the pattern centre is unknown")
    if geometry.voltage is not None:
        found.append(f"{geometry.voltage:g} kV")
    else:
        assumed.append("the voltage is unknown")
    for name, tilt in (("sample", geometry.sample_tilt), ("camera", geometry.camera_tilt)):
        if tilt is not None:
            found.append(f"{name} tilt {tilt:g} deg")
        else:
            assumed.append(f"the tilt of the {name} is unknown")
