"""Models that change while a camera runs: by service, after a background build, and when the GPU fails."""

from __future__ import annotations

import json
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import fake_tensorrt
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from driving import Listener, image_message, parameters
from fake_tensorrt import install
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from camera_perception.core.model_spec import load_spec
from camera_perception.core.telemetry import GpuReading
from camera_perception.core.types import Status
from camera_perception.engines.build.build import build_engine
from camera_perception.engines.cuda import runtime
from camera_perception.geometry.rig import RigCamera
from camera_perception_msgs.msg import ModelInfo, PerceptionFrame
from camera_perception_msgs.srv import LoadModel
from camera_perception_ros.camera import processor
from camera_perception_ros.nodes.rig_node import rig_nodes

LATCHED = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@pytest.fixture(autouse=True)
def _caches(tmp_path, monkeypatch):
    monkeypatch.setattr("camera_perception.engines.select.TIMED_RUNS", 3)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def fake(monkeypatch):
    """A GPU with TensorRT, as far as the node can tell."""
    return install(monkeypatch)


@pytest.fixture
def slow_build(monkeypatch):
    """An event: builds stop at a quarter until it is set, or until they are cancelled."""
    go = threading.Event()

    def phases(builder: Any, monitor: Any) -> bool:
        monitor.phase_start("Building engine", None, 4)
        monitor.step_complete("Building engine", 0)
        while not go.wait(0.01):
            if not monitor.step_complete("Building engine", 0):
                return False
        monitor.phase_finish("Building engine")
        return True

    monkeypatch.setattr(fake_tensorrt.Builder, "_phases", phases)
    return go


def other_model(tiny_model: Path, folder: Path, **changes: Any) -> str:
    """A copy with another version."""
    shutil.copytree(tiny_model, folder)
    described = {**json.loads((folder / "model.json").read_text()), "version": "2", **changes}
    (folder / "model.json").write_text(json.dumps(described))
    return str(folder)


def ask(camera: Any, path: str) -> Any:
    """Call load_model while images keep coming; returns the response."""
    client = camera.outside.create_client(LoadModel, "/front/camera/load_model")
    camera.spin_until(client.service_is_ready, what="the service")
    answer = client.call_async(LoadModel.Request(path=path))
    number = 100

    def answered() -> bool:
        nonlocal number
        number += 1
        camera.send(image_message(number))
        return answer.done()

    camera.spin_until(answered, 30, what="an answer of load_model")
    return answer.result()


def infos(camera: Any) -> list[ModelInfo]:
    listener = Listener(camera.outside, ModelInfo, "/front/camera/model_info", LATCHED)
    camera.spin_until(lambda: listener.messages, what="model info")
    return listener.messages


def reported(diagnostics: Listener, words: str) -> bool:
    return any(words in status.message for message in diagnostics.messages for status in message.status)


def answer_to(camera: Any, number: int) -> PerceptionFrame:
    """The answer to one image."""
    before = len(camera.perception.messages)
    camera.send(image_message(number))
    return camera.answers(before + 1)[before]


# By service


def test_another_model_takes_over_between_two_frames_and_keeps_the_tracks(make_camera, tiny_model, tmp_path):
    camera = make_camera()
    camera.activate()
    heard = infos(camera)
    ids = {found.track_id for found in answer_to(camera, 1).objects}
    answer = ask(camera, other_model(tiny_model, tmp_path / "other"))
    assert answer.success, answer.message
    assert answer.message == "tiny 2 on onnxruntime cpu"
    camera.spin_until(lambda: len(heard) == 2, what="model info once more")
    assert [info.model_version for info in heard] == ["1", "2"]
    frame = answer_to(camera, 1000)
    assert ids & {found.track_id for found in frame.objects}
    assert not any(frame.status_flags & Status.ENGINE_ERROR for frame in camera.perception.messages)
    assert camera.state == "active"


