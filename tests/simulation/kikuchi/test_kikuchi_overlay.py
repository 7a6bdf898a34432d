import numpy as np
import pytest

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.orientation import detector_to_crystal
from napari_diffraction.crystal.structure import expand
from napari_diffraction.simulation.kikuchi.overlay import band_lines, zone_axes

QUARTZ = expand(
    UnitCell(4.91, 4.91, 5.40, 90, 90, 120),
    154,
    [("Si", 0.47, 0, 2 / 3), ("O", 0.41, 0.27, 0.78)],
    "quartz",
)
PC, SHAPE = (0.45, 0.3, 0.6), (60, 80)


def rays(position):
    """Directions of positions (row, column) in the detector's frame."""
    y = (PC[1] - (position[..., 0] + 0.5) / SHAPE[0]) / PC[2]
    x = ((position[..., 1] + 0.5) / SHAPE[1] - PC[0]) * SHAPE[1] / SHAPE[0] / PC[2]
    rays = np.stack([x, y, np.ones_like(x)], axis=-1)
    return rays / np.linalg.norm(rays, axis=-1, keepdims=True)


@pytest.fixture(params=[(10, 40, 70), (200, 93, 5), (0, 0, 0)])
def rotation(request):
    return detector_to_crystal(request.param)


def test_lines_lie_in_their_planes_and_end_at_the_edge(rotation):
    hkl, ends = band_lines(QUARTZ, rotation, PC, SHAPE)
    assert len(hkl) >= 5
    normals = hkl @ QUARTZ.cell.reciprocal_basis
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    seen = rays(ends) @ rotation.T
    np.testing.assert_allclose(np.einsum("mej,mj->me", seen, normals), 0, atol=1e-6)
    edges = np.array([-0.5, -0.5, *SHAPE]) - [0, 0, 0.5, 0.5]
    distance = np.abs(np.concatenate([ends, ends], axis=-1) - edges).min(axis=-1)
    np.testing.assert_allclose(distance, 0, atol=1e-6)
    lowest = {tuple(plane) for plane in (hkl // np.gcd.reduce(hkl, axis=1)[:, None]).tolist()}
    assert len(lowest) == len(hkl)


def test_zone_axes_lie_where_their_planes_cross(rotation):
    uvw, position = zone_axes(QUARTZ, rotation, PC, SHAPE)
    assert len(uvw) >= 5
    axes = uvw @ QUARTZ.cell.basis
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    np.testing.assert_allclose(rays(position) @ rotation.T, axes, atol=1e-6)
    assert np.all(position > -0.5)
    assert np.all(position < np.array(SHAPE) - 0.5)
