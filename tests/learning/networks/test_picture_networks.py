from __future__ import annotations

import copy
from pathlib import Path
from urllib.error import URLError

import dask.array as da
import numpy as np
import pytest
import torch

from napari_diffraction.errors import InputError
from napari_diffraction.learning.model_card import ModelCard
from napari_diffraction.learning.networks.detection import boxes_over
from napari_diffraction.learning.networks.picture_networks import (
    PICTURE_NETWORKS,
    build,
    build_pretrained,
)
from napari_diffraction.learning.networks.picture_preprocessing import Preprocessing
from napari_diffraction.learning.networks.picture_view import on_card, picture, picture_places
from napari_diffraction.learning.pictures.augmentation import augmented
from napari_diffraction.learning.pictures.recipe import Augmentation
from napari_diffraction.patterns.stack import PatternStack


@pytest.mark.parametrize("name", PICTURE_NETWORKS)
def test_every_network_learns_judges_and_can_be_written_and_explained(
    name: str, tmp_path: Path
) -> None:
    from napari_diffraction.learning.classification.inference import classify
    from napari_diffraction.learning.explain.heatmaps import Explainer
    from napari_diffraction.learning.models.classifier import load_classifier, save_classifier
    from napari_diffraction.progress import finish

    if name == "xception":
        pytest.importorskip("timm")
    torch.manual_seed(0)
    network = build(3, name)
    seen = torch.randint(0, 255, (2, 1, 64, 64))
    network.train()
    loss = network(seen, torch.tensor([0, 2]))["loss"]
    loss.backward()
    last = [p.grad for p in network.last_layer.parameters()]
    assert all(grad is not None and grad.abs().sum() > 0 for grad in last)
    twin = copy.deepcopy(network)
    inside = {id(module) for module in twin.modules()}
    assert {id(twin.last_layer), id(twin.explain_layer)} <= inside

    classes = ("a", "b", "c")
    card = ModelCard(
        *("x", "X", "Knows nothing.", "pictures", classes, {"name": name}),
        *(1.0, (0.0, 0.0, 0.0), dict.fromkeys(classes, 1 / 3), {}),
        preprocessing=on_card(Preprocessing(size=64)),
    )
    path = tmp_path / "x.safetensors"
    save_classifier(network, card, path)
    model = load_classifier(path)
    assert not any(b.is_meta for b in model.network.buffers())
    frames = np.random.default_rng(0).integers(0, 255, (2, 40, 50), dtype=np.uint8)
    stack = PatternStack(da.from_array(frames, chunks=(1, -1, -1)), "made")
    table = finish(classify(stack, model, device="cpu"))
    np.testing.assert_allclose(table[[f"p_{c}" for c in classes]].sum(axis=1), 1)
    heat = Explainer(model, stack, "cpu").explain(frames[0]).heat
    assert heat.shape == (40, 50)
    assert np.isfinite(heat).all()


def test_a_network_that_nobody_knows() -> None:
    with pytest.raises(InputError, match="use one of compact"):
        build(2, "resnet51")


