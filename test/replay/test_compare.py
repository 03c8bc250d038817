"""`mle-sam compare`: what differs, what may not be compared, and the gate of a CI."""

import json

from comparable_results import (
    blocks_of,
    CLASSES,
    latencies,
    random_counts,
    results,
    START_NS,
    write_results,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mle_sam_ros.cli import main
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.replay.compare.comparison import compare
from mle_sam_ros.replay.compare.run import read_run
from mle_sam_ros.replay.compare.text import comparison_text
from mle_sam_ros.replay.compare.tolerances import GATE, gate, judge, Tolerance
import numpy as np
import pytest

COUNTS = random_counts(0, 40)
WORSE = COUNTS.copy()
WORSE[:, 0] = WORSE[:, 0] * 97 // 100


@pytest.fixture
def run_of(tmp_path):
    """Make a result: its counts, what to change of it, its latency."""
    number = 0

    def make(counts=COUNTS, latency=None, **changes):
        nonlocal number
        number += 1
        return read_run(write_results(tmp_path / f'{number}', results(counts, **changes), latency))

    return make


def command(capsys, *arguments) -> tuple[int, str, str]:
    code = main(['compare', *map(str, arguments)])
    output = capsys.readouterr()
    return code, output.out, output.err


def judged(comparison, *tolerances):
    return judge(comparison, [Tolerance.parse(text) for text in tolerances])


def test_a_result_and_itself(run_of):
    run = run_of(latency=latencies())
    comparison = compare(run, run)
    assert comparison.warnings == comparison.notes == ()
    assert comparison.num_blocks == 40
    assert all(item.value == 0 for item in comparison.differences.values())
    assert comparison.differences['iou.pole'].interval == (0, 0)
    assert comparison.differences['latency.total.p95'].interval is None
    assert comparison.differences['miou'].standing == run.metrics['miou']
    assert all(item.is_kept for item in judged(comparison, 'miou=0', 'latency.p95=0'))


def test_what_is_worse(run_of):
    comparison = compare(run_of(latency=latencies()), run_of(WORSE, latencies(1.5)))
    difference = comparison.differences['miou']
    standing, candidate = (
        run.metrics['miou'] for run in (comparison.standing, comparison.candidate)
    )
    assert difference.value == pytest.approx(candidate - standing, abs=1e-6)
    assert difference.interval.low < difference.value < difference.interval.high < 0
    assert comparison.differences['latency.stages.infer.p50'].value == pytest.approx(25)
    assert comparison.differences['distance_bands.80m-.miou'].standing == 0.2
    text = comparison_text(comparison, [])
    assert max(map(len, text.splitlines())) <= 80
    assert text.count(' worse') == 2 + len(CLASSES)
    assert 'conditions' not in text


@pytest.mark.parametrize(
    ('tolerance', 'is_kept', 'is_certain'),
    [
        ('miou=1', False, True),
        ('miou=5', True, True),
        ('accuracy=0', False, True),
        ('iou.*=1', False, True),
        ('boundary_iou=0', True, None),
        ('ece=0', True, None),
        ('latency.p95=39', False, None),
        ('latency.p95=41', True, None),
        ('latency.p95=49%', False, None),
        ('latency.p95=51%', True, None),
        ('latency.stages.*.p50=0', False, None),
        ('frames_scored=0', True, None),
        ('conditions.night.miou=0', True, None),
        ('distance_bands.0-10m.miou=0', True, None),
    ],
)
def test_tolerances(run_of, tolerance, is_kept, is_certain):
    comparison = compare(run_of(latency=latencies()), run_of(WORSE, latencies(1.5)))
    for verdict in judged(comparison, tolerance):
        assert (verdict.is_kept, verdict.is_certain) == (is_kept, is_certain)


def test_what_chance_may_have_done_is_said(run_of):
    random = np.random.default_rng(5)
    noisy = COUNTS.copy()
    noisy[:, 0] = noisy[:, 0] * random.uniform(0.8, 1.0, noisy[:, 0].shape)
    comparison = compare(run_of(), run_of(noisy))
    loss = -100 * comparison.differences['miou'].value
    (past,) = judged(comparison, f'miou={loss - 0.01}')
    (kept,) = judged(comparison, f'miou={loss + 0.01}')
    assert (past.is_kept, past.is_certain) == (False, False)
    assert (kept.is_kept, kept.is_certain) == (True, False)
    assert 'chance' in comparison_text(comparison, [past])


def test_better_is_never_past(run_of):
    comparison = compare(run_of(WORSE, latencies(1.5)), run_of(latency=latencies()))
    verdicts = judged(comparison, 'miou=0', 'iou.*=0', 'latency.p95=0', 'ece=0')
    assert all(verdict.is_kept for verdict in verdicts)
    (verdict,) = judged(comparison, 'frames.received=0')
    assert verdict.is_kept


def test_of_what_has_no_direction_neither_way_is_kept(run_of):
    weights = [{'level_0': {'camera': {'mean': value}}} for value in (0.4, 0.6)]
    runs = [run_of(router_weights=item) for item in weights]
    for pair in (runs, runs[::-1]):
        (past,) = judged(compare(*pair), 'router_weights.level_0.camera.mean=19')
        (kept,) = judged(compare(*pair), 'router_weights.level_0.camera.mean=21')
        assert (past.is_kept, kept.is_kept) == (False, True)


def test_a_figure_that_the_candidate_lacks_is_past(run_of):
    comparison = compare(run_of(), run_of(conditions={}))
    (verdict,) = judged(comparison, 'conditions.*.miou=50')
    assert not verdict.is_kept
    assert 'no such figure' in comparison_text(comparison, [verdict])


def test_a_star_stands_for_one_part_of_a_path(run_of):
    item = {'miou': 0.5, 'subsets': {'camera': {'miou': 0.4}}}
    comparison = compare(*[run_of(conditions={'night': item, 'lidar:rotate=0.5': item})] * 2)
    names = [verdict.name for verdict in judged(comparison, 'conditions.*.miou=1')]
    assert names == ['conditions.night.miou', 'conditions.lidar:rotate=0.5.miou']


def test_the_last_tolerance_of_a_figure_counts(run_of):
    comparison = compare(run_of(), run_of(WORSE))
    verdicts = judged(comparison, 'iou.*=9', 'iou.road=0', 'accuracy=9')
    assert [verdict.is_kept for verdict in verdicts] == [False, True, True, True]


def test_the_gate_takes_what_there_is(run_of):
    comparison = compare(run_of(), run_of())
    assert len(gate(comparison)) == len(GATE)
    assert len(gate(compare(run_of(conditions={}), run_of()))) == len(GATE) - 1
    assert 'conditions.night.subsets.camera.miou' in comparison.differences
    names = [verdict.name for verdict in judge(comparison, gate(comparison))]
    assert 'conditions.night.subsets.camera.miou' not in names


@pytest.mark.parametrize(
    'text', ['miou', 'miou=', '=1', 'miou=-1', 'miou=nan', 'miou=inf', 'miou=1pt', 'miou=%']
)
def test_tolerances_that_are_none(text):
    with pytest.raises(InputError, match=r'--tolerance: expected FIGURE=AMOUNT'):
        Tolerance.parse(text)


def test_a_tolerance_of_no_figure_names_near_ones(run_of):
    comparison = compare(run_of(), run_of())
    with pytest.raises(InputError, match=r"'conditions.nigth.miou'.* such as 'conditions.night"):
        judged(comparison, 'conditions.nigth.miou=1')


def test_what_may_not_be_compared_is_said_first(run_of):
    comparison = compare(
        run_of(),
        run_of(
            arguments={'drop': ['lidar'], 'backend': 'openvino', 'rig': {'motion': 'tf'}},
            bags=[{'name': 'other.mcap', 'sha256': 'b' * 64}],
            blocks=blocks_of(COUNTS)[:30] + blocks_of(COUNTS, 'b' * 64),
        ),
    )
    assert comparison.num_blocks == 30
    assert comparison.warnings == (
        'only A has drive.mcap',
        'only B has other.mcap',
        'drop differs: none in A, lidar in B',
        'rig differs in 2 places, such as rig.motion: none in A, tf in B',
        '10 blocks that only A has are left out of mIoU, accuracy and IoU',
        '40 blocks that only B has are left out of mIoU, accuracy and IoU',
    )
    assert comparison.notes[0] == 'backend differs: onnx in A, openvino in B'
    assert 'ATTENTION' in comparison_text(comparison, [])


def test_scores_are_those_of_the_blocks_that_both_have(run_of):
    comparison = compare(run_of(), run_of(WORSE, blocks=blocks_of(WORSE)[:30]))
    expected = results(COUNTS[:30])
    assert comparison.differences['miou'].standing == expected['miou']
    assert comparison.differences['iou.road'].standing == expected['iou']['road']


def test_without_ground_truth_the_rest_is_compared(run_of):
    runs = [
        run_of(miou=None, iou={}, blocks=[], pixel_accuracy=None, latency=latencies(scale))
        for scale in (1, 2)
    ]
    comparison = compare(*runs)
    assert comparison.differences['latency.total.p50'].value == 50
    assert 'No intervals' in comparison_text(comparison, [])


def test_few_blocks_are_said_to_be_few(run_of):
    comparison = compare(run_of(COUNTS[:5]), run_of(COUNTS[:5]))
    assert any('5 blocks are few' in note for note in comparison.notes)
    one = compare(run_of(COUNTS[:1]), run_of(COUNTS[:1]))
    assert 'No intervals' in comparison_text(one, [])


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'classes': ['road', 'pole', 'dog']}, "more: 'dog'; less: 'person'"),
        ({'classes': ['pole', 'road', 'person']}, 'another order'),
        ({'blocks': blocks_of(COUNTS, 'b' * 64)}, 'expected scored frames of the recordings'),
        ({'blocks': []}, 'expected scored frames of the recordings'),
    ],
)
def test_what_is_refused(run_of, changes, words):
    with pytest.raises(InputError, match=words):
        compare(run_of(), run_of(**changes))


