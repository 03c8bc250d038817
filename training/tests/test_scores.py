from dataclasses import replace
import json

from mle_sam.datasets.config import DriveData, MusesData
from mle_sam.published import PUBLISHED
from mle_sam.scores import (
    CheckpointScores,
    Evaluation,
    make_directory,
    Mean,
    read_evaluation,
    Score,
    write_evaluation,
    write_text,
)
from mle_sam_ros.core.errors import InputError
import pytest


@pytest.fixture
def evaluation() -> Evaluation:
    mean = Mean(0.1 + 0.2, None, 3)
    score = Score(mean, {'road': 1 / 3, 'sky': None}, {'fog_night': mean}, {})
    checkpoint = CheckpointScores(
        name='muses',
        path='runs/muses/experts.safetensors',
        sha256='ab' * 32,
        stage='experts',
        step=7,
        trainable=6_886_279,
        recipe={'name': 'muses', 'network': {'input_hw': [64, 128]}},
        modalities=('camera', 'lidar'),
        missing={'zero': {'camera+lidar': score}, 'drop': {'camera+lidar': score}},
        noise={'gaussian': {'camera': score}, 'uniform': {'lidar': score}},
    )
    return Evaluation(
        schema_version=1,
        protocol='paper',
        data=MusesData('/data/muses', 'projected'),
        split='val',
        every=2,
        samples=3,
        noise_seed=5,
        input_hw=(64, 128),
        classes=('road', 'sky'),
        checkpoints=(checkpoint,),
        published=PUBLISHED['muses'],
    )


def test_what_is_written_is_read(evaluation, tmp_path):
    path = tmp_path / 'new' / 'evaluation.json'
    make_directory(path.parent)
    write_evaluation(evaluation, path)
    assert read_evaluation(path) == evaluation
    assert [each.name for each in path.parent.iterdir()] == ['evaluation.json']


def test_a_directory_that_cannot_be(tmp_path):
    (tmp_path / 'taken').write_text('')
    with pytest.raises(InputError, match='taken: expected a directory that can be written'):
        make_directory(tmp_path / 'taken')


def test_full_set(evaluation):
    checkpoint = evaluation.checkpoints[0]
    assert checkpoint.full_set == 'camera+lidar'
    assert checkpoint.full is checkpoint.missing['zero']['camera+lidar']


def test_data_are_named(evaluation):
    assert evaluation.data_name == 'MUSES'
    drives = DriveData('data', (0, 1), (7, 9), 4)
    assert replace(evaluation, data=drives).data_name == 'drives of seeds 7 to 9'
    recorded = replace(drives, validation_bags=('a.mcap', 'b.mcap'))
    named = replace(evaluation, data=recorded).data_name
    assert named == 'drives of seeds 7 to 9 and 2 recordings'
    bags_only = replace(recorded, train_seeds=None, validation_seeds=None)
    assert replace(evaluation, data=bags_only).data_name == '2 recordings'


def test_a_failed_write_leaves_the_old_file(evaluation, tmp_path):
    path = tmp_path / 'evaluation.json'
    write_text('old', path)
    with pytest.raises(UnicodeEncodeError):
        write_text('new \udc80', path)
    assert path.read_text() == 'old'


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'schema_version': 2}, 'expected schema_version 1, got 2; evaluate again'),
        ({'surprise': 1}, 'expected only the keys .*, got surprise'),
        ({'samples': 'many'}, "samples: expected int, got str 'many'"),
    ],
)
def test_other_content_is_refused(evaluation, tmp_path, change, message):
    path = tmp_path / 'evaluation.json'
    write_evaluation(evaluation, path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(InputError, match=message) as error:
        read_evaluation(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize('content', [None, '{"schema_version": 1', '[]'])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / 'evaluation.json'
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=r'evaluation\.json: expected'):
        read_evaluation(path)
