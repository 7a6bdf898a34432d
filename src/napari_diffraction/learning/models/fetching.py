"""Fetching a file from an address, with progress and a way to stop."""

from __future__ import annotations

import logging
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

from napari_diffraction.errors import InputError
from napari_diffraction.progress import Progress

#: What an address begins with.
ADDRESSES = ("https://", "http://", "doi:")
#: Seconds between two looks at what has arrived.
_PULSE = 0.1


class _StoppedError(Exception):
    """Nobody waits for the file any more."""


class _Bar:
    """What pooch takes for a progress bar: it counts, and ends the download when it is told to."""

    def __init__(self) -> None:
        self.total, self.done, self.stopped = 0, 0, False

    def update(self, count: int) -> None:
        """Count bytes that have arrived."""
        self.done += count
        if self.stopped:
            raise _StoppedError

    def reset(self) -> None:
        """Begin anew."""
        self.done = 0

    def close(self) -> None:
        """Do nothing: there is no bar to be taken away."""


def fetch(address: str, folder: Path, name: str) -> Generator[Progress, None, Path]:
    """Fetch a file; closing the generator ends the download.

    Parameters
    ----------
    address
        ``https://...``, ``http://...``, or ``doi:...`` with the name of a file in the archive.
    folder, name
        Where to write it.

    Yields
    ------
    Progress
        In bytes.

    Raises
    ------
    InputError
        Nothing can be fetched from there.
    """
    import pooch

    pooch.get_logger().setLevel(logging.WARNING)
    bar = _Bar()

    def retrieve() -> str:
        downloader = pooch.downloaders.choose_downloader(address, progressbar=bar)
        return str(pooch.retrieve(address, None, name, folder, downloader=downloader))

    with ThreadPoolExecutor(1, "fetch") as pool:
        job = pool.submit(retrieve)
        try:
            while not wait([job], _PULSE).done:
                total = max(bar.total, 1)
                yield Progress(min(bar.done, total), total, f"Fetching {address}")
        finally:
            bar.stopped = True
    try:
        return Path(job.result())
    except (OSError, ValueError) as error:
        reason = str(error).split(" for url")[0]
        raise InputError(
            f"{address} cannot be fetched ({reason}): check the address and the connection."
        ) from error
