from dataclasses import replace
import json

from mle_sam.cli import main
from mle_sam_ros.core.record import to_mapping
import numpy as np
import pytest
import yaml


@pytest.fixture
def data(shards, tmp_path):
    """The toy shards as `prepare` would leave them, under seeds 0 to 2."""
    for seed in range(3):
        shard = shards[seed % 2]
        directory = tmp_path / 'data' / f'seed_{seed:05d}'
        directory.mkdir(parents=True)
        for name, stack in {**shard.rasters, 'labels': shard.labels}.items():
            np.save(directory / f'{name}.npy', stack)
        kinds = {'conditions': shard.conditions, 'failures': shard.failures}
        (directory / 'moments.json').write_text(json.dumps(kinds))
    return tmp_path / 'data'


@pytest.fixture
def recipe_file(recipe, tmp_path):
    path = tmp_path / 'recipe.yaml'
    stage = replace(recipe.trunk, steps=2)
    short = replace(recipe, trunk=stage, experts=stage)
    path.write_text(yaml.safe_dump(to_mapping(short)))
    return path


def test_train_then_evaluate(recipe_file, data, tmp_path, capsys):
    run = tmp_path / 'run'
    common = ['--data', str(data)]
    assert main(['train', '--recipe', str(recipe_file), '--run-directory', str(run), *common]) == 0
    checkpoint, out = run / 'experts.safetensors', tmp_path / 'accuracy.json'
    command = ['evaluate', '--checkpoint', str(checkpoint), '--out', str(out), *common]
    assert main(command) == 0
    assert capsys.readouterr().out.startswith('present')
    assert len(json.loads(out.read_text())['subsets']) == 7


@pytest.mark.parametrize(
    'command',
    [
        ['train', '--recipe', 'nowhere.yaml', '--run-directory', 'run'],
        ['prepare', '--recipe', 'nowhere.yaml'],
        ['evaluate', '--checkpoint', 'nowhere.safetensors'],
        ['export', '--checkpoint', 'nowhere.safetensors', '--out', 'bundle'],
    ],
)
def test_bad_input_is_one_line_and_code_2(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(command) == 2
    error = capsys.readouterr().err
    assert error.startswith('mle-sam-training: nowhere.')
    assert error.count('\n') == 1
    assert list(tmp_path.iterdir()) == []


def test_a_trunk_is_not_exported(recipe_file, data, tmp_path, capsys):
    run = tmp_path / 'run'
    command = ['train', '--recipe', str(recipe_file), '--run-directory', str(run)]
    assert main([*command, '--data', str(data), '--stage', 'trunk']) == 0
    out = tmp_path / 'bundle'
    export = ['export', '--checkpoint', str(run / 'trunk.safetensors'), '--out', str(out)]
    assert main([*export, '--data', str(data)]) == 2
    assert 'train the experts' in capsys.readouterr().err
    assert not out.exists()
