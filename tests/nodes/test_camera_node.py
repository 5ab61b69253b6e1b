"""The camera node on real topics: every image is answered or counted, bad ones are survived, failures are clean."""

from __future__ import annotations

import gc
import json
import shutil
import time
from array import array
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from driving import RELIABLE, Listener, camera_info, header, image_message, jpeg_message, parameters, reported, road
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from visualization_msgs.msg import MarkerArray

from camera_perception.core.errors import EngineError
from camera_perception.core.types import Status
from camera_perception.io import cdr
from camera_perception_msgs.msg import ModelInfo, PerceptionFrame
from camera_perception_ros.camera.processor import FrameProcessor
from camera_perception_ros.nodes.camera_node import CameraNode

POSE = [1.5, 0.0, 1.4, 0.0, 0.0, 0.0]


def test_every_image_is_answered_or_counted_and_headers_are_those_of_the_images(make_camera):
    camera = make_camera()
    camera.activate()
    for number in range(30):
        camera.send(image_message(number))
        camera.spin_until(lambda: True)
    answers = camera.perception.messages
    camera.spin_until(lambda: sum(1 + frame.frames_dropped for frame in answers) == 30, what="30 images accounted for")
    sent = [image_message(number).header for number in range(30)]
    assert all(frame.header in sent for frame in answers)
    assert [frame.frame_seq for frame in answers] == [sent.index(frame.header) for frame in answers]
    assert answers[-1].header == sent[-1]
    assert {(frame.image_width, frame.image_height, frame.camera_name) for frame in answers} == {(160, 96, "front")}


def test_an_uncalibrated_camera_gives_objects_without_positions(make_camera):
    camera = make_camera()
    camera.activate()
    camera.send(image_message(0))
    frame = camera.answers(1)[0]
    assert frame.status_flags & Status.UNCALIBRATED
    assert frame.base_frame == ""
    assert frame.objects
    assert not any(found.has_position for found in frame.objects)


def test_a_calibrated_camera_gives_positions_in_base_link(make_camera):
    camera = make_camera(camera_pose=POSE)
    camera.activate()
    camera.infos.publish(camera_info())
    camera.spin_until(lambda: camera.calibration.camera, what="calibration")
    camera.send(image_message(0))
    frame = camera.answers(1)[0]
    assert frame.base_frame == "base_link"
    assert not frame.status_flags & (Status.UNCALIBRATED | Status.TF_MISSING)
    assert any(lane.has_ground for lane in frame.lanes)


def test_with_odometry_velocities_are_over_the_ground(make_camera):
    camera = make_camera(camera_pose=POSE, odometry_topic="/odom")
    camera.activate()
    odometry = camera.outside.create_publisher(Odometry, "/odom", RELIABLE)
    camera.infos.publish(camera_info())
    camera.spin_until(lambda: camera.calibration.camera and odometry.get_subscription_count(), what="calibration")
    for number in range(12):
        message = Odometry(header=header(number))
        message.pose.pose.position.x = 0.5 * number
        message.pose.pose.orientation.w = 1.0
        odometry.publish(message)
    stamps = camera.processor.odometry
    camera.spin_until(lambda: stamps.between(1_000_000_000_000, 1_000_550_000_000), what="odometry")
    camera.send(image_message(0))
    camera.answers(1)
    camera.send(image_message(2))
    camera.answers(2)
    assert camera.processor._motion.x == pytest.approx(1.0)


def test_a_camera_info_without_a_known_pose_is_flagged(make_camera):
    camera = make_camera()
    camera.activate()
    camera.infos.publish(camera_info())
    camera.spin_until(lambda: camera.calibration.camera, what="calibration")
    camera.send(image_message(0))
    assert camera.answers(1)[0].status_flags & Status.TF_MISSING


