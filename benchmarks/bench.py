"""Measure all speeds, and print one table: ours, the peer, the ratio, and what was wanted.

    python benchmarks/bench.py                  # all but the indexing of a scan
    python benchmarks/bench.py --scan scan.h5   # that as well; see `indexing_speed.py`
    python benchmarks/bench.py --show           # the figures of the last runs

A script whose peer is not installed says so, and its line has no ratio.  The other scripts of
this folder have more peers each (simulation, readers) and print tables of their own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from spot_simulation_speed import print_table

HERE = Path(__file__).parent
FIGURES = HERE / "figures"
OURS = "napari-diffraction"


@dataclass(frozen=True)
class Line:
    """What is compared: rows of one script, by how their ``what`` or their program begins.

    Attributes
    ----------
    work
        Heading.
    script
        Name of the script, and of its figures.
    ours
        Beginning of ``what`` in our row.
    peer
        Beginning of the program in the peer's row; empty: there is none.
    limit
        Ratio that is wanted, or without a peer the rate.
    """

    work: str
    script: str
    ours: str
    peer: str
    limit: float


LINES = (
    Line("zones, 512 px, HDF5 to table", "zones_speed", "HDF5, bitshuffle-LZ4, 512", "torch", 200),
    Line("zones, 254 px, HDF5 to table", "zones_speed", "HDF5, bitshuffle-LZ4, 254", "torch", 200),
    Line("zones, 512 px, TIFF to table", "zones_speed", "TIFF, 512", "", 800),
    Line("Bravais lattices, 60 px, memory", "bravais_speed", "60x60 from memory", "PyEBSD", 10),
    Line("Bravais lattices, 60 px, file", "bravais_speed", "60x60 from a file", "", 2500),
    Line("every point of a scan indexed", "indexing_speed", "every point", "PyEBSD", 2),
    Line("bands, 60 px", "indexing_speed", "bands, 60 px", "", 1500),
    Line("bands, 120 px", "indexing_speed", "bands, 120 px", "", 500),
    Line("two workers over one", "workers_speed", "two workers", "one worker", 1.7),
)


def shown(line: Line) -> dict[str, object] | None:
    """Return a row of the table; None where nothing was measured."""
    path = FIGURES / f"{line.script}.json"
    if not path.exists():
        return None
    rows = json.loads(path.read_text())["rows"]
    mine = [r for r in rows if r["program"] == OURS and r["what"].startswith(line.ours)]
    if not mine:  # figures of an earlier version of the script
        return None
    ours = mine[0]
    rate = float(ours["patterns_per_s"])
    out: dict[str, object] = {"work": line.work, "ours, 1/s": rate}
    out |= {"peer": "-", "its, 1/s": "-", "ratio": "-", "wanted": line.limit, "": "no peer"}
    if not line.peer:
        return out | {"": "met" if rate >= line.limit else "MISSED"}
    for other in rows:
        if other["program"].startswith(line.peer) or other["what"] == line.peer:
            its = float(other["patterns_per_s"])
            out |= {"peer": other["program"], "its, 1/s": its, "ratio": round(rate / its, 2)}
            out[""] = "met" if rate / its >= line.limit else "MISSED"
            break
    return out


def main() -> None:
    """Run the scripts, unless told not to, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scan", help="scan of nickel for the indexing")
    parser.add_argument("--show", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    for script in dict.fromkeys(line.script for line in LINES):
        needs_scan = script == "indexing_speed"
        if arguments.show or (needs_scan and not arguments.scan):
            continue
        command = [sys.executable, str(HERE / f"{script}.py")]
        command += [arguments.scan] if needs_scan else []
        command += ["--output", str(FIGURES / f"{script}.json")]
        if subprocess.run(command, check=False).returncode:
            print(f"{script} did not end; its lines are of the last run that did.")
    print_table([row for line in LINES if (row := shown(line)) is not None])


if __name__ == "__main__":
    main()
