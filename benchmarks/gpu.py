"""How fast a GPU segments, in which form of the network, and how near that is to the possible.

    make gpu-bench                                          everything, an hour or so
    python benchmarks/gpu.py --only 1024x1024 M3 stacked    forms whose names have all these words
    python benchmarks/gpu.py --list                         only what would be measured

Needs torch, numpy and the modules of `sam2` (what else its package imports is stood in for), and
OpenCV for the forms that are whole engines; no network and no checkpoint: the weights are random,
which changes neither work nor time. From a checkout: PYTHONPATH=.:training, and the directory that
holds `sam2`.

Each form is first compared with the plain network in float32 on the same rasters, then timed by
CUDA events over rotating rasters. A row is printed, and written where --out says, as soon as it is
known: a command that was interrupted, given again, goes on behind the last row.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cache
import gc
from itertools import groupby
from pathlib import Path
from time import perf_counter

from gpu_imports import stand_in_for_what_sam2_imports

stand_in_for_what_sam2_imports()

from gpu_forms import (  # noqa: E402
    build_module,
    Captured,
    Form,
    HostCall,
    inputs_of,
    Step,
    step_of,
    Tensors,
)
from gpu_report import Report, Row  # noqa: E402
from gpu_work import count_work, Work  # noqa: E402
from mle_sam.config import plain_network, SIZES  # noqa: E402
from mle_sam.enlargement import SCALES  # noqa: E402
from mle_sam.models.mle_sam import MleSam  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402

MODALITIES = ('camera', 'event', 'lidar', 'depth')
# The paper's, and two multiples of 224, which need no padding of windows.
SIDES = (1024, 896, 672)
# What may beat torch's own choice; measured one by one, and all together.
FAST_KERNELS = {'attention': 'cudnn', 'windows': 'triton', 'gelu': 'tanh'}
# Whole engines of the runtime; see `gpu_engine`.
ENGINES = ('engine', 'engine-autotune')
NUM_INPUTS = 4
NUM_CLASSES = 25
# The class of the most and of the least likely pixel of a random network are close to each other.
MIN_AGREEMENT = {'float32': 0.999, 'float16': 0.98, 'bfloat16': 0.9}
MAX_FEATURE_ERROR = {'float32': 1e-4, 'float16': 0.01, 'bfloat16': 0.05}


def main() -> int:
    arguments = parse_arguments()
    device = torch.device(arguments.device)
    wanted = [f for f in plan(arguments) if set(arguments.only) <= set(f.name.split())]
    forms = [form for form in wanted if device.type == 'cuda' or not form.graph]
    if arguments.list:
        print(*(form.name for form in forms), sep='\n')
        return 0
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.set_grad_enabled(False)
    report = Report.begin(device, arguments.size, arguments.out)
    bench = Bench(arguments.size, device, arguments.seconds, report)
    for module, group in groupby(forms, lambda form: form.module):
        if todo := [form for form in group if not report.has(form.name, arguments.retry)]:
            bench.run(module, todo)
    if len(forms) < len(wanted):
        print(f'\n{len(wanted) - len(forms)} forms with a CUDA graph need a GPU: left out')
    print(report.verdict())
    return 1 if report.failures else 0


def plan(arguments: argparse.Namespace) -> Iterator[Form]:
    """Every form to measure, the most telling first; those of one module in a row."""
    sizes = arguments.input
    first, *others = [Form(size, 3, 'merged', 'float16') for size in sizes]
    yield from _eager(first)
    yield from _compiled(first)
    for other in others:
        for dtype in ('float32', 'float16'):
            yield replace(other, dtype=dtype)
        for batching in ('merged', 'stacked'):
            compiled = replace(other, batching=batching, compiler='compile')
            yield from _graphs(compiled)
            yield from _graphs(replace(compiled, **FAST_KERNELS))
    yield from _by_modalities(first)
    yield from _by_part(first)
    for form in (first, *others):
        for batching in ('stacked', 'merged'):
            patient = replace(form, batching=batching, compiler='autotune')
            yield from _graphs(patient)
            yield from _graphs(replace(patient, **FAST_KERNELS))
    for compiler in ENGINES:
        yield replace(first, compiler=compiler, part='call')
    yield replace(first, compiler='engine', part='call', modalities=2)
    for batching in ('merged', 'stacked'):
        ahead = replace(first, batching=batching, compiler='aoti')
        yield ahead
        yield replace(ahead, graph=True)
        yield replace(ahead, graph=True, **FAST_KERNELS)


def _eager(first: Form) -> Iterator[Form]:
    for dtype in ('float32', 'float16'):
        for batching in ('plain', 'merged'):
            yield replace(first, dtype=dtype, batching=batching)
    yield replace(first, graph=True)
    yield replace(first, dtype='bfloat16')
    for batching in ('stacked', 'low_rank'):
        yield replace(first, batching=batching)
        yield replace(first, batching=batching, graph=True)


def _compiled(first: Form) -> Iterator[Form]:
    compiled = replace(first, compiler='compile')
    for batching in ('merged', 'stacked', 'low_rank'):
        yield replace(compiled, batching=batching)
        yield from _graphs(replace(compiled, batching=batching))
    yield from _graphs(replace(compiled, batching='streams'))
    stacked = replace(compiled, batching='stacked', graph=True)
    yield replace(stacked, dtype='bfloat16')
    for name, value in FAST_KERNELS.items():
        yield replace(stacked, **{name: value})
    for batching in ('merged', 'streams', 'stacked'):
        yield from _graphs(replace(compiled, batching=batching, **FAST_KERNELS))
    yield replace(stacked, decoder='float32')


def _by_modalities(first: Form) -> Iterator[Form]:
    for modalities in (1, 2, 4):
        for batching in ('merged', 'stacked'):
            yield replace(
                first, modalities=modalities, batching=batching, compiler='compile', graph=True
            )


def _by_part(first: Form) -> Iterator[Form]:
    part = replace(first, compiler='compile', graph=True)
    yield replace(part, part='encoders', modalities=1)
    yield replace(part, part='encoders', batching='stacked')
    yield replace(part, part='fuse_decode')


def _graphs(form: Form) -> Iterator[Form]:
    yield replace(form, graph=True)
    yield replace(form, graph=True, part='call')


class Bench:
    """Builds, compares and times forms, one module at a time."""

    def __init__(self, size: str, device: torch.device, seconds: float, report: Report):
        self.size, self.device, self.seconds, self.report = size, device, seconds, report

    def run(self, module_form: Form, forms: list[Form]) -> None:
        """Measure the forms that run one module; what goes wrong becomes their rows."""
        start_s = perf_counter()
        try:
            inputs = self._inputs(module_form)
            with self._step(module_form, inputs[0]) as (step, weights_mb):
                for form in forms:
                    row = self._measured(form, step, inputs, start_s)
                    self.report.add(replace(row, weights_mb=weights_mb))
                    start_s = perf_counter()
        except Exception as error:  # compilers and kernels fail in ways of their own
            for form in forms:
                if not self.report.has(form.name, retry=True):
                    self.report.add(Row.failed(form.name, asdict(form), error))
            self._check_gpu()
        finally:
            inputs = step = None
            self._forget()

    @contextmanager
    def _step(self, form: Form, example: Tensors) -> Iterator[tuple[Step, float | None]]:
        """What runs a module, and the size of its weights in 10^6 bytes."""
        model = random_model(self.size, form.input_hw, columns_of(form))
        if form.compiler in ENGINES:
            # Imported here: nothing else needs the engines.
            from gpu_engine import engine_step

            rasters = rasters_of(replace(form, modalities=columns_of(form)), 0)
            with engine_step(form, model, rasters) as step:
                yield step, None
            return
        module = build_module(form, model).to(self.device)
        weights_mb = sum(_bytes(tensor) for tensor in module.state_dict().values()) / 1e6
        with step_of(form, module, example) as step:
            yield step, round(weights_mb, 1)

    def _measured(self, form: Form, step: Step, inputs: list[Tensors], start_s: float) -> Row:
        self._forget()
        if form.graph:
            step = Captured(step, inputs[0])
        if form.part == 'call':
            inputs = [tuple(tensor.cpu() for tensor in one) for one in inputs]
        if form.part == 'call' and form.compiler not in ENGINES:
            step = HostCall(step, inputs[0], self.device)
        parity = self._parity(form, [t.cpu() for t in step(inputs[0])])
        built_s = perf_counter() - start_s
        times_ms = self._times_ms(form, step, inputs)
        work = work_of(
            self.size,
            Form(form.input_hw, form.modalities, 'stacked', form.dtype, part=form.module.part),
        )
        return Row(
            form.name,
            asdict(form),
            *(round(float(np.percentile(times_ms, p)), 4) for p in (50, 99)),
            num_calls=len(times_ms),
            built_s=round(built_s, 1),
            peak_mb=self._peak_mb(),
            gflop=round(work.gflop, 2),
            gigabytes=round(work.gigabytes, 4),
            ideal_ms=round(work.ideal_ms(self.report.rates(form.dtype)), 4),
            parity=parity,
            is_right=is_right(form, parity),
        )

    def _times_ms(self, form: Form, step: Step, inputs: list[Tensors]) -> list[float]:
        for index in range(10 if self.device.type == 'cuda' else 1):
            step(inputs[index % NUM_INPUTS])
        on_gpu = self.device.type == 'cuda' and form.part != 'call'
        if self.device.type == 'cuda':
            torch.cuda.synchronize()
        times_ms: list[float] = []
        end_s = perf_counter() + self.seconds
        while len(times_ms) < 3 or perf_counter() < end_s:
            one = inputs[len(times_ms) % NUM_INPUTS]
            times_ms.append((_gpu_ms if on_gpu else _host_ms)(step, one))
        return times_ms

    def _inputs(self, form: Form) -> list[Tensors]:
        """Rasters, or for the decoder features, that differ from set to set, on the device."""
        if form.part != 'fuse_decode':
            return [self._on_device(rasters_of(form, seed)) for seed in range(NUM_INPUTS)]
        features = [self._reference(form, seed)['features'] for seed in range(NUM_INPUTS)]
        return [self._on_device(inputs_of(form, (), one)) for one in features]

    def _on_device(self, tensors: Tensors) -> Tensors:
        return tuple(tensor.to(self.device) for tensor in tensors)

    def _parity(self, form: Form, got: list[torch.Tensor]) -> dict[str, float]:
        """How far a form is from the plain network in float32."""
        reference = self._reference(form, 0)
        if form.part == 'encoders':
            pairs = zip(got, reference['features'], strict=True)
            errors = [(a.float() - b).norm() / b.norm() for a, b in pairs]
            return {'feature_error': float(max(errors))}
        label_map, confidence, weights = reference['answer']
        difference = (got[1].float() - confidence.float()).abs()
        return {
            'agreement': float((got[0] == label_map).float().mean()),
            'confidence_error': float(np.quantile(difference.numpy(), 0.999)),
            'router_error': float((got[2] - weights).abs().max()),
        }

    def _reference(self, form: Form, seed: int) -> dict[str, Tensors]:
        return reference_of(self.size, self.device, form.input_hw, form.modalities, seed)

    def _check_gpu(self) -> None:
        """End the command where a kernel has broken the GPU's context: nothing runs in it."""
        try:
            if self.device.type == 'cuda':
                torch.cuda.synchronize()
        except RuntimeError as error:
            raise SystemExit(f'the GPU is lost ({error}); the same command goes on') from None

    def _peak_mb(self) -> float | None:
        if self.device.type != 'cuda':
            return None
        return round(torch.cuda.max_memory_reserved() / 1e6, 1)

    def _forget(self) -> None:
        gc.collect()
        if self.device.type == 'cuda':
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()


