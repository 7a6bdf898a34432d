"""Damaged files of every kind give what can be read, or one sentence, quickly and in little memory.

A few cases of each kind; `benchmarks/fuzz.py` tries as many as time allows.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz_targets import TARGETS, Case
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.mark.timeout(200)  # no hang
@pytest.mark.parametrize("name", TARGETS)
def test_damaged_files(name: str, tmp_path: Path) -> None:
    case = Case(TARGETS[name], tmp_path)

    @settings(
        max_examples=25,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, len(case.files) - 1), TARGETS[name].damages)
    def damage_and_read(number, damage) -> None:
        case.attempt(number, damage, memory=TARGETS[name].memory)

    damage_and_read()
