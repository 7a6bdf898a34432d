"""Panels open quickly: what only files, figures and networks need is imported when they need it."""

import subprocess
import sys
from importlib.resources import files

import pytest
import yaml
from qtpy.QtCore import QThread, QTimer

from napari_diffraction.ui.alive import apart

#: Each takes the window half a second or more.
SLOW = ("matplotlib", "torch")


def test_panels_import_nothing_slow():
    manifest = yaml.safe_load((files("napari_diffraction") / "napari.yaml").read_text())
    names = [one["python_name"] for one in manifest["contributions"]["commands"]]
    panels = sorted(name.split(":")[1] for name in names if ".ui.panels:" in name)
    assert len(panels) > 8
    look = f"""
import sys
from napari_diffraction.ui import panels
for name in {panels}:
    assert getattr(panels, name).__name__ == name
    print(name, [slow for slow in {SLOW} if slow in sys.modules])
"""
    said = subprocess.run(
        [sys.executable, "-c", look], capture_output=True, text=True, check=True
    ).stdout
    assert [line for line in said.splitlines() if not line.endswith("[]")] == []


def test_the_window_is_drawn_while_work_is_waited_for(qapp):
    seen, go_on = [], []
    timer = QTimer(interval=0)
    timer.timeout.connect(lambda: go_on.append(True))
    timer.start()

    def work():
        while len(go_on) < 3:  # turns of the window's loop
            pass
        seen.append(QThread.currentThread() is qapp.thread())
        return "done"

    assert apart(work) == "done"
    assert seen == [False]


def test_what_work_in_another_thread_raises_is_raised_here(qapp):
    with pytest.raises(ZeroDivisionError):
        apart(lambda: 1 / 0)
