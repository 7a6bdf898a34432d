"""Make the first picture of the README: a measured nickel scan, explained with nothing given.

    python docs/nickel_picture.py SCAN.h5

The scan (64 x 80 points of a Ni superalloy, Calvat et al., Dryad 10.5061/dryad.zcrjdfnr9, CC0) is
not part of the repository.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from napari_diffraction.analysis.indexed.ipf import ipf_colours
from napari_diffraction.analysis.indexed.words import summary
from napari_diffraction.indexing.overlay import solution_drawing
from napari_diffraction.indexing.scan import index_scan
from napari_diffraction.indexing.solution import IndexedMap
from napari_diffraction.patterns.kikuchi.preparation import prepare
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import finish

#: Around letters, which lie on dark and on bright parts.
DARK = [withStroke(linewidth=2, foreground="black")]
PICTURE = Path(__file__).parent / "images" / "nickel_indexed.png"


def draw(stack: PatternStack, indexed: IndexedMap) -> Figure:
    """Draw the map of orientations beside a pattern with its bands named."""
    figure = Figure(figsize=(11, 4.9), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.3, 1))
    colours = ipf_colours(indexed, "z")
    colours = np.asarray(colours, float).reshape(*indexed.shape, 3)
    colours[(indexed.phase < 0).reshape(indexed.shape)] = 0.35
    left.imshow(colours, interpolation="nearest")
    index = int(np.argmax(indexed.quality * (indexed.phase == 0)))
    row, column = divmod(index, indexed.shape[1])
    left.plot(column, row, "o", ms=9, mfc="none", mec="black", mew=2)
    left.set_title("Orientations (crystal direction along the normal); grey: not indexed")
    ready = prepare(stack)
    near = np.flatnonzero(indexed.grain == indexed.grain[index])[:200]
    frames = np.stack([stack.frame(int(one)) for one in near])
    picture = ready.flattened(ready.corrected(frames).mean(axis=0)[None])[0]
    right.imshow(np.where(ready.weight > 0, picture, -2.5), cmap="gray", vmin=-2.5, vmax=2.5)
    drawing = solution_drawing(indexed, index)
    assert drawing is not None
    for hkl, ends in zip(drawing.hkl, drawing.ends, strict=True):
        right.plot(ends[:, 1], ends[:, 0], color="#56B4E9", lw=0.9)
        y, x = ends[0] + 0.03 * (ends[1] - ends[0])
        name = f"({''.join(map(_index, hkl))})"
        right.text(x, y, name, color="#56B4E9", fontsize=8, ha="center", path_effects=DARK)
    for uvw, (y, x) in zip(drawing.uvw, drawing.position, strict=True):
        right.plot(x, y, "o", ms=4, color="#E69F00")
        name = f"[{''.join(map(_index, uvw))}]"
        right.text(x + 2, y - 2, name, color="#E69F00", fontsize=9, path_effects=DARK)
    right.set_title("The pattern marked, its bands and zone axes named")
    for axes in (left, right):
        axes.set_axis_off()
    figure.suptitle("\n".join(summary(indexed)[:3]), fontsize=11, x=0.02, ha="left")
    return figure


def _index(value: int) -> str:
    return f"{abs(value)}\N{COMBINING OVERLINE}" if value < 0 else str(value)


def main() -> None:
    """Index the scan and draw it."""
    matplotlib.use("Agg")
    stack = open_stack(sys.argv[1])
    indexed = finish(index_scan(stack))
    print("\n".join(summary(indexed)))
    draw(stack, indexed).savefig(PICTURE, dpi=110)


if __name__ == "__main__":
    main()
