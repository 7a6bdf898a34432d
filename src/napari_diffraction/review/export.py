"""Files to go on with: the table, the chosen patterns, a list for CrystFEL.

Every function is a generator of `Progress` that returns the path written.  A file appears under
its name only when it is complete; one that cannot be written gives an `InputError`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import h5py
import numpy as np
import pandas as pd
import tifffile
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.files import ANY_NAME, SHOWN, replacing, replacing_hdf5
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import Progress
from napari_diffraction.review.provenance import provenance, write_beside
from napari_diffraction.review.selection import ALONE, COLUMNS
from napari_diffraction.review.session import ReviewSession

Work = Generator[Progress, None, Path]
_ROWS = 10_000
HDF5 = (".h5", ".hdf5", ".nxs", ".cxi")
TIFF = (".tif", ".tiff")
#: What stands for a slash in names of columns in HDF5.
_SLASH = "\u2215"


def export_table(session: ReviewSession, path: str | Path) -> Work:
    """Write the table as CSV, with a ``.json`` beside it that says where it comes from.

    The columns are those of the classification, ``label`` being the person's where there is one,
    then ``reviewed_label, reviewer, time``.
    """
    path = Path(path)
    table = session.table()
    with replacing(path) as temporary, _opened(temporary, SHOWN) as file:
        for start in range(0, max(1, len(table)), _ROWS):
            rows = table.iloc[start : start + _ROWS]
            rows.to_csv(file, header=start == 0, index=False, lineterminator="\n")
            yield Progress(min(start + _ROWS, len(table)), len(table), f"Writing {path.name}")
    write_beside(path, provenance(session))
    return path


def export_crystfel(
    session: ReviewSession,
    stack: PatternStack,
    indices: Sequence[int] | NDArray[np.int64],
    path: str | Path,
) -> Work:
    """Write a list of patterns for CrystFEL's programs.

    One line per pattern, in the order of the stack: the file, and for a file of many patterns the
    event, as ``run42.h5 //12`` (``//row/column`` for a scan).  A ``.json`` beside it says where
    the choice comes from.

    Raises
    ------
    InputError
        The patterns are not in files, or the list cannot be written.
    """
    path = Path(path)
    if not stack.sources:
        raise InputError(
            f"{stack.name} is not stored in a file that CrystFEL could read: "
            "export the patterns as HDF5 first, then open that file."
        )
    chosen = np.sort(np.asarray(indices, np.int64))
    with replacing(path) as temporary, _opened(temporary, ANY_NAME) as file:
        for start in range(0, len(chosen), _ROWS):
            part = chosen[start : start + _ROWS]
            file.writelines(f"{crystfel_name(stack, int(index))}\n" for index in part)
            yield Progress(start + len(part), len(chosen), f"Writing {path.name}")
    write_beside(path, provenance(session) | {"chosen": len(chosen)})
    return path


def _opened(path: Path, errors: str) -> TextIO:
    """Open a text to write, with a way for names of files that are not in UTF-8."""
    return path.open("w", encoding="utf-8", errors=errors, newline="")


def crystfel_name(stack: PatternStack, index: int) -> str:
    """Return the file and the event of a pattern as CrystFEL's lists have them."""
    source = str(Path(stack.source(index)).absolute())
    if (len(stack.sources) > 1 and not stack.events) or stack.metadata.get(ALONE):
        return source  # a file for each pattern
    in_scan = stack.is_scan and not stack.events
    columns = stack.data.shape[1] if in_scan else stack.metadata.get(COLUMNS)
    if columns:
        row, column = divmod(stack.event(index), columns)
        return f"{source} //{row}/{column}"
    return f"{source} //{stack.event(index)}"


