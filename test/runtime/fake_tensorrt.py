"""TensorRT's Python API of 10 and of 11, whose plans are ONNX graphs that ONNX Runtime runs.

It has no other names than the adapter may use, so whatever else it touched would fail. What
TensorRT 11 took away, and the bits that it moved, differ here, too.
"""

from enum import Enum, IntEnum
import hashlib
import json
import os
import sys
import threading
import time
from types import ModuleType

import fake_cuda
from fake_cuda import FakeCuda
import onnx
import onnxruntime

DTYPES = {
    onnx.TensorProto.UINT8: 'UINT8',
    onnx.TensorProto.FLOAT: 'FLOAT',
    onnx.TensorProto.FLOAT16: 'HALF',
    onnx.TensorProto.BOOL: 'BOOL',
    onnx.TensorProto.INT64: 'INT64',
}
NUM_STEPS = (2, 5)  # of a phase and of the one within it


def fake_tensorrt(version: str, cuda: FakeCuda) -> ModuleType:
    """A module that looks like TensorRT of some version.

    Its attribute `faults` may name what shall go wrong: `capture`, `compile`, `memory`.
    """
    major = int(version.partition('.')[0])
    module = ModuleType('tensorrt')
    module.__version__ = version
    module.faults = set()

    def offer(cls):
        setattr(module, cls.__name__, cls)
        return cls

    creation_flags = ['EXPLICIT_BATCH', 'STRONGLY_TYPED'] if major < 11 else ['STRONGLY_TYPED']
    creation = IntEnum('NetworkDefinitionCreationFlag', creation_flags, start=0)
    module.NetworkDefinitionCreationFlag = creation
    # Numbers differ, as they do from one version to the next.
    start = 0 if major < 11 else 7
    flag = IntEnum('BuilderFlag', ['REFIT', 'TF32', 'VERSION_COMPATIBLE'], start=start)
    module.BuilderFlag = flag
    module.DataType = Enum('DataType', [*DTYPES.values()])
    module.TensorIOMode = Enum('TensorIOMode', ['INPUT', 'OUTPUT'])
    module.LayerInformationFormat = Enum('LayerInformationFormat', ['JSON'])
    module.MemoryPoolType = Enum('MemoryPoolType', ['WORKSPACE'])
    module.ProfilingVerbosity = Enum('ProfilingVerbosity', ['LAYER_NAMES_ONLY', 'DETAILED'])

    @offer
    class ILogger:
        INTERNAL_ERROR, ERROR, WARNING = range(3)

        def __init__(self):
            self._is_initialised = True

        def log(self, severity, msg):
            raise NotImplementedError

    @offer
    class IProgressMonitor:
        def __init__(self):
            self._is_initialised = True

        def phase_start(self, phase_name, parent_phase, num_steps):
            raise NotImplementedError

        def step_complete(self, phase_name, step):
            raise NotImplementedError

        def phase_finish(self, phase_name):
            raise NotImplementedError

    @offer
    class ITimingCache:
        def __init__(self, blob):
            head, _, learnt = blob.partition(b'\n')
            self._head, self._learnt = head or _mark(), set(learnt.split())

        def serialize(self):
            return HostMemory(b'\n'.join([self._head, *sorted(self._learnt)]))

    def _mark():
        return f'timing {version} {cuda.gpus[0].name.decode()}'.encode().rstrip(b'\0')

    @offer
    class IBuilderConfig:
        builder_optimization_level = 3
        profiling_verbosity = module.ProfilingVerbosity.LAYER_NAMES_ONLY
        progress_monitor = None

        def __init__(self):
            self._flags, self._pools, self._timing = {flag.TF32}, {}, None

        def set_flag(self, item):
            self._flags.add(flag(item))

        def clear_flag(self, item):
            self._flags.discard(flag(item))

        def set_memory_pool_limit(self, pool, pool_size):
            self._pools[pool.name] = pool_size

        def create_timing_cache(self, serialized_timing_cache):
            return ITimingCache(bytes(serialized_timing_cache))

        def set_timing_cache(self, cache, ignore_mismatch):
            assert ignore_mismatch is False
            if cache._head != _mark():
                return False
            self._timing = cache
            return True

        def get_timing_cache(self):
            return self._timing

    class INetworkDefinition:
        def __init__(self, flags):
            assert not flags >> len(creation), 'unknown flags'
            self._is_strongly_typed = bool(flags >> creation.STRONGLY_TYPED & 1)
            self._graph = None

    @offer
    class ParserError:
        def __init__(self, text):
            self._text = text

        def desc(self):
            return self._text

    @offer
    class OnnxParser:
        num_errors = 0

        def __init__(self, network, logger):
            assert isinstance(logger, ILogger)
            self._network, self._errors = network, []

        def parse_from_file(self, model):
            try:
                self._network._graph = onnx.load(model)
                onnx.checker.check_model(self._network._graph)
            except Exception as error:
                self._errors.append(ParserError(f'fake:\n{error}'))
            self.num_errors = len(self._errors)
            return not self._errors

        def get_error(self, index):
            return self._errors[index]

    @offer
    class Builder:
        def __init__(self, logger):
            assert isinstance(logger, ILogger)
            assert logger._is_initialised
            self._logger = logger

        def create_network(self, flags=0):
            return INetworkDefinition(flags)

        def create_builder_config(self):
            return IBuilderConfig()

        def build_serialized_network(self, network, config):
            assert network._is_strongly_typed, 'precision stands in the graph'
            content = network._graph.SerializeToString()
            if not _work(config.progress_monitor):
                return None
            if 'compile' in module.faults:
                self._logger.log(ILogger.WARNING, 'a warning that explains nothing')
                self._logger.log(ILogger.ERROR, 'no kernel\nfor this layer')
                return None
            config._timing._learnt.add(hashlib.sha256(content).hexdigest().encode())
            head = {
                'version': version,
                'gpu': cuda.gpus[0].name.decode(),
                'flags': sorted(item.name for item in config._flags),
                'level': config.builder_optimization_level,
                'pools': config._pools,
                'verbosity': config.profiling_verbosity.name,
                'known_kernels': len(config._timing._learnt),
            }
            return HostMemory(json.dumps(head).encode() + b'\n' + content)

    @offer
    class Runtime:
        engine_host_code_allowed = False

        def __init__(self, logger):
            assert isinstance(logger, ILogger)
            self._logger = logger

        def deserialize_cuda_engine(self, serialized_engine):
            head, _, content = serialized_engine.partition(b'\n')
            try:
                facts = json.loads(head)
                session = onnxruntime.InferenceSession(content, _session_options())
            except Exception as error:
                self._logger.log(ILogger.ERROR, f'not a plan: {error}')
                return None
            carries_code = 'VERSION_COMPATIBLE' in facts['flags']
            if carries_code and not self.engine_host_code_allowed:
                self._logger.log(ILogger.ERROR, 'the plan carries code, which is not allowed')
                return None
            if facts['version'] != version and not carries_code:
                self._logger.log(ILogger.ERROR, f'a plan of TensorRT {facts["version"]}')
                return None
            return ICudaEngine(session, onnx.load_from_string(content), facts)

    @offer
    class ICudaEngine:
        num_io_tensors = 0
        device_memory_size_v2 = 4096

        def __init__(self, session, model, facts):
            graph = model.graph
            self._session, self._graph, self._facts = session, graph, facts
            self._tensors = {value.name: value.type.tensor_type for value in graph.input}
            self._outputs = {value.name: value.type.tensor_type for value in graph.output}
            self._tensors |= self._outputs
            self.num_io_tensors = len(self._tensors)

        def get_tensor_name(self, index):
            return list(self._tensors)[index]

        def get_tensor_mode(self, name):
            mode = module.TensorIOMode
            return mode.OUTPUT if name in self._outputs else mode.INPUT

        def get_tensor_dtype(self, name):
            return module.DataType[DTYPES[self._tensors[name].elem_type]]

        def get_tensor_shape(self, name):
            return [d.dim_value for d in self._tensors[name].shape.dim]

        def create_execution_context(self):
            return None if 'memory' in module.faults else IExecutionContext(self)

        def create_engine_inspector(self):
            return EngineInspector(self)

    @offer
    class EngineInspector:
        def __init__(self, engine):
            self._engine = engine

        def get_engine_information(self, format):
            assert format == module.LayerInformationFormat.JSON
            names = [node.op_type for node in self._engine._graph.node]
            if self._engine._facts['verbosity'] != 'DETAILED':
                return json.dumps({'Layers': names})
            outputs = [{'Name': 'x', 'Format/Datatype': 'Float'}]
            return json.dumps({'Layers': [{'Name': n, 'Outputs': outputs} for n in names]})

    @offer
    class IExecutionContext:
        def __init__(self, engine):
            self._engine, self._addresses = engine, {}

        def set_tensor_address(self, name, memory):
            assert type(memory) is int
            if name not in self._engine._tensors or memory % 256:
                return False
            self._addresses[name] = memory
            return True

        def infer_shapes(self):
            return [name for name in self._engine._tensors if name not in self._addresses]

        def execute_async_v3(self, stream_handle):
            assert type(stream_handle) is int
            assert stream_handle, 'the default stream'
            assert not self.infer_shapes()
            if 'capture' in module.faults and cuda.is_recording(stream_handle):
                cuda.invalidate(stream_handle)
                return False
            for name in self._addresses:
                self._memory(name)
            cuda.enqueue(stream_handle, self._execute)
            return True

        def _memory(self, name):
            """The tensor on the GPU, as numpy sees it."""
            tensor = self._engine._tensors[name]
            dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
            shape = [d.dim_value for d in tensor.shape.dim]
            num_bytes = dtype.itemsize
            for side in shape:
                num_bytes *= side
            memory = cuda.memory(self._addresses[name], num_bytes, is_device=True)
            return memory.view(dtype).reshape(shape)

        def _execute(self):
            cuda.log.append(f'execute {self._engine._graph.name}')
            outputs = self._engine._outputs
            inputs = {n: self._memory(n) for n in self._engine._tensors if n not in outputs}
            for name, value in zip(
                outputs, self._engine._session.run(list(outputs), inputs), strict=True
            ):
                self._memory(name)[...] = value

    return module


