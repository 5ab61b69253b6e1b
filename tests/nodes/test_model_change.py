"""Models that change while a camera runs: by service and after a background build."""

from __future__ import annotations

import json
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from camera_harness import CameraHarness
from diagnostic_msgs.msg import DiagnosticArray
from driving import Listener, image_message, parameters, reported
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from camera_perception.core.model_spec import load_spec
from camera_perception.core.types import Status
from camera_perception.engines.build.build import build_engine
from camera_perception.geometry.rig import RigCamera
from camera_perception_msgs.msg import ModelInfo, PerceptionFrame
from camera_perception_msgs.srv import LoadModel
from camera_perception_ros.nodes.rig_node import rig_nodes

LATCHED = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@pytest.fixture(autouse=True)
def _caches(tmp_path, monkeypatch):
    monkeypatch.setattr("camera_perception.engines.select.TIMED_RUNS", 3)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def other_model(tiny_model: Path, folder: Path, **changes: Any) -> str:
    """A copy with another version."""
    shutil.copytree(tiny_model, folder)
    described = {**json.loads((folder / "model.json").read_text()), "version": "2", **changes}
    (folder / "model.json").write_text(json.dumps(described))
    return str(folder)


def ask(camera: CameraHarness, path: str) -> tuple[LoadModel.Response, int]:
    """Call load_model while images keep coming; the response, and the number of the next image."""
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
    return answer.result(), number + 1


def infos(camera: Any) -> list[ModelInfo]:
    listener = Listener(camera.outside, ModelInfo, "/front/camera/model_info", LATCHED)
    camera.spin_until(lambda: listener.messages, what="model info")
    return listener.messages


# By service


def test_another_model_takes_over_between_two_frames_and_keeps_the_tracks(make_camera, tiny_model, tmp_path):
    camera = make_camera()
    camera.activate()
    model_infos = infos(camera)
    ids = {found.track_id for found in camera.answer_to(1).objects}
    answer, following = ask(camera, other_model(tiny_model, tmp_path / "other"))
    assert answer.success, answer.message
    assert answer.message == "tiny 2 on onnxruntime cpu"
    camera.spin_until(lambda: len(model_infos) == 2, what="model info once more")
    assert [info.model_version for info in model_infos] == ["1", "2"]
    frame = camera.answer_to(following)
    assert ids & {found.track_id for found in frame.objects}
    assert not any(frame.status_flags & Status.ENGINE_ERROR for frame in camera.perception.messages)
    assert camera.state == "active"


def test_a_model_loaded_by_service_survives_cleanup_and_configure(make_camera, tiny_model, tmp_path):
    camera = make_camera()
    camera.activate()
    folder = other_model(tiny_model, tmp_path / "other")
    assert ask(camera, folder)[0].success
    assert not ask(camera, "/no/such/model")[0].success
    assert camera.node.get_parameter("model").value == folder
    for step in (camera.node.trigger_deactivate, camera.node.trigger_cleanup, camera.node.trigger_configure):
        step()
    assert camera.processor.serving.model.spec.version == "2"


def test_a_model_without_an_engine_is_refused_with_the_command(make_camera, fake, tiny_model, tmp_path):
    build_engine(load_spec(tiny_model))
    camera = make_camera(engine="tensorrt")
    camera.activate()
    path = other_model(tiny_model, tmp_path / "other")
    answer, _ = ask(camera, path)
    assert not answer.success
    assert f"build one with `camera-perception build-engine {path}`" in answer.message
    build_engine(load_spec(path))
    assert ask(camera, path)[0].message == "tiny 2 on tensorrt fp32 NVIDIA Orin"


def test_images_are_answered_while_a_model_is_loaded(make_camera, tiny_model, tmp_path):
    camera = make_camera()
    camera.activate()
    opened, go = camera.node.configured.models._open_model, threading.Event()
    camera.node.configured.models._open_model = lambda request: (go.wait(20), opened(request))[1]
    client = camera.outside.create_client(LoadModel, "/front/camera/load_model")
    camera.spin_until(client.service_is_ready, what="the service")
    answer = client.call_async(LoadModel.Request(path=other_model(tiny_model, tmp_path / "other")))
    for number in range(5):
        assert camera.answer_to(number).tasks_valid & PerceptionFrame.OBJECTS
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
    ("damage", "text"),
    [
        (shutil.rmtree, "does not exist"),
        (wrong_reference, "does not reproduce the reference"),
        (lambda folder: (folder / "model.onnx").write_bytes(b"no model"), "ONNX file"),
    ],
    ids=["missing", "wrong numbers", "broken"],
)
def test_a_model_that_fails_does_not_replace_the_current_one(make_camera, tiny_model, tmp_path, damage, text):
    camera = make_camera()
    camera.activate()
    model_infos = infos(camera)
    path = other_model(tiny_model, tmp_path / "other")
    damage(tmp_path / "other")
    answer, following = ask(camera, path)
    assert not answer.success
    assert answer.message.startswith("keeping the current model: ")
    assert text in answer.message
    assert camera.answer_to(following).tasks_valid & PerceptionFrame.OBJECTS
    assert len(model_infos) == 1


