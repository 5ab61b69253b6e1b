"""load_model when it is called too often, at the wrong moment, or with a model that never opens."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from camera_harness import CameraHarness
from driving import image_message
from rclpy.qos import QoSProfile
from test_model_change import other_model

from camera_perception.core.errors import PerceptionError
from camera_perception.engines.serving.model import ModelRequest
from camera_perception_msgs.msg import PerceptionFrame
from camera_perception_msgs.srv import LoadModel
from camera_perception_ros.runtime import background
from camera_perception_ros.runtime.background import TooLate, in_background
from camera_perception_ros.runtime.process import Stop, Stopped


@pytest.fixture(autouse=True)
def _caches(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def go():
    """Set at the end, so that no thread is left waiting."""
    event = threading.Event()
    yield event
    event.set()


def hold_loads(camera: CameraHarness, go: threading.Event) -> list[Any]:
    """Loads wait for the event; returns the models that they open."""
    opened, models = camera.node.configured.models._open_model, []

    def held(request: ModelRequest) -> Any:
        go.wait(60)
        models.append(opened(request))
        return models[-1]

    camera.node.configured.models._open_model = held
    return models


def caller(camera: CameraHarness) -> Callable[[str], Any]:
    """call(path): a future of load_model; the client keeps every answer."""
    client = camera.outside.create_client(LoadModel, "/front/camera/load_model", qos_profile=QoSProfile(depth=200))
    camera.spin_until(client.service_is_ready, what="the service")
    return lambda path: client.call_async(LoadModel.Request(path=path))


def closed(model: Any) -> bool:
    return not model._unclosed.acquire(blocking=False)


def test_fifty_callers_at_once_all_get_an_answer(make_camera, tiny_model, tmp_path, go):
    camera = make_camera()
    camera.activate()
    hold_loads(camera, go)
    call, folder = caller(camera), other_model(tiny_model, tmp_path / "other")
    answers = [call(folder) for _ in range(50)]
    camera.spin_until(lambda: sum(answer.done() for answer in answers) == 49, 60, what="49 refusals")
    go.set()
    camera.spin_until(lambda: all(answer.done() for answer in answers), what="the answer to the load itself")
    texts = {answer.result().message for answer in answers}
    assert sum(answer.result().success for answer in answers) == 1
    assert texts == {
        "tiny 2 on onnxruntime cpu",
        f"keeping the current model: {folder} is still being loaded; call again afterwards",
    }


def test_cleanup_during_a_load_is_an_answer_and_leaves_no_model_open(make_camera, tiny_model, tmp_path, go):
    camera = make_camera()
    camera.activate()
    models = hold_loads(camera, go)
    call, folder = caller(camera), other_model(tiny_model, tmp_path / "other")
    answer, server = call(folder), camera.node.configured.models
    camera.spin_until(lambda: camera.node._load_service._loading, what="the load")
    camera.node.trigger_deactivate()
    camera.node.trigger_cleanup()
    camera.spin_until(answer.done, 20, what="an answer of load_model")
    assert "the node was cleaned up while the model was loaded" in answer.result().message
    go.set()
    camera.spin_until(lambda: models and closed(models[0]), what="the late model to be closed")
    assert server._processor.serving.model is not models[0]
    answer = call(folder)
    camera.spin_until(answer.done, 20, what="an answer of an unconfigured node")
    assert answer.result().message.startswith("no model can be loaded before the node is configured")


def test_a_model_that_never_opens_is_abandoned_and_blocks_nobody(make_camera, tiny_model, tmp_path, go):
    camera = make_camera()
    camera.activate()
    server = camera.node.configured.models
    opened, given = server._open_model, server._params
    server._params = replace(given, load_timeout=1.0)
    models = hold_loads(camera, go)
    call, folder = caller(camera), other_model(tiny_model, tmp_path / "other")
    answer = call(folder)
    camera.spin_until(answer.done, 30, what="an answer of load_model")
    assert not answer.result().success
    assert "took longer than 1 s and was abandoned; check its model.onnx" in answer.result().message
    server._open_model, server._params = opened, given
    answer = call(folder)
    camera.spin_until(answer.done, 30, what="the next answer")
    assert answer.result().success, answer.result().message
    go.set()
    camera.spin_until(lambda: models and closed(models[0]), what="the late model to be closed")
    assert camera.answer_to(3).tasks_valid & PerceptionFrame.OBJECTS


def test_a_refused_load_leaves_the_build_running(make_camera, fake, slow_build, tiny_model):
    camera = make_camera(engine="tensorrt", build_engine="background")
    camera.activate()
    answer = caller(camera)("/no/such/model")
    camera.spin_until(answer.done, 30, what="an answer of load_model")
    assert not answer.result().success
    slow_build.set()
    models = camera.node.configured.models
    camera.spin_until(lambda: models.build.state == "done", 60, what="the end of the build")
    assert camera.processor.serving.model.name.startswith("tensorrt")


def test_a_build_that_ends_after_a_load_does_not_replace_what_was_loaded(
    make_camera,
    fake,
    slow_build,
    tiny_model,
    tmp_path,
):
    camera = make_camera(engine="tensorrt", build_engine="background")
    camera.activate()
    models, build = camera.node.configured.models, camera.node.configured.models._build
    models._params = replace(models._params, engine="onnxruntime", build_engine="never")
    answer = caller(camera)(other_model(tiny_model, tmp_path / "other"))
    camera.spin_until(answer.done, 60, what="an answer of load_model")
    assert answer.result().message == "tiny 2 on onnxruntime cpu"
    slow_build.set()
    assert build.join(20)
    assert (models.build, build.state.state) == (None, "cancelled")
    assert camera.processor.serving.model.spec.version == "2"


def test_a_model_arriving_after_the_cleanup_is_closed_and_the_one_in_use_only_once(make_camera, tiny_model):
    """serve() waits for its turn while close() runs: neither model may stay open, none is closed for others."""
    camera = make_camera()
    camera.activate()
    processor, used = camera.processor, camera.processor.serving.model
    late = processor.tried(camera.node._open_model(ModelRequest(str(tiny_model), "onnxruntime", 1)))
    answers: list[bool] = []
    with processor._turn:  # as a frame holds it
        thread = threading.Thread(target=lambda: answers.append(processor.serve(late)), daemon=True)
        thread.start()
        processor.close()
    thread.join(20)
    assert answers == [False]
    assert closed(used)
    assert closed(late.model)
    assert used.close(), "closing twice is safe"
    camera.send(image_message(1))


# Work in the background


def test_work_that_is_stopped_or_late_hands_its_result_to_nobody_but_late(go):
    late: list[int] = []
    stop = Stop()
    threading.Timer(0.1, stop.request).start()
    with pytest.raises(Stopped):
        in_background(lambda: go.wait(60) and 1, stop, late=late.append)
    with pytest.raises(TooLate, match=r"longer than 0\.1 s"):
        in_background(lambda: go.wait(60) and 2, seconds=0.1, late=late.append)
    assert in_background(lambda: 3, stop=Stop(), seconds=10.0, late=late.append) == 3
    go.set()
    for thread in threading.enumerate():
        if thread.name == "loading":
            thread.join(10)
    assert sorted(late) == [1, 2]


def test_the_number_of_abandoned_threads_is_bounded(go, monkeypatch):
    monkeypatch.setattr(background, "_abandoned", [])
    for _ in range(background.MAX_ABANDONED):
        with pytest.raises(TooLate):
            in_background(lambda: go.wait(60), seconds=0.01)
    with pytest.raises(PerceptionError, match="restart the node"):
        in_background(lambda: 1)
    go.set()
    for thread in background._abandoned:
        thread.join(10)
    assert in_background(lambda: 1) == 1


def test_work_that_fails_raises_what_it_raised():
    with pytest.raises(PerceptionError, match="give another"):
        in_background(lambda: (_ for _ in ()).throw(PerceptionError("give another")), seconds=5.0)
