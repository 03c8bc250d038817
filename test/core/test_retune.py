"""Settings of time alignment that change while frames come in: no frame is lost or misjudged."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from mle_sam_ros.core.assembler import Assembler
from mle_sam_ros.core.streams import CameraStream, MILLISECOND, NearestStream

CAMERA, LIDAR = CameraStream(), NearestStream('lidar')
MS = MILLISECOND


def test_a_camera_offset_moves_frames_in_both_directions():
    assembler = Assembler(CAMERA, [])
    for index, offset_ns in enumerate((0, 400 * MS, -400 * MS, 0)):
        assembler.retune(replace(CAMERA, offset_ns=offset_ns), [])
        now_ns = 1000 * MS + index * 100 * MS
        assembler.poll(now_ns)
        assembler.push('camera', now_ns, 'image')
        sensor_set = assembler.poll(now_ns + 450 * MS)
        assert sensor_set.reference_ns == now_ns + offset_ns
        assembler._now_ns = now_ns + 1  # the test's own clock goes back: only stamps matter
    assert assembler.account.emitted == 4


def test_a_waiting_frame_stays_one_frame():
    assembler = Assembler(CAMERA, [replace(LIDAR, required=True)])
    assembler.poll(1000 * MS)
    assembler.push('camera', 1000 * MS, 'image')
    assert assembler.poll(1001 * MS) is None  # waits for the LiDAR
    assembler.retune(CAMERA, [LIDAR])
    assert assembler.poll(1002 * MS).present == {'camera'}
    assert assembler.account.to_mapping()['emitted'] == 1


def test_a_new_offset_forgets_samples_of_the_old_one():
    assembler = Assembler(CAMERA, [LIDAR])
    assembler.poll(1000 * MS)
    assembler.push('lidar', 1000 * MS, 'sweep')
    assembler.retune(CAMERA, [replace(LIDAR, max_age_ns=100 * MS)])
    assembler.push('camera', 1000 * MS, 'image')
    assert 'lidar' in assembler.poll(1000 * MS).present
    assembler.retune(CAMERA, [replace(LIDAR, offset_ns=-300 * MS)])
    assembler.push('camera', 1001 * MS, 'image')
    assert 'lidar' not in assembler.poll(1001 * MS).present
    assembler.push('lidar', 1000 * MS, 'sweep')  # lower than before, and no disorder
    assert assembler.stream_accounts['lidar'].refused == {}


def test_a_new_timeout_counts_from_the_next_frame():
    patient = replace(LIDAR, max_age_ns=1000 * MS)
    assembler = Assembler(CAMERA, [patient])
    for index in range(3):
        assembler.poll((1000 + 100 * index) * MS)
        assembler.push('camera', (1000 + 100 * index) * MS, 'image')
        assembler.push('lidar', (1000 + 100 * index) * MS, 'sweep')
    assembler.poll(1200 * MS)
    assembler.retune(replace(CAMERA, timeout_ns=600 * MS), [patient])
    assembler.poll(1300 * MS)
    assembler.push('camera', 1300 * MS, 'image')
    assembler.poll(1300 * MS)
    assert assembler.next_deadline_ns() == 1900 * MS


@given(
    st.lists(
        st.tuples(
            st.sampled_from(['camera', 'lidar', 'retune']),
            st.integers(-50, 50),
            st.integers(0, 40),
        ),
        max_size=60,
    )
)
def test_the_account_stays_exact(steps):
    assembler, now_ns = Assembler(CAMERA, [LIDAR]), 1000 * MS
    for kind, amount, pause in steps:
        now_ns += pause * MS
        while assembler.poll(now_ns) is not None:
            pass
        if kind == 'retune':
            assembler.retune(
                replace(CAMERA, offset_ns=amount * MS, wait_ns=abs(amount) * MS),
                [replace(LIDAR, offset_ns=-amount * MS, required=amount > 40)],
            )
        else:
            assembler.push(kind, now_ns + min(amount, 0) * MS, kind)
    counts = assembler.account.to_mapping()
    rejected = sum(counts['rejected'].values())
    decided = counts['emitted'] + counts['superseded'] + rejected
    assert counts['received'] == decided + counts['waiting']
