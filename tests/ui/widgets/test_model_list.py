"""Model files dropped on the window, and the lists that offer them."""

from pathlib import Path
from types import SimpleNamespace

import npe2
import pytest
from napari.components import ViewerModel
from napari.utils.notifications import NotificationSeverity, notification_manager

from napari_diffraction.learning.classes import ZONE_CLASSES
from napari_diffraction.learning.model_card import ModelCard
from napari_diffraction.learning.models import registry
from napari_diffraction.learning.models.classifier import save_classifier
from napari_diffraction.ui.widgets import model_list
from napari_diffraction.ui.widgets.model_list import MODELS, ModelCombo, digest_of

pytestmark = pytest.mark.gui


@pytest.fixture(autouse=True)
def own(monkeypatch, tmp_path):
    """Folders of models of this test alone."""
    npe2.PluginManager.instance().discover()
    monkeypatch.setattr(registry, "_SHIPPED", tmp_path / "shipped")
    monkeypatch.setattr(registry, "user_folder", lambda: tmp_path / "own")
    (tmp_path / "shipped").mkdir()
    return tmp_path / "own"


@pytest.fixture
def said():
    found = []
    notification_manager.notification_ready.connect(found.append)
    yield found
    notification_manager.notification_ready.disconnect(found.append)


def model(path: Path, name: str, seed: int = 0, classes=ZONE_CLASSES) -> Path:
    from napari_diffraction.learning.networks.zone_network import ZoneNetwork
    from napari_diffraction.learning.networks.zone_view import N_FEATURES

    card = ModelCard(
        *(name, name.title(), "For our camera.", "zones", tuple(classes)),
        options={"width": 2, "n_features": N_FEATURES},
        scale=1.0,
        bias=(0.0,) * len(classes),
        shares=dict.fromkeys(classes, 1 / len(classes)),
        recipe={"seed": seed},
    )
    save_classifier(ZoneNetwork(N_FEATURES, len(classes), 2), card, path)
    return path


def drop(path: Path) -> ViewerModel:
    viewer = ViewerModel()
    viewer.open(str(path), plugin="napari-diffraction")
    return viewer


def test_a_model_dropped_on_the_window_is_offered_in_every_list(tmp_path, qtbot, said, own):
    lists = [ModelCombo(), ModelCombo(lambda card: "2DZone" not in card.classes)]
    for one in lists:
        qtbot.addWidget(one)
        assert one.count() == 0
    path = model(tmp_path / "sent.safetensors", "camera 7")
    viewer = drop(path)
    qtbot.waitUntil(lambda: bool(said), timeout=120_000)
    assert not viewer.layers
    assert [n.severity for n in said] == [NotificationSeverity.INFO]
    assert said[0].message.startswith("The model 'camera 7' is offered in every list of models.")
    assert [one.count() for one in lists] == [1, 0]
    assert lists[0].currentText() == "Camera 7"
    assert (own / "camera 7.safetensors").read_bytes() == path.read_bytes()
    drop(model(tmp_path / "later.safetensors", "camera 7", seed=5))
    qtbot.waitUntil(lambda: len(said) > 1, timeout=120_000)
    assert "'camera 7-2'" in said[1].message
    assert lists[0].count() == 2
    assert lists[0].currentData().name == "camera 7"  # the choice stays


def test_a_file_that_is_no_model_is_one_sentence(tmp_path, qtbot, said):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"something else")
    assert not drop(path).layers
    qtbot.waitUntil(lambda: bool(said), timeout=120_000)
    (notification,) = said
    assert notification.severity == NotificationSeverity.ERROR
    assert "is not a model of napari-diffraction" in notification.message


def test_the_choice_stays_and_a_list_that_is_gone_is_forgotten(own, qtbot):
    own.mkdir()
    model(own / "b.safetensors", "b")
    combo = ModelCombo(first=lambda card: card.name == "z")
    qtbot.addWidget(combo)
    changes = []
    combo.currentIndexChanged.connect(changes.append)
    MODELS.changed.emit()
    assert changes == []  # nothing is new
    model(own / "a.safetensors", "a")
    model(own / "z.safetensors", "z")
    MODELS.changed.emit()
    assert [combo.itemData(k).name for k in range(3)] == ["z", "a", "b"]
    assert combo.currentData().name == "b"
    assert len(changes) == 1
    assert combo.choose("a")
    assert not combo.choose("none")
    (own / "a.safetensors").unlink()
    MODELS.changed.emit()
    assert combo.currentData().name == "z"
    gone = ModelCombo()
    gone.deleteLater()
    qtbot.wait(50)
    MODELS.changed.emit()


def test_a_model_for_the_kind_of_patterns_is_chosen(monkeypatch, qtbot):
    from types import SimpleNamespace

    from napari_diffraction.patterns.stack import KikuchiGeometry, SpotGeometry

    cards = [
        SimpleNamespace(name=name, title=name, network=network)
        for name, network in (("bravais", "bands"), ("mine", "resnet18"), ("zones", "zones"))
    ]
    monkeypatch.setattr(registry, "list_models", lambda: cards)
    combo = ModelCombo()
    qtbot.addWidget(combo)
    assert combo.currentText() == "bravais"
    combo.suit(SpotGeometry)
    assert combo.currentText() == "zones"
    combo.suit(KikuchiGeometry)
    assert combo.currentText() == "bravais"
    combo.choose("mine")  # a person's choice that may fit
    combo.suit(SpotGeometry)
    assert combo.currentText() == "mine"


def test_a_file_is_read_again_only_where_it_has_changed(tmp_path, monkeypatch):
    path, asked = tmp_path / "mine.safetensors", []
    monkeypatch.setattr(model_list, "file_hash", lambda file: asked.append(file) or f"{len(asked)}")
    card = SimpleNamespace(path=str(path))
    assert digest_of(card) == digest_of(SimpleNamespace(path="")) == ""
    for content, said in ((b"one", "1"), (b"another", "2")):
        path.write_bytes(content)
        assert [digest_of(card), digest_of(card)] == [said, said]
    path.unlink()
    assert digest_of(card) == ""
    assert asked == [path, path]
