"""Only names that TensorRT 10.3 to 11 share: the sources, the stub and the fake agree with one table."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest
from fake_cuda import FakeCuda
from fake_kernels import FakeDriver, FakeNvrtc
from fake_tensorrt import FakeTensorRt

REPOSITORY = Path(__file__).parents[2]
ENGINES = REPOSITORY / "ros2_ws/src/camera_perception/camera_perception/engines"
SOURCES = sorted((ENGINES / "tensorrt").glob("*.py"))
STUB = REPOSITORY / "typings/tensorrt.pyi"

# From NVIDIA's binding sources at v10.3.0, v10.13.3, v10.16 and v11.1: what is in every one of them.
SHARED = {
    "": "__version__ Builder OnnxParser Runtime nptype volume ILogger Logger IErrorRecorder IProgressMonitor",
    "Builder": "create_network create_builder_config create_optimization_profile build_serialized_network"
    " is_network_supported error_recorder max_threads logger reset",
    "IBuilderConfig": "set_memory_pool_limit get_memory_pool_limit set_flag clear_flag get_flag flags"
    " add_optimization_profile create_timing_cache set_timing_cache get_timing_cache profiling_verbosity"
    " builder_optimization_level hardware_compatibility_level progress_monitor max_aux_streams avg_timing_iterations"
    " set_tactic_sources get_tactic_sources engine_capability profile_stream runtime_platform",
    "IOptimizationProfile": "set_shape get_shape set_shape_input extra_memory_target",
    "ITimingCache": "serialize combine reset",
    "OnnxParser": "parse parse_from_file supports_operator supports_model_v2 num_subgraphs num_errors get_error"
    " clear_errors set_flag get_flag clear_flag",
    "ParserError": "code desc file line func node node_name node_operator local_function_stack",
    "INetworkDefinition": "num_inputs get_input num_outputs get_output num_layers get_layer name get_flag",
    "ITensor": "name shape dtype allowed_formats is_network_input is_network_output",
    "Runtime": "deserialize_cuda_engine error_recorder max_threads gpu_allocator load_runtime"
    " engine_host_code_allowed temporary_directory",
    "ICudaEngine": "num_io_tensors get_tensor_name get_tensor_mode get_tensor_shape get_tensor_dtype"
    " get_tensor_location get_tensor_format get_tensor_format_desc get_tensor_profile_shape"
    " get_tensor_bytes_per_component is_shape_inference_io num_optimization_profiles num_layers num_aux_streams name"
    " refittable hardware_compatibility_level profiling_verbosity device_memory_size_v2"
    " get_device_memory_size_for_profile_v2 create_execution_context create_engine_inspector serialize"
    " create_serialization_config error_recorder",
    "IExecutionContext": "execute_async_v3 execute_v2 set_tensor_address get_tensor_address set_input_shape"
    " get_tensor_shape get_tensor_strides infer_shapes set_optimization_profile_async active_optimization_profile"
    " set_output_allocator get_max_output_size set_input_consumed_event set_device_memory set_aux_streams profiler"
    " report_to_profiler enqueue_emits_profile persistent_cache_limit nvtx_verbosity debug_sync error_recorder engine"
    " name temporary_allocator",
    "EngineInspector": "execution_context get_layer_information get_engine_information",
    "IHostMemory": "nbytes __buffer__",
    "IProgressMonitor": "phase_start step_complete phase_finish",
    "IErrorRecorder": "num_errors get_error_code get_error_desc has_overflowed clear report_error",
    "ILogger": "Severity INTERNAL_ERROR ERROR WARNING INFO VERBOSE log",
    "Severity": "INTERNAL_ERROR ERROR WARNING INFO VERBOSE",
    "ErrorCodeTRT": "SUCCESS UNSPECIFIED_ERROR INTERNAL_ERROR FAILED_EXECUTION",
    "DataType": "FLOAT HALF BF16 INT8 INT32 INT64 UINT8 BOOL FP8",
    "NetworkDefinitionCreationFlag": "STRONGLY_TYPED __int__",
    "MemoryPoolType": "WORKSPACE",
    "ProfilingVerbosity": "DETAILED NONE LAYER_NAMES_ONLY",
    "TensorIOMode": "INPUT OUTPUT",
    "ExecutionContextAllocationStrategy": "STATIC ON_PROFILE_CHANGE USER_MANAGED",
    "LayerInformationFormat": "JSON ONELINE",
}
TOP = set(SHARED) | set(SHARED[""].split())

# In some versions only; each has broken other projects.
GONE = """EXPLICIT_BATCH BuilderFlag FP16 OBEY_PRECISION_CONSTRAINTS int8_calibrator IInt8EntropyCalibrator2
platform_has_fast_fp16 device_memory_size create_execution_context_without_device_memory supports_model build_engine
max_workspace_size execute_async_v2 get_binding_index num_bindings set_dynamic_range CUBLAS create_runtime_config
build_engine_with_config tiling_optimization_level DLA_core default_device_type""".split()


def names_of_trt(file: Path) -> set[str]:
    """Dotted names behind `trt.` in a source file."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Attribute) and (name := dotted(node)).startswith("trt."):
            found.add(name.removeprefix("trt."))
    return found


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def attributes(file: Path) -> set[str]:
    return {node.attr for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.Attribute)}


