from __future__ import annotations

from itertools import islice

import gemmi
import numpy as np
import pytest

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.indexing.spot_net.fit import fit_net
from napari_diffraction.learning.classes import LAUE, MULTIPLE, NO_HIT, ZONE, ZONE_CLASSES
from napari_diffraction.learning.zones.data import Example, disturb, draw_cell, examples
from napari_diffraction.learning.zones.shards import KINDS
from napari_diffraction.patterns.spots.peaks import find_peaks

N = 140


def label_of(example: Example) -> str:
    return ZONE_CLASSES[example.label]


@pytest.fixture(scope="module")
def clean() -> list[Example]:
    return list(islice(examples(1, clean=1.0), N))


@pytest.fixture(scope="module")
def realistic() -> list[Example]:
    return list(islice(examples(2, clean=0.0), N))


def test_a_seed_gives_the_same_patterns_and_another_one_others() -> None:
    first, again, other = (list(islice(examples(seed), 6)) for seed in (5, 5, 6))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.image, b.image)
        assert (a.label, a.kind, a.cell, a.signal) == (b.label, b.kind, b.cell, b.signal)
    assert not any(a.image.shape == b.image.shape and (a.image == b.image).all()
                   for a, b in zip(first, other, strict=True))  # fmt: skip
    assert {a.cell for a in first}.isdisjoint(b.cell for b in other)


def test_examples_are_what_they_say(clean: list[Example], realistic: list[Example]) -> None:
    for example in clean + realistic:
        assert example.image.ndim == 2
        assert min(example.image.shape) >= 32
        assert np.isfinite(example.image).all()
        assert example.kind in KINDS
        assert 0 <= example.label < len(ZONE_CLASSES)
        assert 0 <= example.fraction <= 1
        assert example.n_spots >= 0
    assert all(example.clean for example in clean)
    assert not any(example.clean for example in realistic)
    # Every class and every kind is there to learn from; a crystal is missing on noise alone.
    assert {label_of(e) for e in realistic} == set(ZONE_CLASSES)
    assert {e.kind for e in realistic} == set(KINDS) - {"natural"}
    assert {e.kind for e in clean} == set(KINDS) - {"natural", "none"}


def test_labels_follow_what_is_visible(clean: list[Example], realistic: list[Example]) -> None:
    for example in clean + realistic:
        label = label_of(example)
        if label == ZONE:
            assert example.fraction >= (1 if example.clean else 0.9) - 1e-6
        if example.kind == "none":
            assert label == NO_HIT
            assert example.n_spots == 0
        if example.kind in ("jitter", "shift"):
            assert label in (LAUE, NO_HIT)
        if example.kind == "overlay":
            assert label in (MULTIPLE, NO_HIT)
        if label == LAUE and example.clean and example.kind in ("zone", "hybrid", "laue"):
            assert example.fraction < 1 or example.n_spots < 20


def test_the_net_of_a_counterfactual_is_broken(clean: list[Example]) -> None:
    shares: dict[str, list[float]] = {"zone": [], "jitter": [], "shift": [], "overlay": []}
    for example in clean:
        if example.kind in shares and 20 <= example.n_spots < 150:
            shares[example.kind].append(fit_net(find_peaks(example.image))["on_net"])
    assert min(len(values) for values in shares.values()) >= 2
    assert np.median(shares["zone"]) > 0.95
    assert np.median(shares["jitter"]) < 0.5
    assert np.median(shares["shift"]) < 0.85
    assert np.median(shares["overlay"]) < 0.85


def test_natural_patterns_have_natural_shares() -> None:
    drawn = list(islice(examples(3, clean=0.0, natural=True), 280))
    assert {e.kind for e in drawn} == {"natural"}
    share = {name: np.mean([label_of(e) == name for e in drawn]) for name in ZONE_CLASSES}
    assert 0.02 < share[NO_HIT] < 0.4
    assert 0.02 < share[MULTIPLE] < 0.25
    assert 0 < share[ZONE] < 0.25
    assert share[LAUE] > 0.4


def test_a_cell_has_the_symmetry_of_its_space_group() -> None:
    rng = np.random.default_rng(0)
    systems = set()
    for _ in range(60):
        cell, number = draw_cell(rng)
        assert isinstance(cell, UnitCell)
        assert 79 < cell.volume < 3001
        if number is None:
            continue
        group = gemmi.find_spacegroup_by_number(number)
        assert group is not None
        systems.add(group.crystal_system_str())
        parameters = gemmi.UnitCell(cell.a, cell.b, cell.c, cell.alpha, cell.beta, cell.gamma)
        assert parameters.is_compatible_with_spacegroup(group, 1e-4)
    assert len(systems) >= 5


def test_an_image_that_is_not_disturbed_is_itself() -> None:
    image = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    assert disturb(image, np.random.default_rng(0), share=0.0) is image


def test_disturbed_images_show_the_same_pattern() -> None:
    image = np.random.default_rng(1).poisson(4, (128, 128)).astype(np.uint16)
    image[20:120:12, 20:120:12] += 200
    image[21:120:12, 20:120:12] += 200
    changed = 0
    for seed in range(20):
        out = disturb(image, np.random.default_rng(seed), share=1.0)
        assert out.ndim == 2
        assert np.isfinite(out).all()
        assert out.max() > out.min()
        changed += out.shape != image.shape or out.dtype != image.dtype
    assert changed > 10
