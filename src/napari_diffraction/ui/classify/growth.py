"""What the input of a stack in the window has grown to."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.growing import places_in
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import Progress
from napari_diffraction.review.fingerprint import stack_key
from napari_diffraction.ui.widgets.wording import counted


@dataclass(frozen=True)
class Grown(Progress):
    """The input of a stack has grown.

    Attributes
    ----------
    stack
        All there is now.
    key
        Its fingerprint.
    moved : ndarray of int64, (n,), or None
        The number now of each pattern that was there before; ``None``: the same.
    changed
        Whether there are other patterns than before, or the file was changed; else it is only not
        known what it was when the stack was opened.
    """

    stack: PatternStack | None = None
    key: str = ""
    moved: NDArray[np.int64] | None = None
    changed: bool = False


class Growth:
    """A stack in the window, and what becomes of its input.

    Parameters
    ----------
    stack
        As it is in the window.

    Attributes
    ----------
    stack
        As it is in the window by now.
    places : ndarray of int64, (n,)
        The number, at the last look, of each pattern that was in the window; -1: it is not there.
    missing
        How many of them were not there, as of a file that is written anew.
    """

    def __init__(self, stack: PatternStack) -> None:
        self.stack, self._key = stack, stack_key(stack)
        self._stamp = ""  # when the stack was opened is not known
        self.places, self.missing = np.arange(len(stack)), 0

    def to(self, plain: PatternStack, stamp: str) -> Grown | None:
        """Take in what the input is now, unless something is missing.

        Parameters
        ----------
        plain, stamp
            As of `napari_diffraction.patterns.growing.Seen`.

        Returns
        -------
        Grown or None
            ``None``: nothing has changed, or something is missing.

        Raises
        ------
        InputError
            The layer cannot become what its input has become.
        """
        key, usual = stack_key(plain), np.arange(len(self.stack))
        # the key tells what the file is now, the stamp what it was when this stack was opened
        if (key, stamp, len(plain)) == (self._key, self._stamp, len(self.stack)):
            self.places, self.missing = usual, 0
            return None
        self.places = places_in(plain, self.stack)
        self.missing = int((self.places < 0).sum())
        if self.missing:
            return None
        check_form(self.stack, plain)
        same = np.array_equal(self.places, usual)
        changed = key != self._key or not same or len(plain) > len(self.stack)
        self.stack = replace(plain, name=self.stack.name, reopen=self.stack.reopen)
        self._key, self._stamp = key, stamp
        told = f"{counted(len(plain), 'patterns')} {'is' if len(plain) == 1 else 'are'} there"
        return Grown(0, 0, told, self.stack, key, None if same else self.places, changed)

    def waits(self) -> str:
        """Say what is waited for, or nothing."""
        return f"waiting for {self.missing:,} that are not there now" if self.missing else ""


def check_form(stack: PatternStack, grown: PatternStack) -> None:
    """Raise `InputError` where a layer cannot become what its input has become."""
    if stack.data.shape[1:] != grown.data.shape[1:]:
        form = "x".join(map(str, grown.data.shape))
        raise InputError(
            f"{stack.name} has another form now ({form}), so it is not followed any more: open it "
            "anew."
        )
