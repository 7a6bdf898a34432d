"""Our patterns beside those of kikuchipy: geometry, and EMsoft's dynamical nickel."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.orientation import beam_direction, detector_to_crystal
from napari_diffraction.crystal.reflectors import reflectors
from napari_diffraction.crystal.structure import expand
from napari_diffraction.patterns.geometry import wavelength
from napari_diffraction.simulation.kikuchi.bands import PROFILE, bands, padded
from napari_diffraction.simulation.kikuchi.patterns import KikuchiConditions

kikuchipy = pytest.importorskip("kikuchipy")
pytest.importorskip("orix")

NICKEL = expand(UnitCell(3.5236, 3.5236, 3.5236), 225, [("Ni", 0, 0, 0)], "Ni")
ANGLES = np.array([[10.0, 40.0, 70.0], [200.0, 93.0, 5.0], [318.0, 151.0, 222.0], [0, 0, 0]])
PC = (0.42, 0.27, 0.55)
SHAPE = (120, 160)


def detector(tilt=0.0, shape=SHAPE):
    return kikuchipy.detectors.EBSDDetector(
        shape=shape, pc=PC, convention="bruker", sample_tilt=70, tilt=tilt
    )


def rotations():
    from orix.quaternion import Rotation

    return Rotation.from_euler(np.radians(ANGLES))


def render(crystal, profile, shape, tilt=0.0):
    n = len(ANGLES)
    return bands(
        *padded([crystal] * n),
        detector_to_crystal(ANGLES, 70, tilt),
        np.tile(PC, (n, 1)),
        np.tile([wavelength(20.0), *profile], (n, 1)),
        np.tile(beam_direction(tilt), (n, 1)),
        shape,
    )


def drawn_lines(hkl, tilt):
    """Gnomonic ends of the lines that kikuchipy draws in the middle of bands, (n, bands, 4)."""
    from diffpy.structure import Atom, Lattice, Structure
    from diffsims.crystallography import ReciprocalLatticeVector
    from orix.crystal_map import Phase

    lattice = Lattice(*NICKEL.cell.parameters)
    phase = Phase(
        space_group=225, structure=Structure(atoms=[Atom("Ni", [0, 0, 0])], lattice=lattice)
    )
    simulator = kikuchipy.simulations.KikuchiPatternSimulator(
        ReciprocalLatticeVector(phase, hkl=hkl)
    )
    drawn = simulator.on_detector(detector(tilt), rotations())
    order = [hkl.index(tuple(found)) for found in drawn.reflectors.hkl.round().astype(int).tolist()]
    lines = np.full((len(ANGLES), len(hkl), 4), np.nan)
    for number in range(len(ANGLES)):
        lines[number, order] = drawn.lines_coordinates(
            number, coordinates="gnomonic", exclude_nan=False
        )
    return lines


@pytest.mark.parametrize("tilt", [0.0, 7.0])
def test_bands_lie_where_kikuchipy_draws_them(tilt):
    hkl = [(2, 0, 0), (0, 2, 0), (0, 0, 2), (2, 2, 0), (1, 1, -1), (1, -1, 1)]
    lines = drawn_lines(hkl, tilt)
    x, y = np.moveaxis(lines.reshape(len(ANGLES), -1, 2, 2), -1, 0)
    g = np.einsum("kj,nji->nki", np.array(hkl, float), detector_to_crystal(ANGLES, 70, tilt))
    off = g[:, :, None, 0] * x + g[:, :, None, 1] * y + g[:, :, None, 2]
    pixels = off / np.hypot(g[..., 0], g[..., 1])[..., None] * PC[2] * SHAPE[0]
    there = np.isfinite(pixels)
    assert there.sum() >= 20
    assert np.abs(pixels[there]).max() < 0.1


def test_a_band_ends_a_bragg_angle_from_its_middle():
    """The edges of a rendered band, along the line through the pattern centre across it."""
    crystal = reflectors(NICKEL, 7)
    narrow = (1e-3, 1e-4, 0.0, 1.0, 0.0, 0.0, 0.0)
    for k in range(len(crystal)):
        one = type(crystal)(*(part[k : k + 1] for part in vars(crystal).values()))
        frames = render(one, narrow, (400, 400))
        g = crystal.normal[k] @ detector_to_crystal(ANGLES)
        grid = (np.arange(400) + 0.5) / 400
        x, y = np.meshgrid((grid - PC[0]) / PC[2], (PC[1] - grid) / PC[2])
        away = np.einsum("ni,hwi->nhw", g, np.stack([x, y, np.ones_like(x)], axis=-1))
        degrees = np.degrees(np.arcsin(np.abs(away) / np.sqrt(x * x + y * y + 1)))
        bragg = np.degrees(np.arcsin(wavelength(20.0) * crystal.g[k] / 2))
        pixel = np.degrees(1 / 400 / PC[2])
        assert frames[degrees < bragg - pixel].min(initial=1) > 0.95
        assert frames[degrees > bragg + pixel].max(initial=0) < 0.05


def flattened(frames):
    frames = frames - gaussian_filter(frames, (0, *np.array(frames.shape[1:]) / 6))
    frames = frames - frames.mean(axis=(1, 2), keepdims=True)
    return frames / frames.std(axis=(1, 2), keepdims=True)


def test_patterns_resemble_dynamical_nickel():
    master = kikuchipy.data.nickel_ebsd_master_pattern_small(
        projection="lambert", hemisphere="both"
    )
    shape = (80, 80)
    dynamical = master.get_patterns(
        rotations(), detector(shape=shape), energy=20, dtype_out="float32", compute=True
    ).data.reshape(-1, *shape)
    conditions = KikuchiConditions()
    profile = [getattr(conditions, name) for name in PROFILE[1:]]
    ours = render(reflectors(NICKEL, conditions.reflectors), profile, shape)
    alike = np.mean(flattened(dynamical.astype(float)) * flattened(ours), axis=(1, 2))
    assert alike.min() > 0.88
