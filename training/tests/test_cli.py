from dataclasses import replace
import json

from mle_sam.cli import main
from mle_sam_ros.core.record import to_mapping
import numpy as np
import pytest
import yaml


@pytest.fixture
def data(dataset, tmp_path):
    """The toy's samples as three shards that `prepare` would leave, under seeds 0 to 2."""
    for seed in range(3):
        samples = [dataset[4 * (seed % 2) + index] for index in range(4)]
        directory = tmp_path / 'data' / f'seed_{seed:05d}'
        directory.mkdir(parents=True)
        for name in samples[0].rasters:
            np.save(directory / f'{name}.npy', np.stack([s.rasters[name] for s in samples]))
        np.save(directory / 'labels.npy', np.stack([s.labels for s in samples]))
        kinds = {
            'conditions': [s.condition for s in samples],
            'failures': [s.failure for s in samples],
        }
        (directory / 'moments.json').write_text(json.dumps(kinds))
    return tmp_path / 'data'


@pytest.fixture
def recipe_file(recipe, tmp_path):
    path = tmp_path / 'recipe.yaml'
    stage = replace(recipe.trunk, steps=2)
    short = replace(recipe, trunk=stage, experts=stage)
    path.write_text(yaml.safe_dump(to_mapping(short)))
    return path


def test_train_evaluate_and_export_with_the_accuracy(recipe_file, data, tmp_path, capsys):
    run, out, bundle = tmp_path / 'run', tmp_path / 'scores', tmp_path / 'bundle'
    common = ['--data', str(data)]
    assert main(['train', '--recipe', str(recipe_file), '--run-directory', str(run), *common]) == 0
    checkpoint = ['--checkpoint', str(run / 'experts.safetensors')]
    assert main(['evaluate', *checkpoint, '--out', str(out), *common]) == 0
    assert capsys.readouterr().out.startswith('Modality combinations')
    assert sorted(path.name for path in out.iterdir()) == ['evaluation.json', 'evaluation.md']
    accuracy = ['--accuracy', str(out / 'evaluation.json')]
    assert main(['export', *checkpoint, *accuracy, '--out', str(bundle), *common]) == 0
    manifest = json.loads((bundle / 'manifest.json').read_text())
    evaluation = json.loads((out / 'evaluation.json').read_text())
    measured = evaluation['checkpoints'][0]['missing']['drop']
    assert manifest['accuracy']['subsets'].keys() == measured.keys()
    for key, score in manifest['accuracy']['subsets'].items():
        assert score['miou'] == pytest.approx(measured[key]['whole']['over_present'], abs=1e-4)


def test_the_papers_protocol_by_hand(recipe_file, data, tmp_path, capsys):
    run, common = tmp_path / 'run', ['--data', str(data)]
    train = ['train', '--recipe', str(recipe_file), '--run-directory', str(run)]
    assert main([*train, '--stage', 'trunk', *common]) == 0
    capsys.readouterr()
    checkpoint = ['--checkpoint', str(run / 'trunk.safetensors')]
    assert main(['evaluate', *checkpoint, '--protocol', 'paper', '--every', '2', *common]) == 0
    printed = capsys.readouterr().out
    assert 'split val, 2 samples, 1 in 2 of the split; input 64 x 128; protocol paper' in printed


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
