"""Numbers of things in words."""

from __future__ import annotations


def counted(number: int, things: str) -> str:
    """Write how many there are: "1 pattern", "1,200 patterns".

    Parameters
    ----------
    number
        How many.
    things
        What they are, in the plural with an "s".
    """
    return f"{number:,} {things.removesuffix('s') if number == 1 else things}"
