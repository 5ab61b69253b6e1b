"""A GPU that fails or hangs ends in a clean deactivation, and its heat is reported in every frame."""

from __future__ import annotations

import threading

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from driving import Listener, image_message, reported
from fake_tensorrt import install

from camera_perception.core.model_spec import load_spec
from camera_perception.core.telemetry import GpuReading
from camera_perception.core.types import Status
from camera_perception.engines.build.build import build_engine
from camera_perception.engines.cuda import runtime
from camera_perception_msgs.msg import PerceptionFrame
from camera_perception_ros.camera import processor
from camera_perception_ros.runtime.process import EXIT_CONTEXT_LOST, Stop


@pytest.fixture(autouse=True)
def _caches(tmp_path, monkeypatch):
    monkeypatch.setattr("camera_perception.engines.select.TIMED_RUNS", 3)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def fake(monkeypatch):
    """A GPU with TensorRT, as far as the node can tell."""
    return install(monkeypatch)


@pytest.fixture
def on_gpu(make_camera, fake, tiny_model):
    """An active camera on the stand-in for TensorRT."""
    build_engine(load_spec(tiny_model))
    camera = make_camera(engine="tensorrt")
    camera.activate()
    assert camera.answer_to(0).tasks_valid & PerceptionFrame.OBJECTS
    return camera


@pytest.mark.parametrize("error", ["cudaErrorInvalidValue", "cudaErrorMemoryAllocation", "cudaErrorECCUncorrectable"])
def test_one_cuda_error_is_survived_by_reopening_the_engine(on_gpu, fake, error, capfd):
    fake.cuda.fail("cudaGraphLaunch", error)
    assert on_gpu.answer_to(1).tasks_valid & PerceptionFrame.OBJECTS
    assert f"({error})" in capfd.readouterr().err
    assert on_gpu.state == "active"


def test_a_gpu_that_fails_again_ends_in_a_clean_deactivation(on_gpu, fake, capfd):
    diagnostics = Listener(on_gpu.outside, DiagnosticArray, "/diagnostics")
    fake.cuda.fail("cudaGraphLaunch", "cudaErrorECCUncorrectable")
    on_gpu.answer_to(1)
    fake.cuda.fail("cudaGraphLaunch", "cudaErrorECCUncorrectable")
    frame = on_gpu.answer_to(2)
    assert frame.status == PerceptionFrame.INVALID
    assert frame.status_flags & Status.ENGINE_ERROR
    on_gpu.spin_until(lambda: on_gpu.state == "inactive", what="deactivation")
    on_gpu.spin_until(lambda: reported(diagnostics, "memory defect"), what="the cause in diagnostics")
    assert "revive it: ros2 lifecycle set /front/camera cleanup && " in capfd.readouterr().err
    on_gpu.node.trigger_cleanup()
    assert on_gpu.state == "unconfigured"
    on_gpu.node.start()
    assert on_gpu.state == "active"


def test_after_an_error_that_no_reset_cures_the_process_ends_for_respawn_to_start_it_again(on_gpu, fake, capfd):
    on_gpu.node._stop = stop = Stop()
    fake.cuda.fail("cudaGraphLaunch", "cudaErrorIllegalAddress")
    frame = on_gpu.answer_to(1)
    assert frame.status_flags & Status.ENGINE_ERROR
    on_gpu.spin_until(lambda: bool(stop), what="the request to end the process")
    assert stop.exit_code == EXIT_CONTEXT_LOST
    ends = [line for line in capfd.readouterr().err.splitlines() if "ending this process" in line]
    assert len(ends) == 1
    assert "outside its buffers (cudaErrorIllegalAddress)" in ends[0]


def test_a_gpu_that_stops_responding_does_not_hang_the_node(on_gpu, fake, monkeypatch):
    monkeypatch.setattr(runtime.Event.wait, "__defaults__", (0.05,))
    fake.cuda.hang = True
    frame = on_gpu.answer_to(1)
    assert frame.status_flags & Status.ENGINE_ERROR
    on_gpu.spin_until(lambda: on_gpu.state == "inactive", what="deactivation")


def test_a_driver_call_that_never_returns_is_abandoned(on_gpu, monkeypatch):
    monkeypatch.setattr(processor, "FRAME_TIMEOUT", 0.2)
    monkeypatch.setattr("camera_perception.engines.serving.model.CLOSE_TIMEOUT", 0.2)
    monkeypatch.setattr("camera_perception_ros.camera.active.STOP_TIMEOUT", 0.2)
    diagnostics = Listener(on_gpu.outside, DiagnosticArray, "/diagnostics")
    never = threading.Event()
    engine = on_gpu.processor.serving.model.engine
    engine.wait = engine.close = lambda *slot: never.wait(60)
    on_gpu.send(image_message(1))
    on_gpu.spin_until(lambda: on_gpu.state == "inactive", 15, what="deactivation")
    on_gpu.spin_until(lambda: reported(diagnostics, "the engine is stuck"), what="the cause in diagnostics")
    on_gpu.node.trigger_cleanup()
    assert on_gpu.state == "unconfigured"
    never.set()


def test_a_slow_decoder_is_no_stuck_engine(make_camera, monkeypatch):
    monkeypatch.setattr(processor, "FRAME_TIMEOUT", 0.0)
    decode = processor.frame_from_message
    seen = []

    def slow(message, *limits):
        seen.append(camera.processor.check_engine())
        return decode(message, *limits)

    monkeypatch.setattr(processor, "frame_from_message", slow)
    camera = make_camera()
    camera.activate()
    camera.answer_to(0)
    assert seen == [""]


# The GPU is hot


def test_the_gpu_is_in_diagnostics_and_its_heat_in_every_frame(make_camera, monkeypatch):
    readings = [GpuReading("Orin", 90.0, 0.5, 1 << 30, 8 << 30, "heat", 306.0, 1300.0)]
    monkeypatch.setattr("camera_perception_ros.nodes.camera_node.gpu_reader", lambda: lambda: readings[0])
    camera = make_camera()
    camera.activate()
    diagnostics = Listener(camera.outside, DiagnosticArray, "/diagnostics")
    camera.spin_until(lambda: reported(diagnostics, "throttled: heat"), what="the GPU in diagnostics")
    part = next(part for part in diagnostics.messages[-1].status if part.name.endswith("GPU"))
    values = {pair.key: pair.value for pair in part.values}
    assert (values["gpu temperature"], values["gpu clock"]) == ("90 C", "306 of 1300 MHz")
    assert camera.answer_to(0).status_flags & Status.THERMAL
    readings[0] = GpuReading("Orin", 50.0)
    camera.spin_until(lambda: "50 C" in str(diagnostics.messages[-1]), what="a cool GPU")
    assert not camera.answer_to(1).status_flags & Status.THERMAL


def test_without_a_gpu_there_is_no_gpu_status(make_camera, monkeypatch):
    monkeypatch.setattr("camera_perception_ros.nodes.camera_node.gpu_reader", lambda: None)
    camera = make_camera()
    diagnostics = Listener(camera.outside, DiagnosticArray, "/diagnostics")
    camera.spin_until(lambda: diagnostics.messages, what="diagnostics")
    assert not [part for part in diagnostics.messages[0].status if part.name.endswith("GPU")]