class HostMemory(bytes):
    """What TensorRT gives bytes out in."""


def _session_options():
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return options


def _work(monitor) -> bool:
    """Two phases, one within the other; the inner one on a thread of its own, as TensorRT may."""
    assert monitor._is_initialised
    going_on = [True]

    def inner():
        monitor.phase_start('Timing kernels', 'Building engine', NUM_STEPS[1])
        for step in range(NUM_STEPS[1]):
            time.sleep(float(os.environ.get('FAKE_TENSORRT_STEP_S', 0)))
            going_on[0] = going_on[0] and monitor.step_complete('Timing kernels', step)
        monitor.phase_finish('Timing kernels')

    monitor.phase_start('Building engine', None, NUM_STEPS[0])
    for step in range(NUM_STEPS[0]):
        if going_on[0]:
            thread = threading.Thread(target=inner)
            thread.start()
            thread.join()
        if going_on[0]:
            going_on[0] = monitor.step_complete('Building engine', step)
    monitor.phase_finish('Building engine')
    return going_on[0]


def install(version: str = '10.13.3.9', gpu: str = 'Fake GPU') -> FakeCuda:
    """Make `import tensorrt` and `cuda.bindings` give fakes, and forget who imported others."""
    forget()
    cuda = FakeCuda(gpu)
    fake_cuda.install(cuda)
    sys.modules['tensorrt'] = fake_tensorrt(version, cuda)
    return cuda


def forget() -> None:
    """Forget fakes and everything that was imported on top of them."""
    for name in list(sys.modules):
        room, _, file = name.rpartition('.')
        is_adapter = room == 'mle_sam_ros.runtime' and file.startswith(('tensorrt_', 'cuda_'))
        if is_adapter or name.split('.')[0] in ('cuda', 'tensorrt'):
            del sys.modules[name]
        if is_adapter:  # `from mle_sam_ros.runtime import …` asks the room before the modules
            vars(sys.modules[room]).pop(file, None)
