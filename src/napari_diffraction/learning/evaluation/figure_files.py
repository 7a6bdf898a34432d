"""Figures of an evaluation as the kinds of file that are written."""

from __future__ import annotations

import io
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 150


@dataclass(frozen=True)
class Drawn:
    """A figure as the kinds of file that are written."""

    png: bytes
    svg: bytes = b""

    @classmethod
    def of(cls, figure: Figure) -> Drawn:
        """Render a figure."""
        import matplotlib

        # The same figure gives the same file: no date, and no random names in it.
        with matplotlib.rc_context({"svg.hashsalt": "napari-diffraction"}):
            return cls(_saved(figure, "png"), _saved(figure, "svg", metadata={"Date": None}))

    @classmethod
    def pixels(cls, figure: Figure) -> Drawn:
        """Render a figure of patterns, which are no lines that would gain by it, as pixels only."""
        return cls(_saved(figure, "png"))

    @property
    def source(self) -> str:
        """The figure as an address that holds it, for a page that needs no other file."""
        kind, content = ("svg+xml", self.svg) if self.svg else ("png", self.png)
        return f"data:image/{kind};base64,{b64encode(content).decode()}"


def _saved(figure: Figure, kind: str, **options: Any) -> bytes:
    made = io.BytesIO()
    figure.savefig(made, format=kind, dpi=_DPI, **options)
    return made.getvalue()
