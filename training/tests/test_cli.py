from dataclasses import replace
import json
from types import SimpleNamespace

from mle_sam.cli import main
from mle_sam.datasets.shards import write_shard
from mle_sam.datasets.simulated import seed_path
from mle_sam.export.onnx_graphs import GraphOptions
from mle_sam_ros.core.record import to_mapping
import pytest
import yaml


@pytest.fixture
def data(dataset, network, tmp_path):
    """Samples of the toy as `prepare` would leave them, under seeds 0 to 2."""
    for seed in range(3):
        samples = [dataset[4 * (seed % 2) + moment] for moment in range(4)]
        write_shard(seed_path(tmp_path / 'data', seed), samples, network)
    return tmp_path / 'data'


@pytest.fixture
def recipe_file(recipe, tmp_path):
    path = tmp_path / 'recipe.yaml'
    stage = replace(recipe.trunk, steps=2)
    short = replace(recipe, trunk=stage, experts=stage)
    path.write_text(yaml.safe_dump(to_mapping(short)))
    return path


def test_train_evaluate_and_hand_the_accuracy_on(recipe_file, data, tmp_path, capsys, monkeypatch):
    run, out = tmp_path / 'run', tmp_path / 'scores'
    common = ['--data', str(data)]
    alone = [*common, '--threads', '1']
    assert main(['train', '--recipe', str(recipe_file), '--run-directory', str(run), *alone]) == 0
    checkpoint = ['--checkpoint', str(run / 'experts.safetensors')]
    assert main(['evaluate', *checkpoint, '--out', str(out), *alone]) == 0
    assert capsys.readouterr().out.startswith('Modality combinations')
    assert sorted(path.name for path in out.iterdir()) == ['evaluation.json', 'evaluation.md']

    exported = []  # test_export.py looks at bundles; here it is what they are given
    monkeypatch.setattr(
        'mle_sam.export.bundle.export_bundle',
        lambda *given: exported.append(given) or SimpleNamespace(directory=given[3]),
    )
    accuracy = ['--accuracy', str(out / 'evaluation.json')]
    graphs = ['--precision', 'fp16', '--attention', 'bf16', '--opset', '23', '--stacked']
    assert main(['export', *checkpoint, *accuracy, '--out', 'bundle', *graphs, *common]) == 0
    _, rasters, accuracy, *_, options = exported[0]
    assert options == GraphOptions(('fp16',), 'bf16', 23, True)
    assert options.all_precisions == ('fp32', 'fp16')
    assert rasters.keys() == {'camera', 'event', 'lidar'}
    measured = json.loads((out / 'evaluation.json').read_text())['checkpoints'][0]['missing']
    assert accuracy['subsets'].keys() == measured['drop'].keys()
    for key, score in accuracy['subsets'].items():
        over_present = measured['drop'][key]['whole']['over_present']
        assert score['miou'] == pytest.approx(over_present, abs=1e-4)


def test_the_papers_protocol_by_hand(recipe_file, data, tmp_path, capsys):
    run, common = tmp_path / 'run', ['--data', str(data), '--threads', '1']
    train = ['train', '--recipe', str(recipe_file), '--run-directory', str(run)]
    assert main([*train, '--stage', 'trunk', *common]) == 0
    capsys.readouterr()
    checkpoint = ['--checkpoint', str(run / 'trunk.safetensors')]
    assert main(['evaluate', *checkpoint, '--protocol', 'paper', '--every', '2', *common]) == 0
    printed = ' '.join(capsys.readouterr().out.split())  # captions are wrapped
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
    assert main([*command, '--data', str(data), '--stage', 'trunk', '--threads', '1']) == 0
    out = tmp_path / 'bundle'
    export = ['export', '--checkpoint', str(run / 'trunk.safetensors'), '--out', str(out)]
    assert main([*export, '--data', str(data)]) == 2
    assert 'train the experts' in capsys.readouterr().err
    assert not out.exists()
