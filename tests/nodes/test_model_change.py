"""Models that change under a running camera: by service, after a build behind its back, and when the GPU is lost."""

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
from driving import Ear, image_message, parameters
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


def ask(it: Any, path: str) -> Any:
    """Call load_model while images keep coming; returns the response."""
    client = it.outside.create_client(LoadModel, "/front/camera/load_model")
    it.spin_until(client.service_is_ready, what="the service")
    answer = client.call_async(LoadModel.Request(path=path))
    number = 100

    def answered() -> bool:
        nonlocal number
        number += 1
        it.send(image_message(number))
        return answer.done()

    it.spin_until(answered, 30, what="an answer of load_model")
    return answer.result()


def infos(it: Any) -> list[ModelInfo]:
    ear = Ear(it.outside, ModelInfo, "/front/camera/model_info", LATCHED)
    it.spin_until(lambda: ear.heard, what="model info")
    return ear.heard


def said(diagnostics: Ear, words: str) -> bool:
    return any(words in status.message for message in diagnostics.heard for status in message.status)


def answer_to(it: Any, number: int) -> PerceptionFrame:
    """The answer to one image."""
    before = len(it.perception.heard)
    it.send(image_message(number))
    return it.answers(before + 1)[before]


# By service


def test_another_model_takes_over_between_two_frames_and_tracks_go_on(rig, tiny_model, tmp_path):
    it = rig()
    it.activate()
    heard = infos(it)
    ids = {found.track_id for found in answer_to(it, 1).objects}
    answer = ask(it, other_model(tiny_model, tmp_path / "other"))
    assert answer.success, answer.message
    assert answer.message == "tiny 2 on onnxruntime cpu"
    it.spin_until(lambda: len(heard) == 2, what="model info once more")
    assert [info.model_version for info in heard] == ["1", "2"]
    frame = answer_to(it, 1000)
    assert ids & {found.track_id for found in frame.objects}
    assert not any(frame.status_flags & Status.ENGINE_ERROR for frame in it.perception.heard)
    assert it.state == "active"


def test_a_model_without_an_engine_is_refused_with_the_command(rig, fake, tiny_model, tmp_path):
    build_engine(load_spec(tiny_model))
    it = rig(engine="tensorrt")
    it.activate()
    path = other_model(tiny_model, tmp_path / "other")
    answer = ask(it, path)
    assert not answer.success
    assert f"build one with `camera-perception build-engine {path}`" in answer.message
    build_engine(load_spec(path))
    assert ask(it, path).message == "tiny 2 on tensorrt fp32 NVIDIA Orin"


def test_images_are_answered_while_a_model_is_loaded(rig, tiny_model, tmp_path):
    it = rig()
    it.activate()
    opened, go = it.node._models._open_model, threading.Event()
    it.node._models._open_model = lambda choice: (go.wait(20), opened(choice))[1]
    client = it.outside.create_client(LoadModel, "/front/camera/load_model")
    it.spin_until(client.service_is_ready, what="the service")
    answer = client.call_async(LoadModel.Request(path=other_model(tiny_model, tmp_path / "other")))
    for number in range(5):
        assert answer_to(it, number).tasks_valid & PerceptionFrame.OBJECTS
    assert not answer.done()
    go.set()
    it.spin_until(answer.done, what="an answer of load_model")
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
def test_a_model_that_fails_leaves_the_present_one(rig, tiny_model, tmp_path, damage, says):
    it = rig()
    it.activate()
    heard = infos(it)
    path = other_model(tiny_model, tmp_path / "other")
    damage(tmp_path / "other")
    answer = ask(it, path)
    assert not answer.success
    assert answer.message.startswith("the present model goes on: ")
    assert says in answer.message
    assert answer_to(it, 1000).tasks_valid & PerceptionFrame.OBJECTS
    assert len(heard) == 1


def test_a_model_with_other_classes_begins_new_tracks_with_new_ids(rig, tiny_model, tmp_path):
    it = rig()
    it.activate()
    ids = {found.track_id for found in answer_to(it, 1).objects}
    outputs = json.loads((tiny_model / "model.json").read_text())["outputs"]
    objects = next(output for output in outputs if output["head"] == "objects")
    objects["classes"] = [name.replace("car", "vehicle") for name in objects["classes"]]
    assert ask(it, other_model(tiny_model, tmp_path / "other", outputs=outputs)).success
    frame = answer_to(it, 1000)
    assert frame.objects
    assert ids.isdisjoint(found.track_id for found in frame.objects)


# Built behind its back


