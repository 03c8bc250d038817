"""The rows of the GPU benchmark, the machine they are of, and the verdict on the goals."""

from dataclasses import asdict, dataclass, field
import json
import os
from pathlib import Path
import platform
import re
import subprocess
from typing import Any

from gpu_work import measure_rates, Rates
import torch

PRECISIONS = ('float32', 'float16', 'bfloat16')


@dataclass(frozen=True)
class Row:
    """What was measured of one form.

    Attributes:
        name: of the form.
        form: its fields.
        p50_ms: median time of one instant.
        p99_ms: 99th percentile.
        num_calls: that were timed.
        built_s: that it took until the first answer: building, compiling, capturing.
        weights_mb: of the module.
        peak_mb: most memory of the GPU while it ran; None without one.
        gflop: 10^9 operations that the network needs for one instant.
        gigabytes: 10^9 bytes that they move at least.
        ideal_ms: the roofline: time that this machine needs at least for these.
        parity: how far from the plain network in float32.
        is_right: whether that is near enough.
        error: what went wrong; nothing else was measured then.
    """

    name: str
    form: dict[str, Any]
    p50_ms: float | None = None
    p99_ms: float | None = None
    num_calls: int = 0
    built_s: float = 0.0
    weights_mb: float | None = None
    peak_mb: float | None = None
    gflop: float | None = None
    gigabytes: float | None = None
    ideal_ms: float | None = None
    parity: dict[str, float] = field(default_factory=dict)
    is_right: bool = False
    error: str = ''

    @classmethod
    def failed(cls, name: str, form: dict[str, Any], error: Exception) -> 'Row':
        """The row of a form that could not be run here."""
        text = ' '.join(str(error).split())[:300]
        return cls(name, form, error=f'{type(error).__name__}: {text}')

    def line(self) -> str:
        """For the table."""
        if self.error:
            return f'{self.name:58} {self.error[:90]}'
        parity = ' '.join(f'{value:.4g}' for value in self.parity.values())
        memory = f'{self.peak_mb:8.0f}' if self.peak_mb is not None else f'{"-":>8}'
        multiple = self.p50_ms / self.ideal_ms
        return (
            f'{self.name:58} {self.p50_ms:9.3f} {self.p99_ms:9.3f} {multiple:7.2f}'
            f' {memory} {self.built_s:7.1f}  {"" if self.is_right else "WRONG "}{parity}'
        )


