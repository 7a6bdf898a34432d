"""Labelled stacks: tables that fit the pictures, seeds, classes, and every refusal."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.excitation import SpotLists, excited_reflections
from napari_diffraction.crystal.orientation import fibonacci_sphere
from napari_diffraction.crystal.reflections import reflection_table
from napari_diffraction.errors import InputError
from napari_diffraction.progress import Progress, finish
from napari_diffraction.simulation.classes import LAUE, MULTIPLE, NO_HIT, ZONE
from napari_diffraction.simulation.conditions import DetectorEffects, SpotConditions
from napari_diffraction.simulation.spots.dataset import SimulatedStack, simulate_one, simulate_spots
from napari_diffraction.simulation.spots.lists import weigh

CELL = UnitCell(5.6786, 10.4648, 20.4682, 109.7914, 106.5805, 105.8206)
SMALL = UnitCell(4, 7, 11, 90, 105, 90)
CAMERA = DetectorEffects(
    signal=60.0, background=4.0, poisson=True, read_noise=1.0, halo=50.0, jitter=0.3
)


def simulate(
    cells: list[UnitCell] | None = None,
    conditions: SpotConditions | None = None,
    effects: DetectorEffects | None = None,
    **options: Any,
) -> SimulatedStack:
    options = {"orientations": 30, "size": 96} | options
    return finish(simulate_spots(cells or [SMALL], conditions, effects, **options))


# --- tables and pictures -------------------------------------------------------------------------


def test_one_row_a_pattern_and_one_row_a_spot() -> None:
    stack = simulate([SMALL, CELL], orientations=150, seed=3)
    assert len(stack) == 300
    assert stack.images.shape == (300, 96, 96)
    assert stack.images.dtype == np.uint8
    labels, spots = stack.labels, stack.spots
    assert labels["index"].tolist() == list(range(300))
    assert labels["cell"].tolist() == [0] * 150 + [1] * 150
    assert labels["a"].tolist() == [4.0] * 150 + [5.6786] * 150
    assert (labels["seed"] == 3).all()
    assert (labels["crystals"] == 1).all()
    assert spots["pattern"].is_monotonic_increasing
    counts = np.bincount(spots["pattern"][spots["visible"]], minlength=300)
    np.testing.assert_array_equal(counts, labels["n_spots"])
    documented = "index cell label zone_fraction u v w n_spots n_foreign crystals a b c alpha beta"
    documented += " gamma r11 r12 r13 r21 r22 r23 r31 r32 r33 seed"
    assert labels.columns.tolist() == documented.split()
    assert spots.columns.tolist() == [
        *("pattern", "crystal", "h", "k", "l", "x", "y", "intensity", "visible")
    ]


def test_the_spots_lie_where_the_table_says() -> None:
    stack = simulate(size=192)
    seen = stack.spots[stack.spots["visible"]]
    rows, columns = seen["y"].round().astype(int), seen["x"].round().astype(int)
    assert (stack.images[seen["pattern"], rows, columns] == 255).all()


def test_the_table_holds_the_physics() -> None:
    """Position and index follow from cell, rotation and calibration alone."""
    stack = simulate([CELL], SpotConditions(in_plane=True), replace(CAMERA, jitter=0), seed=1)
    rotation = stack.labels.filter(regex="^r[123][123]$").to_numpy().reshape(-1, 3, 3)
    np.testing.assert_allclose(np.linalg.det(rotation), 1)
    spots = stack.spots
    g = np.einsum(
        "nij,nj->ni",
        rotation[spots["pattern"]],
        spots[["h", "k", "l"]].to_numpy() @ CELL.reciprocal_basis,
    )
    assert stack.geometry.pixel_size is not None
    assert stack.geometry.centre is not None
    expected = g[:, :2] / stack.geometry.pixel_size + stack.geometry.centre
    np.testing.assert_allclose(spots[["x", "y"]], expected, atol=1e-2)
    distance = np.linalg.norm(g + np.array([0, 0, 1 / 0.0251]), axis=1) - 1 / 0.0251
    assert np.abs(distance).max() < 0.01
    assert np.linalg.norm(g, axis=1).max() <= 1
    assert stack.geometry.wavelength == 0.0251
    # half a frame is 95 % the resolution limit by default
    assert stack.geometry.pixel_size == pytest.approx(1 / (0.95 * 48))


def test_zone_of_every_pattern_obeys_the_zone_law() -> None:
    stack = simulate([CELL], orientations=300)
    labels = stack.labels
    uvw = labels[["u", "v", "w"]].to_numpy()[stack.spots["pattern"]]
    inside = (stack.spots[["h", "k", "l"]].to_numpy().astype(int) * uvw).sum(axis=1) == 0
    in_zone = np.bincount(stack.spots["pattern"], inside, minlength=300)
    np.testing.assert_allclose(labels["zone_fraction"], in_zone / labels["n_spots"], atol=1e-6)
    np.testing.assert_array_equal(labels["n_foreign"], labels["n_spots"] - in_zone)
    zones = labels["label"] == ZONE
    assert 0 < zones.sum() < 30
    assert (labels["n_foreign"][zones] == 0).all()
    assert (labels["n_foreign"][~zones] > 0).all()


def test_a_zone_axis_lies_along_the_beam() -> None:
    labels = simulate([CELL], orientations=300).labels
    zones = labels[labels["label"] == ZONE]
    axis = zones[["u", "v", "w"]].to_numpy() @ CELL.basis
    rotation = zones.filter(regex="^r[123][123]$").to_numpy().reshape(-1, 3, 3)
    along = np.einsum("nij,nj->ni", rotation, axis / np.linalg.norm(axis, axis=1, keepdims=True))
    # a tilted zone is a band of a few rows, still of one net; none is tilted far
    assert np.abs(along[:, 2]).min() > np.cos(np.radians(10))
    assert np.median(np.abs(along[:, 2])) > np.cos(np.radians(4))


def test_absences_reach_the_patterns() -> None:
    stack = simulate([SMALL], SpotConditions(excitation_error=0.05), space_group="P 1 21 1")
    axial = stack.spots[(stack.spots["h"] == 0) & (stack.spots["l"] == 0)]
    assert len(axial) > 10
    assert (axial["k"] % 2 == 0).all()


def test_orientations_are_those_of_the_sphere() -> None:
    labels = simulate(orientations=40).labels
    np.testing.assert_allclose(labels[["r31", "r32", "r33"]], fibonacci_sphere(40))
    turned = simulate(None, SpotConditions(in_plane=True), orientations=40).labels
    np.testing.assert_allclose(turned[["r31", "r32", "r33"]], fibonacci_sphere(40))
    assert (np.abs(turned["r11"] - labels["r11"]) > 1e-3).mean() > 0.9


def test_progress_counts_the_patterns() -> None:
    steps: list[Progress] = []
    finish(simulate_spots([SMALL, CELL], orientations=200, size=32), steps.append)
    assert [step.done for step in steps] == [128, 200, 328, 400]
    assert {step.total for step in steps} == {400}


# --- chance --------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_stack() -> None:
    conditions = SpotConditions(intensities="random", in_plane=True)
    one, same, other = (
        simulate(None, conditions, CAMERA, crystals=2, orientations=140, seed=seed)
        for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(one.images, same.images)
    pd.testing.assert_frame_equal(one.labels, same.labels)
    pd.testing.assert_frame_equal(one.spots, same.spots)
    assert (one.images != other.images).any(axis=(1, 2)).all()


def test_noise_alone_differs_between_seeds() -> None:
    """Equal spots without in-plane rotation: the seed decides nothing but the noise."""
    one, other = (simulate(None, None, replace(CAMERA, jitter=0), seed=s) for s in (1, 2))
    pd.testing.assert_frame_equal(one.spots, other.spots)
    difference = one.images.astype(int) - other.images
    assert (difference != 0).any(axis=(1, 2)).all()
    assert abs(difference.mean()) < 0.1


def test_no_two_patterns_share_their_noise() -> None:
    """Neither within a batch nor across batches."""
    vacuum = replace(CAMERA, halo=0.0)
    images = simulate(None, None, vacuum, orientations=300, crystals=0, size=32).images
    flat = images.reshape(300, -1)[:, :256]  # away from the direct beam
    assert len(np.unique(flat, axis=0)) == 300


# --- classes -------------------------------------------------------------------------------------


def test_no_crystal_is_no_hit() -> None:
    for effects in (DetectorEffects(), CAMERA, replace(CAMERA, ice=30.0, carbon=10.0)):
        stack = simulate(None, None, effects, crystals=0)
        assert (stack.labels["label"] == NO_HIT).all()
        assert stack.labels["n_spots"].sum() == len(stack.spots) == 0
        assert stack.images.max() > 0  # the direct beam


@pytest.mark.parametrize("crystals", [2, 3])
def test_several_crystals_are_told(crystals: int) -> None:
    stack = simulate([CELL], None, None, crystals=crystals, orientations=60)
    assert (stack.labels["label"] == MULTIPLE).mean() > 0.95
    assert (stack.labels["crystals"] == crystals).all()
    own = stack.spots.groupby("pattern")["crystal"].unique()
    assert all(sorted(one) == list(range(crystals)) for one in own)
    # the orientations of the crystals of a pattern differ
    assert not stack.spots.duplicated(["pattern", "x", "y"]).any()


def test_hidden_patterns_are_no_hits() -> None:
    faint = replace(CAMERA, signal=0.01)
    assert (simulate(None, None, faint).labels["label"] == NO_HIT).all()


def test_a_foreign_reflection_counts_on_clean_patterns_only() -> None:
    options = {"orientations": 1000, "size": 64}
    clean = simulate([CELL], **options).labels
    noisy = simulate([CELL], None, DetectorEffects(signal=1e4, poisson=True), **options).labels
    hybrid = (clean["zone_fraction"] >= 0.9) & (clean["zone_fraction"] < 1)
    assert hybrid.sum() > 3
    assert (clean["label"][hybrid] == LAUE).all()
    assert (noisy["label"][hybrid] == ZONE).mean() > 0.5


# --- intensities ---------------------------------------------------------------------------------


def made(**change: Any) -> tuple[SpotLists, SpotLists]:
    plain = excited_reflections(reflection_table(CELL), np.eye(3)[None])
    return plain, weigh(plain, SpotConditions(**change))


def test_falloff_is_that_of_a_debye_waller_factor_of_intensities() -> None:
    """|exp(-B (sin theta / lambda)^2)|^2 with sin theta / lambda = g / 2."""
    plain, weighed = made(falloff=3.0)
    g = np.linalg.norm(plain.hkl @ CELL.reciprocal_basis, axis=1)
    sine = 0.0251 * g / 2
    np.testing.assert_allclose(
        weighed.intensity / plain.intensity, np.exp(-3.0 * (sine / 0.0251) ** 2) ** 2, rtol=1e-3
    )


def test_rocking_curve_is_that_of_a_slab() -> None:
    """The first zero of sinc^2 lies at the excitation error; what is left of it is 2 %."""
    plain, weighed = made(rocking=True)
    ratio = weighed.intensity / plain.intensity
    s = plain.excitation / 0.01
    assert ratio.min() == pytest.approx(0.02)
    half = np.interp(0.443, np.sort(np.abs(s)), ratio[np.argsort(np.abs(s))])
    assert half == pytest.approx(0.5, abs=0.05)
    assert (ratio[np.abs(s) < 0.05] > 0.97).all()


def test_weighing_changes_nothing_unless_asked_for() -> None:
    plain, weighed = made()
    np.testing.assert_array_equal(plain.intensity, weighed.intensity)


# --- preview -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("conditions", "effects"),
    [
        (SpotConditions(), DetectorEffects()),
        (
            SpotConditions(intensities="kinematical", falloff=2.0, rocking=True),
            DetectorEffects(signal=50.0, background=3.0, gap_width=2.0, shift_x=0.1, extent=0.7),
        ),
    ],
)
def test_preview_is_the_pattern_of_the_stack(
    conditions: SpotConditions, effects: DetectorEffects
) -> None:
    stack = simulate([CELL], conditions, effects, orientations=150, seed=4)
    for index in (0, 77, 149):
        one = simulate_one(
            CELL,
            conditions,
            effects,
            orientation_index=index,
            orientations=150,
            size=96,
            seed=4,
        )
        np.testing.assert_array_equal(one.images[0], stack.images[index])
        assert one.geometry == stack.geometry
        ours = one.labels.drop(columns="index").iloc[0]
        pd.testing.assert_series_equal(
            ours, stack.labels.drop(columns="index").iloc[index], check_names=False
        )
        theirs = stack.spots[stack.spots["pattern"] == index].reset_index(drop=True)
        pd.testing.assert_frame_equal(
            one.spots.drop(columns="pattern"), theirs.drop(columns="pattern")
        )


@pytest.mark.parametrize("crystals", [0, 1, 2, 3])
def test_preview_shows_any_number_of_crystals(crystals: int) -> None:
    one = simulate_one(CELL, None, CAMERA, crystals=crystals, seed=9)
    assert one.images.shape == (1, 256, 256)
    assert sorted(one.spots["crystal"].unique()) == list(range(crystals))
    again = simulate_one(CELL, None, CAMERA, crystals=crystals, seed=9)
    np.testing.assert_array_equal(one.images, again.images)


def test_preview_goes_round() -> None:
    first, next_round = (
        simulate_one(SMALL, orientation_index=i, orientations=50, size=64) for i in (3, 53)
    )
    np.testing.assert_array_equal(first.images, next_round.images)


def test_preview_is_quick() -> None:
    """At the size that people look at, well below the tenth of a second of a live preview.

    In processor time, since tests share their machine.
    """
    took = []
    for index in range(12):
        begin = time.process_time()
        simulate_one(CELL, None, CAMERA, orientation_index=index)
        took.append(time.process_time() - begin)
    assert min(took) < 0.1


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"cells": []}, "There is no unit cell"),
        ({"orientations": 0}, "0 orientations give no pattern"),
        ({"size": 8}, "A pattern of 8 pixels"),
        ({"size": 5000}, "A pattern of 5000 pixels"),
        ({"crystals": 4}, "4 crystals cannot be overlaid"),
        ({"crystals": -1}, "-1 crystals cannot be overlaid"),
        ({"seed": -1}, "The seed -1 is negative"),
        ({"space_group": "P 9"}, "Unknown space group 'P 9'"),
        ({"cells": [UnitCell(900, 900, 900)]}, "too many reflections"),
    ],
)
def test_what_cannot_be_simulated(options: dict[str, Any], sentence: str) -> None:
    cells = options.pop("cells", [SMALL])
    with pytest.raises(InputError, match=sentence):
        finish(simulate_spots(cells, **options))
    if cells:
        with pytest.raises(InputError, match=sentence):
            simulate_one(cells[0], **options)