def test_exit_codes(capsys, tmp_path):
    standing = write_results(tmp_path / 'a', results(COUNTS), latencies())
    candidate = write_results(tmp_path / 'b', results(WORSE), latencies(1.5))
    code, out, err = command(capsys, standing, tmp_path / 'b')
    assert (code, err) == (0, '')
    assert 'mIoU by condition' in out
    assert command(capsys, standing, candidate, '--gate')[0] == 1
    assert command(capsys, standing, candidate, '--gate', '--tolerance', 'miou=5')[0] == 0
    code, out, err = command(capsys, standing, candidate, '--tolerance', 'speed=1')
    assert (code, out) == (2, '')
    assert err.count('\n') == 1
    assert command(capsys, standing, tmp_path / 'none')[0] == 2


def test_json(capsys, tmp_path):
    standing = write_results(tmp_path / 'a', results(COUNTS), latencies())
    candidate = write_results(tmp_path / 'b', results(WORSE, conditions={}), latencies(1.5))
    arguments = ['--json', '--gate', '--tolerance', 'conditions.night.miou=1']
    code, out, _ = command(capsys, standing, candidate, *arguments)
    content = json.loads(out)
    assert code == 1
    assert content['is_kept'] is False
    assert content['figures']['miou']['interval'][1] < 0
    assert content['figures']['conditions.night.miou']['candidate'] is None
    verdicts = {item['figure']: item for item in content['tolerances']}
    assert verdicts['conditions.night.miou']['loss'] is None
    assert verdicts['miou']['is_certain'] is True
    assert 'blocks' not in content['figures']
    assert not any('histogram' in name for name in content['figures'])


