from dataclasses import replace

from mle_sam.checkpoint import read_checkpoint
from mle_sam.cli import main
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.record import to_mapping
import pytest
import yaml


@pytest.fixture
def opened(dataset, monkeypatch):
    """Whatever is opened is the toy; returns what was asked for."""
    asked = []

    def open_toy(data, network, split):
        asked.append((data.root, network.modality_names, split))
        return dataset

    monkeypatch.setattr('mle_sam.datasets.opening.open_dataset', open_toy)
    return asked


@pytest.fixture
def command(recipe, tmp_path):
    stage = replace(recipe.experts, steps=2, validate_every=2)
    short = replace(recipe, trunk=replace(stage, validate_every=0), experts=stage)
    path = tmp_path / 'recipe.yaml'
    path.write_text(yaml.safe_dump(to_mapping(short)))
    return ['train', '--recipe', str(path), '--threads', '1', '--device', 'cpu']


def test_options_change_the_recipe(command, opened, tmp_path, capsys):
    trunk_run, run = tmp_path / 'trunk_run', tmp_path / 'run'
    assert main([*command, '--run-directory', str(trunk_run), '--stage', 'trunk']) == 0
    assert opened == [('nowhere', ('camera',), 'train')]
    assert capsys.readouterr().err.startswith('training on 8 samples\n')
    opened.clear()
    trunk = str(trunk_run / 'trunk.safetensors')
    part = ['--modalities', 'lidar', 'camera', '--pretrained', trunk, '--data', 'elsewhere']
    assert main([*command, '--run-directory', str(run), *part]) == 0
    asked = ('elsewhere', ('camera', 'lidar'))
    assert opened == [(*asked, 'train'), (*asked, 'val')]
    checkpoint = read_checkpoint(run / 'experts.safetensors')
    assert checkpoint.is_finished
    assert checkpoint.recipe.pretrained == trunk
    assert (run / 'experts.best.safetensors').exists()
    assert not (run / 'trunk.safetensors').exists()  # it has no trunk stage any more


@pytest.mark.parametrize(
    ('options', 'match'),
    [
        (['--modalities', 'radar'], 'among camera, event, lidar, got radar'),
        (['--pretrained', 'sam2.pt', '--stage', 'trunk'], 'stages experts, got trunk'),
        (['--pretrained', 'nowhere.pt'], 'nowhere.pt'),
    ],
)
def test_bad_options(command, opened, tmp_path, capsys, options, match):
    run = tmp_path / 'run'
    assert main([*command, '--run-directory', str(run), *options]) == 2
    error = capsys.readouterr().err
    assert match in error
    assert error.count('\n') == 1
    assert not run.exists()


@pytest.mark.parametrize('option', [['--threads', '0'], ['--workers', '-1'], ['--threads', 'x']])
def test_counts_are_numbers_that_can_be(command, opened, tmp_path, capsys, option):
    with pytest.raises(SystemExit) as refused:
        main([*command, '--run-directory', str(tmp_path / 'run'), *option])
    assert refused.value.code == 2
    assert f'argument {option[0]}: ' in capsys.readouterr().err


def test_a_run_directory_that_cannot_be_is_refused(command, opened, tmp_path, capsys):
    taken = tmp_path / 'taken'
    taken.write_text('')
    assert main([*command, '--run-directory', str(taken)]) == 2
    assert (
        f'{taken}: expected a file or directory that can be used, got' in capsys.readouterr().err
    )


def test_what_any_stage_needs_is_looked_for_before_the_first_one(
    command, dataset, monkeypatch, tmp_path
):
    def open_toy(data, network, split):
        if split == 'val':
            raise InputError('val: expected samples, got none; add some')
        return dataset

    monkeypatch.setattr('mle_sam.datasets.opening.open_dataset', open_toy)
    assert main([*command, '--run-directory', str(tmp_path / 'run')]) == 2
    assert not (tmp_path / 'run').exists()
