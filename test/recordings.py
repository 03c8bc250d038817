"""Small recordings for the tests of several rooms."""

from mle_sam_ros.bags import messages
from mle_sam_ros.bags.typestore import typestore
from mle_sam_ros.bags.writer import BagWriter
from mle_sam_ros.core.events import Events
import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer

MS = 1_000_000
T0 = 1_700_000_000 * 1000 * MS
IMAGE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)


def some_messages():
    yield T0, '/camera/image', messages.image(IMAGE, 'rgb8', T0 - 8 * MS, 'camera')
    yield T0 + 1, '/labels', messages.image(IMAGE[:, :, 0], 'mono8', T0, 'camera')
    yield T0 + 2, '/events', messages.event_packet(events(50), (260, 346), T0, 'event', 3)
    yield T0 + 3, '/tf_static', messages.transforms(
        [messages.transform('base_link', 'camera', np.eye(4), T0)]
    )  # fmt: skip
    yield T0 + 4, '/camera/image', messages.image(255 - IMAGE, 'rgb8', T0, 'camera')


def events(count: int, step_ns: int = 1000) -> Events:
    random = np.random.default_rng(count)
    return Events(
        random.integers(0, 346, count).astype(np.uint16),
        random.integers(0, 260, count).astype(np.uint16),
        T0 + np.sort(random.integers(0, 10_000, count)) * step_ns,
        random.integers(0, 2, count).astype(np.uint8),
    )


def write(path, items=None) -> None:
    with BagWriter(path) as bag:
        for log_time_ns, topic, message in items or some_messages():
            bag.write(topic, message, log_time_ns)


def write_sqlite(path, plugin=StoragePlugin.SQLITE3) -> None:
    with Writer(path, version=9, storage_plugin=plugin) as bag:
        connections = {}
        for log_time_ns, topic, message in some_messages():
            name = message.__msgtype__
            if topic not in connections:
                connections[topic] = bag.add_connection(topic, name, typestore=typestore())
            cdr = typestore().serialize_cdr(message, name)
            bag.write(connections[topic], log_time_ns, cdr)


def assert_same_events(read: Events, expected: Events) -> None:
    for name in ('x', 'y', 't_ns', 'polarity'):
        np.testing.assert_array_equal(getattr(read, name), getattr(expected, name), name)
