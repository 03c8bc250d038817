"""What the graphs of a bundle take and give: names, shapes and dtypes."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
import os

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.runtime.bundle import ALL_ENCODERS, encoder_graph, FUSE_DECODE, Precision
import numpy as np

# Of the features, by level; a network may do with the first one or two.
_STRIDES = (4, 8, 16)

# Shape and numpy dtype name by tensor name.
Signature = Mapping[str, tuple[tuple[int, ...], str]]
FEATURE_NAMES = tuple(f'features_{level}' for level in range(len(_STRIDES)))
# What passes from the encoders to the decoder.
FEATURE_DTYPES: dict[Precision, str] = {'fp32': 'float32', 'fp16': 'float16'}


@dataclass(frozen=True)
class RasterSpec:
    """Shape (H, W, 3) and numpy dtype of a modality's raster."""

    shape: tuple[int, int, int]
    dtype: str


def check_graphs(
    load: Callable[[str], tuple[Signature, Signature, str]],
    manifest: Manifest,
    precision: Precision,
    is_stacked: bool = False,
) -> tuple[dict[str, RasterSpec], list[tuple[int, ...]]]:
    """Load every graph of a bundle, the one behind the encoders last, and check each.

    Args:
        load: by the graph's name (`encoder_<modality>`, `encoders_stacked`, `fuse_decode`) the
            signatures of its inputs and of its outputs, and its path for error messages.
        manifest: of the bundle.
        precision: of the graphs.
        is_stacked: there is a graph of all encoders, too.

    Returns:
        what raster each modality takes, and the shape of each level's features without the batch.

    Raises:
        InputError: for another set of tensors, or a wrong shape or dtype.
    """
    specs: dict[str, RasterSpec] = {}
    shapes: list[tuple[int, ...]] = []
    for name in manifest.modality_names:
        inputs, outputs, source = load(encoder_graph(name))
        specs[name], shapes = check_encoder(inputs, outputs, manifest, source, precision)
    if is_stacked:
        inputs, outputs, source = load(ALL_ENCODERS)
        check_all_encoders(inputs, outputs, specs, shapes, source, precision)
    inputs, outputs, source = load(FUSE_DECODE)
    check_fuse_decode(inputs, outputs, manifest, shapes, source, precision)
    return specs, shapes


def check_encoder(
    inputs: Signature,
    outputs: Signature,
    manifest: Manifest,
    source: str,
    precision: Precision = 'fp32',
) -> tuple[RasterSpec, list[tuple[int, ...]]]:
    """Check an encoder's graph.

    Args:
        inputs: of the graph.
        outputs: of the graph.
        manifest: of its bundle.
        source: the graph's path, for error messages.
        precision: of the graph.

    Returns:
        what raster it takes, and the shape of each level's features without the batch.

    Raises:
        InputError: for another set of tensors, or a wrong shape or dtype.
    """
    height, width = manifest.input_hw
    dtype = inputs['raster'][1] if 'raster' in inputs else 'uint8'
    dtype = dtype if dtype in ('uint8', 'float32') else 'uint8'
    _check(inputs, {'raster': ((1, height, width, 3), dtype)}, f'{source}: inputs')
    expected, names = {}, FEATURE_NAMES[: max(len(outputs), 1)]
    for name, stride in zip(names, _STRIDES, strict=False):
        shape = outputs[name][0] if name in outputs else ()
        channels = shape[1] if len(shape) == 4 else 1
        shape = (1, channels, height // stride, width // stride)
        expected[name] = (shape, FEATURE_DTYPES[precision])
    _check(outputs, expected, f'{source}: outputs')
    return RasterSpec((height, width, 3), dtype), [outputs[name][0][1:] for name in names]


def raster_input(modality: str) -> str:
    """What the graph of all encoders calls a modality's raster."""
    return f'raster_{modality}'


def check_all_encoders(
    inputs: Signature,
    outputs: Signature,
    specs: Mapping[str, RasterSpec],
    feature_shapes: list[tuple[int, ...]],
    source: str,
    precision: Precision = 'fp32',
) -> None:
    """Check the graph of all encoders against them; arguments and errors as `check_encoder`."""
    rasters = {raster_input(n): ((1, *spec.shape), spec.dtype) for n, spec in specs.items()}
    _check(inputs, rasters, f'{source}: inputs')
    _check(outputs, _features(len(specs), feature_shapes, precision), f'{source}: outputs')


def check_fuse_decode(
    inputs: Signature,
    outputs: Signature,
    manifest: Manifest,
    feature_shapes: list[tuple[int, ...]],
    source: str,
    precision: Precision = 'fp32',
) -> None:
    """Check the graph behind the encoders; arguments and errors as `check_encoder`."""
    num_modalities = len(manifest.modalities)
    features = _features(num_modalities, feature_shapes, precision)
    _check(inputs, {**features, 'present': ((num_modalities,), 'bool')}, f'{source}: inputs')
    router_shape = (manifest.router.levels, num_modalities)
    expected: Signature = {
        'label_map': (manifest.input_hw, 'uint8'),
        'confidence': (manifest.input_hw, 'uint8'),
        'router_weights': (router_shape, 'float32'),
    }
    _check(outputs, expected, f'{source}: outputs')


def check_request(
    rasters: Mapping[str, np.ndarray],
    present: Collection[str],
    specs: Mapping[str, RasterSpec],
) -> None:
    """Check what an engine is asked to run.

    Raises:
        InputError: for nothing present, an unknown modality, or a raster that is missing or has
            the wrong shape or dtype.
    """
    unknown = sorted(set(present) - set(specs))
    if unknown or not present:
        raise InputError(
            f'engine: expected some of the modalities {", ".join(specs)}, got '
            f'{", ".join(unknown) or "none"}; use a bundle for these sensors'
        )
    for name in present:
        raster, spec = rasters.get(name), specs[name]
        if raster is None or raster.shape != spec.shape or raster.dtype != spec.dtype:
            got = 'none' if raster is None else f'{raster.shape} {raster.dtype}'
            raise InputError(
                f'engine: expected a {name} raster {spec.shape} {spec.dtype}, got {got}; '
                "make it with the manifest's encoding"
            )


def available_threads() -> int:
    """Number of processors that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _features(
    num_modalities: int, shapes: list[tuple[int, ...]], precision: Precision
) -> dict[str, tuple[tuple[int, ...], str]]:
    return {
        name: ((num_modalities, *shape), FEATURE_DTYPES[precision])
        for name, shape in zip(FEATURE_NAMES, shapes, strict=False)
    }


def _check(got: Signature, expected: Signature, where: str) -> None:
    if dict(got) != dict(expected):
        raise InputError(
            f'{where}: expected {_describe(expected)}, got {_describe(got)}; '
            'export the bundle again with this release'
        )


def _describe(signature: Signature) -> str:
    tensors = [
        f'{name} {"x".join(map(str, shape))} {dtype}' for name, (shape, dtype) in signature.items()
    ]
    return ', '.join(tensors) or 'nothing'