HOSTILE = {
    'nothing': '',
    'no JSON': 'mIoU: 0.7',
    'cut': json.dumps(results(COUNTS))[:3000],
    'a list': '[]',
    'a number': '7',
    'deep': '[' * 100_000,
    'NaN': json.dumps(results(COUNTS, miou=float('nan'))),
    'infinite': json.dumps(results(COUNTS)).replace('0.031', '1e999'),
    'long': json.dumps(results(COUNTS)).replace('0.031', '9' * 5000),
    'no schema': json.dumps({'miou': 0.7}),
    'old': json.dumps(results(COUNTS, schema='mle_sam_ros/metrics/0')),
    'no classes': json.dumps(results(COUNTS, classes=None)),
    'classes twice': json.dumps(results(COUNTS, classes=['road'] * 3)),
    'classes that are none': json.dumps(results(COUNTS, classes=[1, 2, 3])),
    'other blocks': json.dumps(results(COUNTS, classes=['road', 'pole'])),
    'not UTF-8': '\udcff',
}


@pytest.mark.parametrize('case', HOSTILE)
def test_hostile_results_get_one_line(capsys, tmp_path, case):
    good = write_results(tmp_path / 'good', results(COUNTS))
    bad = tmp_path / 'bad.json'
    bad.write_bytes(HOSTILE[case].encode('utf-8', 'surrogateescape'))
    for pair in ((good, bad), (bad, good)):
        code, out, err = command(capsys, *pair)
        assert (code, out) == (2, '')
        assert err.startswith('mle-sam: ')
        assert 'bad.json' in err
        assert 'expected' in err
        assert err.count('\n') == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5) | st.just(10**400) | st.just('\ud800\n\x1b[2J'),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(name=st.sampled_from([*results(COUNTS[:3])]), value=JSON, tolerance=st.sampled_from(GATE))
@example('distance_bands', [{'from_m': {}, 'to_m': [], 'miou': 0.5}], 'miou=1')
@example('bundle', {'name': '\ud800\n\x1b[2J'}, 'miou=1')
def test_members_of_any_kind_are_compared_or_refused(tmp_path_factory, name, value, tolerance):
    room = tmp_path_factory.mktemp('any')
    good = write_results(room / 'good', results(COUNTS[:3]))
    bad = write_results(room / 'bad', results(COUNTS[:3], **{name: value}))
    for pair in ((good, bad), (bad, good)):
        assert compared_text(*pair, tolerance)


def compared_text(standing, candidate, tolerance) -> str:
    """The comparison, or the line that refuses it."""
    try:
        comparison = compare(read_run(standing), read_run(candidate))
        return comparison_text(comparison, judged(comparison, tolerance))
    except InputError as error:
        (line,) = str(error).splitlines()
        return line


def test_times_are_absolute(run_of):
    assert min(start_ns for _, start_ns in run_of().blocks) == START_NS
