"""The rooms of the package import one another in one direction only."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / 'mle_sam_ros'

# Room to the rooms it may import.
ALLOWED = {
    'core': set(),
    'runtime': {'core'},
    'bags': {'core'},
    'ros': {'runtime', 'core', 'bags'},
    'replay': {'runtime', 'bags', 'core'},
    'simulation': {'bags', 'core'},
    'training': {'core', 'runtime', 'bags', 'simulation'},
}
FORBIDDEN_IN_CORE = {*'rclpy torch onnxruntime openvino rosbags mcap yaml time'.split()}


def imports_of(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: relative import'
            names.add(node.module)
            names.update(f'{node.module}.{alias.name}' for alias in node.names)
    return names


def sources_of(room: str) -> list[Path]:
    folder = ROOT / 'training' / 'mle_sam' if room == 'training' else PACKAGE / room
    sources = sorted(folder.rglob('*.py'))
    assert sources, f'no sources in {folder}'
    return sources


@pytest.mark.parametrize('room', ALLOWED)
def test_imports_run_one_way(room):
    for path in sources_of(room):
        rooms = {
            name.split('.')[1]
            for name in imports_of(path)
            if name.startswith('mle_sam_ros.') and (PACKAGE / name.split('.')[1]).is_dir()
        }
        assert rooms - {room} <= ALLOWED[room], path


def test_core_stays_pure():
    for path in sources_of('core'):
        roots = {name.split('.')[0] for name in imports_of(path)}
        assert not roots & FORBIDDEN_IN_CORE, path


def test_only_ros_imports_rclpy_and_only_training_and_its_engine_import_torch():
    for path in PACKAGE.rglob('*.py'):
        roots = {name.split('.')[0] for name in imports_of(path)}
        assert 'torch' not in roots or path.name.startswith('torch_'), path
        assert 'mle_sam' not in roots, path
        if path.parent.name != 'ros':
            assert 'rclpy' not in roots, path
