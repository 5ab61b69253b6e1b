"""Nodes as processes: clean ends at any moment, nodes that survive the death of others, bags there and back."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from driving import (
    RELIABLE,
    Listener,
    catches_signals,
    image_message,
    parameters,
    process_environment,
    road,
    ros_arguments,
    shipped_environment,
    start_node,
)
from rclpy.node import Node
from sensor_msgs.msg import Image

from camera_perception.core.errors import PerceptionError
from camera_perception.core.shared_memory import SHM
from camera_perception.io.bag_reader import Bag
from camera_perception.io.bag_writer import BagWriter
from camera_perception.io.cdr import serialize
from camera_perception.io.ros_types import CAMERA_INFO, IMAGE
from camera_perception_msgs.msg import FusedPerception, PerceptionFrame
from camera_perception_ros.launching import NODE, player_parameters
from camera_perception_ros.nodes.bag_player_node import BagPlayerNode
from camera_perception_ros.runtime.process import Stop

TOPIC, INFO_TOPIC = "/camera/front/image_raw", "/camera/front/camera_info"


def write_bag(folder: Path, images: int = 20, period_ms: int = 50, topics: tuple[str, ...] = (TOPIC,)) -> Path:
    """A drive of small raw images on each of the topics."""
    with BagWriter(folder) as bag:
        for number in range(images):
            stamp = 1_000_000_000_000 + number * period_ms * 1_000_000
            header = {"stamp": {"sec": stamp // 10**9, "nanosec": stamp % 10**9}, "frame_id": "front_optical_frame"}
            picture = {"height": 96, "width": 160, "encoding": "bgr8", "step": 480, "data": road(number).ravel()}
            for topic in topics:
                bag.write_fields(topic, IMAGE, stamp, {"header": header, **picture})
            bag.write_fields(INFO_TOPIC, CAMERA_INFO, stamp, {"header": header, "width": 160, "height": 96})
    return folder


def finished(process: subprocess.Popen[bytes], log: Path, seconds: float = 100.0) -> int:
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail(f"still running after {seconds} s: {log.read_text()}")


@pytest.fixture
def processes():
    running: list[subprocess.Popen[bytes]] = []
    yield running
    for process in running:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.mark.parametrize(("delay", "number"), [(0.0, signal.SIGINT), (0.4, signal.SIGTERM), (2.0, signal.SIGINT)])
def test_a_node_ends_with_0_on_a_signal_at_any_moment(processes, tiny_model, tmp_path, delay, number):
    nodes = {
        "camera_node": ros_arguments(model=tiny_model, engine="onnxruntime", autostart="true"),
        "fusion_node": ros_arguments(cameras="[front]", autostart="true"),
        "bag_player_node": ros_arguments(bag=write_bag(tmp_path / "bag"), start_paused="true"),
        "bag_recorder_node": ros_arguments(output=tmp_path / "out"),
        "live_node": ros_arguments(port=0),
    }
    logs = {name: tmp_path / f"{name}.log" for name in nodes}
    started = {name: start_node(name, *arguments, log=logs[name]) for name, arguments in nodes.items()}
    processes += started.values()
    deadline = time.monotonic() + 60.0
    while not all(catches_signals(process) for process in started.values()) and time.monotonic() < deadline:
        time.sleep(0.005)  # before that it is the Python interpreter that starts, not our program
    time.sleep(delay)
    for process in started.values():
        process.send_signal(number)
        process.send_signal(number)  # a launch file and the terminal both send it
    codes = {name: finished(process, logs[name]) for name, process in started.items()}
    assert codes == dict.fromkeys(nodes, 0), {name: log.read_text()[-500:] for name, log in logs.items()}


def test_the_player_sends_every_message_and_the_recorder_gets_the_same_bytes(processes, tmp_path):
    bag, out, log = write_bag(tmp_path / "bag"), tmp_path / "out", tmp_path / "player.log"
    topics = ros_arguments(output=out, topics=f"[{TOPIC},{INFO_TOPIC}]")
    recorder = start_node("bag_recorder_node", *topics, log=tmp_path / "recorder.log")
    summary = tmp_path / "summary.json"
    arguments = ros_arguments(bag=bag, rate=4.0, depth=100, wait_for_subscribers=60.0, summary=summary)
    player = start_node("bag_player_node", *arguments, log=log)
    processes += [recorder, player]
    assert finished(player, log) == 0
    recorder.send_signal(signal.SIGINT)
    assert finished(recorder, tmp_path / "recorder.log") == 0
    assert json.loads(summary.read_text())["sent"] == {TOPIC: 20, INFO_TOPIC: 20}
    assert f"{INFO_TOPIC} 20, {TOPIC} 20" in log.read_text()
    with Bag(bag) as sent, Bag(out) as got:
        assert got.contents.complete
        for topic in (TOPIC, INFO_TOPIC):
            pairs = list(zip(got.messages([topic]), sent.messages([topic]), strict=True))
            # The transport may pad a message to a multiple of four bytes.
            assert all(
                one.data[: len(other.data)] == other.data and len(one.data) - len(other.data) < 4
                for one, other in pairs
            )


@pytest.fixture
def play(context, executor):
    """play(**parameters): a player in this process, closed after the test."""
    players: list[BagPlayerNode] = []

    def start(**values: object) -> tuple[BagPlayerNode, Stop]:
        stop = Stop()
        options = {"context": context, "use_global_arguments": False}
        players.append(BagPlayerNode(stop, parameter_overrides=parameters(**values), **options))
        executor.add_node(players[-1])
        return players[-1], stop

    yield start
    for player in players:
        player.close()


def test_one_camera_replays_a_recording_of_two(processes, play, spin_until, tiny_model, tmp_path):
    """As replay.launch.py does it: nobody subscribes to the other camera, and time comes from the recording."""
    bag = write_bag(tmp_path / "bag", images=6, topics=(TOPIC, "/camera/rear/image_raw"))
    camera = ros_arguments(model=tiny_model, engine="onnxruntime", autostart="true", use_sim_time="true")
    names = ["-r", f"__node:={NODE}", "-r", "__ns:=/camera/front"]
    processes.append(start_node("camera_node", *names, *camera, log=tmp_path / "camera.log"))
    values = {"bag": str(bag), "rate": "1.0", "loop": "false", "namespace": "/camera/front"}
    player, stop = play(**player_parameters(values))
    spin_until(lambda: stop, what="the end of the player")
    assert (stop.exit_code, player.sent[TOPIC]) == (0, 6)


def test_a_paced_player_sends_an_image_only_after_the_answer_to_the_last_one(
    play, context, executor, spin_until, tmp_path
):
    outside = Node("outside", context=context, use_global_arguments=False)
    executor.add_node(outside)
    images = Listener(outside, Image, TOPIC)
    answers = outside.create_publisher(PerceptionFrame, "/answers", 10)
    bag = write_bag(tmp_path / "bag", images=4, period_ms=1)
    player, stop = play(bag=str(bag), wait_for_subscribers=60.0, answers=[f"{TOPIC}=/answers"])
    spin_until(lambda: answers.get_subscription_count(), what="the player's subscription")
    for number in range(4):
        spin_until(lambda number=number: len(images.messages) > number, what=f"image {number}")
        for _ in range(4):
            executor.spin_once(timeout_sec=0.05)
        assert player.sent[TOPIC] == number + 1
        answers.publish(PerceptionFrame())
    spin_until(lambda: stop, what="the end of the player")
    assert player._answers.held > 0


def test_stamps_can_be_moved_to_now_by_one_offset(play, context, executor, spin_until, tmp_path):
    outside = Node("outside", context=context, use_global_arguments=False)
    executor.add_node(outside)
    listener = Listener(outside, Image, TOPIC)
    bag = write_bag(tmp_path / "bag", images=5)
    play(bag=str(bag), stamps="now", wait_for_subscribers=60.0, start_offset=0.04)
    spin_until(lambda: len(listener.messages) >= 4, what="images")
    stamps = [message.header.stamp.sec * 10**9 + message.header.stamp.nanosec for message in listener.messages]
    assert {later - earlier for earlier, later in zip(stamps, stamps[1:])} == {50_000_000}
    assert abs(time.time_ns() - stamps[-1]) < 60e9  # the bag is of 1970
    assert bytes(listener.messages[0].data) == road(1).tobytes()


def test_a_player_that_cannot_play_ends_with_one_error_line(processes, tmp_path):
    log = tmp_path / "log"
    processes.append(start_node("bag_player_node", *ros_arguments(bag="/no/such/bag"), log=log))
    assert finished(processes[0], log) == 2
    assert len([line for line in log.read_text().splitlines() if "[ERROR]" in line]) == 1
    assert "/no/such/bag does not exist" in log.read_text()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"bag": "/no/such/bag"}, "/no/such/bag does not exist"),
        ({}, "'bag' is empty"),
        ({"bga": "x"}, "did you mean 'bag'?"),
        ({"bag": "x", "wait_for_fusion": "/fusion"}, "'wait_for_fusion' needs 'wait_for_cameras'"),
    ],
)
def test_the_reason_why_a_player_cannot_play_is_given(play, values, words):
    with pytest.raises(PerceptionError, match=re.escape(words)):
        play(**values)


def target(link: Path) -> str:
    """What an open file is; empty when the process has closed it meanwhile."""
    try:
        return os.readlink(link)
    except FileNotFoundError:
        return ""


def segments(process: subprocess.Popen[bytes]) -> list[Path]:
    """The shared memory that a process created: it keeps the lock file open. It maps that of others, too."""
    used = [Path(name) for link in Path(f"/proc/{process.pid}/fd").iterdir() if (name := target(link))]
    return [path.with_name(path.name[:-3]) for path in used if path.parent == SHM and path.name.endswith("_el")]


def test_shared_memory_of_killed_nodes_is_removed_and_that_of_a_node_at_its_end(processes, tmp_path):
    left = SHM / f"fastrtps_{os.getpid():016x}_el"
    left.touch()
    os.utime(left, (0, 0))
    log, topics = tmp_path / "log", ros_arguments(cameras="[front]", autostart="true")
    node = start_node("fusion_node", *topics, log=log, env=shipped_environment())
    processes.append(node)
    deadline = time.monotonic() + 60.0
    while not any(path.exists() for path in segments(node)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left.exists()
    own = segments(node)
    assert any(path.exists() for path in own)
    node.send_signal(signal.SIGINT)
    assert finished(node, log) == 0
    assert not [path.name for path in own if path.exists()], log.read_text()


def test_a_killed_camera_leaves_the_others_working(processes, context, executor, spin_until, tiny_model, tmp_path):
    outside = Node("outside", context=context, use_global_arguments=False)
    executor.add_node(outside)
    camera = outside.create_publisher(Image, TOPIC, RELIABLE)
    frames = Listener(outside, PerceptionFrame, "/camera/front/camera/perception")
    fused = Listener(outside, FusedPerception, "/fusion/fused")
    arguments = ["-r", "__ns:=/camera/front", *ros_arguments(model=tiny_model, engine="onnxruntime", autostart="true")]
    topics = ros_arguments(cameras="[front]", topics="[/camera/front/camera/perception]", autostart="true", max_age=0.5)
    first = start_node("camera_node", *arguments, log=tmp_path / "first.log")
    processes += [first, start_node("fusion_node", *topics, log=tmp_path / "fusion.log")]
    picture = image_message(0)

    def send() -> None:
        picture.header.stamp = outside.get_clock().now().to_msg()
        camera.publish(picture)

    outside.create_timer(0.05, send)

    def fresh(stale: bool) -> bool:
        return bool(fused.messages and fused.messages[-1].cameras[0].stale == stale and frames.messages)

    spin_until(lambda: fresh(stale=False), what="a fused frame of the camera")
    first.kill()
    # The new process takes longer to start than a frame may be old.
    processes.append(start_node("camera_node", *arguments, log=tmp_path / "second.log"))
    spin_until(lambda: fresh(stale=True), what="the dead camera to be reported")
    spin_until(lambda: fresh(stale=False), what="the new camera to take over")


LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))
from camera_perception_ros.nodes.main import bag_recorder_node
bag_recorder_node()
"""


