"""Damaged and foreign recordings: one line that says what to do, never half of them."""

import sqlite3

from mle_sam_ros.bags.reader import open_bag
from mle_sam_ros.core.errors import InputError
import pytest
from recordings import T0, write, write_sqlite


def read_all(path) -> int:
    with open_bag(path) as bag:
        return len(list(bag.messages()))


def assert_one_line(error: pytest.ExceptionInfo, *parts: str) -> None:
    text = str(error.value)
    assert '\n' not in text
    for part in ('expected', 'got', ';', *parts):
        assert part in text


@pytest.mark.parametrize('fraction', [0.0, 0.001, 0.05, 0.3, 0.6, 0.9, 0.99, 0.999])
@pytest.mark.parametrize('kind', ['mcap', 'db3'])
def test_truncated(tmp_path, kind, fraction):
    if kind == 'mcap':
        path = tmp_path / 'bag.mcap'
        write(path)
    else:
        write_sqlite(tmp_path / 'directory')
        (path,) = (tmp_path / 'directory').glob('*.db3')
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * fraction)])
    with pytest.raises(InputError) as error:
        read_all(path)
    assert_one_line(error, str(path))


def test_every_damaged_byte_is_noticed_or_harmless(tmp_path):
    path = tmp_path / 'bag.mcap'
    write(path)
    whole = path.read_bytes()
    for position in range(0, len(whole), 31):
        path.write_bytes(
            whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :]
        )
        try:
            num_messages, error = read_all(path), ''
        except InputError as refusal:
            num_messages, error = 5, str(refusal)
        assert num_messages == 5
        assert '\n' not in error


@pytest.mark.parametrize('name', ['bag.mcap', 'bag.db3', 'bag.bag', 'bag'])
@pytest.mark.parametrize('content', [b'', b'#ROSBAG V2.0\n' * 20])
def test_foreign_files(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as error:
        open_bag(tmp_path / name)
    assert_one_line(error, name)


def test_foreign_database(tmp_path):
    database = sqlite3.connect(tmp_path / 'bag.db3')
    database.execute('CREATE TABLE something (x)')
    database.commit()
    database.close()
    with pytest.raises(InputError) as error:
        open_bag(tmp_path / 'bag.db3')
    assert_one_line(error, 'no such table')


def test_missing_and_empty_directories(tmp_path):
    with pytest.raises(InputError, match=r'nowhere: expected .* got nothing'):
        open_bag(tmp_path / 'nowhere')
    with pytest.raises(InputError, match=r'expected \.mcap, \.db3 or \.bag files .* got none'):
        open_bag(tmp_path)


def test_a_missing_part_of_a_split_recording_is_noticed(tmp_path):
    write_sqlite(tmp_path / 'bag')
    metadata = tmp_path / 'bag' / 'metadata.yaml'
    text = metadata.read_text()
    metadata.write_text(text.replace('- bag.db3', '- bag.db3\n  - bag_1.db3'))
    assert metadata.read_text() != text
    with pytest.raises(InputError, match=r'bag_1\.db3: expected the file that metadata\.yaml'):
        open_bag(tmp_path / 'bag')
    metadata.write_text('a: [')
    with pytest.raises(InputError, match=r'metadata\.yaml: expected the metadata of rosbag2'):
        open_bag(tmp_path / 'bag')


def test_other_encodings_in_mcap(tmp_path):
    from mcap.writer import Writer

    with (tmp_path / 'bag.mcap').open('wb') as stream:
        writer = Writer(stream)
        writer.start()
        channel = writer.register_channel('/x', 'json', 0)
        writer.add_message(channel, T0, b'{}', T0)
        writer.finish()
    with pytest.raises(InputError, match=r'expected ROS 2 messages .* got json; record it'):
        open_bag(tmp_path / 'bag.mcap')


def test_a_message_that_is_none(tmp_path):
    from mle_sam_ros.bags.writer import BagWriter

    with BagWriter(tmp_path / 'bag.mcap') as bag:
        bag.write_raw('/image', 'sensor_msgs/msg/Image', b'\x00\x01\x00\x00\x01', T0)
    with pytest.raises(InputError, match=r'expected a sensor_msgs/msg/Image on /image at \d+ ns'):
        read_all(tmp_path / 'bag.mcap')
