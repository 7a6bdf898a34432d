from __future__ import annotations

from contextlib import suppress
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_diffraction.errors import InputError
from napari_diffraction.learning.training.recipe import read_recipe
from napari_diffraction.learning.zones.recipe import ZoneRecipe


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_not_named_is_the_default(tmp_path: Path) -> None:
    assert read_recipe(write(tmp_path, "")) == ZoneRecipe()
    recipe = read_recipe(write(tmp_path, 'name = "mine"\nclean = 1\nseed = 0\nepochs = 3\n'))
    assert recipe == ZoneRecipe(name="mine", clean=1.0, seed=0, epochs=3)
    assert isinstance(recipe.clean, float)


def test_every_setting_can_be_written_and_read(tmp_path: Path) -> None:
    values = ZoneRecipe(name="other", epochs=1, learning_rate=1e-4).as_dict()
    lines = [f"{key} = {value!r}" for key, value in values.items()]
    assert read_recipe(write(tmp_path, "\n".join(lines))).as_dict() == values
    assert set(values) == {item.name for item in fields(ZoneRecipe)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epochs = ", "is not a recipe"),
        ("layers = 50", "unknown key 'layers'"),
        ("epochs = 2.5", "epochs is 2.5; it should be an integer"),
        ("epochs = true", "an integer"),
        ('clean = "all"', "a number"),
        ("name = 3", "a string"),
        ("[epochs]\nn = 1", "an integer"),
        ("epochs = 0", "at least 1"),
        ("patterns = -5", "at least 1"),
        ("learning_rate = nan", "finite"),
        ("learning_rate = inf", "finite"),
        ("learning_rate = 0", "greater than 0"),
        ("clean = 1.5", "at most 1"),
        ("clean = nan", "finite"),
        ("batch_size = 1", "at least 2"),  # a mean over one pattern has no deviation
        ("seed = -1", "at least 0"),
        (f"seed = {10**30}", "at most 90000000"),
        (f"seed = {'1' * 5000}", "is not a recipe"),
        ("name = " + "[" * 5000, "is not a recipe"),
        ('kind = "pictures"\nspots = 3', r"a list of tables as \[\[spots\]\]"),
        ('kind = "pictures"\nspots = [3]', r"as a table, \[\[spots\]\]"),
        ('kind = "pictures"\naugmentation = 3', r"as a table, \[augmentation\]"),
        ('kind = "pictures"\n[augmentation]\nnose = 3', r"'nose' in \[augmentation\]; .* noise"),
        ('kind = "pictures"\n[[spots]]\ncells = 3.5', r"cells is 3.5 in \[\[spots\]\]; it should"),
        ('kind = "pictures"\nfolder = "x"', "unknown key 'folder'"),
        ('kind = ["pictures"]', "unknown kind"),
        ('kind = "bravais"\nheads = 7', "a multiple of heads"),
        ('kind = "bravais"\nbatch_size = 60000', "a round has only 49152 patterns"),
        ('kind = "bravais"\nmasters = 9\nmixed = 1\nbatch_size = 40000', "only 32768 patterns"),
        ('kind = "pictures"\noptimiser = "sgd"', "should be 'adam' or 'adamw'"),
        (
            'kind = "pictures"\n[[kikuchi]]\nstructures = ["Ni"]\npc = [0.5, 0.5]',
            "it has too few values",
        ),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused_in_one_sentence(
    tmp_path: Path, text: str, words: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(InputError, match=words) as caught:
        read_recipe(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such recipe"):
        read_recipe(tmp_path / "none.toml")
    with pytest.raises(InputError, match="is not a recipe"):
        read_recipe(tmp_path)


@given(data=st.binary(max_size=200))
@settings(max_examples=50, deadline=None)
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(data)
    with suppress(InputError):
        assert isinstance(read_recipe(path), ZoneRecipe)


def test_files_are_found_beside_the_recipe_or_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "recipes"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    (folder / "mine.cif").touch()
    (folder / "mine.safetensors").touch()
    (tmp_path / "here.cif").touch()
    text = """kind = "phases"
phases = ["mine.cif", "here.cif", "nickel"]
start = "mine.safetensors"
"""
    recipe = read_recipe(Path("recipes") / write(folder, text).name)
    assert recipe.phases == ("recipes/mine.cif", "here.cif", "nickel")
    assert recipe.start == "recipes/mine.safetensors"
    assert recipe.phase_names == ("mine", "here", "nickel")
