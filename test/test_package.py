"""The package's own papers agree with one another."""

import ast
from pathlib import Path
import re
import xml.etree.ElementTree as ElementTree

import mle_sam_ros

ROOT = Path(__file__).parent.parent


def test_versions_agree():
    package_xml = ElementTree.parse(ROOT / 'package.xml').findtext('version')
    setup = re.search(r"version='([^']+)'", (ROOT / 'setup.py').read_text())[1]
    training = re.search(r"version = '([^']+)'", (ROOT / 'training/pyproject.toml').read_text())[1]
    changelog = re.search(r'^(\d+\.\d+\.\d+) ', (ROOT / 'CHANGELOG.rst').read_text(), re.M)[1]
    assert package_xml == setup == training == changelog == mle_sam_ros.__version__


def test_package_xml_is_an_ament_python_package():
    root = ElementTree.parse(ROOT / 'package.xml').getroot()
    assert root.get('format') == '3'
    assert root.findtext('export/build_type') == 'ament_python'
    assert re.fullmatch(r'\S+@\S+\.\S+', root.find('maintainer').get('email'))


def test_root_pyproject_has_no_project_table():
    # With one, colcon build reports success and installs no executable.
    assert not re.search(r'^\[project\]', (ROOT / 'pyproject.toml').read_text(), re.M)


def constants_of(path, *names):
    """Literal constants of a module that may not be importable here."""
    found = {}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id in names:
            found[node.targets[0].id] = ast.literal_eval(node.value)
    return [found[name] for name in names]


def test_launch_file_and_started_processes_name_topics_alike():
    [topics] = constants_of(ROOT / 'launch/perception.launch.py', 'TOPICS')
    [remappings] = constants_of(ROOT / 'mle_sam_ros/ros/process.py', 'REMAPPINGS')
    assert dict(topics.values()) == remappings


def test_launch_file_knows_the_states_of_ros():
    text = (ROOT / 'launch/perception.launch.py').read_text()
    states = re.findall(r"on\('(\w+)', '(\w+)'", text)
    assert set(states) <= {
        ('configuring', 'inactive'),
        ('configuring', 'unconfigured'),
        ('activating', 'inactive'),
        ('errorprocessing', 'unconfigured'),
    }
    assert len(states) == len(set(states)) == 4


def test_every_message_package_that_is_used_is_declared():
    declared = {
        element.text
        for kind in ('exec_depend', 'depend')
        for element in ElementTree.parse(ROOT / 'package.xml').iter(kind)
    }
    used = set()
    for folder in ('mle_sam_ros/ros', 'launch'):
        for path in (ROOT / folder).rglob('*.py'):
            text = path.read_text()
            used.update(re.findall(r"'(\w+)/msg/\w+'", text))
            used.update(re.findall(r'^from (\w+)\.(?:msg|srv) import', text, re.M))
    assert used - declared == set()
