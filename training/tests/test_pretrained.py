from dataclasses import replace
from pathlib import Path
import pickle

from mle_sam.checkpoint import Checkpoint, save_checkpoint
from mle_sam.config import plain_network
from mle_sam.models.mle_sam import MleSam
from mle_sam.pretrained import load_pretrained, start_from
from mle_sam.pretrained_names import Sam2Names
from mle_sam.verify import build_official
from mle_sam_ros.core.errors import InputError
import pytest
import torch

MASK_TOKENS = 'sam_mask_decoder.mask_tokens.weight'
HYPERNETWORKS = 'sam_mask_decoder.output_hypernetworks_mlps.'
IOU_ROWS = 'sam_mask_decoder.iou_prediction_head.layers.2.'


def official_state(version: str) -> dict[str, torch.Tensor]:
    """The state of `sam2`'s own model, as the published files hold it, with random weights."""
    torch.manual_seed(5)
    state = build_official('tiny', version).state_dict()
    return {name: value + 0.01 * torch.randn_like(value) for name, value in state.items()}


@pytest.fixture(scope='module')
def official() -> dict[str, torch.Tensor]:
    return official_state('sam2.1')


@pytest.fixture(scope='module')
def tiny():
    return plain_network('tiny', ('camera', 'lidar'), 6, (64, 64))


@pytest.fixture
def file(official, tmp_path) -> Path:
    path = tmp_path / 'sam2_hiera_tiny.pt'
    torch.save({'model': official}, path)
    return path


@pytest.mark.parametrize('version', ['sam2', 'sam2.1'])
def test_every_tensor_has_one_fate(tiny, version, tmp_path):
    official, file, model = official_state(version), tmp_path / 'sam2.pt', MleSam(tiny)
    torch.save({'model': official}, file)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    report = load_pretrained(model, file)
    after = model.state_dict()
    assert sorted(report.taken + report.adapted + report.new) == sorted(after)
    assert report.looks_like == 'SAM 2 tiny'
    for name in report.taken:
        assert torch.equal(after[name], official[name]), name
    for name in report.new:
        assert torch.equal(after[name], before[name]), name
        assert name.startswith(('fusion.', 'auxiliary_head.')) or '.experts.' in name
    assert not set(report.left) & set(after)
    assert set(report.taken) | set(report.left) >= official.keys() - {
        MASK_TOKENS,
        f'{IOU_ROWS}weight',
        f'{IOU_ROWS}bias',
    }


def test_what_the_encoder_and_the_transformer_need_is_taken(tiny, file):
    report = load_pretrained(MleSam(tiny), file)
    fixed = ('image_encoder.', 'sam_prompt_encoder.', 'sam_mask_decoder.transformer')
    expected = {n for n in MleSam(tiny).state_dict() if n.startswith(fixed) and 'experts' not in n}
    assert expected <= set(report.taken)


def test_masks_cycle_through_the_four_pretrained_ones(tiny, official, file):
    model = MleSam(tiny)
    load_pretrained(model, file)
    state, tokens = model.state_dict(), official[MASK_TOKENS]
    for mask in range(7):
        for layer in ('layers.0.weight', 'layers.2.bias'):
            assert torch.equal(
                state[f'{HYPERNETWORKS}{mask}.{layer}'],
                official[f'{HYPERNETWORKS}{mask % 4}.{layer}'],
            )
        assert torch.equal(
            state[f'{IOU_ROWS}weight'][mask], official[f'{IOU_ROWS}weight'][mask % 4]
        )
        difference = (state[MASK_TOKENS][mask] - tokens[mask % 4]).abs().max()
        assert (difference == 0) if mask < 4 else (0 < difference < 0.1 * tokens.std())
    again = MleSam(tiny)
    load_pretrained(again, file)
    assert torch.equal(again.state_dict()[MASK_TOKENS], state[MASK_TOKENS])


def test_with_as_many_masks_as_sam2_nothing_is_adapted(official):
    report = start_from(MleSam(plain_network('tiny', ('camera',), 3, (64, 64))), official)
    assert report.adapted == []
    fewer = start_from(MleSam(plain_network('tiny', ('camera',), 1, (64, 64))), official)
    assert f'{HYPERNETWORKS}2.layers.0.bias' in fewer.left


def test_memory_embedding_is_taken_where_it_is_configured(tiny, official):
    assert 'no_mem_embed' in start_from(MleSam(tiny), official).left
    model = MleSam(replace(tiny, no_memory_embedding=True))
    assert 'no_mem_embed' in start_from(model, official).taken
    assert torch.equal(model.no_mem_embed, official['no_mem_embed'])


