"""A terminal shows what people look for first."""

import json

from mle_sam_ros.replay.score.latency import Latency
from mle_sam_ros.replay.summary import summary
from sample_frames import sample_frames
from sample_report import write_sample_report


def lines_of(tmp_path, frames):
    latency = Latency()
    for frame in frames:
        latency.add(frame.latency_ms, frame.timings_ms)
    (tmp_path / 'latency.json').write_text(json.dumps(latency.to_mapping()))
    metrics = write_sample_report(tmp_path / 'report.html', frames)
    return metrics, summary(metrics, tmp_path).splitlines()


def test_what_is_worst_and_what_it_stands_on(tmp_path):
    metrics, lines = lines_of(tmp_path, list(sample_frames(40)))
    assert lines[0] == f'mIoU      {100 * metrics["miou"]:.1f} % over 40 masks with ground truth'
    known = {value: name for name, value in metrics['iou'].items() if value is not None}
    worst = min(known)
    assert lines[1].split(': ')[1] == f'{known[worst].replace("_", " ")}, {100 * worst:.1f} %'
    assert lines[2].startswith('          worst condition: ')
    # What held all the time is no worse than the rest.
    assert lines[2].split(': ')[1].startswith('over exposure, ')
    assert lines[3] == '          from beginning to end: night'
    assert lines[4] == (
        'frames    43 from the camera: 40 got a mask, 3 skipped for a newer one, 0 rejected'
    )
    assert lines[5].endswith(' ms for 99 % of the masks')
    table = lines.index('sensors                   mIoU  masks')
    for line, (key, item) in zip(lines[table + 1 :], metrics['subsets'].items(), strict=False):
        assert line.split() == [key, f'{100 * item["miou"]:.1f}', '%', str(item['frames_scored'])]
    assert {len(line) for line in lines[table : table + 4]} == {len(lines[table])}
    assert 'condition                 mIoU  masks' in lines
    assert lines[-2:] == [str(tmp_path / 'report.html'), str(tmp_path / 'metrics.json')]


def test_frames_add_up_where_some_still_wait(tmp_path):
    metrics, lines = lines_of(tmp_path, list(sample_frames(40)))
    assert not any('waiting' in line for line in lines)
    frames = {**metrics['frames'], 'waiting': 2, 'received': 45}
    frames = {**frames, 'without_camera': 9}
    text = summary({**metrics, 'frames': frames}, tmp_path)
    assert '\n          9 masks more while the camera was absent\n' in text
    assert '40 got a mask, 3 skipped for a newer one, 0 rejected, 2 still waited\n' in text


def test_nothing_is_made_of_nothing(tmp_path):
    _, lines = lines_of(tmp_path, [])
    assert lines[0] == 'mIoU      n/a over 0 masks with ground truth'
    assert lines[1].startswith('frames    3 from the camera')
    assert not any(line.startswith(('latency', 'sensors')) for line in lines)
