"""The graphs of a bundle as programs that torch compiles on the machine that runs them."""

import io

from mle_sam_ros.runtime.bundle import ALL_ENCODERS, encoder_graph, FUSE_DECODE, Precision
from mle_sam_ros.runtime.torch_build import program_name
import numpy as np
import torch
from torch import nn

from mle_sam.export.variants import cast, fuse_decode, StackedEncoder
from mle_sam.models.mle_sam import MleSam

DTYPES: dict[Precision, torch.dtype] = {'fp32': torch.float32, 'fp16': torch.float16}


def export_programs(
    model: MleSam,
    rasters: dict[str, np.ndarray],
    precision: Precision,
    stacked: bool = False,
) -> dict[str, bytes]:
    """Export a network in one precision.

    Args:
        model: the network, on the CPU.
        rasters: one (H, W, 3) raster per modality: uint8, or float32 for LiDAR.
        precision: of the features and of the arithmetic; see `variants.cast`.
        stacked: also one of all encoders.

    Returns:
        What `torch.export.save` writes, by the name of the file in a bundle.
    """
    dtype, programs, encoded = DTYPES[precision], {}, []
    for name in model.config.modality_names:
        encoder = OneEncoder(cast(StackedEncoder(model, [name]), dtype)).eval()
        raster = torch.from_numpy(rasters[name])[None]
        programs[program_name(encoder_graph(name), precision)] = _exported(encoder, (raster,))
        encoded.append(encoder(raster))
    if stacked:
        names = model.config.modality_names
        encoders = cast(StackedEncoder(model, names), dtype).eval()
        batch = tuple(torch.from_numpy(rasters[name])[None] for name in names)
        programs[program_name(ALL_ENCODERS, precision)] = _exported(encoders, batch)
    features = tuple(torch.cat(level) for level in zip(*encoded, strict=True))
    present = torch.ones(len(rasters), dtype=torch.bool)
    decoder = cast(fuse_decode(model), dtype)
    programs[program_name(FUSE_DECODE, precision)] = _exported(decoder, (*features, present))
    return programs


class OneEncoder(nn.Module):
    """A stacked encoder of one modality, whose input has the name that bundles give it."""

    def __init__(self, encoder: StackedEncoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, raster: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Encode a (1, H, W, 3) raster."""
        return self.encoder(raster)


@torch.no_grad()
def _exported(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> bytes:
    archive = io.BytesIO()
    torch.export.save(torch.export.export(module, inputs), archive)
    return archive.getvalue()