def test_input_adapters_start_as_the_patch_embedding(tiny, official):
    model = MleSam(replace(tiny, input_adapters=True))
    report = start_from(model, official)
    for name in ('camera', 'lidar'):
        adapter = f'image_encoder.input_adapters.{name}.proj.weight'
        assert adapter in report.adapted
        expected = official['image_encoder.trunk.patch_embed.proj.weight']
        assert torch.equal(model.state_dict()[adapter], expected)


def test_report_is_readable(tiny, file):
    lines = str(load_pretrained(MleSam(tiny), file)).splitlines()
    assert lines[0] == f'{file}: SAM 2 tiny'
    assert [line.split()[0] for line in lines[1:]] == ['taken', 'adapted', 'left', 'new']
    assert 'image_encoder.trunk (154)' in lines[1]
    assert 'memory_attention.layers (104)' in lines[3]


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            lambda w: w.pop('image_encoder.neck.convs.0.conv.bias'),
            r'convs\.0\.conv\.bias is missing',
        ),
        (lambda w: w.pop(MASK_TOKENS), 'mask_tokens.weight is missing'),
        (lambda w: w.update(surprise=torch.zeros(2)), 'surprise is unknown'),
        (
            lambda w: w.update({'sam_prompt_encoder.no_mask_embed.weight': torch.zeros(1, 9)}),
            r'no_mask_embed\.weight is \(1, 9\), not \(1, 256\)',
        ),
    ],
)
def test_any_other_mismatch_is_an_error_and_changes_nothing(tiny, official, change, message):
    weights, model = dict(official), MleSam(tiny)
    change(weights)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(InputError, match=message):
        start_from(model, weights)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_another_size_is_named(official):
    small = MleSam(plain_network('small', ('camera',), 6, (64, 64)))
    with pytest.raises(InputError, match='expected the weights of SAM 2 small, got SAM 2 tiny'):
        start_from(small, official)
    assert 'unknown size (0 channels, 0 blocks)' in Sam2Names().recognise({})


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (None, r'No such file'),
        (b'', 'damaged'),
        (b'hello, this is no checkpoint', 'damaged'),
        (pickle.dumps({'model': Path('x')}, protocol=2), 'other objects'),
    ],
)
def test_a_file_that_is_no_checkpoint(tiny, tmp_path, content, message):
    path = tmp_path / 'sam2.pt'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf'sam2\.pt: expected a checkpoint of SAM.*{message}'):
        load_pretrained(MleSam(tiny), path)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ({'model': {'weight': Path('x')}}, 'other objects'),
        ({'weight': torch.zeros(1)}, 'got SAM 2 of an unknown size'),
        ({'model': {'weight': 3}}, 'got model; choose'),
        ({'model': {}}, 'got model; choose'),
        (torch.zeros(1), 'got Tensor; choose'),
    ],
)
def test_a_torch_file_of_something_else(tiny, tmp_path, content, message):
    path = tmp_path / 'sam2.pt'
    torch.save(content, path)
    with pytest.raises(InputError, match=message):
        load_pretrained(MleSam(tiny), path)


def test_a_cut_file(tiny, file):
    file.write_bytes(file.read_bytes()[:100_000])
    with pytest.raises(InputError, match='damaged'):
        load_pretrained(MleSam(tiny), file)


@pytest.fixture
def trunk(recipe) -> MleSam:
    return MleSam(recipe.network_of('trunk'))


def test_a_trunk_of_ours(recipe, trunk, tmp_path):
    path = tmp_path / 'trunk.safetensors'
    save_checkpoint(Checkpoint(recipe, 'trunk', 6, trunk.state_dict(), {}, num_steps=6), path)
    model = MleSam(recipe.network)
    report = load_pretrained(model, path)
    state = model.state_dict()
    for name, value in trunk.state_dict().items():
        if name.startswith('fusion.'):  # its inputs are as many as the modalities
            assert name in report.left
        else:
            assert name in report.taken
            assert torch.equal(state[name], value), name
    assert all('.experts.' in name or name.startswith('fusion.') for name in report.new)
    assert all('.input_adapters.' in name for name in report.adapted)


def test_a_head_that_the_new_network_lacks_is_left(recipe, trunk):
    model = MleSam(replace(recipe.network, auxiliary_head=False, combination='average'))
    report = start_from(model, trunk.state_dict())
    assert 'auxiliary_head.fuse.weight' in report.left
    assert not any(name.startswith('auxiliary_head.') for name in report.new)


@pytest.mark.parametrize(('stage', 'step'), [('trunk', 5), ('experts', 6)])
def test_an_unfinished_trunk_and_experts_are_refused(recipe, tmp_path, stage, step):
    path, state = tmp_path / 'run.safetensors', MleSam(recipe.network_of(stage)).state_dict()
    save_checkpoint(Checkpoint(recipe, stage, step, state, {}, num_steps=6), path)
    with pytest.raises(InputError, match=f'expected a finished trunk, got step {step} of 6'):
        load_pretrained(MleSam(recipe.network), path)
