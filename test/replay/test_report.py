"""The report stands alone, and says what the metrics say."""

from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
import re

from mle_sam_ros.replay.aggregate import FleetRow
from mle_sam_ros.replay.report.glossary import WORDS
from mle_sam_ros.replay.report.report import write_report
from mle_sam_ros.replay.score.latency import Latency
import pytest
from sample_frames import MANIFEST, sample_frames
from sample_report import FAULT, troubled_frames, write_sample_report

VOID = {'meta', 'img', 'br', 'line', 'polyline', 'polygon', 'wbr'}


class Page(HTMLParser):
    """Collects the text and every address; checks that elements are closed in order."""

    def __init__(self, path):
        super().__init__()
        self.addresses, self.ids, self.words, self.open = [], [], [], []
        self.feed(path.read_text())
        self.text = ' '.join(' '.join(self.words).split())
        assert self.open == []
        assert len(set(self.ids)) == len(self.ids)

    def handle_starttag(self, tag, attributes):
        self.addresses += [value for name, value in attributes if name in ('src', 'href')]
        self.ids += [value for name, value in attributes if name == 'id']
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ('style', 'script'):
            self.words.append(data)


def test_the_page_says_what_the_metrics_say(tmp_path):
    metrics = write_sample_report(tmp_path / 'report.html', sample_frames(40))
    page = Page(tmp_path / 'report.html')
    assert 'Replay of drive & co' in page.text
    assert f'{100 * metrics["miou"]:.1f} %' in page.text
    assert '40 of 43 camera frames' in page.text
    assert FAULT in page.text
    for name, iou in metrics['iou'].items():
        shown = '–' if iou is None else f'{100 * iou:.1f}'
        assert re.search(rf'{name.replace("_", " ")} {shown} ', page.text)
    assert len(re.findall(r'trust, level \d \(1/(4|8|16) of', page.text)) == 3
    assert 'rig.motion none' in page.text


def test_the_worst_frame_and_its_cause_stand_on_top(tmp_path):
    write_sample_report(tmp_path / 'report.html', troubled_frames(80))
    text = Page(tmp_path / 'report.html').text
    assert re.search(
        r'Worst frame: t = 2\.50 s, frame mIoU \d+\.\d %\. Probable cause: camera absent , from 2',
        text,
    )
    assert text.index('Worst frame:') < text.index('all pixels of')
    assert re.search(
        r'camera absent , from 2\.00 to 3\.00 s\. Frames with it \(20 of the drive\) have a mean',
        text,
    )
    assert 'over exposure (noted in the recording)' in text


def test_no_cause_is_made_up(tmp_path):
    frames = list(sample_frames(80))
    calm = [replace(frame, present=frames[0].present, rasters=frames[0].rasters,
                    image=frames[0].image) for frame in frames]  # fmt: skip
    write_sample_report(tmp_path / 'report.html', calm)
    text = Page(tmp_path / 'report.html').text
    assert 'No cause found in the data. No sensor is absent, stale or nearly empty' in text
    spoiled = frames[25].label_map.copy()
    spoiled[:, :20] = 3
    frames[25] = replace(frames[25], label_map=spoiled)
    write_sample_report(tmp_path / 'harmless.html', frames)
    text = Page(tmp_path / 'harmless.html').text
    assert 'Here is lidar absent, but such frames are no worse than others' in text


def test_without_ground_truth_the_least_sure_are_shown(tmp_path):
    frames = [replace(frame, truth=None) for frame in sample_frames(60)]
    metrics = write_sample_report(tmp_path / 'report.html', frames)
    text = Page(tmp_path / 'report.html').text
    assert metrics['miou'] is None
    assert 'where the model is least sure of itself' in text
    assert 'Worst frame: t = ' in text
    assert 'No ground truth.' in text
    assert 'error map' not in text.lower()


def test_nothing_is_fetched(tmp_path):
    write_sample_report(tmp_path / 'report.html', sample_frames(8))
    page = Page(tmp_path / 'report.html')
    pictures = [item for item in page.addresses if item.startswith('data:image/jpeg;base64,')]
    links = [item.removeprefix('#') for item in page.addresses if item not in pictures]
    assert len(pictures) >= 4 * 5
    assert set(links) <= set(page.ids)
    text = (tmp_path / 'report.html').read_text()
    assert 'http' not in text.replace('http-equiv', '')
    assert 'url(' not in text
    assert '@import' not in text
    assert "default-src 'none'" in text


def test_it_repeats_byte_for_byte(tmp_path):
    for name in ('one.html', 'other.html'):
        write_sample_report(tmp_path / name, troubled_frames(30))
    assert (tmp_path / 'one.html').read_bytes() == (tmp_path / 'other.html').read_bytes()


@pytest.mark.parametrize('count', [0, 1, 2])
def test_short_drives_have_a_page_too(tmp_path, count):
    write_sample_report(tmp_path / 'report.html', sample_frames(count) if count else ())
    assert f'{count} of {count + 3} camera frames' in Page(tmp_path / 'report.html').text


