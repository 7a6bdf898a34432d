"""What the documentation says can be typed and opened."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from napari_diffraction.cli.app import run
from napari_diffraction.learning.training.recipe import read_recipe
from napari_diffraction.learning.zones.recipe import ZoneRecipe
from napari_diffraction.patterns.readers import FORMATS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def commands() -> Iterator[tuple[str, list[str]]]:
    """Find the commands in the pages' code blocks, each with the name of its page."""
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                if line.startswith("napari-diffraction "):
                    yield page.name, shlex.split(line)[1:]


@pytest.mark.parametrize(
    "words", [pytest.param(words, id=f"{page}: {' '.join(words)}") for page, words in commands()]
)
def test_a_command_of_the_documentation_exists_with_its_options(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    verb = words[:2] if words[0] in ("simulate", "models") else words[:1]
    assert run([*verb, "--help"]) == 0
    lines = re.findall(r"^ +(--[a-z0-9-]+)(?: / (--[a-z0-9-]+))?", capsys.readouterr().out, re.M)
    options = {option for line in lines for option in line if option}
    assert {word for word in words if word.startswith("--")} <= options


def test_every_format_that_can_be_read_is_listed() -> None:
    page = (ROOT / "docs" / "formats.md").read_text()
    assert [s for row in FORMATS for s in row.suffixes if f"`{s}`" not in page] == []


def test_the_recipes_of_the_documentation_can_be_read(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "howto" / "train.md").read_text()
    recipes = []
    for text in re.findall(r"```toml\n(.*?)```", page, re.DOTALL):
        (tmp_path / "ours.toml").write_text(text)
        recipes.append(read_recipe(tmp_path / "ours.toml"))
    said = ("name", "title", "summary")
    (zones,) = (recipe.as_dict() for recipe in recipes if isinstance(recipe, ZoneRecipe))
    assert {key: value for key, value in zones.items() if key not in said} == {
        key: value for key, value in ZoneRecipe().as_dict().items() if key not in said
    }


def test_the_examples_are_short_and_the_gallery_is_linked() -> None:
    # They are run by `make docs`, which takes all scripts of the folder.
    scripts = sorted((ROOT / "docs" / "examples").glob("*.py"))
    assert [path.name[0] for path in scripts] == list("123456")
    assert [path.name for path in scripts if len(path.read_text().splitlines()) > 60] == []
    assert "\ngallery/index\n" in (ROOT / "docs" / "index.md").read_text()
    assert "(docs/examples)" in (ROOT / "README.md").read_text()


def test_the_functions_that_the_page_on_the_house_names_are_there_and_used() -> None:
    page = (ROOT / "docs" / "how_it_is_built.md").read_text()
    source = ROOT / "src" / "napari_diffraction"
    everything = "".join(path.read_text() for path in source.rglob("*.py"))
    steps = re.findall(r"^\| `([\w/]+\.py)` \| ((?:`\w+`(?:, )?)+) \|", page, re.M)
    assert len(steps) > 30
    for file, names in steps:
        for name in re.findall(r"\w+", names):
            assert re.search(rf"^ *def {name}\(", (source / file).read_text(), re.M), (file, name)
            assert len(re.findall(rf"\b{name}\b", everything)) > 1, (file, name)
    for place in re.findall(r"`(\w+/[\w/]*(?:\.py)?)`", page):
        beside = source / "patterns" / "readers" / place
        assert any(at.exists() for at in (source / place, beside, ROOT / place)), place
