from __future__ import annotations

from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import nn

from napari_diffraction.errors import InputError
from napari_diffraction.learning.classes import NO_HIT
from napari_diffraction.learning.explain.heatmaps import (
    METHODS,
    WAYS,
    Explainer,
    Way,
    sampled,
)
from napari_diffraction.learning.model_card import ModelCard
from napari_diffraction.learning.models import kinds as networks
from napari_diffraction.learning.models.classifier import Classifier
from napari_diffraction.learning.models.registry import load_model
from napari_diffraction.learning.networks import bravais_view
from napari_diffraction.learning.networks.band_network import BandNetwork
from napari_diffraction.learning.networks.zone_network import ZoneNetwork
from napari_diffraction.learning.networks.zone_view import view
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack, SpotGeometry
from napari_diffraction.progress import finish
from napari_diffraction.simulation.samples import serial_experiment


def stack_of(frames: np.ndarray) -> PatternStack:
    return PatternStack(da.from_array(frames, chunks=(1, *frames.shape[1:])), "patterns")


@pytest.fixture(scope="module")
def patterns() -> np.ndarray:
    return finish(serial_experiment(seed=5, n=30)).images


@pytest.fixture(scope="module")
def explainer(patterns: np.ndarray) -> Explainer:
    return Explainer(load_model("zones"), stack_of(patterns), "cpu")


# -- the way back to the frame -------------------------------------------------------------------
@settings(max_examples=20, deadline=None)
@given(
    height=st.integers(150, 900),
    width=st.integers(150, 900),
    # of a small frame more would bring a spot as near to the middle as the beam
    shift=st.tuples(st.integers(-12, 12), st.integers(-12, 12)),
)
def test_the_spots_of_a_picture_come_back_to_where_they_are(
    height: int, width: int, shift: tuple[int, int]
) -> None:
    rng = np.random.default_rng(height * width)
    frame = rng.normal(10, 1, (height, width))
    y0, x0 = height // 2 + shift[0], width // 2 + shift[1]
    rows, columns = np.mgrid[:height, :width]
    reach = 0.35 * min(height, width)
    places = [(y0 + reach * np.sin(a), x0 + reach * np.cos(a)) for a in np.arange(8) * 0.7]
    for y, x in [*places, (y0 + 0.1 * reach, x0 + 0.6 * reach)]:
        frame += 300 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 8)
    frame += 3000 * np.exp(-((rows - y0) ** 2 + (columns - x0) ** 2) / 18)
    seen = view(frame)
    back = sampled(seen.picture[1].astype(np.float32), *WAYS["zones"].places(seen, (height, width)))
    step = seen.window[2]
    for y, x in places:
        near = np.hypot(rows - y, columns - x) < 3 * step + 2
        top = np.unravel_index(np.argmax(np.where(near, back, -1)), back.shape)
        assert np.hypot(top[0] - y, top[1] - x) <= step + 1
        assert back[top] > 100


@settings(max_examples=30, deadline=None)
@given(
    height=st.integers(60, 1000),
    aspect=st.floats(0.5, 2),
    at=st.tuples(st.floats(0.2, 0.8), st.floats(0.2, 0.8)),
)
def test_a_place_of_the_square_comes_back_to_where_it_is(
    height: int, aspect: float, at: tuple[float, float]
) -> None:
    width = int(aspect * height)
    y, x = at[0] * height, at[1] * width
    wide = 0.03 * max(height, width)
    rows, columns = np.mgrid[:height, :width]
    frame = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * wide**2)).astype(np.float32)
    stack = stack_of(frame[None])
    look = bravais_view.looker(stack)
    # The static background of a single frame is not taken off: the square shows the frame.
    frames, lit = look(frame)
    square = bravais_view.shrink(frames[None], torch.ones_like(lit))[0][0].numpy()
    back = sampled(square, *WAYS["bands"].places(None, (height, width)))
    weight = np.maximum(back - 0.5 * back.max(), 0)
    found = (rows * weight).sum() / weight.sum(), (columns * weight).sum() / weight.sum()
    pixel = max(height, width) / len(square)
    assert np.hypot(found[0] - y, found[1] - x) < 0.5 * pixel + 0.5


