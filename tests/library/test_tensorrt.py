"""The TensorRT backend against a strict stand-in: numbers, order of work, memory, failures of the machine."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from fake_tensorrt import VERSIONS, install
from tiny_models import tiny_images

from camera_perception.core.errors import EngineError
from camera_perception.core.model_spec import load_spec
from camera_perception.engines import infer, tensorrt
from camera_perception.engines.build.build import build_engine
from camera_perception.engines.cuda import runtime
from camera_perception.engines.reference import check, read_reference
from camera_perception.engines.select import candidates, load_engine


@pytest.fixture(autouse=True)
def _caches(tmp_path, monkeypatch):
    monkeypatch.setattr("camera_perception.engines.select.TIMED_RUNS", 3)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def fake(monkeypatch):
    return install(monkeypatch)


@pytest.fixture(scope="module")
def spec(tiny_model):
    return load_spec(tiny_model)


@pytest.fixture
def built(fake, spec):
    build_engine(spec)
    return fake


@pytest.mark.parametrize("version", VERSIONS)
def test_builds_and_reproduces_the_reference_on_every_version(monkeypatch, spec, version):
    fake = install(monkeypatch, version)
    build_engine(spec)
    engine = load_engine(spec, "tensorrt")
    assert [str(d) for d in check(engine, spec) if not d.ok] == []
    assert engine.info.name == "tensorrt fp32 NVIDIA Orin"
    engine.close()
    assert fake.cuda.leaks() == {}


def test_outputs_are_the_heads_and_the_buffers_stay(built, spec):
    engine = load_engine(spec, "tensorrt")
    wanted = read_reference(spec.reference).outputs
    places = set()
    for row, image in enumerate(tiny_images()):
        slot = engine.acquire()
        slot.images[0] = image
        engine.submit(slot)
        engine.wait(slot)
        np.testing.assert_allclose(slot.outputs["scores"][0], wanted["scores"][row], atol=1e-5)
        places.add((slot.images.ctypes.data, *(a.ctypes.data for a in slot.outputs.values())))
        engine.release(slot)
    assert len(places) == 1
    assert set(engine.outputs) == {name for head in spec.heads for name in head.tensors.values()}


def test_several_frames_in_flight_keep_their_own_results(built, spec):
    engine = tensorrt.load(spec, slots=3)
    slots = [engine.acquire() for _ in range(3)]
    for slot, image in zip(slots, tiny_images()):
        slot.images[0] = image
        engine.submit(slot)
    wanted = read_reference(spec.reference).outputs["scores"]
    for row in (2, 0, 1):
        engine.wait(slots[row])
        np.testing.assert_allclose(slots[row].outputs["scores"][0], wanted[row], atol=1e-5)
    with pytest.raises(EngineError, match="all 3 slots"):
        engine.acquire()
    for slot in slots:
        engine.release(slot)
    engine.close()
    assert built.cuda.leaks() == {}


def test_a_result_is_not_there_before_wait(built, spec):
    engine = tensorrt.load(spec)
    slot = engine.acquire()
    slot.images[0] = tiny_images()[1]
    before = slot.outputs["scores"].copy()
    engine.submit(slot)
    np.testing.assert_array_equal(slot.outputs["scores"], before)
    engine.wait(slot)
    assert not np.array_equal(slot.outputs["scores"], before)


def test_the_next_upload_does_not_wait_for_the_network(built, spec):
    """Frame two is uploaded by a stream of its own: only its network waits for frame one's."""
    engine = tensorrt.load(spec, slots=2)
    first, second = engine.acquire(), engine.acquire()
    engine.submit(first)
    engine.submit(second)
    built.cuda.order.clear()
    second.uploaded.wait()
    assert built.cuda.order == ["upload", "upload"]
    engine.wait(second)
    assert built.cuda.order == ["upload", "upload", "network", "network", "download", "download"]
    engine.wait(first)