def columns_of(form: Form) -> int:
    """Modalities of the network: three, of which some may be absent, or as many as are present."""
    return max(3, form.modalities)


@cache
@torch.no_grad()
def random_model(size: str, input_hw: tuple[int, int], columns: int) -> MleSam:
    """A network whose experts and routers are all different, on the host."""
    torch.manual_seed(0)
    model = MleSam(plain_network(size, MODALITIES[:columns], NUM_CLASSES, input_hw)).eval()
    for name, parameter in model.named_parameters():
        if '.experts.' in name or '.routers.' in name:
            parameter.add_(0.02 * torch.randn_like(parameter))
    return model


def rasters_of(form: Form, seed: int) -> Tensors:
    """Rasters (1, H, W, 3) of those present: uint8, and float32 for LiDAR, as vehicles have them.

    Random, and with large structures: on noise alone a network would say the same everywhere.
    """
    random = torch.Generator().manual_seed(seed)
    rasters = []
    for name in MODALITIES[: form.modalities]:
        coarse = torch.rand(1, 3, 8, 8, generator=random)
        scene = torch.nn.functional.interpolate(coarse, form.input_hw, mode='bicubic')
        noise = 0.1 * torch.rand(1, 3, *form.input_hw, generator=random)
        raster = (4 * (scene + noise)).permute(0, 2, 3, 1).contiguous()
        rasters.append(raster if name == 'lidar' else raster.clamp(0, 255).to(torch.uint8))
    return tuple(rasters)


