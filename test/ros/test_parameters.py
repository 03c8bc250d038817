"""Parameters: declared from the dataclass, refused with a reason, in force when they say."""

import dataclasses

import pytest

pytest.importorskip('rclpy')

from live_node import LiveNode
from mle_sam_ros.core.alignment import Alignment
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.ros import environment
from mle_sam_ros.ros.environment import free_domain_id
from mle_sam_ros.ros.parameters import (
    _descriptions,
    AT_CONFIGURE,
    AT_ONCE,
    AT_START,
    NodeParameters,
    settings,
)
from parameters_page import PAGE, page
from rcl_interfaces.msg import ParameterType
from rcl_interfaces.srv import DescribeParameters, SetParameters
from rclpy.parameter import Parameter
from ros_bench import (
    Bench,
    frame_counts,
    MS,
    stamp_ns_of,
    STEADY_CAMERA,
    wait_until,
    write_rig,
)
import yaml

MOMENTS = {
    'bundle': AT_CONFIGURE,
    'threads': AT_CONFIGURE,
    'event_message': AT_CONFIGURE,
    'overlay_opacity': AT_ONCE,
    'alignment.camera.wait_ns': AT_ONCE,
    'alignment.lidar.offset_ns': AT_ONCE,
    'autostart': AT_START,
    'executor': AT_START,
}


@pytest.fixture(scope='module')
def rig(tmp_path_factory):
    return write_rig(tmp_path_factory.mktemp('rig'))


def by_name():
    return {setting.name: setting for setting in settings()}


def test_every_parameter_has_a_description_of_its_own_field():
    names = by_name()
    assert 'alignment.camera.wait_ns' in names
    assert 'alignment.event.window_ns' not in names  # the model's, not the vehicle's
    assert not any(name.endswith('.name') for name in names)
    assert all(setting.description for setting in settings())
    for record in (NodeParameters(), Alignment().camera, Alignment().event, Alignment().lidar):
        fields = {field.name for field in dataclasses.fields(record)}
        assert set(_descriptions(type(record))) == fields
    assert by_name()['alignment.lidar.max_age_ns'].description  # of the class it derives from


def test_every_number_has_a_range_that_holds_its_default():
    for setting in settings():
        assert (setting.range is not None) == (setting.type in (int, float)), setting.name
        if setting.range is not None:
            assert setting.range[0] <= setting.default <= setting.range[1], setting.name


def test_parameter_file_holds_the_defaults():
    values = {}
    content = yaml.safe_load(environment.share_path('config/perception.yaml').read_text())

    def flatten(mapping, prefix=''):
        for key, value in mapping.items():
            if isinstance(value, dict):
                flatten(value, f'{prefix}{key}.')
            else:
                values[prefix + key] = value

    flatten(content['/**']['ros__parameters'])
    assert values == {name: by_name()[name].default for name in values}


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({}, 'parameter bundle: expected the directory'),
        ({'bundle': 'x', 'backend': 'cuda'}, "backend: expected auto, .*tensorrt, got 'cuda'"),
        ({'bundle': 'x', 'unbuilt_engine': 'buy'}, "expected refuse, build, got 'buy'"),
        ({'bundle': 'x', 'event_message': 'raw'}, "event_message: expected .* got 'raw'"),
    ],
)
def test_parameters_refuse(changes, message):
    with pytest.raises(InputError, match=message):
        NodeParameters(**changes).check()


@pytest.mark.parametrize(('name', 'moment'), MOMENTS.items())
def test_a_change_takes_effect_when_its_parameter_says(name, moment):
    setting = by_name()[name]
    assert setting.takes_effect == moment
    descriptor = setting.to_descriptor()
    assert descriptor.read_only == (moment == AT_START)
    assert f'takes effect {moment}' in descriptor.additional_constraints
    value = {bool: not setting.default, int: 7, float: 0.25, str: (setting.choices or ('x',))[-1]}[
        setting.type
    ]
    parameters = NodeParameters(bundle='a')
    assert parameters.changed({name: value}, is_configured=False) != parameters
    if moment == AT_CONFIGURE:
        with pytest.raises(InputError, match=f'{name}: expected to be set while .* cleanup'):
            parameters.changed({name: value}, is_configured=True)


