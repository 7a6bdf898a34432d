"""Writing a file so that it is there as a whole, or not at all."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_diffraction.errors import InputError

if TYPE_CHECKING:
    import h5py

_ADVICE = {
    errno.ENOSPC: "the disk is full; free some space or choose another folder",
    errno.EDQUOT: "your share of the disk is used up; free some space or choose another folder",
    errno.EACCES: "there is no permission to write there; choose another folder",
    errno.EPERM: "there is no permission to write there; choose another folder",
    errno.EROFS: "the disk is read-only; choose another folder",
    errno.ENOENT: "the folder does not exist; choose another one",
    errno.ENOTDIR: "the folder does not exist; choose another one",
    errno.EISDIR: "a folder has this name; choose another name",
    errno.EFBIG: "the file would be too large for this disk; choose another one",
}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write to a temporary name in the same folder, and rename it when all went well.

    Yields
    ------
    Path
        Where to write.

    Raises
    ------
    InputError
        The file cannot be written; whatever had the name before is untouched.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        # Made here, since a plain open names its error better than the libraries do.
        temporary.touch()
        yield temporary
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        raise _for_people(path, error) from error
    finally:
        with suppress(OSError):  # no folder, or no permission: nothing was written either
            temporary.unlink(missing_ok=True)


@contextmanager
def replacing_hdf5(path: Path) -> Iterator[h5py.File]:
    """Write an HDF5 file under a temporary name, and rename it when all went well.

    Yields
    ------
    h5py.File
        Open for writing.

    Raises
    ------
    InputError
        The file cannot be written; whatever had the name before is untouched.
    """
    import h5py

    with replacing(path) as temporary, _Sink(temporary) as sink:
        try:
            with h5py.File(sink, "w") as file:
                yield file
        except (OSError, RuntimeError):
            if sink.error is None:
                raise
        if sink.error is not None:
            raise sink.error


def writing_error(path: Path, error: OSError) -> InputError:
    """Say in one sentence why a file cannot be written and what to do."""
    advice = _ADVICE.get(error.errno or 0, f"{error.strerror or error}; choose another place")
    return InputError(f"{path} cannot be written: {advice}.")


def _for_people(path: Path, error: OSError | RuntimeError) -> Exception:
    number = getattr(error, "errno", None)
    if number in _ADVICE:
        return writing_error(path, OSError(number, ""))
    # HDF5 says what the system said in the middle of its own message.
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EFBIG):
        if f"errno = {number}" in str(error) or os.strerror(number) in str(error):
            return writing_error(path, OSError(number, ""))
    if "requested and" in str(error):  # NumPy says only how much of it could be written
        return writing_error(path, OSError(errno.ENOSPC, ""))
    return writing_error(path, error) if isinstance(error, OSError) else error


class _Sink(io.FileIO):
    """A file that keeps the first error to itself.

    HDF5 cannot close a file whose disk is full: it prints pages of errors and may crash.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of the data, or nothing more once something has failed."""
        left = memoryview(data).cast("B")
        size = len(left)
        try:
            while self.error is None and len(left):
                left = left[super().write(left) :]
        except OSError as error:
            self.error = error
        return size

    def truncate(self, size: int | None = None) -> int:
        """Set the size of the file, as far as the disk lets it."""
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0

    def flush(self) -> None:
        """Do nothing: nothing is held back."""
