from dataclasses import replace
from pathlib import Path

from mle_sam.scores import CheckpointScores, Mean, Score
from mle_sam.study.costs import Cost
from mle_sam.study.findings import Finding, Findings, Point, read_findings, write_findings
from mle_sam.study.plan import plan, read_study, Study
from mle_sam.study.report import StudyReport
from mle_sam_ros.core.errors import InputError
import pytest

TRAINING = Path(__file__).parents[1]
CONDITIONS = {'day': 0.8, 'fog': 0.4, 'night': 0.6}  # of a network's mIoU
RECIPE = {
    'experts': {'batch': 4, 'validate_samples': 40, 'learning_rate': 0.001, 'loss': {'ohem': 1.0}}
}


def score(miou: float) -> Score:
    def mean(value):
        return Mean(value / 2, value, 24)

    conditions = {name: mean(part * miou) for name, part in CONDITIONS.items()}
    return Score(
        mean(miou),
        {'road': miou, 'sky': miou / 2},
        conditions,
        {'lidar_jitter': mean(miou / 4)},
    )


def finding(group, network, seed, miou, modalities=('camera', 'lidar')) -> Finding:
    """With any one sensor alone half as good, with noise a quarter."""
    subsets = {'+'.join(modalities): score(miou)}
    noise = {'gaussian': {}, 'uniform': {}}
    if group == 'all':
        if len(modalities) > 1:
            subsets |= {name: score(miou / 2) for name in modalities}
        noise = {kind: {name: score(miou / 4) for name in modalities} for kind in noise}
    scores = CheckpointScores(
        network, 'x', 'y', 'experts', 600, 7, RECIPE, modalities, {'drop': subsets}, noise
    )
    curve = tuple(Point(step, part * miou) for step, part in ((200, 0.5), (400, 0.95), (600, 1)))
    return Finding(group, network, seed, curve, scores)


@pytest.fixture
def findings() -> Findings:
    runs = (
        finding('all', 'mle_sam', 1, 0.4),
        finding('all', 'ts_sam', 1, 0.2, ('camera',)),
        finding('all', 'mle_sam', 2, 0.5),
        finding('day', 'mle_sam', 1, 0.3),
        finding('samples_100', 'mle_sam', 1, 0.1),
        finding('rate_0.0003', 'mle_sam', 1, 0.35),
        finding('variant', 'ts_sam_slow', 1, 0.25, ('camera',)),
    )
    return Findings(
        schema_version=1,
        study=Study(('a', 'b'), (1, 2), 'day', (100,), (0.0003,), ('c',)),
        data='drives of seeds 900 to 909',
        samples=240,
        train_samples=1600,
        input_hw=(96, 192),
        classes=('road', 'sky'),
        costs=(Cost('mle_sam', 2_140_000, 590_000, 1.25, 12.34, 'x86_64, 2 processors'),),
        runs=runs,
    )


def rows_of(findings, title):
    (table,) = [each for each in StudyReport(findings).tables() if each.title == title]
    assert all(len(row) == len(table.header) for row in table.rows)
    return dict(zip((row[0] for row in table.rows), table.rows, strict=True)), table


def approx(*values):
    return tuple(
        value if value is None or isinstance(value, str) else pytest.approx(value)
        for value in values
    )


def test_overview_has_costs_and_the_range_over_seeds(findings):
    rows, _ = rows_of(findings, 'Overview')
    costs = ('mle_sam', '2.14', '0.59', '1.25', '12.3')
    spread = ('45.0 (40.0 to 50.0)', '30.0 (26.7 to 33.3)', '22.5 (20.0 to 25.0)')
    assert rows['mle_sam'] == (*costs, *spread)
    # One seed only, nothing measured; its only subset is the camera.
    assert rows['ts_sam'] == approx('ts_sam', None, None, None, None, 0.2, 0.2, 0.2)


