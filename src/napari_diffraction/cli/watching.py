"""Watching an input that grows, until Ctrl-C or until nothing comes any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.growing import EVERY

if TYPE_CHECKING:
    from napari_diffraction.patterns.growing import Growing, Seen

#: Said where a model that needs all patterns together has judged them in parts.
ANEW = "All patterns are judged anew by what they have in common."


def watch(
    growing: Growing,
    take: Callable[[Seen], bool],
    idle: float | None,
    wait: Callable[[float], None],
    say: Callable[[str], None],
) -> None:
    """Take what is there and what comes, until it was quiet for the seconds given.

    Parameters
    ----------
    growing
        The input.
    take
        Called with each look; says whether something new was done.
    idle
        Seconds without anything new after which the input counts as finished; ``None``: never.
    wait
        Called with the seconds to wait between two looks.
    say
        Called with sentences for a person.
    """
    quiet, problem = 0.0, ""
    while True:
        seen = growing.look()
        if seen.problem and seen.problem != problem:
            say(f"Waiting: {seen.problem}")
        problem = seen.problem
        if take(seen) or seen.moving:
            quiet = 0.0
        elif idle is not None and quiet >= idle:
            return
        wait(EVERY)
        quiet += EVERY


def whole(growing: Growing, say: Callable[[str], None], *, needed: bool) -> Seen | None:
    """Look at all there is in the end, whether it has kept still or not.

    Parameters
    ----------
    growing
        The input.
    say
        Called with a sentence where it cannot be opened any more.
    needed
        Whether nothing was done of it before.

    Returns
    -------
    Seen or None
        ``None``: it cannot be opened any more, and what was done before has to do.

    Raises
    ------
    InputError
        It cannot be opened, and nothing was done of it.
    """
    try:
        return growing.whole()
    except InputError as error:
        if needed:
            raise
        say(f"The input cannot be opened any more: {error}")
        return None