def test_cells_of_the_layer_look_where_the_maps_put_them() -> None:
    torch.manual_seed(0)
    inputs = [torch.rand(8, *shape) for shape in [(2, 128, 128), (64, 64), (34,)]]
    inputs[0].requires_grad_()
    seen: list[torch.Tensor] = []
    network = ZoneNetwork(34).eval()
    network.explain_layer.register_forward_hook(lambda *call: seen.append(call[2]))
    network(*inputs)
    stride = 128 / seen[0].shape[-1]
    middle = seen[0].shape[-1] // 2
    cell = seen[0][:, :, middle, middle]
    (grad,) = torch.autograd.grad((cell * torch.randn_like(cell)).sum(), inputs[0])
    weight = grad.square().sum(dim=(0, 1))
    centre = float((weight.sum(0) * torch.arange(128)).sum() / weight.sum())
    assert centre == pytest.approx(WAYS["zones"].first_cell + stride * middle, abs=1.5)


# -- a network of which it is known what it looks at ---------------------------------------------
class _Sides(nn.Module):
    """Says how much is brighter, and how much is darker, than the mean."""

    def __init__(self, n_classes: int = 2) -> None:
        super().__init__()
        self.explain_layer = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), nn.ReLU())
        self.explain_layer[0].weight.data = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1)

    def forward(self, picture: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"answer": self.explain_layer(picture).mean(dim=(2, 3))}


@pytest.fixture
def sides(monkeypatch: pytest.MonkeyPatch) -> Classifier:
    kind = networks.Kind(
        build=_Sides,
        looker=lambda stack: lambda frame: frame.astype(np.float32) - 10,
        tensors=lambda seen: (torch.from_numpy(np.stack(seen))[:, None],),
        head="answer",
        shares=None,
        is_ready=lambda: True,
        misfit=lambda card: "",
    )
    monkeypatch.setitem(networks.NETWORKS, "sides", kind)
    way = Way(lambda _, shape: tuple(map(np.arange, shape)), 0.0, "gradcam", SpotGeometry)
    monkeypatch.setitem(WAYS, "sides", way)
    card = ModelCard("sides", "Sides", "", "sides", ("bright", "dark"), {}, 1.0, (0.0, 0.0), {}, {})
    return Classifier(card, _Sides())


@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "hirescam"])
def test_each_class_has_its_own_place(sides: Classifier, method: str) -> None:
    frame = np.full((24, 40), 10.0)
    frame[4:9, 3:11] = 60
    frame[15:20, 25:35] = 0
    explainer = Explainer(sides, stack_of(frame[None]), "cpu")
    made = explainer.explain(frame, None, method)
    assert made.label == made.predicted == "bright"
    assert sum(made.probabilities.values()) == pytest.approx(1)
    assert made.heat.shape == frame.shape
    assert made.heat.dtype == np.float32
    assert made.heat[6, 6] == 1.0
    assert np.array_equal(made.heat > 0.5, frame > 10)
    other = explainer.explain(frame, "dark", method)
    assert (other.label, other.predicted) == ("dark", "bright")
    assert np.array_equal(other.heat > 0.5, frame < 10)


def test_eigen_cam_is_hot_where_the_network_is_active_whatever_the_sign(
    sides: Classifier,
) -> None:
    frame = np.full((24, 40), 10.0)
    frame[4:9, 3:11] = 60
    explainer = Explainer(sides, stack_of(frame[None]), "cpu")
    for label in ("bright", "dark"):
        heat = explainer.explain(frame, label, "eigencam").heat
        assert heat[6, 6] > 0.9
        assert heat[20, 30] < 0.1


