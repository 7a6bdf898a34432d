from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.reflectors import reflectors
from napari_diffraction.simulation.kikuchi.bands import PIXEL, PROFILE, bands, padded


def structures(n, seed=0):
    """Small random crystals without symmetry."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        atoms = int(rng.integers(1, 9))
        yield SimpleNamespace(
            name="random",
            cell=UnitCell(*rng.uniform(3, 7, 3), *rng.uniform(80, 100, 3)),
            space_group=1,
            species=tuple(rng.choice(["O", "Fe", "Si"], atoms)),
            positions=rng.uniform(size=(atoms, 3)),
            occupancy=np.ones(atoms),
            b_iso=np.full(atoms, 0.5),
        )


def inputs(n=6, seed=0):
    rng = np.random.default_rng(seed)
    normal, g, u = padded([reflectors(s, 120) for s in structures(n, seed)])
    rotation = Rotation.random(n, rng=rng).as_matrix()
    pc = rng.uniform((0.4, 0.1, 0.35), (0.6, 0.5, 1.3), (n, 3))
    low = (0.07, 0.3, 0.002, 0.6, 0.0, 0.0, 0.0, 0.0)
    profile = rng.uniform(low, (0.17, 1.2, 0.01, 1.8, 1.0, 0.5, 4.0, 0.8), (n, len(PROFILE)))
    beam = np.tile([0.0, -0.94, 0.34], (n, 1))
    return normal, g, u, rotation, pc, profile, beam


def by_the_formula(normal, g, u, rotation, pc, profile, beam, shape, pixel):
    """One pattern straight from the definition, in double precision."""
    h, w = shape
    length, width, floor, power, plate, excess, saturation, dip = profile
    x, y = np.meshgrid(
        ((np.arange(w) + 0.5) / w - pc[0]) * w / h / pc[2],
        (pc[1] - (np.arange(h) + 0.5) / h) / pc[2],
    )
    s = np.stack([x, y, np.ones_like(x)], axis=-1)
    s = s / np.linalg.norm(s, axis=-1, keepdims=True) @ rotation.T
    total, squares = np.zeros(shape), 0.0
    for n, g_, u_ in zip(normal, g, u, strict=True):
        if u_ == 0:
            continue
        x, t, d = s @ n, length * g_ / 2, floor + width * length * u_ / g_
        seen = d + pixel / (h * pc[2])
        p, m = (t - x) / seen, (t + x) / seen
        edge = ((p - dip) / (1 + p**2) + (m - dip) / (1 + m**2)) * d / seen
        hat = 0.5 * (p / np.sqrt(1 + p**2) + m / np.sqrt(1 + m**2))
        odd = -(n @ rotation @ beam) * (x / t) * np.exp(-((x / t) ** 2))
        a = (u_ / u.max()) ** power
        total += a * ((1 - plate) * edge + plate * hat + excess * odd)
        squares += a**2
    return total / (1 + saturation * np.abs(total) / np.sqrt(squares))


@pytest.mark.parametrize(("shape", "pixel"), [((64, 64), 0.0), ((50, 37), 0.0), ((64, 64), PIXEL)])
def test_bands_follow_the_formula(shape, pixel):
    given = inputs()
    frames = bands(*given, shape, pixel)
    assert frames.dtype == np.float32
    for i, frame in enumerate(frames):
        wanted = by_the_formula(*(part[i] for part in given), shape, pixel)
        assert np.sqrt(np.mean((frame - wanted) ** 2)) < 1e-3 * wanted.std()


def test_torch_gives_the_same():
    torch = pytest.importorskip("torch")
    from napari_diffraction.simulation.kikuchi import torch_bands as kikuchi_torch

    assert kikuchi_torch.PROFILE == PROFILE
    given = inputs(12, seed=4)
    frames = bands(*given, (48, 64), PIXEL)
    tensors = (torch.from_numpy(np.asarray(part, dtype=np.float32)) for part in given)
    twin = kikuchi_torch.bands(*tensors, (48, 64), PIXEL).numpy()
    error = np.sqrt(np.mean((frames - twin) ** 2, axis=(1, 2)))
    assert np.all(error < 1e-3 * twin.std(axis=(1, 2)))


def test_without_reflectors_there_is_nothing():
    normal, g, u, *rest = inputs(2)
    assert not bands(normal, g, 0 * u, *rest, (20, 20)).any()


def test_padding_changes_nothing():
    lists = [reflectors(s, 60) for s in structures(2)]
    _, _, _, *rest = inputs(2)
    tight, roomy = (bands(*padded(lists, count), *rest, (24, 24)) for count in (None, 90))
    np.testing.assert_array_equal(tight, roomy)
    assert padded(lists, 10)[2].shape == (2, 10)


def test_the_edge_away_from_the_beam_is_the_bright_one():
    """As on screens: electrons go on along the beam, and are scattered away from it by the planes.

    The beam travels down; of a horizontal band the upper edge is bright, whichever way g points.
    """
    beam, pc = np.array([[0.0, -1.0, 0.0]]), np.array([[0.5, 0.5, 0.6]])
    profile = np.array([[0.0859, 1.0, 0.003, 1.0, 0.0, 0.5, 0.0, 0.0]])
    g, u, upright = np.array([[1.0]]), np.array([[0.05]]), np.eye(3)[None]
    for up in (1.0, -1.0):
        normal = np.array([[[0.0, up, 0.0]]])
        (frame,) = bands(normal, g, u, upright, pc, profile, beam, (120, 120))
        rows = frame[:, 60]
        bragg = round(0.0859 / 2 * 0.6 * 120)
        assert rows[60 - bragg] > rows[60 + bragg] + 0.1
