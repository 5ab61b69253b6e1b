"""From the messages of running nodes to what a viewer gets: each PerceptionFrame with its image."""

from __future__ import annotations

from collections import OrderedDict

from camera_perception.core.errors import PerceptionError
from camera_perception.image.reader import ImageReader
from camera_perception.image.turn import Turn
from camera_perception.io.bag_reader import RawMessage
from camera_perception.io.ros_types import deserialize, fields_from_message
from camera_perception.tools.live.protocol import LiveFrame
from camera_perception.tools.live.recordings import picture_of, shown_file

KEEP = 8  # images and frames that wait for each other


class FrameMatcher:
    """Pairs the images of one camera with its PerceptionFrames, whichever comes first; used by one thread.

    turn  what the node does to each image before it perceives it
    """

    def __init__(self, camera: str) -> None:
        self.camera, self.turn = camera, Turn()
        self._images: OrderedDict[int, RawMessage] = OrderedDict()
        self._frames: OrderedDict[int, RawMessage] = OrderedDict()
        self._start_ns: int | None = None

    def image(self, stamp_ns: int, message: RawMessage) -> LiveFrame | None:
        """Take a serialised Image or CompressedImage; the frame, when both are there."""
        return self._pair(stamp_ns, self._images, message)

    def frame(self, stamp_ns: int, message: RawMessage) -> LiveFrame | None:
        """Take a serialised PerceptionFrame; the frame, when both are there."""
        return self._pair(stamp_ns, self._frames, message)

    def _pair(self, stamp_ns: int, waiting: OrderedDict[int, RawMessage], message: RawMessage) -> LiveFrame | None:
        waiting[stamp_ns] = message
        if stamp_ns in self._images and stamp_ns in self._frames:
            return self._live(stamp_ns, self._images.pop(stamp_ns), self._frames.pop(stamp_ns))
        if len(waiting) > KEEP:
            waiting.popitem(last=False)
        return None

    def _live(self, stamp_ns: int, image: RawMessage, frame: RawMessage) -> LiveFrame:
        if self._start_ns is None:
            self._start_ns = stamp_ns
        fields = fields_from_message(deserialize(frame.kind, frame.data))
        file, mime = _shown(image, self.camera, self.turn)
        return LiveFrame(self.camera, fields, file, mime, (stamp_ns - self._start_ns) / 1e9)


def _shown(message: RawMessage, camera: str, turn: Turn) -> tuple[bytes, str]:
    """(image file, its type); b"" for an image that cannot be decoded."""
    try:
        return shown_file(picture_of(message, camera, ImageReader(turn)))
    except PerceptionError:
        return b"", ""


def image_topic_of(perception_topic: str, topics: dict[str, str]) -> str:
    """The images of a camera node: in its namespace, compressed ones first; "" when there are none.

    topics  name: type of all topics, such as sensor_msgs/msg/Image
    """
    node = perception_topic.rpartition("/")[0]
    inside = [
        topic
        for topic in topics
        if topic.startswith(f"{node.rpartition('/')[0]}/") and not topic.startswith(f"{node}/")
    ]
    for kind in ("sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/Image"):
        found = sorted(
            (topic for topic in inside if topics[topic] == kind), key=lambda topic: ("image" not in topic, topic)
        )
        if found:
            return found[0]
    return ""
