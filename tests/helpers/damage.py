"""Ways to damage a file, as strategies of hypothesis."""

from __future__ import annotations

import re
from collections.abc import Callable

from hypothesis import strategies as st

Damage = Callable[[bytes], bytes]

_NUMBER = re.compile(rb"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")
_ODD = [
    b"0", b"-1", b"1", b"65536", b"4294967295", b"99999999999999999999", b"1e400", b"-1e-300",
    b"nan", b"inf", b"", b"x", b"0.5", b'"', b"[]", b"{}", b"null", b"\xff\xfe", b"\0",
]  # fmt: skip


def cut(part: float) -> Damage:
    """Keep the beginning of a file."""
    return lambda content: content[: int(part * len(content))]


def change(spots: list[tuple[float, int]]) -> Damage:
    """Change single bytes, at places that are parts of the length."""

    def damage(content: bytes) -> bytes:
        changed = bytearray(content)
        for place, value in spots if changed else ():
            changed[int(place * (len(changed) - 1))] = value
        return bytes(changed)

    return damage


def repeat(start: float, length: float) -> Damage:
    """Repeat a part of the file, which moves what is behind it."""

    def damage(content: bytes) -> bytes:
        at = int(start * len(content))
        end = at + int(length * 0.1 * len(content))
        return content[:end] + content[at:]

    return damage


def numbers(choices: list[tuple[float, bytes]]) -> Damage:
    """Put something odd in the place of numbers in a text."""

    def damage(content: bytes) -> bytes:
        for part, odd in choices:
            found = list(_NUMBER.finditer(content))
            if found:
                match = found[int(part * (len(found) - 1))]
                content = content[: match.start()] + odd + content[match.end() :]
        return content

    return damage


def lines(choices: list[tuple[float, bool]]) -> Damage:
    """Drop lines of a text, or write them twice."""

    def damage(content: bytes) -> bytes:
        rows = content.splitlines(keepends=True)
        for part, twice in choices:
            if rows:
                at = int(part * (len(rows) - 1))
                rows[at : at + 1] = [rows[at], rows[at]] if twice else []
        return b"".join(rows)

    return damage


# headers, where it hurts, are at the beginning
_place = st.one_of(st.floats(0, 0.08), st.floats(0, 1))
cuts = st.floats(0, 0.999).map(cut)
changes = st.lists(st.tuples(_place, st.integers(0, 255)), min_size=1, max_size=12).map(change)
binary = st.one_of(cuts, changes, changes, st.builds(repeat, _place, st.floats(0, 1)))
text = st.one_of(
    cuts,
    changes,
    st.lists(st.tuples(_place, st.sampled_from(_ODD)), min_size=1, max_size=3).map(numbers),
    st.lists(st.tuples(_place, st.booleans()), min_size=1, max_size=3).map(lines),
)
