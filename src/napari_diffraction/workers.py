"""Work spread over the processes of dask.distributed, on this machine or on a cluster."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from importlib.metadata import version
from typing import Any, TypeVar
from uuid import uuid4

from distributed import Client, KilledWorker, LocalCluster, Worker, WorkerPlugin, get_worker
from distributed.comm.core import CommClosedError

from napari_diffraction.errors import InputError

R = TypeVar("R")

#: Seconds until a scheduler must answer, and until it must have a worker.
_ANSWER, _FIRST_WORKER = 10, 300
#: Batches that wait for each thread, so that none is idle while a result travels.
_AHEAD = 2


class Workers:
    """Processes that are given work.

    Parameters
    ----------
    client
        Of their scheduler.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._keys: list[str] = []

    def share(self, make: Callable[..., Any], *arguments: Any) -> str:
        """Send to each worker, once, what it needs for many pieces of work.

        Parameters
        ----------
        make
            A function of a module; a worker calls it before its first piece of work.
        arguments
            Of it.

        Returns
        -------
        str
            Name for `submit`.
        """
        key = f"napari-diffraction-{uuid4().hex}"
        self._keys.append(key)
        with _said_if_gone(OSError):
            self._client.register_plugin(_Shared(make, arguments), name=key)
        return key

    def forget(self) -> None:
        """Take from the workers what was shared, which they would keep as long as they run."""
        while self._keys and self._client.status == "running":
            # where the scheduler is gone or new, so is what it kept
            with suppress(OSError, RuntimeError, ValueError, asyncio.CancelledError):
                self._client.unregister_worker_plugin(self._keys.pop())

    def submit(self, key: str, work: Callable[..., R], *arguments: Any) -> Callable[[], R]:
        """Begin with a piece of work.

        Parameters
        ----------
        key
            From `share`.
        work
            A function of a module; called with what was made and the arguments.
        arguments
            Of it.

        Returns
        -------
        callable
            Waits for the result.  A worker that dies costs the pieces it was at: others do them.
        """
        with _said_if_gone(OSError):
            future = self._client.submit(_run, key, work, arguments, pure=False)

        def result() -> R:
            try:
                # other errors of files are those of the work
                with _said_if_gone(CommClosedError):
                    return future.result()  # type: ignore[no-any-return]
            except KilledWorker as error:
                raise InputError(
                    "Workers died several times at the same patterns, mostly for want of memory: "
                    "give them more, or take a smaller --batch-size."
                ) from error

        return result

    def ahead(self) -> int:
        """Pieces of work that are begun before the first one's result is needed."""
        with _said_if_gone(OSError):
            threads = int(sum(self._client.nthreads().values()))
        return max(1, _AHEAD * threads)


@contextmanager
def _said_if_gone(error: type[OSError]) -> Iterator[None]:
    """Say that the scheduler is gone where such an error, or work that is given up, tells of it."""
    try:
        yield
    except (error, asyncio.CancelledError, CancelledError) as gone:
        raise InputError(
            "The scheduler is gone: start it again, and the command with --resume."
        ) from gone


@contextmanager
def workers(scheduler: str | None = None, count: int | None = None) -> Iterator[Workers | None]:
    """Have the workers of a scheduler, or some on this machine.

    Parameters
    ----------
    scheduler
        Its address, such as ``tcp://10.0.0.1:8786``.
    count
        Processes on this machine, of one thread each.

    Yields
    ------
    Workers or None
        None where neither is given.

    Raises
    ------
    InputError
        Both are given; no scheduler answers; it has no workers; or they have another version.
    """
    if scheduler is None and count is None:
        yield None
        return
    if scheduler is not None and count is not None:
        raise InputError("Give --scheduler or --workers, not both: a scheduler has its own.")
    if scheduler is None:
        with _deaf():
            cluster = LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                dashboard_address=":0",
                silence_logs=logging.CRITICAL,
            )
        with cluster, Client(cluster) as client:
            yield Workers(client)
        return
    with _connected(scheduler) as client:
        _check_version(client, scheduler)
        them = Workers(client)
        try:
            yield them
        finally:
            them.forget()


@contextmanager
def _deaf() -> Iterator[None]:
    """Let processes that are started meanwhile not hear Ctrl-C, which this one answers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _connected(scheduler: str) -> Client:
    try:
        client = Client(scheduler, timeout=_ANSWER)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{scheduler}: no scheduler of dask answers there; start one (dask scheduler), or "
            "leave --scheduler out."
        ) from error
    try:
        client.wait_for_workers(1, timeout=_FIRST_WORKER)
    except TimeoutError as error:  # which is an OSError, too
        client.close()
        raise InputError(
            f"{scheduler}: the scheduler has no workers; start some (dask worker {scheduler})."
        ) from error
    return client


def _check_version(client: Client, scheduler: str) -> None:
    here = version("napari-diffraction")
    try:
        there = client.run(_version)
    except ModuleNotFoundError as error:
        raise InputError(
            f"{scheduler}: a worker has no napari-diffraction; install it where workers run."
        ) from error
    for worker, other in there.items():
        if other != here:
            raise InputError(
                f"{scheduler}: the worker {worker} has napari-diffraction {other}, here it is "
                f"{here}; install the same version where workers run."
            )


def _version() -> str:
    return version("napari-diffraction")


def _run(key: str, work: Callable[..., R], arguments: tuple[Any, ...]) -> R:
    """Do a piece of work; in a worker."""
    shared = get_worker().plugins[key]
    assert isinstance(shared, _Shared)
    return work(shared.made(), *arguments)


class _Shared(WorkerPlugin):  # type: ignore[misc]
    """What each worker is sent once, and workers that come later as well."""

    def __init__(self, make: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self._make, self._arguments = make, arguments

    def setup(self, worker: Worker) -> None:
        """Be taken up by a worker; what takes time waits until it is needed."""
        self._lock = threading.Lock()
        self._made: list[Any] = []

    def made(self) -> Any:
        """Return what was made, by the first who asks."""
        with self._lock:
            if not self._made:
                self._made.append(self._make(*self._arguments))
            return self._made[0]
