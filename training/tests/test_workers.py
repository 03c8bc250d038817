import os
from pathlib import Path
import subprocess
import sys

from mle_sam.workers import Workers
import torch
from torch import nn

# As torchrun would start them, but meeting in a file: no port is needed.
SCRIPT = """
import os, sys
import torch
from torch import distributed, nn
from mle_sam.workers import Workers
rank = int(os.environ['RANK'])
distributed.init_process_group('gloo', init_method=sys.argv[1], rank=rank, world_size=2)
workers = Workers()
seen, unseen = nn.Parameter(torch.zeros(2, 3)), nn.Parameter(torch.zeros(4))
(seen * (workers.rank + 1)).sum().backward()
if workers.rank == 1:
    (unseen * 8).sum().backward()
workers.average_gradients([seen, unseen])
assert torch.equal(seen.grad, torch.full((2, 3), 1.5)), seen.grad
assert torch.equal(unseen.grad, torch.full((4,), 4.0)), unseen.grad
assert workers.agree(workers.rank == 1)
assert not workers.agree(False)
print('agreed', workers.rank)
"""


def test_two_workers_average_and_agree(tmp_path):
    store = f'file://{tmp_path / "store"}'
    processes = [
        subprocess.Popen(
            [sys.executable, '-c', SCRIPT, store],
            env={**os.environ, 'WORLD_SIZE': '2', 'RANK': str(rank)},
            cwd=Path(__file__).parents[1],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    for rank, process in enumerate(processes):
        output, errors = process.communicate(timeout=100)
        assert output == f'agreed {rank}\n', errors


def test_alone_nothing_is_averaged(monkeypatch):
    monkeypatch.delenv('WORLD_SIZE', raising=False)
    workers, parameter = Workers(), nn.Parameter(torch.ones(2))
    workers.average_gradients([parameter])
    assert parameter.grad is None
    assert workers.is_first
    assert workers.agree(True)
    assert not workers.agree(False)
