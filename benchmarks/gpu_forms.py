"""The forms in which a network can run on a GPU: how batched, how precise, how compiled."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import copy
from dataclasses import dataclass, replace
from pathlib import Path
import tempfile

from mle_sam.export.variants import cast, Frame, fuse_decode, Kernels, StackedEncoder
from mle_sam.models.mle_sam import MleSam
import torch
from torch import nn
from torch.nn.attention import sdpa_kernel, SDPBackend

Tensors = tuple[torch.Tensor, ...]
Step = Callable[[Tensors], Tensors]

BATCHINGS = ('plain', 'merged', 'streams', 'stacked', 'low_rank')
# What torch's compiler is asked for: its first idea, or the fastest of all that it can think of.
COMPILERS = {
    'compile': {},
    'autotune': {'max_autotune': True, 'coordinate_descent_tuning': True},
}


@dataclass(frozen=True)
class Form:
    """One way to run a network; the fields, joined, are its name.

    Attributes:
        input_hw: size of the rasters.
        modalities: how many are present.
        batching: `plain` (the network as it was trained), `merged` (one encoder each), `streams`
            (likewise, side by side), `stacked` (one pass, a qkv weight each) or `low_rank` (one
            pass, shared weight and update).
        dtype: of the matrix products.
        compiler: `eager`, one of `COMPILERS`, or `aoti`; or an engine, see `gpu_engine`.
        graph: whether it is captured as a CUDA graph.
        part: `frame`, `encoders` or `fuse_decode` from and to the GPU's memory, or `call`, a frame
            from and to that of the host.
        attention: `default` leaves the choice of the kernel to torch; or `cudnn`.
        windows: what computes attention within windows, `torch` or `triton`.
        gelu: `exact`, or the `tanh` that cuBLAS fuses; see `variants.Kernels`.
        decoder: `same` precision as the encoders, or `float32`.
    """

    input_hw: tuple[int, int]
    modalities: int
    batching: str
    dtype: str
    compiler: str = 'eager'
    graph: bool = False
    part: str = 'frame'
    attention: str = 'default'
    windows: str = 'torch'
    gelu: str = 'exact'
    decoder: str = 'same'

    @property
    def name(self) -> str:
        """What tells it from every other one."""
        return ' '.join(
            [
                f'{self.input_hw[0]}x{self.input_hw[1]}',
                f'M{self.modalities}',
                self.part,
                self.batching,
                self.dtype,
                self.compiler,
                *(['graph'] if self.graph else []),
                *([self.attention] if self.attention != 'default' else []),
                *([f'{self.windows}-windows'] if self.windows != 'torch' else []),
                *([f'{self.gelu}-gelu'] if self.gelu != 'exact' else []),
                *([f'decoder-{self.decoder}'] if self.decoder != 'same' else []),
            ]
        )

    @property
    def torch_dtype(self) -> torch.dtype:
        """The precision, for torch."""
        return getattr(torch, self.dtype)

    @property
    def module(self) -> 'Form':
        """The form whose module this one runs: captured and called ones run the same."""
        part = 'frame' if self.part == 'call' else self.part
        return replace(self, graph=False, part=part)


def build_module(form: Form, model: MleSam) -> nn.Module:
    """The network, or the part of it, that a form runs; not compiled, on the model's device.

    It takes what `inputs_of` gives, and answers as `Frame`, or as its part does.
    """
    names = model.config.modality_names[: form.modalities]
    if form.batching == 'plain':
        return Plain(copy.deepcopy(model), names, form.torch_dtype).eval()
    is_split = form.batching in ('merged', 'streams')
    groups = [(name,) for name in names] if is_split else [names]
    experts = 'low_rank' if form.batching == 'low_rank' else 'merged'
    kernels = Kernels(form.windows, form.gelu)
    encoders = [StackedEncoder(model, group, experts, kernels) for group in groups]
    frame = Frame(encoders, fuse_decode(model), len(model.config.modalities)).eval()
    cast(frame.encoders, form.torch_dtype)
    cast(frame.decoder, form.torch_dtype if form.decoder == 'same' else torch.float32)
    frame.requires_grad_(False)
    if form.part == 'encoders':
        return _Encoders(frame)
    return _Decoder(frame) if form.part == 'fuse_decode' else frame


def inputs_of(form: Form, rasters: Tensors, features: Tensors) -> Tensors:
    """What a form's module takes: rasters, or features (M, C, h, w) by level."""
    if form.part != 'fuse_decode':
        return rasters
    return tuple(level.to(form.torch_dtype) for level in features)


@contextmanager
def step_of(form: Form, module: nn.Module, example: Tensors) -> Iterator[Step]:
    """Compile a module, as long as one is in the context.

    Args:
        form: how.
        module: from `build_module`, on the device.
        example: inputs of the shapes to come.
    """
    torch._dynamo.reset()  # or it would count the modules of all forms against its limit
    with attention_of(form), torch.no_grad():
        if form.batching == 'streams':
            yield _on_streams(module, COMPILERS[form.compiler])
        elif form.compiler == 'eager':
            yield lambda inputs: module(*inputs)
        elif form.compiler == 'aoti':
            with tempfile.TemporaryDirectory() as room:
                yield _ahead_of_time(module, example, Path(room) / 'module.pt2')
        else:
            compiled = _compiled(module, COMPILERS[form.compiler])
            yield lambda inputs: compiled(*inputs)