ENCODINGS = {
    "bgr8": road(),
    "rgb8": np.ascontiguousarray(road()[..., ::-1]),
    "bgra8": np.dstack([road(), road()[..., :1]]),
    "mono8": road()[..., 1].copy(),
    "mono16": road()[..., 1].astype("<u2") * 256,
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encodings_are_decoded(make_camera, encoding):
    camera = make_camera()
    camera.activate()
    camera.send(image_message(0, ENCODINGS[encoding], encoding))
    frame = camera.answers(1)[0]
    assert frame.tasks_valid & PerceptionFrame.OBJECTS
    assert (frame.image_width, frame.image_height) == (160, 96)


def broken(**changes: Any) -> Image:
    message = image_message(0)
    for name, value in changes.items():
        setattr(message, name, value)
    return message


BAD = {
    "unknown encoding": (broken(encoding="yuv444p10"), Status.WRONG_ENCODING),
    "empty": (broken(data=array("B"), width=0, height=0, step=0), Status.BAD_IMAGE),
    "truncated": (broken(data=array("B", b"\0" * 100)), Status.BAD_IMAGE),
    "wrong step": (broken(step=7), Status.BAD_IMAGE),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_image_is_answered_invalid_and_the_next_good_one_is_fine(make_camera, what):
    camera = make_camera()
    camera.activate()
    message, flag = BAD[what]
    camera.send(message)
    bad = camera.answers(1)[0]
    assert bad.status == PerceptionFrame.INVALID
    assert bad.status_flags & flag
    assert (bad.tasks_valid, bad.header) == (0, message.header)
    camera.send(image_message(1))
    good = camera.answers(2)[1]
    assert good.tasks_valid & PerceptionFrame.OBJECTS
    assert camera.state == "active"


def test_a_frame_that_breaks_the_pipeline_is_answered_and_the_next_one_is_fine(make_camera):
    camera = make_camera()
    camera.activate()
    pipeline = camera.processor.serving.pipeline
    real = pipeline.run

    def fail_once(*arguments: Any) -> Any:
        pipeline.run = real
        raise ZeroDivisionError("a fault of ours")

    pipeline.run = fail_once
    camera.send(image_message(0))
    assert camera.answers(1)[0].status == PerceptionFrame.INVALID
    camera.send(image_message(1))
    assert camera.answers(2)[1].tasks_valid & PerceptionFrame.OBJECTS


def test_a_change_of_the_image_size_is_flagged_and_survived(make_camera):
    camera = make_camera()
    camera.activate()
    camera.send(image_message(0))
    camera.answers(1)
    camera.send(image_message(1, np.repeat(np.repeat(road(), 2, 0), 2, 1)))
    frame = camera.answers(2)[1]
    assert (frame.image_width, frame.image_height) == (320, 192)
    assert frame.status_flags & Status.RESOLUTION_CHANGED


def test_auto_subscribes_to_compressed_images_if_only_those_are_published(context, executor, spin_until, tiny_model):
    options = {"context": context, "use_global_arguments": False}
    outside = Node("outside", **options)
    executor.add_node(outside)
    publisher = outside.create_publisher(CompressedImage, "/front/image_raw/compressed", RELIABLE)
    listener = Listener(outside, PerceptionFrame, "/front/camera/perception")
    overrides = parameters(model=str(tiny_model), engine="onnxruntime")
    node = CameraNode(namespace="/front", parameter_overrides=overrides, **options)
    executor.add_node(node)
    node.start()
    spin_until(lambda: publisher.get_subscription_count(), what="subscribing to the compressed topic")
    publisher.publish(jpeg_message(0))
    spin_until(lambda: listener.messages, what="an answer")
    assert listener.messages[0].header == jpeg_message(0).header
    node.close()


def missing(folder: Path) -> None:
    shutil.rmtree(folder)


def other_onnx(folder: Path) -> None:
    (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes() + b"\0")


def no_json(folder: Path) -> None:
    (folder / "model.json").unlink()


def wrong_output(folder: Path) -> None:
    described = json.loads((folder / "model.json").read_text())
    tensors = described["outputs"][0]["tensors"]
    tensors[next(iter(tensors))] = "no_such_tensor"
    (folder / "model.json").write_text(json.dumps(described))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (missing, "does not exist"),
        (other_onnx, "ONNX file"),
        (no_json, "model.json is missing"),
        (wrong_output, "no_such_tensor"),
    ],
)
def test_a_model_that_cannot_run_leaves_the_node_unconfigured(make_camera, tiny_model, tmp_path, damage, words, capfd):
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    damage(folder)
    camera = make_camera(model=str(folder))
    camera.node.trigger_configure()
    assert camera.state == "unconfigured"
    lines = [line for line in capfd.readouterr().err.splitlines() if "cannot configure" in line]
    assert len(lines) == 1
    assert words in lines[0]
    camera.node.set_parameters([Parameter("model", value=str(tiny_model))])
    camera.activate()


