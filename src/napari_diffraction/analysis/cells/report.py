"""One page on a solved stack: what was found, how sure it is, and all that was assumed."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from napari_diffraction.analysis.cells.search import CellResult
from napari_diffraction.analysis.cells.words import doubts
from napari_diffraction.analysis.indexed.words import with_su
from napari_diffraction.html_page import html_page
from napari_diffraction.indexing.zones.net_fit import shared_lens
from napari_diffraction.indexing.zones.patterns import CHANCE
from napari_diffraction.indexing.zones.solution import CellSolution
from napari_diffraction.indexing.zones.witness import phase_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = """h2 { margin-top: 1.6rem; }
figure { margin: 0 0 1rem; }
figcaption { color: #555; font-size: .9rem; }
"""
#: Cells of each phase that are listed.
_LISTED = 5
_HEADS = (
    "Phase", "a", "b", "c", "alpha", "beta", "gamma", "Lattice", "Probability", "Volume",
    "Zones explained", "Patterns indexed", "Misfit",
)  # fmt: skip


def report_page(
    title: str,
    result: CellResult | None,
    assumptions: Mapping[str, str],
    classes: Mapping[str, int],
    figures: Mapping[str, Figure | None],
    trouble: str | None = None,
) -> str:
    """Write the page, which needs no other file.

    Parameters
    ----------
    title
        Of the page.
    result
        What was found; ``None`` where no search was possible.
    assumptions
        What was assumed, by name.
    classes
        Number of patterns of each class.
    figures
        By what they show; ``None``: nothing to show.
    trouble
        Why there is no cell, in a sentence.
    """
    parts = [_warning(line) for line in ([trouble] if trouble else []) + doubts(result)]
    if result is not None and result.found.phases:
        parts += ["<h2>Cells</h2>", _cells(result), f"<p>{escape(_support(result))}</p>"]
    for caption, figure in figures.items():
        if figure is not None:
            source = f"data:image/png;base64,{b64encode(_png(figure)).decode()}"
            parts.append(
                f'<figure><img src="{source}" alt="{escape(caption)}">'
                f"<figcaption>{escape(caption)}</figcaption></figure>"
            )
    parts += ["<h2>Classes</h2>", _pairs({name: str(count) for name, count in classes.items()})]
    made = {"Program": f"napari-diffraction {version('napari-diffraction')}"}
    parts += ["<h2>What was assumed</h2>", _pairs({**assumptions, **made})]
    return html_page(title, "\n".join(parts), _STYLE)


def _support(result: CellResult) -> str:
    nets = len(result.patterns)
    explained = sum(phase[0].zones_explained for phase in result.found.phases)
    text = f"{explained} of {nets} zones are explained"
    if not result.matches:
        return f"{text}; patterns that are no zones were not asked."
    phase = phase_of(result.matches)
    return (
        f"{text}, {int((phase >= 0).sum())} of {len(phase)} patterns are indexed, zones or not, "
        "those without a crystal among them.  Wrong cells of the same volume index "
        f"{CHANCE:.0%}."
    )


def _cells(result: CellResult) -> str:
    rows = ["".join(f"<th>{name}</th>" for name in _HEADS)]
    nets = len(result.patterns)
    for number, phase in enumerate(result.found.phases, 1):
        for place, cell in enumerate(phase[:_LISTED]):
            name = f"{number}" if place == 0 else f"{number}, or"
            values = [name, *_numbers(cell, nets)]
            rows.append("".join(f"<td>{escape(value)}</td>" for value in values))
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"


def _numbers(cell: CellSolution, nets: int) -> list[str]:
    parameters = zip(cell.cell.parameters, cell.cell_su, strict=True)
    indexed = cell.patterns_indexed
    return [
        *(with_su(value, su) for value, su in parameters),
        cell.lattice,
        f"{cell.lattice_probabilities[cell.lattice]:.0%}",
        with_su(cell.volume, cell.volume_su),
        f"{cell.zones_explained} of {nets}",
        "not asked" if indexed is None else f"{indexed:.0%}",
        f"{cell.misfit:.2%}" + ("" if cell.supercell_of is None else ", a multiple"),
    ]


def _pairs(pairs: Mapping[str, str]) -> str:
    rows = (f"<tr><td>{escape(k)}</td><td>{escape(v)}</td></tr>" for k, v in pairs.items())
    return f"<table>{''.join(rows)}</table>"


def _warning(line: str) -> str:
    return f'<p class="warning">{escape(line)}</p>'


def _png(figure: Figure) -> bytes:
    made = io.BytesIO()
    figure.savefig(made, format="png", dpi=110)
    return made.getvalue()


def assumed(
    result: CellResult, *, pixel_size: str, wavelength: str, beams: Sequence[tuple[float, float]]
) -> dict[str, str]:
    """Say on what the numbers of a result stand.

    Parameters
    ----------
    result
        What was found.
    pixel_size, wavelength
        Where they come from.
    beams
        x and y of the direct beam of the nets in pixels.
    """
    ellipse = result.nets.ellipse
    spread = float(np.hypot(*np.std(np.array(beams), axis=0))) if len(beams) else 0.0
    scale = f"{result.pixel_size:.6g} 1/A, {pixel_size}"
    length = "that of 200 kV (0.0251 A)" if result.wavelength is None else f"{result.wavelength} A"
    return {
        "Reciprocal length of a pixel": scale if result.scale_known else pixel_size,
        "Wavelength": f"{length}, {wavelength}",
        "Stretch of the camera": "none found, or too few nets to tell"
        if ellipse is None
        else f"{ellipse.stretch:.2%} along {ellipse.angle:.0f} degrees, found from the nets",
        "Bend of the lens": _lens_words(result),
        "Direct beam": f"found from each net; it moves by {spread:.2f} pixels",
        "Nets": f"{len(result.patterns)} patterns",
        "Patterns looked at": str(len(result.matches[0].peaks)) if result.matches else "zones only",
        "Symmetry": "the lattice of the metric alone; no intensity was looked at",
    }


def _lens_words(result: CellResult) -> str:
    """What the lens does to distances from the beam, as the nets show it."""
    fits = list(result.nets.fits.values())
    bend = shared_lens(fits)
    if bend is None:
        own = sum(fit.distortion != 0 for fit in fits)
        return "none that the nets share" + (
            f"; taken off where {own} show their own" if own else ""
        )
    reach = float(np.median([fit.reach for fit in fits]))
    way = "outwards" if bend > 0 else "inwards"
    return (
        f"a spot {reach:.0f} pixels from the beam is shifted {way} by {abs(bend) * reach**2:.2%} "
        "of that, others as the square of their distance; found from the nets, and taken off"
    )