@pytest.mark.parametrize("name", ["compact", "resnet18", "fasterrcnn_resnet50_fpn"])
def test_weights_that_cannot_be_fetched_are_told_in_a_sentence(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(*_: object, **__: object) -> None:
        raise URLError("no network here")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", nothing)
    network, note = build_pretrained(2, name)
    assert isinstance(network, torch.nn.Module)
    assert note.endswith("it starts from random ones.")
    assert name == "compact" or "no network here" in note


def test_norms_that_came_with_weights_rest() -> None:
    from napari_diffraction.learning.networks.detection import DetectionNetwork, detection

    with torch.device("meta"):
        coco = detection.fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    weights = {
        name: torch.ones(values.shape, dtype=values.dtype)
        for name, values in coco.state_dict().items()
        if "num_batches" not in name
    }
    network = DetectionNetwork(2, weights).train()
    assert not network.detector.backbone.body.bn1.training
    assert network.detector.roi_heads.training
    again = DetectionNetwork(2)
    assert again.train().detector.backbone.body.bn1.training
    again.load_state_dict(network.state_dict())
    assert not again.train().detector.backbone.body.bn1.training


def test_the_box_is_over_all_that_is_not_black() -> None:
    pictures = torch.zeros(3, 1, 20, 30)
    pictures[0, 0, 5, 4] = pictures[0, 0, 11, 20] = 200
    pictures[1, 0, 3, 3] = 10  # too dark
    pictures[2] = 255
    assert boxes_over(pictures).tolist() == [[4, 5, 21, 12], [0, 0, 30, 20], [0, 0, 30, 20]]


def test_a_picture_is_square_grey_and_whole() -> None:
    frame = np.zeros((40, 80), dtype=np.uint16)
    frame[10, 60] = 5000
    made = picture(frame, Preprocessing(size=40))
    assert made.shape == (40, 40)
    assert made.dtype == np.uint8
    row, column = np.unravel_index(made.argmax(), made.shape)
    rows, columns = picture_places(made, frame.shape)
    assert abs(rows[10] - row) < 1
    assert abs(columns[60] - column) < 1
    dark = picture(frame, Preprocessing(size=80, grey="log"))
    half = frame.copy()
    half[20, 20] = 50
    assert picture(half, Preprocessing(size=80))[40, 20] < 4
    assert picture(half, Preprocessing(size=80, grey="log"))[40, 20] > 80
    assert dark.max() == 255
    broken = np.array([[np.nan, np.inf], [0, 1]] * 10)
    assert np.isfinite(picture(broken, Preprocessing(size=16))).all()


def test_background_is_taken_off() -> None:
    y, x = np.mgrid[:64, :64]
    frame = np.exp(-((x - 32) ** 2 + (y - 32) ** 2) / 800) * 1000
    frame[8, 8] += 300
    made = picture(frame, Preprocessing(size=64, flatten=0.05, black=50.0))
    assert np.unravel_index(made.argmax(), made.shape) == (8, 8)


def test_augmentation_does_what_it_is_asked_for_and_no_more() -> None:
    torch.manual_seed(0)
    pictures = torch.randint(0, 255, (50, 1, 16, 16)).float()
    still = Augmentation(mirror=False, quarters=False)
    torch.testing.assert_close(augmented(pictures, still), pictures)
    mirrored = augmented(pictures, Augmentation(quarters=False))
    same = (mirrored == pictures).flatten(1).all(1)
    assert 10 < int(same.sum()) < 40
    torch.testing.assert_close(mirrored[~same], pictures[~same].flip(-1))
    turned = augmented(pictures, Augmentation())
    torch.testing.assert_close(turned.sum(dim=(1, 2, 3)), pictures.sum(dim=(1, 2, 3)))
    spot = torch.zeros(200, 1, 65, 65)
    spot[:, :, 31:34, 51:54] = 255
    moved = augmented(spot, Augmentation(mirror=False, quarters=False, turn=90.0))
    place = moved.flatten(1).argmax(1)
    y, x = place // 65 - 32, place % 65 - 32
    torch.testing.assert_close(
        torch.hypot(x.float(), y.float()), torch.full((200,), 20.0), atol=2, rtol=0
    )
    assert y.min() < -15
    assert y.max() > 15
    shifted = augmented(spot, Augmentation(mirror=False, quarters=False, shift=0.1))
    assert (shifted.flatten(1).argmax(1) % 65 - 52).abs().max() <= 8
    noisy = augmented(pictures, Augmentation(False, False, contrast=0.2, noise=0.1))
    assert noisy.min() >= 0
    assert noisy.max() <= 255


def test_the_detector_sees_pictures_in_their_own_size_while_it_learns_and_after() -> None:
    import torch

    from napari_diffraction.learning.networks.detection import DetectionNetwork

    network = DetectionNetwork(2)
    sizes = []
    network.detector.backbone.register_forward_pre_hook(
        lambda _, inputs: sizes.append(tuple(inputs[0].shape[-2:]))
    )
    picture = 255 * torch.rand(2, 1, 96, 96)
    network.train()(picture, torch.tensor([0, 1]))
    with torch.inference_mode():
        network.eval()(picture)
    assert sizes == [(96, 96), (96, 96)]
