"""What a network looked at: class-activation maps in the pixels of the pattern."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_diffraction.errors import InputError
from napari_diffraction.learning.classes import NATURAL_SHARES
from napari_diffraction.progress import Progress

if TYPE_CHECKING:
    import torch

    from napari_diffraction.learning.classifier import Classifier
    from napari_diffraction.patterns.stack import PatternStack

Heat = NDArray[np.float32]

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
class Explained(Progress):
    """A pattern of a selection is explained.

    Attributes
    ----------
    place
        Its place in the selection.
    explanation
        ``None`` where the pattern cannot be read.
    """

    place: int = 0
    explanation: Explanation | None = None


@dataclass(frozen=True)
class Look:
    """A pattern as a network sees it, and the way back to its own pixels.

    Attributes
    ----------
    tensors
        What the network takes, each a batch of one; the map is of the first.
    to_frame
        Brings a map of the first tensor's height and width back to the pattern's pixels.
    """

    tensors: tuple[torch.Tensor, ...]
    to_frame: Callable[[Heat], Heat]


class Eye(Protocol):
    """How the networks of one kind are given patterns.

    Attributes
    ----------
    head
        The output of the network that gives the class.
    first_cell
        Where the first cell of the network's `explain_layer` looks, in pixels of its input.
    shares
        Expected shares of the classes; ``None``: those of the calibration.
    """

    head: str
    first_cell: float
    shares: Mapping[str, float] | None

    def look(self, frame: NDArray[Any]) -> Look:
        """Look at a pattern, (h, w)."""
        ...


class SpotEye:
    """The eye of the zone classifier, whose picture is centred on the direct beam and scaled."""

    head = "joint"
    first_cell = 0.0
    shares: Mapping[str, float] | None = NATURAL_SHARES

    def look(self, frame: NDArray[Any]) -> Look:
        """Look at a pattern, (h, w)."""
        import torch

        from napari_diffraction.learning.netfit import fit_net
        from napari_diffraction.learning.views import picture_places, view_peaks
        from napari_diffraction.patterns.peaks import find_peaks

        peaks = find_peaks(frame)
        seen = view_peaks(peaks, fit_net(peaks))
        height, width = frame.shape
        rows, columns = picture_places(peaks, (height, width))
        tensors = (seen.picture, seen.vectors, seen.features)
        return Look(
            tuple(torch.from_numpy(values)[None] for values in tensors),
            lambda heat: sampled(heat, rows, columns),
        )


#: What makes the eye for a network, by the name of the network on the card.
EYES: dict[str, Callable[[], Eye]] = {"zones": SpotEye}


def aligned(heat: Heat, cells: int, first_cell: float) -> Heat:
    """Put a map that was enlarged from a coarse one where the cells of this really looked.

    Enlarging takes the first cell for the middle of the pixels that fall to it; convolutions of
    stride 2, though, look around the first of every two pixels.
    """
    shift = first_cell - (heat.shape[0] / cells - 1) / 2
    return np.asarray(ndimage.shift(heat, shift, order=1, mode="nearest"), dtype=np.float32)


def sampled(heat: Heat, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> Heat:
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
    """Makes the maps of one classifier.

    Parameters
    ----------
    classifier
        Any model; it is copied, since the maps need hooks and gradients.
    device
        ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises
    ------
    InputError
        Nothing is known of how this network looks at patterns, or the device is not there.
    """

    def __init__(self, classifier: Classifier, device: str = "auto") -> None:
        from napari_diffraction.learning.gradcam import OneInput
        from napari_diffraction.learning.inference import choose_device

        self.card = classifier.card
        if self.card.network not in EYES:
            raise InputError(
                f"The maps of a network '{self.card.network}' are not known to this version: "
                "update napari-diffraction."
            )
        self.eye = EYES[self.card.network]()
        self._device = choose_device(device)
        network = copy.deepcopy(classifier.network).requires_grad_(False).eval()
        self._model = OneInput(network.to(self._device), self.eye.head)

    def explain(
        self, frame: NDArray[Any], label: str | None = None, method: str = "gradcam"
    ) -> Explanation:
        """Explain why a pattern is, or might be, of a class.

        Parameters
        ----------
        frame
            (h, w), any real dtype.
        label
            The class; ``None``: the one that the model gives.
        method
            One of `METHODS`; Eigen-CAM is the same for every class.

        Raises
        ------
        InputError
            There is no such class or method.
        """
        classes = self.card.classes
        check_class(label, classes)
        if method not in METHODS:
            raise InputError(f"There is no method '{method}': use {', '.join(METHODS)}.")
        look = self.eye.look(frame)
        first = self._take(look)
        probabilities = self._probabilities(first)
        predicted = classes[int(probabilities.argmax())]
        wanted = predicted if label is None else label
        heat, cells = self._model.class_map(first, classes.index(wanted), method)
        heat = look.to_frame(aligned(heat, cells, self.eye.first_cell))
        top = float(heat.max())
        return Explanation(
            heat / top if top > 0 else heat,
            wanted,
            predicted,
            dict(zip(classes, probabilities.tolist(), strict=True)),
        )

    def probabilities(self, frame: NDArray[Any]) -> dict[str, float]:
        """Judge a pattern, (h, w)."""
        values = self._probabilities(self._take(self.eye.look(frame)))
        return dict(zip(self.card.classes, values.tolist(), strict=True))

    def _take(self, look: Look) -> torch.Tensor:
        """Give the network all inputs but the first, which is returned."""
        first, *others = (values.to(self._device) for values in look.tensors)
        self._model.others = tuple(others)
        return first

    def _probabilities(self, first: torch.Tensor) -> NDArray[np.float64]:
        import torch

        from napari_diffraction.learning.calibration import probabilities

        with torch.no_grad():
            logits = self._model(first).float().cpu().numpy()
        card = self.card
        values = probabilities(
            logits, card.scale, card.bias, card.classes, card.shares, self.eye.shares
        )
        return np.asarray(values[0])


def check_class(label: str | None, classes: Sequence[str]) -> None:
    """Refuse a class that the model does not know.

    Raises
    ------
    InputError
    """
    if label is not None and label not in classes:
        raise InputError(f"The model knows no class '{label}': use one of {', '.join(classes)}.")


def explain_many(
    stack: PatternStack,
    explainer: Explainer,
    indices: Sequence[int],
    label: str | None = None,
    method: str = "gradcam",
) -> Generator[Explained, None, None]:
    """Explain patterns of a stack one after another.

    Parameters
    ----------
    stack
        The patterns.
    explainer
        Of the model.
    indices
        Flat numbers of the patterns.
    label, method
        See `Explainer.explain`.

    Yields
    ------
    Explained
        After each pattern.
    """
    for place, index in enumerate(indices):
        try:
            frame = stack.frame(index)
        except InputError:
            explanation = None
        else:
            explanation = explainer.explain(frame, label, method)
        yield Explained(
            place + 1, len(indices), "Explaining patterns", place=place, explanation=explanation
        )
