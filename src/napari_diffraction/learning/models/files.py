"""Models as files to share: taken in from a file or an address, and given out."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from napari_diffraction.errors import InputError
from napari_diffraction.files import replacing, writing_error
from napari_diffraction.learning.model_card import ModelCard
from napari_diffraction.learning.models import registry
from napari_diffraction.learning.models.classifier import (
    load_classifier,
    read_card,
    save_classifier,
)
from napari_diffraction.learning.models.fetching import ADDRESSES, fetch
from napari_diffraction.learning.models.leakage import training_hashes
from napari_diffraction.progress import Progress, finish

SUFFIX = ".safetensors"
#: What becomes of a model whose name another one bears.
Taken = Literal["refuse", "number", "replace"]
_NAME = re.compile(r"\w[\w .+-]{0,79}")


def import_model(
    source: str | Path, sha256: str = "", name: str = "", taken: Taken = "refuse"
) -> ModelCard:
    """Take a model into the list of models; see `importing`."""
    return finish(importing(source, sha256, name, taken))


def importing(
    source: str | Path, sha256: str = "", name: str = "", taken: Taken = "refuse"
) -> Generator[Progress, None, ModelCard]:
    """Take a model into the list of models, wherever it comes from.

    Parameters
    ----------
    source
        A model file, or its address: ``https://...`` or ``doi:.../NAME.safetensors``.
    sha256
        Digest that the file must have, 64 hexadecimal digits; empty: any.
    name
        What the model is called in the list; empty: as its card says.
    taken
        What is done where there is another model of this name: ``refuse``; ``number``, which calls
        the new one NAME-2; or ``replace``, which is never done to a model of the package.

    Returns
    -------
    ModelCard
        Of the model in the list.  A model that is there already is left as it is.

    Raises
    ------
    InputError
        The file cannot be had, is no model, is damaged, has another digest, or its name cannot be
        used.
    """
    sha256 = _checked_digest(sha256)
    address = str(source).strip()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(source)
        if address.startswith(ADDRESSES):
            path = yield from fetch(address, Path(folder), f"model{SUFFIX}")
        yield Progress(0, 1, "Checking the model")
        _check_digest(path, sha256, address)
        card = _copied_in(path, name, taken)
    yield Progress(1, 1, "Done")
    return card


def export_model(name: str, path: Path) -> ModelCard:
    """Write a model as one file that others can import.

    Parameters
    ----------
    name
        Name of a model in the list, or a model file.
    path
        The file, ``.safetensors``.

    Raises
    ------
    InputError
        There is no such model, it is damaged, or the file cannot be written.
    """
    card = registry.load_model(name).card
    _copy(Path(card.path), path)
    return card


def usable_name(name: str, taken: Taken = "refuse") -> str:
    """Return the name under which a model can stand in the list.

    Raises
    ------
    InputError
        It cannot be the name of a file, or another model bears it.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"'{name}' is no name for a model: use letters, digits, - and _.")
    others = {card.name: Path(card.path) for card in registry.list_models()}

    def is_free(name: str) -> bool:
        # A file may hold a model of another name, or one that is damaged.
        return name not in others and not own_path(name).exists()

    if is_free(name) or (taken == "replace" and others.get(name) == own_path(name)):
        return name
    if taken == "number":
        return next(n for k in range(2, 10_000) if is_free(n := f"{name}-{k}"))
    if name not in others:
        raise InputError(f"{own_path(name)} is there already: give this model another name.")
    raise InputError(f"There is a model '{name}' already: give this one another name.")


def own_path(name: str) -> Path:
    """Where the user's model of a name is, or will be."""
    return registry.user_folder() / f"{name}{SUFFIX}"


def _copied_in(path: Path, name: str, taken: Taken) -> ModelCard:
    model = load_classifier(path)  # as a whole, so that no damaged file comes into the list
    wanted = name or model.card.name
    for card in registry.list_models():
        if card.name == wanted == model.card.name and _same(Path(card.path), path):
            return card
    wanted = usable_name(wanted, taken)
    target = own_path(wanted)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise writing_error(target.parent, error) from error
    if wanted == model.card.name:
        _copy(path, target)
    else:
        named = replace(model.card, name=wanted)
        save_classifier(model.network, named, target, sorted(training_hashes(path)))
    return read_card(target)


def _copy(source: Path, target: Path) -> None:
    if target.exists() and source.samefile(target):
        return
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)


def _same(one: Path, other: Path) -> bool:
    return one.stat().st_size == other.stat().st_size and one.read_bytes() == other.read_bytes()


def _checked_digest(sha256: str) -> str:
    digest = sha256.strip().lower().removeprefix("sha256:")
    if digest and not re.fullmatch("[0-9a-f]{64}", digest):
        raise InputError(f"'{sha256}' is no SHA-256: give its 64 hexadecimal digits.")
    return digest


def _check_digest(path: Path, sha256: str, source: str) -> None:
    import pooch

    if not sha256:
        return
    try:
        found = pooch.file_hash(str(path))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check the name.") from error
    if found != sha256:
        raise InputError(
            f"{source} is not the file that the SHA-256 names (it has {found}): ask whoever gave "
            "it to you for the right one."
        )
