"""Turn the figures of `zones_accuracy.py` into the tables of the documentation.

python benchmarks/zones_accuracy.py --output benchmarks/figures
python benchmarks/accuracy_page.py benchmarks/figures/accuracy.json > docs/accuracy_tables.md
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; numbers with three figures after the point."""

    def cell(value: Any) -> str:
        return f"{value:.3f}" if isinstance(value, float) else str(value)

    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(map(cell, row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def clean(figures: dict[str, Any]) -> str:
    rows = [
        [
            row["set"],
            row["zones"],
            float(row["joint recall"]),
            float(row["joint precision at 3 %"]),
            float(row["joint balanced accuracy"]),
            float(row["network recall"]),
            float(row["fit recall"]),
            float(row["spots only average precision"]),
        ]
        for row in figures["by set"]
    ]
    for name in ("triclinic", "monoclinic", "all"):
        found = figures[name]
        rows.append(
            [
                f"**{name}**",
                "",
                found["recall"],
                found["precision at 3 %"],
                found["balanced accuracy"],
                "",
                "",
                "",
            ]
        )
    head = (
        "cell",
        "zones",
        "recall",
        "precision at 3 %",
        "balanced accuracy",
        "recall, network alone",
        "recall, net fit alone",
        "AP of spot number alone",
    )
    return table(head, rows)


def controls(figures: dict[str, Any]) -> str:
    rows = [
        [name, *(found[key] for key in ("joint", "network", "fit"))]
        for name, found in figures.items()
        if isinstance(found, dict)
    ]
    return table(("called 2DZone", "both eyes", "network alone", "net fit alone"), rows)


def ordinary(figures: dict[str, Any]) -> str:
    return table(list(figures), [list(figures.values())])


def realistic(figures: dict[str, Any]) -> str:
    keys = (
        "balanced accuracy",
        "balanced accuracy at equal shares",
        "average precision",
        "zone precision at recall 0.9",
        "calibration error",
    )
    rows = [["all patterns", figures["patterns"], *(figures["joint"][key] for key in keys)]]
    for name in ("network", "fit"):
        rows.append([f"all, {name} alone", "", *(figures[name][key] for key in keys)])
    spots = figures["spots only"]
    rows.append(
        [
            "number of spots alone",
            "",
            "",
            "",
            spots["average precision"],
            spots["zone precision at recall 0.9"],
            "",
        ]
    )
    for group, unit in (
        ("hits and no-hits", ""),
        ("by spots", "spots"),
        ("by signal over noise", "signal/noise"),
    ):
        for name, found in figures.get(group, {}).items():
            rows.append([f"{name} {unit}", found["patterns"], *(found[key] for key in keys)])
    return table(("patterns", "number", *keys), rows)


def hybrids(figures: dict[str, Any]) -> str:
    edges = [row["from"] for row in figures["curve"]] + [1.0]
    rows = [
        [f"{low:g} to {high:g}" if high < 1 or low < 0.99 else "1", row["patterns"], row["mean p"]]
        for row, low, high in zip(figures["curve"], edges, edges[1:], strict=False)
    ]
    text = table(("fraction of spots in the dominant zone", "patterns", "mean p(2DZone)"), rows)
    share = figures["unsure at 0.8 to 0.99"]
    return (
        f"{text}\nThe curve is {'' if figures['monotonic'] else 'not '}monotonic.  Of the "
        f"{figures['unsure']} patterns with 0.05 < p < 0.95, {share:.0%} have a fraction of 0.8 to "
        "0.99.\n"
    )


def real(figures: dict[str, Any]) -> str:
    rows = [[name, "; ".join(dict.fromkeys(found))] for name, found in figures.items()]
    return table(("measured patterns", "called"), rows)


def invariance(figures: dict[str, Any]) -> str:
    kinds = list(next(iter(figures.values())))
    return table(
        ("keeps its class when", *kinds),
        ([name, *(found[kind] for kind in kinds)] for name, found in figures.items()),
    )


PARTS = {
    "clean": ("Clean patterns, the paper's parameters", clean),
    "controls": ("Zones whose net is broken", controls),
    "ordinary": ("An ordinary experiment, four classes", ordinary),
    "realistic": ("Realistic patterns over the whole range of cameras, four classes", realistic),
    "hybrids": ("Hybrids", hybrids),
    "real": ("Measured patterns", real),
    "invariance": ("Treated patterns", invariance),
}


def main() -> None:
    """Print the page."""
    figures = json.loads(Path(sys.argv[1]).read_text())
    for name, (title, show) in PARTS.items():
        if figures.get(name):
            print(f"### {title}\n\n`python benchmarks/zones_accuracy.py --only {name}`\n")
            print(show(figures[name]))


if __name__ == "__main__":
    main()
