"""Fields of a `sensor_msgs/PointCloud2` as named columns."""

from typing import Any

from mle_sam_ros.core.errors import InputError
import numpy as np

# sensor_msgs/PointField datatype constants.
_DTYPES = {1: 'i1', 2: 'u1', 3: '<i2', 4: '<u2', 5: '<i4', 6: '<u4', 7: '<f4', 8: '<f8'}


def read_points(message: Any, required: tuple[str, ...], source: str) -> np.ndarray:
    """View a cloud as a structured array, whatever its alignment.

    Args:
        message: PointCloud2, organised or not, little endian.
        required: field names that must be there.
        source: its topic, for error messages.

    Returns:
        (N,) structured array with the cloud's fields; a read-only view of the message.

    Raises:
        InputError: for big-endian data, a missing or repeated field, fields beyond the point, or
            a wrong length of the data.
    """
    if message.is_bigendian:
        raise InputError(
            f'{source}: expected little-endian points, got is_bigendian true; '
            'convert them in the driver'
        )
    names = [field.name for field in message.fields]
    if len(set(names)) < len(names):
        raise InputError(
            f'{source}: expected distinct field names, got {", ".join(names)}; fix the driver'
        )
    missing = [name for name in required if name not in names]
    if missing:
        raise InputError(
            f'{source}: expected the fields {", ".join(required)}, got {", ".join(names)}; '
            f'add {", ".join(missing)} in the driver'
        )
    layout = _layout(message, source)
    num_points = message.width * message.height
    if message.row_step != message.width * message.point_step and message.height > 1:
        raise InputError(
            f'{source}: expected row_step {message.width * message.point_step} (width x '
            f'point_step), got {message.row_step}; remove the row padding in the driver'
        )
    if len(message.data) != num_points * message.point_step:
        raise InputError(
            f'{source}: expected {num_points * message.point_step} bytes of data for '
            f'{num_points} points, got {len(message.data)}; fix the driver'
        )
    return np.frombuffer(message.data, layout)


def _layout(message: Any, source: str) -> np.dtype:
    formats, end = [], 1
    for field in message.fields:
        kind = _DTYPES.get(field.datatype)
        if kind is None or field.count < 1:
            raise InputError(
                f'{source}: expected a PointField datatype from 1 to 8 with count >= 1, got '
                f'{field.datatype} x {field.count} for {field.name!r}; fix the driver'
            )
        formats.append(np.dtype(kind) if field.count == 1 else np.dtype((kind, field.count)))
        end = max(end, field.offset + formats[-1].itemsize)
    if message.point_step < end:
        raise InputError(
            f'{source}: expected point_step >= {end} for the fields it names, got '
            f'{message.point_step}; fix the driver'
        )
    return np.dtype(
        {
            'names': [field.name for field in message.fields],
            'formats': formats,
            'offsets': [field.offset for field in message.fields],
            'itemsize': message.point_step,
        }
    )
