from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from napari_diffraction.analysis.maps.compare import AGREE, DIFFER, NOT_COMPARED, compare
from napari_diffraction.analysis.maps.phase_map import NOT_INDEXED, PhaseMap
from napari_diffraction.errors import InputError


@dataclass(frozen=True)
class Vendor:
    phase: np.ndarray
    names: tuple[str, ...] = (NOT_INDEXED, "Nickel", "Ti alpha", "Fe3C")
    lattices: tuple[str | None, ...] = (None, "cF", "hP", None)
    step: tuple[float, float] | None = None
    euler: np.ndarray | None = None
    cells: tuple = ()


@pytest.fixture
def vendor(truth):
    phase = np.where(truth == "hP", 2, 1)
    phase[5, 0] = 0
    return Vendor(phase)


def test_maps_that_agree_everywhere(make_map, vendor):
    result = compare(make_map(), vendor)
    assert result.points == 46  # without the corner that shows no pattern, and their own gap
    assert result.agreement == result.kappa == 1
    assert (result.difference[0, 0], result.difference[5, 0]) == (NOT_COMPARED, NOT_COMPARED)
    assert (result.difference[1:5] == AGREE).all()
    assert result.matrix.loc["Nickel", "cF"] == 28
    assert result.matrix.loc["Nickel", NOT_INDEXED] == 1
    assert result.matrix.to_numpy().sum() == 48
    assert result.matched == {"Nickel": "cF", "Ti alpha": "hP", "Fe3C": None}


def test_agreement_and_kappa_are_those_of_the_textbook(make_map, vendor, truth):
    from sklearn.metrics import cohen_kappa_score

    names = truth.copy()
    names[3] = "hP"  # five points of a row differ
    result = compare(make_map(names=names), vendor)
    assert (result.difference == DIFFER).sum() == 5
    assert result.agreement == pytest.approx(41 / 46)
    theirs = np.array(["", "cF", "hP"])[vendor.phase]
    both = (vendor.phase > 0) & (names != "NoPattern")
    expected = cohen_kappa_score(theirs[both], names[both].astype(str))
    assert result.kappa == pytest.approx(expected)
    assert "89.1%" in result.sentences()[0]


def test_a_phase_of_theirs_that_we_do_not_know_never_agrees(make_map, vendor):
    phase = vendor.phase.copy()
    phase[0, 1] = 3
    result = compare(make_map(), Vendor(phase))
    assert result.difference[0, 1] == DIFFER
    assert result.agreement == pytest.approx(45 / 46)
    assert any("Fe3C is none of" in line for line in result.sentences())


def test_names_go_before_lattices_and_titanium_is_no_lattice(make_map, truth):
    phase = np.where(truth == "hP", 1, 2)
    swapped = Vendor(phase, (NOT_INDEXED, "hP", "cF"), (None, "cF", "hP"))
    assert compare(make_map(), swapped).agreement == 1
    titanium = Vendor(phase, (NOT_INDEXED, "Ti", "Ni"), (None, "hP", "cF"))
    assert compare(make_map(), titanium).matched == {"Ti": "hP", "Ni": "cF"}


def test_names_of_phases_are_compared_as_people_write_them(stack, make_table):
    classes = ("Ferrite", "alpha-Ti")
    names = np.full((6, 8), "Ferrite", object)
    made = PhaseMap.from_classification(
        make_table(names, classes), stack, SimpleNamespace(classes=classes)
    )
    other = Vendor(np.ones((6, 8), int), (NOT_INDEXED, "ferrite ", "Alpha Ti"), (None,) * 3)
    result = compare(made, other)
    assert result.agreement == 1
    assert np.isnan(result.kappa)  # one phase alone: chance would agree as well
    assert result.matched == {"ferrite ": "Ferrite", "Alpha Ti": "alpha-Ti"}


def test_of_a_phase_whose_lattice_is_not_told_this_is_said(make_map, vendor):
    untold = Vendor(vendor.phase, (NOT_INDEXED, "Nickel", "hP"), (None, None, "hP"))
    said = compare(make_map(), untold).sentences()
    assert (
        "Nickel is none of those here, as far as its file tells: it lacks the lattice." in said[-1]
    )
    told = Vendor(vendor.phase, (NOT_INDEXED, "Cementite", "hP"), (None, "oP", "hP"))
    assert "none of those" not in " ".join(compare(make_map(), told).sentences())


def test_maps_without_a_phase_in_common_have_no_agreement_of_nought(make_map, vendor):
    """A chance level of agreement was told of phases that only have other names."""
    for names in ((NOT_INDEXED, "Cementite"), (NOT_INDEXED, "Cementite", "cF")):
        other = Vendor(np.minimum(vendor.phase, 1), names, (None,) * len(names))
        result = compare(make_map(), other)
        assert result.points == 46
        assert np.isnan(result.agreement)
        assert np.isnan(result.kappa)
        assert (result.difference == NOT_COMPARED).all()
        first, second = result.sentences()
        assert first.startswith("The maps cannot be compared: at the 46 points indexed in both")
        assert "Cementite is none of those here" in second
        assert "%" not in first + second


def test_points_below_the_threshold_are_not_compared(make_map, vendor):
    result = compare(make_map(0.4), vendor, 0.5)
    assert result.points == 0
    assert np.isnan(result.agreement)
    assert result.sentences() == ["No point is indexed in both maps."]


def test_a_map_of_another_size_is_refused(make_map, vendor):
    with pytest.raises(InputError, match="5 x 8 points, alloy has 6 x 8"):
        compare(make_map(), Vendor(vendor.phase[1:]))
