"""The cache of built engines, seen by the processes that share it."""

import json
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import time

from bundles import manifest_mapping
from fake_tensorrt import forget, install
from half_bundle import INPUT_HW, write_half_bundle
from mle_sam_ros.cli import main
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.runtime.bundle import Bundle, sha256_of, write_bundle
from mle_sam_ros.runtime.engine_cache import BuildKey, EngineCache
import pytest

SCRIPT = Path(__file__).with_name('built_here.py')


@pytest.fixture(scope='module')
def bundle(tmp_path_factory) -> Bundle:
    return write_half_bundle(tmp_path_factory.mktemp('bundle') / 'tiny')


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('MLE_SAM_ENGINE_CACHE', str(tmp_path / 'cache'))
    return tmp_path / 'cache'


@pytest.fixture(scope='module')
def store(bundle, tmp_path_factory):
    """A cache with the engine of the usual machine, built once for all tests."""
    directory = tmp_path_factory.mktemp('store')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('MLE_SAM_ENGINE_CACHE', str(directory))
        assert finish(start('build-engine', bundle.directory, '--backend', 'tensorrt'))[0] == 0
    return directory


@pytest.fixture
def built(cache, store):
    """The engine's directory in a cache of its own."""
    shutil.copytree(store, cache)
    (directory,) = EngineCache().directories()
    return directory


@pytest.fixture
def here(capsys, monkeypatch):
    """Runs `mle-sam` on the fakes of a machine; gives exit code, output and errors."""
    monkeypatch.setattr('mle_sam_ros.runtime.latency._NUM_WARM_UP', 0)
    monkeypatch.setattr('mle_sam_ros.runtime.latency._NUM_CALLS', (2, 2))
    monkeypatch.setattr('signal.signal', lambda *_: None)

    def run(*arguments, version='10.13.3.9', gpu='Fake GPU'):
        install(version, gpu)
        code = main([str(argument) for argument in arguments])
        output = capsys.readouterr()
        return code, output.out, output.err

    yield run
    forget()


def start(*arguments, version='10.13.3.9', gpu='Fake GPU', step_s=0.0) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, SCRIPT, version, gpu, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, 'FAKE_TENSORRT_STEP_S': str(step_s)},
    )


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
    output, errors = process.communicate(timeout=120)
    return process.returncode, output, errors


def wait_for(condition, process: subprocess.Popen) -> None:
    deadline_s = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def has_draft(cache: Path) -> bool:
    return cache.is_dir() and any(cache.glob('.draft-*/engine/*.plan'))


def remains(cache: Path) -> set[str]:
    return {path.name for path in cache.iterdir()} - {'lock', 'timing'}


def edit_record(directory: Path, edit) -> None:
    path = directory / 'build.json'
    record = json.loads(path.read_text())
    edit(record)
    path.write_text(json.dumps(record))


def test_two_processes_build_once(cache, bundle):
    command = ('build-engine', bundle.directory, '--backend', 'tensorrt')
    first = start(*command, step_s=0.02)
    wait_for(lambda: has_draft(cache), first)
    second = start(*command)
    results = [finish(first), finish(second)]
    assert [code for code, _, _ in results] == [0, 0], results
    assert results[0][1] == results[1][1]  # one engine, with one time of building
    (directory,) = EngineCache().directories()
    assert remains(cache) == {directory.name}
    EngineCache().read(directory).verify()


