"""Outputs that this program is about to write, and that no other may write meanwhile."""

from __future__ import annotations

import atexit
import os
import socket
import sys
from pathlib import Path
from typing import IO

from napari_diffraction.errors import InputError
from napari_diffraction.files import writing_error

_held: dict[Path, tuple[Path, IO[str]]] = {}


def claim(path: Path) -> None:
    """Claim a file or folder until `release_claims`, or the end of the program, however it comes.

    The claim is a lock of the system on a hidden file beside it, so a program that is killed leaves
    none; on a disk without locks nothing is claimed.

    Raises
    ------
    InputError
        Another program has claimed it, or nothing can be written there.
    """
    place = path.absolute()
    if place in _held:
        return
    lock = place.with_name(f".{place.name}.lock")
    while True:
        try:
            file = lock.open("a+", encoding="utf-8")
        except OSError as error:
            raise writing_error(path, error) from error
        if not _locked(file):
            file.seek(0)
            other = " ".join(file.read(200).split())
            file.close()
            raise InputError(
                f"{path} is being written by another program{f' ({other})' if other else ''}: wait "
                "for it, or choose another output."
            )
        # the one before may have taken its file away between opening and locking
        if lock.exists() and os.path.samestat(lock.stat(), os.fstat(file.fileno())):
            break
        file.close()
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}")
    file.flush()
    if not _held:
        atexit.register(release_claims)
    _held[place] = lock, file


def release_claims() -> None:
    """Let other programs write what was claimed."""
    while _held:
        _, (lock, file) = _held.popitem()
        if sys.platform == "win32":  # what is open cannot be taken away there
            file.close()
            lock.unlink(missing_ok=True)
        else:
            lock.unlink(missing_ok=True)
            file.close()


def _locked(file: IO[str]) -> bool:
    """Lock a file; whether this has worked, or cannot work on this disk."""
    try:
        if sys.platform == "win32":
            import msvcrt

            # bytes far behind the text, which others may read
            file.seek(1 << 20)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True
