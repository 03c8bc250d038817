"""The package's own papers agree with one another."""

from pathlib import Path
import re
import xml.etree.ElementTree as ElementTree

ROOT = Path(__file__).parent.parent


def test_versions_agree():
    package_xml = ElementTree.parse(ROOT / 'package.xml').findtext('version')
    setup = re.search(r"version='([^']+)'", (ROOT / 'setup.py').read_text())[1]
    training = re.search(r"version = '([^']+)'", (ROOT / 'training/pyproject.toml').read_text())[1]
    changelog = re.search(r'^(\d+\.\d+\.\d+) ', (ROOT / 'CHANGELOG.rst').read_text(), re.M)[1]
    assert package_xml == setup == training == changelog


def test_package_xml_is_an_ament_python_package():
    root = ElementTree.parse(ROOT / 'package.xml').getroot()
    assert root.get('format') == '3'
    assert root.findtext('export/build_type') == 'ament_python'
    assert re.fullmatch(r'\S+@\S+\.\S+', root.find('maintainer').get('email'))


def test_root_pyproject_has_no_project_table():
    # With one, colcon build reports success and installs no executable.
    assert not re.search(r'^\[project\]', (ROOT / 'pyproject.toml').read_text(), re.M)
