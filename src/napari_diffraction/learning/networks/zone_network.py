"""The network of the zone classifier: two pictures and the net's features, three opinions."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from napari_diffraction.learning.classes import NO_HIT, ZONE_CLASSES
from napari_diffraction.learning.networks.zone_view import EXTRA, N_FEATURES
from napari_diffraction.simulation.spots.labels import MIN_HIT_CLEAN

_EXTRA = {name: N_FEATURES - len(EXTRA) + k for k, name in enumerate(EXTRA)}

#: Measures of a pattern, of which its calibration is a linear function.
GIVEN = 5
#: Where fewer spots are found than a hit has, it is a no-hit, whatever rings and halos look like;
#: of noisy ones one in ten is a hit whose spots are too faint to be found.
_SURE = 0.9
#: Thresholds of the dominant-zone fraction of the ordinal target.
FRACTIONS = (0.5, 0.8, 0.9, 0.999)


class _Block(nn.Module):
    """Residual block of two 3 x 3 convolutions (He et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.body(x))


def _down(inside: int, outside: int, kernel: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, kernel, stride=2, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(inplace=True),
    )


def residual_stages(planes: int, width: int) -> nn.Sequential:
    """Make what reads pictures: from `planes` to 8 `width` channels at a 16th of the size."""
    w = width
    return nn.Sequential(
        _down(planes, w, 5),
        _down(w, 2 * w),
        _Block(2 * w),
        _down(2 * w, 4 * w),
        _Block(4 * w),
        _down(4 * w, 8 * w),
        _Block(8 * w),
    )


def given(features: Tensor) -> Tensor:
    """Measures by which patterns are calibrated apart, (n, 5), from their features.

    Patterns without noise are one group; the trust in the others depends on their number of spots,
    on their noise, and on the number of strong spots.
    """
    free = features[:, _EXTRA["noise_free"]]
    spots = features[:, 0] - 3.0  # logarithm of their number
    strong = features[:, _EXTRA["strong_spots"]]
    noise = features[:, _EXTRA["noise"]]
    noisy = 1 - free
    return torch.stack(
        [torch.ones_like(free), free, noisy * spots, noisy * strong, noisy * noise], 1
    )


def _no_hit_of_few_spots(verdict: Tensor, features: Tensor) -> Tensor:
    """Raise the logit of a no-hit where fewer spots are found than a hit has."""
    no_hit = torch.arange(verdict.shape[1], device=verdict.device) == ZONE_CLASSES.index(NO_HIT)
    few = _are_few(features)[:, None]
    others = torch.logsumexp(verdict.masked_fill(no_hit, -math.inf), 1, keepdim=True)
    least = torch.maximum(verdict, others + math.log(_SURE / (1 - _SURE)))
    return torch.where(few & no_hit, least, verdict)


def _are_few(features: Tensor) -> Tensor:
    return features[:, 0] < math.log1p(MIN_HIT_CLEAN - 0.5)


class ZoneNetwork(nn.Module):
    """Compact network with an eye for the picture and an eye for the fitted net.

    Parameters
    ----------
    n_features
        Number of features of the net.
    n_classes
        Number of classes.
    width
        Channels of the first stage.
    calibrated
        Whether the network holds a calibration by what kind of pattern it is.
    few_are_no_hits
        Whether it then calls a pattern with fewer spots than a hit has a no-hit, see `heed`.
    """

    log_scale: Tensor
    bias: Tensor

    def __init__(
        self,
        n_features: int,
        n_classes: int = 4,
        width: int = 16,
        calibrated: bool = False,
        few_are_no_hits: bool = True,
    ) -> None:
        super().__init__()
        self.calibrated, self.few_are_no_hits = calibrated, few_are_no_hits
        if calibrated:
            self.register_buffer("log_scale", torch.zeros(GIVEN))
            self.register_buffer("bias", torch.zeros(GIVEN, n_classes))
        self.n_features = n_features
        w = width
        self.picture = residual_stages(2, w)
        self.vectors = nn.Sequential(_down(1, w, 5), _down(w, 2 * w), _down(2 * w, 4 * w))
        self.fit = nn.Sequential(
            nn.BatchNorm1d(n_features),
            nn.Linear(n_features, 96),
            nn.ReLU(inplace=True),
            nn.Linear(96, 64),
            nn.ReLU(inplace=True),
        )
        self.seen = nn.Sequential(nn.Linear(8 * w + 8 * w + 4 * w, 96), nn.ReLU(inplace=True))
        self.network_head = nn.Linear(96, n_classes)
        self.fit_head = nn.Linear(64, n_classes)
        self.join = nn.Sequential(
            nn.Dropout(0.1), nn.Linear(96 + 64, 96), nn.ReLU(inplace=True), nn.Dropout(0.1)
        )
        self.head = nn.Linear(96, n_classes)
        self.ordinal = nn.Linear(96, len(FRACTIONS))

    @property
    def explain_layer(self) -> nn.Module:
        """Layer whose activations a class-activation map weighs; 32 x 32."""
        return self.picture[2]

    def forward(self, picture: Tensor, vectors: Tensor, features: Tensor) -> dict[str, Tensor]:
        """Judge patterns.

        Parameters
        ----------
        picture : Tensor of uint8, (n, 2, 128, 128)
        vectors : Tensor of uint8, (n, 64, 64)
        features : Tensor of float32, (n, n_features)

        Returns
        -------
        dict
            Logits: ``joint``, ``network`` (pictures alone), ``fit`` (net alone), each
            (n, n_classes), and ``ordinal`` (n, 4) for the thresholds `FRACTIONS`.
        """
        return self.judge(self.look(picture, vectors, features))

    def look(self, picture: Tensor, vectors: Tensor, features: Tensor) -> Tensor:
        """Look at patterns with both eyes: what `judge` goes by, (n, 20 width + n_features)."""
        x = self.picture((picture.float() / 64).to(memory_format=torch.channels_last))
        v = self.vectors((vectors.float() / 64).unsqueeze(1).to(memory_format=torch.channels_last))
        pooled = (x.mean(dim=(2, 3)), x.amax(dim=(2, 3)), v.mean(dim=(2, 3)))
        return torch.cat([*pooled, features], dim=1)

    def judge(self, looked: Tensor) -> dict[str, Tensor]:
        """Judge patterns by what `look` gave, as in `forward`."""
        features = looked[:, -self.n_features :]
        seen = self.seen(looked[:, : -self.n_features])
        fit = self.fit(features)
        joint = self.join(torch.cat([seen, fit], dim=1))
        verdict = self.head(joint)
        if self.calibrated and not self.training:
            of = given(features)
            verdict = verdict * torch.exp(of @ self.log_scale)[:, None] + of @ self.bias
            if self.few_are_no_hits:
                verdict = _no_hit_of_few_spots(verdict, features)
        return {
            "joint": verdict,
            "network": self.network_head(seen),
            "fit": self.fit_head(fit),
            "ordinal": self.ordinal(joint),
        }

    def heed(self, looked: Tensor, label: Tensor) -> dict[str, bool]:
        """Give up calling all patterns of few spots no-hits, if labels of a person say otherwise.

        Parameters
        ----------
        looked : Tensor, (n, m)
            What `look` gave.
        label : Tensor of int64, (n,)
            Classes.

        Returns
        -------
        dict
            Options that make such a network.
        """
        few = _are_few(looked[:, -self.n_features :])
        if (few & (label != ZONE_CLASSES.index(NO_HIT))).any():
            self.few_are_no_hits = False
        return {"few_are_no_hits": self.few_are_no_hits}
