"""What a Bravais network says of pictures of grains: the second opinion that indexing asks for."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.learning.runs.background_process import in_own_process
from napari_diffraction.progress import Progress, finish

if TYPE_CHECKING:
    from napari_diffraction.learning.models.classifier import Classifier

#: The model that is asked.
ASKED = "bravais"


@dataclass
class NetworkOpinion:
    """A `napari_diffraction.indexing.phases.opinion.Opinion`; the network is loaded when asked.

    Attributes
    ----------
    name
        Name or file of a model that tells Bravais lattices by their bands.
    elsewhere
        Whether it is asked in a process of its own, as loading a network halts a window.
    """

    name: str = ASKED
    elsewhere: bool = False
    _model: Classifier | None = None

    def __call__(
        self,
        pictures: NDArray[np.float32],
        weight: NDArray[np.float32],
        pc: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Give the probabilities of the Bravais lattices, (n, 14); see `Opinion`.

        Raises
        ------
        InputError
            There is no such model, its file is damaged, or the other process has ended without a
            word.
        """
        if self.elsewhere:
            given: NDArray[np.float64] = finish(
                in_own_process(_judged, self.name, pictures, weight, pc)
            )
            return given
        import torch

        from napari_diffraction.learning.models.registry import load_model
        from napari_diffraction.learning.networks.band_view import centre_in_square

        model = self._model = self._model or load_model(self.name)
        height, width = pictures.shape[1:]
        centre = centre_in_square((float(pc[0]), float(pc[1]), float(pc[2])), (height, width))
        lit = torch.from_numpy(np.asarray(weight > 0, np.float32))
        seen = [(torch.from_numpy(np.asarray(one, np.float32)), lit, centre) for one in pictures]
        columns = [model.card.classes.index(letters) for letters in BRAVAIS_LATTICES]
        return np.asarray(model.probabilities(seen)[:, columns], np.float64)


def _judged(
    name: str,
    pictures: NDArray[np.float32],
    weight: NDArray[np.float32],
    pc: NDArray[np.float64],
) -> Generator[Progress, None, NDArray[np.float64]]:
    yield Progress(0, 1, "Asking the network")
    return NetworkOpinion(name)(pictures, weight, pc)
