"""Patterns that another process opens anew, since files are read faster than frames are sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.stack import Geometry, PatternStack


@dataclass(frozen=True)
class StackElsewhere:
    """What another process needs to open a stack.

    Attributes
    ----------
    reopen
        See `napari_diffraction.patterns.stack.PatternStack`.
    geometry
        What is known by now of its calibration.
    name, shape, dtype
        Of the stack, by which it is recognised.
    """

    reopen: Callable[[], PatternStack]
    geometry: Geometry
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, stack: PatternStack) -> StackElsewhere:
        """Describe a stack.

        Raises
        ------
        InputError
            The patterns are in no file.
        """
        if stack.reopen is None:
            raise InputError(
                f"{stack.name} is in no file that another process could open: save it first."
            )
        return cls(
            stack.reopen, stack.geometry, stack.name, tuple(stack.data.shape), stack.data.dtype
        )

    def open(self) -> PatternStack:
        """Open it.

        Raises
        ------
        InputError
            It is not there, or is another one by now.
        """
        stack = self.reopen()
        if tuple(stack.data.shape) != self.shape or stack.data.dtype != self.dtype:
            raise InputError(
                f"{self.name}: a worker finds other patterns there; let all machines see the same "
                "files, and let these be complete."
            )
        return replace(stack, geometry=self.geometry)
