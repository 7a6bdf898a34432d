"""What is said against a cell that stands first."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from napari_diffraction.analysis.cells.words import cell_words, doubts


def result(nets: int = 20, explained: int = 18, share: float | None = 0.8, **changes: Any) -> Any:
    cell = SimpleNamespace(zones_explained=explained, patterns_indexed=share)
    facts = {
        "patterns": list(range(nets)),
        "scale_known": True,
        "nets": SimpleNamespace(ellipse=None),
        "found": SimpleNamespace(phases=((cell,),)),
        "matches": () if share is None else (object(),),
    }
    return SimpleNamespace(**(facts | changes))


def test_a_cell_with_support_has_no_doubt() -> None:
    assert doubts(result()) == []
    assert doubts(None) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"nets": 6, "explained": 6}, "6 nets cannot tell whether the camera stretches"),
        ({"explained": 4}, "Only 4 zones explain the first cell"),
        ({"nets": 40}, "explain only 18 of 40 nets"),
        ({"share": 0.2}, "index only 20% of the patterns"),
        ({"share": 0.05}, "no more than wrong cells may"),
        ({"share": None}, "no second witness"),
        ({"scale_known": False}, "give the pixel size"),
        ({"found": SimpleNamespace(phases=())}, "No cell explains 3 different nets of the 20"),
    ],
)
def test_what_speaks_against_it_is_told(changes: dict[str, Any], words: str) -> None:
    assert any(words in line for line in doubts(result(**changes)))


def test_a_cell_has_units_where_its_scale_is_known() -> None:
    cell = SimpleNamespace(
        cell=SimpleNamespace(parameters=(5.0, 6.0, 7.0, 90.0, 100.0, 90.0)),
        cell_su=(0.01, 0.01, 0.01, 0.0, 0.1, 0.0),
        lattice="mP",
        lattice_probabilities={"mP": 1.0},
        volume=206.8,
        zones_explained=5,
        misfit=0.001,
        patterns_indexed=None,
        supercell_of=None,
    )
    told = cell_words(cell, 6)  # type: ignore[arg-type]
    assert told.startswith("5.000(10) 6.000(10) 7.000(10) A, 90 100.00(10) 90 deg, mP (100%), ")
    assert "volume 207 A^3, 5 of 6 zones" in told
    unscaled = cell_words(cell, 6, scale_known=False)  # type: ignore[arg-type]
    assert " A" not in unscaled
    assert "90 deg, mP" in unscaled
