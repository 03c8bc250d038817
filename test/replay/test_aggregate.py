"""Results of recordings add up to what one process that saw all of them would count."""

from copy import deepcopy
from itertools import permutations
import json
from pathlib import Path

from bundles import CLASSES, write_tiny_bundle
from jsonschema import Draft202012Validator
from mle_sam_ros.bags.reader import open_bag
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.image import decode_label_image
from mle_sam_ros.core.metrics import ConfusionMatrix
from mle_sam_ros.core.stamp import stamp_ns
from mle_sam_ros.replay import score
from mle_sam_ros.replay.aggregate import aggregate, aggregate_latency, FleetRow
from mle_sam_ros.replay.replay import replay
from mle_sam_ros.replay.session import Settings
from mle_sam_ros.replay.viewing.annotated import MASK_TOPIC
import numpy as np
import pytest
from tiny_drive import write_drive

SCHEMA = json.loads((Path(score.__file__).parent / 'metrics.schema.json').read_text())


@pytest.fixture(scope='module')
def settings_of(tmp_path_factory) -> dict[str, Settings]:
    """Of three drives: a whole one, one without ground truth, one whose LiDAR goes silent."""
    room = tmp_path_factory.mktemp('drives')
    bundle = write_tiny_bundle(room / 'tiny').directory
    drives = [
        write_drive(room / 'a.mcap', 12),
        write_drive(room / 'b.mcap', 9, without=('/ground_truth/labels',)),
        write_drive(room / 'c.mcap', 10, silent={'lidar': range(4, 10)}),
    ]
    return {path.stem: Settings(path, bundle, all_subsets=True, threads=1) for path in drives}


@pytest.fixture(scope='module')
def out(settings_of, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp('results')
    for name, settings in settings_of.items():
        replay(settings, out / name)
    return out


def read(out: Path, file_name: str = 'metrics.json') -> dict[str, dict]:
    return {path.name: json.loads((path / file_name).read_text()) for path in out.iterdir()}


def test_the_order_is_of_no_account(out):
    results = read(out)
    texts = {
        json.dumps(aggregate({name: results[name] for name in names}))
        for names in permutations(results)
    }
    assert len(texts) == 1


def test_names_are_of_no_account(out):
    results = read(out)
    renamed = dict(zip('zyx', (results[name] for name in 'abc'), strict=True))
    assert aggregate(results) == aggregate(renamed)


def label_maps(path: Path, topic: str) -> dict[int, np.ndarray]:
    with open_bag(path) as bag:
        return {
            stamp_ns(item.message.header): decode_label_image(item.message, topic)
            for item in bag.messages([topic] if topic in bag.topics else [])
        }


def test_the_score_is_that_of_all_pixels(settings_of, out):
    """Counted once more in one go, from the masks and the ground truth themselves."""
    matrix, num_scored = ConfusionMatrix(len(CLASSES)), 0
    for name, settings in settings_of.items():
        truths = label_maps(settings.bag_path, '/ground_truth/labels')
        for stamp, mask in label_maps(out / name / 'annotated.mcap', MASK_TOPIC).items():
            if stamp in truths:
                matrix.update(truths[stamp], mask)
                num_scored += 1
    total = aggregate(read(out))
    assert total['frames_scored'] == num_scored == 22
    assert total['miou'] == pytest.approx(matrix.miou(), abs=1e-6)
    assert total['pixel_accuracy'] == pytest.approx(matrix.accuracy(), abs=1e-6)
    assert total['tallies']['whole']['confusion'] == matrix.counts.tolist()


def test_the_aggregate_has_the_schema_of_its_parts(out):
    results = read(out)
    total = aggregate(results, {'d': 'broken'})
    Draft202012Validator(SCHEMA).validate(total)
    assert total['failed'] == [{'name': 'd', 'reason': 'broken'}]
    assert 'failed' not in aggregate(results)
    assert [bag['name'] for bag in total['bags']] == ['a.mcap', 'b.mcap', 'c.mcap']
    assert total['frames']['received'] == 31
    assert 'labels' in total['arguments']['topics']  # b has none: it does not contradict
    spans = {(span['bag'], span['name']) for span in total['timeline']}
    assert (total['bags'][2]['sha256'], 'lidar') in spans
    assert json.loads(json.dumps(total)) == total


def test_an_aggregate_of_one_is_its_part(out):
    one = read(out)['a']
    total = aggregate({'a': one})
    assert {key for key in total if total[key] != one[key]} <= {'timeline'}


def test_latencies_add_up(out):
    latencies = read(out, 'latency.json')
    total = aggregate_latency(latencies)
    assert total == aggregate_latency(dict(reversed(latencies.items())))
    assert sum(total['total']['histogram'].values()) == 31
    assert list(total['stages']) == list(latencies['a']['stages'])


CHANGES = {
    'bundle': (['bundle', 'sha256'], '0' * 64, 'b: expected bundle'),
    'software': (['software', 'engine'], 'abacus', 'b: expected software .* got .*abacus'),
    'classes': (['classes'], ['road'], 'b: expected classes'),
    'modalities': (['modalities'], ['camera'], 'b: expected modalities'),
    'argument': (['arguments', 'drop'], ['lidar'], 'b: expected argument drop .* got .*lidar'),
    'new argument': (['arguments', 'new'], 1, 'b: expected argument new null as of a, got 1'),
    'tallies': (['tallies', 'whole'], {}, 'b: expected the tallies'),
}


@pytest.mark.parametrize('change', CHANGES)
def test_what_is_counted_otherwise_is_refused_by_name(out, change):
    path, value, words = CHANGES[change]
    results = {name: deepcopy(item) for name, item in read(out).items() if name in 'ab'}
    place = results['b']
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(InputError, match=words) as error:
        aggregate(results)
    assert '\n' not in str(error.value)


def test_a_recording_counts_once(out):
    results = read(out)
    with pytest.raises(InputError, match='copy: expected another recording than a'):
        aggregate({**results, 'copy': results['a']})


def test_topics_that_differ_are_left_out(out):
    results = deepcopy(read(out))
    results['b']['arguments']['topics']['camera'] = '/front/image'
    topics = aggregate(results)['arguments']['topics']
    assert 'camera' not in topics
    assert topics['lidar'] == '/lidar/points'


def test_a_row_tells_the_worst_condition(out):
    metrics = deepcopy(read(out)['a'])
    assert FleetRow.of('a', metrics, 'a/report.html').worst_condition is None
    metrics['bags'][0]['conditions'] = ['dusk', 'fog', 'rain']
    score = {'dusk': 0.5, 'fog': 0.25, 'rain': None}
    metrics['conditions'] = {name: {'miou': miou, 'frames': 4} for name, miou in score.items()}
    metrics['conditions']['winter'] = {'miou': 0.2, 'frames': 12}  # all the time: no part of it
    row = FleetRow.of('a', metrics, 'a/report.html')
    assert row.worst_condition == ('fog', 0.25)
    assert row.conditions == ('dusk', 'fog', 'rain')
    assert (row.masks, row.frames_scored, row.failure) == (12, 12, None)
