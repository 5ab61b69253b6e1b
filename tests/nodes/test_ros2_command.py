"""The launch files and nodes under the real `ros2` command line: where ROS 2 is installed, not from pip wheels."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from driving import process_environment
from test_processes import INFO_TOPIC, TOPIC, write_bag

from camera_perception_ros.launching import NODE

ROS2 = shutil.which("ros2")
DIRECTLY = ("--no-daemon", "--spin-time", "3")  # a daemon would outlive the tests
CAMERA = f"/camera/front/{NODE}"
pytestmark = pytest.mark.skipif(
    ROS2 is None, reason="no ros2 command (apt: ros-DISTRO-ros-base; no wheels): test_launch.py reads the launch files"
)


def ros2(*words: str, seconds: float = 90.0) -> str:
    """Output of a command that ends by itself."""
    done = subprocess.run([ROS2, *words], env=process_environment(), capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Launch:
    """`ros2 launch` of one of our files, which may be awaited, interrupted and read."""

    def __init__(self, log: Path, file: str, **arguments: object) -> None:
        given = [f"{name}:={value}" for name, value in arguments.items()]
        command = [ROS2, "launch", "camera_perception_bringup", file, *given]
        self._log, start = log, "import os, signal, sys; signal.signal(2, signal.default_int_handler); os.execv"
        with log.open("wb") as stream:  # a background process of a shell would ignore SIGINT
            self.process = subprocess.Popen(
                [sys.executable, "-c", f"{start}(sys.argv[1], sys.argv[1:])", *command],
                stdout=stream,
                stderr=stream,
                env={**process_environment(), "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )

    @property
    def text(self) -> str:
        return self._log.read_text("utf-8", "replace")

    def wait_for(self, words: str, seconds: float = 120.0) -> None:
        end = time.monotonic() + seconds
        while words not in self.text:
            assert self.process.poll() is None, f"ended before '{words}':\n{self.text}"
            assert time.monotonic() < end, f"no '{words}':\n{self.text}"
            time.sleep(0.2)

    def stop(self) -> int:
        """As Ctrl-C at a terminal, which reaches the nodes as well."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(60)


@pytest.fixture
def launch(tmp_path):
    started: list[Launch] = []

    def start(file: str, **arguments: object) -> Launch:
        started.append(Launch(tmp_path / f"launch{len(started)}.log", file, **arguments))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            os.killpg(each.process.pid, signal.SIGKILL)
            each.process.wait()


def test_launch_brings_a_camera_up_for_the_tools_to_ask_and_ctrl_c_ends_it(launch, tiny_model):
    camera = launch("perception.launch.py", model=tiny_model, engine="onnxruntime", camera_pose="1,0,1.4,0,0,0")
    camera.wait_for("nobody publishes")
    assert CAMERA in ros2("node", "list", *DIRECTLY).split()
    assert "active [3]" in ros2("lifecycle", "get", CAMERA, *DIRECTLY)
    assert str(tiny_model) in ros2("param", "get", CAMERA, "model", *DIRECTLY)
    info = ros2("topic", "info", f"{CAMERA}/model_info", "--verbose", *DIRECTLY)
    assert "Durability: TRANSIENT_LOCAL" in info
    assert "Transitioning successful" in ros2("lifecycle", "set", CAMERA, "deactivate", *DIRECTLY)
    assert camera.stop() in (0, 1), camera.text  # 1: what launch itself returns after Ctrl-C in some releases
    assert "process has died" not in camera.text


def test_launch_does_not_start_a_wrongly_configured_node_again(launch, tmp_path):
    (tmp_path / "broken.yaml").write_text("/**: {ros__parameters: [", "utf-8")
    camera = launch("perception.launch.py", params_file=tmp_path / "broken.yaml")
    camera.process.wait(120)  # the only node is not started again, so launch has nothing left to do
    assert camera.text.count("process started with pid") == 1, camera.text
    assert "exit code 2" in camera.text
    assert "is not started again" in camera.text
    assert "Traceback" not in camera.text


def test_launch_refuses_a_parameter_file_that_is_missing(launch, tmp_path):
    camera = launch("perception.launch.py", params_file=tmp_path / "missing.yaml")
    assert camera.process.wait(60) != 0
    assert "missing.yaml', which is not a file" in camera.text
    assert "process started" not in camera.text


def test_replay_waits_for_the_camera_and_the_images_arrive(launch, tiny_model, tmp_path):
    bag = write_bag(tmp_path / "drive", images=60)
    replay = launch("replay.launch.py", bag=bag, model=tiny_model, engine="onnxruntime", loop="true")
    replay.wait_for("first image")
    frame = ros2("topic", "echo", f"{CAMERA}/perception", "--once", *DIRECTLY)
    assert "front_optical_frame" in frame
    assert replay.stop() in (0, 1), replay.text


def test_rosbag2_plays_our_recordings(tmp_path):
    pytest.importorskip("rosbag2_py", reason="`ros2 bag` is C++ (apt: ros-DISTRO-rosbag2-storage-mcap; no wheels)")
    bag = write_bag(tmp_path / "drive")
    listed = ros2("bag", "info", str(bag))
    assert TOPIC in listed
    assert INFO_TOPIC in listed
    ros2("bag", "play", str(bag), "--rate", "20")


@pytest.mark.parametrize("node", ["camera_node", "fusion_node", "bag_player_node"])
def test_run_shows_the_help_of_a_node(node):
    assert "usage" in ros2("run", "camera_perception_ros", node, "--help").lower()
