"""Draw what a network looked at in one pattern."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_diffraction.errors import InputError
from napari_diffraction.files import replacing
from napari_diffraction.learning.explain.heatmaps import METHODS, Explainer, Explanation
from napari_diffraction.review.provenance import file_hash

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from napari_diffraction.learning.models.registry import Classifier
    from napari_diffraction.patterns.stack import PatternStack


def explain_pattern(
    stack: PatternStack,
    classifier: Classifier,
    index: int,
    output: Path,
    *,
    label: str | None = None,
    method: str | None = None,
    device: str = "auto",
) -> str:
    """Draw a pattern with its map beside and over it, and say in a line what is shown.

    Parameters
    ----------
    stack
        The patterns.
    classifier
        A loaded model.
    index
        Flat number of the pattern.
    output
        The picture to write, a .png.
    label, method
        See `napari_diffraction.learning.explain.heatmaps.Explainer.explain`.
    device
        Where the network runs.

    Raises
    ------
    InputError
        There is no such pattern, class or method, or the file cannot be written.
    """
    if not 0 <= index < len(stack):
        raise InputError(
            f"There is no pattern {index} among {len(stack)}: they are counted from 0."
        )
    frame = stack.frame(index)
    explainer = Explainer(classifier, stack, device)
    method = explainer.way.method if method is None else method
    made = explainer.explain(frame, label, method)
    about = {
        "software": f"napari-diffraction {version('napari-diffraction')}",
        "model": classifier.card.name,
        "model_sha256": file_hash(Path(classifier.card.path) if classifier.card.path else None),
        "settings": {"method": method, "class": made.label},
        "source": stack.source(index),
        "index": index,
        "probabilities": made.probabilities,
    }
    title = f"{stack.name}, pattern {index}"
    write_figure(explanation_figure(frame, made, METHODS[method], title), output, about)
    likely = f"{made.predicted} {made.probabilities[made.predicted]:.2f}"
    shown = f"{METHODS[method]} of {made.label}"
    empty = "" if made.heat.any() else "; nothing in the pattern speaks for this class"
    return f"{output}: pattern {index} is {likely}; {shown}{empty}."


def explanation_figure(frame: NDArray[Any], made: Explanation, method: str, title: str) -> Figure:
    """Draw a pattern, and beside it the same with the map over it.

    Parameters
    ----------
    frame
        The pattern, (h, w).
    made
        What the network looked at.
    method
        How the map was made, for the heading.
    title
        Which pattern it is.
    """
    from matplotlib.figure import Figure

    from napari_diffraction.patterns.display import contrast_limits

    low, high = contrast_limits(frame)
    height, width = frame.shape
    figure = Figure(figsize=(9.6, 1.0 + 4.4 * height / width), dpi=150, layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes in (left, right):
        axes.imshow(frame, cmap="gray", vmin=low, vmax=high)
        axes.set_axis_off()
    image = right.imshow(made.heat, cmap="inferno", vmin=0, vmax=1, alpha=0.55)
    likely = f"{made.predicted} {made.probabilities[made.predicted]:.2f}"
    left.set_title(f"{title}: {likely}", fontsize=10)
    p = made.probabilities[made.label]
    right.set_title(f"{method}, why {made.label} ({p:.2f})", fontsize=10)
    figure.colorbar(image, ax=right, label="share of the largest value", shrink=0.9)
    return figure


def write_figure(figure: Figure, path: Path, about: dict[str, Any]) -> None:
    """Write a figure as PNG, with where it comes from in it."""
    with replacing(path) as temporary:
        figure.savefig(
            temporary,
            metadata={"Software": about["software"], "Description": json.dumps(about, default=str)},
        )