def test_conditions_are_means_over_seeds(findings):
    rows, table = rows_of(findings, 'Conditions and failures')
    assert table.header == ('network', 'all', 'day', 'fog', 'night', 'lidar_jitter')
    assert rows['mle_sam'] == approx('mle_sam', 0.45, 0.36, 0.18, 0.27, 0.1125)
    assert rows['samples'] == ('samples', 24, 24, 24, 24, 24)


def test_subsets_and_noise_leave_out_what_a_network_lacks(findings):
    rows, table = rows_of(findings, 'Missing sensors')
    assert table.header == ('network', 'camera+lidar', 'camera', 'lidar')
    assert rows['mle_sam'] == approx('mle_sam', 0.45, 0.225, 0.225)
    assert rows['ts_sam'] == approx('ts_sam', None, 0.2, None)
    _, table = rows_of(findings, 'Noise')
    assert table.rows[0] == approx('mle_sam', 'gaussian', 0.45, 0.1125, 0.1125)
    assert table.rows[3] == approx('ts_sam', 'uniform', 0.2, 0.05, None)


def test_speed_is_the_first_step_with_nine_tenths_of_the_end(findings):
    rows, _ = rows_of(findings, 'Learning speed')
    assert list(rows) == ['mle_sam, seed 1', 'ts_sam, seed 1', 'mle_sam, seed 2']
    assert rows['mle_sam, seed 1'][1:] == approx(0.4, '400 of 600', 2 / 3, '1.00')


def test_efficiency_and_retention_are_of_one_seed(findings):
    rows, _ = rows_of(findings, 'Data efficiency')
    assert rows['mle_sam'] == approx('mle_sam', 0.1, 0.4, 0.25)
    assert rows['ts_sam'] == approx('ts_sam', None, 0.2, None)  # not finished
    rows, table = rows_of(findings, 'Retention across domains')
    header = ('day', 'fog', 'night', 'fog / day', 'night / day')
    assert table.header == ('network, trained on', *header)
    by_day = ('mle_sam, day alone', 0.24, 0.12, 0.18, 0.5, 0.75)
    assert rows['mle_sam, day alone'] == approx(*by_day)
    assert rows['ts_sam, day alone'][1:] == (None,) * 5
    assert rows['mle_sam, all'][1:4] == approx(0.32, 0.16, 0.24)


def test_other_rates_and_losses_stand_beside_the_chosen_ones(findings):
    rows, _ = rows_of(findings, 'Learning rates and losses')
    assert rows['mle_sam'] == approx('mle_sam', '1 ohem', '0.001', 0.4, 0.35)
    assert rows['ts_sam'] == approx('ts_sam', '1 ohem', '0.001', 0.2, None)
    assert rows['ts_sam_slow'] == approx('ts_sam_slow', '1 ohem', '0.001', 0.25, None)


def test_the_file_keeps_all_that_the_tables_say(findings, tmp_path):
    path = tmp_path / 'evaluation.json'
    write_findings(findings, path)
    assert read_findings(path) == findings
    report, again = StudyReport(findings), StudyReport(read_findings(path))
    assert again.markdown() == report.markdown()
    assert report.markdown().startswith('# Comparison\n\n## Overview\n')
    assert 'mle_sam' in report.text()
    with pytest.raises(InputError, match='expected what mle-sam-training study found'):
        read_findings(tmp_path / 'nowhere.json')


def test_a_study_that_has_just_begun_has_tables(findings):
    few = replace(findings, runs=findings.runs[3:4], costs=())
    for table in StudyReport(few).tables():
        assert all(len(row) == len(table.header) for row in table.rows)


def test_what_is_published_fits_together_and_to_the_recipes():
    published = TRAINING / 'results' / 'comparison'
    findings = read_findings(published / 'evaluation.json')
    assert (published / 'evaluation.md').read_text() == StudyReport(findings).markdown()
    study, recipes = read_study(TRAINING / 'recipes' / 'comparison' / 'study.yaml')
    assert findings.study == study
    assert len(findings.runs) == sum(
        run.stage == 'experts' for run in plan(study, recipes, Path())
    )
