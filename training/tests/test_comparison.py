from dataclasses import replace

from mle_sam import comparison
from mle_sam.accuracy import read_accuracy
from mle_sam.checkpoint import Checkpoint, save_checkpoint
from mle_sam.comparison import compare
from mle_sam.datasets.config import DeliverData
from mle_sam.evaluate import evaluate, Rules
from mle_sam.models.mle_sam import MleSam
from mle_sam.protocol import PROTOCOLS
from mle_sam.scores import read_evaluation, write_evaluation
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.record import to_mapping
from mle_sam_ros.runtime.bundle import sha256_of
import pytest
import torch
from toy import ToyDataset

CPU = torch.device('cpu')
PAPER, VEHICLE = Rules(PROTOCOLS['paper']), Rules(PROTOCOLS['vehicle'])


@pytest.fixture
def opened(monkeypatch):
    """The toy stands for every data set; what was asked for is noted."""
    asked = []

    def open_dataset(data, network, split):
        asked.append((data, network.modality_names, split))
        return ToyDataset(2)

    monkeypatch.setattr(comparison, 'open_dataset', open_dataset)
    return asked


@pytest.fixture
def save(recipe, tmp_path):
    def save_variant(name, stage='experts', **changes):
        changed = replace(recipe, name=name, **changes)
        model = MleSam(changed.network_of(stage))
        path = tmp_path / name / f'{stage}.safetensors'
        save_checkpoint(Checkpoint(changed, stage, 3, model.state_dict(), {}), path)
        return path

    return save_variant


def test_checkpoints_are_scored_on_the_same_samples(
    save, opened, recipe, network, tmp_path, capsys
):
    whole = save('whole')
    fewer = save('fewer', network=replace(network, modalities=network.modalities[:2]))
    root = tmp_path / 'elsewhere'
    evaluation = compare([whole, fewer], root, 'test', PAPER, CPU)
    assert capsys.readouterr().err.startswith('scoring on 2 samples\n')
    data = replace(recipe.data, root=str(root))
    names = ('camera', 'event', 'lidar')
    assert opened == [(data, names, 'test'), (data, names[:2], 'test')]
    assert (evaluation.data, evaluation.split, evaluation.samples) == (data, 'test', 2)
    assert (evaluation.input_hw, evaluation.published) == ((64, 128), None)
    first, second = evaluation.checkpoints
    assert (first.name, first.modalities, second.modalities) == ('whole', names, names[:2])
    assert (first.path, first.sha256) == (str(whole), sha256_of(whole))
    assert (first.stage, first.step) == ('experts', 3)
    assert first.recipe == to_mapping(replace(recipe, name='whole', data=data))
    assert [len(first.missing['zero']), len(second.missing['drop'])] == [7, 3]
    assert list(second.noise['uniform']) == ['camera', 'event']


def test_scores_are_those_of_the_checkpoint(save, opened):
    path = save('nano')
    evaluation = compare([path], None, 'val', VEHICLE, CPU)
    model = comparison.load_model(comparison.read_checkpoint(path))
    scores = evaluate(model, ToyDataset(2), VEHICLE, CPU)
    assert evaluation.checkpoints[0].missing == {'drop': scores['drop']}
    model.set_trainable('experts')
    learning = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert evaluation.checkpoints[0].trainable == learning


def test_a_trunk_is_scored_with_its_camera(save, opened):
    evaluation = compare([save('nano', stage='trunk')], None, 'val', VEHICLE, CPU)
    assert list(evaluation.checkpoints[0].missing['drop']) == ['camera']


def test_the_paper_is_beside_its_own_data_and_protocol_only(save, opened):
    path = save('deliver', data=DeliverData('x'))
    assert compare([path], None, 'val', PAPER, CPU).published.name == 'DELIVER'
    assert compare([path], None, 'val', VEHICLE, CPU).published is None


def test_equal_names_give_way_to_paths(save, opened, tmp_path):
    paths = [save('nano'), tmp_path / 'copy.safetensors']
    paths[1].write_bytes(paths[0].read_bytes())
    evaluation = compare(paths, None, 'val', VEHICLE, CPU)
    assert [each.name for each in evaluation.checkpoints] == [str(path) for path in paths]


def test_what_cannot_be_compared_is_named(save, opened, recipe, network):
    path = save('nano')
    others = {
        'classes': save('classes', network=replace(network, classes=network.classes[:2])),
        'input_hw': save('size', network=replace(network, input_hw=(128, 128))),
        'data': save('data', data=replace(recipe.data, validation_seeds=(9, 9))),
    }
    for field, other in others.items():
        with pytest.raises(InputError, match=f'{other}: expected {field} .* as {path} has, got'):
            compare([path, other], None, 'val', VEHICLE, CPU)
    with pytest.raises(InputError, match='expected each once'):
        compare([path, path], None, 'val', VEHICLE, CPU)
    assert not opened  # before anything was computed


def test_a_checkpoint_that_is_none(tmp_path, opened):
    with pytest.raises(InputError, match=r'nowhere\.safetensors: expected a checkpoint'):
        compare([tmp_path / 'nowhere.safetensors'], None, 'val', VEHICLE, CPU)


def test_accuracy_for_the_manifest(save, opened, tmp_path):
    path, other = save('nano'), save('other')
    out = tmp_path / 'evaluation.json'
    write_evaluation(compare([other, path], None, 'val', VEHICLE, CPU), out)
    accuracy = read_accuracy(out, path)
    assert (
        accuracy['data']
        == "drives of seeds 2 to 2, split val, at the size of the data set's labels"
    )
    assert next(iter(accuracy['subsets'])) == 'camera+event+lidar'
    assert len(accuracy['subsets']) == 7
    mine = read_evaluation(out).checkpoints[1].missing['drop']['camera+lidar']
    compact = accuracy['subsets']['camera+lidar']
    assert compact['miou'] == pytest.approx(mine.whole.over_present, abs=1e-4)
    assert compact['moments'] == 2
    assert list(compact['iou']) == ['road', 'building', 'sky']
    assert set(compact['by']) == {'day', 'night'}


def test_accuracy_of_another_checkpoint_or_protocol_is_refused(save, opened, tmp_path):
    path = save('nano')
    out = tmp_path / 'evaluation.json'
    write_evaluation(compare([path], None, 'val', PAPER, CPU), out)
    with pytest.raises(InputError, match='expected an evaluation of the protocol vehicle'):
        read_accuracy(out, path)
    write_evaluation(compare([path], None, 'val', VEHICLE, CPU), out)
    save('nano')  # trained again
    with pytest.raises(InputError, match=f'expected scores of {path} as it is now'):
        read_accuracy(out, path)
    with pytest.raises(InputError, match=r'nowhere\.json: expected the evaluation\.json'):
        read_accuracy(tmp_path / 'nowhere.json', path)
