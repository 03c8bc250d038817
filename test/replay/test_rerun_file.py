"""The recording for Rerun holds every frame under its stamp, and the same ones each time."""

from collections import Counter
from pathlib import Path
import sys

from bundles import CLASSES, MODALITIES, write_tiny_bundle
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.replay.replay import replay, Settings
from mle_sam_ros.replay.viewing.rerun_file import RERUN_NAME
import numpy as np
import pytest
from tiny_drive import EVENT_FRAME, LIDAR_FRAME, PERIOD, SIZE_HW, START, write_drive

pytest.importorskip('rerun')

from rerun.chunk import RrdReader

NUM_FRAMES = 20
STAMPS = [START + (index + 2) * PERIOD for index in range(NUM_FRAMES)]
IMAGE = '/vehicle/camera/image'


@pytest.fixture(scope='module')
def bundle(tmp_path_factory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp('bundle') / 'tiny').directory


@pytest.fixture(scope='module')
def drive(tmp_path_factory) -> Path:
    """With a LiDAR that falls silent half-way."""
    path = tmp_path_factory.mktemp('drive') / 'drive.mcap'
    return write_drive(path, NUM_FRAMES, silent={'lidar': range(10, NUM_FRAMES)})


@pytest.fixture(scope='module')
def recording(drive, bundle, tmp_path_factory) -> Path:
    return run(drive, bundle, tmp_path_factory.mktemp('out') / 'out')


def run(drive: Path, bundle: Path, out: Path, **options) -> Path:
    settings = Settings(drive, bundle, threads=1, annotated='none', with_rerun=True, **options)
    replay(settings, out)
    return out / RERUN_NAME


def rows_of(recording: Path) -> dict[tuple[str, str], list[tuple[int | None, object]]]:
    """By entity and component: stamp (None where static) and value, in their order."""
    rows: dict[tuple[str, str], list[tuple[int | None, object]]] = {}
    for chunk in RrdReader(recording).stream():
        batch = chunk.to_record_batch()
        names = [name for name in batch.schema.names if ':' in name]
        assert chunk.timeline_names == ([] if chunk.is_static else ['stamp'])
        stamps = [None] * chunk.num_rows
        if not chunk.is_static:
            stamps = batch.column('stamp').cast('int64').to_pylist()
        for name in names:
            column = zip(stamps, batch.column(name).to_pylist(), strict=True)
            part = rows.setdefault((chunk.entity_path, name), [])
            part += [(stamp, value) for stamp, value in column if value is not None]
    return {key: sorted(part, key=lambda row: row[0] or 0) for key, part in rows.items()}


def stamps_of(rows, entity: str, component: str) -> list[int]:
    return [stamp for stamp, _ in rows[entity, component]]


def test_every_frame_is_there_under_its_stamp(recording):
    rows = rows_of(recording)
    each_frame = [
        (IMAGE, 'EncodedImage:blob'),
        (f'{IMAGE}/mask', 'SegmentationImage:buffer'),
        ('/confidence', 'EncodedImage:blob'),
        ('/truth', 'SegmentationImage:buffer'),
        ('/error', 'EncodedImage:blob'),
        ('/miou', 'Scalars:scalars'),
        *(
            (f'/router_weights/level_{level}/{name}', 'Scalars:scalars')
            for level in range(3)
            for name in MODALITIES
        ),
    ]
    for entity, component in each_frame:
        assert stamps_of(rows, entity, component) == STAMPS, (entity, component)
    weights = [
        [value[0] for _, value in rows[f'/router_weights/level_0/{name}', 'Scalars:scalars']]
        for name in MODALITIES
    ]
    np.testing.assert_allclose(np.sum(weights, axis=0), 1, atol=1e-5)
    for _, mask in rows[f'{IMAGE}/mask', 'SegmentationImage:buffer']:
        assert len(mask[0]) == SIZE_HW[0] * SIZE_HW[1]


def test_what_a_sensor_shows_ends_when_it_falls_silent(recording):
    rows = rows_of(recording)
    states = {
        name: [value[0] for _, value in rows[f'/sensors/{name}', 'StateChange:state']]
        for name in MODALITIES
    }
    assert states['camera'] == ['present']
    assert states['lidar'][-2:] == ['present', 'absent']
    gone = stamps_of(rows, '/sensors/lidar', 'StateChange:state')[-1]
    for entity, component in (
        ('/vehicle/camera/points', 'Points3D:positions'),
        ('/rasters/lidar', 'EncodedImage:blob'),
        ('/ages_ms/lidar', 'Scalars:scalars'),
    ):
        assert max(stamps_of(rows, entity, component)) < gone, entity
    for entity in ('/vehicle/camera/points', '/rasters/lidar'):
        (cleared,) = stamps_of(rows, entity, 'Clear:is_recursive')
        assert cleared == gone
    # Each sweep once, though it serves two frames.
    assert len(rows['/vehicle/camera/points', 'Points3D:positions']) == 5
    assert ['lidar absent'] in [value for _, value in rows['/log', 'TextLog:text']]


def test_what_holds_for_the_whole_drive(recording):
    rows = rows_of(recording)
    ((stamp, context),) = rows['/', 'AnnotationContext:context']
    assert stamp is None
    labels = {item['class_id']: item['class_description'] for item in context[0]}
    assert [labels[number]['info']['label'] for number in range(len(CLASSES))] == list(CLASSES)
    assert labels[255]['info']['label'] == 'unlabelled'
    entities = {entity for entity, _ in rows}
    assert {f'/vehicle/camera/{EVENT_FRAME}', f'/vehicle/camera/{LIDAR_FRAME}'} <= entities
    assert len(rows[IMAGE, 'Pinhole:image_from_camera']) == 1
    kinds = Counter(item.kind for item in RrdReader(recording).recordings())
    assert kinds == {'recording': 1}
    assert len(RrdReader(recording).blueprints()) == 1


def test_a_replay_repeats_it(drive, bundle, recording, tmp_path):
    again = run(drive, bundle, tmp_path / 'again')
    assert rows_of(again) == rows_of(recording)
    (first,), (second,) = (RrdReader(path).recordings() for path in (recording, again))
    assert first.recording_id == second.recording_id


def test_without_a_camera_the_masks_stand_alone(drive, bundle, tmp_path):
    rows = rows_of(run(drive, bundle, tmp_path / 'out', drop=['camera']))
    assert (IMAGE, 'EncodedImage:blob') not in rows
    masks = stamps_of(rows, f'{IMAGE}/mask', 'SegmentationImage:buffer')
    assert len(masks) >= 14
    assert stamps_of(rows, '/error', 'EncodedImage:blob') == masks
    assert rows['/sensors/camera', 'StateChange:state'] == [(masks[0], ['absent'])]


def test_a_missing_package_is_named_before_anything_runs(drive, bundle, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'rerun', None)
    with pytest.raises(InputError, match=r"pip install 'mle_sam_ros\[rerun\]'"):
        run(drive, bundle / 'none', tmp_path / 'out')
    assert list(tmp_path.iterdir()) == []
