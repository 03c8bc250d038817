"""Whole replays with injected faults: repeatable, accounted for, and told in the results."""

from collections.abc import Mapping
import json
from pathlib import Path
from typing import NamedTuple

from bundles import write_tiny_bundle
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.replay.faults.parse import parse_fault
from mle_sam_ros.replay.replay import replay
from mle_sam_ros.replay.score.subsets import smaller_subsets
from mle_sam_ros.replay.session import open_session, Settings
import pytest
from tiny_drive import write_drive

NUM_FRAMES = 14


class Run(NamedTuple):
    """What came of a drive: masks by stamp, of each subset too, and the frame account."""

    masks: list[tuple[int, bytes]]
    subsets: dict[str, list[bytes]]
    frames: Mapping[str, int]


@pytest.fixture(scope='module')
def bundle(tmp_path_factory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp('bundle') / 'tiny').directory


@pytest.fixture(scope='module')
def drive(tmp_path_factory) -> Path:
    return write_drive(tmp_path_factory.mktemp('drive') / 'drive.mcap', NUM_FRAMES)


@pytest.fixture(scope='module')
def settings(drive, bundle):
    def settings(*texts, seed=0, **options):
        faults = tuple(parse_fault(text) for text in texts)
        return Settings(drive, bundle, threads=1, faults=faults, fault_seed=seed, **options)

    return settings


@pytest.fixture(scope='module')
def run(settings):
    def run(*texts, seed=0):
        masks, subsets = [], {}
        with open_session(settings(*texts, seed=seed)) as session:
            manifest: Manifest = session.bundle.manifest
            for _, prediction in session.drive.predictions():
                masks.append((prediction.stamp_ns, prediction.label_map.tobytes()))
                for names, mask in smaller_subsets(session.engine, prediction.rasters, manifest):
                    subsets.setdefault('+'.join(sorted(names)), []).append(mask.tobytes())
            assert not session.drive.faults
            frames = session.drive.pipeline.account.to_mapping()
        return Run(masks, subsets, frames)

    return run


@pytest.fixture(scope='module')
def clean(run):
    return run()


def test_faults_of_nothing_change_no_mask(run, clean):
    nothing = run(
        'camera:drop=0', 'camera:exposure=0', 'camera:stamp=0', 'event:burst=0', 'event:delay=0',
        'lidar:rotate=0', 'lidar:beams=0', 'lidar:jitter=0', 'lidar:noise=uniform@50-60',
    )  # fmt: skip
    assert nothing == clean


@pytest.mark.parametrize(
    'text',
    [
        'camera:drop=0.4', 'camera:delay=0.2@0.2-0.5', 'camera:jitter=0.12', 'camera:rate=7',
        'camera:freeze=0.5', 'camera:stamp=0.08', 'camera:exposure=2.5', 'camera:noise=gaussian',
        'event:drop=0.5', 'event:delay=0.04', 'event:jitter=0.03', 'event:stamp=-0.05',
        'event:rotate=3', 'event:burst=2e5', 'event:noise=uniform', 'lidar:drop=1@0.2-0.6',
        'lidar:delay=0.1', 'lidar:rate=2', 'lidar:freeze=1@0.2-0.6', 'lidar:stamp=0.1',
        'lidar:rotate=2', 'lidar:shift=-30:z@0.2-0.6', 'lidar:beams=0.7',
        'lidar:noise=gaussian@0.2-0.6',
    ],
)  # fmt: skip
def test_every_frame_is_accounted_for_and_something_changes(run, clean, text):
    found = run(text)
    frames = found.frames
    rejected = sum(frames['rejected'].values())
    assert frames['received'] == frames['emitted'] + frames['superseded'] + rejected
    lossy = text.startswith(('camera:drop', 'camera:rate'))
    assert frames['received'] < NUM_FRAMES if lossy else frames['received'] == NUM_FRAMES
    assert len(found.masks) == frames['emitted'] + frames['without_camera']
    assert found.masks != clean.masks


def test_several_faults_repeat_byte_for_byte(run):
    texts = (
        'camera:jitter=0.06', 'event:burst=1e5@0.2-0.6', 'lidar:rotate=2', 'lidar:drop=0.3',
        'camera:noise=uniform@0.3-0.5',
    )  # fmt: skip
    first, second, other = run(*texts), run(*texts), run(*texts, seed=1)
    assert first == second != other


def test_every_subset_sees_the_noise(run, clean):
    noisy = run('camera:noise=gaussian')
    for name, masks in clean.subsets.items():
        assert (noisy.subsets[name] == masks) == ('camera' not in name)


def test_results_tell_the_faults(settings, tmp_path):
    texts = 'lidar:noise=uniform@0.2-0.5', 'camera:exposure=1'
    replay(settings(*texts), tmp_path / 'out')
    found = json.loads((tmp_path / 'out' / 'metrics.json').read_text())
    assert found['arguments']['faults'] == list(texts)
    assert found['arguments']['fault_seed'] == 0
    entry = {'kind': 'injected', 'name': 'lidar:noise=uniform', 'from_s': 0.2, 'to_s': 0.5}
    assert entry in found['timeline']
    # What holds all the time is no condition. The recording begins 0.1 s before its first frame.
    (condition,) = found['conditions']
    assert condition == 'lidar:noise=uniform'
    assert found['conditions'][condition]['frames'] == 6


@pytest.mark.parametrize(
    ('text', 'drop'), [('lidar:drop=1', ['lidar']), ('lidr:drop=1@0-1', []), ('depth:delay=1', [])]
)
def test_faults_that_cannot_be_are_refused_before_anything_is_opened(
    settings, text, drop, monkeypatch
):
    monkeypatch.delattr('mle_sam_ros.replay.session.open_bag')
    with (
        pytest.raises(InputError, match=f'{text}: expected one of the streams camera'),
        open_session(settings(text, drop=drop)),
    ):
        pass


def test_faults_of_what_this_recording_lacks_are_refused(run):
    with pytest.raises(InputError, match="camera, event, lidar, got 'lidar_2', which"):
        run('lidar_2:delay=1')


def test_a_seed_is_not_negative(settings):
    with pytest.raises(InputError, match='seed: expected 0 or more, got -1'):
        settings('lidar:drop=1', seed=-1)
