from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_diffraction.errors import InputError
from napari_diffraction.learning.models.classifier import (
    Classifier,
    load_classifier,
    read_card,
    save_classifier,
)
from napari_diffraction.learning.networks.zone_view import N_FEATURES, view
from napari_diffraction.learning.runs.schedule import round_as_shipped

FRAMES = np.random.default_rng(0).poisson(5, (3, 64, 64)).astype(np.uint16)


@pytest.fixture
def path(untrained: Classifier, tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_classifier(untrained.network, untrained.card, path)
    return path


def refused(path: Path) -> str:
    """Return the sentence with which a file is refused."""
    with pytest.raises(InputError) as caught:
        load_classifier(path)
    sentence = str(caught.value)
    assert str(path) in sentence
    assert "\n" not in sentence
    return sentence


def test_a_model_comes_back_as_it_was_saved(untrained: Classifier, path: Path) -> None:
    loaded = load_classifier(path)
    assert loaded.card == replace(untrained.card, path=str(path))
    assert read_card(path) == loaded.card
    assert not loaded.network.training
    seen = [view(frame) for frame in FRAMES]
    np.testing.assert_allclose(loaded.probabilities(seen), untrained.probabilities(seen), atol=2e-3)
    # Half precision: twice saved is once saved.
    again = path.with_name("again.safetensors")
    save_classifier(loaded.network, loaded.card, again)
    assert again.read_bytes() == path.read_bytes()


def test_every_head_gives_one_row_a_pattern(untrained: Classifier) -> None:
    logits = untrained.logits([view(frame) for frame in FRAMES])
    assert {name: values.shape for name, values in logits.items()} == {
        "joint": (3, 4), "network": (3, 4), "fit": (3, 4), "ordinal": (3, 4),
    }  # fmt: skip


def test_the_card_is_read_without_the_weights(path: Path) -> None:
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    path.write_bytes(data[: 8 + length] + b"\0")
    assert read_card(path).name == "untrained"
    refused(path)


@pytest.mark.parametrize("keep", [0, 4, 8, 100, 2000, -1])
def test_a_file_cut_short_is_refused(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])
    assert "damaged" in refused(path)


