from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from napari_diffraction.cli.app import run
from napari_diffraction.simulation import samples


@pytest.mark.gui
def test_the_demo_opens_napari_classifies_and_goes_on_to_the_review(
    make_napari_viewer: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    qtbot: Any,
    learning: Any,
    tmp_path: Path,
) -> None:
    # not a sample of another size that somebody has opened on this machine before
    monkeypatch.setattr("napari_diffraction.ui.samples.cache_folder", lambda: tmp_path)
    viewer = make_napari_viewer(show=True)
    monkeypatch.setattr("napari.Viewer", lambda: viewer)
    monkeypatch.setattr("napari.run", lambda: None)
    monkeypatch.setattr(samples, "serial_experiment", partial(samples.serial_experiment, n=40))
    assert run(["demo", "--window"]) == 0
    docks = viewer.window.dock_widgets
    qtbot.waitUntil(lambda: any("Review" in name for name in docks), timeout=60_000)
    assert sorted(learning.seen) == list(range(40))
    classified = [
        layer for layer in viewer.layers if "confidence" in getattr(layer, "features", {})
    ]
    assert [len(layer.features) for layer in classified] == [40]
