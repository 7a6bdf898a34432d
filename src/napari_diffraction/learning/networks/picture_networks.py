"""The networks that can learn from pictures; a new one is a function and a row of the table.

Each takes pictures (n, 1, size, size) with values from 0 to 255 and returns a dictionary:
``class``, the logits (n, n_classes), or where it is given the true classes, ``loss``.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_diffraction.errors import InputError
from napari_diffraction.learning.networks.triton import without_triton
from napari_diffraction.learning.networks.zone_network import residual_stages

#: Mean and standard deviation of the pictures that torchvision's weights were trained on.
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: Seconds that a server may be silent.
_PATIENCE = 20.0


class NotFetchedError(Exception):
    """Weights that somebody else trained cannot be had; the message says why."""


class PictureNetwork(nn.Module):
    """A network for photographs, made to judge patterns.

    Parameters
    ----------
    body
        Takes (n, channels, size, size), returns logits (n, n_classes).
    last_layer
        What turns its features into logits, and learns first.
    explain_layer
        Layer whose activations a class-activation map weighs.
    channels
        3 for networks for colours, to which grey is given three times.
    first_cell
        Where the first cell of `explain_layer` looks, in pixels of the picture.
    normalised
        Whether grey is scaled as for torchvision's weights; else it goes in from 0 to 1.
    """

    def __init__(
        self,
        body: nn.Module,
        last_layer: nn.Module,
        explain_layer: nn.Module,
        channels: int = 3,
        first_cell: float = 0.0,
        normalised: bool = True,
    ) -> None:
        super().__init__()
        self.body, self.channels, self.first_cell = body, channels, first_cell
        self.normalised = normalised
        # Known by name in the body already, so not to be kept twice.
        self._layers = (last_layer, explain_layer)

    @property
    def last_layer(self) -> nn.Module:
        """What learns first."""
        return self._layers[0]

    @property
    def explain_layer(self) -> nn.Module:
        """Layer whose activations a class-activation map weighs."""
        return self._layers[1]

    def __deepcopy__(self, memo: dict[int, Any]) -> PictureNetwork:
        """Copy, so that the layers are those of the copy."""
        import copy

        parts = copy.deepcopy((self.body, *self._layers), memo)
        made = PictureNetwork(*parts, self.channels, self.first_cell, self.normalised)
        return made.train(self.training)

    def forward(self, picture: Tensor, label: Tensor | None = None) -> dict[str, Tensor]:
        """Judge pictures, or with labels return the loss.

        Parameters
        ----------
        picture : Tensor, (n, 1, size, size)
            From 0 to 255.
        label : Tensor of int, (n,)
        """
        grey = picture.float() / 255
        planes = [grey] * self.channels
        if self.normalised:
            planes = [(x - _MEAN[i]) / _DEVIATION[i] for i, x in enumerate(planes)]
        logits = self.body(torch.cat(planes, dim=1).to(memory_format=torch.channels_last))
        if label is None:
            return {"class": logits}
        return {"loss": functional.cross_entropy(logits.float(), label)}


# -- the networks ----------------------------------------------------------------------------------
def _resnet(name: str) -> Callable[[int, bool], nn.Module]:
    """He et al. (2016)."""

    def make(n_classes: int, pretrained: bool) -> nn.Module:
        body = _torchvision(name, pretrained)
        body.fc = nn.Linear(body.fc.in_features, n_classes)
        return PictureNetwork(body, body.fc, body.layer4)

    return make


def efficientnet_b0(n_classes: int, pretrained: bool) -> nn.Module:
    """Tan and Le (2019)."""
    body = _torchvision("efficientnet_b0", pretrained)
    body.classifier[-1] = nn.Linear(body.classifier[-1].in_features, n_classes)
    return PictureNetwork(body, body.classifier[-1], body.features)


def convnext_tiny(n_classes: int, pretrained: bool) -> nn.Module:
    """Liu et al. (2022), the smallest of them."""
    body = _torchvision("convnext_tiny", pretrained)
    body.classifier[-1] = nn.Linear(body.classifier[-1].in_features, n_classes)
    # It cuts the picture into squares of 32 pixels.
    return PictureNetwork(body, body.classifier[-1], body.features, first_cell=15.5)


def xception(n_classes: int, pretrained: bool) -> nn.Module:
    """Chollet (2017), as Kaufmann et al. (2020) used it; from timm."""
    try:
        with without_triton():
            import timm
    except ImportError as error:
        raise InputError(
            "The network xception needs timm: install it (pip install timm), or take another."
        ) from error
    try:
        body: Any = timm.create_model(
            "legacy_xception", pretrained=pretrained, num_classes=n_classes
        )
    except Exception as error:  # whatever the hub's client raises without a connection
        if pretrained:
            raise NotFetchedError(type(error).__name__) from error
        raise
    return PictureNetwork(body, body.get_classifier(), body.act4, first_cell=3.0)


def compact(n_classes: int, pretrained: bool) -> nn.Module:
    """Residual network of 0.4 million weights, like the one of the zone model."""
    if pretrained:
        raise NotFetchedError("nobody offers any for this network")
    width = 16
    features = residual_stages(1, width)
    last = nn.Linear(8 * width, n_classes)
    body = nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.1), last)
    return PictureNetwork(body, last, features, channels=1)


def fasterrcnn_resnet50_fpn(n_classes: int, pretrained: bool) -> nn.Module:
    """Ren et al. (2015), as Gorelik et al. (2025) used it; trained on COCO."""
    from torchvision.models import detection

    from napari_diffraction.learning.networks.detection import DetectionNetwork

    enum = detection.FasterRCNN_ResNet50_FPN_Weights
    return DetectionNetwork(n_classes, _fetched(enum.DEFAULT.url) if pretrained else None)


#: By the name in a recipe: makes the network for a number of classes, from weights that somebody
#: else trained or from random ones; raises `NotFetchedError` where the former are not to be had.
PICTURE_NETWORKS: dict[str, Callable[[int, bool], nn.Module]] = {
    "compact": compact,
    "resnet18": _resnet("resnet18"),
    "resnet34": _resnet("resnet34"),
    "resnet50": _resnet("resnet50"),
    "xception": xception,
    "efficientnet_b0": efficientnet_b0,
    "convnext_tiny": convnext_tiny,
    "fasterrcnn_resnet50_fpn": fasterrcnn_resnet50_fpn,
}


def build(n_classes: int, name: str, normalised: bool = True) -> nn.Module:
    """Make a network with random weights, as `Classifier` wants it."""
    network = _row(name)(n_classes, False)
    if isinstance(network, PictureNetwork):  # the others scale grey in their own way
        network.normalised = normalised
    return network


def build_pretrained(n_classes: int, name: str) -> tuple[nn.Module, str]:
    """Make a network from weights that somebody else trained, where they can be fetched.

    Returns
    -------
    network
        With random weights where they cannot.
    note
        A sentence in this case, else an empty text.
    """
    try:
        return _row(name)(n_classes, True), ""
    except NotFetchedError as error:
        return build(n_classes, name), (
            f"Weights to start {name} from cannot be fetched ({error}): it starts from random ones."
        )


def _row(name: str) -> Callable[[int, bool], nn.Module]:
    if name not in PICTURE_NETWORKS:
        raise InputError(f"There is no network '{name}': use one of {', '.join(PICTURE_NETWORKS)}.")
    return PICTURE_NETWORKS[name]


# -- weights of others -----------------------------------------------------------------------------
def _torchvision(name: str, pretrained: bool) -> Any:
    with without_triton():
        from torchvision import models
    body = models.get_model(name, weights=None)
    if pretrained:
        body.load_state_dict(_fetched(models.get_model_weights(name).DEFAULT.url))
    return body


def _fetched(url: str) -> dict[str, Tensor]:
    """Fetch weights once, by their hash, or take them from the folder where they were kept."""
    silent = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_PATIENCE)
    try:
        state: dict[str, Tensor] = torch.hub.load_state_dict_from_url(
            url, map_location="cpu", progress=False, check_hash=True, weights_only=True
        )
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise NotFetchedError(f"{os.path.basename(url)}: {reason}") from error
    finally:
        socket.setdefaulttimeout(silent)
    return state
