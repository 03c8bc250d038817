"""The names of TensorRT and CUDA that the backend uses, looked for in their public bindings.

The bindings come from the package index, as does the compiler's work: their libraries are stubs,
so no TensorRT and no GPU is needed, and nothing can be compiled or run with them.
"""

import json
import os
from pathlib import Path
import re
import shutil
import subprocess
import sys

from fake_cuda import FakeCuda
from fake_tensorrt import fake_tensorrt, forget, install
from public_wheels import unpack
import pytest

ROOT = Path(__file__).parents[2]
VERSIONS = {
    '10.3.0': 'tensorrt-cu12-bindings',
    '10.13.3.9.post1': 'tensorrt-cu13-bindings',
    '10.16.1.11': 'tensorrt-cu13-bindings',
    '11.4.0.106': 'tensorrt-cu13-bindings',
}
CUDA = {
    '12.9': ['cuda-bindings==12.9.4', 'cuda-pathfinder==1.3.2'],
    '13.0': ['cuda-bindings==13.0.3', 'cuda-pathfinder==1.3.2'],
}
# Names that data types have as well, so that finding them in the library says nothing.
AMBIGUOUS = {'BF16', 'INT8'}
STUB = """
long getNvOnnxParserVersion(void) { return 0; }
long getPluginRegistry(void) { return 0; }
long getBuilderPluginRegistry(void) { return 0; }
long initLibNvInferPlugins(void) { return 0; }
long createInferBuilder_INTERNAL(void) { return 0; }
long createInferRefitter_INTERNAL(void) { return 0; }
long createInferRuntime_INTERNAL(void) { return 0; }
long createNvOnnxParser_INTERNAL(void) { return 0; }
long createNvOnnxParserRefitter_INTERNAL(void) { return 0; }
"""
DESCRIBE = """
import json, sys, tensorrt
tensorrt.__version__ = sys.argv[1]  # which the package around the bindings says
names = {}
for name, item in vars(tensorrt).items():
    if isinstance(item, type):
        names[name] = [attribute for attribute in dir(item) if not attribute.startswith('_')]
from mle_sam_ros.runtime import tensorrt_api, tensorrt_build
log, told = tensorrt_api.ErrorLog(), []
log.log(tensorrt.ILogger.WARNING, 'a warning')
log.log(tensorrt.ILogger.ERROR, 'an\\nerror')
monitor = tensorrt_build.Monitor(told.append, lambda: True)
monitor.phase_start('outer', None, 2)
monitor.phase_start('inner', 'outer', 4)
goes_on = monitor.step_complete('inner', 1)
print(json.dumps({
    'names': names,
    'flags': tensorrt_build._network_flags(),
    'error': log.take(),
    'told': told,
    'goes_on': goes_on,
    'dtype': tensorrt.DataType.HALF.name,
}))
"""


@pytest.fixture(scope='module')
def wheels(request) -> Path:
    return request.config.cache.mkdir('public_wheels')


@pytest.fixture(scope='module', params=VERSIONS)
def version(request) -> str:
    return request.param


@pytest.fixture(scope='module')
def bindings(version, wheels) -> Path:
    return unpack([f'{VERSIONS[version]}=={version}'], wheels)


@pytest.fixture(scope='module')
def tables():
    """RELIED_ON, GUARDED and AVOIDED of the adapter."""
    install()
    try:
        from mle_sam_ros.runtime import tensorrt_api

        return tensorrt_api.RELIED_ON, tensorrt_api.GUARDED, tensorrt_api.AVOIDED
    finally:
        forget()


def major_of(version: str) -> int:
    return int(version.split('.')[0])


def test_every_name_stands_in_the_library(bindings, version, tables):
    """Names are strings that end in a zero byte; linkers may let one be the tail of another."""
    library = next(bindings.glob('tensorrt*/tensorrt*.so')).read_bytes()

    def stands(name: str) -> bool:
        return name.rpartition('.')[2].encode() + b'\0' in library

    relied_on, guarded, avoided = tables
    assert [name for name in relied_on if not stands(name)] == []
    old = [name for name in (*guarded, *avoided) if name.rpartition('.')[2] not in AMBIGUOUS]
    assert [name for name in old if stands(name) != (major_of(version) < 11)] == []
    assert not stands('no_such_name')


@pytest.fixture(scope='module')
def described(bindings, version, tmp_path_factory) -> dict:
    """What the real bindings offer, told by a process that imported them over stub libraries."""
    compiler = shutil.which('cc') or shutil.which('gcc')
    if compiler is None:
        pytest.skip('a C compiler is needed to stand in for the libraries of TensorRT')
    stubs = tmp_path_factory.mktemp('stubs')
    (stubs / 'stub.c').write_text(STUB)
    for library in ('nvinfer', 'nvinfer_plugin', 'nvonnxparser'):
        name = f'lib{library}.so.{major_of(version)}'
        command = [compiler, '-shared', '-fPIC', '-o', name, 'stub.c', f'-Wl,-soname,{name}']
        subprocess.run(command, cwd=stubs, check=True)
    folder = next(bindings.glob('tensorrt*/tensorrt*.so')).parent
    cuda = write_cuda_module(tmp_path_factory.mktemp('cuda'))
    return run(DESCRIBE, version, [folder, cuda, ROOT], LD_LIBRARY_PATH=str(stubs))


def write_cuda_module(directory: Path) -> Path:
    """Enough of a `cuda.bindings` for the adapter to be imported."""
    package = directory / 'cuda' / 'bindings'
    package.mkdir(parents=True)
    (package / 'runtime.py').write_text('')
    return directory


