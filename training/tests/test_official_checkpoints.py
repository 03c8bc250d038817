"""The published files that networks start from, stood in for by the official classes."""

from pathlib import Path

from mle_sam.ad_sam_config import AdSamConfig
from mle_sam.checkpoint import Checkpoint, load_model, read_checkpoint, save_checkpoint
from mle_sam.config import NetworkConfig, plain_network
from mle_sam.models.ad_sam import AdSam
from mle_sam.models.build import build_network
from mle_sam.models.network import Network
from mle_sam.pretrained import load_pretrained, start_from
from mle_sam.recipe import Recipe
from mle_sam.verify import build_official
from mle_sam.vit_config import CwsamConfig, SamLoraConfig, TsSamConfig
from mle_sam_ros.core.errors import InputError
import pytest
from segment_anything import sam_model_registry
import torch
from torchvision.models import resnet18, resnet50

SAM_OF = {'base': 'vit_b', 'large': 'vit_l', 'huge': 'vit_h'}
ENCODER = 'image_encoder.'


def configs(size: str, num_classes: int) -> dict[str, NetworkConfig]:
    several = plain_network('tiny', ('camera', 'lidar'), num_classes, (1024, 1024))
    given = (several.input_hw, several.modalities, several.classes)
    alone = (several.input_hw, several.modalities[:1], several.classes)
    return {
        'sam_lora': SamLoraConfig(*given, size=size),
        'cwsam': CwsamConfig(*given, size=size),
        'ts_sam': TsSamConfig(*alone, size=size),
        'ad_sam': AdSamConfig(*alone, size=size, freeze_statistics=False),
    }


def without_memory(config: NetworkConfig) -> Network:
    with torch.device('meta'):
        return build_network(config)


def official_sam(size: str) -> dict[str, torch.Tensor]:
    """The names and shapes of a published file, in almost no memory."""
    with torch.device('meta'):
        state = sam_model_registry[SAM_OF[size]]().state_dict()
    return {name: torch.zeros(()).expand(value.shape) for name, value in state.items()}


@pytest.mark.filterwarnings('ignore:for .*copying from a non-meta parameter')
@pytest.mark.parametrize('kind', ['sam_lora', 'cwsam', 'ts_sam', 'ad_sam'])
@pytest.mark.parametrize('size', SAM_OF)
def test_all_of_sam_s_encoder_is_taken(size, kind):
    model, weights = without_memory(configs(size, 11)[kind]), official_sam(size)
    report = start_from(model, weights)
    assert report.looks_like == f'SAM {size}'
    encoder = {name for name in weights if name.startswith(ENCODER)}
    assert encoder <= set(report.taken)
    own = {name for name in model.state_dict() if name.startswith(ENCODER)}
    assert all('.experts.' in name for name in own - encoder)
    frozen = own - {name for name in own if '.experts.' in name}
    assert not frozen & model.trainable('experts')


def test_sam_of_another_size_is_named():
    model, weights = without_memory(configs('base', 3)['ts_sam']), official_sam('huge')
    with pytest.raises(InputError, match='expected the weights of SAM base, got SAM huge'):
        start_from(model, weights)


def ad_sam(**choices) -> AdSam:
    given = plain_network('tiny', ('camera',), 3, (64, 96))
    plain = {'backbone': 'resnet18', 'widths': (16, 16, 16), 'freeze_statistics': False}
    return AdSam(
        AdSamConfig(given.input_hw, given.modalities, given.classes, **{**plain, **choices})
    )


def test_sam_is_not_sam_2():
    model = ad_sam(encoder='hiera', size='tiny')
    with pytest.raises(
        InputError, match='expected the weights of SAM 2 tiny, got SAM 2 of an unk'
    ):
        start_from(model, official_sam('base'))


@pytest.mark.parametrize('version', ['sam2', 'sam2.1'])
def test_ad_sam_hears_what_sam_2_says(version, tmp_path):
    torch.manual_seed(3)
    official = build_official('tiny', version)
    torch.save({'model': official.state_dict()}, tmp_path / 'sam2_hiera_tiny.pt')
    model = ad_sam(encoder='hiera', size='tiny').eval()
    report = load_pretrained(model, tmp_path / 'sam2_hiera_tiny.pt')
    assert all(name.startswith(ENCODER) for name in report.taken)
    image = torch.randn(1, 64, 96, 3)
    with torch.inference_mode():
        expected = official.forward_image(image.permute(0, 3, 1, 2))['backbone_fpn'][2]
        assert torch.equal(model.embed(image, 'camera'), expected)


# The ResNet's


def ad_sam_with(file: Path, backbone: str) -> AdSam:
    return ad_sam(
        size='nano', backbone=backbone, backbone_weights=str(file), freeze_statistics=True
    )


@pytest.mark.parametrize(('backbone', 'build'), [('resnet18', resnet18), ('resnet50', resnet50)])
@pytest.mark.parametrize('is_old', [False, True])
def test_a_file_of_torchvision(tmp_path, backbone, build, is_old):
    """Files older than the count of batches, which nothing here reads, lack it."""
    official, file = build().eval(), tmp_path / 'resnet.pth'
    state = official.state_dict()
    if is_old:
        state = {n: v for n, v in state.items() if not n.endswith('num_batches_tracked')}
    torch.save(state, file)
    model = ad_sam_with(file, backbone)
    model.load_backbone()
    model.train()  # its statistics stay
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        x = official.maxpool(official.relu(official.bn1(official.conv1(image))))
        expected = official.layer4(official.layer3(official.layer2(official.layer1(x))))
        assert torch.equal(model.backbone(image)['layer4'], expected)


@pytest.mark.parametrize(
    ('content', 'got'),
    [
        (None, 'No such file'),
        (b'', ''),
        (b'hello, this is no checkpoint', ''),
        ({'weight': torch.zeros(1)}, r"missing \['conv1.weight'.*unknown \['weight'\]"),
        ({'state_dict': {}}, r"unknown \['state_dict'\]"),
        (torch.zeros(2), 'Tensor'),
        (resnet50, 'size mismatch'),
    ],
)
def test_another_file(tmp_path, content, got):
    file = tmp_path / 'resnet18.pth'
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        torch.save(content().state_dict() if content is resnet50 else content, file)
    pattern = rf'resnet18\.pth: expected the state of the ResNet .*{got}.*network\.backbone'
    with pytest.raises(InputError, match=pattern):
        ad_sam_with(file, 'resnet18').load_backbone()


def test_a_checkpoint_is_opened_without_the_file(recipe, tmp_path):
    """It has the ResNet's weights itself: who evaluates or exports has no need of it."""
    model = ad_sam_with(tmp_path / 'nowhere.pth', 'resnet18')
    experts = Recipe('ad', 1, model.config, recipe.data, recipe.experts, pretrained='sam.pth')
    path = tmp_path / 'experts.safetensors'
    save_checkpoint(Checkpoint(experts, 'experts', 1, model.state_dict(), {}), path)
    opened = load_model(read_checkpoint(path))
    assert torch.equal(opened.backbone.conv1.weight, model.backbone.conv1.weight)
