"""Models in the format ONNX, for programs that know neither this package nor PyTorch."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from napari_diffraction.errors import InputError
from napari_diffraction.files import replacing
from napari_diffraction.learning.models.calibration import check_shares
from napari_diffraction.learning.models.classifier import Classifier
from napari_diffraction.patterns.stack import PatternStack

#: Greatest difference of a probability.
TOLERANCE = 1e-3
#: Patterns of the example by which the network is recorded, and their height and width.
_EXAMPLE = (3, 96, 96)


class _Judgement(nn.Module):
    """A network with its calibration: from what the looker sees to probabilities."""

    def __init__(self, classifier: Classifier, shares: Mapping[str, float] | None) -> None:
        super().__init__()
        card = classifier.card
        bias = np.array(card.bias, dtype=float)
        if shares is not None:
            trained = np.maximum([card.shares[name] for name in card.classes], 1e-4)
            bias = bias + np.log(check_shares(shares, card.classes)) - np.log(trained)
        self.network, self.head = classifier.network, classifier.kind.head
        self.scale, self.mirror = card.scale, bool(card.preprocessing.get("mirror"))
        self.register_buffer("bias", torch.tensor(bias, dtype=torch.float32))

    def forward(self, *inputs: Tensor) -> Tensor:
        logits = self.network(*inputs)[self.head]
        if self.mirror:
            logits = (logits + self.network(*(x.flip(-1) for x in inputs))[self.head]) / 2
        return torch.softmax(self.scale * logits + self.bias, dim=1)


def export_onnx(
    classifier: Classifier, path: Path, shares: Mapping[str, float] | None = None
) -> float:
    """Write a network with its calibration as ONNX, and check that it still says the same.

    The inputs ``input0``, ``input1``... are those that `Kind.tensors` makes of patterns, for any
    number of them at once; the output ``probabilities`` is (n, n_classes).  The classes and the
    whole card stand in the file's metadata as JSON, under ``classes`` and ``card``.

    Parameters
    ----------
    classifier
        The model.
    path
        The file, ``.onnx``.
    shares
        Shares of the classes for which the probabilities hold; ``None``: those that
        `napari_diffraction.learning.classification.inference.classify` takes.

    Returns
    -------
    float
        Greatest difference of a probability, on an example.

    Raises
    ------
    InputError
        What writes ONNX is not installed, the network cannot be written so, it gives other
        probabilities, or the file cannot be written.
    """
    session_of = _runtime()
    kind, card = classifier.kind, classifier.card
    judgement = _Judgement(classifier, kind.shares if shares is None else shares).eval()
    inputs = _example(classifier)
    program = _recorded(judgement, inputs, card.name)
    values = asdict(card)
    del values["path"]
    program.model.metadata_props.update(
        {"classes": json.dumps(card.classes), "card": json.dumps(values)}
    )
    with replacing(path) as temporary:
        program.save(str(temporary))
        off = _difference(judgement, session_of(str(temporary)), inputs)
        if not off < TOLERANCE:
            raise InputError(
                f"{card.name} cannot be written as ONNX: its probabilities would differ by "
                f"{off:.2g}; use the .safetensors file."
            )
    return off


def _runtime() -> Any:
    try:
        import onnx  # noqa: F401
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"Writing ONNX needs {error.name}: install napari-diffraction[onnx]."
        ) from error
    return lambda name: onnxruntime.InferenceSession(name, providers=["CPUExecutionProvider"])


def _example(classifier: Classifier) -> tuple[Tensor, ...]:
    """What the network is given for a few patterns of mere noise."""
    frames = np.random.default_rng(0).poisson(20, _EXAMPLE).astype(np.uint16)
    look = classifier.kind.looker(PatternStack(da.from_array(frames), "example"))
    return classifier.kind.tensors([look(frame) for frame in frames])


def _recorded(judgement: nn.Module, inputs: tuple[Tensor, ...], name: str) -> Any:
    """Follow the network on an example, for any number of patterns, and of bands in them."""
    number, more = torch.export.Dim("n"), torch.export.Dim.AUTO
    dynamic = tuple({0: number, 1: more} if x.ndim > 1 else {0: number} for x in inputs)
    try:
        # Other kernels of attention leave their result in an order that ONNX does not have.
        with warnings.catch_warnings(), sdpa_kernel(SDPBackend.MATH):
            warnings.simplefilter("ignore")
            return torch.onnx.export(
                judgement,
                inputs,
                input_names=[f"input{k}" for k in range(len(inputs))],
                output_names=["probabilities"],
                dynamic_shapes=(dynamic,),
                dynamo=True,
                verbose=False,
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
        raise InputError(
            f"{name} cannot be written as ONNX, since its network works by steps that ONNX does "
            "not know: use the .safetensors file."
        ) from error


def _difference(judgement: nn.Module, session: Any, inputs: tuple[Tensor, ...]) -> float:
    """Greatest difference of a probability, for several patterns and for one."""
    names = [one.name for one in session.get_inputs()]
    off = 0.0
    for count in (len(inputs[0]), 1):
        few = [x[:count] for x in inputs]
        given = {name: x.numpy() for name, x in zip(names, few, strict=True)}
        with torch.inference_mode():
            expected = judgement(*few).numpy()
        off = max(off, float(np.abs(session.run(None, given)[0] - expected).max()))
    return off
