from dataclasses import replace
import json
from pathlib import Path

from mle_sam.cli import main
from mle_sam.config import MleSamConfig, plain_network
from mle_sam.describe import (
    count_gflop,
    count_parameters,
    describe,
    KINDS,
    OF_ONE_SENSOR,
    plain_config,
)
from mle_sam.models.build import build_network
from mle_sam.models.mle_sam import MleSam
from mle_sam.vit_config import VIT_SIZES
import pytest

PAPER = ('camera', 'depth', 'event', 'lidar')


@pytest.fixture(scope='module')
def description() -> dict:
    return describe(plain_network('base_plus', PAPER, 25, (1024, 1024)))


def test_trainable_parameters_on_deliver(description):
    parameters = description['parameters']
    assert parameters['trainable'] == 9_004_307 + 5_644
    assert parameters['by_part']['router']['trainable'] == 5_644
    assert (
        parameters['trainable'] - parameters['by_part']['iou_head']['total'] - 5_644 == 8_866_041
    )


@pytest.mark.parametrize(
    ('modalities', 'num_classes', 'without_router'),
    [
        (('camera', 'event', 'lidar'), 19, 6_886_279),  # MUSES
        (('camera', 'aolp', 'dolp', 'nir'), 20, 8_302_537),  # MCubeS
    ],
)
def test_trainable_parameters_on_the_other_data_sets(modalities, num_classes, without_router):
    network = plain_network('base_plus', modalities, num_classes, (1024, 1024))
    parameters, count = count_parameters(network), len(modalities)
    router = sum(count * channels * count + count for channels in (32, 64, 256))
    assert parameters['by_part']['router']['trainable'] == router
    assert parameters['trainable'] == without_router + router
    assert parameters['by_modality'] == dict.fromkeys(modalities, 1_275_904)


def test_what_the_paper_counts(description):
    accounting = description['paper_accounting']
    assert accounting['per_modality'] == 5_154_970
    assert accounting['all_modalities'] / 1e6 == pytest.approx(20.62, abs=0.005)
    assert accounting['with_auxiliary_head'] / 1e6 == pytest.approx(20.64, abs=0.005)


def test_work_of_the_paper_s_network(description):
    """Known from elsewhere: 528 GFLOP of layers, 117 of attention, 1.94 TFLOP for three."""
    gflop = description['gflop']
    assert gflop['image_encoder']['layers'] == pytest.approx(528, abs=0.5)
    assert gflop['image_encoder']['attention'] == pytest.approx(117, abs=0.5)
    assert gflop['image_encoder']['total'] == pytest.approx(645, abs=0.5)
    assert gflop['image_encoders_of_all_modalities'] == pytest.approx(4 / 3 * 1_935, abs=1)
    assert gflop['total'] == pytest.approx(
        4 * (gflop['image_encoder']['total'] + gflop['conv_s']) + gflop['fuse_decode'], abs=0.01
    )


@pytest.mark.parametrize(
    ('size', 'lora'), [('tiny', 516_096), ('small', 712_704), ('large', 3_373_056)]
)
def test_experts_of_the_other_sizes(size, lora):
    parameters = count_parameters(plain_network(size, ('camera',), 25, (1024, 1024)))
    assert parameters['by_part']['lora']['total'] == lora


@pytest.mark.parametrize(
    'change',
    [
        {},
        {'lora_rank': 0, 'input_adapters': False},
        {'auxiliary_head': False, 'combination': 'average'},
        {'router_hidden': 8, 'router_input': 'own', 'no_memory_embedding': True},
        {'router_k': 1, 'not_a_point_tokens': 0},
    ],
)
def test_counts_are_those_of_the_network_that_is_trained(network, change):
    config = replace(network, **change)
    model, parameters = MleSam(config), count_parameters(config)
    model.set_trainable('experts')
    learning = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert parameters['total'] == sum(p.numel() for p in model.parameters())
    assert parameters['learning'] == learning
    idle = sum(parameters['without_gradient'].values())
    assert parameters['trainable'] == learning + idle
    assert 'sam_mask_decoder.iou_prediction_head' in parameters['without_gradient']
    assert 'sam_mask_decoder.output_hypernetworks_mlps.0' in parameters['without_gradient']
    assert ('fusion.routers.0' in parameters['without_gradient']) == (config.router_k == 1)


