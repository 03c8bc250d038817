"""`mle-sam replay-fleet` as users type it, here and on a cluster; nothing stays behind."""

from collections.abc import Iterator
import json
import os
from pathlib import Path
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from bundles import write_tiny_bundle
from mle_sam_ros.cli import main
import pytest
from tiny_drive import write_drive


@pytest.fixture(scope='module')
def room(tmp_path_factory) -> Path:
    """A bundle, two recordings, and one that is cut short."""
    room = tmp_path_factory.mktemp('fleet')
    write_tiny_bundle(room / 'tiny')
    (room / 'bags').mkdir()
    write_drive(room / 'bags' / 'a.mcap', 5)
    whole = write_drive(room / 'bags' / 'b.mcap', 4)
    (room / 'bags' / 'cut.mcap').write_bytes(whole.read_bytes()[:5000])
    return room


def arguments(room: Path, out: Path, *more: str) -> list[str]:
    return [
        *('replay-fleet', str(room / 'bags' / '*.mcap'), '--bundle', str(room / 'tiny')),
        *('--out', str(out), *more),
    ]


def run(*command: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, '-m', 'mle_sam_ros.cli', *command],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, **environment},
    )


@pytest.fixture(scope='module')
def local(room) -> tuple[subprocess.CompletedProcess, Path]:
    """The fleet on this machine: what was said, and where it wrote to."""
    own = room / 'temporary'
    own.mkdir()
    return run(*arguments(room, room / 'local'), TMPDIR=str(own)), room / 'local'


def processes_with(word: str) -> list[str]:
    """Processes, by their command lines, that have a word there or in their environment."""
    found = []
    for process in Path('/proc').glob('[0-9]*'):
        try:
            line = (process / 'cmdline').read_text()
            has_word = word in line or word in (process / 'environ').read_text()
        except (OSError, UnicodeDecodeError):  # it has ended, or is not ours
            continue
        if has_word and process.name != str(os.getpid()):
            found.append(line)
    return found


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_others_are_scored_where_one_fails(local):
    done, out = local
    assert done.returncode == 1, done.stderr
    assert 'mIoU' in done.stdout
    assert '3 of 3 recordings to replay' in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith('mle-sam: cut failed: ')
    assert 'cut.mcap: expected a complete MCAP file' in last
    assert 'Traceback' not in done.stderr
    metrics = json.loads((out / 'metrics.json').read_text())
    assert [bag['name'] for bag in metrics['bags']] == ['a.mcap', 'b.mcap']
    assert metrics['arguments']['threads'] == 1
    assert not (out / 'cut').exists()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nothing_stays_behind(local, room):
    assert list((room / 'temporary').iterdir()) == []
    assert processes_with(str(room)) == []


@pytest.mark.slow
def test_without_change_nothing_is_run(local, room, capsys):
    _, out = local
    before = (out / 'metrics.json').read_bytes()
    (room / 'fewer').mkdir()
    for name in ('a.mcap', 'b.mcap'):
        shutil.copy(room / 'bags' / name, room / 'fewer')
    # From elsewhere, in this process: it would be slow if it started Ray.
    assert main(['replay-fleet', str(room / 'fewer'), *arguments(room, out)[2:]]) == 0
    assert capsys.readouterr().err.count('kept') == 2
    metrics = json.loads((out / 'metrics.json').read_text())
    assert 'failed' not in metrics
    assert metrics == {key: value for key, value in json.loads(before).items() if key != 'failed'}


@pytest.mark.parametrize(
    ('changed', 'words'),
    [
        ({1: 'none/*.mcap'}, 'none/*.mcap: expected .mcap, .db3 or .bag files'),
        ({3: 'none'}, 'none'),
        ({5: __file__}, 'expected a directory, got a file'),
        ({6: '--workers=0'}, 'workers: expected at least 1, got 0'),
        ({6: '--address=head:6379'}, 'address: expected local, or ray:// with the host'),
    ],
)
def test_bad_arguments_get_one_line(room, tmp_path, capsys, changed, words):
    command = [*arguments(room, tmp_path / 'out'), '--redo']
    for index, text in changed.items():
        command[index] = text
    assert main(command) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert words in error
    assert not (tmp_path / 'out').exists()


@pytest.fixture(scope='module')
def head() -> Iterator[tuple[str, dict[str, str]]]:
    """A Ray cluster of one machine that others could connect to: its address and environment."""
    environment = {
        'RAY_USAGE_STATS_ENABLED': '0',
        'RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER': '0',  # on the loopback interface only
        'RAY_AUTH_MODE': 'token',
        'RAY_AUTH_TOKEN': secrets.token_hex(32),
    }
    port, client_port = free_ports(2)
    with tempfile.TemporaryDirectory(prefix='ray-', dir='/tmp') as session:
        process = subprocess.Popen(
            [
                *(sys.executable, '-m', 'ray.scripts.scripts', 'start', '--head', '--block'),
                *(f'--port={port}', f'--ray-client-server-port={client_port}', '--num-cpus=2'),
                *('--include-dashboard=false', f'--temp-dir={session}'),
            ],
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for_port(client_port, process)
            yield f'ray://127.0.0.1:{client_port}', environment
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
            while processes_with(session):
                time.sleep(0.1)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(('127.0.0.1', 0)) for _ in range(count)]
    ports = [item.getsockname()[1] for item in sockets]
    for item in sockets:
        item.close()
    return ports


def wait_for_port(port: int, process: subprocess.Popen) -> None:
    while True:
        assert process.poll() is None, 'the cluster did not start'
        try:
            socket.create_connection(('127.0.0.1', port)).close()
            return
        except OSError:
            time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_cluster_gives_the_same_bytes(local, head, room):
    address, environment = head
    done = run(*arguments(room, room / 'remote', '--address', address), **environment)
    assert done.returncode == 1, done.stderr
    for name in ('a', 'b'):
        expected = (local[1] / name / 'metrics.json').read_bytes()
        assert (room / 'remote' / name / 'metrics.json').read_bytes() == expected
    metrics = json.loads((room / 'remote' / 'metrics.json').read_text())
    assert [item['name'] for item in metrics['failed']] == ['cut']
