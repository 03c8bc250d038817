"""The tiny network of `bundles` as programs of torch."""

import io
from pathlib import Path

from bundles import (
    manifest_mapping,
    MEAN,
    MODALITIES,
    RASTER_DTYPES,
    STD,
    STRIDES,
    TinyModel,
    write_tiny_bundle,
)
from mle_sam_ros.runtime.bundle import Bundle, write_bundle
import numpy as np
import torch


class TinyEncoder(torch.nn.Module):
    """`TinyModel.features` of one modality."""

    def __init__(self, model: TinyModel, name: str):
        super().__init__()
        self.register_buffer('mean', torch.tensor(MEAN[name]))
        self.register_buffer('std', torch.tensor(STD[name]))
        for level in range(3):
            pattern = torch.from_numpy(model.patterns[name, level])
            self.register_buffer(f'pattern_{level}', pattern)

    def forward(self, raster):
        image = ((raster.float() - self.mean) / self.std).permute(0, 3, 1, 2)
        pooled = [torch.nn.functional.avg_pool2d(image, stride) for stride in STRIDES]
        patterns = (self.pattern_0, self.pattern_1, self.pattern_2)
        return tuple(a + b for a, b in zip(pooled, patterns, strict=True))


class TinyEncoders(torch.nn.Module):
    """The encoders side by side."""

    def __init__(self, model: TinyModel):
        super().__init__()
        self.encoders = torch.nn.ModuleList(TinyEncoder(model, name) for name in MODALITIES)

    def forward(self, *rasters):
        maps = [encoder(raster) for encoder, raster in zip(self.encoders, rasters, strict=True)]
        return tuple(torch.cat(level) for level in zip(*maps, strict=True))


class TinyFuseDecode(torch.nn.Module):
    """The rest of `TinyModel.infer`."""

    def __init__(self, model: TinyModel):
        super().__init__()
        self.register_buffer('class_weights', torch.from_numpy(model.class_weights))

    def forward(self, features_0, features_1, features_2, present):
        levels = [
            torch.where(present[:, None, None, None], features, 0.0)
            for features in (features_0, features_1, features_2)
        ]
        scores = torch.stack([level.mean((1, 2, 3)) for level in levels])
        weights = scores.masked_fill(~present, -torch.inf).softmax(1)
        fused = levels[0].sum(0) / present.sum()
        coarse = torch.tensordot(self.class_weights, fused, 1)
        logits = coarse.repeat_interleave(4, 1).repeat_interleave(4, 2)
        confidence, label_map = logits.softmax(0).max(0)
        return label_map.byte(), (confidence * 255).round().byte(), weights


def programs(model: TinyModel) -> dict[str, bytes]:
    """The files of the programs, by name; one of all encoders is not among them."""
    height, width = model.input_hw
    rasters = {
        name: torch.from_numpy(np.zeros((1, height, width, 3), RASTER_DTYPES[name]))
        for name in MODALITIES
    }
    features = [torch.zeros(3, 3, height // s, width // s) for s in STRIDES]
    files = {
        f'encoder_{name}.pt2': program(TinyEncoder(model, name), raster)
        for name, raster in rasters.items()
    }
    decoder = TinyFuseDecode(model)
    files['fuse_decode.pt2'] = program(decoder, *features, torch.ones(3, dtype=torch.bool))
    return files


def stacked_program(model: TinyModel) -> bytes:
    rasters = (
        torch.from_numpy(np.zeros((1, *model.input_hw, 3), RASTER_DTYPES[name]))
        for name in MODALITIES
    )
    return program(TinyEncoders(model), *rasters)


def program(module: torch.nn.Module, *inputs: torch.Tensor) -> bytes:
    archive = io.BytesIO()
    torch.export.save(torch.export.export(module, inputs), archive)
    return archive.getvalue()


def with_files(bundle: Bundle, directory: Path, changes: dict[str, bytes]) -> Bundle:
    """A copy of a bundle with other or more files."""
    files: dict[str, bytes | Path] = {name: bundle.path(name) for name in bundle.manifest.files}
    return write_bundle(
        directory, {**files, **changes}, manifest_mapping(bundle.manifest.input_hw)
    )


def write_program_bundle(directory: Path, input_hw: tuple[int, int]) -> Bundle:
    """The tiny bundle with its ONNX graphs and its programs."""
    plain = write_tiny_bundle(directory.with_name('plain'), input_hw)
    return with_files(plain, directory, programs(TinyModel(input_hw)))