def stub_classes() -> dict[str, dict[str, ast.AST]]:
    """Class of the stub: its members; "" for the module itself."""
    classes: dict[str, dict[str, ast.AST]] = {"": {}}

    def visit(nodes, owner):
        for node in nodes:
            if isinstance(node, ast.ClassDef):
                classes[owner][node.name] = node
                classes[node.name] = {}
                visit(node.body, node.name)
            elif isinstance(node, ast.FunctionDef):
                classes[owner][node.name] = node
            elif isinstance(node, ast.AnnAssign):
                classes[owner][node.target.id] = node
            elif isinstance(node, ast.Assign):
                classes[owner][node.targets[0].id] = node

    visit(ast.parse(STUB.read_text("utf-8")).body, "")
    return classes


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.name)
def test_the_sources_use_only_names_of_every_version(file):
    for name in names_of_trt(file):
        first, *rest = name.split(".")
        assert first in TOP, f"trt.{name}"
        owner = first
        for part in rest:
            if part != "__init__":
                assert part in SHARED[owner].split(), f"trt.{name}"
            owner = part


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.name)
def test_the_sources_use_no_name_of_some_versions_only(file):
    assert attributes(file) & set(GONE) == set()


def test_the_check_would_find_a_wrong_name(tmp_path):
    file = tmp_path / "x.py"
    file.write_text("import tensorrt as trt\nflag = trt.BuilderFlag.FP16\nconfig.int8_calibrator = None\n")
    assert "BuilderFlag.FP16" in names_of_trt(file)
    assert "BuilderFlag" not in TOP
    assert {"FP16", "int8_calibrator"} <= attributes(file) & set(GONE)


def test_the_stub_has_only_names_of_every_version():
    for owner, members in stub_classes().items():
        allowed = TOP if owner == "" else set(SHARED[owner].split()) | {"__init__"}
        assert members.keys() - allowed == set(), owner


@pytest.mark.parametrize("version", ["10.3.0", "11.1.0"])
def test_the_fake_has_the_stubs_names_and_arguments(version):
    module = FakeTensorRt(version, FakeCuda()).module
    for owner, members in stub_classes().items():
        if owner == "Severity":
            continue
        home = getattr(module, owner) if owner else module
        for name, node in members.items():
            if not isinstance(node, ast.FunctionDef) or name.startswith("__") or "Progress" in owner + name:
                continue
            if owner in ("IErrorRecorder", "ILogger"):
                continue  # abstract: written by the user of the library
            fake = inspect.getattr_static(home, name, property())
            if isinstance(fake, property):
                continue
            got = list(inspect.signature(getattr(home, name)).parameters)
            assert got == [argument.arg for argument in node.args.args], f"{owner}.{name}"


@pytest.mark.parametrize(("version", "bit"), [("10.3.0", 1), ("10.16.2", 1), ("11.1.0", 0)])
def test_the_flag_moves_between_versions(version, bit):
    module = FakeTensorRt(version, FakeCuda()).module
    assert int(module.NetworkDefinitionCreationFlag.STRONGLY_TYPED) == bit


def test_the_fake_of_cuda_has_nvidias_names():
    runtime = pytest.importorskip("cuda.bindings.runtime", reason="needs cuda-bindings")
    ours = {name for name in dir(FakeCuda) if name.startswith("cuda")}
    assert {name for name in ours if not hasattr(runtime, name)} == set()
    for kind in ("cudaError_t", "cudaMemcpyKind", "cudaStreamCaptureMode"):
        for member in getattr(FakeCuda, kind):
            assert int(getattr(getattr(runtime, kind), member.name)) == int(member)


@pytest.mark.parametrize(("module", "fake", "prefix"), [("driver", FakeDriver, "cu"), ("nvrtc", FakeNvrtc, "nvrtc")])
def test_the_fakes_of_driver_and_nvrtc_have_nvidias_names(module, fake, prefix):
    real = pytest.importorskip(f"cuda.bindings.{module}", reason="needs cuda-bindings")
    ours = {name for name in dir(fake) if name.startswith(prefix) and name != "cuda"}
    assert ours
    assert {name for name in ours if not hasattr(real, name)} == set()


def test_a_machine_without_driver_is_explained():
    pytest.importorskip("cuda.bindings.runtime", reason="needs cuda-bindings")
    from camera_perception.engines.cuda import runtime as cuda

    reason = cuda.available()
    if reason is None:
        pytest.skip("this machine has a GPU")
    assert "nvidia-smi" in reason