class Report:
    """Rows as they come, on the screen and in a file."""

    HEADER = (
        f'{"form":58} {"p50 ms":>9} {"p99 ms":>9} {"x ideal":>7} {"MB":>8} {"built s":>7}  '
        'parity (agreement, confidence, router | features)'
    )

    def __init__(self, size: str, machine: dict[str, Any], path: Path | None):
        self.size, self.machine, self.path = size, machine, path
        self.rows: dict[str, Row] = {}

    @classmethod
    def begin(cls, device: torch.device, size: str, directory: Path | None) -> 'Report':
        """Measure the machine, or go on with the file of an earlier command."""
        facts = machine_facts(device)
        path = directory / f'gpu-{_slug(facts["device"])}-{size}.json' if directory else None
        earlier = json.loads(path.read_text()) if path and path.is_file() else None
        if earlier and {**earlier['machine'], 'rates': None} != {**facts, 'rates': None}:
            raise SystemExit(
                f'{path}: expected rows of this machine and torch, got those of '
                f'{earlier["machine"]}; move the file away'
            )
        if not earlier:
            facts['rates'] = {
                name: asdict(measure_rates(device, getattr(torch, name))) for name in PRECISIONS
            }
        report = cls(size, earlier['machine'] if earlier else facts, path)
        report.rows = {row['name']: Row(**row) for row in (earlier or {'rows': []})['rows']}
        print(json.dumps(report.machine, indent=1))
        print(cls.HEADER, *(row.line() for row in report.rows.values()), sep='\n', flush=True)
        return report

    @property
    def failures(self) -> list[Row]:
        """Rows that failed or are wrong."""
        return [row for row in self.rows.values() if not row.is_right]

    def has(self, name: str, retry: bool = False) -> bool:
        """Whether a form was measured, now or by an earlier command.

        Args:
            name: of the form.
            retry: let what has failed count as not measured.
        """
        return name in self.rows and not (retry and self.rows[name].error)

    def rates(self, dtype: str) -> Rates:
        """What this machine was measured to do."""
        return Rates(**self.machine['rates'][dtype])

    def add(self, row: Row) -> None:
        """Print a row, and write all of them, whole or not at all."""
        self.rows[row.name] = row
        print(row.line(), flush=True)
        if self.path:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            content = {
                'size': self.size,
                'machine': self.machine,
                'rows': [asdict(row) for row in self.rows.values()],
            }
            draft = self.path.with_suffix('.draft')
            draft.write_text(json.dumps(content, indent=1) + '\n')
            draft.replace(self.path)

    def verdict(self) -> str:
        """The goals, with what was measured, at each size; a goal without its rows is left out."""
        sizes = sorted({tuple(row.form['input_hw']) for row in self.rows.values()}, reverse=True)
        lines = ['', 'Fastest of three modalities, a frame in GPU memory, and the goals:']
        for size in sizes:
            lines += [f'  {line}' for line in self._goals(f'{size[0]}x{size[1]}')]
        return '\n'.join(lines)

    def _goals(self, size: str) -> list[str]:
        best = self._fastest(size, 'M3', 'frame')
        if best is None:
            return [f'{size}: nothing right was measured']
        lines = [f'{size}: {best.name}, p50 {best.p50_ms:.3f} ms (goal: 10 ms at 1024x1024)']
        for dtype, goal in (('float32', 5), ('float16', 2)):
            eager = self.rows.get(f'{size} M3 frame merged {dtype} eager')
            if eager and eager.p50_ms:
                ratio = eager.p50_ms / best.p50_ms
                lines.append(f'{ratio:.2f} times as fast as eager {dtype} (goal: {goal})')
        lines.append(f'{best.p50_ms / best.ideal_ms:.2f} times the roofline (goal: 2.5)')
        four = self._fastest(size, 'M4', 'frame')
        three = self.rows.get(four.name.replace(' M4 ', ' M3 ')) if four else None
        if three and three.p50_ms:
            lines.append(f'{four.p50_ms / three.p50_ms:.2f} times as long with four (goal: 1.4)')
        call = self.rows.get(best.name.replace(' frame ', ' call '))
        if call and call.p50_ms:
            lines.append(f'{call.p50_ms - best.p50_ms:.3f} ms more from and to the host (goal: 1)')
        return lines

    def _fastest(self, size: str, *words: str) -> Row | None:
        rows = [
            row
            for row in self.rows.values()
            if row.is_right and {size, *words} <= set(row.name.split())
        ]
        return min(rows, key=lambda row: row.p50_ms, default=None)


def machine_facts(device: torch.device) -> dict[str, Any]:
    """What the figures depend on."""
    facts = {
        'device': platform.processor() or platform.machine(),
        'torch': torch.__version__,
        'python': platform.python_version(),
        'processors': os.cpu_count(),
    }
    if device.type == 'cuda':
        properties = torch.cuda.get_device_properties(device)
        facts |= {
            'device': properties.name,
            'compute_capability': f'{properties.major}.{properties.minor}',
            'multiprocessors': properties.multi_processor_count,
            'memory_mb': properties.total_memory // 10**6,
            'cuda': torch.version.cuda,
            'cudnn': torch.backends.cudnn.version(),
            'driver': _driver(),
        }
    return facts


def _driver() -> str:
    command = ['nvidia-smi', '--query-gpu=driver_version', '--format=csv,noheader']
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return 'unknown'


def _slug(text: str) -> str:
    return re.sub(r'[^a-z0-9]+', '-', text.lower()).strip('-')
