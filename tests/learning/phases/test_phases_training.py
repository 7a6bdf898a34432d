"""A closed set of phases: what is asked for, what is simulated, and the model that comes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_diffraction.crystal.materials import MATERIALS
from napari_diffraction.errors import InputError
from napari_diffraction.learning.phases.recipe import PhasesRecipe, phases_of
from napari_diffraction.learning.settings import settings_of
from napari_diffraction.learning.training import recipe
from napari_diffraction.learning.training.recipe import read_recipe

RECIPES = Path(recipe.__file__).parent / "recipes"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"phases": ("Ni",)}, "name 2 to 10"),
        ({"phases": tuple(MATERIALS)[:11]}, "name 2 to 10"),
        ({"phases": ("Ni", "a/Ni.cif")}, "named twice"),
        ({"phases": ("Ni", "NoPattern.cif")}, "rename its file"),
        ({"phases": ("Ni", 3)}, "a string"),
        ({"phases": ("Ni", "Fe"), "voltage": 200.0}, "3 to 40 kV"),
        ({"phases": ("Ni", "Fe"), "pc": (0.5, 0.3)}, "pattern centre"),
        ({"phases": ("Ni", "Fe"), "pc": (0.5, 0.3, 0.0)}, "pattern centre"),
        ({"phases": ("Ni", "Fe"), "pc": ("a", "b", "c")}, "a number"),
        ({"phases": ("Ni", "Fe"), "shape": (60,)}, "size of a pattern"),
        ({"phases": ("Ni", "Fe"), "others": -1}, "at least 0"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        settings_of(PhasesRecipe, values, "my.toml")


def test_a_recipe_is_read_by_its_kind() -> None:
    recipe = read_recipe(RECIPES / "quartz-rutile.toml")
    assert isinstance(recipe, PhasesRecipe)
    assert recipe.classes == ("quartz", "rutile", "NoneOfThese", "NoPattern")
    values = recipe.as_dict()
    assert values.pop("kind") == "phases"
    assert PhasesRecipe(
        **{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    ) == (recipe)


def test_without_other_crystals_there_is_no_such_answer(tmp_path: Path) -> None:
    from napari_diffraction.learning.phases.data import make_batch, other_jobs, write_crystals

    recipe = read_recipe(RECIPES / "pair-tic-ni.toml")
    assert isinstance(recipe, PhasesRecipe)
    assert recipe.classes == ("TiC", "Ni", "NoPattern")
    assert other_jobs(recipe) == []
    write_crystals(recipe, [], tmp_path / "crystals.npz")
    batch = make_batch((str(tmp_path / "crystals.npz"), recipe, [1, 2], 200, 1.0, False))
    assert set(batch["label"]) == {0, 1, 2}
    assert 0 < (batch["label"] == 2).mean() < 0.2


def test_phases_of_a_model_are_found_again_where_their_files_are() -> None:
    recipe = PhasesRecipe(phases=("ferrite", "gone/away.cif")).as_dict()
    assert list(phases_of(recipe)) == ["ferrite"]
    assert phases_of(recipe)["ferrite"] is MATERIALS["Fe"]
    assert phases_of({"seed": 1}) == {}


@pytest.fixture(scope="module")
def few() -> dict[str, Any]:
    """Tables of some materials, by name."""
    from napari_diffraction.learning.bravais.structure_pool import structure_arrays

    names = ("Fe", "Cr", "NiAl", "austenite", "Ni", "quartz", "rutile", "Al")
    return {name: structure_arrays([MATERIALS[name]]) for name in names}


def test_crystals_are_alike_where_nobody_could_tell_their_patterns_apart(
    few: dict[str, Any],
) -> None:
    from napari_diffraction.learning.phases.data import _ALIKE, likeness

    def alike(a: str, b: str) -> bool:
        return bool(likeness(few[a], few[b])[0, 0] > _ALIKE)

    assert alike("Fe", "Fe")
    assert alike("Fe", "Cr")
    assert alike("Fe", "NiAl")
    assert alike("austenite", "Ni")
    assert not alike("austenite", "Fe")
    assert not alike("Ni", "Al")  # a cell that is larger by 15 %
    assert not alike("quartz", "rutile")


def test_a_crystal_looks_the_same_in_another_setting(few: dict[str, Any]) -> None:
    from scipy.spatial.transform import Rotation

    from napari_diffraction.learning.phases.data import likeness

    turned = dict(few["rutile"])
    turn = Rotation.random(rng=np.random.default_rng(0)).as_matrix()
    turned["normal"] = (turned["normal"] @ turn.T).astype(np.float32)
    assert likeness(turned, few["rutile"])[0, 0] > 0.98


def test_what_is_known_of_the_camera_is_kept(few: dict[str, Any]) -> None:
    from napari_diffraction.learning.bravais.data import draw
    from napari_diffraction.learning.phases.data import narrow
    from napari_diffraction.patterns.geometry import wavelength
    from napari_diffraction.simulation.kikuchi.effects import COLUMNS

    rng = np.random.default_rng(1)
    drawn = draw(400, rng)
    recipe = PhasesRecipe(
        phases=("Ni", "Fe"), voltage=15.0, pc=(0.5, 0.2, 0.8), pc_spread=0.01, shape=(48, 60)
    )
    known = narrow(drawn, recipe, rng)
    np.testing.assert_allclose(known.profile[:, 0], wavelength(15.0), rtol=1e-6)
    np.testing.assert_array_equal(known.profile[:, 1:], drawn.profile[:, 1:])
    # In a square of 60 pixels the frame stands 6 pixels from above, and is 48 high.
    expected = np.array([0.5, (6 + 0.2 * 48) / 60, 0.8 * 48 / 60])
    np.testing.assert_allclose(known.pc.mean(axis=0), expected, atol=0.003)
    assert 0.005 < known.pc[:, 0].std() < 0.015
    assert (known.effects[:, COLUMNS.index("half_height")] == np.float32(0.8)).all()
    nothing = narrow(drawn, PhasesRecipe(phases=("Ni", "Fe")), rng)
    np.testing.assert_array_equal(nothing.pc, drawn.pc)
    np.testing.assert_array_equal(nothing.effects, drawn.effects)


def test_a_batch_holds_phases_others_and_empty_frames(tmp_path: Path, few: dict[str, Any]) -> None:
    from napari_diffraction.learning.networks.band_view import BANDS
    from napari_diffraction.learning.phases.data import make_batch, write_crystals

    recipe = PhasesRecipe(phases=("Fe", "rutile"))
    path = tmp_path / "crystals.npz"
    write_crystals(recipe, [few["Cr"], few["quartz"], few["Al"]], path)
    with np.load(path) as file:
        assert list(file["label"]) == [0, 1, 2, 2]  # Cr looks like a phase and is left out
    job = (str(path), recipe, [3, 1], 120, 0.2, False)
    batch = make_batch(job)
    label = batch["label"]
    assert batch["normal"].shape in [(120, most, 3) for most in BANDS]
    assert set(label) == {0, 1, 2, 3}
    assert (label < 2).mean() > 0.5
    assert (batch["laue"][label == 3] == -1).all()
    np.testing.assert_array_equal(make_batch(job)["profile"], batch["profile"])


def test_a_model_comes_out_with_its_accuracy(tmp_path: Path) -> None:
    from napari_diffraction.learning.models.registry import load_model
    from napari_diffraction.learning.phases.training import ACCURACY, train_phases
    from napari_diffraction.progress import Progress, finish

    recipe = PhasesRecipe(
        name="tiny",
        phases=("Ni", "rutile"),
        voltage=20.0,
        others=14,
        patterns=96,
        checks=40,
        batch_size=32,
        start="",
    )
    said: list[Progress] = []
    path = finish(train_phases(recipe, tmp_path / "tiny.safetensors", 1), said.append)
    assert "min at most" in said[0].message
    model = load_model(str(path))
    card = model.card
    assert card.classes == ("Ni", "rutile", "NoneOfThese", "NoPattern")
    assert card.network == "bands"
    assert 0 <= card.figures[ACCURACY] <= 1
    assert f"{card.figures[ACCURACY]:.1%}" in said[-1].message
    assert card.recipe["patterns"] == 96
    assert "20 kV" in card.summary


def test_nothing_is_begun_with_a_phase_that_nobody_knows(tmp_path: Path) -> None:
    from napari_diffraction.learning.phases.training import train_phases

    work = train_phases(PhasesRecipe(phases=("Ni", "unobtainium")), tmp_path / "x.safetensors")
    with pytest.raises(InputError, match="unobtainium"):
        next(work)
