from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import yaml
from npe2 import PluginManifest
from npe2.manifest.utils import import_python_name

from napari_diffraction.patterns.readers import FORMATS

MANIFEST = PluginManifest.from_distribution("napari-diffraction")
CONTRIBUTIONS = MANIFEST.contributions


@pytest.mark.parametrize("command", CONTRIBUTIONS.commands, ids=lambda command: command.id)
def test_every_command_imports(command) -> None:
    assert callable(import_python_name(command.python_name))


@pytest.mark.parametrize("widget", CONTRIBUTIONS.widgets, ids=lambda widget: widget.display_name)
def test_every_widget_is_given_the_viewer(widget) -> None:
    # napari gives it to a parameter of this very name, and says nothing where there is none.
    (command,) = (c for c in CONTRIBUTIONS.commands if c.id == widget.command)
    made_by = import_python_name(command.python_name)
    assert "napari_viewer" in inspect.signature(made_by).parameters


def test_every_widget_and_sample_stands_in_its_menu() -> None:
    assert [widget.display_name for widget in CONTRIBUTIONS.widgets] == [
        "Simulate patterns",
        "Classify patterns",
        "Review patterns",
        "Unit cell",
        "Phase map",
        "Explain",
        "Peaks",
        "Train",
        "Evaluate",
    ]
    assert [sample.display_name for sample in CONTRIBUTIONS.sample_data] == [
        "Serial experiment",
        "Hybrid patterns",
        "Rutilated quartz (EBSD scan)",
    ]
    assert MANIFEST.display_name == "Diffraction"


def test_the_reader_is_asked_about_every_format_that_can_be_read() -> None:
    (reader,) = CONTRIBUTIONS.readers
    assert reader.accepts_directories
    assert set(reader.filename_patterns) == {
        "*.safetensors",  # a model
        *(f"*{suffix}" for row in FORMATS for suffix in row.suffixes),
    }


def test_the_manifest_on_top_is_the_one_in_the_package() -> None:
    root = Path(__file__).parent.parent
    packaged = root / "src" / "napari_diffraction" / "napari.yaml"
    assert (root / "napari.yaml").resolve() == packaged.resolve()
    assert yaml.safe_load(packaged.read_text())["name"] == "napari-diffraction"


def test_the_settings_have_usable_defaults() -> None:
    settings = CONTRIBUTIONS.configurations["classification"].properties
    assert settings["device"].default in settings["device"].enum
    assert 0 < settings["threshold"].default < 1
    assert settings["batch_size"].default >= 1
