from mle_sam.auxiliary_head import AuxiliaryHead
from mle_sam.enlargement import Enlargement
import torch
from torch.nn import functional as F


def plain_form(head: AuxiliaryHead, fused: list[torch.Tensor]) -> torch.Tensor:
    """As the paper has it: upsample, concatenate, fuse, predict, all at the input's size."""
    enlarged = [
        F.interpolate(perceptron(features), scale_factor=scale, mode='bilinear')
        for perceptron, features, scale in zip(head.perceptrons, fused, (4, 8, 16), strict=True)
    ]
    return head.predict(head.fuse(torch.cat(enlarged, 1)))


def test_split_form_equals_the_plain_form():
    channels, input_hw = (4, 8, 16), (32, 64)
    head = AuxiliaryHead(channels, num_classes=5, width=6, dropout=0.1).eval()
    torch.nn.init.normal_(head.fuse.bias)
    torch.nn.init.normal_(head.predict.bias)
    fused = [
        torch.randn(2, c, 32 // scale, 64 // scale)
        for c, scale in zip(channels, (4, 8, 16), strict=True)
    ]
    torch.testing.assert_close(
        Enlargement(input_hw)(head(fused)), plain_form(head, fused), atol=1e-5, rtol=1e-5
    )
