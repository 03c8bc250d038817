"""Drawing triangles must find what casting a ray per pixel finds."""

from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.simulation.drive import Drive
from mle_sam_ros.simulation.visibility import PixelRays
import numpy as np
import pytest

STAMP_NS = 4_000_000_000
CAMERA = CameraModel(
    (20, 30),
    np.array([[15.0, 0, 14.5], [0, 15.0, 9.5], [0, 0, 1]]),
    np.array([-0.06, 0.01, 0.001, -0.001, 0.0]),
)


def slow_first_hits(corners, rays):
    """Möller and Trumbore's test of every ray (N, 3) against every triangle."""
    best, triangle = np.full(len(rays), np.inf), np.full(len(rays), -1)
    for face, (a, b, c) in enumerate(np.float64(corners)):
        edges = np.stack([np.broadcast_to(b - a, rays.shape), np.broadcast_to(c - a, rays.shape)])
        p = np.cross(rays, edges[1])
        volume = (p * edges[0]).sum(axis=1)
        with np.errstate(divide='ignore', invalid='ignore'):
            u = p @ -a / volume
            q = np.cross(-a, edges[0])
            v = (rays * q).sum(axis=1) / volume
            depth = (q * edges[1]).sum(axis=1) / volume
        met = (u >= 0) & (v >= 0) & (u + v <= 1) & (depth > 0) & (depth < best)
        best[met], triangle[met] = depth[met], face
    return best, triangle


@pytest.mark.parametrize('spread', [1.0, 8.0])  # small triangles ahead; large ones all around
def test_random_triangles_are_seen_as_by_the_slow_reference(spread):
    rng = np.random.default_rng(int(spread))
    middle = rng.uniform([-6, -4, -4], [6, 4, 12], (150, 1, 3))
    corners = (middle + rng.normal(0, spread, (150, 3, 3))).astype(np.float32)
    rays = CAMERA.rays()
    range_m, triangle, barycentric = PixelRays(rays).first_hits(corners, np.eye(4))
    flat = rays.reshape(-1, 3)
    depth, expected = slow_first_hits(corners, flat)
    assert (expected >= 0).mean() > 0.2
    np.testing.assert_array_equal(triangle, expected)
    np.testing.assert_allclose(range_m, depth * np.linalg.norm(flat, axis=1), rtol=1e-6)
    met = triangle >= 0
    b, c = barycentric[met].T[:, :, None]
    a, second, third = corners[triangle[met]].transpose(1, 0, 2)
    points = a + b * (second - a) + c * (third - a)
    np.testing.assert_allclose(points, flat[met] * depth[met, None], atol=1e-4)


def test_town_is_seen_as_by_casting_rays():
    drive = Drive(5, 5.0)
    scene, pose = drive.scene_at(STAMP_NS), drive.pose('event', STAMP_NS)
    seen = scene.see(PixelRays(drive.rig.event_camera.rays()), pose)
    cast = scene.cast(pose[:3, 3], seen.direction)
    # Where two surfaces touch, either may be taken.
    same = seen.triangle == cast.triangle
    assert same.mean() > 0.999
    met = same & (seen.triangle >= 0)
    assert met.sum() > 20_000
    np.testing.assert_allclose(seen.range_m[met], cast.range_m[met], atol=2e-3)
    np.testing.assert_allclose(seen.normal[met], cast.normal[met], atol=1e-3)
    # A ray that grazes a long triangle leaves its weights open by a little.
    assert np.percentile(np.abs(seen.barycentric[met] - cast.barycentric[met]), 99.9) < 1e-2
