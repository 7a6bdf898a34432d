import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_diffraction.crystal.orientation import (
    beam_direction,
    detector_to_crystal,
    detector_to_sample,
    euler_angles,
    euler_matrices,
    quaternions,
    random_orientations,
)
from napari_diffraction.errors import InputError
from napari_diffraction.patterns.geometry import CONVENTIONS, from_bruker, to_bruker, wavelength

angle = st.floats(0, 360, allow_nan=False)


@given(angle, st.floats(0, 180), angle)
def test_euler_angles_come_back_as_the_same_rotation(phi1, phi, phi2):
    matrix = euler_matrices((phi1, phi, phi2))
    np.testing.assert_allclose(euler_matrices(euler_angles(matrix)), matrix, atol=1e-6)


def test_euler_angles_are_those_of_bunge():
    angles = np.array([[11.0, 50.0, 130.0], [200.0, 5.0, 3.0]])
    passive = Rotation.from_euler("ZXZ", angles, degrees=True).inv().as_matrix()
    np.testing.assert_allclose(euler_matrices(angles), passive, atol=1e-12)
    np.testing.assert_allclose(euler_angles(passive), angles)


def test_quaternions_have_the_scalar_first():
    matrices = random_orientations(5, np.random.default_rng(1)).reshape(5, 1, 3, 3)
    q = quaternions(matrices)
    assert q.shape == (5, 1, 4)
    assert np.all(q[..., 0] >= 0)
    back = Rotation.from_quat(np.roll(q.reshape(5, 4), -1, axis=1)).as_matrix()
    np.testing.assert_allclose(back, matrices[:, 0], atol=1e-12)


@given(
    st.sampled_from(CONVENTIONS),
    st.tuples(st.integers(10, 2000), st.integers(10, 2000)),
    st.tuples(*[st.floats(-1, 2)] * 3),
)
def test_pattern_centres_come_back(convention, shape, pc):
    np.testing.assert_allclose(
        from_bruker(to_bruker(pc, convention, shape), convention, shape), pc, atol=1e-9
    )


def test_pattern_centres_by_hand():
    # 80 wide, 60 high; 30 px from the top, distance 45 px
    shape, bruker = (60, 80), (0.4, 0.5, 0.75)
    np.testing.assert_allclose(to_bruker((0.4, 0.5, 0.75), "edax", shape), bruker)
    np.testing.assert_allclose(to_bruker((0.4, 30 / 80, 45 / 80), "oxford", shape), bruker)
    with pytest.raises(InputError, match="convention"):
        to_bruker(bruker, "kodak", shape)


def test_an_upright_screen_sees_the_tilted_sample():
    to_sample = detector_to_sample(70, 0)
    assert np.linalg.det(to_sample) == pytest.approx(1)
    # the beam comes from above, 20 deg from the surface
    beam = to_sample @ beam_direction(0)
    assert np.degrees(np.arcsin(-beam[2])) == pytest.approx(20)
    # a tilted camera sees the same beam on the same sample
    np.testing.assert_allclose(detector_to_sample(70, 8) @ beam_direction(8), beam, atol=1e-12)
    np.testing.assert_allclose(detector_to_crystal((0, 0, 0), 70, 0), to_sample)


def test_wavelength_at_20_and_200_kv():
    np.testing.assert_allclose(wavelength([20, 200]), [0.08588, 0.02508], rtol=2e-4)
