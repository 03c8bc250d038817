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
workers = Workers('cpu')

class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.seen, self.unseen, self.nowhere = (nn.Parameter(torch.ones(3)) for _ in range(3))

    def forward(self, factor, sees_all):
        loss = (self.seen * factor).sum()
        return loss + (self.unseen * 8).sum() if sees_all else loss

pair = Pair()
joined = workers.joined(pair)
joined(rank + 1, rank == 1).backward()
assert torch.equal(pair.seen.grad, torch.full((3,), 1.5)), pair.seen.grad
assert torch.equal(pair.unseen.grad, torch.full((3,), 4.0)), pair.unseen.grad
assert pair.nowhere.grad is None

pair.zero_grad()
with workers.apart(joined):
    joined(10, rank == 1).backward()  # only the first part sees all
joined(rank + 1, False).backward()
assert torch.equal(pair.seen.grad, torch.full((3,), 11.5)), pair.seen.grad
assert torch.equal(pair.unseen.grad, torch.full((3,), 4.0)), pair.unseen.grad
assert pair.nowhere.grad is None

assert workers.agree(workers.rank == 1)
assert not workers.agree(False)
assert torch.equal(workers.sum(torch.tensor([rank, 2])), torch.tensor([1, 4]))
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
        output, errors = process.communicate(timeout=300)
        assert output == f'agreed {rank}\n', errors


def test_alone_nothing_is_shared(monkeypatch):
    monkeypatch.delenv('WORLD_SIZE', raising=False)
    workers, module = Workers('cpu'), nn.Linear(2, 2)
    assert workers.joined(module) is module
    with workers.apart(module):
        module(torch.ones(1, 2)).sum().backward()
    assert torch.equal(module.bias.grad, torch.ones(2))
    assert workers.is_first
    assert workers.agree(True)
    assert not workers.agree(False)
