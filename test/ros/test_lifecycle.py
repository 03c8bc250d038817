"""Life cycle: every transition ends in a clean state, and cleanup gives the memory back."""

import json
import subprocess
import sys
import threading
import weakref

import pytest

pytest.importorskip('rclpy')

from bundles import write_tiny_bundle
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import ChangeState, GetState
from live_node import LiveNode
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.ros import node as node_module
from mle_sam_ros.ros.environment import free_domain_id, share_path
import psutil
import rclpy
from rclpy.context import Context
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from ros_bench import Bench, wait_until, write_rig

pytestmark = pytest.mark.ros
SUCCESS = TransitionCallbackReturn.SUCCESS
FAILURE = TransitionCallbackReturn.FAILURE
ERROR = TransitionCallbackReturn.ERROR


@pytest.fixture(scope='module')
def rig(tmp_path_factory):
    return write_rig(tmp_path_factory.mktemp('rig'))


@pytest.fixture
def node(rig):
    context = Context()
    rclpy.init(context=context, domain_id=free_domain_id())
    overrides = [Parameter(name, value=value) for name, value in rig.items()]
    node = node_module.PerceptionNode(context=context, parameter_overrides=overrides)
    yield node
    node.close()
    node.destroy_node()
    rclpy.shutdown(context=context)


def state_of(node):
    return node._state_machine.current_state[1]


def topics_of(node):
    """What the node itself subscribes to and publishes, ROS's own topics left out."""
    hidden = {'/rosout', '/parameter_events', '/diagnostics', '/clock'}
    name, namespace = node.get_name(), node.get_namespace()
    own = [
        *node.get_publisher_names_and_types_by_node(name, namespace),
        *node.get_subscriber_names_and_types_by_node(name, namespace),
    ]
    return {topic for topic, _ in own if not topic.endswith('transition_event')} - hidden


def pipeline_threads():
    return [thread for thread in threading.enumerate() if thread.name == 'pipeline']


def test_transitions_begin_and_end_what_they_should(node):
    assert topics_of(node) == set()
    assert node.trigger_configure() == SUCCESS
    assert (state_of(node), topics_of(node)) == ('inactive', set())
    for _ in range(2):
        assert node.trigger_activate() == SUCCESS
        assert {'/mle_sam/perception/mask', '/mle_sam/camera/image'} <= topics_of(node)
        assert len(pipeline_threads()) == 1
        assert node.trigger_deactivate() == SUCCESS
        assert topics_of(node) == set()
        assert not pipeline_threads()
    engine = weakref.ref(node._engine)
    assert node.trigger_cleanup() == SUCCESS
    assert (state_of(node), engine()) == ('unconfigured', None)


def test_another_bundle_is_taken_at_the_next_configure(node, tmp_path):
    other = write_tiny_bundle(tmp_path / 'other', modalities=('camera', 'lidar'))
    node.trigger_configure()
    node.trigger_cleanup()
    result = node.set_parameters([Parameter('bundle', value=str(other.directory))])[0]
    assert result.successful, result.reason
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    assert '/mle_sam/lidar/points' in topics_of(node)
    assert '/mle_sam/events' not in topics_of(node)


def test_a_bundle_that_is_none_leaves_it_unconfigured_until_corrected(node, rig):
    node.set_parameters([Parameter('bundle', value='/nowhere')])
    assert node.trigger_configure() == FAILURE
    assert state_of(node) == 'unconfigured'
    assert '/nowhere' in node._engine_status().message
    node.set_parameters([Parameter('bundle', value=rig['bundle'])])
    assert node.trigger_configure() == SUCCESS
    assert node._engine_status().message == 'inactive'


def broken(error):
    def fail(*_, **__):
        raise error

    return fail


def test_a_failed_activation_leaves_it_inactive(node, monkeypatch):
    node.trigger_configure()
    with monkeypatch.context() as patch:
        patch.setattr(node_module, 'Input', broken(InputError('no such topic type')))
        assert node.trigger_activate() == FAILURE
    assert (state_of(node), topics_of(node), pipeline_threads()) == ('inactive', set(), [])
    assert node.trigger_activate() == SUCCESS


