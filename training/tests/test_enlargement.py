from mle_sam.enlargement import Enlargement, SCALES
import torch
from torch.nn import functional as F


def test_equals_interpolation_and_its_parts():
    enlarge = Enlargement((32, 64))
    levels = [torch.randn(2, 3, 32 // s, 64 // s) for s in SCALES]
    expected = sum(
        F.interpolate(level, scale_factor=s, mode='bilinear', align_corners=False)
        for level, s in zip(levels, SCALES, strict=True)
    )
    torch.testing.assert_close(enlarge(levels), expected, atol=1e-5, rtol=1e-5)
    for phase in ((0, 0), (0, 1), (1, 0), (1, 1)):
        part = enlarge(levels, stride=2, phase=phase)
        torch.testing.assert_close(
            part, expected[..., phase[0] :: 2, phase[1] :: 2], atol=1e-5, rtol=1e-5
        )


def test_fewer_levels():
    fine = torch.randn(1, 2, 8, 16)
    expected = F.interpolate(fine, scale_factor=4, mode='bilinear')
    torch.testing.assert_close(Enlargement((32, 64))([fine]), expected, atol=1e-5, rtol=1e-5)
