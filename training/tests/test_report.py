from dataclasses import replace

from mle_sam.datasets.config import DeliverData, DriveData
from mle_sam.published import PUBLISHED
from mle_sam.report import Report
from mle_sam.scores import CheckpointScores, Evaluation, Mean, Score
import pytest

SUBSETS = ('camera+depth', 'camera', 'depth')
CLASSES = ('Building', 'Fence')


def score(miou: float) -> Score:
    """Over the classes present `miou`, over all of them half of it."""
    mean = Mean(miou / 2, miou, 12)
    night = Mean(miou / 2 - 0.1, miou - 0.1, 4)
    return Score(mean, {'Building': miou, 'Fence': None}, {'night': night}, {'motion_blur': mean})


def network(name: str, substitutes=('zero', 'drop'), modalities=('camera', 'depth')):
    full = '+'.join(modalities)
    subsets = SUBSETS if len(modalities) == 2 else (full,)
    drop = dict(zip(subsets, map(score, (0.8, 0.6, 0.4)), strict=False))
    zero = dict(zip(subsets, map(score, (0.8, 0.2, 0.2)), strict=False))
    return CheckpointScores(
        name=name,
        path=f'runs/{name}.safetensors',
        sha256='0' * 64,
        stage='experts',
        step=100,
        trainable=9_009_951,
        recipe={'network': {'combination': 'average', 'auxiliary_head': False}},
        modalities=modalities,
        missing={key: {'zero': zero, 'drop': drop}[key] for key in substitutes},
        noise={kind: dict.fromkeys(modalities, score(0.5)) for kind in ('gaussian', 'uniform')},
    )


@pytest.fixture
def on_deliver() -> Evaluation:
    return Evaluation(
        schema_version=1,
        protocol='paper',
        data=DeliverData('/data/DELIVER'),
        split='val',
        every=1,
        samples=12,
        noise_seed=0,
        input_hw=(1024, 1024),
        classes=CLASSES,
        checkpoints=(network('ours'),),
        published=PUBLISHED['deliver'],
    )


@pytest.fixture
def on_drives(on_deliver) -> Evaluation:
    data = DriveData('data', (0, 1), (2, 2), 4)
    return replace(on_deliver, data=data, published=None)


@pytest.fixture
def on_a_vehicle(on_deliver) -> Evaluation:
    checkpoint = network('ours', substitutes=('drop',))
    return replace(on_deliver, protocol='vehicle', checkpoints=(checkpoint,), published=None)


def table(evaluation, title):
    return next(each for each in Report(evaluation).tables() if title in each.title)


def rows(evaluation, title):
    return [
        dict(zip(t.header, row, strict=True)) for t in [table(evaluation, title)] for row in t.rows
    ]


def test_combinations_stand_beside_the_papers(on_deliver):
    ours_all, ours_present, *papers = rows(on_deliver, 'combinations')
    assert (ours_all['classes'], ours_all['camera+depth'], ours_all['camera']) == (
        'all 2',
        0.4,
        None,
    )
    assert (ours_present['classes'], ours_present['camera+depth']) == ('present', 0.8)
    assert len(papers) == 4
    assert all(row['network'].startswith('paper: ') for row in papers)
    assert papers[-1]['camera+depth+event+lidar'] == pytest.approx(0.6408)
    assert papers[-1]['classes'] == 'all 25'


def test_conditions_then_failures_with_their_samples(on_deliver):
    conditions = table(on_deliver, 'Table IV')
    columns = 'network classes all cloud fog night rain sun MB OE UE LJ EL'
    assert ' '.join(conditions.header) == columns
    ours, _, *papers, samples = rows(on_deliver, 'Table IV')
    assert (ours['night'], ours['MB'], ours['fog']) == (pytest.approx(0.3), 0.4, None)
    assert papers[0]['network'] == 'paper: MLE-SAM Hiera-B+, camera'
    assert papers[0]['UE'] == pytest.approx(0.3565)
    assert (samples['all'], samples['night'], samples['fog']) == (12, 4, None)
    assert 'MB motion_blur' in conditions.caption
    assert 'count for their weather too' in conditions.caption


def test_classes(on_deliver):
    assert table(on_deliver, 'Classes').rows == (('Building', 0.8), ('Fence', None))


def test_ablations_say_what_each_network_is(on_deliver):
    ours, _, *papers = rows(on_deliver, 'Table V)')
    assert ours['features'] == 'average'
    assert ours['auxiliary head'] == 'no'
    assert ours['trainable M'] == '9.01'
    assert [row['mIoU'] for row in papers] == pytest.approx(
        [0.6187, 0.6203, 0.5835, 0.5799, 0.6408]
    )
    assert papers[-1]['features'] == 'average and weighted'


def test_means_over_all_subsets_are_those_of_the_cells(on_deliver):
    ours_all, ours_present, *papers = rows(on_deliver, 'mean over all subsets')
    assert ours_present['full'] == 0.8
    assert ours_present['zero'] == pytest.approx(1.2 / 3)
    assert ours_present['drop'] == pytest.approx(1.8 / 3)
    assert ours_present['drop / full'] == pytest.approx(0.75)
    assert ours_all['drop'] == pytest.approx(0.3)
    last = papers[-1]
    assert last['trained with'] == 'camera+depth+event+lidar'
    assert last['zero / full'] == pytest.approx(34.90 / 64.08)
    assert last['drop'] is None


