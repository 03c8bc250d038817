"""Poses of plain numbers, against matrices."""

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.pose import (
    angle_of,
    composed,
    inverse,
    pose_from_twist,
    pose_of,
    twist_between,
)
from mle_sam_ros.core.transforms import matrix_from_pose
import numpy as np
import pytest

SEEDS = st.integers(0, 2**32 - 1)


def random_pose(rng):
    quaternion = rng.normal(size=4)
    return (*rng.normal(size=3).tolist(), *(quaternion / np.linalg.norm(quaternion)).tolist())


def matrix(pose):
    return matrix_from_pose(np.array(pose[:3]), np.array(pose[3:]))


def message(pose):
    return (
        SimpleNamespace(**dict(zip('xyz', pose[:3], strict=True))),
        SimpleNamespace(**dict(zip('xyzw', pose[3:], strict=True))),
    )


@given(SEEDS)
def test_composed_and_inverse_are_products_of_matrices(seed):
    rng = np.random.default_rng(seed)
    first, second = random_pose(rng), random_pose(rng)
    product = matrix(composed(first, second))
    np.testing.assert_allclose(product, matrix(first) @ matrix(second), atol=1e-12)
    np.testing.assert_allclose(matrix(inverse(first)), np.linalg.inv(matrix(first)), atol=1e-12)
    cosine = (np.trace(matrix(first)[:3, :3]) - 1) / 2
    assert np.cos(angle_of(first)) == pytest.approx(cosine, abs=1e-9)


def slow_pose_from_twist(linear, angular, seconds):
    """A body that goes on for a millionth of the time, a million times: by squaring."""
    vx, vy, vz = np.array(linear) * seconds / 2**20
    wx, wy, wz = np.array(angular) * seconds / 2**20
    step = np.array([[1, -wz, wy, vx], [wz, 1, -wx, vy], [-wy, wx, 1, vz], [0, 0, 0, 1]])
    # Of second order, so that the rest is far below the tolerance.
    rate = step - np.eye(4)
    step = np.eye(4) + rate + rate @ rate / 2
    return np.linalg.matrix_power(step, 2**20)


@given(SEEDS, st.sampled_from([0.0, 1e-9, 1e-3, 1.0, 3.0]))
def test_a_constant_twist_integrates(seed, spin):
    rng = np.random.default_rng(seed)
    linear = tuple(rng.normal(size=3).tolist())
    angular = tuple((spin * rng.normal(size=3)).tolist())
    pose = pose_from_twist(linear, angular, 0.4)
    np.testing.assert_allclose(matrix(pose), slow_pose_from_twist(linear, angular, 0.4), atol=1e-7)


@given(SEEDS)
def test_a_twist_is_found_again(seed):
    pose = random_pose(np.random.default_rng(seed))
    again = pose_from_twist(*twist_between(pose), 1.0)
    np.testing.assert_allclose(matrix(again), matrix(pose), atol=1e-9)


def test_a_quarter_of_a_circle():
    pose = pose_from_twist((np.pi / 2, 0, 0), (0, 0, np.pi / 2), 1.0)
    np.testing.assert_allclose(pose[:3], [1, 1, 0], atol=1e-12)
    assert angle_of(pose) == pytest.approx(np.pi / 2)


@pytest.mark.parametrize(
    ('pose', 'expected'),
    [
        ((0, 0, 0, 0, 0, 0, 0), 'unit quaternion, got length 0'),
        ((0, 0, 0, 0, 0, 0, 1.01), 'unit quaternion, got length 1.01'),
        ((0, np.nan, 0, 0, 0, 0, 1), 'finite numbers'),
        ((0, 0, 0, np.inf, 0, 0, 1), 'finite numbers'),
    ],
)
def test_what_is_no_pose_is_refused(pose, expected):
    with pytest.raises(InputError, match=expected):
        pose_of(*message(pose))


def test_a_quaternion_of_rounded_numbers_is_brought_to_length_one():
    pose = pose_of(*message((1, 2, 3, 0.0, 0.0, 0.7071, 0.7071)))
    assert np.linalg.norm(pose[3:]) == pytest.approx(1, abs=1e-15)
