"""What the phase map panel knows of a scan, and the long work on it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_diffraction.analysis.maps.compare import Comparison, compare
from napari_diffraction.analysis.maps.phase_map import PhaseMap
from napari_diffraction.learning.classes import ZONE_CLASSES
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import Progress
from napari_diffraction.ui.indexed.tasks import WAYS
from napari_diffraction.ui.phase_map.layers import PhaseMapLayers
from napari_diffraction.ui.widgets.compare_box import with_map
from napari_diffraction.ui.widgets.model_list import ModelCombo, digest_of
from napari_diffraction.ui.widgets.preferences import preference

if TYPE_CHECKING:
    from napari_diffraction.patterns.maps.vendor_map import VendorMap

#: How the model that needs no phase list is offered.
_NO_LIST = {"bravais": "No phase list: name the Bravais lattice"}


@dataclass
class ScanWork:
    """The maps of one scan.

    Attributes
    ----------
    single
        The map of the single patterns, possibly partial.
    layers
        Its layers.
    voted
        The map in which regions voted.
    other, path
        The map of another program that it is compared with, and its file.
    found, found_for
        The newest comparison, and what `state` was when it was asked for.
    followed
        Whether it was made while the scan was recorded, by what was known then.
    """

    single: PhaseMap
    layers: PhaseMapLayers
    voted: PhaseMap | None = None
    other: VendorMap | None = None
    path: Path = Path()
    found: Comparison | None = None
    found_for: tuple[bool, int, float] | None = None
    followed: bool = False

    @property
    def complete(self) -> bool:
        """Whether every point has been looked at."""
        return bool(self.single.done.all())

    def shown(self, by_regions: bool) -> PhaseMap:
        """Return the map to be shown: that of single patterns where no other is there."""
        return self.voted if by_regions and self.voted is not None else self.single

    def state(self, by_regions: bool, threshold: float) -> tuple[bool, int, float]:
        """Return what tells whether the map to be shown is still the one that was compared."""
        shown = self.shown(by_regions)
        return shown is self.voted, int(shown.done.sum()), threshold


def model_combo() -> ModelCombo:
    """Make the list of what names phases: indexing, then networks, that of lattices first."""
    return ModelCombo(
        lambda card: not set(card.classes) & set(ZONE_CLASSES),
        lambda card: _NO_LIST.get(card.name, card.title or card.name),
        lambda card: card.name in _NO_LIST,
        WAYS,
    )


def about_model(card: Any, centre: tuple[float, float, float] | None = None) -> dict[str, Any]:
    """Return what a map says of how it came about, the pattern centre if a person gave it."""
    return {
        "model": card.name,
        "pattern_centre": None if centre is None else list(centre),
        "model_sha256": digest_of(card),
        "settings": {
            "device": preference("device", "auto"),
            "batch_size": preference("batch_size", 64),
        },
        "version": version("napari-diffraction"),
    }


def mapping(
    stack: PatternStack, model: str, settings: dict[str, Any], skip: frozenset[int]
) -> Generator[Progress, None, Any]:
    """Load a model and classify; runs in another thread, where importing torch freezes nothing."""
    yield Progress(0, len(stack), "Loading the model")
    from napari_diffraction.learning.classification.inference import classify
    from napari_diffraction.learning.models.registry import load_model

    return (yield from classify(stack, load_model(model), **settings, skip=skip))


def comparing(
    phase_map: PhaseMap, threshold: float, path: Path, other: VendorMap | None
) -> tuple[VendorMap, Comparison]:
    """Compare a map with that of another program, see `with_map`."""
    return with_map(path, other, lambda known: compare(phase_map, known, threshold))


def exporting(phase_map: PhaseMap, path: Path, threshold: float) -> Generator[Progress, None, Path]:
    """Write a map in another thread."""
    yield Progress(0, 1, f"Writing {path.name}")
    from napari_diffraction.analysis.maps.export import export_map

    return export_map(phase_map, path, threshold)