@pytest.mark.parametrize(
    ('transition', 'broken_part'),
    [
        ('configure', 'warm_up'),
        ('activate', 'Input'),
        ('deactivate', 'PerceptionNode.destroy_publisher'),
        ('cleanup', 'PerceptionNode._deactivate'),
        ('shutdown', 'PerceptionNode._deactivate'),
    ],
)
def test_an_error_in_a_transition_lets_everything_go(node, monkeypatch, transition, broken_part):
    before = {
        'configure': [],
        'activate': ['configure'],
        'deactivate': ['configure', 'activate'],
        'cleanup': ['configure'],
        'shutdown': ['configure', 'activate'],
    }
    for name in before[transition]:
        assert getattr(node, f'trigger_{name}')() == SUCCESS
    is_broken, fail = [True], broken(ZeroDivisionError('broken'))

    owner, _, attribute = broken_part.rpartition('.')
    target = getattr(node_module, owner) if owner else node_module
    working = getattr(target, attribute)

    def once(*arguments, **named):
        if is_broken:
            is_broken.clear()
            fail()
        return working(*arguments, **named)

    monkeypatch.setattr(target, attribute, once)
    assert getattr(node, f'trigger_{transition}')() == ERROR
    assert state_of(node) == 'unconfigured'
    assert 'ZeroDivisionError: broken' in node._engine_status().message
    assert pipeline_threads() == []
    assert node._engine is None
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    assert len(pipeline_threads()) == 1


def test_a_manager_takes_it_through_its_states(rig):
    domain_id = free_domain_id()
    with LiveNode(domain_id, **rig, autostart=False), Bench(domain_id) as bench:
        manager = bench.node
        change = manager.create_client(ChangeState, '/mle_sam/perception/change_state')
        get = manager.create_client(GetState, '/mle_sam/perception/get_state')
        wait_until(change.service_is_ready)
        wait_until(get.service_is_ready)

        def state():
            return answer_of(get.call_async(GetState.Request())).current_state.id

        def go(label):
            request = ChangeState.Request()
            request.transition.label = label
            return answer_of(change.call_async(request)).success

        assert state() == State.PRIMARY_STATE_UNCONFIGURED
        assert go('configure')
        assert state() == State.PRIMARY_STATE_INACTIVE
        assert go('activate')
        bench.wait_for_node()
        bench.drive_until(lambda: bench.received['mask'])
        assert go('deactivate')
        assert go('cleanup')
        assert state() == State.PRIMARY_STATE_UNCONFIGURED
        assert go('shutdown')
        assert state() == State.PRIMARY_STATE_FINALIZED


def answer_of(future):
    wait_until(future.done)
    return future.result()


CYCLES = """
import json, sys
import psutil, rclpy
from mle_sam_ros.ros.node import PerceptionNode
from rclpy.parameter import Parameter
rclpy.init()
overrides = [Parameter('bundle', value=sys.argv[1]), Parameter('backend', value=sys.argv[2])]
node = PerceptionNode(parameter_overrides=overrides)
process = psutil.Process()
def measure():
    return process.memory_info().rss, process.num_threads(), process.num_fds()
figures = []
for _ in range(4):
    node.trigger_configure()
    loaded = measure()
    node.trigger_activate()
    node.trigger_deactivate()
    node.trigger_cleanup()
    figures.append((loaded, measure()))
node.destroy_node()
rclpy.shutdown()
print(json.dumps(figures))
"""


@pytest.mark.slow
@pytest.mark.parametrize('backend', ['onnx', 'openvino'])
def test_cleanup_gives_back_memory_threads_and_files(backend):
    pytest.importorskip({'onnx': 'onnxruntime'}.get(backend, backend))
    command = [sys.executable, '-c', CYCLES, str(share_path('engines/nano')), backend]
    domain = {'ROS_DOMAIN_ID': str(free_domain_id())}
    output = subprocess.run(
        command,
        env={**psutil.Process().environ(), **domain},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    ).stdout
    first, *_, before_last, last = json.loads(output.splitlines()[-1])
    mebibytes = 1 << 20
    # The first time brings the libraries and the compiled kernels in, which stay.
    (loaded_bytes, loaded_threads, _), (clean_bytes, clean_threads, clean_files) = last
    assert loaded_bytes - clean_bytes > 60 * mebibytes  # the graphs of nano
    assert abs(clean_bytes - before_last[1][0]) < 32 * mebibytes  # OpenVINO moves by 16
    assert clean_bytes - first[1][0] < 48 * mebibytes
    assert clean_threads == before_last[1][1] == first[1][1]
    assert clean_threads <= loaded_threads
    assert clean_files == before_last[1][2]
