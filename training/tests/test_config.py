from dataclasses import replace

from mle_sam.config import plain_network, SIZES
from mle_sam.encoder import MultiModalEncoder
from mle_sam.verify import LETTERS, official_configuration
from mle_sam_ros.core.errors import InputError
import pytest
from sam2.modeling.backbones.hieradet import Hiera
import yaml


def image_encoder(size: str, version: str) -> dict:
    """What the packaged configuration says; what it does not say is its classes' default."""
    mapping = yaml.safe_load(official_configuration(size, version).read_text())
    return mapping['model']['image_encoder']


@pytest.mark.parametrize('size', LETTERS)
def test_sizes_are_those_of_the_packaged_configurations(size):
    encoder = image_encoder(size, 'sam2.1')
    assert image_encoder(size, 'sam2') == encoder
    assert encoder['scalp'] == 1  # of four maps the coarsest is not kept: the first three are ours
    trunk, neck = encoder['trunk'], encoder['neck']
    assert trunk.pop('_target_') == f'{Hiera.__module__}.Hiera'
    theirs, width = Hiera(**trunk), SIZES[size]
    network = plain_network(size, ('camera',), 3, (64, 64))
    ours = MultiModalEncoder(replace(network, lora_rank=0))

    assert tuple(theirs.window_spec) == width.window_spec
    assert tuple(theirs.global_att_blocks) == width.global_blocks
    assert theirs.stage_ends == ours.trunk.stage_ends
    for name in ('pos_embed', 'pos_embed_window'):
        assert getattr(theirs, name).shape == getattr(ours.trunk, name).shape
    for their_block, our_block in zip(theirs.blocks, ours.trunk.blocks, strict=True):
        for field in ('window_size', 'q_stride', 'dim', 'dim_out'):
            assert getattr(their_block, field) == getattr(our_block, field)
        assert their_block.attn.num_heads == our_block.attn.num_heads
    assert neck['d_model'] == ours.neck.d_model == width.d_model
    for field in ('fpn_top_down_levels', 'fpn_interp_model', 'backbone_channel_list'):
        assert getattr(ours.neck, field) == neck[field]


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'size': 'huge'}, 'network.size: expected one of nano, tiny, small, base_plus, large'),
        (
            {'input_hw': (100, 128)},
            r'network.input_hw: expected multiples of 32, got \(100, 128\)',
        ),
        ({'modalities': ()}, 'network.modalities: expected at least one modality'),
        ({'classes': ()}, 'network.classes: expected 1 to 255 classes, got 0'),
        ({'lora_rank': -1}, 'network.lora_rank: expected a rank of 0 or more, got -1'),
        ({'lora_width': 'wide'}, 'network.lora_width: expected input or output, got wide'),
        ({'router_k': 0}, 'network.router_k: expected at least 1, got 0'),
        ({'router_input': 'none'}, 'network.router_input: expected all or own, got none'),
        ({'router_hidden': -4}, 'network.router_hidden: expected a width of 0 or more, got -4'),
        ({'combination': 'max'}, 'network.combination: expected one of mean, sum, average, weigh'),
        ({'not_a_point_tokens': -1}, 'network.not_a_point_tokens: expected 0 or more'),
        ({'auxiliary_width': 0}, 'network.auxiliary_width: expected a width of 1 or more'),
        ({'auxiliary_dropout': 1.0}, 'network.auxiliary_dropout: expected from 0 to below 1'),
    ],
)
def test_impossible_networks(network, change, message):
    with pytest.raises(InputError, match=message):
        replace(network, **change)


def test_two_modalities_of_one_name():
    with pytest.raises(InputError, match=r"each named once, got \('camera', 'camera'\)"):
        plain_network('nano', ('camera', 'camera'), 3, (64, 64))


@pytest.mark.parametrize(
    ('modalities', 'k', 'renormalise', 'expected'),
    [
        (('camera',), 2, False, True),
        (('camera', 'lidar'), 1, True, True),
        (('camera', 'lidar'), 1, False, False),
        (('camera', 'lidar'), 2, True, False),
    ],
)
def test_when_the_router_cannot_learn(modalities, k, renormalise, expected):
    network = plain_network('nano', modalities, 3, (64, 64))
    network = replace(network, router_k=k, router_renormalise=renormalise)
    assert network.router_is_constant is expected
