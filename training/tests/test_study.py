"""A whole study with real processes, small."""

import os
from pathlib import Path
import signal
import subprocess
import sys
import time

from mle_sam.cli import main
from mle_sam.datasets.shards import write_shard
from mle_sam.datasets.simulated import seed_path
from mle_sam.study.findings import read_findings
from mle_sam_ros.core.record import to_mapping
import pytest
from toy import ToyDataset
import yaml

SOURCES = [str(path) for path in (Path(__file__).parents[1], Path(__file__).parents[2])]


@pytest.fixture
def study(recipe, network, tmp_path) -> list[str]:
    """The command of a study of one network, whose drives are on disk."""
    toy = ToyDataset()
    for seed in (1, 2):
        samples = [toy[index] for index in range(4)]
        write_shard(seed_path(tmp_path / 'drives', seed), samples, network)
    mapping = to_mapping(recipe)
    mapping['data'] |= {
        'root': str(tmp_path / 'drives'),
        'train_seeds': [1, 1],
        'validation_seeds': [2, 2],
    }
    mapping['experts'] |= {'validate_every': 2, 'validate_samples': 2, 'save_every': 2}
    (tmp_path / 'toy.yaml').write_text(yaml.safe_dump(mapping))
    (tmp_path / 'study.yaml').write_text(
        '{networks: [toy.yaml], seeds: [1], condition: day, samples: []}'
    )
    given = {'--study': 'study.yaml', '--runs': 'runs', '--out': 'out', '--jobs': '2'}
    program = [sys.executable, '-m', 'mle_sam.cli', 'study']
    return [*program, *(word for pair in given.items() for word in pair)]


def start(study, tmp_path, *more) -> subprocess.Popen:
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(SOURCES)}
    return subprocess.Popen([*study, *more], cwd=tmp_path, env=environment)


@pytest.mark.slow
def test_a_study_from_nothing_to_its_tables(study, tmp_path):
    killed = start(study, tmp_path)
    trunk = tmp_path / 'runs' / 'trunk' / 'mle_sam' / 'trunk.safetensors'
    while not trunk.exists():
        assert killed.poll() is None
        time.sleep(0.1)
    killed.send_signal(signal.SIGTERM)
    assert killed.wait() == 130
    assert not (tmp_path / 'out' / 'evaluation.json').exists()
    assert start(study, tmp_path).wait() == 0
    findings = read_findings(tmp_path / 'out' / 'evaluation.json')
    assert [run.group for run in findings.runs] == ['all', 'day']
    whole, by_day = findings.runs
    assert [point.step for point in whole.curve] == [2, 4, 6]
    assert len(whole.subsets) == 7
    assert len(by_day.subsets) == 1
    (cost,) = findings.costs
    assert cost.latency_ms > 0
    assert 0 < cost.learning < cost.parameters
    assert '## Overview' in (tmp_path / 'out' / 'evaluation.md').read_text()
    log = tmp_path / 'runs' / 'all' / 'toy_1' / 'log.txt'
    assert log.read_text().count('training on') == 1


def test_tables_alone_train_nothing(study, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*study[3:], '--tables-only']) == 2
    assert 'runs: expected finished runs, got none; train first' in capsys.readouterr().err
    assert not list((tmp_path / 'runs').glob('*/*'))
