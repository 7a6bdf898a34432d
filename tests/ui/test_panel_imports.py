"""Panels open quickly: what only files, figures and networks need is imported when they need it."""

import subprocess
import sys
from importlib.resources import files

import yaml

#: Each takes the window half a second or more.
SLOW = ("matplotlib", "torch")


def test_panels_import_nothing_slow():
    manifest = yaml.safe_load((files("napari_diffraction") / "napari.yaml").read_text())
    modules = {one["python_name"].split(":")[0] for one in manifest["contributions"]["commands"]}
    panels = sorted(name for name in modules if name.endswith(("widget", "panel")))
    assert len(panels) > 8
    look = f"""
import importlib, sys
for name in {panels}:
    importlib.import_module(name)
    print(name, [slow for slow in {SLOW} if slow in sys.modules])
"""
    said = subprocess.run(
        [sys.executable, "-c", look], capture_output=True, text=True, check=True
    ).stdout
    assert [line for line in said.splitlines() if not line.endswith("[]")] == []
