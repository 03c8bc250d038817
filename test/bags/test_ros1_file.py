"""ROS 1 bags are read as if ROS 2 had recorded them."""

from mle_sam_ros.bags import messages
from mle_sam_ros.bags.ahead import Ahead
from mle_sam_ros.bags.describe import find_topics
from mle_sam_ros.bags.reader import open_bag
from mle_sam_ros.core.errors import InputError
import numpy as np
import pytest
from recordings import some_messages, T0, write
from ros1_bags import write_ros1
from rosbags.rosbag1 import Writer
from rosbags.typesys import get_typestore, Stores


def contents(path):
    with open_bag(path) as bag:
        return bag.topics, bag.num_messages, [tuple(item) for item in bag.raw()], list(
            bag.messages()
        )  # fmt: skip


@pytest.mark.parametrize('compression', [None, *Writer.CompressionFormat])
def test_reads_like_ros2(tmp_path, compression):
    write(tmp_path / 'a.mcap')
    topics, num_messages, raw, messages = contents(tmp_path / 'a.mcap')
    got = contents(write_ros1(tmp_path / 'a.bag', compression=compression))
    assert got[:3] == (topics, num_messages, raw)
    for mine, theirs in zip(got[3], messages, strict=True):
        assert type(mine.message).__name__ == type(theirs.message).__name__
    np.testing.assert_array_equal(got[3][0].message.data, messages[0].message.data)


def test_capitals_of_camera_info(tmp_path):
    from mle_sam_ros.core.camera import CameraModel

    camera = CameraModel((6, 8), np.array([[5.0, 0, 4], [0, 5, 3], [0, 0, 1]]), np.zeros(5))
    items = [(T0, '/camera/camera_info', messages.camera_info(camera, T0, 'camera'))]
    with open_bag(write_ros1(tmp_path / 'a.bag', items)) as bag:
        (item,) = bag.messages()
    assert CameraModel.from_camera_info(item.message, 'info').agrees_with(camera)


def test_parts_of_a_split_bag(tmp_path):
    items = list(some_messages())
    (tmp_path / 'drive').mkdir()
    write_ros1(tmp_path / 'drive' / 'drive_0.bag', items[:2])
    write_ros1(tmp_path / 'drive' / 'drive_1.bag', items[2:])
    whole = contents(write_ros1(tmp_path / 'whole.bag'))
    assert contents(tmp_path / 'drive')[:3] == whole[:3]
    with open_bag(tmp_path / 'drive') as bag:
        assert find_topics(bag).event == '/events'


def test_threads_read_at_a_time(tmp_path):
    """Each its own topic, in another chunk of the one file than the other."""
    items = []
    for number in range(60):
        pixels = np.full((200, 300), number, np.uint8)
        image = messages.image(pixels, 'mono8', T0 + number, 'camera')
        items.append((T0 + number, f'/{number % 2}', image))

    def numbers(bag, topic):
        return (int(item.message.data[-1]) for item in bag.messages([topic]))

    with open_bag(write_ros1(tmp_path / 'a.bag', items)) as bag:
        with Ahead(numbers(bag, '/0'), 3) as even:
            assert [*zip(even, numbers(bag, '/1'), strict=True)] == [
                (number, number + 1) for number in range(0, 60, 2)
            ]


def test_a_type_of_another_release(tmp_path):
    """sensor_msgs/Range has grown a field since; only whoever asks for it is told."""
    store = get_typestore(Stores.ROS1_NOETIC)
    stamp = store.types['builtin_interfaces/msg/Time'](1, 0)
    header = store.types['std_msgs/msg/Header'](0, stamp, 'f')
    message = store.types['sensor_msgs/msg/Range'](header, 0, 0.1, 0.1, 2.0, 1.0)
    with Writer(tmp_path / 'a.bag') as bag:
        connection = bag.add_connection('/r', 'sensor_msgs/msg/Range', typestore=store)
        bag.write(connection, T0, store.serialize_ros1(message, 'sensor_msgs/msg/Range'))
    with open_bag(tmp_path / 'a.bag') as bag:
        assert bag.num_messages == 1
        with pytest.raises(InputError, match=r'/r, got .*another definition of sensor_msgs/msg/R'):
            list(bag.raw())


@pytest.mark.parametrize('fraction', [0.0, 0.001, 0.05, 0.3, 0.6, 0.9, 0.99])
def test_truncated(tmp_path, fraction):
    path = write_ros1(tmp_path / 'a.bag')
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * fraction)])
    with pytest.raises(InputError, match=r'a\.bag: expected .*, got .*;') as error:
        contents(path)
    assert '\n' not in str(error.value)
