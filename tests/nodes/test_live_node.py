"""The live page of running nodes: frames with their images, only while somebody watches."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading

import cv2
import numpy as np
import pytest
from driving import RELIABLE, header, image_message, jpeg_message, parameters
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage

from camera_perception.core.errors import PerceptionError
from camera_perception.io.bag_reader import RawMessage
from camera_perception.io.cdr import serialize
from camera_perception.io.perception_frame import failed_fields
from camera_perception.io.ros_types import COMPRESSED_IMAGE, IMAGE, PERCEPTION_FRAME
from camera_perception.tools.live.protocol import unpacked
from camera_perception.tools.live.topics import KEEP, FrameMatcher, image_topic_of
from camera_perception_msgs.msg import DetectedObject, HeadInfo, ModelInfo, PerceptionFrame
from camera_perception_ros.nodes.live_node import LATCHED, LiveNode

aiohttp = pytest.importorskip("aiohttp")

TOPIC = "/front/camera/perception"


@pytest.mark.parametrize(
    ("topics", "expected"),
    [
        ({}, ""),
        ({"/front/image_raw": IMAGE, "/rear/image_raw": IMAGE}, "/front/image_raw"),
        ({"/front/image_raw": IMAGE, "/front/image_raw/compressed": COMPRESSED_IMAGE}, "/front/image_raw/compressed"),
        ({"/front/camera/overlay": IMAGE, "/front/camera/overlay/compressed": COMPRESSED_IMAGE}, ""),
        ({"/front/depth": IMAGE, "/front/image": IMAGE}, "/front/image"),
    ],
)
def test_the_images_of_a_camera_node(topics, expected):
    assert image_topic_of(TOPIC, topics) == expected


def test_a_frame_and_its_image_find_each_other_in_any_order():
    matcher = FrameMatcher("front")
    frames = {
        i: RawMessage(TOPIC, PERCEPTION_FRAME, i, serialize(PERCEPTION_FRAME, failed_fields(i, "f", 0)))
        for i in range(40)
    }
    broken = RawMessage("/i", COMPRESSED_IMAGE, 0, b"\0\1\0\0")
    assert matcher.image(1, broken) is None
    shown = matcher.frame(1, frames[1])
    assert (shown.camera, shown.image, shown.seconds) == ("front", b"", 0.0)
    assert matcher.frame(2, frames[2]) is None
    assert matcher.image(2, broken).seconds == pytest.approx(1e-9)
    for i in range(3, 30):
        assert matcher.frame(i, frames[i]) is None
    assert matcher.image(29 - KEEP, broken) is None  # too long ago
    assert matcher.image(29, broken) is not None


class Viewer(threading.Thread):
    """Connects and keeps what it gets until `enough` says so; then sends its last words and leaves."""

    def __init__(self, address, enough, *last_words):
        super().__init__(daemon=True)
        self._address, self._enough, self._last_words = address, enough, last_words
        self.texts, self.frames = [], []
        self.start()

    def run(self):
        asyncio.run(self._watch())

    async def _watch(self):
        async with aiohttp.ClientSession() as session, session.ws_connect(self._address + "live") as socket:
            while not self._enough(self):
                message = await asyncio.wait_for(socket.receive(), 60)
                if message.type is aiohttp.WSMsgType.TEXT:
                    self.texts.append(json.loads(message.data))
                else:
                    self.frames.append(unpacked(message.data))
                    await socket.send_json({"ack": self.frames[-1][0]["camera"]})
            for words in self._last_words:
                await socket.send_json(words)


def perception(number: int) -> PerceptionFrame:
    found = DetectedObject(class_name="car", score=0.5, cx=10.0, cy=20.0, width=4.0, height=5.0, track_id=number)
    return PerceptionFrame(
        header=header(number), image_width=160, image_height=96, age_ms=float("nan"), objects=[found]
    )


@pytest.fixture
def live(context, executor, spin_until):
    """(live node, outside node with publishers of frames and jpeg images)"""
    options = {"context": context, "use_global_arguments": False}
    node = LiveNode(parameter_overrides=parameters(port=0, tuning=True), **options)
    outside = Node("outside", **options)
    for each in (node, outside):
        executor.add_node(each)
    yield node, outside
    node.close()


def test_frames_are_shown_with_their_images_while_somebody_watches(live, spin_until):
    node, outside = live
    frames = outside.create_publisher(PerceptionFrame, TOPIC, RELIABLE)
    images = outside.create_publisher(CompressedImage, "/front/image_raw/compressed", RELIABLE)
    models = outside.create_publisher(ModelInfo, "/front/camera/model_info", LATCHED)
    models.publish(
        ModelInfo(model_name="tiny", heads=[HeadInfo(name="objects", class_names=["car"], thresholds=[0.25])])
    )
    spin_until(lambda: node._cameras, what="the camera is found")
    assert images.get_subscription_count() == 0

    viewer = Viewer(node.server.address, lambda viewer: len(viewer.frames) >= 2)
    spin_until(lambda: images.get_subscription_count() and frames.get_subscription_count(), what="subscribed")
    calls = itertools.count()

    def publish() -> bool:
        number, rest = divmod(next(calls), 8)  # callbacks in between, one per call
        if rest == 0:
            images.publish(jpeg_message(number))
            frames.publish(perception(number))
        return not viewer.is_alive()

    spin_until(publish, what="the viewer has two frames")
    head, image = viewer.frames[1]
    assert (head["camera"], head["perception"]["age_ms"], head["perception"]["objects"][0]["cx"]) == ("front", None, 10)
    assert image == bytes(jpeg_message(head["perception"]["objects"][0]["track_id"]).data)  # untouched
    spin_until(lambda: images.get_subscription_count() == 0, what="nobody watches")
    hello = [text for text in viewer.texts if text["type"] == "hello"][-1]
    assert (hello["seconds"], hello["heads"]) == (None, [{"name": "objects", "threshold": 0.25}])


@pytest.mark.parametrize("allowed", [True, False])
def test_thresholds_are_changed_only_where_that_is_allowed(context, executor, spin_until, allowed):
    options = {"context": context, "use_global_arguments": False}
    node = LiveNode(parameter_overrides=parameters(port=0, tuning=allowed), **options)
    camera = Node("camera", namespace="/front", **options)
    camera.declare_parameter("objects_threshold", 0.4)
    publisher = camera.create_publisher(PerceptionFrame, "~/perception", RELIABLE)
    for each in (node, camera):
        executor.add_node(each)
    spin_until(lambda: node._cameras, what="the camera is found")
    viewer = Viewer(node.server.address, lambda viewer: viewer.texts, {"do": "tune", "head": "objects", "to": 0.7})
    value = lambda: camera.get_parameter("objects_threshold").value  # noqa: E731
    if allowed:
        spin_until(lambda: value() == 0.7, what="the threshold is set")
    else:
        spin_until(lambda: not viewer.is_alive() and node._commands.empty(), what="the viewer has left")
        assert value() == 0.4
    node.close()
    camera.destroy_publisher(publisher)


def test_images_are_turned_as_the_camera_node_turns_them(live, context, executor, spin_until):
    node, outside = live
    camera = Node("camera", namespace="/front", context=context, use_global_arguments=False)
    executor.add_node(camera)
    camera.declare_parameter("rotate", 90)
    camera.declare_parameter("mirror", False)
    frames = camera.create_publisher(PerceptionFrame, "~/perception", RELIABLE)
    images = outside.create_publisher(CompressedImage, "/front/image_raw/compressed", RELIABLE)
    upright = lambda viewer: any(image and size_of(image) == (160, 96) for _, image in viewer.frames)  # noqa: E731
    viewer = Viewer(node.server.address, upright)
    spin_until(lambda: images.get_subscription_count() and frames.get_subscription_count(), what="subscribed")
    calls = itertools.count()

    def publish() -> bool:
        number, rest = divmod(next(calls), 8)
        if rest == 0:
            images.publish(jpeg_message(number))
            frames.publish(perception(number))
        return not viewer.is_alive()

    spin_until(publish, what="the viewer has a turned image")
    assert upright(viewer)


def size_of(file: bytes) -> tuple[int, int]:
    """(height, width)"""
    return cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR).shape[:2]


def test_without_a_model_nothing_is_anonymised(context):
    with pytest.raises(PerceptionError, match="'anonymize' needs a model"):
        LiveNode(context=context, parameter_overrides=parameters(anonymize=True, port=0))


def test_raw_images_are_shown_too():
    from rclpy.serialization import serialize_message

    matcher = FrameMatcher("front")
    image = RawMessage("/i", IMAGE, 1, serialize_message(image_message(1)))
    frame = RawMessage(TOPIC, PERCEPTION_FRAME, 1, serialize_message(perception(1)))
    matcher.image(1, image)
    shown = matcher.frame(1, frame)
    assert (shown.mime, shown.image[:2]) == ("image/jpeg", b"\xff\xd8")
