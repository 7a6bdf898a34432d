"""Turn the figures of the Bravais classifier into the tables of the documentation.

python benchmarks/bravais_accuracy.py --output benchmarks/figures
python benchmarks/bravais_speed.py --output benchmarks/figures/bravais_speed.json
python benchmarks/bravais_protocol.py ask --folder protocol --output benchmarks/figures
python benchmarks/bravais_page.py benchmarks/figures > docs/accuracy_bravais_tables.md
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from accuracy_page import table

SHOWN = ("single", "top 3", "crystal system", "vote")
ACCURACY = "python benchmarks/bravais_accuracy.py --only {}"
SPEED = "python benchmarks/bravais_speed.py"
NICKEL = "Ni_EMsoft"
SUPERALLOY = "ni"  # its key among the measured scans
PEER = "Hough indexing"
_KINDS = {"single": "single pattern", "top 3": "within the top 3", "vote": "vote over 20"}
_SETS = ("same materials", "unseen materials")


def asked(found: dict[str, Any], speed: dict[str, float]) -> Iterator[tuple[str, float, float]]:
    """What is measured, the figure and the least figure asked for on two cores."""
    for part, name, least in (
        ("random", "unseen random structures", (0.45, 0.72, 0.62)),
        ("materials", "the paper's materials, simulated", (0.40, None, 0.55)),
        ("dynamical", "dynamical patterns", (0.60, None, 0.70)),
    ):
        for kind, limit in zip(("single", "top 3", "vote"), least, strict=True):
            if limit is not None and found.get(part):
                yield f"{name}: {_KINDS[kind]}", found[part][kind], limit
    nickel = found.get("dynamical", {}).get("by material", {}).get(NICKEL)
    if nickel:
        yield "nickel of kikuchipy's EMsoft master pattern: single pattern", nickel["single"], 0.75
    real = found.get("real", {})
    small = [one for name, one in real.items() if name.startswith(("Ni (", "Si"))]
    if small:
        count = sum(one["patterns"] for one in small)
        right = sum(one["single"] * one["patterns"] for one in small)
        yield f"measured Ni and Si: share of {count} patterns", right / count, 11 / 12
    for title, key, limit in (
        ("single pattern", "single", 0.45),
        ("within the top 3", "top 3", 0.80),
        ("crystal system", "crystal system", 0.92),
    ):
        if SUPERALLOY in real:
            yield f"measured Ni superalloy: {title}", real[SUPERALLOY][key], limit
    for name, share in found.get("empty", {}).items():
        yield f"noise like {name}: called `NoPattern`", share, 0.98
    if real:
        count = sum(one["patterns"] for one in real.values())
        wrong = sum(one["called empty"] * one["patterns"] for one in real.values())
        yield "measured patterns that are *not* called `NoPattern`", 1 - wrong / count, 0.99
    for what, rate in speed.items():
        if what == PEER:
            continue
        yield f"patterns of 60 x 60 px a second, {what}", rate, 2500.0
        if PEER in speed:
            yield f"times as fast as Hough indexing, {what}", rate / speed[PEER], 3.0


def headlines(found: dict[str, Any], speed: dict[str, float]) -> str:
    rows = []
    for name, value, least in asked(found, speed):
        digits = 3 if least <= 1 else 1 if least < 100 else 0
        met = "met" if value >= least else "**missed**"
        rows.append((name, f"{value:,.{digits}f}", f"{least:,.{digits}f}", met))
    return table(("measured", "figure", "asked", ""), rows)


def random(found: dict[str, Any]) -> str:
    rows = [[name, *(one[key] for key in SHOWN)] for name, one in found["by lattice"].items()]
    rows.append(["**all**", *(found[key] for key in SHOWN)])
    text = table(("lattice", *SHOWN), rows)
    return (
        f"{text}\n{found['sources']} structures, {found['patterns']} patterns; mean difference of "
        f"confidence and accuracy {found['calibration error']:.3f}.  "
        f"{found['called empty']:.1%} were called `NoPattern`.\n\n" + confusion(found["confusion"])
    )


def confusion(found: dict[str, Any]) -> str:
    """A confusion matrix in per cent of the true class."""
    classes = found["classes"]
    rows = []
    for name, counts in zip(classes, found["counts"], strict=False):
        if total := sum(counts):
            rows.append([f"**{name}**", *(_percent(count / total) for count in counts)])
    return "Per cent of the patterns of a lattice (rows) by what they were called:\n\n" + table(
        ("truth", *classes), rows
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f}" if share >= 0.005 else "."


def materials(found: dict[str, Any]) -> str:
    hidden = found["hidden by physics"]
    text = table(
        ("materials", *SHOWN),
        [
            ["lattice visible", *(found[key] for key in SHOWN)],
            ["lattice hidden by physics", *(hidden[key] for key in SHOWN)],
        ],
    )
    rows = [
        [
            name + (" (hidden)" if one["hidden"] else ""),
            one["lattice"],
            one["single"],
            one["vote"] if one["vote"] == one["lattice"] else f"**{one['vote']}**",
        ]
        for name, one in found["by material"].items()
    ]
    return text + "\n" + table(("material", "lattice", "single", "vote over 40"), rows)


def dynamical(found: dict[str, Any]) -> str:
    rows = [
        [name, one["lattice"], *(one[key] for key in SHOWN)]
        for name, one in found["by material"].items()
    ]
    rows.append(["**all**", "", *(found[key] for key in SHOWN)])
    return table(("material", "lattice", *SHOWN), rows)


def real(found: dict[str, Any]) -> str:
    keys = ("patterns", "single", "top 3", "crystal system", "vote is", "called empty")
    rows = [[name, one["lattice"], *(one[key] for key in keys)] for name, one in found.items()]
    return table(("measured", "lattice", *keys), rows)


def empty(found: dict[str, Any]) -> str:
    return table(("noise like", "called `NoPattern`"), list(found.items()))


PARTS = {
    "random": ("Unseen random structures, full noise", random),
    "materials": ("The materials of Kaufmann et al., simulated", materials),
    "dynamical": ("Dynamical patterns", dynamical),
    "real": ("Measured patterns", real),
    "empty": ("Noise behind the masks of measured scans", empty),
}


def protocol(found: dict[str, Any]) -> str:
    """The paper's closed protocol."""
    about = found["about"]
    rows = []
    for name, one in found["networks"].items():
        did = one.get("training")
        went = (
            f"{len(did['losses'])} in {did['minutes'] / 60:.1f} h" if did else "random structures"
        )
        went += "" if did is None or did["ended"] else ", not at its end"
        low, high = one["unseen materials"]["interval"]
        unseen = one["unseen materials"]["accuracy without the hidden"]
        rows.append(
            (
                name,
                went,
                *(f"{one[part]['accuracy']:.1%}" for part in _SETS),
                f"{unseen:.1%} ({low:.0%} to {high:.0%})",
                f"{one['other crystals']['accuracy']:.1%}",
                f"{one['measured'][SUPERALLOY]['accuracy']:.1%}"
                if SUPERALLOY in one["measured"]
                else "",
                f"{one['paper']:.1%}" if one["paper"] else "",
            )
        )
    head = ("network", "epochs", *_SETS, "of these, lattice visible", "other crystals")
    text = table((*head, "nickel superalloy, measured", "the paper, never seen, measured"), rows)
    count = {
        part: found["networks"]["bravais"][part]["materials"] for part in (*_SETS, "other crystals")
    }
    matrices = "\n".join(
        f"*{name}, {part}.*  {confusion(one[part]['confusion'])}"
        for name, one in found["networks"].items()
        for part in _SETS
    )
    size = "A reduced size" if about["reduced"] else "The full size"
    return (
        f"{size}: {about['patterns']} many-beam patterns of each material that teaches (the paper: "
        f"640), {about['size']} px, noise {about['noise']:g} of the full range.  "
        + ", ".join(f"{count[part]} {part}" for part in count)
        + f".  Every material counts once.\n\n{text}\n{matrices}"
    )


