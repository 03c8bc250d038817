"""Fields of a `sensor_msgs/PointCloud2` as named columns."""

from typing import Any

from mle_sam_ros.core.errors import InputError
import numpy as np

# sensor_msgs/PointField datatype constants.
_DTYPES = {1: 'i1', 2: 'u1', 3: '<i2', 4: '<u2', 5: '<i4', 6: '<u4', 7: '<f4', 8: '<f8'}
# No driver comes near, and numpy takes no layout above 2 GB.
_MAX_POINT_BYTES = 65_536


def read_points(message: Any, required: tuple[str, ...], source: str) -> np.ndarray:
    """View a cloud as a structured array, whatever its alignment.

    Args:
        message: PointCloud2, organised or not, little endian.
        required: field names that must be there.
        source: its topic, for error messages.

    Returns:
        (N,) structured array with the cloud's fields, row by row; a view of the message, a copy
        only of one with padded rows.

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
    if len(set(names)) < len(names) or '' in names:
        raise InputError(
            f'{source}: expected distinct field names, got {", ".join(map(repr, names))}; '
            'fix the driver'
        )
    missing = [name for name in required if name not in names]
    if missing:
        raise InputError(
            f'{source}: expected the fields {", ".join(required)}, got {", ".join(names)}; '
            f'add {", ".join(missing)} in the driver'
        )
    layout = _layout(message, source)
    row_step = _row_step(message, source)
    shape, strides = (message.height, message.width), (row_step, layout.itemsize)
    return np.ndarray(shape, layout, message.data, strides=strides).reshape(-1)


def _row_step(message: Any, source: str) -> int:
    """Bytes from row to row, after checking that the data holds all points."""
    width, height = message.width, message.height
    row_bytes = width * message.point_step
    num_bytes = len(message.data)
    # Some drivers swap width and height in row_step, or leave it at 0: where the length leaves
    # no room for padding, there is none.
    if num_bytes == row_bytes * height:
        return row_bytes
    padded = message.row_step
    if padded >= row_bytes and (height - 1) * padded + row_bytes <= num_bytes <= height * padded:
        return padded
    raise InputError(
        f'{source}: expected {row_bytes * height} bytes of data for {width} x {height} points of '
        f'{message.point_step}, or rows of row_step, got {num_bytes} bytes and row_step '
        f'{padded}; fix the driver'
    )


def _layout(message: Any, source: str) -> np.dtype:
    if not 0 < message.point_step <= _MAX_POINT_BYTES:
        raise InputError(
            f'{source}: expected a point_step from 1 to {_MAX_POINT_BYTES}, got '
            f'{message.point_step}; fix the driver'
        )
    formats, end = [], 1
    for field in message.fields:
        kind = _DTYPES.get(field.datatype)
        if kind is None or field.count < 1:
            raise InputError(
                f'{source}: expected a PointField datatype from 1 to 8 with count >= 1, got '
                f'{field.datatype} x {field.count} for {field.name!r}; fix the driver'
            )
        dtype = np.dtype(kind)
        end = max(end, field.offset + dtype.itemsize * field.count)
        # Beyond the point it is an error, below; numpy takes no count above 2^31.
        count = min(field.count, _MAX_POINT_BYTES)
        formats.append(dtype if count == 1 else np.dtype((dtype, count)))
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
