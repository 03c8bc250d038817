from dataclasses import replace

from mle_sam.encoder import MultiModalEncoder
from sam2.modeling.backbones.image_encoder import ImageEncoder
from sam2.modeling.position_encoding import PositionEmbeddingSine
import torch


def test_zero_start_is_exactly_sam2(network):
    encoder = MultiModalEncoder(network).eval()
    for adapter in encoder.input_adapters.values():
        adapter.load_state_dict(encoder.trunk.patch_embed.state_dict())
    size = network.widths
    plain = MultiModalEncoder(replace(network, lora_rank=0, input_adapters=False)).eval()
    plain.load_state_dict(
        {
            name: value
            for name, value in encoder.state_dict().items()
            if '.experts.' not in name and not name.startswith('input_adapters.')
        }
    )
    plain.neck.position_encoding = PositionEmbeddingSine(size.d_model)
    sam2 = ImageEncoder(plain.trunk, plain.neck, scalp=1).eval()
    raster = torch.rand(2, *network.input_hw, 3) * 255
    for spec in network.modalities:
        image = (raster - torch.tensor(spec.mean)) / torch.tensor(spec.std)
        expected = sam2(image.permute(0, 3, 1, 2))['backbone_fpn']
        for ours, theirs in zip(encoder(raster, spec.name), expected, strict=True):
            assert torch.equal(ours, theirs)


def test_sizes_of_the_maps(network, model):
    height, width = network.input_hw
    maps = model.image_encoder(torch.zeros(1, height, width, 3), 'lidar')
    assert [tuple(m.shape) for m in maps] == [
        (1, 128, height // scale, width // scale) for scale in (4, 8, 16)
    ]


def test_experts_differ(model, network):
    raster = torch.rand(1, *network.input_hw, 3)
    event, lidar = (model.image_encoder(raster, name)[2] for name in ('event', 'lidar'))
    assert not torch.allclose(event, lidar)


def test_parameter_names_and_shapes_are_those_of_sam2(network):
    encoder = MultiModalEncoder(replace(network, size='tiny'))
    shapes = {key: tuple(value.shape) for key, value in encoder.state_dict().items()}
    assert shapes['trunk.patch_embed.proj.weight'] == (96, 3, 7, 7)
    assert shapes['trunk.pos_embed'] == (1, 96, 7, 7)
    assert shapes['trunk.blocks.0.attn.qkv.weight'] == (288, 96)
    assert shapes['trunk.blocks.11.mlp.layers.1.weight'] == (768, 3072)
    assert shapes['neck.convs.0.conv.weight'] == (256, 768, 1, 1)
