"""Pattern centres that are found once, and what may happen to the file that keeps them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import dask.array as da
import numpy as np
import pytest

from napari_diffraction.learning.models.registry import load_model
from napari_diffraction.learning.networks import found_centres, pattern_centre
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import finish

CENTRE = (0.5, 0.3, 0.6)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the stacks whose centre was searched."""
    names: list[str] = []

    def find(stack: PatternStack, frames: object, classifier: object) -> tuple[float, ...]:
        names.append(stack.name)
        return CENTRE

    monkeypatch.setattr(pattern_centre, "find_centre", find)
    return names


def stack(name: str, seed: int = 0) -> PatternStack:
    frames = np.random.default_rng(seed).integers(0, 99, (4, 20, 20), dtype=np.uint16)
    return PatternStack(da.from_array(frames), name)


def test_a_centre_is_searched_once_for_the_same_patterns_and_network(searched: list[str]) -> None:
    model = load_model("bravais")
    for one in (stack("a"), stack("the same"), stack("b", seed=1)):
        known = finish(pattern_centre.with_centre(one, model))
        assert pattern_centre.known_centre(known) == CENTRE
        assert "Bruker" in known.notes[-1]
    other = replace(model, card=replace(model.card, scale=2 * model.card.scale))
    finish(pattern_centre.with_centre(stack("other network"), other))
    assert searched == ["a", "b", "other network"]


@pytest.mark.parametrize(
    "text", ["", "[1]", "{", '{"%s": [1, 2]}', '{"%s": "abc"}', '{"%s": [0.5, 0.3, NaN]}']
)
def test_a_damaged_file_is_not_believed(text: str) -> None:
    found_centres.keep("key", CENTRE)
    path = found_centres._path()
    path.write_text(text.replace("%s", "key"))
    assert found_centres.recalled("key") is None
    found_centres.keep("key", CENTRE)
    assert found_centres.recalled("key") == CENTRE
    assert list(path.parent.iterdir()) == [path]


def test_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(found_centres, "_MOST", 3)
    for number in range(5):
        found_centres.keep(str(number), CENTRE)
    assert [n for n in range(5) if found_centres.recalled(str(n))] == [2, 3, 4]


def test_nowhere_to_keep_it_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    found_centres.keep("key", CENTRE)
    assert found_centres.recalled("key") is None
