"""What is published of `metrics.json` is what is written."""

import json
from pathlib import Path

from bundles import write_tiny_bundle
from jsonschema import Draft202012Validator
from mle_sam_ros.replay import score
from mle_sam_ros.replay.replay import replay, Settings
from mle_sam_ros.replay.score.tallies import SCHEMA
import pytest
from tiny_drive import write_drive

CONTENT = json.loads((Path(score.__file__).parent / 'metrics.schema.json').read_text())


@pytest.fixture(scope='module')
def bundle(tmp_path_factory):
    return write_tiny_bundle(tmp_path_factory.mktemp('bundle') / 'tiny').directory


def test_the_schema_is_one():
    Draft202012Validator.check_schema(CONTENT)
    assert CONTENT['properties']['schema']['const'] == SCHEMA


@pytest.mark.parametrize('with_truth', [True, False])
def test_metrics_follow_the_schema(bundle, tmp_path, with_truth):
    without = () if with_truth else ('/ground_truth/labels',)
    drive = write_drive(tmp_path / 'drive.mcap', 8, without=without)
    settings = Settings(drive, bundle, all_subsets=True, conditions=('night',), threads=1)
    metrics = replay(settings, tmp_path / 'out')
    Draft202012Validator(CONTENT).validate(metrics)
    assert json.loads((tmp_path / 'out' / 'metrics.json').read_text()) == metrics
    # Every figure is described: nothing that is optional is in the metrics of a replay.
    assert set(metrics) == set(CONTENT['required'])
    assert metrics['conditions']['night']['frames'] == 8
    assert metrics['bags'][0]['conditions'] == ['night']
    assert metrics['timeline'][0]['name'] == 'night'
