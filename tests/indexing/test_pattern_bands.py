"""The bands of one pattern, beside what its solution says."""

from dataclasses import replace

import dask.array as da
import numpy as np
import pytest

from napari_diffraction.crystal.materials import load_structure
from napari_diffraction.crystal.orientation import euler_angles, random_orientations
from napari_diffraction.indexing.known import IndexSettings
from napari_diffraction.indexing.pattern_bands import pattern_bands
from napari_diffraction.indexing.scan import index_scan
from napari_diffraction.patterns.kikuchi.preparation import prepare
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import finish
from napari_diffraction.simulation.kikuchi.effects import KikuchiEffects
from napari_diffraction.simulation.kikuchi.patterns import KikuchiConditions, simulate_kikuchi

SIDE, PC, KV = 96, (0.51, 0.30, 0.60), 20.0


@pytest.fixture(scope="module")
def solved():
    """Patterns of nickel, and their solution."""
    nickel = load_structure("Ni")
    rng = np.random.default_rng(4)
    work = simulate_kikuchi(
        [nickel], KikuchiConditions(voltage=KV, pc_x=PC[0], pc_y=PC[1], pc_z=PC[2]),
        KikuchiEffects(contrast=0.25, noise=0.05), size=SIDE, seed=1,
        orientations=euler_angles(random_orientations(6, rng)),
    )  # fmt: skip
    images = finish(work).images
    stack = PatternStack(da.from_array(images, chunks=(1, SIDE, SIDE)), "nickel")
    indexed = finish(index_scan(stack, IndexSettings(pc=PC, voltage=KV, phases=(nickel,))))
    return stack, prepare(stack), indexed


def test_bands_have_their_planes_widths_and_probabilities(solved):
    stack, preparation, indexed = solved
    assert (indexed.phase == 0).all()
    cell = indexed.phases[0].cell
    ratios, offs, reals = [], [], []
    for index in range(len(stack)):
        found = pattern_bands(stack.frame(index), preparation, indexed, index)
        assert len(found) == indexed.bands_found[index]
        named = found.hkl.any(axis=1)
        assert named.sum() >= 5
        assert np.isnan(found.off_deg).tolist() == (~named).tolist()
        assert (np.diff(found.probability) <= 0).all()
        spacing = 1 / np.linalg.norm(found.hkl[named] @ cell.reciprocal_basis, axis=1)
        bragg = np.degrees(np.arcsin(0.0859 / (2 * spacing)))  # 20 kV
        ratios += (found.half_width_deg[named] / bragg).tolist()
        offs += found.off_deg[named].tolist()
        reals.append((found.probability[named].mean(), found.probability[~named].mean()))
    assert 0.6 < np.median(ratios) < 1.6  # filters have few widths
    assert np.median(offs) < 0.6
    assert np.max(offs) < 1.5
    true, other = np.nanmean(reals, axis=0)
    assert true > 0.7
    assert true > other


def test_the_edges_lie_on_either_side_of_the_band(solved):
    stack, preparation, indexed = solved
    found = pattern_bands(stack.frame(0), preparation, indexed, 0)
    (ends, others) = found.edges[0]
    way = (ends[1] - ends[0]) / np.linalg.norm(ends[1] - ends[0])
    apart = np.abs((others - ends[0]) @ (-way[1], way[0]))
    assert apart == pytest.approx(np.full(2, apart[0]), rel=1e-3)  # parallel
    picture = stack.frame(0).astype(float)

    def light(share):
        """Mean along a line between the edges, or beyond them."""
        line = ends + share * (others - ends)
        steps = line[0] + np.linspace(0.05, 0.95, 60)[:, None] * (line[1] - line[0])
        rows, columns = np.rint(steps).astype(int).clip(0, SIDE - 1).T
        return picture[rows, columns].mean()

    assert light(0.5) > max(light(-0.6), light(1.6))


def test_a_pattern_that_is_not_indexed_has_bands_without_planes(solved):
    stack, preparation, indexed = solved
    none = indexed.phase.copy()
    none[2] = -1
    found = pattern_bands(stack.frame(2), preparation, replace(indexed, phase=none), 2)
    assert len(found) > 5
    assert not found.hkl.any()
    assert np.isnan(found.off_deg).all()
