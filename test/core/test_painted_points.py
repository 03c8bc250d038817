"""Points carry their class and its colour, as viewers read them."""

from mle_sam_ros.core.labelled_cloud import LabelledCloud
from mle_sam_ros.core.painted_points import GREY, PAINTED_POINT, painted_points
import numpy as np


def test_every_point_has_the_colour_of_its_class():
    random = np.random.default_rng(2)
    palette = random.integers(0, 256, (7, 3)).tolist()
    labels = random.choice(np.array([*range(7), 255], np.uint8), 500)
    xyz = random.normal(size=(500, 3)).astype(np.float32)
    confidence = random.integers(0, 256, 500, np.uint8)
    intensity = random.random(500, np.float32)
    cells = np.zeros(500, np.int32)
    cloud = LabelledCloud(xyz, labels, confidence, cells, (1, 1))
    points = painted_points(cloud, intensity, palette)
    assert points.dtype == PAINTED_POINT
    np.testing.assert_array_equal(np.stack([points[axis] for axis in 'xyz'], axis=1), xyz)
    for name, values in (('label', labels), ('confidence', confidence), ('intensity', intensity)):
        np.testing.assert_array_equal(points[name], values)
    # The bytes of rgb from the lowest on: blue, green, red, nothing.
    blue, green, red, rest = points['rgb'].copy().view(np.uint8).reshape(-1, 4).T
    expected = [GREY if label == 255 else palette[label] for label in labels]
    np.testing.assert_array_equal(np.stack([red, green, blue], axis=1), expected)
    assert not rest.any()
