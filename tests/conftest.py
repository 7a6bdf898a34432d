"""What all tests share: nobody's own settings are touched, and windows are really tested."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

# Optimisers import triton, which brings an LLVM of its own; loaded after that of the OpenGL driver,
# which the first window loads, it crashes the process.
import torch._dynamo  # noqa: F401

NEED_GUI = "NAPARI_DIFFRACTION_NEED_GUI"
#: Files that take a minute or more, the longest first: no process has to wait for one in the end.
_LONGEST = (
    "test_installation",
    "test_unit_cell_panel",
    "test_visible",
    "test_bravais_training",
    "test_fine_tuning",
    "test_scan",
    "test_cli_unit_cell",
    "test_story",
    "test_search",
    "test_answers",
)


def _has_display() -> bool:
    """Whether windows can be opened: on Linux pytest-xvfb starts a display where Xvfb is there."""
    if not sys.platform.startswith("linux"):
        return True
    return bool(os.environ.get("DISPLAY") or shutil.which("Xvfb"))


def _gui_is_needed() -> bool:
    return bool(os.environ.get(NEED_GUI) or os.environ.get("CI"))


def pytest_configure(config: pytest.Config) -> None:
    """Let one process alone compile what orix compiles when it is first imported.

    numba keeps such a ufunc in two files.  Where two processes compile it at once, the file of one
    may come to stand beside that of the other, and whoever loads them crashes.
    """
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        # its packages are loaded when they are used, this module with all that it needs
        subprocess.run([sys.executable, "-c", "import orix.quaternion.symmetry"], check=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest."""
    items.sort(
        key=lambda item: (
            _LONGEST.index(item.path.stem) if item.path.stem in _LONGEST else len(_LONGEST)
        )
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gui") and not _has_display():
        pytest.skip("needs a display: install xvfb")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Count a skipped GUI test as failed where the tests must be complete."""
    report = yield
    if item.get_closest_marker("gui") and report.skipped and _gui_is_needed():
        report.outcome = "failed"
        report.longrepr = f"A GUI test was skipped, which counts as failed here: {report.longrepr}"
    return report


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep samples, sessions and settings that the tests write out of the user's own folders."""
    patch = pytest.MonkeyPatch()
    for kind in ("CACHE", "CONFIG", "DATA", "STATE"):
        patch.setenv(f"XDG_{kind}_HOME", str(tmp_path_factory.mktemp(kind.lower())))
    yield
    patch.undo()
