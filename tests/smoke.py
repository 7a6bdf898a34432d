"""What every installation must be able to do; run from the sources and from a built wheel.

``python smoke.py FOLDER`` works in FOLDER and stops with an error at the first thing that fails.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import npe2
from npe2.manifest.utils import import_python_name


def check_manifest() -> None:
    """Every command of the manifest that napari finds can be imported."""
    manager = npe2.PluginManager()
    manager.discover()
    commands = manager.get_manifest("napari-diffraction").contributions.commands
    assert commands
    for command in commands:
        assert callable(import_python_name(command.python_name)), command.python_name


def check_commands(folder: Path) -> None:
    """Patterns are simulated, described and sorted."""
    program = str(Path(sys.executable).with_name("napari-diffraction"))
    for line in (
        "models",
        "simulate spots --random-cell 500 --orientations 12 --size 128 --output patterns.h5",
        "info patterns.h5",
        "classify patterns.h5 --output patterns.csv --device cpu",
    ):
        done = subprocess.run(
            [program, *line.split()], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}: {done.stderr}"
        assert done.stderr == "", f"{line}: {done.stderr}"
    assert len((folder / "patterns.csv").read_text().splitlines()) == 13


if __name__ == "__main__":
    import napari_diffraction

    check_manifest()
    check_commands(Path(sys.argv[1]))
    print(Path(napari_diffraction.__file__).parent)
