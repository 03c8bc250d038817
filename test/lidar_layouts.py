"""PointCloud2 messages as the drivers of several makers lay them out."""

import messages
from messages import FLOAT32, FLOAT64, UINT8, UINT16, UINT32
import numpy as np

T0 = 1_750_000_000_000_000_000


def _flash():
    random = np.random.default_rng(3)
    points = np.zeros(600, [('xyz', 'f4', 3), ('reflectivity', 'u1'), ('time_ns', 'i8')])
    points['xyz'] = random.normal(size=(600, 3)) * [20, 20, 3]
    points['reflectivity'] = random.integers(0, 256, 600)
    points['time_ns'] = T0 + np.linspace(0, 99_999_744, 600).astype(np.int64)
    return points


# Returns with the truth about them; T0 is when the first one was measured.
FLASH = _flash()


def _seconds_since_epoch(points):
    return points['time_ns'] * 1e-9


def _nanoseconds_since_epoch(points):
    return points['time_ns'].astype(np.float64)


def _nanoseconds_since_start(points):
    return points['time_ns'] - T0


def _seconds_before_end(points):
    return (points['time_ns'] - points['time_ns'].max()) * 1e-9


# Driver to point_step, offset and datatype of intensity or reflectivity by name, and name, offset,
# datatype and convention of the time; x, y, z stand at 0, 4, 8.
DRIVERS = {
    'ouster': (
        48,
        {'intensity': (16, FLOAT32), 'reflectivity': (24, UINT16)},
        ('t', 20, UINT32, _nanoseconds_since_start),
    ),
    'velodyne': (22, {'intensity': (12, FLOAT32)}, ('time', 18, FLOAT32, _seconds_before_end)),
    'hesai': (26, {'intensity': (12, FLOAT32)}, ('timestamp', 18, FLOAT64, _seconds_since_epoch)),
    'robosense': (
        26,
        {'intensity': (12, FLOAT32)},
        ('timestamp', 18, FLOAT64, _seconds_since_epoch),
    ),
    'livox': (
        26,
        {'intensity': (12, FLOAT32)},
        ('timestamp', 18, FLOAT64, _nanoseconds_since_epoch),
    ),
    'autoware': (
        32,
        {'intensity': (12, UINT8)},
        ('time_stamp', 28, UINT32, _nanoseconds_since_start),
    ),
    'carla': (16, {'intensity': (12, FLOAT32)}, None),
}


def message_of(driver, points):
    """The message that a driver makes of some points."""
    point_step, strengths, time = DRIVERS[driver]
    columns = {axis: (FLOAT32, 4 * i, points['xyz'][:, i]) for i, axis in enumerate('xyz')}
    for name, (offset, datatype) in strengths.items():
        is_raw = name == 'intensity' and 'reflectivity' in strengths
        values = points['reflectivity'] * (40.0 if is_raw else 1.0)
        columns[name] = (datatype, offset, values)
    stamp_ns = T0
    if time is not None:
        name, offset, datatype, convention = time
        if len(points):
            values = convention(points)
            columns[name] = (datatype, offset, values)
            stamp_ns = T0 if convention is not _seconds_before_end else points['time_ns'].max()
        else:
            columns[name] = (datatype, offset, [])
    return messages.cloud(columns, int(stamp_ns), point_step)
