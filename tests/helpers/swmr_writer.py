"""Writes an HDF5 file as a detector does; each line on standard input is one thing to do.

``add N`` makes N more patterns, ``room N`` makes room for N that are not recorded, ``fill`` records
them, ``close`` ends.  Each is answered by a line when it can be read.  Called with the name of an
.npy file, too, it takes its patterns from there; of a scan these are whole rows.
"""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np


def pattern(number: int) -> np.ndarray:
    """Return a pattern that tells its number: (16, 16), 1 + number in its first pixel."""
    frame = np.full((16, 16), 1000, np.uint16)
    frame[0, 0] = 1 + number
    return frame


def main(path: Path, frames: Path | None = None) -> None:
    ready = None if frames is None else np.load(frames)
    shape, dtype = ((16, 16), "u2") if ready is None else (ready.shape[1:], ready.dtype)
    with h5py.File(path, "w", libver="latest") as file:
        # several patterns in a chunk: those that are not recorded yet read as zeros
        data = file.create_dataset(
            "entry/data/data", (0, *shape), dtype, maxshape=(None, *shape), chunks=(4, *shape)
        )
        file.swmr_mode = True
        print("open", flush=True)
        recorded = 0
        for line in sys.stdin:
            action, *number = line.split()
            if action == "close":
                break
            if action != "fill":
                data.resize(len(data) + int(number[0]), axis=0)
            if action != "room":
                for index in range(recorded, len(data)):
                    data[index] = pattern(index) if ready is None else ready[index]
                recorded = len(data)
            data.flush()
            print("done", flush=True)
    print("closed", flush=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
