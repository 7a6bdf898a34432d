"""Writing a file so that it is there as a whole, or not at all."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

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

#: How names of files are written and read that are not in UTF-8, byte by byte as Python has them.
ANY_NAME: Final = "surrogateescape"
#: How tables show what is no UTF-8 in names of files, so that whoever reads them does not stumble.
SHOWN: Final = "backslashreplace"
#: Once a disk is full: bytes of a piece of the file in memory, and bytes of memory for all pieces.
_PAGE, _MEMORY = 4096, 1 << 26


def cache_folder() -> Path:
    """Return the folder for what is kept in the user's cache, and was made by this very version."""
    # few commands keep anything
    from importlib.metadata import version

    import platformdirs

    return Path(platformdirs.user_cache_dir("napari-diffraction"), version("napari-diffraction"))


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


class _Sink(io.RawIOBase):
    """A file that keeps the first error to itself, and from then on what is written in memory.

    HDF5 cannot close a file whose disk is full: it prints pages of errors and may crash, also where
    it only reads back something else than it has written.
    """

    def __init__(self, path: Path) -> None:
        self.error: OSError | None = None
        self._file = path.open("w+b", buffering=0)
        self._place = self._size = 0
        self._pages: dict[int, bytearray] = {}

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place; HDF5 knows the start and the end."""
        self._place = offset + (self._size if whence == io.SEEK_END else 0)
        return self._place

    def truncate(self, size: int | None = None) -> int:
        """Set the size of the file, as far as the disk lets it."""
        self._size = self._place if size is None else size
        self._try(lambda: self._file.truncate(self._size))
        return self._size

    def write(self, data: Any) -> int:
        """Write all of the data; once the disk has failed, into memory."""
        view = memoryview(data).cast("B")
        self._try(lambda: self._write(view))
        # Long pieces are values, which HDF5 does not read again: memory must not fill up, too.
        if self.error is not None and (len(view) < _PAGE or len(self._pages) * _PAGE < _MEMORY):
            for page, inside, piece in self._pieces(view):
                self._pages.setdefault(page, self._page(page))[inside] = piece
        self._place += len(view)
        self._size = max(self._size, self._place)
        return len(view)

    def readinto(self, data: Any) -> int:
        """Read what was written, from memory where the disk does not hold it."""
        view = memoryview(data).cast("B")
        for page, inside, piece in self._pieces(view):
            piece[:] = self._page(page)[inside]
        self._place += len(view)
        return len(view)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def _try(self, action: Callable[[], object]) -> None:
        """Do something on the disk; keep the first error, and stay away after it."""
        if self.error is None:
            try:
                action()
            except OSError as error:
                self.error = error

    def _write(self, left: memoryview) -> None:
        self._file.seek(self._place)
        while len(left):
            left = left[self._file.write(left) :]

    def _pieces(self, view: memoryview) -> Iterator[tuple[int, slice, memoryview]]:
        """Cut what belongs at the present place: page, part of the page, part of the view."""
        done = 0
        while done < len(view):
            page, first = divmod(self._place + done, _PAGE)
            length = min(_PAGE - first, len(view) - done)
            yield page, slice(first, first + length), view[done : done + length]
            done += length

    def _page(self, page: int) -> bytearray:
        if page in self._pages:
            return self._pages[page]
        self._file.seek(page * _PAGE)
        return bytearray(self._file.read(_PAGE).ljust(_PAGE, b"\0"))
