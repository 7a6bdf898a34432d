"""The same smoke test passes from the sources and from a wheel in a fresh environment."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SMOKE = Path(__file__).with_name("smoke.py")


def smoke(python: Path | str, folder: Path) -> Path:
    """Run the smoke test with an interpreter and return where it found the package."""
    done = subprocess.run(
        [str(python), "-P", str(SMOKE), str(folder)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(done.stdout.splitlines()[-1])


def test_the_sources_pass_the_smoke_test(tmp_path: Path) -> None:
    assert smoke(sys.executable, tmp_path) == ROOT / "src" / "napari_diffraction"


@pytest.mark.timeout(600)
def test_a_built_wheel_passes_the_smoke_test(tmp_path: Path) -> None:
    # By way of the sdist, so that nothing is missing from that either.
    shutil.copytree(
        ROOT,
        tmp_path / "clone",
        symlinks=True,
        ignore=shutil.ignore_patterns(".*", "_build"),
    )
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path / "dist")],
        cwd=tmp_path / "clone",
        check=True,
        capture_output=True,
    )
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    assert wheel.stat().st_size < 50e6

    venv.create(tmp_path / "fresh", with_pip=True)
    python = (
        Path(sysconfig.get_path("scripts", "venv", {"base": str(tmp_path / "fresh")}))
        / Path(sys.executable).name
    )
    subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)],
        check=True,
    )
    # What the package needs is taken from here instead of being downloaded again; a .pth inside
    # that folder, such as the one of the editable installation, is not followed.
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(tmp_path / "fresh")}))
    (site / "needs.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (tmp_path / "work").mkdir()
    assert smoke(python, tmp_path / "work").is_relative_to(site)
