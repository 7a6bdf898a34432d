"""Static backgrounds that are found once, and what may happen to the files that keep them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import dask.array as da
import numpy as np
import pytest

from napari_diffraction.learning.networks import found_backgrounds
from napari_diffraction.learning.networks.found_backgrounds import background_of_stack
from napari_diffraction.patterns.kikuchi.mask import StaticBackground, static_background
from napari_diffraction.patterns.stack import PatternStack


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the stacks whose background was searched."""
    names: list[str] = []

    def search(stack: PatternStack) -> StaticBackground:
        names.append(stack.name)
        return static_background(stack)

    monkeypatch.setattr(found_backgrounds, "static_background", search)
    return names


@pytest.fixture
def stack(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., PatternStack]:
    """Make stacks, all of one file."""
    file = tmp_path_factory.mktemp("scan") / "scan.h5"
    file.write_bytes(b"patterns")

    def make(name: str, seed: int = 0, n: int = 40, **known: object) -> PatternStack:
        frames = np.random.default_rng(seed).integers(0, 99, (n, 20, 24), dtype=np.uint16)
        own = {"sources": (str(file),), **known}
        return PatternStack(da.from_array(frames), name, **own)  # type: ignore[arg-type]

    return make


def test_a_background_is_searched_once_for_the_same_patterns(
    searched: list[str], stack: Callable[..., PatternStack]
) -> None:
    given = np.ones((20, 24), np.float32)
    for one in (stack("a"), stack("the same"), stack("b", seed=1), stack("c", background=given)):
        found, anew = background_of_stack(one), static_background(one)
        assert (found.usable, found.reason) == (anew.usable, anew.reason)
        np.testing.assert_array_equal(found.mean, anew.mean)
        np.testing.assert_array_equal(found.mask, anew.mask)
    assert searched == ["a", "b", "c"]


def test_of_few_patterns_none_is_kept(
    searched: list[str], tmp_path: Path, stack: Callable[..., PatternStack]
) -> None:
    for _ in range(2):
        background_of_stack(stack("few", n=8))
    assert searched == ["few", "few"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"cut"])
def test_a_damaged_file_is_not_believed(
    searched: list[str], content: bytes, stack: Callable[..., PatternStack]
) -> None:
    background_of_stack(stack("a"))
    (path,) = found_backgrounds._folder().iterdir()
    path.write_bytes(path.read_bytes()[:-40] if content == b"cut" else content)
    background_of_stack(stack("a"))
    background_of_stack(stack("a"))
    assert searched == ["a", "a"]
    assert list(path.parent.iterdir()) == [path]


def test_one_of_another_shape_is_not_believed(
    searched: list[str], stack: Callable[..., PatternStack]
) -> None:
    background_of_stack(stack("a"))
    (path,) = found_backgrounds._folder().iterdir()
    small = np.ones((2, 2), np.float32)
    np.savez(path, mean=small, mask=small > 0, usable=True, reason="")
    assert background_of_stack(stack("a")).mean.shape == (20, 24)


def test_the_oldest_are_forgotten(
    monkeypatch: pytest.MonkeyPatch, stack: Callable[..., PatternStack]
) -> None:
    monkeypatch.setattr(found_backgrounds, "_MOST", 2)
    for seed in range(4):
        background_of_stack(stack("a", seed=seed))
    assert len(list(found_backgrounds._folder().iterdir())) == 2


def test_nowhere_to_keep_it_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stack: Callable[..., PatternStack]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert background_of_stack(stack("a")).mean.shape == (20, 24)


def test_a_file_that_has_changed_is_searched_anew(
    searched: list[str], stack: Callable[..., PatternStack]
) -> None:
    first = stack("a")
    background_of_stack(first)
    path = Path(first.source(0))
    time = path.stat().st_mtime_ns + 10**9
    os.utime(path, ns=(time, time))
    background_of_stack(stack("changed"))
    background_of_stack(stack("of no file", sources=()))
    background_of_stack(stack("of a lost file", sources=(str(path.parent / "lost.h5"),)))
    assert searched == ["a", "changed", "of no file", "of a lost file"]
    assert len(list(found_backgrounds._folder().iterdir())) == 2
