"""Settings of the simulation: ranges, units, and the realistic draws."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from napari_diffraction.errors import InputError
from napari_diffraction.simulation.conditions import (
    DetectorEffects,
    SpotConditions,
    exposed_conditions,
    exposed_effects,
    realistic_conditions,
    realistic_effects,
)

RANGED = [
    (kind, item.name, item.metadata["range"])
    for kind in (SpotConditions, DetectorEffects)
    for item in fields(kind)
    if "range" in item.metadata
]


def test_defaults_are_those_of_the_paper() -> None:
    conditions = SpotConditions()
    assert (conditions.wavelength, conditions.resolution) == (0.0251, 1.0)
    assert (conditions.excitation_error, conditions.intensities) == (0.01, "equal")
    assert (conditions.falloff, conditions.rocking, conditions.in_plane) == (0, False, False)


@pytest.mark.parametrize("kind", [SpotConditions, DetectorEffects])
def test_every_setting_is_explained(kind: type) -> None:
    for item in fields(kind):
        assert len(item.metadata["tip"]) > 8, item.name
        assert isinstance(item.default, (bool, int, float, str))
        number = isinstance(item.default, float)
        assert ("range" in item.metadata) == ("unit" in item.metadata) == number, item.name


@pytest.mark.parametrize(("kind", "name", "limits"), RANGED)
def test_numbers_out_of_range_are_refused(
    kind: type, name: str, limits: tuple[float, float]
) -> None:
    for value in limits:
        assert getattr(kind(**{name: value}), name) == value
    for value in (limits[0] - 1e-3 - abs(limits[0]), limits[1] * 1.01 + 1e-9, float("nan")):
        with pytest.raises(InputError, match=rf"The setting {name} is .* outside .*: give"):
            kind(**{name: value})


def test_unknown_intensities() -> None:
    with pytest.raises(InputError, match="'dynamical': use one of equal, random, kinematical"):
        SpotConditions(intensities="dynamical")


def test_row_holds_the_settings_in_order() -> None:
    effects = DetectorEffects(signal=7.0, poisson=True, jitter=0.5)
    row = dict(zip([item.name for item in fields(effects)], effects.row(), strict=True))
    assert (row["signal"], row["poisson"], row["jitter"], row["gain"]) == (7, 1, 0.5, 1)


def test_clean_means_all_spots_in_place_and_nothing_else() -> None:
    assert DetectorEffects().is_clean
    assert DetectorEffects(shift_x=0.1, ellipticity=0.1, spot_radius=3, signal=10).is_clean
    for change in (
        {"signal": 10.0, "poisson": True},
        {"signal": 10.0, "read_noise": 1.0},
        {"missing": 0.1},
        {"false_spots": 0.1},
        {"jitter": 1.0},
        {"beam_stop": 0.1},
        {"beam_stop_arm": 0.1},
        {"gap_width": 2.0},
    ):
        assert not DetectorEffects(**change).is_clean, change  # type: ignore[arg-type]


def test_realistic_draws_vary_stay_in_range_and_follow_the_seed() -> None:
    rng = np.random.default_rng(0)
    rows = np.array([realistic_effects(rng).row() for _ in range(300)])  # checks the ranges, too
    constant = {
        item.name
        for item, column in zip(fields(DetectorEffects), rows.T, strict=True)
        if np.ptp(column) == 0
    }
    assert constant == {"poisson"}  # always on
    same = [realistic_effects(np.random.default_rng(5)) for _ in range(2)]
    assert same[0] == same[1]


def test_long_exposures_are_strong_and_in_range() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        effects, conditions = exposed_effects(rng, 128), exposed_conditions(rng)  # range-checked
        assert effects.signal >= 400
        assert not effects.is_clean
        assert conditions.in_plane


def test_realistic_beam_is_80_to_300_kv() -> None:
    rng = np.random.default_rng(0)
    drawn = [realistic_conditions(rng) for _ in range(200)]
    # relativistic wavelengths in A: 0.0418 at 80 kV, 0.0197 at 300 kV
    volts = np.array([80e3, 300e3])
    limits = 12.2643 / np.sqrt(volts + 0.97845e-6 * volts**2)
    wavelength = np.array([one.wavelength for one in drawn])
    assert limits[1] - 1e-4 < wavelength.min() < wavelength.max() < limits[0] + 1e-4
    assert {one.intensities for one in drawn} == {"equal", "random", "kinematical"}


def test_sizes_scale_with_the_frame() -> None:
    small, large = (realistic_effects(np.random.default_rng(3), size) for size in (256, 1024))
    assert large.central_radius == pytest.approx(4 * small.central_radius)
    assert large.spot_radius == pytest.approx(4 * small.spot_radius)
    assert large.signal == small.signal