def test_a_model_with_other_classes_starts_new_tracks_with_new_ids(make_camera, tiny_model, tmp_path):
    camera = make_camera()
    camera.activate()
    ids = {found.track_id for found in camera.answer_to(1).objects}
    outputs = json.loads((tiny_model / "model.json").read_text())["outputs"]
    objects = next(output for output in outputs if output["head"] == "objects")
    objects["classes"] = [name.replace("car", "vehicle") for name in objects["classes"]]
    answer, following = ask(camera, other_model(tiny_model, tmp_path / "other", outputs=outputs))
    assert answer.success, answer.message
    frame = camera.answer_to(following)
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
    ("break_gpu", "text"),
    [
        (no_driver, "is too new for this NVIDIA driver"),
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
def test_configure_errors_say_what_to_do(make_camera, fake, tiny_model, capfd, break_gpu, text):
    build_engine(load_spec(tiny_model))
    break_gpu(fake)
    camera = make_camera(engine="tensorrt")
    camera.node.trigger_configure()
    assert camera.state == "unconfigured"
    lines = [line for line in capfd.readouterr().err.splitlines() if "cannot configure" in line]
    assert len(lines) == 1
    assert text in lines[0]


@pytest.mark.parametrize("engine", ["tensorrt", "auto"])
def test_an_engine_is_built_while_the_fallback_is_used(make_camera, fake, slow_build, engine):
    camera = make_camera(engine=engine, build_engine="background")
    camera.activate()
    model_infos = infos(camera)
    diagnostics = Listener(camera.outside, DiagnosticArray, "/diagnostics")
    frame = camera.answer_to(0)
    assert frame.tasks_valid & PerceptionFrame.OBJECTS
    assert frame.status_flags & Status.CPU_FALLBACK
    camera.spin_until(lambda: reported(diagnostics, "building the engine: 25% (Building engine)"), what="progress")
    slow_build.set()
    camera.spin_until(lambda: len(model_infos) == 2, 30, what="model info once more")
    assert [info.backend for info in model_infos] == ["onnxruntime", "tensorrt"]
    assert (model_infos[1].backend_version, model_infos[1].cuda_version, model_infos[1].device) == (
        "10.3.0",
        "12",
        "NVIDIA Orin",
    )
    assert abs(model_infos[1].build_time.sec - time.time()) < 600
    assert model_infos[0].backend_version
    frame = camera.answer_to(1)
    assert frame.tasks_valid & PerceptionFrame.OBJECTS
    assert not frame.status_flags & Status.CPU_FALLBACK
    diagnostics.messages.clear()
    camera.spin_until(lambda: reported(diagnostics, "running"), what="diagnostics without a warning")


def test_images_are_answered_before_the_engine_is_built(make_camera, fake, slow_build):
    camera = make_camera(engine="tensorrt", build_engine="background", fallback_engine="")
    camera.activate()
    diagnostics = Listener(camera.outside, DiagnosticArray, "/diagnostics")
    frame = camera.answer_to(0)
    assert (frame.status, frame.tasks_valid) == (PerceptionFrame.INVALID, 0)
    assert frame.status_flags & Status.ENGINE_ERROR
    camera.spin_until(lambda: reported(diagnostics, "building the engine"), what="progress")
    slow_build.set()
    assert infos(camera)[0].backend == "tensorrt"
    assert camera.answer_to(1).tasks_valid & PerceptionFrame.OBJECTS
    assert camera.state == "active"


def test_a_failed_build_leaves_the_fallback_in_use(make_camera, fake):
    fake.workspace = 1 << 62
    camera = make_camera(engine="tensorrt", build_engine="background")
    camera.activate()
    diagnostics = Listener(camera.outside, DiagnosticArray, "/diagnostics")
    camera.spin_until(lambda: reported(diagnostics, "give more --workspace"), what="the reason in diagnostics")
    assert camera.answer_to(0).tasks_valid & PerceptionFrame.OBJECTS


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