def test_an_unknown_parameter_leaves_the_node_unconfigured(make_camera, capfd):
    camera = make_camera(objects_treshold=0.3)
    camera.node.trigger_configure()
    assert camera.state == "unconfigured"
    assert "did you mean 'objects_threshold'?" in capfd.readouterr().err


def test_the_object_threshold_can_change_while_images_flow(make_camera):
    camera = make_camera()
    camera.activate()
    camera.send(image_message(0))
    assert camera.answers(1)[0].objects
    assert camera.node.set_parameters([Parameter("objects_threshold", value=1.0)])[0].successful
    camera.send(*(image_message(number) for number in range(1, 4)))
    camera.spin_until(lambda: camera.perception.messages[-1].header == image_message(3).header)
    assert not [found for found in camera.perception.messages[-1].objects if not found.coasted]
    assert not camera.node.set_parameters([Parameter("engine", value="openvino")])[0].successful


def test_the_node_can_be_deactivated_and_activated_again(make_camera):
    camera = make_camera()
    camera.activate()
    camera.node.trigger_deactivate()
    assert camera.state == "inactive"
    camera.spin_until(lambda: not camera.raw.get_subscription_count(), what="unsubscribing")
    camera.node.trigger_activate()
    camera.spin_until(lambda: camera.raw.get_subscription_count(), what="subscribing again")
    camera.send(image_message(0))
    camera.answers(1)
    camera.node.trigger_deactivate()
    camera.node.trigger_cleanup()
    assert camera.state == "unconfigured"


class Failing:
    """An engine that fails from now on, `times` times."""

    def __init__(self, processor: FrameProcessor, times: int) -> None:
        serving = processor.serving
        assert serving is not None
        self.times, self.opened, model = times, 0, serving.model
        self.real, serving.pipeline.run = serving.pipeline.run, self.run
        self.model = SimpleNamespace(spec=model.spec, engine=model.engine, reopened=self.reopened, close=model.close)
        processor.serving = replace(serving, model=self.model)

    def run(self, *arguments: Any) -> Any:
        if self.times > 0:
            self.times -= 1
            raise EngineError("the accelerator went away: look at dmesg")
        return self.real(*arguments)

    def reopened(self) -> Any:
        self.opened += 1
        return self.model


def test_an_engine_that_fails_once_is_reopened(make_camera):
    camera = make_camera()
    camera.activate()
    failing = Failing(camera.processor, times=1)
    camera.send(image_message(0))
    assert camera.answers(1)[0].tasks_valid & PerceptionFrame.OBJECTS
    assert failing.opened == 1


def test_an_engine_that_keeps_failing_ends_in_a_clean_deactivation(make_camera):
    camera = make_camera()
    camera.activate()
    Failing(camera.processor, times=99)
    diagnostics = Listener(camera.outside, DiagnosticArray, "/diagnostics")
    camera.send(image_message(0))
    frame = camera.answers(1)[0]
    assert frame.status == PerceptionFrame.INVALID
    assert frame.status_flags & Status.ENGINE_ERROR
    camera.spin_until(lambda: camera.state == "inactive", what="deactivation")
    camera.spin_until(lambda: reported(diagnostics, "went away"), what="the cause in diagnostics")