def test_subsets_beside_the_papers_where_it_trained_the_same(on_deliver):
    ours = rows(on_deliver, 'ours: missing')
    assert [row['there'] for row in ours] == list(SUBSETS)
    assert ours[1] == {
        'there': 'camera',
        'zero, all 2': 0.1,
        'drop, all 2': 0.3,
        'zero, present': 0.2,
        'drop, present': 0.6,
    }
    four = network('four', modalities=('camera', 'depth', 'event', 'lidar'))
    subsets = PUBLISHED['deliver'].missing['camera+depth+event+lidar']
    cells = {key: score(0.5) for key in ('camera+depth+event+lidar', *subsets)}
    four = replace(four, missing={'zero': cells, 'drop': cells})
    beside = rows(replace(on_deliver, checkpoints=(four,)), 'four: missing')
    assert beside[0]['paper: zero, all 25'] is None
    by_key = {row['there']: row['paper: zero, all 25'] for row in beside}
    assert by_key['camera'] == pytest.approx(0.158)


def test_rules_that_agree_share_a_row_and_a_column(on_deliver):
    def agreeing(score: Score) -> Score:
        whole = replace(score.whole, over_all=score.whole.over_present)
        return replace(score, whole=whole)

    ours = network('ours')
    missing = {s: {k: agreeing(v) for k, v in ours.missing[s].items()} for s in ours.missing}
    alike = replace(on_deliver, checkpoints=(replace(ours, missing=missing),), published=None)
    (row,) = rows(replace(alike, data=DriveData('data', (0, 1), (2, 2), 4)), 'combinations')
    assert row == {'network': 'ours', 'classes': 'all 2 = present', 'camera+depth': 0.8}
    assert [r['classes'] for r in rows(alike, 'mean over')][:2] == ['all 2 = present', 'all 25']
    assert rows(alike, 'ours: missing')[1] == {
        'there': 'camera',
        'zero, all 2 = present': 0.2,
        'drop, all 2 = present': 0.6,
    }
    # One cell that differs, of the samples by night, keeps both rows.
    assert [r['classes'] for r in rows(alike, 'Table IV')][:2] == ['all 2', 'present']


def test_noise(on_deliver):
    ours, *_, paper = rows(on_deliver, 'Table VIII')
    assert (ours['noise'], ours['none'], ours['camera']) == ('gaussian', 0.4, 0.25)
    assert (paper['noise'], paper['none'], paper['depth']) == ('uniform', 0.6408, 0.3858)


@pytest.mark.parametrize('evaluation', ['on_deliver', 'on_drives', 'on_a_vehicle'])
def test_every_caption_says_what_was_measured_and_how(evaluation, request):
    evaluation = request.getfixturevalue(evaluation)
    for each in Report(evaluation).tables():
        assert 'split val, 12 samples; input 1024 x 1024' in each.caption
        assert f'protocol {evaluation.protocol}, labels' in each.caption


def test_the_paper_is_named_wherever_it_stands(on_deliver):
    for each in Report(on_deliver).tables():
        cells = ' '.join(map(str, (*each.header, *(cell for row in each.rows for cell in row))))
        assert ('paper: ' in cells) == ('arXiv 2412.04220, DELIVER val' in each.caption)


def test_on_other_data_only_ablations_and_means_of_the_paper_remain(on_drives):
    with_paper = [each for each in Report(on_drives).tables() if 'paper: ' in each.text()]
    assert [each.title.split(':')[0] for each in with_paper] == [
        'Ablations (Table V)',
        'Missing modalities',
    ]
    assert all('DELIVER val, which are other data' in each.caption for each in with_paper)


def test_a_vehicle_sees_no_paper_and_one_rule(on_a_vehicle):
    text = Report(on_a_vehicle).text()
    assert 'paper' not in text
    assert 'zero' not in text
    assert 'all 2' not in text
    assert "at the data set's own size" in text
    by_condition = rows(on_a_vehicle, 'ours: conditions')
    assert [row['there'] for row in by_condition] == [*SUBSETS, 'samples']
    assert by_condition[1]['night'] == pytest.approx(0.5)


def test_several_networks_one_of_them_with_one_modality(on_deliver):
    checkpoints = (network('a'), network('b', modalities=('camera',)))
    titles = [each.title for each in Report(replace(on_deliver, checkpoints=checkpoints)).tables()]
    assert len(titles) == 8
    assert not any(title.startswith('b:') for title in titles)
    noise = rows(replace(on_deliver, checkpoints=checkpoints), 'Noise')
    assert [row['depth'] for row in noise if row['network'] == 'b'] == [None] * 4


def test_documents_are_whole(on_deliver):
    markdown = Report(on_deliver).markdown()
    assert markdown.startswith('# Evaluation\n\n## Modality combinations')
    assert markdown.count('\n## ') == len(Report(on_deliver).tables())
    assert markdown.endswith('|\n')
