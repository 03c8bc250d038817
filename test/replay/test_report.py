"""The report stands alone, and says what the metrics say."""

from html.parser import HTMLParser
import re
import shutil
import subprocess

import cv2
from mle_sam_ros.core.account import FrameAccount
from mle_sam_ros.replay.evaluation import Evaluation
from mle_sam_ros.replay.report import write_report
import numpy as np
import pytest
from sample_frames import MANIFEST, sample_frames

VOID = {'meta', 'img', 'br', 'line', 'polyline', 'polygon'}


class Page(HTMLParser):
    """Collects the text and every address; checks that elements are closed in order."""

    def __init__(self, path):
        super().__init__()
        self.addresses, self.words, self.open = [], [], []
        self.feed(path.read_text())
        self.text = ' '.join(' '.join(self.words).split())
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.addresses += [value for name, value in attributes if name in ('src', 'href')]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != 'style':
            self.words.append(data)


def write(path, count):
    evaluation, frames = Evaluation(MANIFEST), list(sample_frames(count))
    for frame in frames:
        evaluation.add(frame)
    account = FrameAccount(received=count + 3, emitted=count, superseded=3)
    metrics = {
        **evaluation.metrics(account.to_mapping(), 3),
        'faults': {'lidar: expected a <rigid> transform, got "bent"; mend it': 3},
        'bag': {'name': 'drive & co.mcap', 'sha256': 'b' * 64},
        'bundle': {'name': 'tiny', 'revision': 'abc', 'sha256': 'a' * 64},
        'arguments': {'drop': [], 'all_subsets': True, 'engine': 'onnx'},
        'latency_ms': evaluation.latency_ms(),
    }
    write_report(path, 'Replay of drive & co', metrics, evaluation, frames[:: max(1, count // 4)])
    return metrics


def test_the_page_says_what_the_metrics_say(tmp_path):
    metrics = write(tmp_path / 'report.html', 40)
    page = Page(tmp_path / 'report.html')
    assert 'Replay of drive & co' in page.text
    assert f'{100 * metrics["miou"]:.1f} %' in page.text
    assert '40 of 43 camera frames' in page.text
    assert 'lidar: expected a <rigid> transform, got "bent"; mend it' in page.text
    for name, iou in metrics['iou'].items():
        shown = '–' if iou is None else f'{100 * iou:.1f}'
        assert re.search(rf'{name.replace("_", " ")} {shown} ', page.text)
    assert len(re.findall('features at 1/(4|8|16) of', page.text)) == 3


def test_nothing_is_fetched(tmp_path):
    write(tmp_path / 'report.html', 8)
    page = Page(tmp_path / 'report.html')
    assert len(page.addresses) >= 4 * 5
    assert all(address.startswith('data:image/jpeg;base64,') for address in page.addresses)
    text = (tmp_path / 'report.html').read_text()
    assert 'http' not in text
    assert 'url(' not in text
    assert '@import' not in text
    assert '<script' not in text


@pytest.mark.parametrize('count', [0, 1, 2])
def test_short_drives_have_a_page_too(tmp_path, count):
    write(tmp_path / 'report.html', count)
    assert f'{count} of {count + 3} camera frames' in Page(tmp_path / 'report.html').text


@pytest.mark.slow
def test_a_browser_shows_it(tmp_path):
    browser = shutil.which('chromium') or shutil.which('google-chrome')
    if browser is None:
        pytest.skip('no Chromium on this machine')
    write(tmp_path / 'report.html', 20)
    subprocess.run(
        [
            browser, '--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars',
            f'--user-data-dir={tmp_path / "profile"}', '--window-size=500,900',
            f'--screenshot={tmp_path / "page.png"}', (tmp_path / 'report.html').as_uri(),
        ],
        check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    page = cv2.imread(str(tmp_path / 'page.png'))
    assert page.shape == (900, 500, 3)
    # Text, pictures and plots, not an empty sheet; and nothing runs over the right edge.
    assert len(np.unique(page.reshape(-1, 3), axis=0)) > 200
    assert (page[:, -6:] == page[0, -1]).all()
