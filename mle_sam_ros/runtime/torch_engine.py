"""A bundle on a GPU or the processor with packages that torch compiled ahead of time."""

from collections.abc import Callable, Mapping
import json
from pathlib import Path

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.inference import Inference
from mle_sam_ros.runtime.bundle import (
    ALL_ENCODERS,
    Bundle,
    encoder_graph,
    FUSE_DECODE,
    Precision,
)
from mle_sam_ros.runtime.contract import (
    check_graphs,
    check_request,
    Signature,
)
from mle_sam_ros.runtime.encoder_choice import EncoderChoice
from mle_sam_ros.runtime.engine_cache import UnreadableEngineError
from mle_sam_ros.runtime.torch_device import best_device, Device
import numpy as np
import torch

SIGNATURES_NAME = 'signatures.json'


def package_name(graph: str) -> str:
    """File name of a compiled graph."""
    return f'{graph}.compiled.pt2'


class TorchEngine(EncoderChoice):
    """Runs compiled packages; each with its copies is one CUDA graph where there is a GPU.

    A package holds native code, which loading it runs: load only what this machine has built, or
    whose hash was verified.

    Attributes:
        description: what runs the bundle, for people.
        precision: of its arithmetic.
        reuse_features: as in `proof.DescribedEngine`.
        is_stacked: likewise; set at first where there is such a package.
    """

    def __init__(
        self,
        bundle: Bundle,
        directory: Path,
        precision: Precision = 'fp32',
        device: Device | None = None,
    ) -> None:
        """Load the packages and check them against the manifest.

        Args:
            bundle: that they were compiled from.
            directory: that holds them, as `torch_build.build` wrote it.
            precision: that they were compiled for.
            device: that they were compiled for; None takes the best one.

        Raises:
            InputError: for a package that cannot be loaded, or is not what the manifest says.
        """
        super().__init__()
        self._device = device or best_device()
        self.precision = precision
        self.description = f'torch {torch.__version__} {precision}, {self._device.name}'
        self._names = bundle.manifest.modality_names
        signatures = _read_signatures(directory / SIGNATURES_NAME)

        def load(graph: str) -> tuple[Signature, Signature, str]:
            return *signatures(graph), f'{directory}: {graph}'

        self.is_stacked = (directory / package_name(ALL_ENCODERS)).is_file()
        self._specs, shapes = check_graphs(load, bundle.manifest, precision, self.is_stacked)
        with torch.inference_mode(), self._device.context():
            self._prepare(directory, signatures(FUSE_DECODE), shapes)

    def infer(self, rasters: Mapping[str, np.ndarray], present: frozenset[str]) -> Inference:
        """Segment one instant; see `core.inference.Engine`."""
        check_request(rasters, present, self._specs)
        with torch.inference_mode(), self._device.context():
            clock = self._device.clock()
            for graph, names in self._to_run(rasters, self._names, present).items():
                # The GPU encodes one modality while the host stages the next.
                with self._encoding(names, rasters):
                    for name in names:
                        self._rasters[name].upload(rasters[name][None])
                    self._encode[graph]()
                clock.mark(graph)
            self._present.upload(np.array([name in present for name in self._names]))
            self._decode()
            for output in self._outputs:
                output.download()
            clock.mark(FUSE_DECODE)
            self._device.finish()
        label_map, confidence, router_weights = (output.array() for output in self._outputs)
        return Inference(label_map, confidence, router_weights, clock.timings_ms())

    def features(self, name: str) -> list[np.ndarray]:
        """What a modality's encoder said last, (1, C, h, w) by level."""
        index = self._names.index(name)
        return [level[index : index + 1].cpu().numpy().copy() for level in self._features]

    def _prepare(
        self,
        directory: Path,
        decoder: tuple[Signature, Signature],
        shapes: list[tuple[int, ...]],
    ) -> None:
        device, num = self._device, len(self._names)
        dtype = {'fp32': torch.float32, 'fp16': torch.float16}[self.precision]
        self._features = [
            torch.zeros(num, *shape, dtype=dtype, device=device.torch_device) for shape in shapes
        ]
        self._rasters = {
            name: _Exchange((1, *spec.shape), spec.dtype, device)
            for name, spec in self._specs.items()
        }
        self._encode: dict[str, Callable[[], None]] = {}

        def prepare_encoder(graph: str, names: tuple[str, ...], slots: list[torch.Tensor]) -> None:
            rasters = [self._rasters[name].tensor for name in names]
            run = _runner(_load(directory / package_name(graph)), rasters, slots)
            self._encode[graph] = device.capture(run)

        for index, name in enumerate(self._names):
            slots = [level[index : index + 1] for level in self._features]
            prepare_encoder(encoder_graph(name), (name,), slots)
        if self.is_stacked:
            prepare_encoder(ALL_ENCODERS, self._names, self._features)
        self._present = _Exchange((num,), 'bool', device)
        self._outputs = [_Exchange(shape, dtype, device) for shape, dtype in decoder[1].values()]
        self._decode = device.capture(
            _runner(
                _load(directory / package_name(FUSE_DECODE)),
                [*self._features, self._present.tensor],
                [output.tensor for output in self._outputs],
            )
        )


class _Exchange:
    """A tensor of the device and the host memory that it is copied from or to."""

    def __init__(self, shape: tuple[int, ...], dtype: str, device: Device) -> None:
        self.tensor = torch.zeros(shape, dtype=getattr(torch, dtype), device=device.torch_device)
        self._staging = device.staging(self.tensor)

    def upload(self, array: np.ndarray) -> None:
        np.copyto(self._staging.numpy(), array)
        self.tensor.copy_(self._staging, non_blocking=True)

    def download(self) -> None:
        self._staging.copy_(self.tensor, non_blocking=True)

    def array(self) -> np.ndarray:
        """A copy of what was downloaded; only after `Device.finish`."""
        return self._staging.numpy().copy()


def _runner(
    package: Callable[..., tuple[torch.Tensor, ...]],
    inputs: list[torch.Tensor],
    outputs: list[torch.Tensor],
) -> Callable[[], None]:
    """What runs a package on the same tensors every time, as a CUDA graph must."""

    def run() -> None:
        for slot, answer in zip(outputs, package(*inputs), strict=True):
            slot.copy_(answer)

    return run


def _load(path: Path) -> Callable[..., tuple[torch.Tensor, ...]]:
    try:
        # Threads of its own would wait for one another on the stream, which no graph can hold.
        return torch._inductor.aoti_load_package(str(path), run_single_threaded=True)
    except RuntimeError as error:
        raise UnreadableEngineError(
            f'{path}: expected a package that torch {torch.__version__} can load, got '
            f'{" ".join(str(error).split())[:100]!r}; build the engine again '
            '(mle-sam build-engine)'
        ) from None


def _read_signatures(path: Path) -> Callable[[str], tuple[Signature, Signature]]:
    try:
        mapping = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise InputError(
            f'{path}: expected the signatures of compiled graphs, got {str(error)!r}; build the '
            'engine again (mle-sam build-engine)'
        ) from None

    def of(graph: str) -> tuple[Signature, Signature]:
        ports = mapping.get(package_name(graph), {})
        inputs, outputs = (
            {name: (tuple(shape), dtype) for name, (shape, dtype) in ports.get(way, {}).items()}
            for way in ('inputs', 'outputs')
        )
        return inputs, outputs

    return of
