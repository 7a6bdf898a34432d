"""The order in which a person counts: 9 before 10."""

from __future__ import annotations

import re


def natural_key(text: str) -> tuple[tuple[int, str] | tuple[int, int], ...]:
    """Sort key that puts "frame 10" after "frame 9"."""
    parts = re.split(r"(\d+)", text)
    return tuple((0, int(p)) if p.isdecimal() else (1, p.lower()) for p in parts if p)
