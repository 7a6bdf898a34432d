"""What is done to a review, which is also saved, where it may be that nothing can be written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.utils.notifications import show_error

from napari_diffraction.errors import InputError


class Saving:
    """Does something that is also saved; says once if it cannot be, and goes on."""

    def __init__(self) -> None:
        self._failed = False

    def __call__(self, action: Callable[..., Any], *arguments: Any, **facts: Any) -> None:
        """Call something with these arguments."""
        try:
            action(*arguments, **facts)
        except InputError as error:
            if not self._failed:
                show_error(f"{error} Results stay in this window until it can be written.")
            self._failed = True
        else:
            self._failed = False
