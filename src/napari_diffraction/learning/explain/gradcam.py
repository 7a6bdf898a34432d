"""Class-activation maps by pytorch-grad-cam, of networks with several inputs and outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_diffraction.learning.explain.cam_library import cam_classes

_CAM = cam_classes()
_Base: Any = _CAM["EigenCAM"]


class _EigenCAM(_Base):  # type: ignore[misc]
    """Eigen-CAM of the activations as they are, as Muhammad and Yeasin (2020) define it.

    The library takes their mean off first, which leaves the sign of the map to chance.
    """

    def get_cam_image(
        self,
        input_tensor: Tensor,
        target_layer: nn.Module,
        targets: list[Any],
        activations: NDArray[np.float32],
        grads: NDArray[np.float32] | None,
        eigen_smooth: bool = False,
    ) -> NDArray[np.float32]:
        maps = []
        for active in activations:
            places = active.reshape(len(active), -1).T
            _, _, components = np.linalg.svd(places, full_matrices=False)
            seen = (places @ components[0]).reshape(active.shape[1:])
            maps.append(seen if seen.sum() > 0 else -seen)
        return np.stack(maps)


_METHODS = {
    "gradcam": _CAM["GradCAM"],
    "gradcam++": _CAM["GradCAMPlusPlus"],
    "hirescam": _CAM["HiResCAM"],
    "eigencam": _EigenCAM,
}


class OneInput(nn.Module):
    """A network as pytorch-grad-cam wants it: one tensor in, the logits of the classes out.

    Parameters
    ----------
    network
        Takes one or several tensors and returns a dictionary of logits; has an `explain_layer`.
    head
        Which of the logits give the class.
    last
        Whether the network takes the picture after all other inputs.
    """

    def __init__(self, network: nn.Module, head: str, last: bool = False) -> None:
        super().__init__()
        self.network, self.head, self.last = network, head, last
        self.others: tuple[Tensor, ...] = ()

    def forward(self, first: Tensor) -> Tensor:
        """Judge the first input, the others being those of the last `class_map`."""
        inputs = (*self.others, first) if self.last else (first, *self.others)
        logits: Tensor = self.network(*inputs)[self.head]
        return logits

    def class_map(
        self, inputs: tuple[Tensor, ...], column: int, method: str
    ) -> tuple[NDArray[np.float32], int]:
        """Make the map of a class.

        Parameters
        ----------
        inputs
            What the network takes, a batch of one; the first is (1, channels, height, width).
        column
            Number of the class.
        method
            One of `napari_diffraction.learning.explain.heatmaps.METHODS`.

        Returns
        -------
        heat : ndarray of float32, (height, width)
            From 0 to 1, or 0 everywhere; enlarged from the cells of the network's layer.
        cells
            Number of cells along a side.
        """
        first, *others = inputs
        self.others = tuple(others)
        layer = self.network.explain_layer
        with _METHODS[method](model=self, target_layers=[layer]) as cam:
            # Gradients of the parameters are not wanted; those of the input lead to the layer.
            heat: NDArray[np.float32] = cam(
                input_tensor=first.detach().float().clone().requires_grad_(),
                targets=[_CAM["ClassifierOutputTarget"](column)],
            )[0]
            cells = cam.activations_and_grads.activations[0].shape[-1]
        return heat, int(cells)
