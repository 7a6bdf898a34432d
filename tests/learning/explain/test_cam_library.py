"""The library of the maps is used in parts, and as a whole where that is not possible."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from napari_diffraction.learning.explain import cam_library
from napari_diffraction.learning.explain.cam_library import cam_classes

METHODS = ("GradCAM", "GradCAMPlusPlus", "HiResCAM", "EigenCAM")


def test_what_is_not_used_is_not_imported_and_others_get_the_whole_library() -> None:
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, napari_diffraction.learning.explain.gradcam as ours\n"
            "print(*(n in sys.modules for n in ('sklearn', 'torchvision', 'pytorch_grad_cam')))\n"
            "import pytorch_grad_cam, torchvision, sklearn.decomposition\n"
            "print(pytorch_grad_cam.GradCAM.__name__, pytorch_grad_cam.utils.image.Compose is\n"
            "      torchvision.transforms.Compose)\n",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split("\n")[:2] == ["False False False", "GradCAM True"]


@pytest.mark.parametrize("method", METHODS)
def test_the_parts_draw_what_the_whole_library_draws(method: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    picture = torch.rand(1, 1, 32, 32)
    maps = []
    for classes in (cam_classes(), cam_library._of_whole_library()):
        with classes[method](model=model, target_layers=[model[0]]) as cam:
            maps.append(cam(picture, targets=[classes["ClassifierOutputTarget"](2)]))
    np.testing.assert_array_equal(*maps)
    assert maps[0].any()


def test_what_comes_later_comes_when_it_is_used() -> None:
    module = cam_library._Parts().module("utils.image")
    made = module.preprocess_image(np.ones((4, 5, 3), np.float32), mean=[0, 0, 0], std=[2, 2, 2])
    np.testing.assert_array_equal(made, np.full((1, 3, 4, 5), 0.5))


def test_a_version_that_is_laid_out_otherwise_is_used_as_a_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cam_library, "_PLACES", dict.fromkeys(cam_library._PLACES, "elsewhere"))
    import pytorch_grad_cam  # type: ignore[import-untyped]

    classes = cam_classes()
    assert classes["GradCAM"] is pytorch_grad_cam.GradCAM
    assert set(classes) == set(cam_library._PLACES)