def run(script: str, argument: str, path: list[Path], **variables: str) -> dict:
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(map(str, path)), **variables}
    command = [sys.executable, '-c', script, argument]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def offers(described: dict, name: str) -> bool:
    holder, _, attribute = name.partition('.')
    names = described['names'].get(holder)
    return names is not None and (not attribute or attribute in names)


def test_every_name_is_where_the_adapter_looks_for_it(described, version, tables):
    relied_on, guarded, avoided = tables
    assert [name for name in relied_on if not offers(described, name)] == []
    is_old = major_of(version) < 11
    assert [n for n in (*guarded, *avoided) if offers(described, n) != is_old] == []


def test_the_adapter_works_on_the_real_classes(described, version):
    """Its logger and its monitor derive from them, and its flags are made from them."""
    assert described['flags'] == (0b11 if major_of(version) < 11 else 0b1)
    assert described['error'] == 'an error'
    assert (described['told'], described['goes_on']) == ([0.25], True)
    assert described['dtype'] == 'HALF'


def names_of(module) -> set[str]:
    return {
        f'{holder}.{attribute}'
        for holder, item in vars(module).items()
        if isinstance(item, type)
        for attribute in ([*vars(item)] if not hasattr(item, '__members__') else item.__members__)
        if not attribute.startswith('_')
    }


def test_the_fake_offers_nothing_that_the_real_one_does_not(described, version):
    fake = fake_tensorrt(version, FakeCuda())
    strangers = {'TensorIOMode.OUTPUT', 'DataType.INT64', 'ProfilingVerbosity.LAYER_NAMES_ONLY'}
    names = names_of(fake)
    assert strangers <= names
    assert [name for name in names if not offers(described, name)] == []


@pytest.mark.parametrize('fake_version', ['10.13.3.9', '11.4.0.106'])
def test_the_adapter_can_touch_nothing_but_what_is_checked(fake_version, tables):
    """It runs on the fake, which has those names alone, and a few for itself."""
    relied_on, guarded, _ = tables
    own = {
        'DataType.INT64', 'ILogger.WARNING', 'ProfilingVerbosity.LAYER_NAMES_ONLY',
        'TensorIOMode.OUTPUT',
    }  # fmt: skip
    names = names_of(fake_tensorrt(fake_version, FakeCuda()))
    guarded = guarded if fake_version < '11' else ()
    assert names - own == {*relied_on, *guarded}


def test_the_adapter_asks_for_no_version():
    for path in (ROOT / 'mle_sam_ros' / 'runtime').glob('tensorrt_*.py'):
        source = path.read_text()
        for use in re.findall(r'.*tensorrt\.__version__.*', source):
            assert 'if tensorrt' not in use, path
            assert not re.search(r'[<>]=?|==', use), path


CALLS = """
import json, sys
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.runtime import cuda_runtime as cuda
kinds, mode = cuda.runtime.cudaMemcpyKind, cuda.runtime.cudaStreamCaptureMode
calls = {
    'cudaEventCreate': (),
    'cudaEventElapsedTime': (1, 2),
    'cudaEventRecord': (1, 2),
    'cudaFree': (256,),
    'cudaGetDeviceProperties': (0,),
    'cudaGraphLaunch': (1, 2),
    'cudaMalloc': (256,),
    'cudaMallocHost': (256,),
    'cudaMemcpyAsync': (256, 512, 4, kinds.cudaMemcpyHostToDevice, 2),
    'cudaStreamBeginCapture': (2, mode.cudaStreamCaptureModeThreadLocal),
    'cudaStreamCreateWithFlags': (cuda.runtime.cudaStreamNonBlocking,),
    'cudaStreamSynchronize': (2,),
    'cudaStreamWaitEvent': (2, 1, 0),
}
told = {}
for name, arguments in calls.items():
    try:
        cuda.call(name, *arguments)
    except RuntimeError as error:
        told[name] = str(error)
try:
    cuda.describe_gpu()
except InputError as error:
    told['describe_gpu'] = str(error)
lacking = [name for name in cuda.RELIED_ON if not hasattr(cuda.runtime, name)]
properties = dir(cuda.runtime.cudaDeviceProp())
print(json.dumps({'told': told, 'lacking': lacking, 'calls': list(calls), 'known': properties}))
"""


@pytest.mark.parametrize('release', CUDA)
def test_cuda_is_called_as_its_bindings_want_it(release, wheels):
    """Without a GPU every call comes back with CUDA's own error, not with one of its arguments."""
    site = unpack(CUDA[release], wheels)
    result = run(CALLS, '', [site, ROOT], CUDA_VISIBLE_DEVICES='')
    assert result['lacking'] == []
    assert {'name', 'major', 'minor'} <= set(result['known'])
    assert set(result['told']) == {*result['calls'], 'describe_gpu'}
    for name, text in result['told'].items():
        assert re.match(r'CUDA: cuda\w+: .*(driver|device)', text), name
    assert 'expected a GPU' in result['told']['describe_gpu']


def test_the_fake_cuda_is_called_by_the_same_names():
    install()
    try:
        from mle_sam_ros.runtime import cuda_runtime

        assert [name for name in cuda_runtime.RELIED_ON if not hasattr(FakeCuda, name)] == []
        _, _, source = Path(cuda_runtime.__file__).read_text().partition('RELIED_ON = (')
        _, _, source = source.partition(')')
        used = re.findall(r"'(cuda[A-Z]\w+)'|runtime\.(cuda[A-Z]\w+)\(", source)
        assert {a or b for a, b in used} == set(cuda_runtime.RELIED_ON)
    finally:
        forget()