def test_a_model_without_an_engine_is_refused_with_the_command(make_camera, fake, tiny_model, tmp_path):
    build_engine(load_spec(tiny_model))
    camera = make_camera(engine="tensorrt")
    camera.activate()
    path = other_model(tiny_model, tmp_path / "other")
    answer = ask(camera, path)
    assert not answer.success
    assert f"build one with `camera-perception build-engine {path}`" in answer.message
    build_engine(load_spec(path))
    assert ask(camera, path).message == "tiny 2 on tensorrt fp32 NVIDIA Orin"


def test_images_are_answered_while_a_model_is_loaded(make_camera, tiny_model, tmp_path):
    camera = make_camera()
    camera.activate()
    opened, go = camera.node.configured.models._open_model, threading.Event()
    camera.node.configured.models._open_model = lambda request: (go.wait(20), opened(request))[1]
    client = camera.outside.create_client(LoadModel, "/front/camera/load_model")
    camera.spin_until(client.service_is_ready, what="the service")
    answer = client.call_async(LoadModel.Request(path=other_model(tiny_model, tmp_path / "other")))
    for number in range(5):
        assert answer_to(camera, number).tasks_valid & PerceptionFrame.OBJECTS
    assert not answer.done()
    go.set()
    camera.spin_until(answer.done, what="an answer of load_model")
    assert answer.result().success


def wrong_reference(folder: Path) -> None:
    with np.load(folder / "reference.npz") as archive:
        arrays = dict(archive)
    arrays["outputs/scores"] = 1 - arrays["outputs/scores"]
    np.savez(folder / "reference.npz", **arrays)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (shutil.rmtree, "does not exist"),
        (wrong_reference, "does not reproduce the reference"),
        (lambda folder: (folder / "model.onnx").write_bytes(b"no model"), "sha256"),
    ],
    ids=["missing", "wrong numbers", "broken"],
)
def test_a_model_that_fails_does_not_replace_the_current_one(make_camera, tiny_model, tmp_path, damage, says):
    camera = make_camera()
    camera.activate()
    heard = infos(camera)
    path = other_model(tiny_model, tmp_path / "other")
    damage(tmp_path / "other")
    answer = ask(camera, path)
    assert not answer.success
    assert answer.message.startswith("keeping the current model: ")
    assert says in answer.message
    assert answer_to(camera, 1000).tasks_valid & PerceptionFrame.OBJECTS
    assert len(heard) == 1


def test_a_model_with_other_classes_starts_new_tracks_with_new_ids(make_camera, tiny_model, tmp_path):
    camera = make_camera()
    camera.activate()
    ids = {found.track_id for found in answer_to(camera, 1).objects}
    outputs = json.loads((tiny_model / "model.json").read_text())["outputs"]
    objects = next(output for output in outputs if output["head"] == "objects")
    objects["classes"] = [name.replace("car", "vehicle") for name in objects["classes"]]
    assert ask(camera, other_model(tiny_model, tmp_path / "other", outputs=outputs)).success
    frame = answer_to(camera, 1000)
    assert frame.objects
    assert ids.isdisjoint(found.track_id for found in frame.objects)


# Background builds


def test_without_an_engine_configure_fails_with_the_command_to_build_one(make_camera, fake, tiny_model, capfd):
    camera = make_camera(engine="tensorrt")
    camera.node.trigger_configure()
    assert camera.state == "unconfigured"
    lines = [line for line in capfd.readouterr().err.splitlines() if "cannot configure" in line]
    assert len(lines) == 1
    assert f"build one with `camera-perception build-engine {tiny_model}`" in lines[0]


def no_driver(fake: Any) -> None:
    fake.cuda.fail("cudaGetDeviceCount", "cudaErrorInsufficientDriver")


def no_gpu(fake: Any) -> None:
    fake.cuda.devices = 0


def full(fake: Any) -> None:
    fake.no_context = True