def test_where_nothing_speaks_for_a_class_the_map_is_empty(sides: Classifier) -> None:
    frame = np.full((24, 40), 10.0)
    frame[4:9, 3:11] = 60
    made = Explainer(sides, stack_of(frame[None]), "cpu").explain(frame, "dark")
    assert not made.heat.any()


def test_unknown_classes_and_methods_are_refused(sides: Classifier) -> None:
    frame = np.zeros((8, 8))
    explainer = Explainer(sides, stack_of(frame[None]), "cpu")
    with pytest.raises(InputError, match="no class 'grey': use one of bright, dark"):
        explainer.explain(frame, "grey")
    with pytest.raises(InputError, match=r"no method 'saliency': use gradcam, gradcam\+\+"):
        explainer.explain(frame, None, "saliency")


def test_the_network_itself_is_left_as_it_was(sides: Classifier) -> None:
    before = [p.requires_grad for p in sides.network.parameters()]
    Explainer(sides, stack_of(np.zeros((1, 8, 8))), "cpu").explain(np.ones((8, 8)))
    assert [p.requires_grad for p in sides.network.parameters()] == before
    assert not sides.network.explain_layer._forward_hooks
    assert all(p.grad is None for p in sides.network.parameters())


def test_of_a_mirrored_kikuchi_pattern_the_map_is_mirrored() -> None:
    torch.manual_seed(1)
    network = BandNetwork(3, width=16, depth=1, heads=2)
    card = ModelCard(
        "small", "Small", "", "bands", ("cF", "cI", "hP"), {}, 1.0, (0.0, 0.0, 0.0), {}, {}
    )
    rng = np.random.default_rng(0)
    frame = ndimage.gaussian_filter(rng.random((72, 96)), 2)
    stack = replace(stack_of(frame[None]), geometry=KikuchiGeometry(pc=(0.5, 0.3, 0.6)))
    explainer = Explainer(Classifier(card, network.eval()), stack, "cpu")
    heat = explainer.explain(frame, "cF").heat
    assert heat.shape == (72, 96)
    assert heat.max() == 1
    assert not np.allclose(heat, heat[:, ::-1], atol=0.05)
    mirrored = explainer.explain(frame[:, ::-1], "cF").heat[:, ::-1]
    # Of two faint bands near each other the other one may be kept of the mirror image.
    assert np.corrcoef(mirrored.ravel(), heat.ravel())[0, 1] > 0.6
    assert np.corrcoef(mirrored[:, ::-1].ravel(), heat.ravel())[0, 1] < 0.4


def test_a_map_of_bands_lies_on_the_bands() -> None:
    torch.manual_seed(2)
    columns = np.arange(64)[None].repeat(64, 0)
    frame = np.exp(-(((columns - 20) / 2.0) ** 2)) + 0.05 * np.random.default_rng(3).random(
        (64, 64)
    )
    network = BandNetwork(2, width=16, depth=1, heads=2).eval()
    card = ModelCard("small", "Small", "", "bands", ("cF", "cI"), {}, 1.0, (0.0, 0.0), {}, {})
    stack = replace(stack_of(frame[None]), geometry=KikuchiGeometry(pc=(0.5, 0.5, 0.6)))
    explainer = Explainer(Classifier(card, network), stack, "cpu")
    heat = np.mean([explainer.explain(frame, name).heat for name in ("cF", "cI")], axis=0)
    assert heat[:, 18:23].mean() > 3 * heat[:, 40:].mean()


# -- the shipped model ---------------------------------------------------------------------------
@pytest.mark.parametrize("method", METHODS)
def test_a_map_goes_from_0_to_1_in_the_frames_own_pixels(
    explainer: Explainer, patterns: np.ndarray, method: str
) -> None:
    made = explainer.explain(patterns[1][:, :200], None, method)
    assert made.heat.shape == (256, 200)
    assert made.heat.min() == 0
    assert made.heat.max() == 1


