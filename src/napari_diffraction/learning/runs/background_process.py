"""Long work in a process of its own, so that a window stays quick beside it."""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
from collections.abc import Callable, Generator
from multiprocessing.connection import Connection
from typing import Any

from napari_diffraction.errors import InputError
from napari_diffraction.learning.runs.epochs import Epoch
from napari_diffraction.progress import Progress

#: Seconds after which the last step is said again, so that the work can be cancelled meanwhile, and
#: that a process is given to end by itself.
_PULSE, _PATIENCE = 0.2, 3.0


def in_own_process(
    make: Callable[..., Generator[Progress, None, Any]], *arguments: Any
) -> Generator[Progress, None, Any]:
    """Run a generator of progress in another process; closing this one ends that process.

    Parameters
    ----------
    make
        A function of a module that returns the generator.
    *arguments
        Its arguments, which are sent to the process.

    Raises
    ------
    InputError
        That of the work, or the process has ended without a word.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    # It has children of its own, so it cannot be a daemon, and would be waited for at the exit.
    process = context.Process(target=_run, args=(there, make, arguments))
    process.start()
    there.close()
    atexit.register(process.terminate)
    step = Progress(0, 1, "Starting")
    try:
        while True:
            if not here.poll(_PULSE):
                yield step
                continue
            try:
                kind, value = here.recv()
            except EOFError:
                raise InputError(
                    "The process that does the work has ended unexpectedly, perhaps since memory "
                    "ran out: close other programs and try again."
                ) from None
            if kind == "result":
                return value
            if kind == "error":
                raise value
            step = value
            yield step
    finally:
        here.close()
        process.join(_PATIENCE)
        if process.is_alive():
            process.terminate()
            process.join()
        atexit.unregister(process.terminate)


def _light(step: Progress) -> Progress:
    """Return a step whose class imports nothing heavy where the step arrives."""
    if isinstance(step, Epoch):
        return step
    return Progress(step.done, step.total, step.message)


def _run(
    pipe: Connection[Any, Any],
    make: Callable[..., Generator[Progress, None, Any]],
    arguments: tuple[Any, ...],
) -> None:
    """Do the work until it is done or nobody listens any more."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(5)
    with contextlib.suppress(BrokenPipeError, EOFError, ConnectionError):
        try:
            work = make(*arguments)
            with contextlib.closing(work):
                while not pipe.poll():  # nothing is ever sent here: it can only be closed
                    try:
                        step = next(work)
                    except StopIteration as stop:
                        pipe.send(("result", stop.value))
                        return
                    pipe.send(("step", _light(step)))
        except InputError as error:
            pipe.send(("error", error))
        except (BrokenPipeError, EOFError, ConnectionError):
            raise
        except Exception as error:
            pipe.send(("error", RuntimeError(f"{type(error).__name__}: {error}")))