def newer(fake: Any) -> None:
    fake.module.__version__ = fake.version = "10.16.2"


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (no_driver, "no usable NVIDIA driver: install one (nvidia-smi must work)"),
        (no_gpu, "no NVIDIA GPU is visible: check nvidia-smi and CUDA_VISIBLE_DEVICES"),
        (full, "the GPU is out of memory: close other programs"),
        (
            newer,
            "the nearest was built for TensorRT 10.3.0, here is 10.16.2: build one with `camera-perception build-eng",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_configure_errors_say_what_to_do(make_camera, fake, tiny_model, capfd, harm, says):
    build_engine(load_spec(tiny_model))
    harm(fake)
    camera = make_camera(engine="tensorrt")
    camera.node.trigger_configure()
    assert camera.state == "unconfigured"
    lines = [line for line in capfd.readouterr().err.splitlines() if "cannot configure" in line]
    assert len(lines) == 1
    assert says in lines[0]


@pytest.mark.parametrize("engine", ["tensorrt", "auto"])
def test_an_engine_is_built_while_the_fallback_is_used(make_camera, fake, slow_build, engine):
    camera = make_camera(engine=engine, build_engine="background")
    camera.activate()
    heard = infos(camera)
    diagnostics = Listener(camera.outside, DiagnosticArray, "/diagnostics")
    frame = answer_to(camera, 0)
    assert frame.tasks_valid & PerceptionFrame.OBJECTS
    assert frame.status_flags & Status.CPU_FALLBACK
    camera.spin_until(lambda: reported(diagnostics, "building the engine: 25% (Building engine)"), what="progress")
    slow_build.set()
    camera.spin_until(lambda: len(heard) == 2, 30, what="model info once more")
    assert [info.backend for info in heard] == ["onnxruntime", "tensorrt"]
    assert (heard[1].backend_version, heard[1].cuda_version, heard[1].device) == ("10.3.0", "12", "NVIDIA Orin")
    assert abs(heard[1].build_time.sec - time.time()) < 600
    assert heard[0].backend_version
    frame = answer_to(camera, 1)
    assert frame.tasks_valid & PerceptionFrame.OBJECTS
    assert not frame.status_flags & Status.CPU_FALLBACK
    diagnostics.messages.clear()
    camera.spin_until(lambda: reported(diagnostics, "running"), what="diagnostics without a warning")


def test_images_are_answered_before_the_engine_is_built(make_camera, fake, slow_build):
    camera = make_camera(engine="tensorrt", build_engine="background", fallback_engine="")
    camera.activate()
    diagnostics = Listener(camera.outside, DiagnosticArray, "/diagnostics")
    frame = answer_to(camera, 0)
    assert (frame.status, frame.tasks_valid) == (PerceptionFrame.INVALID, 0)
    assert frame.status_flags & Status.ENGINE_ERROR
    camera.spin_until(lambda: reported(diagnostics, "building the engine"), what="progress")
    slow_build.set()
    assert infos(camera)[0].backend == "tensorrt"
    assert answer_to(camera, 1).tasks_valid & PerceptionFrame.OBJECTS
    assert camera.state == "active"


def test_a_failed_build_leaves_the_fallback_in_use(make_camera, fake):
    fake.workspace = 1 << 62
    camera = make_camera(engine="tensorrt", build_engine="background")
    camera.activate()
    diagnostics = Listener(camera.outside, DiagnosticArray, "/diagnostics")
    camera.spin_until(lambda: reported(diagnostics, "give more --workspace"), what="the reason in diagnostics")
    assert answer_to(camera, 0).tasks_valid & PerceptionFrame.OBJECTS


def test_cameras_of_a_rig_build_one_engine_and_share_it(context, executor, spin_until, fake, slow_build, tiny_model):
    overrides = parameters(model=str(tiny_model), engine="tensorrt", build_engine="background", transport="raw")
    options = {"context": context, "use_global_arguments": False, "parameter_overrides": overrides}
    nodes = rig_nodes(None, [RigCamera(name, f"/{name}/image_raw") for name in ("front", "left")], **options)
    for node in nodes:
        executor.add_node(node)
        node.start()
    spin_until(lambda: all(node.configured.models.build.state == "building" for node in nodes), what="two builds")
    slow_build.set()
    spin_until(
        lambda: all(node.configured.processor.serving.model.name.startswith("tensorrt") for node in nodes),
        30,
        what="engines",
    )
    assert nodes[0].configured.processor.serving.model.engine is nodes[1].configured.processor.serving.model.engine
    assert len(fake.timing_caches) == 1, "one build for both"
    for node in nodes:
        node.close()
    assert fake.cuda.leaks() == {}


def test_cleaning_up_cancels_the_build(make_camera, fake, slow_build):
    camera = make_camera(engine="tensorrt", build_engine="background")
    camera.activate()
    build = camera.node.configured.models._build
    camera.node.trigger_deactivate()
    camera.node.trigger_cleanup()
    assert build.join(10)
    assert build.state.state == "cancelled"
    assert camera.state == "unconfigured"


# The GPU fails


@pytest.fixture
def on_gpu(make_camera, fake, tiny_model):
    """An active camera on the stand-in for TensorRT."""
    build_engine(load_spec(tiny_model))
    camera = make_camera(engine="tensorrt")
    camera.activate()
    assert answer_to(camera, 0).tasks_valid & PerceptionFrame.OBJECTS
    return camera


@pytest.mark.parametrize("error", ["cudaErrorLaunchFailure", "cudaErrorMemoryAllocation", "cudaErrorECCUncorrectable"])
def test_one_cuda_error_is_survived_by_reopening_the_engine(on_gpu, fake, error, capfd):
    fake.cuda.fail("cudaGraphLaunch", error)
    assert answer_to(on_gpu, 1).tasks_valid & PerceptionFrame.OBJECTS
    assert f"({error})" in capfd.readouterr().err
    assert on_gpu.state == "active"


def test_a_gpu_that_fails_again_ends_in_a_clean_deactivation(on_gpu, fake):
    diagnostics = Listener(on_gpu.outside, DiagnosticArray, "/diagnostics")
    fake.cuda.fail("cudaGraphLaunch", "cudaErrorLaunchFailure")
    answer_to(on_gpu, 1)
    fake.cuda.fail("cudaGraphLaunch", "cudaErrorLaunchFailure")
    frame = answer_to(on_gpu, 2)
    assert frame.status == PerceptionFrame.INVALID
    assert frame.status_flags & Status.ENGINE_ERROR
    on_gpu.spin_until(lambda: on_gpu.state == "inactive", what="deactivation")
    on_gpu.spin_until(lambda: reported(diagnostics, "crashed on the GPU"), what="the cause in diagnostics")
    on_gpu.node.trigger_cleanup()
    assert on_gpu.state == "unconfigured"
    on_gpu.node.start()
    assert on_gpu.state == "active"


def test_a_gpu_that_stops_responding_does_not_hang_the_node(on_gpu, fake, monkeypatch):
    monkeypatch.setattr(runtime.Event.wait, "__defaults__", (0.05,))
    fake.cuda.hang = True
    frame = answer_to(on_gpu, 1)
    assert frame.status_flags & Status.ENGINE_ERROR
    on_gpu.spin_until(lambda: on_gpu.state == "inactive", what="deactivation")


def test_a_driver_call_that_never_returns_is_abandoned(on_gpu, monkeypatch):
    monkeypatch.setattr(processor, "FRAME_TIMEOUT", 0.2)
    monkeypatch.setattr("camera_perception.engines.serving.loaded.CLOSING", 0.2)
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
    assert answer_to(camera, 0).status_flags & Status.THERMAL
    readings[0] = GpuReading("Orin", 50.0)
    camera.spin_until(lambda: "50 C" in str(diagnostics.messages[-1]), what="a cool GPU")
    assert not answer_to(camera, 1).status_flags & Status.THERMAL


def test_without_a_gpu_there_is_no_gpu_status(make_camera, monkeypatch):
    monkeypatch.setattr("camera_perception_ros.nodes.camera_node.gpu_reader", lambda: None)
    camera = make_camera()
    diagnostics = Listener(camera.outside, DiagnosticArray, "/diagnostics")
    camera.spin_until(lambda: diagnostics.messages, what="diagnostics")
    assert not [part for part in diagnostics.messages[0].status if part.name.endswith("GPU")]
