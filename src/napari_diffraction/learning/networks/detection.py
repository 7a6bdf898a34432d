"""Faster R-CNN as a classifier: one object, the pattern, whose best box gives the class.

Gorelik et al. (2025) let Faster R-CNN with a ResNet-50-FPN backbone (Ren et al. 2015, Lin et al.
2017) find a box over the whole pattern and take its confidence as that of the class.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_diffraction.learning.networks.triton import without_triton

with without_triton():
    from torchvision.models import detection
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.faster_rcnn import FastRCNNPredictor

#: A pixel belongs to the pattern from this grey value on.
_SEEN = 26
#: Boxes that are left after the weaker of two overlapping ones is dropped.
_BOXES = 16
_LEAST = 1e-6


class DetectionNetwork(nn.Module):
    """A detector that says of what class the one object of each picture is.

    Parameters
    ----------
    n_classes
        Number of classes; the detector has one more, the background.
    weights
        State of torchvision's detector trained on COCO; ``None``: random weights.
    """

    has_fixed_norm: Tensor

    def __init__(self, n_classes: int, weights: dict[str, Tensor] | None = None) -> None:
        super().__init__()
        self.n_classes = n_classes
        # Kept with the weights, since a training that goes on must know it.
        self.register_buffer("has_fixed_norm", torch.tensor(weights is not None))
        with torch.device("cpu"):  # no weights, so they are not in the file
            sizes = tuple((side,) for side in (32, 64, 128, 256, 512))
            anchors = AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * len(sizes))
        self.detector = detection.fasterrcnn_resnet50_fpn(
            weights=None,
            weights_backbone=None,
            num_classes=91 if weights is not None else n_classes + 1,
            rpn_anchor_generator=anchors,
            box_score_thresh=0.0,
            box_detections_per_img=_BOXES,
        )
        if weights is not None:
            # Its norms were fixed, and have not counted their batches.
            self.detector.load_state_dict(weights, strict=False)
            width = self.detector.roi_heads.box_predictor.cls_score.in_features
            self.detector.roi_heads.box_predictor = FastRCNNPredictor(width, n_classes + 1)

    def train(self, mode: bool = True) -> DetectionNetwork:
        """Let the network learn or rest; norms that came with the weights always rest."""
        super().train(mode)
        if mode and bool(self.has_fixed_norm):
            for module in self.detector.backbone.body.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    @property
    def explain_layer(self) -> nn.Module:
        """Layer whose activations a class-activation map weighs."""
        return self.detector.backbone.body.layer4  # type: ignore[no-any-return]

    @property
    def last_layer(self) -> nn.Module:
        """What learns first."""
        return self.detector.roi_heads.box_predictor  # type: ignore[no-any-return]

    def forward(self, picture: Tensor, label: Tensor | None = None) -> dict[str, Tensor]:
        """Judge pictures, or with labels return the loss.

        Parameters
        ----------
        picture : Tensor, (n, 1, size, size)
            From 0 to 255.
        label : Tensor of int, (n,)

        Returns
        -------
        dict
            ``class`` (n, n_classes), the logarithm of the best box's score in each class; with
            labels ``loss``, the sum of the detector's four losses.
        """
        # Pictures come in one size already: the detector's own scaling must do nothing.
        side = picture.shape[-1]
        self.detector.transform.min_size, self.detector.transform.max_size = (side,), side
        images = list((picture.float() / 255).expand(-1, 3, -1, -1))
        if label is not None:
            targets = [
                {"boxes": box[None], "labels": one[None] + 1}
                for box, one in zip(boxes_over(picture), label, strict=True)
            ]
            return {"loss": torch.stack([*self.detector(images, targets).values()]).sum()}
        return {"class": torch.stack([self._best(found) for found in self.detector(images)])}

    def _best(self, found: dict[str, Tensor]) -> Tensor:
        """Logarithm of the best score in each class, (n_classes,)."""
        labels, scores = found["labels"], found["scores"].float()
        best = scores.new_full((self.n_classes,), _LEAST)
        best = best.scatter_reduce(0, labels - 1, scores, "amax")
        return torch.log(best)


def boxes_over(picture: Tensor) -> Tensor:
    """Box around all that is not black, as x and y from and to; the frame where all is black.

    Parameters
    ----------
    picture : Tensor, (n, 1, h, w)
        From 0 to 255.

    Returns
    -------
    Tensor, (n, 4)
    """
    seen = picture[:, 0] >= _SEEN
    ends = []
    for axis in (1, 2):
        line = seen.any(dim=axis)
        length = line.shape[1]
        line = line | ~line.any(dim=1, keepdim=True)
        first = line.float().argmax(dim=1)
        ends.append((first, length - line.flip(1).float().argmax(dim=1)))
    (left, right), (top, bottom) = ends
    return torch.stack([left, top, right, bottom], dim=1).float()