@cache
def reference_of(
    size: str, device: torch.device, input_hw: tuple[int, int], modalities: int, seed: int
) -> dict[str, Tensors]:
    """What the plain network says in float32, on the host: `answer`, and `features` by level."""
    form = Form(input_hw, modalities, 'plain', 'float32')
    model = random_model(size, input_hw, columns_of(form))
    plain = build_module(form, model).to(device)
    rasters = [raster.to(device) for raster in rasters_of(form, seed)]
    return {
        'answer': tuple(tensor.cpu() for tensor in plain(*rasters)),
        'features': tuple(tensor.cpu() for tensor in plain.features(*rasters)),
    }


@cache
def work_of(size: str, form: Form) -> Work:
    """What a form must do at least, in its precision."""
    model = random_model(size, form.input_hw, columns_of(form))
    module = build_module(form, model).to('meta')
    height, width = form.input_hw
    shapes = [
        (form.modalities, channels, height // scale, width // scale)
        for channels, scale in zip(model.config.widths.feature_channels, SCALES, strict=True)
    ]
    features = tuple(torch.empty(shape, device='meta') for shape in shapes)
    rasters = tuple(raster.to('meta') for raster in rasters_of(form, 0))
    return count_work(module, inputs_of(form, rasters, features))


def is_right(form: Form, parity: dict[str, float]) -> bool:
    """Whether a form computes the same network, as near as its precision allows."""
    if 'feature_error' in parity:
        return parity['feature_error'] <= MAX_FEATURE_ERROR[form.dtype]
    return parity['agreement'] >= MIN_AGREEMENT[form.dtype]


def _gpu_ms(step: Step, inputs: Tensors) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    step(inputs)
    end.record()
    end.synchronize()
    return start.elapsed_time(end)


def _host_ms(step: Step, inputs: Tensors) -> float:
    start_s = perf_counter()
    step(inputs)
    return 1000 * (perf_counter() - start_s)


def _bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--device', choices=('cuda', 'cpu'), default='cuda')
    parser.add_argument('--size', choices=SIZES, default='base_plus')
    parser.add_argument(
        '--input',
        type=int,
        nargs=2,
        action='append',
        metavar=('HEIGHT', 'WIDTH'),
        help='once or more; the first is measured in every form (default: squares of '
        f'{", ".join(map(str, SIDES))})',
    )
    parser.add_argument('--only', nargs='+', default=[], help='words that names must have')
    parser.add_argument('--seconds', type=float, default=2.0, help='of timing per form')
    parser.add_argument('--out', type=Path, help='directory for gpu-<machine>.json')
    parser.add_argument('--retry', action='store_true', help='measure again what has failed')
    parser.add_argument('--list', action='store_true', help='print the names of the forms')
    arguments = parser.parse_args()
    arguments.input = [tuple(hw) for hw in arguments.input or [(s, s) for s in SIDES]]
    if arguments.device == 'cuda' and not arguments.list and not torch.cuda.is_available():
        parser.error('expected a CUDA GPU, got none; give --device cpu to try the command itself')
    return arguments


if __name__ == '__main__':
    raise SystemExit(main())
