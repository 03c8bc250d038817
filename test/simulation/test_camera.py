from dataclasses import replace

from mle_sam_ros.simulation.camera import FrameCamera
from mle_sam_ros.simulation.classes import SKY
from mle_sam_ros.simulation.conditions import typical
from mle_sam_ros.simulation.drive import Drive
from mle_sam_ros.simulation.failures import Failure
import numpy as np
import pytest

STAMP_NS = 3_000_000_000


@pytest.fixture(scope='module')
def drive():
    return Drive(21, 5.0)


@pytest.fixture(scope='module')
def camera(drive):
    return FrameCamera(drive.rig.camera)


@pytest.fixture(scope='module')
def view(drive, camera):
    scene = drive.scene_at(STAMP_NS)
    return camera.look(scene, drive.pose('camera', STAMP_NS), drive.ego.velocity(3.0))


def test_labels_agree_with_ranges(camera, view):
    labels = camera.labels(view).ravel()
    assert np.array_equal(np.isinf(view.hits.range_m), labels == SKY)
    assert (view.hits.triangle[labels != SKY] >= 0).all()


def test_hits_project_back_onto_their_own_pixels(camera, view):
    hits = view.hits
    met = np.flatnonzero(np.isfinite(hits.range_m))[::97]
    points = hits.origin + hits.direction[met] * hits.range_m[met, None]
    points = np.c_[points, np.ones(len(points))] @ np.linalg.inv(view.world_from_camera).T
    v, u = np.divmod(met, camera.model.size_hw[1])
    assert np.abs(camera.model.project(points[:, :3]) - np.c_[u, v]).max() < 0.05


def test_flow_is_where_the_surface_will_be(camera, drive, view):
    exposure_s = 0.02
    flow = camera._flow_px(view, exposure_s, np.zeros(3))[::2, ::2]
    hits = view.hits
    every = np.arange(len(hits.triangle)).reshape(camera.model.size_hw)[::2, ::2].ravel()
    # The lower middle of the image: road that stands still, away from edges.
    chosen = every.reshape(flow.shape[:2])[120:150, 100:220].ravel()
    still = hits.mesh.velocity[hits.triangle[chosen]].max(axis=1) == 0
    chosen = chosen[still]
    points = hits.origin + hits.direction[chosen] * hits.range_m[chosen, None]
    points = np.c_[points, np.ones(len(points))]
    pixels = []
    for time_ns in (STAMP_NS - 10_000_000, STAMP_NS + 10_000_000):
        in_camera = points @ np.linalg.inv(drive.pose('camera', time_ns)).T
        pixels.append(camera.model.project(in_camera[:, :3]))
    found = flow[120:150, 100:220].reshape(-1, 2)[still]
    assert np.median(np.abs(found - (pixels[1] - pixels[0]))) < 0.4
    assert np.median(np.abs(found)) > 0.5


def test_noise_at_night_drowns_detail(camera, view):
    def neighbour_difference(condition):
        rng = np.random.default_rng(0)
        image = camera.expose(view, typical(condition, rng), Failure(), rng)
        sky = image[:60].astype(float)
        return np.abs(np.diff(sky, axis=1)).mean()

    assert neighbour_difference('night') > 3 * neighbour_difference('day')


def test_fog_hides_what_is_far(camera, view):
    rng = np.random.default_rng(1)
    fog = typical('fog', rng)
    thick = replace(fog, extinction=1.0)
    image = camera.expose(view, thick, Failure(), rng)
    assert image.std() < 12
    assert camera.expose(view, fog, Failure(), rng).std() > image.std()
