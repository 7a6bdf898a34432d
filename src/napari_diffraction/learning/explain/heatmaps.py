"""What a network looked at: class-activation maps in the pixels of the pattern."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_diffraction.errors import InputError
from napari_diffraction.learning.classes import of_nothing
from napari_diffraction.patterns.blank import are_blank
from napari_diffraction.patterns.stack import (
    Geometry,
    KikuchiGeometry,
    PatternStack,
    SpotGeometry,
)
from napari_diffraction.progress import finish

if TYPE_CHECKING:
    import torch

    from napari_diffraction.learning.models.classifier import Classifier

Heat = NDArray[np.float32]
FloatArray = NDArray[np.float64]

#: The methods, by the names that the command line uses.
METHODS = {
    "gradcam": "Grad-CAM",
    "gradcam++": "Grad-CAM++",
    "hirescam": "HiResCAM",
    "eigencam": "Eigen-CAM",
}


@dataclass(frozen=True)
class Explanation:
    """What a network looked at in one pattern.

    Attributes
    ----------
    heat : ndarray of float32, (h, w)
        From 0 to 1 in the pixels of the pattern; 0 where the network saw nothing of it, and
        everywhere where nothing speaks for the class.
    label
        The class that is explained.
    predicted
        The class that the model gives.
    probabilities
        Of each class.
    """

    heat: Heat
    label: str
    predicted: str
    probabilities: Mapping[str, float]


@dataclass(frozen=True)
class Way:
    """The way back from what networks of one kind see to the pixels of the pattern.

    Attributes
    ----------
    places
        Given what the looker saw and the pattern's height and width: where its rows and columns lie
        in the network's first input.
    first_cell
        Where the first cell of the network's `explain_layer` looks, in pixels of this input.
    method
        The method whose maps say most about networks of this kind.
    geometry
        Of the patterns that these networks judge; ``None``: any.
    drawn
        For networks that see no picture: given what the looker saw, the input that draws.
    """

    places: Callable[[Any, tuple[int, int]], tuple[FloatArray, FloatArray]]
    first_cell: float
    method: str
    geometry: type[Geometry] | None
    drawn: Callable[[Any], torch.Tensor] | None = None


def _from_picture(seen: Any, shape: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
    from napari_diffraction.learning.networks.zone_view import picture_places

    return picture_places(seen, shape)


def _from_square(seen: Any, shape: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
    from napari_diffraction.learning.networks.bravais_view import square_places

    return square_places(shape)


def _bands_drawn(seen: Any) -> torch.Tensor:
    from napari_diffraction.learning.networks.band_view import drawn

    return drawn(seen)


def _from_whole(seen: Any, shape: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
    from napari_diffraction.learning.networks.picture_view import picture_places

    return picture_places(seen, shape)


#: By the name of the network on the card.
WAYS = {
    "zones": Way(_from_picture, 0.0, "gradcam++", SpotGeometry),
    "bands": Way(_from_square, 0.0, "gradcam", KikuchiGeometry, _bands_drawn),
    "pictures": Way(_from_whole, 0.0, "gradcam", None),
}


def aligned(heat: Heat, cells: int, first_cell: float) -> Heat:
    """Put a map that was enlarged from a coarse one where the cells of this really looked.

    Enlarging takes the first cell for the middle of the pixels that fall to it; convolutions of
    stride 2, though, look around the first of every two pixels.
    """
    shift = first_cell - (heat.shape[0] / cells - 1) / 2
    return np.asarray(ndimage.shift(heat, shift, order=1, mode="nearest"), dtype=np.float32)


def sampled(heat: Heat, rows: FloatArray, columns: FloatArray) -> Heat:
    """Interpolate a map at the given rows and columns, with 0 outside of it.

    Parameters
    ----------
    heat : ndarray, (height, width)
    rows, columns : ndarray, (h,) and (w,)
        In pixels of the map.

    Returns
    -------
    ndarray of float32, (h, w)
    """
    places = np.meshgrid(rows, columns, indexing="ij")
    out: Heat = ndimage.map_coordinates(heat, places, order=1, mode="nearest", output=np.float32)
    height, width = heat.shape
    out[(rows < -0.5) | (rows > height - 0.5)] = 0
    out[:, (columns < -0.5) | (columns > width - 0.5)] = 0
    return out


class Explainer:
    """Makes the maps of one classifier for the patterns of one stack; for one thread at a time.

    Parameters
    ----------
    classifier
        Any model; it is copied, since the maps need hooks and gradients.
    stack
        Where the patterns are from: what they share is taken off before a network sees them.
    device
        ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises
    ------
    InputError
        Nothing is known of how this network looks at patterns, or the device is not there.
    """

    def __init__(self, classifier: Classifier, stack: PatternStack, device: str = "auto") -> None:
        from napari_diffraction.learning.explain.gradcam import OneInput
        from napari_diffraction.learning.models.device import choose_device

        card = classifier.card
        if card.network not in WAYS:
            raise InputError(
                f"There are no maps for networks '{card.network}' in this version: "
                "update napari-diffraction."
            )
        self.card, self.way = card, WAYS[card.network]
        # Networks for pictures differ in it.
        self._first_cell = getattr(classifier.network, "first_cell", self.way.first_cell)
        network = copy.deepcopy(classifier.network).requires_grad_(False).eval()
        self._classifier = replace(classifier, network=network).to(choose_device(device))
        self._model = OneInput(network, classifier.kind.head, last=self.way.drawn is not None)
        complete = classifier.kind.complete
        self._look = classifier.kind.looker(
            stack if complete is None else finish(complete(stack, self._classifier))
        )

    def explain(
        self, frame: NDArray[Any], label: str | None = None, method: str | None = None
    ) -> Explanation:
        """Explain why a pattern is, or might be, of a class.

        Parameters
        ----------
        frame
            (h, w), any real dtype.
        label
            The class; ``None``: the one that the model gives.
        method
            One of `METHODS`; ``None``: the one that says most about this kind of network.  The maps
            of Eigen-CAM are the same for every class.

        Raises
        ------
        InputError
            There is no such class or method.
        """
        from napari_diffraction.learning.networks.one_thread import one_thread

        classes = self.card.classes
        method = self.way.method if method is None else method
        if method not in METHODS:
            raise InputError(f"There is no method '{method}': use {', '.join(METHODS)}.")
        if label is not None and label not in classes:
            raise InputError(
                f"The model knows no class '{label}': use one of {', '.join(classes)}."
            )
        seen = self._look(frame)
        kind = self._classifier.kind
        with one_thread():
            p = self._classifier.probabilities([seen], kind.shares)[0]
        nothing = of_nothing(classes)
        if nothing is not None and are_blank(frame[None])[0]:
            p = nothing  # as in a classification
        predicted = classes[int(p.argmax())]
        wanted = predicted if label is None else label
        inputs = kind.tensors([seen])
        if self.way.drawn is not None:
            inputs = (self.way.drawn(seen), *inputs)
        inputs = tuple(values.to(self._classifier.device) for values in inputs)
        with one_thread():
            heat = self._map(inputs, classes.index(wanted), method)
        heat = sampled(heat, *self.way.places(seen, (frame.shape[0], frame.shape[1])))
        top = float(heat.max())
        return Explanation(
            heat / top if top > 0 else heat,
            wanted,
            predicted,
            dict(zip(classes, p.tolist(), strict=True)),
        )

    def _map(self, inputs: tuple[torch.Tensor, ...], column: int, method: str) -> Heat:
        """Make the map in the pixels of the first input, over both mirror images if these count."""
        heat = aligned(*self._model.class_map(inputs, column, method), self._first_cell)
        if not self.card.preprocessing.get("mirror"):
            return heat
        mirrored = tuple(values.flip(-1) for values in inputs)
        other = aligned(*self._model.class_map(mirrored, column, method), self._first_cell)
        return np.asarray((heat + other[:, ::-1]) / 2)
