"""Draw what a network looked at in one pattern."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_diffraction.cli.models.heat_picture import DPI, explanation_picture
from napari_diffraction.files import replacing
from napari_diffraction.learning.explain.heatmaps import METHODS, Explainer
from napari_diffraction.review.provenance import file_hash

if TYPE_CHECKING:
    from PIL.Image import Image

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
        There is no such class or method, or the file cannot be written.
    """
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
    _write(explanation_picture(frame, made, METHODS[method], title), output, about)
    likely = f"{made.predicted} {made.probabilities[made.predicted]:.2f}"
    shown = f"{METHODS[method]} of {made.label}"
    empty = "" if made.heat.any() else "; nothing in the pattern speaks for this class"
    return f"{output}: pattern {index} is {likely}; {shown}{empty}."


def _write(picture: Image, path: Path, about: dict[str, Any]) -> None:
    """Write a picture as PNG, with where it comes from in it."""
    from PIL.PngImagePlugin import PngInfo

    told = PngInfo()
    told.add_text("Software", about["software"])
    told.add_text("Description", json.dumps(about, default=str))
    with replacing(path) as temporary:
        picture.save(temporary, pnginfo=told, dpi=(DPI, DPI))