def _speed(folder: Path) -> tuple[dict[str, float], str]:
    """Rates by what was measured, and the table."""
    path = folder / "bravais_speed.json"
    if not path.exists():
        return {}, ""
    found = json.loads(path.read_text())
    rates = {
        PEER if row["program"] == "PyEBSDIndex" else row["what"].split(" ", 1)[1]: float(
            row["patterns_per_s"]
        )
        for row in found["rows"]
    }
    head = list(found["rows"][0])
    rows = [
        [f"{v:,.1f}" if isinstance(v, float) else v for v in row.values()] for row in found["rows"]
    ]
    about = ", ".join(f"{name} {value}" for name, value in found["about"].items())
    return rates, table([name.replace("_", " ") for name in head], rows) + f"\n{about}\n"


def main() -> None:
    """Print the page."""
    folder = Path(sys.argv[1])
    accuracy = folder / "bravais_accuracy.json"
    found = json.loads(accuracy.read_text()) if accuracy.exists() else {}
    rates, speed = _speed(folder)
    if found or rates:
        print(f"### What was asked, and what was reached\n\n{headlines(found, rates)}")
    for name, (title, show) in PARTS.items():
        if found.get(name):
            print(f"### {title}\n\n`{ACCURACY.format(name)}`\n\n{show(found[name])}")
    if speed:
        print(f"### Speed\n\n`{SPEED}`\n\n{speed}")
    path = folder / "bravais_protocol.json"
    if path.exists():
        print(
            "### The closed protocol of the paper\n\n`python benchmarks/bravais_protocol.py ask`\n"
        )
        print(protocol(json.loads(path.read_text())))


if __name__ == "__main__":
    main()
