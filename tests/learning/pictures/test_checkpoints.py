from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torchvision import models

from napari_diffraction.errors import InputError
from napari_diffraction.learning.models.registry import load_model
from napari_diffraction.learning.networks import picture_networks
from napari_diffraction.learning.networks.picture_preprocessing import Preprocessing
from napari_diffraction.learning.networks.picture_view import picture
from napari_diffraction.learning.pictures.checkpoints import from_state_dict

CLASSES = ("zone", "laue", "none")
PREPARED = Preprocessing(size=32, grey="sqrt", white=99.0)


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    """What somebody has trained: torchvision's network with a head for three classes."""
    torch.manual_seed(0)
    built = picture_networks.build(len(CLASSES), "resnet18")
    return built.eval()


def wrapped(values: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {prefix + name: value for name, value in values.items()}


#: How programs keep weights.
KEPT: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "alone": lambda w: w,
    "of several cards": lambda w: wrapped(w, "module."),
    "of Lightning": lambda w: {
        "state_dict": wrapped(w, "model.") | {"criterion.weight": torch.ones(3)},
        "epoch": 7,
        "hyper_parameters": {"lr": 0.1},
    },
    "with the optimiser": lambda w: {"model": w, "optimizer": {"state": {}, "groups": [1]}},
    "of an old version": lambda w: {
        name: value for name, value in w.items() if "num_batches_tracked" not in name
    },
}


@pytest.mark.parametrize("kept", KEPT)
def test_weights_are_found_however_they_are_kept(
    trained: nn.Module, tmp_path: Path, kept: str
) -> None:
    theirs = {name.removeprefix("body."): value for name, value in trained.state_dict().items()}
    path, output = tmp_path / "old.pt", tmp_path / "new.safetensors"
    torch.save(KEPT[kept](theirs), path)
    from_state_dict(path, "resnet18", CLASSES, output, preprocessing=PREPARED)
    model = load_model(str(output))
    assert (model.card.classes, model.card.name) == (CLASSES, "new")
    seen = picture(np.random.default_rng(0).poisson(9, (40, 40)), PREPARED)
    with torch.inference_mode():
        logits = trained(torch.from_numpy(seen)[None, None])["class"]
    expected = torch.softmax(logits, 1).numpy()
    np.testing.assert_allclose(model.probabilities([seen]), expected, atol=0.02)


def test_grey_goes_in_as_it_did_where_the_weights_come_from(tmp_path: Path) -> None:
    torch.manual_seed(1)
    theirs = models.resnet18(num_classes=len(CLASSES)).eval()
    theirs.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)  # for grey alone
    path, output = tmp_path / "grey.pt", tmp_path / "new.safetensors"
    torch.save(theirs.state_dict(), path)
    from_state_dict(path, "resnet18", CLASSES, output, preprocessing=PREPARED, normalised=False)
    seen = picture(np.random.default_rng(0).poisson(9, (40, 40)), PREPARED)
    with torch.inference_mode():
        logits = theirs(torch.from_numpy(seen)[None, None].float() / 255)
    expected = torch.softmax(logits, 1).numpy()
    found = load_model(str(output)).probabilities([seen])
    np.testing.assert_allclose(found, expected, atol=0.02)
    scaled = tmp_path / "scaled.safetensors"
    from_state_dict(path, "resnet18", CLASSES, scaled, preprocessing=PREPARED)
    assert np.abs(load_model(str(scaled)).probabilities([seen]) - expected).max() > 0.02


def test_other_weights_are_refused_in_one_sentence(trained: nn.Module, tmp_path: Path) -> None:
    path, output = tmp_path / "old.pt", tmp_path / "new.safetensors"
    torch.save(trained.state_dict(), path)

    def refused(**change: Any) -> str:
        settings = {"network": "resnet18", "classes": CLASSES, "output": output} | change
        with pytest.raises(InputError) as caught:
            from_state_dict(path, preprocessing=PREPARED, **settings)
        assert "\n" not in str(caught.value)
        assert not output.exists()
        return str(caught.value)

    assert "does not hold the weights of resnet34" in refused(network="resnet34")
    assert "with 2 classes it would be (2, 512)" in refused(classes=CLASSES[:2])
    assert "two or more classes" in refused(classes=("zone", "zone"))
    assert "no network 'lenet'" in refused(network="lenet")
    path.write_bytes(b"nothing of the kind")
    assert "not a checkpoint" in refused() or "holds more than weights" in refused()
    path.write_bytes(b"")
    assert "not a checkpoint" in refused()
    torch.save({"epoch": 3}, path)
    assert "it holds none" in refused()
    path.unlink()
    assert "cannot be read" in refused()


class _Mine:
    """Does something when it is unpickled."""

    done = False

    def __reduce__(self) -> Any:
        return setattr, (_Mine, "done", True)


@pytest.mark.parametrize("write", [torch.save, lambda v, p: p.write_bytes(pickle.dumps(v))])
def test_nothing_but_weights_is_ever_unpickled(write: Any, tmp_path: Path) -> None:
    path = tmp_path / "whole.pt"
    write({"model": _Mine()}, path)
    with pytest.raises(InputError, match=r"torch\.save"):
        from_state_dict(
            path, "compact", CLASSES, tmp_path / "x.safetensors", preprocessing=PREPARED
        )
    assert not _Mine.done
