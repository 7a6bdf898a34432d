from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from napari_diffraction.errors import InputError
from napari_diffraction.learning.models import registry
from napari_diffraction.learning.models.classifier import Classifier, save_classifier
from napari_diffraction.learning.models.registry import list_models, load_model, user_folder


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Folders of the package's and of the user's models, both empty."""
    shipped, own = tmp_path / "shipped", tmp_path / "own"
    shipped.mkdir()
    monkeypatch.setattr(registry, "_SHIPPED", shipped)
    monkeypatch.setattr(registry, "user_folder", lambda: own)
    return shipped, own


def save(classifier: Classifier, folder: Path, name: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.safetensors"
    save_classifier(classifier.network, replace(classifier.card, name=name), path)
    return path


def test_shipped_models_come_first(folders: tuple[Path, Path], untrained: Classifier) -> None:
    assert list_models() == []
    own = save(untrained, folders[1], "a")
    save(untrained, folders[0], "z")
    assert [card.name for card in list_models()] == ["z", "a"]
    assert load_model("a").card.path == str(own)
    assert load_model("z").card.name == "z"


def test_a_file_is_loaded_by_its_path(tmp_path: Path, untrained: Classifier) -> None:
    path = save(untrained, tmp_path / "elsewhere", "other")
    assert load_model(str(path)).card.name == "other"
    assert list_models() == []


def test_a_damaged_file_is_left_out_and_logged(
    folders: tuple[Path, Path], untrained: Classifier, caplog: pytest.LogCaptureFixture
) -> None:
    save(untrained, folders[0], "good")
    bad = folders[0] / "bad.safetensors"
    bad.write_bytes(b"nothing")
    with caplog.at_level(logging.WARNING):
        assert [card.name for card in list_models()] == ["good"]
    assert str(bad) in caplog.text
    assert load_model("good").card.name == "good"


@pytest.mark.parametrize("name", ["none", "", "good.txt", "../good"])
def test_an_unknown_name_is_refused_with_those_that_are_known(
    folders: tuple[Path, Path], untrained: Classifier, name: str
) -> None:
    with pytest.raises(InputError, match="none is installed"):
        load_model(name)
    save(untrained, folders[0], "good")
    with pytest.raises(InputError, match=r"\(good\)"):
        load_model(name)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such model file"):
        load_model(str(tmp_path / "none.safetensors"))


def test_the_users_folder_is_among_the_users_data() -> None:
    assert user_folder().parts[-2:] == ("napari-diffraction", "models")


def test_an_odd_file_does_not_break_the_list(
    untrained: Classifier, folders: tuple[Path, Path]
) -> None:
    save(untrained, folders[1], "good")
    card = replace(untrained.card, name=5, title=None, figures=[2])  # type: ignore[arg-type]
    save_classifier(untrained.network, card, folders[1] / "odd.safetensors")
    assert [card.name for card in list_models()] == ["good"]
    with pytest.raises(InputError, match=r"no model 'other' \(good\)"):
        load_model("other")
