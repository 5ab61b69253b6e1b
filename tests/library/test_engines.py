"""Every backend gives the same numbers, refuses what does not fit, and keeps its buffers."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from onnx import TensorProto
from tiny_models import HEIGHT, WIDTH, mean_spec, reference_outputs, tiny_graph, tiny_images, tiny_json, write_folder

from camera_perception.core.errors import EngineError, ModelError
from camera_perception.core.model_spec import load_spec
from camera_perception.engines import BACKENDS, backend_module, infer, select
from camera_perception.engines.reference import check
from camera_perception.engines.select import load_engine

OPTIONS = {"onnxruntime": {"threads": 1}, "openvino": {"threads": 1, "precision": "fp32"}, "recorded": {}}


@pytest.fixture(scope="module")
def spec(tiny_model):
    return load_spec(tiny_model)


@pytest.fixture(params=list(OPTIONS))
def backend(request):
    if reason := backend_module(request.param).available():
        pytest.skip(reason)
    return request.param


def engine_for(spec, backend, **options):
    return load_engine(spec, backend, **OPTIONS[backend], **options)


def test_every_backend_reproduces_the_reference(spec, backend):
    engine = engine_for(spec, backend)
    assert [str(deviation) for deviation in check(engine, spec) if not deviation.ok] == []


def test_every_backend_describes_itself(spec, backend):
    engine = engine_for(spec, backend)
    info = engine.info
    assert (info.backend, info.device) == (backend, "" if backend == "recorded" else "cpu")
    assert info.name == {"openvino": "openvino fp32 cpu", "onnxruntime": "onnxruntime cpu"}.get(backend, backend)
    assert info.backend_version == getattr(sys.modules.get(backend), "__version__", "")
    assert (info.precision, info.cuda_version, info.built_at) == ("fp32", "", "")
    assert engine.spec is spec


def test_no_cpu_backend_takes_source_images(spec, backend):
    engine = engine_for(spec, backend, letterbox=True)
    assert engine.acquire().load_image(tiny_images()[0]) is None


def test_outputs_follow_the_input(spec, backend):
    engine = engine_for(spec, backend)
    wanted = reference_outputs(tiny_graph(), tiny_images()[1:2])
    got = infer(engine, tiny_images()[1:2])
    np.testing.assert_allclose(got["boxes"], wanted["boxes"], atol=1e-3)
    np.testing.assert_allclose(got["boxes"][0, 0], [60, 50, 100, 70], atol=1e-3)
    assert set(got) == {name for head in spec.heads for name in head.tensors.values()}


def test_buffers_are_the_same_from_frame_to_frame(spec, backend):
    engine = engine_for(spec, backend)
    seen = set()
    for image in tiny_images():
        slot = engine.acquire()
        slot.images[0] = image
        engine.submit(slot)
        engine.wait(slot)
        seen.add((slot.images.ctypes.data, *(array.ctypes.data for array in slot.outputs.values())))
        engine.release(slot)
    assert len(seen) == 1


def test_several_frames_in_flight_keep_their_own_results(spec, backend):
    engine = engine_for(spec, backend, slots=3)
    slots = [engine.acquire() for _ in range(3)]
    for slot, image in zip(slots, tiny_images()):
        slot.images[0] = image
        engine.submit(slot)
    for slot, image in reversed(list(zip(slots, tiny_images()))):
        engine.wait(slot)
        np.testing.assert_allclose(
            slot.outputs["scores"], reference_outputs(tiny_graph(), image[None])["scores"], atol=1e-6
        )
    for slot in slots:
        engine.release(slot)
    engine.close()


def test_more_frames_than_slots_is_an_error(spec, backend):
    engine = engine_for(spec, backend)
    slot = engine.acquire()
    with pytest.raises(EngineError, match="all 1 slots"):
        engine.acquire()
    engine.release(slot)
    with pytest.raises(EngineError, match="released twice"):
        engine.release(slot)


@pytest.mark.parametrize("slots", [0, 17])
def test_numbers_of_slots_out_of_range_are_refused(spec, backend, slots):
    with pytest.raises(EngineError, match="give 1 to 16"):
        engine_for(spec, backend, slots=slots)


@pytest.mark.parametrize("name", BACKENDS)
def test_every_registered_backend_reports_whether_it_can_run(name):
    pytest.importorskip(f"camera_perception.engines.{name}")
    reason = backend_module(name).available()
    assert reason is None or "install" in reason


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"name": "pixels"}, "inputs pixels, model.json names 'images'"),
        ({"input_shape": (1, 32, 48, 3)}, r"is uint8 \[1, 32, 48, 3\], model.json declares uint8 \[1, 32, 32, 3\]"),
        ({"input_shape": (1, 3, 32, 32)}, "nhwc"),
        ({"dtype": TensorProto.FLOAT}, "is float32 .* declares uint8"),
        ({"batch": 2}, r"\[2, 32, 32, 3\]"),
    ],
)
def test_a_graph_that_contradicts_model_json_is_refused(tmp_path, backend, arguments, expected):
    spec = mean_spec(tmp_path, **arguments)
    with pytest.raises(ModelError, match=expected):
        engine_for(spec, backend)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_head_that_reads_a_missing_tensor_is_refused(tmp_path, backend):
    data = tiny_json()
    data["outputs"][1]["tensors"]["map"] = "road"
    spec = load_spec(write_folder(tmp_path, tiny_graph(), data))
    with pytest.raises(ModelError, match="reads 'road' as map.*has only the outputs boxes"):
        engine_for(spec, backend)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_dynamic_batch_size_becomes_that_of_model_json(tmp_path, backend):
    spec = mean_spec(tmp_path, ("batch", 2), input_shape=("batch", 32, 32, 3), batch=3)
    engine = engine_for(spec, backend)
    images = np.stack([np.full((32, 32, 3), level, np.uint8) for level in (0, 10, 200)])
    np.testing.assert_allclose(infer(engine, images)["logits"], [[0, 0], [10, 10], [200, 200]], rtol=1e-5)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_file_that_is_not_onnx_is_refused(tmp_path, backend):
    spec = mean_spec(tmp_path)
    spec.onnx_path.write_bytes(b"this is not a network")
    with pytest.raises(EngineError, match="export the model again"):
        engine_for(spec, backend)


def test_engine_ids_distinguish_models_and_backends(tmp_path, spec):
    other = mean_spec(tmp_path)
    engines = [engine_for(s, b) for s in (spec, other) for b in ("onnxruntime", "openvino")]
    assert len({engine.info.engine_id for engine in engines}) == 4
    assert engine_for(spec, "onnxruntime").info.engine_id == engines[0].info.engine_id


def test_recorded_recognises_its_images_and_otherwise_replays_in_order(spec):
    engine = engine_for(spec, "recorded")
    strange = np.full((2, HEIGHT, WIDTH, 3), 77, np.uint8)
    wanted = reference_outputs(tiny_graph(), tiny_images())["scores"]
    played = [infer(engine, strange[:1])["scores"][0] for _ in range(len(wanted) + 1)]
    np.testing.assert_allclose(played, [*wanted, wanted[0]], atol=1e-6)
    np.testing.assert_allclose(infer(engine, tiny_images()[2:3])["scores"][0], wanted[2], atol=1e-6)
    with pytest.raises(EngineError, match="not in the recording"):
        infer(load_engine(spec, "recorded", strict=True), strange[:1])


def test_unknown_backends_devices_precisions_and_options_are_refused(spec):
    for text in ("onnx", "openvino:fp7", ""):
        with pytest.raises(EngineError, match="expected auto"):
            load_engine(spec, text)
    with pytest.raises(EngineError, match="unknown device"):
        load_engine(spec, "onnxruntime", device="tpu")
    with pytest.raises(EngineError, match="does not take these options"):
        load_engine(spec, "onnxruntime", speed="high")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "camera_perception"


def test_auto_selects_the_fastest_and_caches_the_choice(spec, cache, monkeypatch):
    milliseconds = {"openvino": 9.0, "onnxruntime": 2.0}
    monkeypatch.setattr(select, "median_ms", lambda engine: milliseconds[engine.info.name.split()[0]])
    monkeypatch.setattr(select, "candidates", lambda spec: [select.Candidate(name) for name in milliseconds])
    assert load_engine(spec, threads=1).info.name.startswith("onnxruntime")
    assert json.loads(next(cache.iterdir()).read_text())["chosen"]["backend"] == "onnxruntime"
    monkeypatch.setattr(select, "median_ms", lambda engine: pytest.fail("timed again"))
    assert load_engine(spec, threads=1).info.name.startswith("onnxruntime")


def test_auto_passes_over_what_fails_the_reference(spec, cache, monkeypatch):
    def failing(engine, spec, reference=None):
        if engine.info.name.startswith("openvino"):
            raise EngineError("wrong numbers")

    monkeypatch.setattr(select, "require", failing)
    assert load_engine(spec, threads=1).info.name.startswith("onnxruntime")


def test_auto_explains_why_nothing_runs(spec, cache, monkeypatch):
    def failing(engine, spec, reference=None):
        raise EngineError("wrong numbers")

    monkeypatch.setattr(select, "require", failing)
    with pytest.raises(EngineError, match=r"no engine can run model 'tiny': .*onnxruntime: wrong numbers"):
        load_engine(spec, threads=1)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"chosen": {"backend": "tpu", "options": {}}}'])
def test_a_broken_cache_file_is_replaced(spec, cache, monkeypatch, content):
    monkeypatch.setattr(select, "candidates", lambda spec: [select.Candidate("onnxruntime")])
    load_engine(spec, threads=1)
    path = next(cache.iterdir())
    path.write_text(content)
    load_engine(spec, threads=1)
    assert "milliseconds" in json.loads(path.read_text())


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_cache_that_cannot_be_written_is_ignored(spec, tmp_path, monkeypatch):
    tmp_path.chmod(0o500)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert load_engine(spec, threads=1)


def test_low_precision_is_a_candidate_only_with_a_reference(tmp_path, spec):
    def precisions(spec):
        return {candidate.options.get("precision", "fp32") for candidate in select.candidates(spec)}

    assert precisions(mean_spec(tmp_path)) == {"fp32"}
    if "bf16" in backend_module("openvino").precisions():
        assert precisions(spec) == {"fp32", "bf16"}


def test_openvino_reports_nothing_to_its_makers():
    """`import openvino` would fork a process that reports it, in every node and command."""
    pytest.importorskip("openvino")
    program = (
        "import camera_perception.engines.openvino as ours; assert ours.available() is None\n"
        "from openvino.tools.ovc import telemetry_utils\n"
        "print(telemetry_utils.tm.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["openvino.tools.ovc.telemetry_stub"]


@pytest.mark.parametrize(
    ("line", "real"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16 amx_tile", True),
        ("flags\t\t: fpu amx_bf16", True),
        ("Features\t: fp asimd i8mm bf16", True),
        ("flags\t\t: fpu avx2 avx512f avx512bw avx512_vnni", False),  # OpenVINO offers bf16 here, and emulates it
        ("processor\t: 0", True),  # it does not tell
    ],
)
def test_bf16_counts_only_where_the_processor_has_it(tmp_path, line, real):
    from camera_perception.engines.openvino import has_bf16

    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{line}\n")
    assert has_bf16(tmp_path / "cpuinfo") is real
    assert has_bf16(tmp_path / "missing")
