"""How the commands speak: a bar on a terminal, one line for what went wrong, nothing else."""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from napari_diffraction.claims import claim
from napari_diffraction.errors import InputError
from napari_diffraction.files import SHOWN, writing_error
from napari_diffraction.progress import Progress, finish

T = TypeVar("T")
P = TypeVar("P", bound=Progress)


class Interrupted(Exception):
    """The person pressed Ctrl-C; the message says what is kept and how to go on."""


def hush_libraries() -> None:
    """Keep warnings and log messages of libraries off the terminal (``python -W`` shows them)."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    logging.getLogger().addHandler(logging.NullHandler())


def spell_out() -> None:
    """Write letters that the output's encoding lacks by their numbers, instead of failing.

    Sent to a file or another program, output has the system's encoding, which on Windows holds few
    letters; names of files may have any.
    """
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors=SHOWN)


@contextmanager
def hearing_ctrl_c() -> Iterator[None]:
    """Make Ctrl-C again of the error that compiled code makes of it.

    Numba runs some Python of its own while it returns its results: pressed there, Ctrl-C comes out
    as the cause of a `SystemError`.
    """
    try:
        yield
    except SystemError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, KeyboardInterrupt):
            cause = cause.__cause__
        if cause is None:
            raise
        raise KeyboardInterrupt from error


def with_bar(
    work: Generator[P, None, T], report: Callable[[P], None] | None = None, *, unit: str = "pattern"
) -> T:
    """Run long work to its end; a terminal sees a bar, a log file does not.

    What the work found out meanwhile, such as a pattern centre, is said in both.

    Parameters
    ----------
    work
        Yields progress, some with a ``note`` for a person, and returns a result.
    report
        Called with each progress before the bar moves.
    unit
        What is counted.
    """
    from tqdm import tqdm

    with hearing_ctrl_c(), tqdm(disable=None, unit=f" {unit}s", leave=False) as bar:

        def step(progress: P) -> None:
            if report is not None:
                report(progress)
            if note := getattr(progress, "note", ""):
                bar.write(note)
            bar.total = progress.total
            bar.set_description_str(progress.message, refresh=False)
            bar.update(progress.done - bar.n)

        return finish(work, step)


def output_file(path: Path, suffixes: tuple[str, ...]) -> Path:
    """Check, before anything is computed, that a file can be written, and claim it.

    Parameters
    ----------
    path
        The file that will be written.
    suffixes
        What its name may end in.

    Raises
    ------
    InputError
        As `checked_output`, or another program is writing the file.
    """
    claim_output(checked_output(path, suffixes))
    return path


def checked_output(path: Path, suffixes: tuple[str, ...]) -> Path:
    """Check that a file can be written; parameters as of `output_file`.

    Raises
    ------
    InputError
        The name ends in something else, or its folder is missing or is no folder.
    """
    if path.suffix.lower() not in suffixes:
        raise InputError(f"{path}: the output's name must end in {' or '.join(suffixes)}.")
    if path.is_dir():
        raise InputError(f"{path}: this is a folder; name a file to write.")
    if not path.parent.is_dir():
        raise InputError(f"{path.parent}: there is no such folder; make it first.")
    return path


def claim_output(path: Path) -> None:
    """Claim a file or folder for this command; of a training on several cards, once for all.

    Raises
    ------
    InputError
        Another program writes there, or nothing may be written there.
    """
    if path.is_dir() and not os.access(path, os.W_OK):  # of a file, its lock shows it
        raise writing_error(path, PermissionError(errno.EACCES, ""))
    if os.environ.get("RANK", "0") == "0" and path.absolute().parent.is_dir():
        claim(path)