def test_a_clock_that_jumps_back_spoils_no_page(tmp_path):
    frames = list(sample_frames(40))
    jumped = [replace(frame, stamp_ns=frame.stamp_ns // 2) for frame in frames]
    metrics = write_sample_report(tmp_path / 'report.html', [*frames, *jumped])
    text = Page(tmp_path / 'report.html').text
    assert metrics['frames_scored'] == 80
    assert '80 of 83 camera frames' in text


def test_a_node_is_compared_with_the_replay(tmp_path):
    agreement = {
        'frames_compared': 20,
        'identical': 0.9,
        'pixels_equal': 0.99,
        'frames_with_same_inputs': 18,
        'identical_with_same_inputs': 1.0,
    }
    delivery = {'camera': {'sent': 23, 'received': 20}, 'masks': {'sent': 20, 'received': 20}}
    path = tmp_path / 'report.html'
    write_sample_report(path, sample_frames(20), agreement=agreement, delivery=delivery)
    text = Page(path).text
    assert 'of those with the same input 100.0 % of 18' in text
    assert 'camera 23 20 3 masks 20 20 0' in text
    assert 'repeat exactly' not in text


def test_a_fleet_has_a_row_for_each_recording(tmp_path):
    metrics = write_sample_report(tmp_path / 'one.html', sample_frames(20))
    metrics |= {'bags': [metrics['bags'][0], {**metrics['bags'][0], 'name': 'second.mcap'}]}
    rows = [
        FleetRow('monday', ('night',), 1.0, 20, 20, 0.5, None, 'monday/report.html'),
        FleetRow('a <b>', failure='bag.mcap: expected an MCAP file, got text; record again'),
    ]
    latency = Latency().to_mapping()
    write_report(tmp_path / 'fleet.html', 'Fleet', metrics, latency, MANIFEST, recordings=rows)
    page = Page(tmp_path / 'fleet.html')
    assert {'monday/report.html', 'monday/report.html#worst'} <= set(page.addresses)
    assert 'a <b> failed: bag.mcap: expected an MCAP file, got text' in page.text
    assert '1 of 2 could not be replayed' in page.text
    assert 'Worst frames' not in page.text
    assert 'Worst recording: monday, mIoU 50.0 %. All of it: night . Its report' in page.text


def test_every_word_is_explained_where_it_first_stands(tmp_path):
    write_sample_report(
        tmp_path / 'report.html', troubled_frames(80), faults_given=('lidar:drop=1',)
    )
    page = Page(tmp_path / 'report.html')
    text = unescape((tmp_path / 'report.html').read_text())
    for word, meaning in WORDS.items():
        anchor = f'word-{word.replace(" ", "-")}'
        assert anchor in page.ids
        assert meaning in page.text
        # Before the list of words itself.
        assert text.index(f'title="{meaning}"') < text.index(f'id="{anchor}"'), word


def test_faults_have_no_raw_names(tmp_path):
    metrics = write_sample_report(tmp_path / 'one.html', troubled_frames(40))
    half = {**metrics['conditions']['night'], 'frames': 20}
    metrics['conditions']['lidar:delay=0.1'] = half
    [bag] = metrics['bags']
    row = FleetRow('monday', ('lidar:delay=0.1',), 1.0, 20, 20, 0.5, ('lidar:delay=0.1', 0.5),
                   'monday/report.html')  # fmt: skip
    metrics['bags'] = [bag, {**bag, 'conditions': ['lidar:delay=0.1']}]
    latency = Latency().to_mapping()
    write_report(tmp_path / 'fleet.html', 'Fleet', metrics, latency, MANIFEST, recordings=[row])
    text = Page(tmp_path / 'fleet.html').text
    assert 'lidar messages 100 ms late' in text
    assert not re.search(r'delay=|over_exposure|superseded', text)


def test_the_table_and_the_frames_say_which_mean_they_have(tmp_path):
    metrics = write_sample_report(tmp_path / 'report.html', troubled_frames(80))
    text = Page(tmp_path / 'report.html').text
    means = re.search(r'mIoU ([\d.]+) % all pixels of 80 frames; mean frame mIoU ([\d.]+) %', text)
    assert means[1] == f'{100 * metrics["miou"]:.1f}'
    assert means[2] != means[1]
    assert 'Means of the frame mIoU; the table by condition below counts pixels' in text


def test_what_always_holds_is_told_where_no_cause_is_found(tmp_path):
    frames = [replace(frame, present=frozenset({'camera', 'event'}))
              for frame in sample_frames(40)]  # fmt: skip
    write_sample_report(tmp_path / 'report.html', frames)
    text = Page(tmp_path / 'report.html').text
    assert 'no frames without it to compare with: lidar absent.' in text
    assert 'No sensor is absent' not in text


def test_latency_is_held_against_the_period_of_the_camera(tmp_path):
    slow = [replace(frame, latency_ms=60.0) for frame in sample_frames(20)]
    write_sample_report(tmp_path / 'slow.html', slow)
    write_sample_report(tmp_path / 'fast.html', sample_frames(20))
    slow_text, fast_text = (Page(tmp_path / f'{name}.html').text for name in ('slow', 'fast'))
    assert 'over the budget of 43.2 ms' in slow_text  # 23 frames in 0.95 s
    assert 'Over the budget. A camera frame comes every 43.2 ms (23.2 Hz)' in slow_text
    assert 'within the budget of 43.2 ms' in fast_text
    assert 'Within the budget.' in fast_text


def test_where_no_frame_stands_out_none_is_blamed(tmp_path):
    frames = [replace(frame, truth=frame.label_map) for frame in sample_frames(40)]
    write_sample_report(tmp_path / 'report.html', frames)
    text = Page(tmp_path / 'report.html').text
    told = "frame mIoU 100.0 %. About as good as the drive's mean of 100.0 %: no frame stands out."
    assert told in text
