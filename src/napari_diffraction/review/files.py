"""Writing a file so that it is there as a whole, or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_diffraction.errors import InputError

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
    return error
