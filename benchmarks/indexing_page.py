"""Write `docs/accuracy_indexing_tables.md` from `figures/indexing.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "accuracy_indexing_tables.md"


def _table(head: list[str], rows: list[list[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _singles(rows: list[dict[str, Any]]) -> str:
    out = ["## Single patterns: 20 noisy ones of each crystal, 120 px\n"]
    ways = ("with centre", "without")
    share = []
    for way in ways:
        found = [row[way] for row in rows]
        lattice = sum(row[way].get("found") == row["lattice"] for row in rows)
        errors = sorted(one["centre error"] for one in found if "centre error" in one)
        share.append(
            [
                way,
                len(rows),
                f"{lattice / len(rows):.0%}",
                f"{sum(one['system'] for one in found) / len(rows):.0%}",
                f"{sum(one['cell'] for one in found) / len(rows):.0%}",
                errors[len(errors) // 2] if errors else "",
            ]
        )
    head = ["", "crystals", "lattice right", "system right", "cell right", "centre error, median"]
    out.append(_table(head, share))
    detail = [
        [
            row["crystal"],
            row["lattice"],
            *(
                f"{row[way].get('found', 'nothing')}" + (" (cell)" if row[way]["cell"] else "")
                for way in ways
            ),
            row["without"].get("centre error", ""),
        ]
        for row in rows
    ]
    out.append("\n" + _table(["crystal", "lattice", *ways, "centre error"], detail))
    return "\n".join(out)


def _scans(rows: list[dict[str, Any]]) -> str:
    body = []
    for row in rows:
        phases = ", ".join(
            f"{one['crystal']}: {one['found']}"
            + (f", {one['orientation']:.2f} deg" if "orientation" in one else "")
            for one in row["phases"]
        )
        body.append(
            [
                " + ".join(row["crystals"]),
                len(row["phases"]),
                f"{row['points right']:.1%}",
                row["centre error"],
                phases,
            ]
        )
    head = ["crystals", "phases found", "points right", "centre error", "lattices, orientations"]
    return "## Scans of grains\n\n" + _table(head, body)


def main() -> None:
    """Write the page."""
    figures = json.loads((HERE / "figures" / "indexing.json").read_text())
    parts = []
    if "singles" in figures:
        parts.append(_singles(figures["singles"]))
    if "scans" in figures:
        parts.append(_scans(figures["scans"]))
    if "controls" in figures:
        rows = [[one["control"], one["seed"], one["phases"]] for one in figures["controls"]]
        parts.append("## Controls\n\n" + _table(["patterns", "seed", "phases found"], rows))
    if "others" in figures:
        rows = [
            [
                name,
                ", ".join(f"{one['lattice']} {one['probability']}" for one in facts["phases"])
                or "no phase",
            ]
            for name, facts in figures["others"].items()
        ]
        parts.append("## Single measured patterns\n\n" + _table(["file", "said"], rows))
    PAGE.write_text("<!-- written by benchmarks/indexing_page.py -->\n" + "\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
