from pathlib import Path

import h5py
import numpy as np
import pytest

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.orientation import detector_to_crystal
from napari_diffraction.crystal.reflectors import reflectors
from napari_diffraction.crystal.structure import expand
from napari_diffraction.errors import InputError
from napari_diffraction.simulation.kikuchi.bands import bands, padded
from napari_diffraction.simulation.kikuchi.master import (
    MasterPattern,
    lambert_directions,
    load_master,
    master_pattern,
)
from napari_diffraction.simulation.kikuchi.patterns import KikuchiConditions

QUARTZ_LIKE = expand(
    UnitCell(4.91, 4.91, 5.40, 90, 90, 120),
    154,
    [("Si", 0.47, 0, 2 / 3), ("O", 0.41, 0.27, 0.78)],
    "quartz",
)
ANGLES = np.array([[10.0, 40.0, 70.0], [200.0, 93.0, 5.0], [318.0, 151.0, 222.0]])


def test_the_square_covers_the_hemisphere_evenly():
    line = (np.arange(200) + 0.5) / 100 - 1
    directions = lambert_directions(*np.meshgrid(line, line)).reshape(-1, 3)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1)
    assert directions[:, 2].mean() == pytest.approx(0.5, abs=1e-3)
    assert np.abs(directions[:, :2].mean(axis=0)).max() < 1e-9
    assert np.mean(directions[:, 2] > np.cos(np.radians(20))) == pytest.approx(
        1 - np.cos(np.radians(20)), rel=0.05
    )


def test_projecting_a_master_pattern_is_rendering_directly():
    conditions = KikuchiConditions(width=2.0, floor=0.01)
    master = master_pattern(QUARTZ_LIKE, conditions, half_width=300)
    rotation = detector_to_crystal(ANGLES)
    pc = np.array([[0.5, 0.3, 0.6], [0.4, 0.2, 0.9], [0.6, 0.5, 0.5]])
    projected = master.project(rotation, pc, (60, 80))
    direct = bands(
        *padded([reflectors(QUARTZ_LIKE)] * 3),
        rotation,
        pc,
        np.tile(conditions.profile(), (3, 1)),
        np.tile([0.0, -1.0, 0.0], (3, 1)),
        (60, 80),
    )
    error = np.sqrt(np.mean((projected - direct) ** 2))
    assert error < 0.03 * direct.std()


def test_each_pixel_sees_its_own_direction():
    """Hemispheres that hold x, y and z themselves give the direction of each pixel back."""
    line = np.linspace(-1, 1, 401)
    north = lambert_directions(*np.meshgrid(line, line))
    rotation = detector_to_crystal(ANGLES)
    grid = (np.arange(30) + 0.5) / 30
    x, y = np.meshgrid((grid - 0.5) / 0.6, (0.3 - grid) / 0.6)
    rays = np.stack([x, y, np.ones_like(x)], axis=-1)
    rays = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
    wanted = np.einsum("nij,hwj->nhwi", rotation, rays)
    for axis in range(3):
        south = -north[..., 2] if axis == 2 else north[..., axis]
        halves = np.stack([north[..., axis], south]).astype(np.float32)
        seen = MasterPattern(halves).project(rotation, np.array([0.5, 0.3, 0.6]), (30, 30))
        np.testing.assert_allclose(seen, wanted[..., axis], atol=0.01)


def test_master_patterns_of_emsoft(tmp_path):
    path = tmp_path / "master.h5"
    halves = np.random.default_rng(0).uniform(size=(2, 2, 3, 11, 11)).astype(np.float32)
    with h5py.File(path, "w") as file:
        file["EMData/EBSDmaster/EkeVs"] = np.array([18.0, 19.0, 20.0])
        file["EMData/EBSDmaster/mLPNH"], file["EMData/EBSDmaster/mLPSH"] = halves
    assert load_master(path).voltage == 20
    master = load_master(path, 18.7)
    assert master.voltage == 19
    np.testing.assert_allclose(master.hemispheres, halves[:, :, 1].sum(axis=1), rtol=1e-6)
    np.savez(tmp_path / "own.npz", hemispheres=master.hemispheres)
    np.testing.assert_array_equal(load_master(tmp_path / "own.npz").hemispheres, master.hemispheres)


def test_what_holds_no_master_pattern_is_said(tmp_path):
    np.savez(tmp_path / "other.npz", hemispheres=np.zeros((2, 3, 4)))
    (tmp_path / "text.h5").write_text("nothing")
    for name in ("other.npz", "text.h5", "missing.h5"):
        with pytest.raises(InputError, match="EMEBSDmaster"):
            load_master(tmp_path / name)


def test_the_same_as_kikuchipy():
    kikuchipy = pytest.importorskip("kikuchipy")
    from orix.quaternion import Rotation

    theirs = kikuchipy.data.nickel_ebsd_master_pattern_small(
        projection="lambert", hemisphere="both"
    )
    folder = Path(kikuchipy.__file__).parent / "data" / "emsoft_ebsd_master_pattern"
    ours = load_master(folder / "ni_mc_mp_20kv_uint8_gzip_opts9.h5")
    pc = (0.42, 0.27, 0.55)
    detector = kikuchipy.detectors.EBSDDetector(shape=(40, 50), pc=pc, convention="bruker")
    wanted = theirs.get_patterns(
        Rotation.from_euler(np.radians(ANGLES)),
        detector,
        energy=20,
        dtype_out="float32",
        compute=True,
        show_progressbar=False,
    ).data.reshape(-1, 40, 50)
    found = ours.project(detector_to_crystal(ANGLES), np.array(pc), (40, 50))
    for a, b in zip(found, wanted, strict=True):
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.9995
