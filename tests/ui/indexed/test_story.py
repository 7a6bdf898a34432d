"""The second story from end to end: what is in this scan?  Three phases, and nothing is told."""

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_diffraction.crystal.materials import load_structure
from napari_diffraction.crystal.orientation import euler_angles, random_orientations
from napari_diffraction.learning.palette import OKABE_ITO
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import finish
from napari_diffraction.simulation.kikuchi.effects import KikuchiEffects
from napari_diffraction.simulation.kikuchi.patterns import KikuchiConditions, simulate_kikuchi

pytestmark = [pytest.mark.gui, pytest.mark.timeout(600)]
MATERIALS = ("Ni", "Ti", "zircon")
ROWS, COLUMNS, SIDE, GRAINS = 16, 20, 60, 24
PC = (0.51, 0.30, 0.60)


@pytest.fixture(scope="module")
def truth():
    """Grains of three crystals (a Voronoi diagram): patterns and the phase of every point."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:ROWS, :COLUMNS]
    seeds = rng.uniform(0, (ROWS, COLUMNS), (GRAINS, 2))
    away = (y[..., None] - seeds[:, 0]) ** 2 + (x[..., None] - seeds[:, 1]) ** 2
    grain = away.argmin(axis=-1).ravel()
    phase = (np.arange(GRAINS) % len(MATERIALS))[grain]
    angles = euler_angles(random_orientations(GRAINS, rng))[grain]
    frames = np.empty((ROWS * COLUMNS, SIDE, SIDE), np.uint8)
    conditions = KikuchiConditions(pc_x=PC[0], pc_y=PC[1], pc_z=PC[2])
    for number, name in enumerate(MATERIALS):
        here = phase == number
        work = simulate_kikuchi(
            [load_structure(name)], conditions, KikuchiEffects(contrast=0.2, noise=0.1),
            size=SIDE, seed=number, orientations=angles[here],
        )  # fmt: skip
        frames[here] = finish(work).images
    return frames.reshape(ROWS, COLUMNS, SIDE, SIDE), phase


def test_a_scan_of_three_phases_explains_itself(make_napari_viewer, qtbot, hand, truth, tmp_path):
    frames, phase = truth
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    stack = PatternStack(da.from_array(frames, chunks=(4, COLUMNS, SIDE, SIDE)), "unknown")
    viewer.add_image(stack.data, name="unknown", metadata={"pattern_stack": stack})
    _, panel = viewer.window.add_plugin_dock_widget("napari-diffraction", "Phase map")
    # 1: nothing is known, and that is said
    assert panel.centre.source.currentText() == "found by the program"
    assert panel.voltage.source.currentText() == "not known: 20 kV are assumed"
    assert "up to a common factor" in panel.voltage.note.text()
    # 2: nothing is chosen, Run
    with qtbot.waitSignal(panel.bar.finished, timeout=580_000):
        QTest.mouseClick(panel.run_button, Qt.MouseButton.LeftButton)
    hand.wait(panel)
    box, indexed = panel.indexed, panel.indexed.indexed
    np.testing.assert_allclose(indexed.pattern_centre, PC, atol=0.01)
    assert len(indexed.phases) == len(box.list.rows) == 3
    assert {"cF", "hP"} < {one.lattice for one in indexed.phases}
    # each phase is one of the crystals, point by point
    counts = np.zeros((3, 4), int)
    np.add.at(counts, (phase, indexed.phase), 1)
    assert (counts.max(axis=1) > 0.95 * np.bincount(phase)).all()
    assert len(set(counts.argmax(axis=1))) == 3
    # 3: what is seen: the phases in their colours, in their shares of the map
    hand.show(panel, "phases")
    pixels = np.array([hand.seen(viewer, colour) for colour in OKABE_ITO[:3]])
    shares = np.array([one.share for one in indexed.phases])
    np.testing.assert_allclose(pixels / pixels.sum(), shares, atol=0.05)
    # 4: a point: its bands over the pattern, and what else it might be
    inner = np.flatnonzero(indexed.phase == int(counts[0].argmax()))
    row, column = divmod(int(inner[len(inner) // 2]), COLUMNS)
    viewer.dims.set_point([0, 1], [row, column])
    assert box.point.place.text() == f"Row {row}, column {column}"
    assert "Second-best" in box.point.text.text()
    assert viewer.layers["unknown - bands of the solution"].visible
    lines = hand.seen(viewer, "#E69F00", 60)
    box.point.draw.click()
    assert lines > hand.seen(viewer, "#E69F00", 60) + 100
    # 2: the voltage tells lengths, and lengths tell nickel from gold; one click names it
    nickel = int(counts[0].argmax())
    assert "Au" in box.list.rows[nickel].text()
    with qtbot.waitSignal(box.ranking.finished, timeout=60_000):
        panel.voltage.source.setCurrentIndex(1)
    assert box.indexed.phases[nickel].cell.a == pytest.approx(3.524, rel=0.04)
    assert 'href="Ni"' in box.list.rows[nickel].text()
    assert "Au" not in box.list.rows[nickel].text()
    box.list.rows[nickel].linkActivated.emit("Ni")
    # 6: the name is in the files, and a map of another program agrees
    for suffix in (".csv", ".ctf"):
        with qtbot.waitSignal(panel.bar.finished, timeout=60_000):
            panel.export(tmp_path / f"map{suffix}")
    table = pd.read_csv(tmp_path / "map.csv")
    assert (table["phase"] == "Ni").sum() == box.indexed.phases[nickel].patterns
    with qtbot.waitSignal(box._now().comparing.latest.finished, timeout=60_000):
        panel.compare_with(tmp_path / "map.ctf")
    assert "Agreement 100.0%" in box.comparison.text.text()