def test_without_an_engine_configure_refuses_and_says_what_to_type(rig, fake, tiny_model, capfd):
    it = rig(engine="tensorrt")
    it.node.trigger_configure()
    assert it.state == "unconfigured"
    said = [line for line in capfd.readouterr().err.splitlines() if "cannot configure" in line]
    assert len(said) == 1
    assert f"build one with `camera-perception build-engine {tiny_model}`" in said[0]


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
            "the nearest was built for TensorRT 10.3.0, this machine has 10.16.2: "
            "build one with `camera-perception build-eng",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_the_user_of_the_node_reads(rig, fake, tiny_model, capfd, harm, says):
    build_engine(load_spec(tiny_model))
    harm(fake)
    it = rig(engine="tensorrt")
    it.node.trigger_configure()
    assert it.state == "unconfigured"
    lines = [line for line in capfd.readouterr().err.splitlines() if "cannot configure" in line]
    assert len(lines) == 1
    assert says in lines[0]


@pytest.mark.parametrize("engine", ["tensorrt", "auto"])
def test_an_engine_is_built_while_another_serves(rig, fake, slow_build, engine):
    it = rig(engine=engine, build_engine="background")
    it.activate()
    heard = infos(it)
    diagnostics = Ear(it.outside, DiagnosticArray, "/diagnostics")
    frame = answer_to(it, 0)
    assert frame.tasks_valid & PerceptionFrame.OBJECTS
    assert frame.status_flags & Status.CPU_FALLBACK
    it.spin_until(lambda: said(diagnostics, "building the engine: 25% (Building engine)"), what="progress")
    slow_build.set()
    it.spin_until(lambda: len(heard) == 2, 30, what="model info once more")
    assert [info.backend for info in heard] == ["onnxruntime", "tensorrt"]
    assert (heard[1].backend_version, heard[1].cuda_version, heard[1].device) == ("10.3.0", "12", "NVIDIA Orin")
    assert abs(heard[1].build_time.sec - time.time()) < 600
    assert heard[0].backend_version
    frame = answer_to(it, 1)
    assert frame.tasks_valid & PerceptionFrame.OBJECTS
    assert not frame.status_flags & Status.CPU_FALLBACK
    diagnostics.heard.clear()
    it.spin_until(lambda: said(diagnostics, "running"), what="diagnostics without a warning")


def test_topics_are_there_before_the_engine_is(rig, fake, slow_build):
    it = rig(engine="tensorrt", build_engine="background", engine_meanwhile="")
    it.activate()
    diagnostics = Ear(it.outside, DiagnosticArray, "/diagnostics")
    frame = answer_to(it, 0)
    assert (frame.status, frame.tasks_valid) == (PerceptionFrame.INVALID, 0)
    assert frame.status_flags & Status.ENGINE_ERROR
    it.spin_until(lambda: said(diagnostics, "building the engine"), what="progress")
    slow_build.set()
    assert infos(it)[0].backend == "tensorrt"
    assert answer_to(it, 1).tasks_valid & PerceptionFrame.OBJECTS
    assert it.state == "active"


def test_a_build_that_fails_leaves_what_serves(rig, fake):
    fake.workspace = 1 << 62
    it = rig(engine="tensorrt", build_engine="background")
    it.activate()
    diagnostics = Ear(it.outside, DiagnosticArray, "/diagnostics")
    it.spin_until(lambda: said(diagnostics, "give more --workspace"), what="the reason in diagnostics")
    assert answer_to(it, 0).tasks_valid & PerceptionFrame.OBJECTS


def test_cameras_of_a_rig_build_one_engine_and_share_it(context, executor, spin_until, fake, slow_build, tiny_model):
    overrides = parameters(model=str(tiny_model), engine="tensorrt", build_engine="background", transport="raw")
    options = {"context": context, "use_global_arguments": False, "parameter_overrides": overrides}
    nodes = rig_nodes(None, [RigCamera(name, f"/{name}/image_raw") for name in ("front", "left")], **options)
    for node in nodes:
        executor.add_node(node)
        node.start()
    spin_until(lambda: all(node._models.build.state == "building" for node in nodes), what="two builds")
    slow_build.set()
    spin_until(lambda: all(node._perceiver.model.name.startswith("tensorrt") for node in nodes), 30, what="engines")
    assert nodes[0]._perceiver.model.engine is nodes[1]._perceiver.model.engine
    assert len(fake.timing_caches) == 1, "one build for both"
    for node in nodes:
        node.close()
    assert fake.cuda.leaks() == {}


def test_cleaning_up_cancels_the_build(rig, fake, slow_build):
    it = rig(engine="tensorrt", build_engine="background")
    it.activate()
    build = it.node._models._build
    it.node.trigger_deactivate()
    it.node.trigger_cleanup()
    assert build.join(10)
    assert build.state.state == "cancelled"
    assert it.state == "unconfigured"


# The GPU is lost


