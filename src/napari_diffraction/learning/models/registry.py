"""The models that can be used: those of the package, those of the user, and any file."""

from __future__ import annotations

import logging
from pathlib import Path

from platformdirs import user_data_path

from napari_diffraction.errors import InputError
from napari_diffraction.learning.model_card import ModelCard
from napari_diffraction.learning.models.classifier import (
    Classifier,
    load_classifier,
    read_card,
)

__all__ = ["Classifier", "ModelCard", "list_models", "load_model", "user_folder"]

_SHIPPED = Path(__file__).parent / "weights"


def user_folder() -> Path:
    """Folder in which a user's models are found by name."""
    return user_data_path("napari-diffraction") / "models"


def list_models() -> list[ModelCard]:
    """Read the cards of all models, shipped ones first; damaged files are left out and logged."""
    cards = []
    for folder in (_SHIPPED, user_folder()):
        for path in sorted(folder.glob("*.safetensors")):
            try:
                cards.append(read_card(path))
            except InputError as error:
                logging.getLogger(__name__).warning("%s", error)
    return cards


def load_model(name_or_path: str) -> Classifier:
    """Load a model by its name in the list, or from a file.

    Raises
    ------
    InputError
        There is no such model, or its file is damaged.
    """
    if name_or_path.endswith(".safetensors"):
        return load_classifier(name_or_path)
    cards = list_models()
    for card in cards:
        if card.name == name_or_path:
            return load_classifier(card.path)
    # A damaged file is not in the list; loading it says what is wrong with it.
    for folder in (_SHIPPED, user_folder()):
        path = folder / f"{name_or_path}.safetensors"
        if Path(name_or_path).name == name_or_path and path.is_file():
            return load_classifier(path)
    names = ", ".join(card.name for card in cards) or "none is installed"
    raise InputError(
        f"There is no model '{name_or_path}' ({names}): name one of these, or a .safetensors file."
    )
