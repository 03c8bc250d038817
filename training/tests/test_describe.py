from dataclasses import replace
import json
from pathlib import Path

from mle_sam.cli import main
from mle_sam.config import MleSamConfig, plain_network
from mle_sam.describe import count_gflop, count_parameters, describe
from mle_sam.models.mle_sam import MleSam
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
    ],
)
def test_bad_input(arguments, message, capsys):
    assert main(['describe', *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith('mle-sam-training: ')
    assert message in error
    assert error.count('\n') == 1