def test_silence_is_explained_in_the_log_and_in_diagnostics(make_camera, capfd):
    camera = make_camera(silence=0.2, transport="compressed")
    camera.node.start()
    diagnostics = Listener(camera.outside, DiagnosticArray, "/diagnostics")
    camera.spin_until(lambda: reported(diagnostics, "set transport to raw or auto"), what="the reason in diagnostics")
    assert "set transport to raw or auto" in capfd.readouterr().err


def test_optional_outputs_are_published_while_they_have_subscribers(make_camera):
    camera = make_camera(camera_pose=POSE)
    camera.activate()
    camera.infos.publish(camera_info())
    camera.spin_until(lambda: camera.calibration.camera, what="calibration")
    camera.send(image_message(0))
    camera.answers(1)
    listeners = {
        "overlay": Listener(camera.outside, Image, "/front/camera/overlay"),
        "overlay/compressed": Listener(camera.outside, CompressedImage, "/front/camera/overlay/compressed"),
        "segmentation/mask": Listener(camera.outside, Image, "/front/camera/segmentation/mask"),
        "segmentation/color": Listener(camera.outside, Image, "/front/camera/segmentation/color"),
        "markers": Listener(camera.outside, MarkerArray, "/front/camera/markers"),
    }
    publishers = {
        output.topic.removeprefix("~/"): publisher for output, publisher in camera.node.configured.outputs._publishers
    }
    camera.spin_until(lambda: all(publishers[name].get_subscription_count() for name in listeners), what="matching")
    time.sleep(0.1)
    camera.send(image_message(1))
    sent, images = image_message(1).header, [name for name in listeners if name != "markers"]
    camera.spin_until(lambda: all(listener.messages for listener in listeners.values()), what="all outputs")
    # On a busy machine image 0 may still have been drawn when the first output arrived.
    camera.spin_until(
        lambda: all(listeners[name].messages[-1].header == sent for name in images), what="those of image 1"
    )
    assert (listeners["overlay"].messages[-1].encoding, listeners["segmentation/mask"].messages[-1].encoding) == (
        "bgr8",
        "mono8",
    )
    assert (listeners["overlay"].messages[-1].width, listeners["overlay"].messages[-1].height) == (160, 96)
    marked = listeners["markers"].messages[0].markers
    assert {marker.header.frame_id for marker in marked} == {"base_link"}
    assert {"lanes"} <= {marker.ns for marker in marked}


def test_late_subscribers_get_the_model_info(make_camera):
    camera = make_camera()
    camera.activate()
    latched = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    listener = Listener(camera.outside, ModelInfo, "/front/camera/model_info", latched)
    camera.spin_until(lambda: listener.messages, what="model info")
    info = listener.messages[0]
    assert (info.camera_name, info.backend) == ("front", "onnxruntime")
    assert "car" in next(head for head in info.heads if head.name == "objects").class_names
    assert len(info.model_sha256) == 64


def test_everything_is_prepared_before_the_first_image(make_camera, monkeypatch):
    """Nothing is compiled for it, and garbage is collected before images can queue up behind that."""
    subscribed: list[bool] = []
    camera = make_camera()

    def collect() -> None:
        subscribed.append(any(subscription.msg_type is Image for subscription in camera.node.subscriptions))

    def made() -> int:
        return sum(cached.cache_info().misses for cached in (cdr._writer, cdr._plan))

    monkeypatch.setattr(gc, "collect", collect)
    cdr._writer.cache_clear()
    cdr._plan.cache_clear()
    camera.activate()
    assert subscribed == [False]
    before = made()
    camera.send(image_message(0))
    assert camera.answers(1)[0].objects
    assert before == made() > 0


def test_the_log_says_what_a_node_waits_for_and_what_it_runs_once(make_camera, tiny_model, capfd):
    camera = make_camera()
    camera.node.autostart()
    assert "waiting for configure: `ros2 lifecycle set /front/camera configure`" in capfd.readouterr().err
    camera.activate()
    camera.send(image_message(0), image_message(1))
    camera.answers(2)
    lines = [line for line in capfd.readouterr().err.splitlines() if "active: " in line]
    assert len(lines) == 1
    assert "first image 160x96 from /front/image_raw" in lines[0]
    assert "onnxruntime" in lines[0]
