"""Whole commands on what nobody should trust: one line, exit code 2, and nothing left behind."""

from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cache
import io
import os
from pathlib import Path
import resource
import shutil
from tempfile import TemporaryDirectory
import warnings

from bundles import write_tiny_bundle
from comparable_results import latencies, random_counts, results, write_results
from data_set_trees import write_dsec, write_kitti, write_m3ed
from hypothesis import given, HealthCheck, settings
from hypothesis import strategies as st
from mcap.writer import CompressionType
from mcap.writer import Writer as McapWriter
from mle_sam_ros.bags.reader import open_bag
from mle_sam_ros.bags.typestore import typestore
from mle_sam_ros.bags.writer import BagWriter
from mle_sam_ros.cli import main
from mle_sam_ros.runtime.engine import open_engine
import numpy as np
import pytest
from tiny_drive import write_drive

# What a command may ask for beside what the tests hold already.
_MAX_BYTES = 3 << 30
EXAMPLES = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope='module')
def room(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp('hostile')


@pytest.fixture(scope='module')
def bundle(tmp_path_factory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp('bundle') / 'tiny').directory


@pytest.fixture(autouse=True)
def _opened_once(monkeypatch, bundle):
    monkeypatch.setattr('mle_sam_ros.replay.session.open_engine', lambda *_: _engine(bundle))


@cache
def _engine(bundle):
    return open_engine(bundle, 'onnx', 1)


@contextmanager
def bounded_memory() -> Iterator[None]:
    """Let the address space grow by so much and no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path('/proc/self/statm').read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + _MAX_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def run(*arguments, may_fail_with=2) -> str:
    """Run a command; the one line that refuses it, or nothing."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), bounded_memory(), warnings.catch_warnings():
        warnings.simplefilter('error', RuntimeWarning)  # numpy's would be lines, too
        code = main([str(argument) for argument in arguments])
    if code != 2:
        assert code in (0, may_fail_with)
        return ''
    assert out.getvalue() == ''
    (line,) = err.getvalue().splitlines()
    assert line.startswith('mle-sam: ')
    assert 'expected' in line
    return line


def commands(path: Path, bundle: Path, out: Path) -> Iterator[list]:
    """What takes a recording; each writes to `out`, or nothing."""
    yield ['info', path, '--bundle', bundle]
    yield ['info', path, '--json']
    yield ['calibration', path, '--out', out]
    yield ['replay', path, '--bundle', bundle, '--out', out]
    yield ['replay', path, '--bundle', bundle, '--out', out, '--keep-going']


def run_all(path: Path, bundle: Path) -> list[str]:
    """The refusals of all commands; what is refused leaves nothing behind."""
    refusals = []
    with TemporaryDirectory() as name:
        out = Path(name) / 'out'
        for command in commands(path, bundle, out):
            refusals.append(run(*command))
            left = [item.name for item in Path(name).iterdir()]
            assert left == ([] if refusals[-1] or out not in command else ['out']), command
            if out.is_dir():
                shutil.rmtree(out)
            out.unlink(missing_ok=True)
    return refusals


@cache
def whole_drive(room: Path) -> list[tuple]:
    """(log_time_ns, topic, message) of a drive that everything can be done with."""
    with open_bag(write_drive(room / 'whole.mcap', num_frames=4)) as bag:
        return [(item.log_time_ns, item.topic, item.message) for item in bag.messages()]


def write_plain(path: Path, items: list[tuple]) -> Path:
    """Without checksums and compression nothing stands between the damage and the reader."""
    channels = {}
    with path.open('wb') as stream:
        writer = McapWriter(stream, compression=CompressionType.NONE, enable_crcs=False)
        writer.start(profile='ros2')
        for log_time_ns, topic, message in items:
            name = message.__msgtype__
            if topic not in channels:
                definition, _ = typestore().generate_msgdef(name, ros_version=2)
                schema = writer.register_schema(name, 'ros2msg', definition.encode())
                channels[topic] = writer.register_channel(topic, 'cdr', schema)
            cdr = bytes(typestore().serialize_cdr(message, name))
            writer.add_message(channels[topic], log_time_ns, cdr, log_time_ns)
        writer.finish()
    return path


@cache
def plain_bytes(room: Path) -> bytes:
    return write_plain(room / 'plain.mcap', whole_drive(room)).read_bytes()


HUGE = [b'\xff' * 4, b'\xff' * 8, b'\xff\xff\xff\x7f', b'\x00' * 8, b'\x00\x00\x00\x80']


@EXAMPLES
@given(
    place=st.floats(0, 1),
    change=st.sampled_from(HUGE) | st.binary(min_size=1, max_size=12),
    end=st.just(1.0) | st.floats(0, 1),
)
def test_overwritten_and_cut_bytes(room, bundle, place, change, end):
    whole = plain_bytes(room)
    position = int(place * len(whole))
    damaged = whole[:position] + change + whole[position + len(change) :]
    path = room / 'damaged.mcap'
    path.write_bytes(damaged[: int(len(damaged) * end)])
    run_all(path, bundle)


NUMBERS = [0, 1, 2, 7, 255, 2**16 - 1, 2**31 - 1, 2**32 - 1, 2**63 - 1, -1, -(2**31)]
FLOATS = [0.0, -1.0, float('nan'), float('inf'), 1e-300, 1e30, 1e308]
TEXTS = ['', '\n', 'x' * 300, 'rgb8', 'mono16', 'bayer_rggb8', 'evt2', 'libcaer', 'lidar_frame']


def changed(value, choice: int, random: np.random.Generator):
    """The message with one of its members, however deep, made extreme."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return NUMBERS[choice % len(NUMBERS)]
    if isinstance(value, float):
        return FLOATS[choice % len(FLOATS)]
    if isinstance(value, str):
        return TEXTS[choice % len(TEXTS)]
    if isinstance(value, np.ndarray):
        return changed_array(value, choice, random)
    if isinstance(value, list):
        return changed_list(value, choice, random)
    fields = [name for name in vars(value) if not name.startswith('__')]
    name = fields[random.integers(len(fields))]
    copy = type(value)(**vars(value))
    object.__setattr__(copy, name, changed(getattr(value, name), choice, random))
    return copy


def changed_array(value: np.ndarray, choice: int, random: np.random.Generator) -> np.ndarray:
    if value.dtype.kind == 'f':
        return np.full_like(value, FLOATS[choice % len(FLOATS)])
    makers = (
        lambda: value[:0],
        lambda: value[: len(value) // 2],
        lambda: np.concatenate([value, value]),
        lambda: random.integers(0, 256, len(value)).astype(value.dtype),
        lambda: np.full_like(value, 255),
    )
    return makers[choice % len(makers)]()


def changed_list(value: list, choice: int, random: np.random.Generator) -> list:
    if not value or choice % 3 == 0:
        return value[: len(value) // 2]
    index = random.integers(len(value))
    return [*value[:index], changed(value[index], choice, random), *value[index + 1 :]]


@EXAMPLES
@given(
    topic=st.sampled_from(
        [
            '/camera/image', '/camera/camera_info', '/event_camera/events', '/lidar/points',
            '/event_camera/camera_info', '/ground_truth/labels', '/tf_static',
        ]
    ),
    choice=st.integers(0, 1000),
    seed=st.integers(0, 2**32),
    is_once=st.booleans(),
)  # fmt: skip
def test_messages_that_lie(room, bundle, topic, choice, seed, is_once):
    items = list(whole_drive(room))
    places = [index for index, item in enumerate(items) if item[1] == topic]
    for place in places[-1:] if is_once else places:
        log_time_ns, _, message = items[place]
        # The same change in all of them.
        items[place] = log_time_ns, topic, changed(message, choice, np.random.default_rng(seed))
    try:
        path = write_plain(room / 'lies.mcap', items)
    except Exception:  # what the message cannot hold, nobody can send
        return
    run_all(path, bundle)


EVIL = '\x1b[2J</script><img src=x onerror=alert(1)>'


def test_names_in_a_recording_do_not_reach_the_terminal_or_the_report(room, bundle, tmp_path):
    noted = {'condition': EVIL, 'failure': '\n\r', 'outages': 'lidar:0:1e400 :', EVIL: EVIL}
    with BagWriter(tmp_path / 'evil.mcap', noted) as bag:
        for log_time_ns, topic, message in whole_drive(room):
            bag.write(topic, message, log_time_ns)
    out = tmp_path / 'out'
    for command in (
        ['info', tmp_path / 'evil.mcap'],
        ['replay', tmp_path / 'evil.mcap', '--bundle', bundle, '--out', out],
        ['compare', out, out],
    ):
        stdout = io.StringIO()
        with redirect_stdout(stdout):
            assert main([str(argument) for argument in command]) == 0
        assert '\x1b' not in stdout.getvalue()
    assert '<img src=x' not in (out / 'report.html').read_text()


FOREIGN = {
    'empty.mcap': b'',
    'empty.db3': b'',
    'empty.bag': b'',
    'text.mcap': b'no bag\n' * 50,
    'picture.mcap': b'\x89PNG\r\n\x1a\n' + bytes(100),
    'magic.mcap': b'\x89MCAP0\r\n' * 2,
    'ones.mcap': b'\x89MCAP0\r\n' + b'\xff' * 200 + b'\x89MCAP0\r\n',
    'zeros.db3': b'SQLite format 3\x00' + bytes(4096),
    'version.bag': b'#ROSBAG V2.0\n' + b'\xff' * 200,
    'packed.mcap.zstd': b'\x28\xb5\x2f\xfd' + b'\xff' * 40,
    'nobody_knows.xyz': b'?',
}


@pytest.mark.parametrize('name', FOREIGN)
def test_what_is_no_recording(tmp_path, bundle, name):
    path = tmp_path / name
    path.write_bytes(FOREIGN[name])
    assert all(name in refusal for refusal in run_all(path, bundle))


def test_what_is_no_file(tmp_path, bundle):
    (tmp_path / 'directory.mcap').mkdir()
    os.mkfifo(tmp_path / 'pipe.mcap')
    (tmp_path / 'loop.mcap').symlink_to('loop.mcap')
    for name in ('directory.mcap', 'pipe.mcap', 'loop.mcap', 'none.mcap'):
        assert all(run_all(tmp_path / name, bundle)), name


def test_a_terabyte_that_is_not_there(tmp_path, bundle):
    path = tmp_path / 'sparse.mcap'
    path.write_bytes(b'\x89MCAP0\r\n')
    with path.open('r+b') as stream:
        stream.truncate(1 << 40)
    assert all('cut short' in refusal for refusal in run_all(path, bundle))


def test_play(tmp_path, room, monkeypatch):
    pytest.importorskip('rclpy')
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    monkeypatch.setenv('ROS_DOMAIN_ID', '87')
    whole = plain_bytes(room)
    for name, content in {**FOREIGN, 'cut.mcap': whole[: len(whole) // 2]}.items():
        (tmp_path / name).write_bytes(content)
        assert run('play', tmp_path / name)
    damaged = whole.replace(b'rgb8', b'\xff\xff\xff\xff')  # whoever listens must judge it
    (tmp_path / 'lies.mcap').write_bytes(damaged)
    assert not run('play', tmp_path / 'lies.mcap', '--rate', '100')


def damaged(content: bytes, place: float, kind: str, change: bytes) -> bytes:
    position = int(place * len(content))
    if kind == 'cut':
        return content[:position]
    return content[:position] + change + content[position + len(change) :]


@cache
def data_set(room: Path, name: str) -> Path:
    """A small one as its publishers lay it out."""
    if name == 'm3ed':
        (room / name).mkdir()
        return write_m3ed(room / name / 'drive_data.h5')
    return {'dsec': write_dsec, 'kitti': write_kitti}[name](room / name)


@EXAMPLES
@given(
    name=st.sampled_from(['dsec', 'kitti', 'm3ed']),
    file=st.integers(0, 1000),
    place=st.floats(0, 1),
    kind=st.sampled_from(['cut', 'overwrite']),
    change=st.sampled_from([*HUGE, b'nan', b'[', b'-']) | st.binary(min_size=1, max_size=8),
)
def test_convert(room, name, file, place, kind, change):
    source = data_set(room, name)
    root = room / name
    files = sorted(path for path in root.rglob('*') if path.is_file())
    path = files[file % len(files)]
    content = path.read_bytes()
    with TemporaryDirectory() as out:
        path.write_bytes(damaged(content, place, kind, change))
        try:
            refusal = run('convert', name, source, Path(out) / 'a.mcap')
        finally:
            path.write_bytes(content)
        assert [item.name for item in Path(out).iterdir()] == ([] if refusal else ['a.mcap'])


COUNTS = random_counts(0, 3)


@EXAMPLES
@given(
    place=st.floats(0, 1),
    kind=st.sampled_from(['cut', 'overwrite']),
    change=st.sampled_from([b'null', b'-1', b'1e999', b'NaN', b'[', b'}', b'"', b'9' * 400])
    | st.binary(min_size=1, max_size=8),
    is_latency=st.booleans(),
)
def test_compare(room, place, kind, change, is_latency):
    good = write_results(room / 'good', results(COUNTS), latencies())
    bad = write_results(room / 'bad', results(COUNTS), latencies())
    path = bad.with_name('latency.json') if is_latency else bad
    path.write_bytes(damaged(path.read_bytes(), place, kind, change))
    for pair in ((good, bad), (bad, good)):
        run('compare', *pair, '--gate', may_fail_with=1)
        run('compare', *pair, '--json', may_fail_with=1)