def test_the_prediction_is_that_of_a_classification(
    explainer: Explainer, patterns: np.ndarray
) -> None:
    from napari_diffraction.learning.classification.inference import classify

    table = finish(classify(stack_of(patterns[:6]), load_model("zones"), device="cpu"))
    made = [explainer.explain(frame) for frame in patterns[:6]]
    assert [one.predicted for one in made] == table["label"].tolist()
    shares = [one.probabilities[one.predicted] for one in made]
    assert np.allclose(shares, table["confidence"], atol=1e-4)


def test_a_frame_that_shows_nothing_is_of_the_class_for_it(explainer: Explainer) -> None:
    assert explainer.explain(np.full((64, 80), 7, np.uint16)).predicted == NO_HIT


def test_the_map_moves_with_the_pattern(explainer: Explainer, patterns: np.ndarray) -> None:
    moved, still = [], []
    for frame in patterns[:6]:
        wide = np.pad(frame, 40, mode="reflect")
        one = explainer.explain(wide[20:, 30:][:256, :256], "3DLaueIntersections").heat
        two = explainer.explain(wide[44:, 6:][:256, :256], "3DLaueIntersections").heat
        inner = (slice(60, 190), slice(60, 190))
        shifted = np.roll(one, (-24, 24), axis=(0, 1))
        moved.append(np.corrcoef(two[inner].ravel(), shifted[inner].ravel())[0, 1])
        still.append(np.corrcoef(two[inner].ravel(), one[inner].ravel())[0, 1])
    assert np.median(moved) > 0.8
    assert np.median(moved) > np.median(still) + 0.3


def test_the_maps_show_the_spots_and_not_the_edge_of_the_frame(
    explainer: Explainer, patterns: np.ndarray
) -> None:
    rows, columns = np.mgrid[:256, :256]
    edge = np.minimum(np.minimum(rows, 255 - rows), np.minimum(columns, 255 - columns)) < 8
    heats = [explainer.explain(frame).heat for frame in patterns]
    mean = np.mean(heats, axis=0)
    assert mean[edge].mean() < mean[~edge].mean()
    # What depends on the frame alone would be alike in all maps.
    alike = np.corrcoef([heat.ravel() for heat in heats])[np.triu_indices(len(heats), 1)]
    assert np.median(alike) < 0.5


def test_removing_the_hottest_fifth_harms_the_class_more_than_any_other_fifth(
    explainer: Explainer, patterns: np.ndarray
) -> None:
    rng = np.random.default_rng(1)
    worse = []
    for frame in patterns:
        made = explainer.explain(frame)
        if made.label == "NoHit":  # nothing is there to be removed
            continue
        heat = made.heat + 1e-6 * rng.random(frame.shape)
        blocks = np.kron(rng.random((32, 32)), np.ones((8, 8)))
        drops = []
        for order in (heat, blocks):
            removed = without(frame, order > np.quantile(order, 0.8), rng)
            drops.append(-log_odds(explainer.explain(removed, made.label)))
        worse.append(drops[0] > drops[1])
    assert np.mean(worse) >= 0.75


def without(frame: np.ndarray, where: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Put noise around the median of the ring in the place of some pixels."""
    rows, columns = np.mgrid[: frame.shape[0], : frame.shape[1]]
    ring = (np.hypot(rows - 128, columns - 128) / 8).astype(int)
    middle = np.array([np.median(frame[ring == k]) for k in range(ring.max() + 1)])[ring]
    noise = 1.48 * np.median(np.abs(frame - middle))
    filling = np.maximum(middle + noise * rng.standard_normal(frame.shape), 0)
    return np.where(where, filling, frame)


def log_odds(made) -> float:
    p = np.clip(made.probabilities[made.label], 1e-9, 1 - 1e-9)
    return float(np.log(p / (1 - p)))