def export_patterns(
    session: ReviewSession,
    stack: PatternStack,
    indices: Sequence[int] | NDArray[np.int64],
    path: str | Path,
) -> Work:
    """Write chosen patterns as a new stack, in the order given.

    ``.h5`` (also .hdf5, .nxs, .cxi) holds the patterns in ``/entry/data/data``, one chunk each,
    their rows of the table in ``/entry/labels`` (a slash in the name of a column becomes a division
    slash), and in the attributes of the file the calibration (``wavelength, pixel_size, centre_x,
    centre_y``) and ``provenance``.  ``.tif``
    (.tiff) holds the patterns, with ``.csv`` and ``.json`` beside it for the rest.  In the rows
    ``index`` is the number of the pattern in the new file, ``stack_index`` that in the old stack.
    Patterns that cannot be read are left out; provenance names them.

    Raises
    ------
    InputError
        The kind of file is not known, there is nothing to write, or it cannot be written.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in HDF5 + TIFF:
        raise InputError(
            f"{path.name} is no kind of file that patterns can be written to: "
            "let its name end in .h5 or .tif."
        )
    if not len(indices):
        raise InputError(f"No pattern is chosen, so there is nothing to write to {path.name}.")
    writer = _write_hdf5 if kind in HDF5 else _write_tiff
    yield from writer(session, stack, np.asarray(indices, np.int64), path)
    return path


class _Frames:
    """Reads chosen patterns one by one and remembers which of them could be read."""

    def __init__(self, stack: PatternStack, indices: NDArray[np.int64]) -> None:
        self._stack = stack
        self._indices = indices
        self.read: list[int] = []
        self.left_out: list[int] = []

    def __iter__(self) -> Iterator[tuple[Progress, NDArray[Any] | None]]:
        for number, index in enumerate(map(int, self._indices)):
            step = Progress(number + 1, len(self._indices), "Writing patterns")
            try:
                frame = self._stack.frame(index)
            except InputError:
                self.left_out.append(index)
                yield step, None
            else:
                self.read.append(index)
                yield step, frame

    def check(self, path: Path) -> None:
        """Refuse to write a file without patterns."""
        if not self.read:
            raise InputError(f"None of the chosen patterns can be read, so {path} is not written.")


def _rows(session: ReviewSession, stack: PatternStack, indices: list[int]) -> pd.DataFrame:
    """Return the table's rows of patterns, also of those that are not classified."""
    table = session.table()
    if not len(table):
        table = pd.DataFrame({"index": [], "label": [], "confidence": []})
    rows = table.set_index("index").reindex(indices).reset_index(drop=True)
    rows.insert(0, "index", range(len(rows)))
    rows["stack_index"] = indices
    rows["source"] = [stack.source(index) for index in indices]
    texts = [name for name in rows if rows[name].dtype.kind not in "fiub"]
    return rows.fillna(dict.fromkeys(texts, ""))


def _write_hdf5(
    session: ReviewSession, stack: PatternStack, indices: NDArray[np.int64], path: Path
) -> Generator[Progress, None, None]:
    frames = _Frames(stack, indices)
    shape = stack.frame_shape
    with replacing_hdf5(path) as file:
        data = file.create_dataset(
            "entry/data/data",
            shape=(len(indices), *shape),
            maxshape=(None, *shape),
            chunks=(1, *shape),
            dtype=stack.data.dtype,
            compression="gzip",
            compression_opts=1,
            shuffle=True,
        )
        for step, frame in frames:
            if frame is not None:
                data[len(frames.read) - 1] = frame
            yield step
        frames.check(path)
        data.resize(len(frames.read), axis=0)
        _describe_hdf5(file, stack)
        rows = _rows(session, stack, frames.read)
        for name in rows:
            values, texts = rows[name].to_numpy(), None
            if values.dtype.kind not in "fiub":
                values = np.array([str(value).encode(errors=SHOWN) for value in values], object)
                texts = h5py.string_dtype()
            # A slash, as in the class Fe/Ni, would begin a folder within the file.
            place = str(name).replace("/", _SLASH)
            file.create_dataset(f"entry/labels/{place}", data=values, dtype=texts)
        facts = provenance(session) | _choice(stack, frames)
        file.attrs["provenance"] = json.dumps(facts)


def _describe_hdf5(file: h5py.File, stack: PatternStack) -> None:
    file["entry"].attrs["NX_class"] = "NXentry"
    file["entry/data"].attrs["NX_class"] = "NXdata"
    file["entry/data"].attrs["signal"] = "data"
    for name, value in stack.geometry.numbers().items():
        file.attrs[name] = value


def _write_tiff(
    session: ReviewSession, stack: PatternStack, indices: NDArray[np.int64], path: Path
) -> Generator[Progress, None, None]:
    frames = _Frames(stack, indices)
    size = len(indices) * int(np.prod(stack.frame_shape)) * stack.data.dtype.itemsize
    with replacing(path) as temporary:
        with tifffile.TiffWriter(temporary, bigtiff=size > 3_900_000_000) as file:
            for step, frame in frames:
                if frame is not None:
                    # Readers take several black-and-white pages for one.
                    frame = frame.astype(np.uint8) if frame.dtype == bool else frame
                    file.write(frame, photometric="minisblack", contiguous=True)
                yield step
        frames.check(path)
    table = path.with_name(path.name + ".csv")
    with replacing(table) as temporary:
        rows = _rows(session, stack, frames.read)
        rows.to_csv(
            temporary,
            index=False,
            quoting=csv.QUOTE_MINIMAL,
            lineterminator="\n",
            errors=SHOWN,
        )
    facts = {"geometry": stack.geometry.numbers()}
    write_beside(path, provenance(session) | _choice(stack, frames) | facts)


def _choice(stack: PatternStack, frames: _Frames) -> dict[str, Any]:
    return {"stack": stack.name, "chosen": len(frames.read), "left_out": frames.left_out}
