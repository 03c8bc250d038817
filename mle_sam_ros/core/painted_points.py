"""Points with the class and colour of the mask, as they are published."""

from collections.abc import Sequence

from mle_sam_ros.core.labelled_cloud import LabelledCloud
import numpy as np

# Of one point, 24 bytes; rgb is what RViz and Foxglove read: a float32 whose bits are 0x00rrggbb.
PAINTED_POINT = np.dtype(
    {
        'names': ['x', 'y', 'z', 'rgb', 'intensity', 'label', 'confidence'],
        'formats': ['<f4', '<f4', '<f4', '<f4', '<f4', 'u1', 'u1'],
        'offsets': [0, 4, 8, 12, 16, 20, 21],
        'itemsize': 24,
    }
)
# Of points without a class.
GREY = (96, 96, 96)


def painted_points(
    cloud: LabelledCloud, intensity: np.ndarray, palette: Sequence[Sequence[int]]
) -> np.ndarray:
    """The points in their order, grey where the camera does not see them.

    Args:
        cloud: (N) points with what the mask says of them.
        intensity: (N,) float32, as the driver gives it.
        palette: K colours, red, green and blue, 0 to 255.

    Returns:
        (N,) of PAINTED_POINT.
    """
    colours = np.full(256, _packed(GREY), np.uint32)
    colours[: len(palette)] = [_packed(colour) for colour in palette]
    points = np.zeros(len(cloud.labels), PAINTED_POINT)
    for column, axis in enumerate('xyz'):
        points[axis] = cloud.points_camera[:, column]
    points['rgb'] = colours.view(np.float32)[cloud.labels]
    points['intensity'] = intensity
    points['label'] = cloud.labels
    points['confidence'] = cloud.confidence
    return points


def _packed(colour: Sequence[int]) -> int:
    red, green, blue = colour
    return red << 16 | green << 8 | blue
