from __future__ import annotations

import json
import sys
from pathlib import Path

import dask.array as da
import numpy as np
import pytest

from napari_diffraction.errors import InputError
from napari_diffraction.learning.models import device as device_module
from napari_diffraction.learning.models import registry
from napari_diffraction.learning.models.classifier import Classifier
from napari_diffraction.learning.models.onnx_export import TOLERANCE, export_onnx
from napari_diffraction.learning.models.registry import load_model
from napari_diffraction.patterns.stack import PatternStack

SHIPPED = sorted(path.stem for path in registry._SHIPPED.glob("*.safetensors"))


def patterns(n: int = 7) -> np.ndarray:
    """Noise with spots and bands, of another size than the example of the export."""
    rng = np.random.default_rng(4)
    frames = rng.poisson(6, (n, 80, 100)).astype(np.float64)
    y, x = np.mgrid[:80, :100]
    for frame in frames:
        for _ in range(6):
            a, b, c = rng.normal(size=3)
            frame += 12 * (np.abs(a * (x - 50) + b * (y - 40) + 20 * c) < 4)
        for at in rng.uniform(5, 75, (30, 2)):
            frame += 400 * np.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / 3)
    return np.rint(frames).astype(np.uint16)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SHIPPED)
def test_onnxruntime_gives_the_probabilities_of_a_shipped_model(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    # Some processors are given halves, which round more than this.
    monkeypatch.setattr(device_module, "halves_are_quick", lambda _: False)
    model, path = load_model(name), tmp_path / "model.onnx"
    assert export_onnx(model, path) < TOLERANCE
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    for frames in (patterns(), patterns()[:, ::2, ::2]):  # fewer pixels, in which fewer bands are
        look = model.kind.looker(PatternStack(da.from_array(frames), "frames"))
        seen = [look(frame) for frame in frames]
        inputs = {n: x.numpy() for n, x in zip(names, model.kind.tensors(seen), strict=True)}
        (found,) = session.run(["probabilities"], inputs)
        expected = model.probabilities(seen, model.kind.shares)
        np.testing.assert_allclose(found, expected, atol=TOLERANCE)
        assert np.ptp(expected, axis=0).max() > 0.01  # patterns that are not all alike to it
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["classes"]) == list(model.card.classes)
    assert json.loads(about["card"])["name"] == name


def test_what_is_missing_is_named(
    untrained: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"onnxruntime.*napari-diffraction\[onnx\]"):
        export_onnx(untrained, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
