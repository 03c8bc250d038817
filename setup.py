from pathlib import Path

from setuptools import find_packages, setup

NAME = 'mle_sam_ros'
SHARE = Path('share') / NAME


def files_of(folder: str) -> list[tuple[str, list[str]]]:
    """Every file below a folder, as setuptools wants data files."""
    paths = [path for path in Path(folder).rglob('*') if path.is_file()]
    return [(str(SHARE / path.parent), [str(path)]) for path in paths]


MESSAGES = [
    'builtin-interfaces',
    'diagnostic-msgs',
    'geometry-msgs',
    'lifecycle-msgs',
    'nav-msgs',
    'rosgraph-msgs',
    'sensor-msgs',
    'std-msgs',
]
# The core message packages (builtin, lifecycle, rosgraph) carry the version of rcl_interfaces.
INTERFACES = {'builtin-interfaces', 'lifecycle-msgs', 'rosgraph-msgs'}


def ros(rclpy: str, messages: str, interfaces: str) -> list[str]:
    """Real rclpy for a machine without ROS, from the package index."""
    versions = {name: interfaces if name in INTERFACES else messages for name in MESSAGES}
    return [f'ros-rclpy[fastrtps]=={rclpy}'] + [f'ros-{n}=={v}' for n, v in versions.items()]


# What `mle-sam convert` needs: HDF5, and the codecs that event files are packed with.
CONVERT = ['h5py>=3.8', 'hdf5plugin>=4.1']
# What `mle-sam replay-fleet` runs recordings with.
FLEET = ['ray>=2.52']
# What `mle-sam replay --rerun` writes with.
RERUN = ['rerun-sdk>=0.41']

setup(
    name=NAME,
    version='0.1.0',
    description='Real-time semantic segmentation from camera, event camera and LiDAR on ROS 2',
    license='Apache-2.0',
    maintainer='mle_sam_ros maintainers',
    maintainer_email='maintainers@example.org',
    python_requires='>=3.10',
    packages=find_packages(include=[NAME, f'{NAME}.*']),
    package_data={
        'mle_sam_ros.replay.report': ['templates/*'],
        'mle_sam_ros.replay.score': ['*.schema.json'],
    },
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        (str(SHARE), ['package.xml']),
        *files_of('launch'),
        *files_of('config'),
        *files_of('engines'),
    ],
    install_requires=[
        'imageio-ffmpeg',
        'jinja2',
        'lz4',
        'mcap',
        'numba',
        'numpy',
        'onnxruntime',
        'opencv-python-headless',
        'openvino',
        'pillow>=10.1',
        'pyyaml',
        'rosbags',
        'setuptools',
        'tqdm',
        'zstandard',
    ],
    extras_require={
        'convert': CONVERT,
        'fleet': FLEET,
        'jazzy': ros('7.1.6', '5.3.6', '2.0.3'),
        'kilted': ros('9.1.2', '5.5.1', '2.3.0'),
        'rerun': RERUN,
        'simulation': ['open3d'],
        'test': [
            *CONVERT,
            *FLEET,
            *RERUN,
            'hypothesis',
            'jsonschema',
            'mypy',
            'onnx',
            'pytest',
            'pytest-timeout',
            'ruff',
            'types-PyYAML',
        ],
    },
    entry_points={
        'console_scripts': [
            'mle-sam = mle_sam_ros.cli:main',
            'perception_node = mle_sam_ros.ros.node:main',
        ],
    },
)