def test_a_file_that_is_too_long_is_refused(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0" * 8)
    assert "damaged" in refused(path)


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_bit_that_flipped_is_noticed(path: Path, place: float, bit: int) -> None:
    data = bytearray(path.read_bytes())
    # Half of the places in the heading and the card, half in the weights.
    length = 8 + struct.unpack("<Q", data[:8])[0]
    low, high = (0, length) if place < 0.5 else (length, len(data))
    where = int(low + (2 * place) % 1 * (high - low))
    data[where] ^= 1 << bit
    damaged = path.with_name("damaged.safetensors")
    damaged.write_bytes(data)
    refused(damaged)


@given(data=st.binary(max_size=300))
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_other_file_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "other.safetensors"
    for content in (data, struct.pack("<Q", len(data)) + data + b"\0"):
        path.write_bytes(content)
        refused(path)


HEADINGS: dict[str, bytes] = {
    "no JSON": b"{nothing}",
    "a list": b"[1, 2, 3]",
    "a number": b"12345",
    "no card": b'{"__metadata__": {}}',
    "no texts": b'{"__metadata__": 3}',
    "a card that is none": b'{"__metadata__": {"card": "[]"}}',
    "an empty card": b'{"__metadata__": {"card": "{}"}}',
    "a card of another program": b'{"__metadata__": {"card": "{\\"version\\": 1}"}}',
    "deep nesting": b"[" * 100_000,
    "no text": b"\xff\xfe\xfd",
}


@pytest.mark.parametrize("heading", HEADINGS)
def test_a_heading_of_another_program_is_refused(tmp_path: Path, heading: str) -> None:
    path = tmp_path / "other.safetensors"
    path.write_bytes(struct.pack("<Q", len(HEADINGS[heading])) + HEADINGS[heading] + b"\0" * 8)
    assert "not a model of napari-diffraction" in refused(path)


@pytest.mark.parametrize("length", [0, 2, 1 << 20, 1 << 40, (1 << 64) - 1])
def test_an_absurd_length_of_the_heading_is_refused(path: Path, length: int) -> None:
    path.write_bytes(struct.pack("<Q", length) + path.read_bytes()[8:])
    assert "not a model of napari-diffraction" in refused(path)


def test_a_text_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.safetensors"
    path.write_text("These are no weights.\n" * 100)
    assert "not a model of napari-diffraction" in refused(path)


def test_a_file_of_another_program_is_refused(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    path = tmp_path / "theirs.safetensors"
    save_file({"weight": torch.ones(3)}, path)
    assert "not a model of napari-diffraction" in refused(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert "no such model file" in refused(tmp_path / "none.safetensors")
    assert "cannot be read" in refused(tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": 2}, "later version"),
        ({"network": "mammoth"}, "'mammoth'"),
        ({"options": {"width": 4, "n_features": N_FEATURES}}, "another network"),
        ({"options": {"width": 2, "n_features": 3}}, "another version"),
        ({"options": {"width": 2}}, "another network"),
        ({"options": {"depth": 2}}, "another network"),
        # Nobody's memory is filled with what a card claims.
        ({"options": {"width": 20_000, "n_features": N_FEATURES}}, "another network"),
        ({"options": {"width": -1, "n_features": N_FEATURES}}, "another network"),
        ({"options": {"width": 10**30, "n_features": N_FEATURES}}, "another network"),
        ({"classes": ("2DZone", "NoHit"), "bias": (0.0, 0.0)}, "another network"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(
    untrained: Classifier, tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    path = tmp_path / "other.safetensors"
    save_classifier(untrained.network, replace(untrained.card, **changes), path)
    assert words in refused(path)


def test_what_a_later_program_adds_to_the_card_is_passed_over(path: Path) -> None:
    from safetensors.torch import load_file, save

    from napari_diffraction.learning.models.classifier import _digest, _read_values

    tensors, values = load_file(path), _read_values(path) | {"colour": "red"}
    values["sha256"] = _digest(values, tensors)
    path.write_bytes(save(tensors, {"card": json.dumps(values)}))
    assert load_classifier(path).card.name == "untrained"


def no_folder(folder: Path) -> Path:
    return folder / "none" / "model.safetensors"


def a_folder(folder: Path) -> Path:
    path = folder / "taken.safetensors"
    path.mkdir()
    return path


@pytest.mark.parametrize("place", [no_folder, a_folder])
def test_a_model_that_cannot_be_written_is_said_in_one_sentence(
    untrained: Classifier, tmp_path: Path, place: Callable[[Path], Path]
) -> None:
    path = place(tmp_path)
    with pytest.raises(InputError, match="cannot be written"):
        save_classifier(untrained.network, untrained.card, path)
    assert [p for p in tmp_path.iterdir() if p != path] == []


def test_a_model_that_fails_to_be_written_leaves_the_old_one(
    untrained: Classifier, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(InputError, match="disk is full"):
        save_classifier(untrained.network, untrained.card, path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": 5},
        {"name": ""},
        {"title": None},
        {"network": ["x"]},
        {"classes": ("2DZone",) * 4},
        {"classes": (1, 2, 3, 4)},
        {"classes": "2DZ1"},
        {"classes": ("2DZone",), "bias": (0.0,)},
        {"options": [1]},
        {"preprocessing": [1]},
        {"preprocessing": None},
        {"recipe": [1]},
        {"figures": [2]},
        {"scale": "x"},
        {"scale": [1.0]},
        {"scale": float("nan")},
        {"scale": 0.0},
        {"bias": ()},
        {"bias": (0.0,) * 5},
        {"bias": ("a",) * 4},
        {"bias": (0.0, 0.0, 0.0, float("inf"))},
        {"shares": {}},
        {"shares": []},
        {"shares": {"2DZone": -1.0}},
    ],
)
def test_a_card_with_values_that_are_none_is_refused(
    untrained: Classifier, tmp_path: Path, changes: dict[str, object]
) -> None:
    path = tmp_path / "odd.safetensors"
    save_classifier(untrained.network, replace(untrained.card, **changes), path)
    for read in (read_card, load_classifier):
        with pytest.raises(InputError, match="not a model of napari-diffraction"):
            read(path)


def test_weights_beyond_half_precision_are_kept_as_they_are(
    untrained: Classifier, tmp_path: Path
) -> None:
    name, large = next(
        (name, values)
        for name, values in untrained.network.named_buffers()
        if name.endswith("running_var")
    )
    large.fill_(2e5)  # as of inputs that were not scaled
    path = tmp_path / "model.safetensors"
    save_classifier(untrained.network, untrained.card, path)
    loaded = load_classifier(path).network
    assert torch.equal(loaded.state_dict()[name], large)
    round_as_shipped(untrained.network)
    for mine, theirs in zip(
        untrained.network.state_dict().values(), loaded.state_dict().values(), strict=True
    ):
        assert torch.equal(mine, theirs)
