"""Every pytest worker gets a DDS domain of its own, every test a ROS context of its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any
from zlib import crc32

import pytest

if TYPE_CHECKING:
    import rclpy
    from camera_harness import CameraHarness


def domain_id(run: str, worker: str) -> int:
    """1..100, other workers of the run differ: above 101 DDS ports overlap those that the kernel hands out."""
    return 1 + (crc32(run.encode()) + int(worker.removeprefix("gw") or 0)) % 100


# Before rclpy is imported: concurrent runs and workers must not discover each other.
os.environ["ROS_DOMAIN_ID"] = str(
    domain_id(os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid())), os.environ.get("PYTEST_XDIST_WORKER", ""))
)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["ROS_LOCALHOST_ONLY"] = "1"

# Tests kill nodes: see the file. `make demo` and `make bench` use shared memory.
os.environ["FASTRTPS_DEFAULT_PROFILES_FILE"] = str(Path(__file__).with_name("fastdds_udp.xml"))
os.environ["FASTDDS_DEFAULT_PROFILES_FILE"] = os.environ["FASTRTPS_DEFAULT_PROFILES_FILE"]


@pytest.fixture
def context() -> Iterator[rclpy.Context]:
    """A ROS context that nothing else uses, shut down after the test."""
    import rclpy

    context = rclpy.Context()
    rclpy.init(context=context)
    yield context
    rclpy.try_shutdown(context=context)


@pytest.fixture
def executor(context: rclpy.Context) -> Iterator[rclpy.executors.Executor]:
    """The one-threaded executor of the context; nodes that were added are destroyed after the test."""
    from rclpy.executors import SingleThreadedExecutor

    executor = SingleThreadedExecutor(context=context)
    yield executor
    for node in executor.get_nodes():
        executor.remove_node(node)
        node.destroy_node()
    executor.shutdown()


@pytest.fixture
def spin_until(executor: rclpy.executors.Executor) -> Callable[..., None]:
    """spin_until(condition, timeout, what): run callbacks until it holds, or fail saying what did not happen."""

    def spin_until(condition: Callable[[], object], timeout: float = 100.0, what: str = "the condition") -> None:
        deadline = monotonic() + timeout
        while not condition():
            if monotonic() > deadline:
                pytest.fail(f"{what} did not come true within {timeout} s")
            executor.spin_once(timeout_sec=0.05)

    return spin_until


@pytest.fixture
def make_camera(context, executor, spin_until, tiny_model, monkeypatch) -> Iterator[Callable[..., CameraHarness]]:
    """make_camera(**parameters): a camera node with the tiny model on real topics; closed after the test."""
    from camera_harness import CameraHarness

    monkeypatch.setattr("camera_perception_ros.camera.diagnostics.REPORT_PERIOD", 0.1)  # tests wait for reports
    made: list[CameraHarness] = []

    def build(**overrides: object) -> CameraHarness:
        values = {
            "model": str(tiny_model),
            "engine": "onnxruntime",
            "engine_threads": 1,
            "transport": "raw",
            "input_depth": 50,
        }
        made.append(CameraHarness(context, executor, spin_until, **{**values, **overrides}))
        return made[-1]

    yield build
    for each in made:
        each.node.close()


@pytest.fixture
def fake(monkeypatch):
    """A GPU with TensorRT, as far as the node can tell."""
    from fake_tensorrt import install

    return install(monkeypatch)


@pytest.fixture
def slow_build(monkeypatch):
    """An event: builds stop at a quarter until it is set, or until they are cancelled."""
    import fake_tensorrt

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