def test_a_frame_is_one_upload_one_launch_one_download(built, spec):
    engine = tensorrt.load(spec)
    built.cuda.calls.clear()
    infer(engine, tiny_images()[:1])
    assert built.cuda.calls["cudaMemcpyAsync"] == 2
    assert built.cuda.calls["cudaGraphLaunch"] == 1
    assert built.cuda.calls.keys().isdisjoint({"cudaMalloc", "cudaHostAlloc", "cudaStreamSynchronize"})


def test_shared_memory_needs_no_copies(built, spec):
    engine = tensorrt.load(spec, memory="mapped")
    built.cuda.calls.clear()
    assert [d for d in check(engine, spec) if not d.ok] == []
    assert "cudaMemcpyAsync" not in built.cuda.calls


def test_a_jetson_tries_both_and_closes_the_slower(built, spec):
    built.cuda.integrated = True
    engine = tensorrt.load(spec)
    assert len(built.cuda.streams) == 3
    engine.close()
    assert built.cuda.leaks() == {}


def test_without_cuda_graphs_it_runs_all_the_same(built, spec, caplog):
    built.refuse_cuda_graph = True
    built.cuda.calls.clear()
    engine = load_engine(spec, "tensorrt", slots=2)
    assert "runs a little slower" in caplog.text
    assert [d for d in check(engine, spec) if not d.ok] == []
    assert built.cuda.calls.get("cudaGraphLaunch", 0) == 0


def test_a_graph_that_cannot_be_instantiated_is_done_without(built, spec, caplog):
    built.cuda.fail("cudaGraphInstantiate", "cudaErrorStreamCaptureUnsupported")
    engine = tensorrt.load(spec)
    assert [d for d in check(engine, spec) if not d.ok] == []
    assert "cannot be recorded" in caplog.text


def test_stream_priority(built, spec):
    tensorrt.load(spec)
    assert {stream.priority for stream in built.cuda.streams.values()} == {-5}
    built.cuda.streams.clear()
    tensorrt.load(spec, background=True)
    assert {stream.priority for stream in built.cuda.streams.values()} == {0}


def test_a_frame_keeps_no_memory(built, spec):
    """After the warm-up nothing that a frame allocates on the host outlives it, and the device allocates nothing."""
    engine = tensorrt.load(spec)
    image = tiny_images()[:1]

    def frames(count):
        for _ in range(count):
            slot = engine.acquire()
            slot.images[...] = image
            engine.submit(slot)
            engine.wait(slot)
            engine.release(slot)
            built.cuda.order.clear()

    frames(5)
    pieces = dict(built.cuda.allocations)
    tracemalloc.start()
    frames(3)
    ours = tracemalloc.Filter(True, "*/camera_perception/engines/*")
    before = tracemalloc.take_snapshot().filter_traces([ours])
    frames(30)
    after = tracemalloc.take_snapshot().filter_traces([ours])
    tracemalloc.stop()
    assert sum(d.count_diff for d in after.compare_to(before, "filename")) <= 3
    assert built.cuda.allocations == pieces


def test_a_batch_of_cameras(fake, tmp_path):
    """A free batch dimension is fixed when the engine is built."""
    import onnx
    from tiny_models import Graph, tiny_json, value, write_folder

    g = Graph()
    pixels = g.cast("images", onnx.TensorProto.FLOAT)
    mean = g("ReduceMean", pixels, axes=[1, 2, 3], keepdims=0)
    g("Concat", *[g("Unsqueeze", mean, g.constant([1], np.int64))] * 2, axis=1, out="logits")
    model = g.model(
        [value("images", onnx.TensorProto.UINT8, ["batch", 32, 32, 3])],
        [value("logits", onnx.TensorProto.FLOAT, ["batch", 2])],
    )
    data = tiny_json()
    data["input"] = {"name": "images", "width": 32, "height": 32}
    data["outputs"] = [{"head": "objects", "kind": "yolox", "tensors": {"output": "logits"}}]
    spec = load_spec(write_folder(tmp_path / "m", model, data))
    spec = replace(spec, input=replace(spec.input, batch=3))
    build_engine(spec)
    engine = tensorrt.load(spec)
    images = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.full((3, 32, 32, 3), 10, np.uint8)
    np.testing.assert_allclose(infer(engine, images)["logits"], [[0, 0], [10, 10], [20, 20]])