@contextmanager
def attention_of(form: Form) -> Iterator[None]:
    """Ask for the attention kernel of a form."""
    if form.attention == 'default':
        yield
        return
    others = [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]
    with sdpa_kernel([SDPBackend.CUDNN_ATTENTION, *others], set_priority=True):
        yield


class Captured:
    """A step as a CUDA graph, with its own inputs; what it answers, the next call overwrites."""

    def __init__(self, step: Step, example: Tensors):
        self._inputs = tuple(tensor.clone() for tensor in example)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                step(self._inputs)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._outputs = step(self._inputs)

    def __call__(self, inputs: Tensors) -> Tensors:
        """Copy inputs of the GPU and run."""
        for own, given in zip(self._inputs, inputs, strict=True):
            own.copy_(given)
        self._graph.replay()
        return self._outputs


class HostCall:
    """A step with inputs and outputs in the memory of the host, as an engine has them."""

    def __init__(self, step: Step, example: Tensors, device: torch.device):
        self._step, self._device = step, device
        self._inputs = tuple(tensor.to(device).clone() for tensor in example)
        self._pinned = tuple(self._host_memory(tensor) for tensor in example)
        self._answers: Tensors = tuple(self._host_memory(t) for t in step(self._inputs))

    def __call__(self, inputs: Tensors) -> Tensors:
        """Copy inputs of the host in, run, and copy the result out; returns when it is there."""
        for own, pinned, given in zip(self._inputs, self._pinned, inputs, strict=True):
            pinned.copy_(given)
            own.copy_(pinned, non_blocking=True)
        for answer, output in zip(self._answers, self._step(self._inputs), strict=True):
            answer.copy_(output, non_blocking=True)
        if self._device.type == 'cuda':
            torch.cuda.synchronize()
        return self._answers

    def _host_memory(self, tensor: torch.Tensor) -> torch.Tensor:
        is_gpu = self._device.type == 'cuda'
        return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=is_gpu)


class Plain(nn.Module):
    """The network as it was trained; in half precision by torch's automatic casts."""

    def __init__(self, model: MleSam, names: tuple[str, ...], dtype: torch.dtype):
        super().__init__()
        self.model, self.names, self.dtype = model, names, dtype

    def forward(self, *rasters: torch.Tensor) -> Tensors:
        """Segment one instant; see `Frame`."""
        with torch.autocast(rasters[0].device.type, self.dtype, self.dtype != torch.float32):
            levels = self.features(*rasters)
            num_columns = len(self.model.config.modalities)
            present = torch.arange(num_columns, device=rasters[0].device) < len(self.names)
            absent = num_columns - len(self.names)
            levels = [
                torch.cat([level, level.new_zeros(absent, *level.shape[1:])])[:, None]
                for level in levels
            ]
            segmentation = self.model.decode(levels, present[None])
            logits = self.model.logits(segmentation)[0].float()
        top, label_map = logits.max(0)
        confidence = 1.0 / (logits - top).exp().sum(0)
        return (
            label_map.to(torch.uint8),
            (confidence * 255.0).round().to(torch.uint8),
            segmentation.router_weights_BLM[0].float(),
        )

    def features(self, *rasters: torch.Tensor) -> Tensors:
        """Maps (M, C, h, w) by level."""
        pairs = zip(rasters, self.names, strict=True)
        maps = [self.model.encode(raster, name) for raster, name in pairs]
        return tuple(torch.cat(level) for level in zip(*maps, strict=True))


class _Encoders(nn.Module):
    def __init__(self, frame: Frame):
        super().__init__()
        self.frame = frame
        frame.decoder = nn.Identity()

    def forward(self, *rasters: torch.Tensor) -> Tensors:
        return self.frame.encode(*rasters)


class _Decoder(nn.Module):
    def __init__(self, frame: Frame):
        super().__init__()
        self.frame = frame
        frame.encoders = nn.ModuleList()

    def forward(self, *levels: torch.Tensor) -> Tensors:
        return self.frame.decode(*levels)


def _compiled(module: nn.Module, options: dict[str, bool]) -> nn.Module:
    return torch.compile(module, fullgraph=True, dynamic=False, options=options)


def _on_streams(frame: Frame, options: dict[str, bool]) -> Step:
    """Every encoder on a stream of its own; to be captured, which keeps the order."""
    encoders = [_compiled(encoder, options) for encoder in frame.encoders]
    decode = _compiled(_Decoder(frame), options)
    streams = [torch.cuda.Stream() for _ in encoders]

    def step(inputs: Tensors) -> Tensors:
        current, encoded = torch.cuda.current_stream(), []
        for stream, encoder, raster in zip(streams, encoders, inputs, strict=True):
            stream.wait_stream(current)
            with torch.cuda.stream(stream):
                encoded.append(encoder(raster))
        for stream in streams:
            current.wait_stream(stream)
        return decode(*(torch.cat(level) for level in zip(*encoded, strict=True)))

    return step


def _ahead_of_time(module: nn.Module, example: Tensors, path: Path) -> Step:
    program = torch.export.export(module, example)
    torch._inductor.aoti_compile_and_package(program, package_path=str(path))
    package = torch._inductor.aoti_load_package(str(path), run_single_threaded=True)
    return lambda inputs: package(*inputs)
