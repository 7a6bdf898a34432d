"""Damaged files of EBSD systems give what can be read, or one sentence."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.ebsd_maps import read_map
from napari_diffraction.patterns.readers import open_stack

UP = (
    struct.pack("<4I", 3, 16, 12, 42)
    + struct.pack("<xIIBdd", 4, 3, 0, 0.5, 0.25)
    + np.random.default_rng(0).integers(0, 255, 12 * 16 * 12).astype("u1").tobytes()
)
SETTINGS = (
    b"[Microscope]\nAccelerating voltage\t20\tkV\nTilt angle\t70\t\xb0\n[Detector angles]\n"
    b"Elevation\t5\t\xb0\n[Acquisition settings]\nResolution\t16x12\tpx\n"
    b"[Area]\nStep size\t0.25\t\xb5m\nNumber of samples\t3x4\t#\n"
)
ANG = b"# Phase 1\n# MaterialName Ni\n# GRID: SqrGrid\n# XSTEP: 1.0\n# YSTEP: 1.0\n" + b"".join(
    b"1.0 2.0 3.0 %d.0 %d.0 9.0 0.5 1 1 1.0\n" % (i % 3, i // 3) for i in range(9)
)
CTF = (
    b"Channel Text File\nXCells\t3\nYCells\t3\nXStep\t1\nYStep\t1\nPhases\t1\n"
    b"3;3;3\t90;90;90\tNi\t11\t225\nPhase\tX\tY\tBands\tError\tEuler1\tEuler2\tEuler3\n"
    + b"".join(b"1\t%d\t%d\t8\t0\t1.0\t2.0\t3.0\n" % (i % 3, i // 3) for i in range(9))
)
place = st.one_of(st.floats(0, 0.08), st.floats(0, 1))
damages = st.one_of(
    st.floats(0, 1).map(lambda part: ("cut", part)),
    st.lists(st.tuples(place, st.integers(0, 255)), min_size=1, max_size=8).map(
        lambda spots: ("change", spots)
    ),
)
quick = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def damaged(content, damage):
    kind, how = damage
    if kind == "cut":
        return content[: int(how * len(content))]
    changed = bytearray(content)
    for where, value in how:
        changed[int(where * (len(changed) - 1))] = value
    return bytes(changed)


def attempt(action, *arguments):
    """Return the result, or ``None`` after an error that is one sentence."""
    try:
        return action(*arguments)
    except InputError as error:
        text = str(error)
    assert "\n" not in text
    assert len(text) < 600
    return None


@pytest.mark.parametrize("name", ["a.up1", "a.up2", "Pattern.dat"])
@quick
@given(damage=damages)
def test_damaged_scans(name, damage, tmp_path):
    if name == "Pattern.dat":
        (tmp_path / "Setting.txt").write_bytes(damaged(SETTINGS, damage))
        (tmp_path / name).write_bytes(UP)
    else:
        (tmp_path / name).write_bytes(damaged(UP, damage))
    stack = attempt(open_stack, tmp_path / name)
    if stack is None:
        return
    frames = [attempt(stack.frame, index) for index in range(min(len(stack), 40))]
    shapes = {frame.shape for frame in frames if frame is not None}
    assert shapes == {stack.frame_shape}
    assert len(stack) * np.prod(stack.frame_shape) < 50 * len(UP)


@pytest.mark.parametrize(("name", "content"), [("a.ang", ANG), ("a.ctf", CTF)])
@quick
@given(damage=damages)
def test_damaged_maps(name, content, damage, tmp_path):
    (tmp_path / name).write_bytes(damaged(content, damage))
    found = attempt(read_map, tmp_path / name)
    if found is None:
        return
    assert found.phase.max() < len(found.names) == len(found.lattices)
    assert found.phase.size < 10_000
