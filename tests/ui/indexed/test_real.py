"""A measured scan in a real window; not marked as a GUI test, for it may be skipped."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest


def test_a_measured_scan_explains_itself(request, qtbot, tmp_path):
    folder = os.environ.get("NAPARI_DIFFRACTION_REAL")
    if not folder:
        pytest.skip("set NAPARI_DIFFRACTION_REAL to the folder of measured patterns")
    if not (os.environ.get("DISPLAY") or shutil.which("Xvfb")):
        pytest.skip("needs a display: install xvfb")
    viewer = request.getfixturevalue("make_napari_viewer")(show=True)
    path = Path(folder) / "ebsd" / "ni_superalloy_64x80x120x120.h5"
    viewer.open(path, plugin="napari-diffraction")
    qtbot.waitUntil(lambda: len(viewer.layers) == 3, timeout=60_000)
    _, panel = viewer.window.add_plugin_dock_widget("napari-diffraction", "Phase map")
    with qtbot.waitSignal(panel.bar.finished, timeout=280_000):
        panel.run()
    qtbot.waitUntil(lambda: not panel.indexed.arriving, timeout=60_000)
    indexed = panel.indexed.indexed
    assert indexed.phases[0].lattice == "cF"
    assert indexed.phases[0].share > 0.9
    np.testing.assert_allclose(indexed.pattern_centre, (0.509, 0.341, 0.628), atol=0.015)
    # grains and scratches can be seen: neighbours are far more alike than points far apart
    picture = viewer.layers["ni_superalloy_64x80x120x120 - navigation"].data
    assert np.abs(np.diff(picture, axis=1)).mean() < 0.5 * picture.std()
    viewer.dims.set_point([0, 1], [40, 20])
    assert viewer.layers["ni_superalloy_64x80x120x120 - bands of the solution"].visible
    for suffix in (".ang", ".ctf", ".h5", ".json"):
        with qtbot.waitSignal(panel.bar.finished, timeout=60_000):
            panel.export(tmp_path / f"map{suffix}")