def test_changes_reach_their_field_and_no_other():
    parameters = NodeParameters(bundle='a')
    changed = parameters.changed(
        {
            'alignment.camera.default_period_ns': 0,
            'alignment.event.offset_ns': -5,
            'use_sim_time': True,
        },
        is_configured=True,
    )
    assert changed.alignment.camera.default_period_ns is None
    assert changed.alignment.event.offset_ns == -5
    alignment = parameters.alignment
    assert changed == dataclasses.replace(
        parameters,
        alignment=dataclasses.replace(
            alignment,
            camera=dataclasses.replace(alignment.camera, default_period_ns=None),
            event=dataclasses.replace(alignment.event, offset_ns=-5),
        ),
    )


def test_what_fields_demand_together_is_checked():
    with pytest.raises(InputError, match='timeout_ns of at least 1, got 0'):
        NodeParameters(bundle='a').changed({'alignment.camera.timeout_ns': 0}, is_configured=True)


# Over ROS


def call(bench, kind, service, **fields):
    client = bench.node.create_client(kind, f'/mle_sam/perception/{service}')
    wait_until(client.service_is_ready)
    future = client.call_async(kind.Request(**fields))
    wait_until(future.done)
    return future.result()


def set_over_ros(bench, name, value):
    message = Parameter(name, value=value).to_parameter_msg()
    return call(bench, SetParameters, 'set_parameters', parameters=[message]).results[0]


@pytest.mark.ros
def test_describe_and_set_while_running(rig):
    domain_id = free_domain_id()
    with LiveNode(domain_id, **rig) as node, Bench(domain_id) as bench:
        names = [setting.name for setting in settings()]
        described = call(bench, DescribeParameters, 'describe_parameters', names=names)
        for descriptor, setting in zip(described.descriptors, settings(), strict=True):
            assert descriptor.description == setting.description
            assert descriptor.additional_constraints
            if descriptor.type == ParameterType.PARAMETER_INTEGER:
                assert descriptor.integer_range[0].to_value > 0
            if descriptor.type == ParameterType.PARAMETER_DOUBLE:
                assert descriptor.floating_point_range[0].to_value > 0

        refusals = {
            ('overlay_opacity', 1.5): 'out of range',
            ('overlay_opacity', float('nan')): 'out of range',
            ('overlay_opacity', 'much'): 'Wrong parameter type',
            ('overlay_opacity', None): 'cannot be undeclared',
            ('alignment.camera.wait_ns', -1): 'out of range',
            ('alignment.camera.timeout_ns', 0): 'expected timeout_ns of at least 1',
            ('alignment.event.buffer_ns', 1): 'expected buffer_ns >= window_ns',
            ('bundle', '/elsewhere'): 'while the node is unconfigured',
            ('autostart', False): 'read-only',
        }
        before = node.parameters
        for (name, value), reason in refusals.items():
            result = set_over_ros(bench, name, value)
            assert not result.successful, name
            assert reason in result.reason, (name, result.reason)
        assert node.parameters == before


@pytest.mark.ros
def test_opacity_and_waits_change_within_the_next_frames(rig):
    domain_id = free_domain_id()
    parameters = {**rig, **STEADY_CAMERA, 'overlay_opacity': 1.0}
    with LiveNode(domain_id, **parameters) as node, Bench(domain_id) as bench:
        bench.wait_for_node()
        bench.drive_until(lambda: bench.received['overlay'])
        flat = bench.received['overlay'][-1]
        colours = {bytes(flat.data[i : i + 3]) for i in range(0, len(flat.data), 3)}
        assert len(colours) <= 11  # those of the classes and nothing of the image
        assert set_over_ros(bench, 'overlay_opacity', 0.0).successful
        assert set_over_ros(bench, 'alignment.camera.offset_ns', -40 * MS).successful
        assert set_over_ros(bench, 'alignment.lidar.required', True).successful
        time_ns = bench.sent['camera'][-1]
        bench.drive_until(lambda: stamp_ns_of(bench.received['overlay'][-1]) > time_ns)
        image = bench.received['overlay'][-1]
        assert len({bytes(image.data[i : i + 3]) for i in range(0, len(image.data), 3)}) > 100
        bench.drive_until(
            # Since it is required.
            lambda: int(bench.values('frames').get('rejected/lidar_missing', 0)) > 0,
            without={'lidar'},
        )
        values = bench.settled_frames()
        frame_counts(values)
        assert 'rejected/out_of_order' not in values  # although time moved back by 40 ms
    assert node.parameters.alignment.lidar.required


def test_the_page_lists_every_parameter():
    assert PAGE.read_text() == page(), 'run python test/parameters_page.py'