def test_a_full_disk_is_one_clear_line_and_what_was_recorded_stays_readable(processes, tmp_path):
    """A limit on the size of a file stands for the full disk: both fail in the middle of a write."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    bag, out, log = write_bag(tmp_path / "bag", images=60), tmp_path / "out", tmp_path / "recorder.log"
    command = [sys.executable, "-c", LIMITED, "--ros-args", *ros_arguments(output=out, topics=f"[{TOPIC}]")]
    with log.open("wb") as stream:
        recorder = subprocess.Popen(command, stdout=stream, stderr=stream, env=process_environment())
    arguments = ros_arguments(bag=bag, rate=8.0, depth=100, wait_for_subscribers=60.0)
    processes += [recorder, start_node("bag_player_node", *arguments, log=tmp_path / "player.log")]
    assert finished(recorder, log) == 1
    errors = [line for line in log.read_text().splitlines() if "[ERROR]" in line]
    assert "make room" in errors[0]
    assert "Traceback" not in log.read_text()
    with Bag(out) as recorded:
        assert sum(1 for _ in recorded.messages()) >= 15


def test_serialized_images_are_what_the_library_writes(tmp_path):
    """The bag of these tests is built by the library: its first message is one image of the road."""
    with Bag(write_bag(tmp_path / "bag", images=1)) as bag:
        first = next(bag.messages([TOPIC]))
    header = {"stamp": {"sec": 1000, "nanosec": 0}, "frame_id": "front_optical_frame"}
    picture = {"height": 96, "width": 160, "encoding": "bgr8", "step": 480, "data": road(0).ravel()}
    assert first.data == serialize(IMAGE, {"header": header, **picture})


def test_a_wrong_configuration_is_one_error_line_and_exit_status_2(processes, tmp_path):
    broken, wrong = tmp_path / "broken.yaml", tmp_path / "wrong.yaml"
    broken.write_text("/**:\n  ros__parameters:\n    cameras: [front\n  b: {")
    wrong.write_text("/**:\n  ros__parameters:\n    rate: fast\n")
    cases = {
        "log level": (["--log-level", "loud"], "--log-level loud"),
        "no file": (["--params-file", "/no/such.yaml"], "/no/such.yaml' (Error opening YAML file)"),
        "broken file": (["--params-file", str(broken)], str(broken)),
        "type": (["--params-file", str(wrong)], "parameter 'rate' is 'fast': expected a number from 0.1 to 200"),
        "range": (["-p", "rate:=0.0"], "parameter 'rate' is '0.0': expected a number from 0.1 to 200"),
        "node name": (["-r", "__node:=a b"], "__node:=a b"),
    }
    logs = {name: tmp_path / name for name in cases}
    started = {name: start_node("fusion_node", *given, log=logs[name]) for name, (given, _) in cases.items()}
    processes += started.values()
    for name, process in started.items():
        assert finished(process, logs[name]) == 2, name
        text = logs[name].read_text()
        assert "Traceback" not in text, name
        (line,) = [each for each in text.splitlines() if "[ERROR]" in each and "[rcl]" not in each]
        assert cases[name][1] in line, name


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--help"], 0, "bag_player_node"),
        (["camera_nod"], 2, "there is no node 'camera_nod': give one of camera_node, rig_node"),
        ([], 2, "give one of"),
        (["fusion_node", "--help"], 0, "rate (20.0): Rate of FusedPerception messages in Hz."),
        (["rig_node", "--help"], 0, "--rig"),
    ],
)
def test_help_and_a_misspelt_node_need_no_traceback(arguments, code, words):
    command = [sys.executable, "-m", "camera_perception_ros.nodes.main", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=process_environment(), check=False)
    assert done.returncode == code
    assert words in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_node_that_dds_refuses_ends_with_one_error_line(tmp_path):
    enclave = tmp_path / "keys/enclaves"
    enclave.mkdir(parents=True)
    for name in ("identity_ca.cert.pem", "cert.pem", "key.pem", "permissions_ca.cert.pem"):
        (enclave / name).write_text("no certificate")
    for name in ("governance.p7s", "permissions.p7s"):
        (enclave / name).write_text("no signature")
    secured = {"ROS_SECURITY_KEYSTORE": str(tmp_path / "keys"), "ROS_SECURITY_ENABLE": "true"}
    cases = [
        ({**secured, "ROS_SECURITY_STRATEGY": "Enforce"}, "DDS refuses the node"),
        ({"ROS_DOMAIN_ID": "300"}, "ROS_DOMAIN_ID is 300, and DDS has ports for 0 to 232"),
    ]
    for variables, words in cases:
        command = [sys.executable, "-m", "camera_perception_ros.nodes.main", "fusion_node"]
        env = {**process_environment(), **variables}
        done = subprocess.run(command, capture_output=True, text=True, env=env, check=False, timeout=120)
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr
        (line,) = [each for each in done.stderr.splitlines() if "[ERROR]" in each]
        assert words in line
