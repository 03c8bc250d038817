"""The commands for a network that takes the camera alone."""

from dataclasses import replace
import json
from types import SimpleNamespace

from mle_sam.checkpoint import Checkpoint, save_checkpoint
from mle_sam.cli import main
from mle_sam.datasets.shards import write_shard
from mle_sam.datasets.simulated import seed_path
from mle_sam.models.build import build_network
from mle_sam.vit_config import TsSamConfig
import pytest
from toy import HW, ToyDataset


@pytest.fixture
def config(network) -> TsSamConfig:
    camera = network.modalities[:1]
    return TsSamConfig(HW, camera, network.classes, size='nano', side_width=16, refined_width=8)


@pytest.fixture
def data(config, tmp_path):
    dataset = ToyDataset(lacking=('event', 'lidar'))
    for seed in range(3):
        samples = [dataset[4 * (seed % 2) + moment] for moment in range(4)]
        write_shard(seed_path(tmp_path / 'data', seed), samples, config)
    return tmp_path / 'data'


@pytest.fixture
def checkpoint(config, recipe, tmp_path):
    path, model = tmp_path / 'experts.safetensors', build_network(config)
    of_camera = replace(recipe, name='camera', network=config)
    save_checkpoint(Checkpoint(of_camera, 'experts', 1, model.state_dict(), {}, 1), path)
    return path


def test_evaluate_and_hand_the_accuracy_on(checkpoint, data, tmp_path, capsys, monkeypatch):
    out, common = tmp_path / 'scores', ['--data', str(data)]
    command = ['evaluate', '--checkpoint', str(checkpoint), '--out', str(out), '--threads', '1']
    assert main([*command, *common]) == 0
    printed = capsys.readouterr().out
    assert 'event' not in printed
    (scored,) = json.loads((out / 'evaluation.json').read_text())['checkpoints']
    assert scored['modalities'] == ['camera']
    (subset,) = scored['missing']['drop'].items()
    assert subset[0] == 'camera'
    assert {kind: list(scores) for kind, scores in scored['noise'].items()} == {
        'gaussian': ['camera'],
        'uniform': ['camera'],
    }
    assert 'day' in subset[1]['conditions']

    exported = []  # test_kinds_export.py looks at bundles
    monkeypatch.setattr(
        'mle_sam.export.bundle.export_bundle',
        lambda *given: exported.append(given) or SimpleNamespace(directory=given[3]),
    )
    command = ['export', '--checkpoint', str(checkpoint), '--out', str(tmp_path / 'bundle')]
    assert main([*command, '--accuracy', str(out / 'evaluation.json'), *common]) == 0
    _, rasters, accuracy, *_ = exported[0]
    assert list(rasters) == list(accuracy['subsets']) == ['camera']


def test_the_papers_protocol(checkpoint, data, tmp_path, capsys):
    """Without its one sensor nothing is there: zeroed it is never, so that both ways agree."""
    out = tmp_path / 'scores'
    command = ['evaluate', '--checkpoint', str(checkpoint), '--out', str(out), '--threads', '1']
    assert main([*command, '--protocol', 'paper', '--data', str(data)]) == 0
    (scored,) = json.loads((out / 'evaluation.json').read_text())['checkpoints']
    assert scored['missing']['zero'] == scored['missing']['drop']
    assert capsys.readouterr().out.startswith('Modality combinations')
