"""Recordings that rosbag2 compressed, split, or both, are read like plain ones."""

from pathlib import Path
import shutil

from mcap.writer import CompressionType
from mcap.writer import Writer as McapWriter
from mle_sam_ros.bags import packed
from mle_sam_ros.bags.reader import open_bag
from mle_sam_ros.bags.typestore import typestore
from mle_sam_ros.core.errors import InputError
import pytest
from recordings import some_messages, T0, write, write_sqlite
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
import yaml
import zstandard


def raw(path):
    with open_bag(path) as bag:
        return bag.topics, bag.num_messages, [tuple(item) for item in bag.raw()]


def write_compressed(path: Path, plugin: StoragePlugin, mode: CompressionMode, items=None) -> Path:
    bag = Writer(path, version=9, storage_plugin=plugin)
    bag.set_compression(mode, CompressionFormat.ZSTD)
    with bag:
        connections = {}
        for log_time_ns, topic, message in items or some_messages():
            name = message.__msgtype__
            if topic not in connections:
                connections[topic] = bag.add_connection(topic, name, typestore=typestore())
            cdr = typestore().serialize_cdr(message, name)
            bag.write(connections[topic], log_time_ns, cdr)
    return path


@pytest.fixture
def expected(tmp_path):
    write(tmp_path / 'plain.mcap')
    return raw(tmp_path / 'plain.mcap')


@pytest.mark.parametrize('plugin', StoragePlugin)
@pytest.mark.parametrize('mode', [CompressionMode.FILE, CompressionMode.MESSAGE])
def test_whole_files_and_single_messages(tmp_path, expected, plugin, mode):
    bag = write_compressed(tmp_path / 'bag', plugin, mode)
    assert raw(bag) == expected
    shutil.copytree(bag, tmp_path / 'bare')
    (tmp_path / 'bare' / 'metadata.yaml').unlink()
    assert raw(tmp_path / 'bare') == expected
    (file,) = (tmp_path / 'bare').iterdir()
    assert raw(file) == expected


def test_what_was_unpacked_is_removed(tmp_path, monkeypatch, expected):
    monkeypatch.setattr(packed.tempfile, 'tempdir', str(tmp_path / 'scratch'))
    (tmp_path / 'scratch').mkdir()
    bag = write_compressed(tmp_path / 'bag', StoragePlugin.SQLITE3, CompressionMode.FILE)
    with open_bag(bag):
        assert len(list((tmp_path / 'scratch').iterdir())) == 1
    assert not list((tmp_path / 'scratch').iterdir())
    (file,) = bag.glob('*.zstd')
    file.write_bytes(zstandard.compress(b'no database'))
    with pytest.raises(InputError, match='expected a sqlite3 database'):
        open_bag(bag)
    assert not list((tmp_path / 'scratch').iterdir())


@pytest.mark.parametrize('compression', [CompressionType.LZ4, CompressionType.NONE])
@pytest.mark.parametrize('use_chunking', [True, False])
def test_other_chunks_of_mcap(tmp_path, expected, compression, use_chunking):
    path = tmp_path / 'bag.mcap'
    with path.open('wb') as stream:
        writer = McapWriter(stream, compression=compression, use_chunking=use_chunking)
        writer.start(profile='ros2')
        for log_time_ns, topic, message in some_messages():
            name = message.__msgtype__
            definition, _ = typestore().generate_msgdef(name, ros_version=2)
            schema = writer.register_schema(name, 'ros2msg', definition.encode())
            channel = writer.register_channel(topic, 'cdr', schema)
            cdr = bytes(typestore().serialize_cdr(message, name))
            writer.add_message(channel, log_time_ns, cdr, log_time_ns)
        writer.finish()
    assert raw(path) == expected


@pytest.mark.parametrize('plugin', StoragePlugin)
@pytest.mark.parametrize(
    'mode', [CompressionMode.NONE, CompressionMode.FILE, CompressionMode.MESSAGE]
)
def test_split_recordings(tmp_path, expected, plugin, mode):
    """Parts with other topics each, that overlap by a message, listed by the metadata or not."""
    items = list(some_messages())
    (tmp_path / 'bag').mkdir()
    names = []
    for number, part in enumerate([items[0:1] + items[2:3], items[1:2] + items[3:5]]):
        bag = write_compressed(tmp_path / f'part_{number}', plugin, mode, part)
        (file,) = (item for item in bag.iterdir() if item.name != 'metadata.yaml')
        names.append(file.name)
        file.rename(tmp_path / 'bag' / file.name)
    assert raw(tmp_path / 'bag') == expected
    metadata = yaml.safe_load((tmp_path / 'part_0' / 'metadata.yaml').read_text())
    # As Foxy listed them.
    paths = [f'bag/{name}' for name in names]
    metadata['rosbag2_bagfile_information']['relative_file_paths'] = paths
    (tmp_path / 'bag' / 'metadata.yaml').write_text(yaml.safe_dump(metadata))
    assert raw(tmp_path / 'bag') == expected


def test_damaged_compression(tmp_path):
    bag = write_compressed(tmp_path / 'file', StoragePlugin.SQLITE3, CompressionMode.FILE)
    (file,) = bag.glob('*.zstd')
    whole = file.read_bytes()
    file.write_bytes(b'\xff' + whole[1:])
    with pytest.raises(InputError, match=r'db3\.zstd: expected a file compressed with zstd'):
        open_bag(bag)
    file.write_bytes(whole[:-20])
    with pytest.raises(InputError, match='expected'):
        raw(bag)


@pytest.mark.parametrize(
    ('data', 'words'),
    [
        (zstandard.compress(b'x' * 5000)[:-4], 'expected a message compressed with zstd'),
        # A frame whose header claims 2^60 bytes.
        (b'\x28\xb5\x2f\xfd\xe0' + (1 << 60).to_bytes(8, 'little') + bytes(9), 'claims'),
    ],
)
def test_damaged_messages(tmp_path, data, words):
    from mle_sam_ros.bags.writer import BagWriter

    with BagWriter(tmp_path / 'bag.mcap') as bag:
        bag.write_raw('/image', 'sensor_msgs/msg/Image', data, T0)
    with pytest.raises(InputError, match=words) as error:
        raw(tmp_path / 'bag.mcap')
    assert '/image' in str(error.value)


def test_a_file_larger_than_the_disk(tmp_path, monkeypatch):
    bag = write_compressed(tmp_path / 'bag', StoragePlugin.MCAP, CompressionMode.FILE)
    usage = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(packed.shutil, 'disk_usage', lambda _: usage)
    with pytest.raises(InputError, match=r'expected to fit on the disk .*; set TMPDIR'):
        open_bag(bag)


def test_parts_of_different_recordings(tmp_path):
    write(tmp_path / 'a.mcap')
    write_sqlite(tmp_path / 'b')
    (file,) = (tmp_path / 'b').glob('*.db3')
    file.rename(tmp_path / 'b.db3')
    shutil.rmtree(tmp_path / 'b')
    with pytest.raises(InputError, match=r'files of one recording, got \.db3 and \.mcap; give'):
        open_bag(tmp_path)