def test_who_waits_says_so(cache):
    told = []
    script = (
        'from mle_sam_ros.runtime.engine_cache import EngineCache\n'
        'import sys\n'
        'with EngineCache().lock():\n'
        '    print("held", flush=True)\n'
        '    sys.stdin.readline()\n'
    )
    holder = subprocess.Popen(
        [sys.executable, '-c', script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == 'held\n'

    def on_wait():
        told.append('waiting')
        holder.stdin.write('\n')
        holder.stdin.flush()

    with EngineCache().lock(on_wait):
        assert told == ['waiting']
    with EngineCache().lock(on_wait):
        assert told == ['waiting']
    assert holder.wait(60) == 0


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_leaves_nothing(cache, bundle, number):
    process = start('build-engine', bundle.directory, '--backend', 'tensorrt', step_s=0.2)
    wait_for(lambda: has_draft(cache), process)
    process.send_signal(number)
    code, _, errors = finish(process)
    assert (code, errors.splitlines()[-1]) == (
        130, 'mle-sam: interrupted; nothing half-written is left'
    )  # fmt: skip
    assert remains(cache) == set()


def test_what_a_killed_build_left_goes_with_the_next(cache, bundle):
    process = start('build-engine', bundle.directory, '--backend', 'tensorrt', step_s=0.2)
    wait_for(lambda: has_draft(cache), process)
    process.kill()
    process.wait()
    assert EngineCache().directories() == []  # nobody takes the draft for an engine
    assert len(remains(cache)) == 1
    code, _, _ = finish(start('build-engine', bundle.directory, '--backend', 'tensorrt'))
    assert code == 0
    (directory,) = EngineCache().directories()
    assert remains(cache) == {directory.name}


def test_pruning_takes_what_a_killed_build_left(cache, here):
    (cache / '.draft-x' / 'engine').mkdir(parents=True)
    (cache / 'timing' / '.draft-y').mkdir(parents=True)
    assert here('build-engine', '--prune')[:2] == (0, '')
    assert remains(cache) == set()
    assert not list((cache / 'timing').iterdir())


def test_the_second_time_nothing_is_built(built, bundle, here):
    before = (built / 'build.json').stat().st_mtime_ns
    code, output, _ = here('build-engine', bundle.directory, '--backend', 'tensorrt')
    assert code == 0
    assert f'kept: {built}' in output
    assert (built / 'build.json').stat().st_mtime_ns == before


def test_a_damaged_plan_is_never_loaded_and_built_again(built, bundle, here):
    check = ('check-bundle', bundle.directory, '--backend', 'tensorrt')
    assert here(*check)[0] == 0
    plan = built / 'fuse_decode.plan'
    content = bytearray(plan.read_bytes())
    content[-1] ^= 1
    plan.write_bytes(content)
    code, _, errors = here(*check)
    assert code == 2
    assert 'fuse_decode.plan: expected sha256' in errors
    assert here('build-engine', bundle.directory, '--backend', 'tensorrt')[0] == 0
    assert here(*check)[0] == 0
    assert remains(built.parent) == {built.name}


@pytest.mark.parametrize(
    ('machine', 'reason'),
    [
        ({'version': '10.16.1.11'}, 'one for tensorrt 10.13.3.9, not 10.16.1.11'),
        ({'gpu': 'Other GPU'}, 'one for gpu Fake GPU, not Other GPU'),
    ],
)
def test_an_engine_of_another_machine_is_refused_with_the_command(
    built, bundle, machine, reason, here
):
    check = ('check-bundle', bundle.directory, '--backend', 'tensorrt')
    code, _, errors = here(*check, **machine)
    assert code == 2
    command = f'mle-sam build-engine {bundle.directory} --backend tensorrt'
    assert f'got {reason}; run: {command}' in errors
    code, output, _ = here('build-engine', '--list', **machine)
    assert reason in output
    code, output, _ = here('build-engine', '--prune', **machine)
    assert output == f'{built.name[:12]}  removed: {reason}\n'
    assert not built.exists()


def test_an_engine_under_another_key_is_foreign(built, bundle, here):
    built.rename(built.with_name('0' * 32))
    foreign = built.with_name('0' * 32)
    with pytest.raises(InputError, match=r'expected schema_version 1 and the key of 0{32}, got'):
        EngineCache().read(foreign)
    code, _, errors = here('check-bundle', bundle.directory, '--backend', 'tensorrt')
    assert code == 2
    assert 'expected an engine built for tensorrt on this machine, got none; run: ' in errors
    assert 'damaged' in here('build-engine', '--list')[1]
    assert 'removed: damaged' in here('build-engine', '--prune')[1]


@pytest.mark.parametrize(
    'edit',
    [
        lambda record: record['key']['environment'].update(tensorrt='10.3.0'),
        lambda record: record['key']['sources'].update({'fuse_decode.fp16.onnx': '0' * 64}),
        lambda record: record.pop('proof'),
        lambda record: record.update(extra=1),
        lambda record: record.update(schema_version=2),
    ],
)
def test_an_edited_record_is_refused(built, bundle, edit):
    edit_record(built, edit)
    with pytest.raises(InputError, match=r'build\.json: '):
        EngineCache().read(built)


def test_a_plan_that_nothing_here_can_load_is_built_again_or_pruned(built, bundle, here):
    def age():
        plan = built / 'fuse_decode.plan'
        plan.write_bytes(b'of another age')
        edit_record(built, lambda record: record['files'].update({plan.name: sha256_of(plan)}))

    age()
    code, _, errors = here('check-bundle', bundle.directory, '--backend', 'tensorrt')
    assert code == 2
    assert 'fuse_decode.plan: expected a plan that TensorRT 10.13.3.9 can load here' in errors
    assert f'; run: mle-sam build-engine {bundle.directory} --backend tensorrt' in errors
    assert here('build-engine', bundle.directory, '--backend', 'tensorrt')[0] == 0
    assert here('check-bundle', bundle.directory, '--backend', 'tensorrt')[0] == 0
    assert here('build-engine', '--prune')[1] == ''
    age()
    assert 'removed: ' in (pruned := here('build-engine', '--prune')[1])
    assert 'can load here' in pruned
    assert not built.exists()


def test_an_empty_cache_says_so(cache, here):
    assert here('build-engine', '--list')[1] == f'no engine was built yet: {cache} holds none\n'


def test_engines_whose_bundle_changed_or_went_are_pruned(cache, tmp_path, here):
    mine = write_half_bundle(tmp_path / 'mine')
    command = ('build-engine', mine.directory, '--backend', 'tensorrt', '--precision')
    assert here(*command, 'fp16')[0] == 0
    assert here(*command, 'fp32')[0] == 0
    lines = here('build-engine', '--list')[1].splitlines()
    assert len(lines) == 2
    assert all(line.endswith(': usable') for line in lines)
    assert here('build-engine', '--prune')[1] == ''
    # The bundle loses its fp16 graphs.
    names = [name for name in mine.manifest.files if 'fp16' not in name]
    write_bundle(
        tmp_path / 'mine',
        {n: mine.path(n).read_bytes() for n in names},
        manifest_mapping(INPUT_HW),
    )
    assert 'holds other graphs now' in here('build-engine', '--prune')[1]
    assert len(EngineCache().directories()) == 1
    (tmp_path / 'mine').rename(tmp_path / 'elsewhere')
    assert 'no bundle at' in here('build-engine', '--prune')[1]
    assert EngineCache().directories() == []


def test_pruning_everything(built, cache, here):
    assert here('build-engine', '--prune', '--all')[1].endswith('removed: usable\n')
    assert {path.name for path in cache.iterdir()} == {'lock'}


def test_the_fastest_proven_engine_runs(built, bundle, here):
    command = ('build-engine', bundle.directory, '--backend', 'tensorrt', '--precision', 'fp32')
    assert here(*command)[0] == 0
    check = ('check-bundle', bundle.directory, '--backend', 'tensorrt')
    for fast in ('fp16', 'fp32'):
        for directory in EngineCache().directories():
            options = EngineCache().read(directory).record.key.options
            milliseconds = 1.0 if options['precision'] == fast else 2.0
            edit_record(directory, lambda r, ms=milliseconds: r['latency'].update(p50_ms=ms))
        assert f'TensorRT 10.13.3.9 {fast} on Fake GPU' in here(*check)[1]


def test_where_the_cache_lies(monkeypatch, tmp_path):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.delenv('XDG_CACHE_HOME', raising=False)
    monkeypatch.delenv('MLE_SAM_ENGINE_CACHE', raising=False)
    assert EngineCache().root == tmp_path / '.cache' / 'mle_sam_ros' / 'engines'
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'xdg'))
    assert EngineCache().root == tmp_path / 'xdg' / 'mle_sam_ros' / 'engines'
    monkeypatch.setenv('MLE_SAM_ENGINE_CACHE', str(tmp_path / 'mine'))
    assert EngineCache().root == tmp_path / 'mine'


def test_every_part_of_the_key_makes_another():
    parts = {'backend': 'tensorrt', 'environment': {'gpu': 'a'}, 'sources': {'x': '0'}}
    keys = [
        BuildKey(**parts, options={'level': 3}),
        BuildKey(**parts, options={'level': None}),
        BuildKey(**{**parts, 'backend': 'torch'}, options={'level': 3}),
        BuildKey(**{**parts, 'environment': {'gpu': 'b'}}, options={'level': 3}),
        BuildKey(**{**parts, 'sources': {'x': '1'}}, options={'level': 3}),
    ]
    assert len({key.digest for key in keys}) == len(keys)
    assert BuildKey(**parts, options={'level': 3}).digest == keys[0].digest