# The machine fails


@pytest.mark.parametrize(
    "call", ["cudaMemcpyAsync", "cudaGraphLaunch", "cudaEventRecord", "cudaStreamWaitEvent", "cudaEventQuery"]
)
def test_a_cuda_error_in_mid_run_is_a_sentence_and_the_engine_comes_back(built, spec, call):
    engine = tensorrt.load(spec)
    built.cuda.fail(call, "cudaErrorLaunchFailure")
    with pytest.raises(EngineError, match="crashed on the GPU: load the engine again"):
        infer(engine, tiny_images()[:1])
    engine.close()
    again = tensorrt.load(spec)  # resets the ruined device first
    assert [d for d in check(again, spec) if not d.ok] == []


def test_a_gpu_that_never_answers_does_not_hang_us(built, spec, monkeypatch):
    monkeypatch.setattr(runtime.Event.wait, "__defaults__", (0.01,))
    engine = tensorrt.load(spec)
    built.cuda.hang = True
    with pytest.raises(EngineError, match="did not finish within 0.01 s"):
        infer(engine, tiny_images()[:1])
    engine.close()


def test_a_launch_that_tensorrt_refuses(built, spec):
    engine = tensorrt.load(spec, graph=False)
    built.fail_launch = built.launches, "enqueueV3: Error Code 1: Cuda Runtime (an illegal memory access)"
    with pytest.raises(EngineError, match="failed on a frame: TensorRT reports: .*illegal memory access"):
        infer(engine, tiny_images()[:1])
    engine.close()
    assert built.cuda.leaks() == {}


@pytest.mark.parametrize("call", ["cudaMalloc", "cudaHostAlloc"])
def test_out_of_memory_gives_everything_back(built, spec, call):
    built.cuda.fail(call, "cudaErrorMemoryAllocation", after=1)
    with pytest.raises(EngineError, match="out of memory: close other programs"):
        tensorrt.load(spec, slots=2)
    assert {k: v for k, v in built.cuda.leaks().items() if k == "streams"} == {}


def test_no_context_for_lack_of_memory(built, spec):
    built.no_context = True
    with pytest.raises(EngineError, match="cannot be started: the GPU is out of memory"):
        tensorrt.load(spec)


def test_no_driver(fake, spec):
    fake.cuda.fail("cudaGetDeviceCount", "cudaErrorInsufficientDriver")
    assert "nvidia-smi must work" in tensorrt.available()


def test_no_gpu_and_a_gpu_that_is_not_there(built, spec):
    with pytest.raises(EngineError, match="no GPU of that number"):
        tensorrt.load(spec, device_id=1)
    built.cuda.devices = 0
    assert "no NVIDIA GPU is visible" in tensorrt.available()


def test_without_tensorrt_the_reason_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tensorrt", None)
    assert "python3-libnvinfer" in tensorrt.available()


def test_wrong_options_are_refused(built, spec):
    with pytest.raises(EngineError, match="expected auto, copy, mapped"):
        tensorrt.load(spec, memory="managed")
    with pytest.raises(EngineError, match="unknown precision 'fp4'"):
        tensorrt.load(spec, precision="fp4")


def test_auto_takes_tensorrt_where_an_engine_is_ready(built, spec):
    assert candidates(spec)[0].backend == "tensorrt"
    assert load_engine(spec).info.name.startswith("tensorrt")


def test_auto_goes_on_without_an_engine(fake, spec):
    engine = load_engine(spec, threads=1)
    assert not engine.info.name.startswith("tensorrt")
