"""A camera node uses the input size of its model that fits the camera, from the first image on."""

from __future__ import annotations

import cv2
import pytest
from driving import Listener, image_message, road
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from tiny_models import write_tiny_sizes

from camera_perception.core.types import Status
from camera_perception_msgs.msg import ModelInfo

LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
OTHER = "144x112"


@pytest.fixture
def sizes(tmp_path):
    return write_tiny_sizes(tmp_path / "model", OTHER)


def tall(number: int):
    """A road of 4:3."""
    return image_message(number, cv2.resize(road(number), (128, 96)))


def sizes_of(infos: Listener) -> list[int]:
    return [info.input_width for info in infos.messages]


def test_the_first_image_decides_on_the_size_and_model_info_names_it(make_camera, sizes):
    camera = make_camera(model=str(sizes))
    camera.activate()
    infos = Listener(camera.outside, ModelInfo, "/front/camera/model_info", LATCHED)
    camera.spin_until(lambda: infos.messages, what="model info")
    assert sizes_of(infos) == [160]
    camera.send(tall(0))
    frame = camera.answers(1)[0]
    assert not frame.status_flags & Status.ENGINE_ERROR
    assert (frame.image_width, frame.image_height) == (128, 96)
    assert frame.objects
    camera.spin_until(lambda: len(infos.messages) == 2, what="model info of the other size")
    assert (infos.messages[1].input_width, infos.messages[1].input_height) == (144, 112)
    camera.send(tall(1))
    camera.answers(2)
    assert camera.state == "active"
    camera.send(image_message(2))
    camera.answers(3)
    camera.spin_until(lambda: sizes_of(infos)[2:] == [160], what="model info of the size for 5:3")
    camera.node.trigger_deactivate()
    camera.node.trigger_cleanup()
    assert camera.state == "unconfigured"


def test_a_loaded_model_fits_as_well(make_camera, sizes, tiny_model):
    camera = make_camera(model=str(tiny_model))
    camera.activate()
    camera.send(tall(0))
    camera.answers(1)
    assert camera.processor.serving.model.engine.spec.input.width == 160
    assert camera.node.configured.models.change(str(sizes))[0]
    camera.send(tall(1))
    camera.answers(2)
    assert camera.processor.serving.model.engine.spec.input.width == 144


def test_a_parameter_keeps_the_size_of_the_folder(make_camera, sizes):
    camera = make_camera(model=str(sizes), fit_camera=False)
    camera.activate()
    camera.send(tall(0))
    assert camera.answers(1)[0].objects
    assert camera.processor.serving.model.engine.spec.input.width == 160


def test_a_size_that_does_not_open_leaves_the_node_working(make_camera, sizes, caplog):
    camera = make_camera(model=str(sizes))
    camera.activate()
    (sizes / OTHER / "model.onnx").write_bytes(b"\0")
    for number in range(3):
        camera.send(tall(number))
        assert camera.answers(number + 1)[number].objects
    assert camera.state == "active"
    texts = [record.getMessage() for record in caplog.records]
    assert sum("larger in the input size 144x112, but 160x96 is used" in text for text in texts) == 1
