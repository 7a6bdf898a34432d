from __future__ import annotations

import numpy as np
import pytest

from napari_diffraction.cli.app import run
from napari_diffraction.cli.simulation.settings import spot_settings, unit_cells
from napari_diffraction.errors import InputError

TRICLINIC = (5.6786, 10.4648, 20.4682, 109.7914, 106.5805, 105.8206)


def settings(*pairs: str, realistic: bool = False, **given: float | None) -> tuple:
    return spot_settings(realistic=realistic, given=given, pairs=pairs, size=256, seed=1)


def test_the_given_cell_is_taken() -> None:
    (cell,) = unit_cells(TRICLINIC, None, None, 1, 0)
    assert cell.parameters == TRICLINIC


def test_random_cells_have_the_volume_and_differ() -> None:
    cells = unit_cells(None, 700.0, "monoclinic", 3, 0)
    np.testing.assert_allclose([cell.volume for cell in cells], 700.0)
    assert {cell.alpha for cell in cells} == {90.0}
    assert len({cell.a for cell in cells}) == 3
    assert cells == unit_cells(None, 700.0, "monoclinic", 3, 0)
    assert cells == unit_cells(None, 700.0, None, 3, 0, "P 21")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((None, None, None, 1, 0), "--cell A B C"),
        ((TRICLINIC, 500.0, None, 1, 0), "one of the two"),
        ((TRICLINIC, None, "cubic", 1, 0), "for random cells"),
        (((1, 1, 1, 10, 170, 90), None, None, 1, 0), "no volume"),
        ((None, -5.0, None, 1, 0), "volume"),
        # in nm
        ((None, 0.7, None, 1, 0), "--random-cell 0.7: no crystal"),
        ((None, float("nan"), None, 1, 0), "volume"),
        ((None, 500.0, "quadratic", 1, 0), "Unknown crystal system"),
    ],
)
def test_cells_that_cannot_be_are_explained(arguments: tuple, words: str) -> None:
    with pytest.raises(InputError, match=words):
        unit_cells(*arguments)


def test_only_what_is_given_differs_from_clean_patterns() -> None:
    conditions, effects = settings("jitter=2.5", "poisson=yes", wavelength=0.0197, resolution=None)
    assert (conditions.wavelength, conditions.resolution) == (0.0197, 1.0)
    assert (effects.jitter, effects.poisson, effects.missing) == (2.5, True, 0.0)


def test_what_is_given_goes_over_the_realistic_preset() -> None:
    preset, camera = settings(realistic=True)
    conditions, effects = settings("missing=0.5", realistic=True, wavelength=0.0197)
    assert conditions.wavelength == 0.0197 != preset.wavelength
    assert conditions.resolution == preset.resolution
    assert effects.missing == 0.5
    assert effects.signal == camera.signal > 0


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ("jitter", "NAME=VALUE"),
        ("wobble=2", "NAME=VALUE"),
        ("jitter=big", "not a number"),
        ("jitter=nan", "outside"),
        ("missing=7", "outside"),
        ("poisson=2", "true or false"),
        ("intensities=loud", "Unknown intensities"),
    ],
)
def test_settings_that_cannot_be_are_explained(pair: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        settings(pair)


def test_crystals_without_a_hit_are_told(tmp_path, capsys) -> None:
    words = ["simulate", "spots", "--orientations", "4", "--size", "32", "--output"]
    words.append(str(tmp_path / "out.h5"))
    too_few = "too few visible spots for a hit"
    assert run([*words, "--cell", "0.36", "0.36", "0.36", "90", "90", "90"]) == 0
    assert too_few in capsys.readouterr().out
    assert run([*words, "--random-cell", "1000"]) == 0
    assert run([*words, "--random-cell", "1000", "--crystals", "0"]) == 0
    assert too_few not in capsys.readouterr().out
