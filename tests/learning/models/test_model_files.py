from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from napari_diffraction.errors import InputError
from napari_diffraction.learning.models import registry
from napari_diffraction.learning.models.classifier import Classifier, read_card, save_classifier
from napari_diffraction.learning.models.files import export_model, import_model, importing
from napari_diffraction.learning.models.leakage import training_hashes
from napari_diffraction.learning.models.registry import list_models, load_model

HASHES = ("0123456789abcdef", "fedcba9876543210")


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Folders of the package's and of the user's models, both empty."""
    shipped, own = tmp_path / "shipped", tmp_path / "data" / "own"
    shipped.mkdir()
    monkeypatch.setattr(registry, "_SHIPPED", shipped)
    monkeypatch.setattr(registry, "user_folder", lambda: own)
    return shipped, own


@pytest.fixture
def theirs(tmp_path: Path, untrained: Classifier) -> Path:
    """A model that somebody sent."""
    return save(untrained, tmp_path / "theirs.safetensors", "camera 7")


def save(classifier: Classifier, path: Path, name: str, seed: int = 0) -> Path:
    card = replace(classifier.card, name=name, recipe={"seed": seed})
    save_classifier(classifier.network, card, path, HASHES)
    return path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()


def test_an_imported_model_is_in_the_list_and_can_be_sent_on(
    theirs: Path, tmp_path: Path, folders: tuple[Path, Path]
) -> None:
    card = import_model(theirs)
    assert [one.name for one in list_models()] == ["camera 7"]
    assert Path(card.path).parent == folders[1]
    assert load_model("camera 7").card == card
    out = tmp_path / "out.safetensors"
    export_model("camera 7", out)
    assert out.read_bytes() == theirs.read_bytes()


def test_the_same_model_twice_is_there_once(theirs: Path) -> None:
    assert import_model(theirs) == import_model(theirs, taken="number")
    assert len(list_models()) == 1
    export_model("camera 7", Path(list_models()[0].path))  # over itself
    assert load_model("camera 7")


def test_another_model_of_the_name_is_refused_numbered_or_replaced(
    theirs: Path, untrained: Classifier, tmp_path: Path
) -> None:
    import_model(theirs)
    other = save(untrained, tmp_path / "other.safetensors", "camera 7", seed=9)
    with pytest.raises(InputError, match="another name"):
        import_model(other)
    assert import_model(other, taken="number").name == "camera 7-2"
    assert import_model(other, name="cold stage").name == "cold stage"
    assert import_model(other, taken="replace").recipe == {"seed": 9}
    assert {card.name for card in list_models()} == {"camera 7", "camera 7-2", "cold stage"}
    # What tells a leak of training patterns goes with it.
    for card in list_models():
        assert training_hashes(card.path) == set(HASHES)
    assert load_model("camera 7-2").card.recipe == {"seed": 9}


def test_a_model_of_the_package_is_never_replaced(
    theirs: Path, untrained: Classifier, folders: tuple[Path, Path]
) -> None:
    save(untrained, folders[0] / "camera 7.safetensors", "camera 7", seed=3)
    with pytest.raises(InputError, match="another name"):
        import_model(theirs, taken="replace")
    assert len(list_models()) == 1


@pytest.mark.parametrize("name", ["../evil", "a/b", ".hidden", "x" * 99])
def test_a_name_that_is_no_file_name_is_refused(
    untrained: Classifier, theirs: Path, tmp_path: Path, name: str
) -> None:
    evil = save(untrained, tmp_path / "evil.safetensors", name)
    for source, called in ((evil, ""), (theirs, name)):
        with pytest.raises(InputError, match="no name for a model"):
            import_model(source, name=called)
    assert list_models() == []


def test_a_damaged_file_never_comes_into_the_list(theirs: Path, tmp_path: Path) -> None:
    data = bytearray(theirs.read_bytes())
    data[-3] ^= 1
    theirs.write_bytes(data)
    with pytest.raises(InputError, match="damaged"):
        import_model(theirs)
    with pytest.raises(InputError, match="no such model file"):
        import_model(tmp_path / "none.safetensors")
    assert list_models() == []


def test_the_digest_is_that_of_the_file(theirs: Path) -> None:
    right = hashlib.sha256(theirs.read_bytes()).hexdigest()
    with pytest.raises(InputError, match="not the file that the SHA-256 names"):
        import_model(theirs, sha256="0" * 64)
    with pytest.raises(InputError, match="64 hexadecimal digits"):
        import_model(theirs, sha256="abc")
    assert list_models() == []
    assert import_model(theirs, sha256=f"sha256:{right.upper()}").name == "camera 7"


def test_a_model_is_fetched_from_an_address(theirs: Path, server: str) -> None:
    right = hashlib.sha256(theirs.read_bytes()).hexdigest()
    address = f"{server}/theirs.safetensors"
    with pytest.raises(InputError, match="SHA-256"):
        import_model(address, sha256="0" * 64)
    assert import_model(address, sha256=right).name == "camera 7"
    assert read_card(list_models()[0].path).name == "camera 7"


@pytest.mark.parametrize("path", ["/none.safetensors", "/"])
def test_what_is_no_model_at_an_address_is_refused(server: str, path: str) -> None:
    with pytest.raises(InputError):
        import_model(server + path)
    assert list_models() == []


def test_an_address_without_a_server_is_refused_in_one_sentence() -> None:
    with pytest.raises(InputError, match=r"check the address and the connection\.$") as caught:
        import_model("http://127.0.0.1:9/model.safetensors")
    assert "\n" not in str(caught.value)


def test_an_import_that_is_stopped_leaves_nothing(server: str, theirs: Path) -> None:
    work = importing(f"{server}/theirs.safetensors")
    next(work)
    work.close()
    assert list_models() == []


def test_a_file_that_holds_a_model_of_another_name_is_not_written_over(
    theirs: Path, untrained: Classifier, folders: tuple[Path, Path]
) -> None:
    folders[1].mkdir(parents=True)
    save(untrained, folders[1] / "camera 7.safetensors", "mine", seed=4)
    for taken in ("refuse", "replace"):
        with pytest.raises(InputError, match="is there already"):
            import_model(theirs, taken=taken)
    assert import_model(theirs, taken="number").name == "camera 7-2"
    assert load_model("mine").card.recipe == {"seed": 4}
