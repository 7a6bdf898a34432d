"""The kinds of network that a model file may name, and how each looks at patterns."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from torch import nn

from napari_diffraction.learning.classes import NATURAL_SHARES
from napari_diffraction.learning.networks import (
    band_view,
    picture_networks,
    picture_view,
    zone_view,
)
from napari_diffraction.learning.networks.band_network import BandNetwork
from napari_diffraction.learning.networks.pattern_centre import Judge, with_centre
from napari_diffraction.learning.networks.zone_network import ZoneNetwork
from napari_diffraction.patterns.kikuchi import band_finder
from napari_diffraction.progress import Progress

if TYPE_CHECKING:
    from napari_diffraction.learning.model_card import ModelCard
    from napari_diffraction.patterns.stack import PatternStack

    Looker = Callable[[PatternStack], Callable[[NDArray[Any]], Any]]


@dataclass(frozen=True)
class Kind:
    """A kind of network.

    Attributes
    ----------
    build
        Makes the network from the number of classes and the card's options.
    looker
        Gives for a stack the function that looks at one of its frames, in any thread.
    tensors
        Makes the network's inputs from what several frames gave.
    head
        The output that gives the class.
    shares
        Usual shares of the classes; ``None``: those of the calibration.
    is_ready
        Whether nothing has to be compiled before the first frame.
    misfit
        Says what of a card does not fit to this version; an empty text where all does.
    looker_of
        Gives the looker of a model, where its card says how it looks; ``None``: all look alike.
    complete
        Finds by a model what it needs to know of a stack and the stack's file does not tell.
    in_blocks
        Whether a thread had better look at a whole batch and judge it, as looking at a frame takes
        less time than handing it over.
    """

    build: Callable[..., nn.Module]
    looker: Callable[[PatternStack], Callable[[NDArray[Any]], Any]]
    tensors: Callable[[Sequence[Any]], tuple[torch.Tensor, ...]]
    head: str
    shares: Mapping[str, float] | None
    is_ready: Callable[[], bool]
    misfit: Callable[[ModelCard], str]
    in_blocks: bool = False
    looker_of: Callable[[ModelCard], Looker] | None = None
    complete: Callable[[PatternStack, Judge], Generator[Progress, None, PatternStack]] | None = None

    def of(self, card: ModelCard) -> Kind:
        """Return this kind as it looks at patterns for one model."""
        return self if self.looker_of is None else replace(self, looker=self.looker_of(card))


def _zone_misfit(card: ModelCard) -> str:
    if card.options["n_features"] == zone_view.N_FEATURES:
        return ""
    return (
        f"which measured {card.options['n_features']} features of a net instead of "
        f"{zone_view.N_FEATURES}"
    )


def _misfit(preprocessing: Mapping[str, Any]) -> Callable[[ModelCard], str]:
    """Tell of a card whose network saw patterns that were prepared otherwise."""

    def misfit(card: ModelCard) -> str:
        prepared = {name: card.preprocessing.get(name) for name in preprocessing}
        return "" if prepared == preprocessing else "which prepared patterns otherwise"

    return misfit


def _never(stack: PatternStack) -> Callable[[NDArray[Any]], Any]:
    raise NotImplementedError("how pictures are made stands on the card")


#: By the name on the card.
NETWORKS = {
    "zones": Kind(
        ZoneNetwork,
        lambda _: zone_view.view,
        zone_view.tensors,
        "joint",
        NATURAL_SHARES,
        zone_view.is_ready,
        _zone_misfit,
    ),
    "bands": Kind(
        BandNetwork,
        band_view.looker,
        band_view.tensors,
        "lattice",
        None,
        band_finder.is_ready,
        _misfit(band_view.PREPROCESSING),
        in_blocks=True,
        complete=with_centre,
    ),
    "pictures": Kind(
        picture_networks.build,
        _never,
        picture_view.tensors,
        "class",
        None,
        lambda: True,
        picture_view.misfit,
        in_blocks=True,
        looker_of=picture_view.looker,
    ),
}