def encoder_by_hand(config: MleSamConfig) -> tuple[float, float]:
    """(layers, attention) in operations, block after block, from the widths alone."""
    size, (height, width) = config.widths, config.input_hw
    height, width, dim = height // 4, width // 4, size.embed_dim
    layers = 2 * height * width * dim * 3 * 7 * 7
    attention, neck, block = 0, 0, 0
    for stage, num_blocks in enumerate(size.stages):
        for first in [stage > 0] + [False] * (num_blocks - 1):
            window = size.window_spec[stage - first]  # the first still has the last stage's
            dim_out, pool = (2 * dim, 2) if first else (dim, 1)
            if block in size.global_blocks:
                sides, count = (height, width), 1
            else:
                sides = (window, window)
                count = -(-height // window) * -(-width // window)
            keys = sides[0] * sides[1]
            queries = keys // pool**2
            layers += count * 2 * (keys * dim * 3 * dim_out + queries * dim_out * dim_out)
            attention += count * 2 * 2 * queries * keys * dim_out
            if first:
                layers += 2 * height * width * dim * dim_out
            height, width, dim = height // pool, width // pool, dim_out
            layers += 2 * 2 * height * width * dim * 4 * dim
            block += 1
        neck += 2 * height * width * dim * size.d_model
    return layers + neck, attention


def decoder_by_hand(config: MleSamConfig) -> float:
    """Operations after the encoders; nothing that a modality more would add but the router."""
    size, num_classes = config.widths, config.num_classes
    width, channels, num_modalities = size.d_model, size.feature_channels, len(config.modalities)
    height_px, width_px = config.input_hw
    pixels = [height_px * width_px // scale**2 for scale in (4, 8, 16)]
    image, tokens = pixels[2], num_classes + 3 + config.not_a_point_tokens

    def attend(queries: int, keys: int, inner: int) -> int:
        return 2 * (2 * queries + 2 * keys) * width * inner + 2 * 2 * queries * keys * inner

    cross = attend(tokens, image, width // 2) + attend(image, tokens, width // 2)
    layer = attend(tokens, tokens, width) + cross + 2 * 2 * tokens * width * size.decoder_mlp
    transformer = 2 * layer + attend(tokens, image, width // 2)
    fine, intermediate = channels[0], channels[1]
    upscaling = 2 * 4 * (image * width * intermediate + pixels[1] * intermediate * fine)
    hypernetworks = (num_classes + 1) * 2 * (2 * width * width + width * fine)
    masks = 2 * (num_classes + 1) * fine * pixels[0]
    iou = 2 * (width * 256 + 256 * 256 + 256 * (num_classes + 1))
    score = 2 * (2 * width * width + width)
    router = sum(2 * num_modalities * c * num_modalities for c in channels)
    hidden = config.auxiliary_width
    auxiliary = sum(
        2 * p * (c * hidden + 2 * hidden * hidden + hidden * num_classes)
        + 2 * num_classes * hidden * hidden
        for p, c in zip(pixels, channels, strict=True)
    )
    enlargement = sum(
        2 * num_classes * width_px * (height_px // s) * (width_px // s + height_px)
        for s in (4, 8, 16)
    )
    position = 2 * image * width
    parts = (transformer, upscaling, hypernetworks, masks, iou, score, router, auxiliary)
    return sum(parts) + enlargement + position


# The second has windows that need padding in the two late stages.
@pytest.mark.parametrize('input_hw', [(224, 448), (96, 160)])
@pytest.mark.parametrize('size', ['nano', 'tiny'])
def test_work_against_a_count_by_hand(size, input_hw):
    config = plain_network(size, ('camera', 'event', 'lidar'), 11, input_hw)
    gflop, (layers, attention) = count_gflop(config), encoder_by_hand(config)
    assert gflop['image_encoder']['layers'] == pytest.approx(layers / 1e9, abs=6e-4)
    assert gflop['image_encoder']['attention'] == pytest.approx(attention / 1e9, abs=6e-4)
    assert gflop['fuse_decode'] == pytest.approx(decoder_by_hand(config) / 1e9, abs=6e-4)


def test_command_line(capsys):
    assert main(['describe', '--size', 'nano', '--classes', '3', '--input', '64', '96']) == 0
    description = json.loads(capsys.readouterr().out)
    assert description['modalities'] == list(PAPER)
    assert (description['classes'], description['input_hw']) == (3, [64, 96])


@pytest.mark.parametrize('kind', KINDS)
def test_every_kind_of_network_is_described(kind):
    names = PAPER[:1] if kind in OF_ONE_SENSOR else PAPER[:2]
    config = plain_config(kind, 'nano', names, 5, (32, 64))
    description, model = describe(config), build_network(config)
    parameters, gflop = description['parameters'], description['gflop']
    assert parameters['total'] == sum(p.numel() for p in model.parameters())
    model.set_trainable('experts')
    learning = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert parameters['learning'] == learning
    idle = sum(parameters['without_gradient'].values())
    assert 0 < parameters['trainable'] == learning + idle
    for key in ('total', 'trainable', 'learning'):
        by_part = parameters['by_part'].values()
        assert parameters[key] == sum(part[key] for part in by_part)
    assert ('paper_accounting' in description) == (kind == 'mle_sam')
    if kind != 'mle_sam':
        assert tuple(gflop['encoders']) == names
        parts = (*gflop['encoders'].values(), gflop['fuse_decode'])
        assert gflop['total'] == pytest.approx(sum(parts), abs=0.002)
    assert gflop['total'] > 0


def test_work_of_a_block_of_sam_by_hand():
    """What two blocks more add to ViT: one within windows of 7, one over the frame of 2 x 4."""
    size = VIT_SIZES['nano']
    config = plain_config('sam_lora', 'nano', ('camera',), 5, (32, 64))
    deeper = replace(size, depth=size.depth + 2, global_blocks=(*size.global_blocks, size.depth))
    with pytest.MonkeyPatch.context() as patch:
        plain = count_gflop(config)['total']
        patch.setitem(VIT_SIZES, 'nano', deeper)
        added = count_gflop(config)['total'] - plain
    width, tokens = size.embed_dim, 2 * 4
    by_hand = 0
    for height, breadth in ((2, 4), (size.window, size.window)):
        side = height * breadth
        by_hand += 2 * side * width * (3 * width + width)  # qkv and projection
        by_hand += 2 * 2 * side * side * width  # queries by keys, and by values
        by_hand += 2 * side * width * (height + breadth)  # relative positions
        by_hand += 2 * 2 * tokens * width * 4 * width  # perceptron
    assert added == pytest.approx(by_hand / 1e9, abs=0.002)


def test_command_line_for_another_kind(capsys):
    command = ['describe', '--model', 'ts_sam', '--size', 'huge', '--classes', '1']
    assert main([*command, '--input', '64', '96']) == 0
    description = json.loads(capsys.readouterr().out)
    assert (description['kind'], description['modalities']) == ('ts_sam', ['camera'])
    parameters = description['parameters']  # published: 29.44 M trainable
    assert parameters['trainable'] / 1e6 == pytest.approx(29.44, abs=0.005)
    assert parameters['total'] - parameters['trainable'] == 637_026_048  # SAM's own encoder


def test_command_line_with_a_recipe(capsys):
    recipe = Path(__file__).parents[1] / 'recipes' / 'nano_simulated.yaml'
    assert main(['describe', '--recipe', str(recipe)]) == 0
    description = json.loads(capsys.readouterr().out)
    assert description['input_hw'] == [224, 448]
    assert description['parameters']['by_part']['input_adapters']['learning'] > 0


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--size', 'huge'], 'network.size: expected one of nano'),
        (['--size', 'nano', '--input', '100', '100'], 'expected multiples of 32'),
        (
            ['--size', 'nano', '--classes', '0'],
            'network.classes: expected 1 to 255 classes, got 0',
        ),
        (['--recipe', 'nowhere.yaml'], 'nowhere.yaml'),
        (['--recipe', 'nowhere.yaml', '--classes', '3'], 'leave them out'),
        (['--recipe', 'nowhere.yaml', '--model', 'cmnext'], 'leave them out'),
        (['--size', 'huge', '--model', 'cmnext'], 'network.size: expected one of nano, b0, b2'),
        (['--size', 'nano', '--model', 'ad_sam', '--modalities', *PAPER], 'one modality'),
    ],
)
def test_bad_input(arguments, message, capsys):
    assert main(['describe', *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith('mle-sam-training: ')
    assert message in error
    assert error.count('\n') == 1