@pytest.fixture
def on_gpu(rig, fake, tiny_model):
    """An active camera on the stand-in for TensorRT."""
    build_engine(load_spec(tiny_model))
    it = rig(engine="tensorrt")
    it.activate()
    assert answer_to(it, 0).tasks_valid & PerceptionFrame.OBJECTS
    return it


@pytest.mark.parametrize("error", ["cudaErrorLaunchFailure", "cudaErrorMemoryAllocation", "cudaErrorECCUncorrectable"])
def test_one_cuda_error_is_survived_by_opening_the_engine_again(on_gpu, fake, error, capfd):
    fake.cuda.fail("cudaGraphLaunch", error)
    assert answer_to(on_gpu, 1).tasks_valid & PerceptionFrame.OBJECTS
    assert f"({error})" in capfd.readouterr().err
    assert on_gpu.state == "active"


def test_a_gpu_that_fails_again_ends_in_a_clean_deactivation(on_gpu, fake):
    diagnostics = Ear(on_gpu.outside, DiagnosticArray, "/diagnostics")
    fake.cuda.fail("cudaGraphLaunch", "cudaErrorLaunchFailure")
    answer_to(on_gpu, 1)
    fake.cuda.fail("cudaGraphLaunch", "cudaErrorLaunchFailure")
    frame = answer_to(on_gpu, 2)
    assert frame.status == PerceptionFrame.INVALID
    assert frame.status_flags & Status.ENGINE_ERROR
    on_gpu.spin_until(lambda: on_gpu.state == "inactive", what="deactivation")
    on_gpu.spin_until(lambda: said(diagnostics, "crashed on the GPU"), what="the cause in diagnostics")
    on_gpu.node.trigger_cleanup()
    assert on_gpu.state == "unconfigured"
    on_gpu.node.start()
    assert on_gpu.state == "active"


def test_a_gpu_that_answers_no_more_hangs_nothing(on_gpu, fake, monkeypatch):
    monkeypatch.setattr(runtime.Event.wait, "__defaults__", (0.05,))
    fake.cuda.hang = True
    frame = answer_to(on_gpu, 1)
    assert frame.status_flags & Status.ENGINE_ERROR
    on_gpu.spin_until(lambda: on_gpu.state == "inactive", what="deactivation")


def test_a_driver_call_that_never_returns_is_left_behind(on_gpu, monkeypatch):
    monkeypatch.setattr(processor, "STUCK", 0.2)
    monkeypatch.setattr("camera_perception.engines.serving.model.CLOSE_TIMEOUT", 0.2)
    diagnostics = Ear(on_gpu.outside, DiagnosticArray, "/diagnostics")
    never = threading.Event()
    engine = on_gpu.node._perceiver.model.engine
    engine.wait = engine.close = lambda *slot: never.wait(60)
    on_gpu.send(image_message(1))
    on_gpu.spin_until(lambda: on_gpu.state == "inactive", 15, what="deactivation")
    on_gpu.spin_until(lambda: said(diagnostics, "does not come back"), what="the cause in diagnostics")
    on_gpu.node.trigger_cleanup()
    assert on_gpu.state == "unconfigured"
    never.set()


# The GPU is warm


def test_the_gpu_is_in_diagnostics_and_heat_in_every_frame(rig, monkeypatch):
    readings = [GpuReading("Orin", 90.0, 0.5, 1 << 30, 8 << 30, "heat", 306.0, 1300.0)]
    monkeypatch.setattr("camera_perception_ros.nodes.camera_node.gpu_reader", lambda: lambda: readings[0])
    it = rig()
    it.activate()
    diagnostics = Ear(it.outside, DiagnosticArray, "/diagnostics")
    it.spin_until(lambda: said(diagnostics, "slowed down: heat"), what="the GPU in diagnostics")
    part = next(part for part in diagnostics.heard[-1].status if part.name.endswith("GPU"))
    values = {pair.key: pair.value for pair in part.values}
    assert (values["gpu temperature"], values["gpu clock"]) == ("90 C", "306 of 1300 MHz")
    assert answer_to(it, 0).status_flags & Status.THERMAL
    readings[0] = GpuReading("Orin", 50.0)
    it.spin_until(lambda: "50 C" in str(diagnostics.heard[-1]), what="a cool GPU")
    assert not answer_to(it, 1).status_flags & Status.THERMAL


def test_without_a_gpu_nothing_is_said_about_one(rig, monkeypatch):
    monkeypatch.setattr("camera_perception_ros.nodes.camera_node.gpu_reader", lambda: None)
    it = rig()
    diagnostics = Ear(it.outside, DiagnosticArray, "/diagnostics")
    it.spin_until(lambda: diagnostics.heard, what="diagnostics")
    assert not [part for part in diagnostics.heard[0].status if part.name.endswith("GPU")]
