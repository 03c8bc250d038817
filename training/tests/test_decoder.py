from dataclasses import replace

from mle_sam.models.mle_sam import MleSam
import torch


def fused(network, batch: int) -> list[torch.Tensor]:
    height, width = network.input_hw
    return [
        torch.randn(3, batch, channels, height // scale, width // scale)
        for channels, scale in zip(network.widths.feature_channels, (4, 8, 16), strict=True)
    ]


def test_a_mask_per_class_at_a_quarter(network, model):
    present = torch.ones(2, 3, dtype=torch.bool)
    segmentation = model.decode(fused(network, 2), present)
    height, width = network.input_hw
    assert segmentation.paths[0][0].shape == (2, 3, height // 4, width // 4)
    assert segmentation.router_weights_BLM.shape == (2, 3, 3)
    assert model.logits(segmentation).shape == (2, 3, height, width)


def test_items_of_a_batch_do_not_mix(network, model):
    levels, present = fused(network, 2), torch.tensor([[True, True, False], [False, True, True]])
    both = model.logits(model.decode(levels, present))
    for item in (0, 1):
        one = [level[:, item : item + 1] for level in levels]
        alone = model.logits(model.decode(one, present[item : item + 1]))
        torch.testing.assert_close(both[item : item + 1], alone, atol=1e-4, rtol=1e-4)


def test_prompt_tokens_are_a_choice(network):
    levels, present = fused(network, 1), torch.ones(1, 3, dtype=torch.bool)
    model = MleSam(network).eval()
    without = MleSam(replace(network, not_a_point_tokens=0)).eval()
    without.load_state_dict(model.state_dict())
    masks = model.decode(levels, present).paths[0][0]
    assert not torch.allclose(masks, without.decode(levels, present).paths[0][0])


def test_object_scores_never_mask_the_logits(network, model):
    """SAM 2 itself puts -1024 where its object score is not positive, which ends all learning."""
    levels, present = fused(network, 2), torch.ones(2, 3, dtype=torch.bool)
    expected = model.decode(levels, present).paths[0][0]
    score = model.sam_mask_decoder.pred_obj_score_head
    with torch.no_grad():
        score.layers[-1].bias.fill_(-1e6)
        score.layers[-1].weight.zero_()
    masks = model.decode(levels, present).paths[0][0]
    assert torch.equal(masks, expected)
    masks.square().sum().backward()
    decoder = model.sam_mask_decoder
    for name in ('obj_score_token', 'mask_tokens', 'iou_token'):
        assert getattr(decoder, name).weight.grad.abs().max() > 0, name
    assert all(p.grad.abs().max() > 0 for p in decoder.output_upscaling.parameters())
