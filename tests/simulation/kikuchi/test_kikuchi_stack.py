import json

import h5py
import numpy as np
import pytest

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.structure import expand
from napari_diffraction.errors import InputError
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.patterns.stack import KikuchiGeometry
from napari_diffraction.progress import finish
from napari_diffraction.simulation.files import load_labels
from napari_diffraction.simulation.kikuchi.effects import KikuchiEffects, realistic_rows
from napari_diffraction.simulation.kikuchi.files import save_kikuchi
from napari_diffraction.simulation.kikuchi.patterns import (
    KikuchiConditions,
    simulate_kikuchi,
    to_grey,
)

NICKEL = expand(UnitCell(3.5236, 3.5236, 3.5236), 225, [("Ni", 0, 0, 0)], "Ni")
TITANIUM = expand(
    UnitCell(2.9508, 2.9508, 4.6855, 90, 90, 120), 194, [("Ti", 1 / 3, 2 / 3, 0.25)], "Ti"
)


def simulate(*args, **options):
    options = {"patterns": 5, "size": 32, **options}
    return finish(simulate_kikuchi(*args, **options))


def test_every_crystal_has_its_labelled_patterns():
    steps = []
    stack = finish(simulate_kikuchi([NICKEL, TITANIUM], patterns=200, size=(24, 32)), steps.append)
    assert stack.images.shape == (400, 24, 32)
    assert stack.images.dtype == np.uint8
    assert (steps[-1].done, steps[-1].total, len(steps)) == (400, 400, 2)
    assert stack.labels["label"].tolist() == ["cF"] * 200 + ["hP"] * 200
    assert stack.labels["structure"].iloc[[0, -1]].tolist() == ["Ni", "Ti"]
    assert np.all(np.abs(np.linalg.norm(stack.labels[["qw", "qx", "qy", "qz"]], axis=1) - 1) < 1e-9)
    assert stack.geometry == KikuchiGeometry((0.5, 0.3, 0.6), 70.0, 0.0, 20.0)


def test_the_same_seed_gives_the_same_patterns():
    noisy = KikuchiEffects(contrast=0.2, noise=0.1)
    first, again, other = (simulate([NICKEL], None, noisy, seed=s) for s in (3, 3, 4))
    np.testing.assert_array_equal(first.images, again.images)
    assert np.any(first.images != other.images)


def test_symmetrically_equal_orientations_look_the_same():
    turned = simulate([NICKEL], orientations=np.array([[20.0, 35, 50], [20.0, 35, 140]]))
    np.testing.assert_allclose(*turned.images.astype(int), atol=1)
    other = simulate([TITANIUM], orientations=np.array([[20.0, 35, 50], [20.0, 35, 140]]))
    assert np.abs(np.diff(other.images.astype(int), axis=0)).max() > 50


def test_effects_of_each_pattern():
    rows = realistic_rows(5, np.random.default_rng(0))
    stack = simulate([NICKEL], KikuchiConditions(pc_spread=0.05), rows)
    assert stack.images.std(axis=(1, 2)).min() > 5
    assert stack.labels["pc_x"].std() > 0.005


def test_grey_uses_the_whole_range():
    ramp = np.tile(np.linspace(-3, 9, 2000, dtype=np.float32), (2, 1)).reshape(2, 40, 50)
    grey = to_grey(ramp)
    assert (grey.min(), grey.max()) == (0, 255)
    assert not to_grey(np.ones((1, 8, 8), dtype=np.float32)).any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"structures": []}, "at least one structure"),
        ({"patterns": 0}, "at least one"),
        ({"size": 4}, "8 to 4096"),
        ({"seed": -1}, "seed"),
    ],
)
def test_impossible_requests_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        simulate(options.pop("structures", [NICKEL]), **options)
    with pytest.raises(InputError, match="voltage"):
        KikuchiConditions(voltage=300)


@pytest.mark.parametrize("ending", [".h5", ".npz", ".tif", ".npy"])
def test_files_are_read_back(tmp_path, ending):
    stack = simulate([NICKEL, TITANIUM])
    path = save_kikuchi(stack, tmp_path / f"bands{ending}")
    opened = open_stack(path)
    np.testing.assert_array_equal(opened.frame(7), stack.images[7])
    if ending == ".npz":
        with np.load(path, allow_pickle=False) as columns:
            assert columns["structure"].tolist() == stack.labels["structure"].tolist()
    labels = load_labels(path)
    assert labels.columns.tolist() == stack.labels.columns.tolist()
    assert labels["label"].tolist() == stack.labels["label"].tolist()
    np.testing.assert_allclose(labels["Phi"], stack.labels["Phi"])
    if ending == ".h5":
        assert opened.geometry.numbers() == stack.geometry.numbers()
        with h5py.File(path) as file:
            assert json.loads(file.attrs["conditions"])["voltage"] == 20.0


def test_other_endings_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"\.npz"):
        save_kikuchi(simulate([NICKEL], patterns=1), tmp_path / "bands.jpg")
