"""The SROS 2 policy names exactly what the node hears, says and answers."""

import xml.etree.ElementTree as ElementTree

import pytest

pytest.importorskip('rclpy')

from bundles import manifest_mapping
from live_node import LiveNode
from mle_sam_ros.core.manifest import parse_manifest
from mle_sam_ros.ros.environment import free_domain_id, share_path
from mle_sam_ros.ros.inputs import input_specs
from mle_sam_ros.ros.parameters import NodeParameters
from mle_sam_ros.ros.process import REMAPPINGS
from ros_bench import write_rig

pytestmark = pytest.mark.ros
NODE = '/mle_sam/perception'
# Of packages that are not everywhere, or of parameters that the test's node does not have.
OPTIONAL = {f'{NODE}/label_info', f'{NODE}/get_type_description', '/clock'}


def policy():
    """What is allowed, by (element, right): full names."""
    root = ElementTree.parse(share_path('config/sros2_policy.xml')).getroot()
    assert (root.tag, root.get('version')) == ('policy', '0.2.0')
    assert [item.get('path') for item in root.iter('enclave')] == [NODE]
    profile = root.find('.//profile')
    assert profile.attrib == {'ns': '/mle_sam', 'node': 'perception'}
    allowed = {}
    for rules in profile:
        ((right, verdict),) = rules.items()
        assert verdict == 'ALLOW'
        names = [full_name(item.text) for item in rules]
        assert len(set(names)) == len(names)
        allowed.setdefault((rules.tag, right), set()).update(names)
    return allowed


def full_name(text):
    if text.startswith('/'):
        return text
    return f'{NODE}{text[1:]}' if text.startswith('~/') else f'/mle_sam/{text}'


def remapped(name):
    """As perception.launch.py names it; what it leaves alone is absolute already."""
    return REMAPPINGS.get(name, name if name.startswith('/') else f'/{name}')


def possible_inputs():
    """Every topic that some bundle and some parameters make the node subscribe to."""
    modalities = ('camera', 'event', 'lidar', 'depth')
    manifest = parse_manifest({**manifest_mapping(modalities=modalities), 'files': {}}, 'm')
    settings = [
        {'camera_message': 'raw', 'motion': 'odometry', 'num_lidars': 2},
        {'camera_message': 'compressed', 'motion': 'twist'},
    ]
    specs = [
        spec
        for values in settings
        for spec in input_specs(manifest, NodeParameters(bundle='b', **values))
    ]
    return {remapped(spec.topic) for spec in specs} | {'/tf', '/tf_static', '/clock'}


def test_the_policy_allows_every_input_and_nothing_else():
    assert policy()['topics', 'subscribe'] == possible_inputs()


def test_the_policy_is_what_the_node_does(tmp_path):
    allowed = policy()
    with LiveNode(free_domain_id(), **write_rig(tmp_path)) as node:
        name, namespace = node.get_name(), node.get_namespace()
        published = node.get_publisher_names_and_types_by_node(name, namespace)
        served = node.get_service_names_and_types_by_node(name, namespace)
        heard = node.get_subscriber_names_and_types_by_node(name, namespace)
        called = node.get_client_names_and_types_by_node(name, namespace)
    published, served, heard = ({topic for topic, _ in x} for x in (published, served, heard))
    assert called == []
    assert published - allowed['topics', 'publish'] == set()
    assert allowed['topics', 'publish'] - published <= OPTIONAL
    assert served - allowed['services', 'reply'] == set()
    assert allowed['services', 'reply'] - served <= OPTIONAL
    heard = {remapped(topic.removeprefix('/mle_sam/')) for topic in heard}
    assert heard <= allowed['topics', 'subscribe']
