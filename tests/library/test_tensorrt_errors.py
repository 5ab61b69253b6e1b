"""Causes of failed builds and frames: the most specific one, of this build only; and small facts about engines."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from fake_tensorrt import install
from typer.testing import CliRunner

from camera_perception.core.errors import EngineError
from camera_perception.core.model_spec import load_spec
from camera_perception.engines.build.build import build_engine
from camera_perception.engines.deviation import PRECISION_FACTORS
from camera_perception.engines.reference import read_reference, write_reference
from camera_perception.engines.select import load_engine
from camera_perception.engines.tensorrt.errors import explain
from camera_perception.engines.tensorrt.manifest import BuildOptions
from camera_perception.tools.cli.app import app

NO_DRIVER = "CUDA initialization failure with error: 35 (cudaError 35: CUDA driver version is insufficient)"
NO_KERNEL = "Error Code 10: Could not find any implementation for node /stem/conv."
NO_MEMORY = "Error Code 2: OutOfMemory (Requested size was 734003200 bytes.)"


@pytest.fixture
def fake(monkeypatch, tmp_path):
    monkeypatch.setattr("camera_perception.engines.select.TIMED_RUNS", 1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return install(monkeypatch)


@pytest.fixture(scope="module")
def spec(tiny_model):
    return load_spec(tiny_model)


@pytest.mark.parametrize(
    ("specific", "sentence"),
    [
        ("model contains HW-specific datatypes: fp8_e4m3", "no fp8 arithmetic"),
        ("Could not infer output types for operation: dequantize", "cannot build int8"),
        ("Non-zero zero point is not supported", "zero points"),
        ("No importer registered for op: Det", "the operation Det"),
    ],
)
def test_the_most_specific_cause_wins_wherever_it_was_logged(specific, sentence):
    for messages in ([NO_DRIVER, NO_KERNEL, specific], [specific, NO_MEMORY, NO_DRIVER]):
        assert sentence in explain(messages)


def test_a_kernel_that_was_not_found_for_lack_of_memory_is_a_lack_of_memory():
    assert "out of memory" in explain([NO_KERNEL, NO_MEMORY])
    assert "no usable NVIDIA driver" in explain([NO_DRIVER])


def test_what_others_log_meanwhile_does_not_explain_a_build(fake, spec):
    """Another thread of the process runs an engine, whose errors come to the same logger."""
    from camera_perception.engines.tensorrt.logger import LOGGER

    def progress(phase, share):
        LOGGER.log(fake.module.ILogger.ERROR, "model contains HW-specific datatypes: fp8_e4m3")
        return True

    fake.workspace = 1 << 40
    with pytest.raises(EngineError, match="no kernel fits node /stem/conv"):
        build_engine(spec, BuildOptions(workspace_mib=16), progress=progress)


def test_a_strongly_typed_fp32_engine_computes_in_fp32(fake, spec):
    build_engine(spec)
    assert [config.flags for config in fake.configs] == [set()], "TF32 is on by default"


def test_a_failed_graph_capture_leaves_no_error_behind(fake, spec):
    build_engine(spec)
    fake.refuse_cuda_graph = True
    engine = load_engine(spec, "tensorrt")
    assert fake.cuda.last_error.name == "cudaSuccess"
    assert fake.cuda.leaks().get("graphs", 0) == 0
    assert engine._network.recorder.take() == []
    engine.close()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Half NHWC8", "Half"),
        ("UInt8 NHWC", "UInt8"),
        ("Int8 NC/32HW32", "Int8"),
        ("BFloat16 NCHW", "BFloat16"),
        ("BF16 NCHW", "BFloat16"),
        ("Channel major FP16 format", "Half"),
        ("Float NCHW", "Float"),
        ("Int64 NC", "Int64"),
    ],
)
def test_the_summary_knows_the_number_types(fake, text, name):
    from camera_perception.engines.tensorrt.builder import layer_precisions

    assert layer_precisions(json.dumps({"Layers": [{"Outputs": [{"Format/Datatype": text}]}]})) == {name: 1}


def test_a_build_ends_at_one_although_the_last_step_does_not(fake, spec):
    fake.last_steps_missing = 2
    seen = []
    build_engine(spec, progress=lambda phase, share: seen.append((phase, share)) or True)
    assert ("the engine is built", 1.0) in seen


@pytest.mark.parametrize(("precision", "most"), [("int8", 10), ("fp8", 20)])
def test_eight_bits_may_differ_by_few_steps_from_their_own_reference(precision, most):
    assert 5 <= PRECISION_FACTORS[precision][0] <= most


def test_the_error_recorder_answers_under_the_name_that_tensorrt_calls(fake):
    from camera_perception.engines.tensorrt.logger import ErrorRecorder

    recorder = ErrorRecorder()
    recorder.report_error(fake.module.ErrorCodeTRT.FAILED_EXECUTION, "x")
    assert recorder.get_num_errors() == 1


def test_auto_takes_the_model_itself_where_its_fp16_variant_fails_its_gate(fake, spec, tmp_path, caplog):
    model = shutil.copytree(spec.folder, tmp_path / "model")
    shutil.copytree(spec.folder, model / "fp16")
    data = json.loads((model / "fp16/model.json").read_text("utf-8")) | {"precision": "fp16"}
    (model / "fp16/model.json").write_text(json.dumps(data), "utf-8")
    reference = read_reference(model / "reference.npz")
    wrong = {name: np.roll(array, 1, 0) for name, array in reference.outputs.items()}
    write_reference(model / "fp16/reference.npz", reference.images, wrong)
    result = CliRunner().invoke(app, ["build-engine", str(model)])
    assert result.exit_code == 0, result.output
    assert "_fp32_" in result.output
    assert "the fp16 variant is not used" in caplog.text
    refused = CliRunner().invoke(app, ["build-engine", str(model), "--precision", "fp16"])
    assert refused.exit_code != 0
