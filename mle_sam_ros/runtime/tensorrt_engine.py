"""A bundle on an NVIDIA GPU with TensorRT."""

from collections.abc import Mapping
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
    FEATURE_DTYPES,
    FEATURE_NAMES,
    raster_input,
    Signature,
)
from mle_sam_ros.runtime.cuda_runtime import describe_gpu, DeviceArray, PinnedArray
from mle_sam_ros.runtime.encoder_choice import EncoderChoice
from mle_sam_ros.runtime.tensorrt_plan import ALIGNMENT, Lane, Plan
import numpy as np
import tensorrt

_OUTPUTS = ('label_map', 'confidence', 'router_weights')


def plan_name(graph: str) -> str:
    """File name of a graph's plan."""
    return f'{graph}.plan'


class TensorrtEngine(EncoderChoice):
    """Runs the plans of a bundle; calls come from one thread.

    Every encoder has a stream of its own and writes straight into its slot of what the decoder
    reads; the encoder of an absent modality is not launched, and the decoder blanks its slot. All
    memory is taken at the start. Only label map, confidence and router weights come back.

    Attributes:
        description: what runs the bundle, for people.
        precision: of its arithmetic.
        reuse_features: as in `proof.DescribedEngine`.
        is_stacked: likewise; set at first where there is such a plan.
    """

    def __init__(
        self,
        bundle: Bundle,
        directory: Path,
        precision: Precision,
        version_compatible: bool = False,
    ) -> None:
        """Load the plans.

        Args:
            bundle: that they were built from.
            directory: holds them; their content was verified.
            precision: of the graphs they were built from.
            version_compatible: as they were built.

        Raises:
            InputError: for plans that TensorRT cannot load here, or that are not what the
                manifest says.
        """
        super().__init__()
        self.precision: Precision = precision
        self._names = bundle.manifest.modality_names

        plans: dict[str, Plan] = {}

        def load(graph: str) -> tuple[Signature, Signature, str]:
            path = directory / plan_name(graph)
            plan = plans[graph] = Plan(path, version_compatible)
            return plan.inputs, plan.outputs, str(path)

        self.is_stacked = (directory / plan_name(ALL_ENCODERS)).is_file()
        self._specs, shapes = check_graphs(load, bundle.manifest, precision, self.is_stacked)
        self._features = [
            DeviceArray((len(self._names), *shape), FEATURE_DTYPES[precision]) for shape in shapes
        ]
        self._rasters: dict[str, tuple[PinnedArray, DeviceArray]] = {}
        for name, spec in self._specs.items():
            shape = (1, *spec.shape)
            self._rasters[name] = PinnedArray(shape, spec.dtype), DeviceArray(shape, spec.dtype)
        self._encoders = {
            encoder_graph(name): self._encoder_lane(index, name, plans[encoder_graph(name)])
            for index, name in enumerate(self._names)
        }
        if self.is_stacked:
            self._encoders[ALL_ENCODERS] = self._stacked_lane(plans[ALL_ENCODERS])
        self._decoder = self._decoder_lane(plans[FUSE_DECODE])
        self.description = self._describe()

    def infer(self, rasters: Mapping[str, np.ndarray], present: frozenset[str]) -> Inference:
        """Segment one instant; see `core.inference.Engine`.

        The timings are the GPU's. Encoders run beside one another, so that they may add up to
        more than the whole.
        """
        check_request(rasters, present, self._specs)
        self._present.array[:] = [name in present for name in self._names]
        lanes = {}
        for graph, names in self._to_run(rasters, self._names, present).items():
            # The next raster is staged while the GPU works on this one.
            with self._encoding(names, rasters):
                for name in names:
                    np.copyto(self._rasters[name][0].array[0], rasters[name])
                lanes[graph] = self._encoders[graph]
                lanes[graph].launch()
        self._decoder.launch(after=list(lanes.values()))
        self._decoder.stream.synchronize()
        lanes[FUSE_DECODE] = self._decoder
        timings_ms = {name: lane.elapsed_ms for name, lane in lanes.items()}
        label_map, confidence, router_weights = (
            self._outputs[name].array.copy() for name in _OUTPUTS
        )
        return Inference(label_map, confidence, router_weights, timings_ms)

    def features(self, name: str) -> list[np.ndarray]:
        """What a modality's encoder said last, (1, C, h, w) by level."""
        index, stream = self._names.index(name), self._decoder.stream
        levels = []
        for features in self._features:
            staging = PinnedArray(features.shape, features.dtype.name)
            stream.download(features, staging)
            stream.synchronize()
            levels.append(staging.array[index : index + 1].copy())
        return levels

    def _encoder_lane(self, index: int, name: str, plan: Plan) -> Lane:
        plan.bind('raster', self._rasters[name][1].address)
        for level, features in zip(FEATURE_NAMES, self._features, strict=False):
            slot_bytes = features.nbytes // len(self._names)
            if slot_bytes % ALIGNMENT:
                raise InputError(
                    f'encoder_{name}: expected {level} of a multiple of {ALIGNMENT} bytes, got '
                    f'{slot_bytes}; TensorRT needs a larger input_hw or another backend'
                )
            plan.bind(level, features.address + index * slot_bytes)
        return Lane(plan, uploads=[self._rasters[name]])

    def _stacked_lane(self, plan: Plan) -> Lane:
        for name, (_, raster) in self._rasters.items():
            plan.bind(raster_input(name), raster.address)
        for level, features in zip(FEATURE_NAMES, self._features, strict=False):
            plan.bind(level, features.address)
        return Lane(plan, uploads=list(self._rasters.values()))

    def _decoder_lane(self, plan: Plan) -> Lane:
        for name, features in zip(FEATURE_NAMES, self._features, strict=False):
            plan.bind(name, features.address)
        self._present = PinnedArray((len(self._names),), 'bool')
        present = DeviceArray((len(self._names),), 'bool')
        plan.bind('present', present.address)
        self._outputs, downloads = {}, []
        for name in _OUTPUTS:
            output = DeviceArray(*plan.outputs[name])
            plan.bind(name, output.address)
            self._outputs[name] = PinnedArray(*plan.outputs[name])
            downloads.append((output, self._outputs[name]))
        return Lane(plan, [(self._present, present)], downloads)

    def _describe(self) -> str:
        lanes = [*self._encoders.values(), self._decoder]
        graphs = 'CUDA graphs' if all(lane.has_graph for lane in lanes) else 'no CUDA graphs'
        gpu = describe_gpu()['gpu']
        return f'TensorRT {tensorrt.__version__} {self.precision} on {gpu}, {graphs}'
