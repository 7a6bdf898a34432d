"""The network of the Bravais classifier: it compares the bands of a pattern with each other."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Laue groups, an auxiliary target.
N_LAUE = 11
#: Bells and cosines by which an angle is described.
_BELLS, _COSINES = 16, 8
_EDGE = _BELLS + _COSINES
#: Square of the distance from a bell, in steps, from which on all is equally far.
_FAR = 60
_HIDDEN = -1e4


class _Layer(nn.Module):
    """Attention (Vaswani et al. 2017) biased by angles, and messages that know the angles."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.bias = nn.Linear(_EDGE, heads, bias=False)
        self.ends = nn.Linear(width, width)
        self.angle = nn.Linear(_EDGE, width // 2, bias=False)
        self.gather = nn.Linear(width + width // 2, width)
        self.alone = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor, edge: Tensor, hidden: Tensor, share: Tensor) -> Tensor:
        n, k, width = x.shape
        y = self.before(x)
        query, key, value = (
            self.qkv(y).reshape(n, k, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        )
        bias = self.bias(edge).permute(0, 3, 1, 2) + hidden[:, None, None, :]
        seen = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=bias.to(query.dtype)
        )
        mine, theirs = self.ends(y).chunk(2, dim=-1)
        message = torch.relu(mine[:, :, None] + theirs[:, None] + self.angle(edge))
        told = (message * share[:, None, :, None]).sum(dim=2)
        x = x + self.gather(torch.cat([seen.transpose(1, 2).reshape(n, k, width), told], dim=-1))
        out: Tensor = x + self.alone(x)
        return out


class BandNetwork(nn.Module):
    """Judges a set of bands by their profiles and the angles between them.

    Nothing that it sees depends on how the crystal lies, on the camera's distance, or on the shape
    of the mask; a neighbouring band is known by the angle to it alone.

    Parameters
    ----------
    n_classes
        Number of classes.
    width
        Numbers by which each band is described inside.
    depth
        Layers.
    heads
        Heads of attention.
    profile, area
        Lengths of what `napari_diffraction.learning.networks.band_view.tensors` gives for a band.
    """

    def __init__(
        self,
        n_classes: int = 15,
        width: int = 96,
        depth: int = 3,
        heads: int = 6,
        profile: int = 25,
        area: int = 7,
    ) -> None:
        super().__init__()
        self.enter = nn.Linear(profile + area + 2, width)
        self.layers = nn.ModuleList(_Layer(width, heads) for _ in range(depth))
        self.last = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.ReLU())
        self.weigh = nn.Linear(width, 4 * width)
        self.drawn = nn.Identity()
        self.between = nn.Sequential(
            nn.LayerNorm(4 * width), nn.Linear(4 * width, 2 * width), nn.GELU()
        )
        self.head = nn.Linear(2 * width, n_classes)
        self.laue = nn.Linear(2 * width, N_LAUE)

    @property
    def explain_layer(self) -> nn.Module:
        """What the bands say, drawn where they lie: a class-activation map weighs this."""
        return self.drawn

    def forward(
        self,
        normal: Tensor,
        strength: Tensor,
        profile: Tensor,
        area: Tensor,
        count: Tensor,
        place: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Judge patterns.

        Parameters
        ----------
        normal : Tensor, (n, k, 3)
            Unit normals of the planes, up to sign, in any frame.
        strength : Tensor, (n, k)
            Contrast over noise.
        profile, area : Tensor, (n, k, 25) and (n, k, 7)
            Profiles, and the number of pixels behind their values.
        count : Tensor of int64, (n,)
            How many bands there are; the rest is left out.
        place : Tensor, (n, k, h, w), optional
            Where the bands lie in a picture, the sum over each being 1.  What the bands say is then
            drawn there before it is summed, which changes nothing but lets one see it.

        Returns
        -------
        dict
            Logits ``lattice`` (n, n_classes) and ``laue`` (n, 11).
        """
        there = torch.arange(normal.shape[1], device=normal.device)[None] < count[:, None]
        hidden = torch.where(there, 0.0, _HIDDEN)
        share = there.float() / count[:, None].clamp_min(1)
        turned = profile.flip(-1)
        half = profile.shape[-1] // 2
        x = self.enter(
            torch.cat(
                [
                    (profile + turned)[..., half:] / 2,
                    (profile - turned)[..., half + 1 :].abs() / 2,
                    torch.log1p(area) / 5,
                    strength[..., None] / 10,
                    torch.log1p(strength)[..., None],
                ],
                dim=-1,
            )
        )
        edge = _angles(normal)
        for layer in self.layers:
            x = layer(x, edge, hidden, share)
        # Between a mean and a maximum over the bands, for each number as it learns.
        said = self.last(x) * torch.softmax(self.weigh(x) + hidden[..., None], dim=1)
        if place is None:
            said = said.sum(dim=1)
        else:
            said = self.drawn(torch.einsum("nkc,nkhw->nchw", said, place)).sum(dim=(2, 3))
        y = self.between(said)
        return {"lattice": self.head(y), "laue": self.laue(y)}


def _angles(normal: Tensor) -> Tensor:
    """Describe the angle between each two planes, (n, k, k, 24), the same for either sign."""
    cosine = torch.einsum("nic,njc->nij", normal, normal).abs().clamp(max=0.99999)
    angle = torch.acos(cosine)[..., None]
    at = torch.linspace(0, math.pi / 2, _BELLS, device=normal.device)
    order = 2 * torch.arange(1, _COSINES + 1, device=normal.device)
    # not below 1e-26: with numbers too small to be normal, processors multiply many times slower
    bells = torch.exp(-((angle - at) / at[1]).square().clamp(max=_FAR))
    return torch.cat([bells, torch.cos(order * angle)], dim=-1)
