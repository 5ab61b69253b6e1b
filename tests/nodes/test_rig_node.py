"""Several cameras in one process: one engine, everybody answered, failures kept apart."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from driving import RELIABLE, Listener, image_message, parameters
from rclpy.node import Node
from sensor_msgs.msg import Image

from camera_perception.core.errors import EngineError
from camera_perception.engines.serving import pool as pools
from camera_perception.engines.serving.model import ModelRequest
from camera_perception.engines.serving.pool import ModelPool, SharedEngine, SharedModel
from camera_perception.geometry.rig import RigCamera
from camera_perception_msgs.msg import PerceptionFrame
from camera_perception_ros.nodes.rig_node import rig_nodes

NAMES = ("front", "left", "rear")


class CountingEngine:
    """Says whether two threads were inside at once."""

    info, spec, input, outputs = SimpleNamespace(name="counting"), None, SimpleNamespace(shape=(1,)), {}

    def __init__(self) -> None:
        self.inside, self.most, self.closed = 0, 0, False

    def acquire(self) -> Any:
        self.inside += 1
        self.most = max(self.most, self.inside)
        return SimpleNamespace()

    def submit(self, slot: Any) -> None:
        threading.Event().wait(0.001)

    def wait(self, slot: Any) -> None:
        pass

    def release(self, slot: Any) -> None:
        self.inside -= 1

    def close(self) -> None:
        self.closed = True


def test_a_shared_engine_has_one_thread_at_a_time():
    inner = CountingEngine()
    engine = SharedEngine(inner)

    def work() -> None:
        for _ in range(20):
            slot = engine.acquire()
            engine.submit(slot)
            engine.wait(slot)
            engine.release(slot)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (inner.most, inner.inside) == (1, 0)


def test_an_engine_that_refuses_to_be_acquired_blocks_nobody():
    def refuse() -> None:
        raise EngineError("out of memory: use a smaller model")

    inner = CountingEngine()
    engine = SharedEngine(inner)
    inner.acquire = refuse  # type: ignore[assignment]
    for _ in range(2):
        with pytest.raises(EngineError):
            engine.acquire()


def test_the_last_camera_closes_the_engine(monkeypatch):
    opened: list[CountingEngine] = []

    def open_model(*asked: Any) -> Any:
        opened.append(CountingEngine())
        return SimpleNamespace(spec=None, engine=opened[-1], request=asked[0])

    monkeypatch.setattr(pools, "open_model", open_model)
    pool = ModelPool()
    first, second = pool.open(ModelRequest("m")), pool.open(ModelRequest("m"))
    assert first.engine is second.engine
    first.engine.close()
    assert not opened[0].closed
    second.engine.close()
    assert opened[0].closed
    pool.open(ModelRequest("m"))
    assert len(opened) == 2


def test_two_cameras_that_see_the_same_failure_open_one_new_engine(monkeypatch):
    engine = SharedEngine(CountingEngine())
    failed, made = engine.current, []

    class Reopening:
        def reopened(self) -> Any:
            made.append(CountingEngine())
            return SimpleNamespace(engine=made[-1])

    engine.replace(failed, Reopening())  # type: ignore[arg-type]
    engine.replace(failed, Reopening())  # type: ignore[arg-type]
    assert made == [engine.current]


def test_every_camera_of_a_rig_is_answered_by_the_one_engine(context, executor, spin_until, tiny_model):
    options = {"context": context, "use_global_arguments": False}
    overrides = parameters(
        model=str(tiny_model), engine="onnxruntime", engine_threads=1, transport="raw", input_depth=20
    )
    nodes = rig_nodes(
        None, [RigCamera(name, f"/{name}/image_raw") for name in NAMES], parameter_overrides=overrides, **options
    )
    outside = Node("outside", **options)
    for node in (*nodes, outside):
        executor.add_node(node)
    for node in nodes:
        node.start()
    models = [node.configured.processor.serving.model for node in nodes]
    assert all(isinstance(model, SharedModel) and model.engine is models[0].engine for model in models)
    cameras = [outside.create_publisher(Image, f"/{name}/image_raw", RELIABLE) for name in NAMES]
    listeners = [Listener(outside, PerceptionFrame, f"/{name}/camera_perception/perception") for name in NAMES]
    spin_until(lambda: all(camera.get_subscription_count() for camera in cameras), what="subscribing")
    spin_until(lambda: all(node.configured.publisher.get_subscription_count() for node in nodes), what="listeners")
    for number in range(10):
        for camera in cameras:
            camera.publish(image_message(number))
        spin_until(lambda: True)

    def counted() -> bool:
        return all(sum(1 + frame.frames_dropped for frame in listener.messages) == 10 for listener in listeners)

    spin_until(counted, what="ten images of each camera accounted for")
    assert [listener.messages[-1].camera_name for listener in listeners] == list(NAMES)
    for node in nodes:
        node.close()
