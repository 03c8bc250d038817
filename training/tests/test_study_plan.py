from dataclasses import replace
from pathlib import Path

from mle_sam.study.plan import plan, read_study, Study
from mle_sam_ros.core.errors import InputError
import pytest

COMPARISON = Path(__file__).parents[1] / 'recipes' / 'comparison' / 'study.yaml'
ROOT = Path('runs')


@pytest.fixture(scope='module')
def runs():
    return plan(*read_study(COMPARISON), ROOT)


def test_every_network_is_asked_every_question(runs):
    groups: dict[str, list[str]] = {}
    for run in runs:
        groups.setdefault(run.group, []).append(run.directory.name)
    names = ['mle_sam', 'sam_lora', 'cwsam', 'cmnext', 'ts_sam', 'ad_sam']
    once = [f'{name}_1' for name in names]
    assert groups['all'] == once + [f'{name}_2' for name in names]
    assert groups['day'] == groups['samples_100'] == groups['samples_1000'] == once
    assert groups['rate_0.0003'] == once
    assert groups['variant'] == ['ad_sam_own_loss_1', 'mle_sam_learning_trunk_1']
    assert groups['trunk'] == groups['trunk_day'] == ['mle_sam', 'sam_lora']
    assert len({run.directory for run in runs}) == len(runs)


def test_runs_differ_in_what_they_ask_and_in_nothing_else(runs):
    recipes = {(run.group, run.directory.name): run.recipe for run in runs}
    first, second = recipes['all', 'cwsam_1'], recipes['all', 'cwsam_2']
    assert second == replace(first, seed=2)
    fewer = replace(first, experts=replace(first.experts, samples=100))
    assert recipes['samples_100', 'cwsam_1'] == fewer
    slower = replace(first, experts=replace(first.experts, learning_rate=0.0003))
    assert recipes['rate_0.0003', 'cwsam_1'] == slower
    by_day = recipes['day', 'cwsam_1']
    assert by_day.data == replace(first.data, train_conditions=('day',))
    assert by_day.pretrained == 'runs/trunk_day/sam_lora/trunk.safetensors'


def test_networks_share_trunks_that_were_trained_before_them(runs):
    trained = set()
    for run in runs:
        if run.stage == 'experts' and run.recipe.pretrained:
            assert run.recipe.pretrained in trained
        trained.add(str(run.checkpoint))
    shared = 'runs/trunk/sam_lora/trunk.safetensors'
    starts = {run.network: run.recipe.pretrained for run in runs if run.group == 'all'}
    assert [starts[name] for name in ('sam_lora', 'cwsam', 'ts_sam', 'ad_sam')] == [shared] * 4
    assert starts['cmnext'] is None
    by_day = {run.recipe.data.train_conditions for run in runs if run.group == 'trunk_day'}
    assert by_day == {('day',)}  # or the networks on it would have seen the night


def test_the_comparison_is_fair():
    _, recipes = read_study(COMPARISON)
    networks = {recipe.name: recipe for recipe in recipes}
    steps = {
        name: sum(recipe.stage(stage).steps for stage in recipe.stages)
        for name, recipe in networks.items()
    }
    assert len(set(steps.values())) == 1
    assert all(recipe.data == recipes[0].data for recipe in recipes)
    assert len({recipe.network.input_hw for recipe in recipes}) == 1
    assert len({recipe.experts.batch for recipe in recipes}) == 1
    assert len({recipe.experts.keep_all for recipe in recipes}) == 1


def test_only_runs_with_all_data_are_scored_with_every_subset(runs):
    assert {run.group for run in runs if not run.is_brief} == {'all'}
    assert all((run.evaluation is None) == (run.stage == 'trunk') for run in runs)


def test_trunks_of_one_kind_must_be_alike():
    study, recipes = read_study(COMPARISON)
    other = recipes[2]
    recipes[2] = replace(other, trunk=replace(other.trunk, steps=1))
    with pytest.raises(InputError, match='recipe cwsam: expected the trunk of recipe sam_lora'):
        plan(study, recipes, ROOT)


@pytest.mark.parametrize('changes', [{'networks': ()}, {'seeds': (1, 1)}])
def test_a_study_without_networks_or_with_a_seed_twice(changes):
    (name,) = changes
    with pytest.raises(InputError, match=f'{name}: expected at least one, each once'):
        Study(**{'networks': ('a',), 'seeds': (1,), 'condition': 'day', 'samples': (), **changes})


def test_recipes_that_no_study_can_use(tmp_path):
    base = COMPARISON.parent / 'mle_sam.yaml'
    study = tmp_path / 'study.yaml'
    study.write_text('{networks: [a.yaml, b.yaml], seeds: [1], condition: day, samples: []}')
    for name in 'ab':
        (tmp_path / f'{name}.yaml').write_text(f'extends: {base}\n')
    with pytest.raises(InputError, match='expected recipes of different names'):
        read_study(study)
    deliver = COMPARISON.parents[1] / 'deliver_tiny.yaml'
    (tmp_path / 'b.yaml').write_text(f'extends: {deliver}\n')
    with pytest.raises(InputError, match=r'b\.yaml: expected data of kind drives, got deliver'):
        read_study(study)
    study.write_text('{networks: [a.yaml]}')
    with pytest.raises(InputError, match=r'study\.yaml: expected the keys'):
        read_study(study)
