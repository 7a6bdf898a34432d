"""The networks of the Bravais classifier: residual networks with an auxiliary map of symmetry."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

#: Axes of order 2, 3, 4, 6 and mirror lines.
N_MAPS = 5
#: Height and width of the map of symmetry elements.
MAP_SIDE = 8
N_LAUE = 11


class _Block(nn.Module):
    """Residual block of two 3 x 3 convolutions with squeeze and excitation (Hu et al. 2018)."""

    def __init__(self, inside: int, outside: int, stride: int = 1, squeeze: bool = True) -> None:
        super().__init__()
        last = nn.BatchNorm2d(outside)
        nn.init.constant_(last.weight, 0.2)
        self.body = nn.Sequential(
            nn.Conv2d(inside, outside, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(outside),
            nn.ReLU(inplace=True),
            nn.Conv2d(outside, outside, 3, padding=1, bias=False),
            last,
        )
        self.squeeze = (
            nn.Sequential(
                nn.Linear(outside, outside // 8),
                nn.ReLU(inplace=True),
                nn.Linear(outside // 8, outside),
                nn.Sigmoid(),
            )
            if squeeze
            else None
        )
        short: list[nn.Module] = []
        if stride > 1:
            short.append(nn.AvgPool2d(stride, ceil_mode=True))
        if inside != outside:
            short += [nn.Conv2d(inside, outside, 1, bias=False), nn.BatchNorm2d(outside)]
        self.short = nn.Sequential(*short)

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        if self.squeeze is not None:
            y = y * self.squeeze(y.mean(dim=(2, 3)))[:, :, None, None]
        return torch.relu(self.short(x) + y)


class BravaisNetwork(nn.Module):
    """Residual network (He et al. 2016) for flattened Kikuchi patterns.

    Parameters
    ----------
    n_classes
        Number of classes.
    widths
        Channels of the stages at 1/2 (the stem), 1/4, 1/8 and 1/16 of the input's side.
    depths
        Blocks of each stage; the stem's entry may be 0.
    squeeze
        Whether blocks weigh their channels (squeeze and excitation).
    """

    def __init__(
        self,
        n_classes: int = 15,
        widths: Sequence[int] = (24, 48, 96, 192),
        depths: Sequence[int] = (1, 2, 2, 2),
        squeeze: bool = False,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(2, widths[0], 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
            *(_Block(widths[0], widths[0], squeeze=squeeze) for _ in range(depths[0])),
        ]
        stages: list[nn.Sequential] = []
        for inside, outside, depth in zip(widths, widths[1:], depths[1:], strict=False):
            stages.append(
                nn.Sequential(
                    _Block(inside, outside, stride=2, squeeze=squeeze),
                    *(_Block(outside, outside, squeeze=squeeze) for _ in range(depth - 1)),
                )
            )
        self.body = nn.Sequential(*layers, *stages[:-1])
        self.last = stages[-1]
        self.maps = nn.Conv2d(widths[-2], N_MAPS, 1)
        self.head = nn.Sequential(nn.Dropout(0.1), nn.Linear(2 * widths[-1], n_classes))
        self.laue = nn.Linear(2 * widths[-1], N_LAUE)

    @property
    def explain_layer(self) -> nn.Module:
        """Layer whose activations a class-activation map weighs; 8 x 8."""
        return self.body[-1]

    def forward(self, seen: Tensor) -> dict[str, Tensor]:
        """Judge patterns.

        Parameters
        ----------
        seen : Tensor, (n, 2, 64, 64)
            From `napari_diffraction.learning.bravais_view.standardise`.

        Returns
        -------
        dict
            Logits: ``lattice`` (n, n_classes), ``laue`` (n, 11) and ``maps`` (n, 5, 8, 8).
        """
        x = self.body(seen.contiguous(memory_format=torch.channels_last))
        y = self.last(x)
        pooled = torch.cat([y.mean(dim=(2, 3)), y.amax(dim=(2, 3))], dim=1)
        return {"lattice": self.head(pooled), "laue": self.laue(pooled), "maps": self.maps(x)}
