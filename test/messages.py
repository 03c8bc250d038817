"""Messages shaped like sensor_msgs, without ROS."""

from types import SimpleNamespace

import cv2
import numpy as np

FLOAT32, UINT16, UINT32, UINT8, FLOAT64, INT32 = 7, 4, 6, 2, 8, 5


def header(stamp_ns=0, frame_id='camera_optical_frame'):
    stamp = SimpleNamespace(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return SimpleNamespace(stamp=stamp, frame_id=frame_id)


def image(pixels, encoding='rgb8', stamp_ns=0, padding=0):
    """An Image of (H, W[, C]) uint8 or uint16 pixels, rows followed by some padding bytes."""
    height, width = pixels.shape[:2]
    samples = np.ascontiguousarray(pixels).reshape(height, -1)
    rows = np.pad(samples.view(np.uint8), ((0, 0), (0, padding)))
    return SimpleNamespace(
        header=header(stamp_ns), height=height, width=width, encoding=encoding, is_bigendian=0,
        step=rows.shape[1], data=rows.tobytes(),
    )  # fmt: skip


def compressed_image(pixels, suffix, image_format, stamp_ns=0):
    """A CompressedImage of (H, W[, 3 or 4]) pixels in red, green, blue; suffix .jpg or .png."""
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(
            np.ascontiguousarray(pixels),
            cv2.COLOR_RGB2BGR if pixels.shape[2] == 3 else cv2.COLOR_RGBA2BGRA,
        )
    return SimpleNamespace(
        header=header(stamp_ns), format=image_format,
        data=cv2.imencode(suffix, pixels)[1].tobytes(),
    )  # fmt: skip


def cloud(columns, stamp_ns=0, point_step=None):
    """A PointCloud2 of {name: (datatype, offset, values)}."""
    numpy_types = {
        FLOAT32: '<f4', UINT16: '<u2', UINT32: '<u4', UINT8: 'u1', FLOAT64: '<f8',
        INT32: '<i4',
    }  # fmt: skip
    end = max(o + np.dtype(numpy_types[kind]).itemsize for kind, o, _ in columns.values())
    layout = np.dtype(
        {
            'names': list(columns),
            'formats': [numpy_types[kind] for kind, _, _ in columns.values()],
            'offsets': [offset for _, offset, _ in columns.values()],
            'itemsize': point_step or end,
        }
    )
    points = np.zeros(len(next(iter(columns.values()))[2]), layout)
    for name, (_, _, values) in columns.items():
        points[name] = values
    fields = [
        SimpleNamespace(name=name, datatype=kind, offset=offset, count=1)
        for name, (kind, offset, _) in columns.items()
    ]
    return SimpleNamespace(
        header=header(stamp_ns, 'lidar_frame'), height=1, width=len(points), fields=fields,
        is_bigendian=False, point_step=layout.itemsize, row_step=layout.itemsize * len(points),
        data=points.tobytes(), is_dense=True,
    )  # fmt: skip


def camera_info(
    size_hw=(320, 640), focal_px=320.0, distortion=(0.0,) * 5, model='plumb_bob',
    roi=(0, 0, 0, 0), binning=(0, 0), rotation=(1.0, 0, 0, 0, 1, 0, 0, 0, 1), second_camera=0.0,
):  # fmt: skip
    """A CameraInfo; roi is (x_offset, y_offset, width, height), second_camera is P[3]."""
    height, width = size_hw
    cx, cy = (width - 1) / 2, (height - 1) / 2
    x_offset, y_offset, roi_width, roi_height = roi
    return SimpleNamespace(
        header=header(), height=height, width=width, distortion_model=model,
        d=list(distortion), k=[focal_px, 0, cx, 0, focal_px, cy, 0, 0, 1], r=list(rotation),
        p=[focal_px, 0, cx, second_camera, 0, focal_px, cy, 0, 0, 0, 1, 0],
        binning_x=binning[0], binning_y=binning[1],
        roi=SimpleNamespace(
            x_offset=x_offset, y_offset=y_offset, width=roi_width, height=roi_height,
            do_rectify=False,
        ),
    )  # fmt: skip


def transforms(*items):
    """A TFMessage of (parent, child, translation, quaternion x y z w[, stamp_ns])."""
    return SimpleNamespace(
        transforms=[
            SimpleNamespace(
                header=header(*stamp, frame_id=parent), child_frame_id=child,
                transform=SimpleNamespace(
                    translation=_xyz(translation),
                    rotation=SimpleNamespace(**dict(zip('xyzw', quaternion, strict=True))),
                ),
            )
            for parent, child, translation, quaternion, *stamp in items
        ]
    )  # fmt: skip


def _xyz(values):
    return SimpleNamespace(**dict(zip('xyz', values, strict=True)))
