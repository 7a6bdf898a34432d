"""A classifier that has learned nothing."""

from __future__ import annotations

import pytest
from untrained import untrained_classifier

from napari_diffraction.learning.models.classifier import Classifier


@pytest.fixture
def untrained() -> Classifier:
    return untrained_classifier()
