"""The TensorRT backend against a strict fake: outputs, order of work, memory, failures of the machine."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from fake_tensorrt import VERSIONS, install
from tiny_models import mean_spec, tiny_images, write_tiny_sizes

from camera_perception.core.errors import ContextLost, EngineError
from camera_perception.core.model_spec import load_spec
from camera_perception.engines import infer, tensorrt
from camera_perception.engines.build.build import build_engine
from camera_perception.engines.cuda import runtime
from camera_perception.engines.reference import check, read_reference
from camera_perception.engines.select import candidates, load_engine
from camera_perception.engines.serving.fitting import load_fitting


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


def test_the_engine_of_another_input_size_is_used_once_it_is_built(fake, caplog, tmp_path):
    spec = load_spec(write_tiny_sizes(tmp_path / "sizes", "144x112"))
    build_engine(spec)
    engine = load_fitting(spec, "auto")
    assert engine.fit((192, 256)) == spec.input
    (text,) = [record.getMessage() for record in caplog.records if record.name.endswith("fitting")]
    assert text.startswith(
        "images are larger in the input size 144x112, but 160x96 is used: no TensorRT engine of model"
    )
    assert text.endswith(f"build one with `camera-perception build-engine {spec.folder / '144x112'}`")
    engine.close()
    build_engine(load_spec(spec.folder / "144x112"))
    engine = load_fitting(spec, "auto")
    assert engine.fit((192, 256)).size == (112, 144)
    assert engine.info.name == "tensorrt fp32 NVIDIA Orin"
    engine.close()
    assert fake.cuda.leaks() == {}


def test_outputs_are_those_of_the_heads_and_buffers_are_reused(built, spec):
    engine = load_engine(spec, "tensorrt")
    wanted = read_reference(spec.reference).outputs
    addresses = set()
    for row, image in enumerate(tiny_images()):
        slot = engine.acquire()
        slot.images[0] = image
        engine.submit(slot)
        engine.wait(slot)
        np.testing.assert_allclose(slot.outputs["scores"][0], wanted["scores"][row], atol=1e-5)
        addresses.add((slot.images.ctypes.data, *(a.ctypes.data for a in slot.outputs.values())))
        engine.release(slot)
    assert len(addresses) == 1
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


def test_results_arrive_only_with_wait(built, spec):
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


def test_without_cuda_graphs_the_engine_still_runs(built, spec, caplog):
    built.refuse_cuda_graph = True
    built.cuda.calls.clear()
    engine = load_engine(spec, "tensorrt", slots=2)
    assert "runs a little slower" in caplog.text
    assert [d for d in check(engine, spec) if not d.ok] == []
    assert built.cuda.calls.get("cudaGraphLaunch", 0) == 0


def test_without_an_instantiated_graph_the_engine_still_runs(built, spec, caplog):
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


def test_a_frame_leaves_no_memory_allocated(built, spec):
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


def test_a_dynamic_batch_dimension_is_fixed_by_the_build(fake, tmp_path):
    spec = mean_spec(tmp_path / "m", ("batch", 2), input_shape=("batch", 32, 32, 3))
    spec = replace(spec, input=replace(spec.input, batch=3))
    build_engine(spec)
    engine = tensorrt.load(spec)
    images = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.full((3, 32, 32, 3), 10, np.uint8)
    np.testing.assert_allclose(infer(engine, images)["logits"], [[0, 0], [10, 10], [20, 20]])


# The machine fails


@pytest.mark.parametrize("error", ["cudaErrorLaunchFailure", "cudaErrorIllegalAddress", "cudaErrorLaunchTimeout"])
def test_after_an_error_that_no_reset_cures_everything_asks_for_a_new_process(built, spec, error):
    engine = tensorrt.load(spec)
    built.cuda.fail("cudaGraphLaunch", error)
    with pytest.raises(ContextLost, match="restart this program"):
        infer(engine, tiny_images()[:1])
    engine.close()
    assert "restart this program" in runtime.available()
    with pytest.raises(EngineError, match=f"{error}.* restart this program"):
        tensorrt.load(spec)


@pytest.mark.parametrize(
    "call", ["cudaMemcpyAsync", "cudaGraphLaunch", "cudaEventRecord", "cudaStreamWaitEvent", "cudaEventQuery"]
)
def test_a_cuda_error_is_explained_and_the_engine_can_be_loaded_again(built, spec, call):
    engine = tensorrt.load(spec)
    built.cuda.fail(call, "cudaErrorECCUncorrectable")
    with pytest.raises(EngineError, match="memory defect"):
        infer(engine, tiny_images()[:1])
    engine.close()
    again = tensorrt.load(spec)  # resets the ruined device first
    assert [d for d in check(again, spec) if not d.ok] == []


def test_a_gpu_that_never_answers_is_an_error_after_a_timeout(built, spec, monkeypatch):
    monkeypatch.setattr(runtime.Event.wait, "__defaults__", (0.01,))
    engine = tensorrt.load(spec)
    built.cuda.hang = True
    with pytest.raises(EngineError, match="did not finish within 0.01 s"):
        infer(engine, tiny_images()[:1])
    engine.close()


def test_a_failed_launch_has_the_cause(built, spec):
    engine = tensorrt.load(spec, graph=False)
    built.fail_launch = built.launches, "enqueueV3: Error Code 1: Cuda Runtime (an illegal memory access)"
    with pytest.raises(EngineError, match="failed on a frame: TensorRT reports: .*illegal memory access"):
        infer(engine, tiny_images()[:1])
    engine.close()
    assert built.cuda.leaks() == {}


@pytest.mark.parametrize("call", ["cudaMalloc", "cudaHostAlloc"])
def test_out_of_memory_frees_everything(built, spec, call):
    built.cuda.fail(call, "cudaErrorMemoryAllocation", after=1)
    with pytest.raises(EngineError, match="out of memory: close other programs"):
        tensorrt.load(spec, slots=2)
    assert {k: v for k, v in built.cuda.leaks().items() if k == "streams"} == {}


def test_too_little_memory_for_the_context_is_explained(built, spec):
    built.no_context = True
    with pytest.raises(EngineError, match="cannot be started: the GPU is out of memory"):
        tensorrt.load(spec)


def test_a_missing_driver_is_explained(fake, spec):
    fake.cuda.fail("cudaGetDeviceCount", "cudaErrorInsufficientDriver")
    fake.cuda.driver = 0
    assert "nvidia-smi must work" in tensorrt.available()


def test_the_bindings_of_jetpack_6_raise_without_a_driver(fake, monkeypatch):
    def no_library():
        raise RuntimeError("Failed to dlopen libcuda.so.1")

    monkeypatch.setattr(fake.cuda, "cudaGetDeviceCount", no_library)
    assert "nvidia-smi must work" in tensorrt.available()


def test_bindings_that_are_too_new_for_the_driver_are_not_called_a_missing_driver(fake):
    fake.cuda.fail("cudaGetDeviceCount", "cudaErrorInsufficientDriver")
    reason = runtime.available()
    assert "cuda-bindings for CUDA 12.9 is too new for this NVIDIA driver, which is for CUDA 12.6" in reason
    assert "cuda-compat-12-9" in reason
    fake.cuda.fail("cudaGetDeviceCount", "cudaErrorInsufficientDriver")
    fake.cuda.driver = 0
    assert "no usable NVIDIA driver" in runtime.available()


def test_a_missing_gpu_is_explained(built, spec):
    with pytest.raises(EngineError, match="no GPU of that number"):
        tensorrt.load(spec, device_id=1)
    built.cuda.devices = 0
    assert "no NVIDIA GPU is visible" in tensorrt.available()


def test_without_tensorrt_the_reason_has_the_install_command(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tensorrt", None)
    assert "python3-libnvinfer" in tensorrt.available()


def test_wrong_options_are_refused(built, spec):
    with pytest.raises(EngineError, match="expected auto, copy, mapped"):
        tensorrt.load(spec, memory="managed")
    with pytest.raises(EngineError, match="unknown precision 'fp4'"):
        tensorrt.load(spec, precision="fp4")


def test_auto_selects_tensorrt_where_an_engine_exists(built, spec):
    assert candidates(spec)[0].backend == "tensorrt"
    assert load_engine(spec).info.name.startswith("tensorrt")


def test_auto_selects_another_backend_without_an_engine(fake, spec):
    engine = load_engine(spec, threads=1)
    assert not engine.info.name.startswith("tensorrt")
