"""What this package uses of TensorRT's Python API, the same from 10.3 to 11.

Versions are told apart by `hasattr` alone. The names stand here once, so that a test can look for
them in the public bindings of each version.
"""

from typing import Any

import tensorrt

# Present in every version.
RELIED_ON = (
    'Builder.build_serialized_network',
    'Builder.create_builder_config',
    'Builder.create_network',
    'BuilderFlag.REFIT',
    'BuilderFlag.TF32',
    'BuilderFlag.VERSION_COMPATIBLE',
    'DataType.BOOL',
    'DataType.FLOAT',
    'DataType.HALF',
    'DataType.UINT8',
    'EngineInspector.get_engine_information',
    'IBuilderConfig.builder_optimization_level',
    'IBuilderConfig.clear_flag',
    'IBuilderConfig.create_timing_cache',
    'IBuilderConfig.get_timing_cache',
    'IBuilderConfig.profiling_verbosity',
    'IBuilderConfig.progress_monitor',
    'IBuilderConfig.set_flag',
    'IBuilderConfig.set_memory_pool_limit',
    'IBuilderConfig.set_timing_cache',
    'ICudaEngine.create_engine_inspector',
    'ICudaEngine.create_execution_context',
    'ICudaEngine.device_memory_size_v2',
    'ICudaEngine.get_tensor_dtype',
    'ICudaEngine.get_tensor_mode',
    'ICudaEngine.get_tensor_name',
    'ICudaEngine.get_tensor_shape',
    'ICudaEngine.num_io_tensors',
    'IExecutionContext.execute_async_v3',
    'IExecutionContext.infer_shapes',
    'IExecutionContext.set_tensor_address',
    'ILogger.ERROR',
    'ILogger.INTERNAL_ERROR',
    'ILogger.log',
    'IProgressMonitor.phase_finish',
    'IProgressMonitor.phase_start',
    'IProgressMonitor.step_complete',
    'ITimingCache.serialize',
    'LayerInformationFormat.JSON',
    'MemoryPoolType.WORKSPACE',
    'NetworkDefinitionCreationFlag.STRONGLY_TYPED',
    'OnnxParser.get_error',
    'OnnxParser.num_errors',
    'OnnxParser.parse_from_file',
    'ParserError.desc',
    'ProfilingVerbosity.DETAILED',
    'Runtime.deserialize_cuda_engine',
    'Runtime.engine_host_code_allowed',
    'TensorIOMode.INPUT',
)

# Present in 10 and gone in 11: only asked for with `hasattr`.
GUARDED = ('NetworkDefinitionCreationFlag.EXPLICIT_BATCH',)

# Present in 10 and gone in 11: never used, precision and batch stand in the graph.
AVOIDED = (
    'Builder.platform_has_fast_fp16',
    'BuilderFlag.BF16',
    'BuilderFlag.FP16',
    'BuilderFlag.INT8',
    'BuilderFlag.OBEY_PRECISION_CONSTRAINTS',
    'BuilderFlag.PREFER_PRECISION_CONSTRAINTS',
    'IAlgorithmSelector',
    'IBuilderConfig.algorithm_selector',
    'IBuilderConfig.int8_calibrator',
    'ICudaEngine.create_execution_context_without_device_memory',
    'ICudaEngine.device_memory_size',
    'IInt8Calibrator',
    'ILayer.set_output_type',
    'ITensor.set_dynamic_range',
    'OnnxParser.supports_model',
)

# Name in numpy by name in TensorRT, of what crosses the border of a plan.
DTYPES = {'BOOL': 'bool', 'FLOAT': 'float32', 'HALF': 'float16', 'UINT8': 'uint8'}


class ErrorLog(tensorrt.ILogger):
    """Keeps what TensorRT says went wrong."""

    def __init__(self) -> None:
        tensorrt.ILogger.__init__(self)
        self._errors: list[str] = []

    def log(self, severity: Any, message: str) -> None:
        """Called by TensorRT, from any of its threads."""
        if severity in (tensorrt.ILogger.ERROR, tensorrt.ILogger.INTERNAL_ERROR):
            self._errors.append(' '.join(message.split()))

    def take(self) -> str:
        """What went wrong since the last call, the first message of it."""
        first = self._errors[0] if self._errors else 'no error message'
        self._errors.clear()
        return first


# One for all: TensorRT goes on using the first that it was given.
ERROR_LOG = ErrorLog()
