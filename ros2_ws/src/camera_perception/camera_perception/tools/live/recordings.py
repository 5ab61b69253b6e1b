"""Recordings to watch: every image in order from any time on, with the bytes that a browser shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from camera_perception.core.errors import BagError
from camera_perception.core.types import EgoMotion
from camera_perception.geometry.camera import Camera
from camera_perception.geometry.odometry import Odometry, yaw_from_quaternion
from camera_perception.image.reader import ImageReader
from camera_perception.image.turn import Turn
from camera_perception.image.video_packets import VideoDecoder, VideoImage
from camera_perception.io.bag_reader import Bag, RawMessage, is_bag
from camera_perception.io.ros_types import COMPRESSED_IMAGE, VIDEO, deserialize
from camera_perception.tools.replay.source import (
    IMAGE_FOLDER_RATE,
    TRANSPORTS,
    camera_name,
    header_of,
    image_files,
    load_image,
    open_source,
)
from camera_perception.tools.replay.view import View

ODOMETRY = "nav_msgs/msg/Odometry"
JPEG_QUALITY = 90  # of images that are no file yet
SHOWN = {b"\xff\xd8": "image/jpeg", b"\x89P": "image/png", b"RI": "image/webp", b"BM": "image/bmp"}
KEY_FRAME_NS = 2_000_000_000  # before a time in a recording of video packets: there is a key frame, as a rule


@dataclass(frozen=True, slots=True)
class Picture:
    """One image as it arrived.

    time_ns  on the timeline of its recording
    pixels   decodes it to (H, W, 3) uint8 BGR; raises BadImage
    file     the image file as it was recorded; b"" where that is not what is perceived: raw or turned images, video
    turned   the EXIF orientation is applied
    reader   knows the flags of the image it has read
    """

    camera: str
    time_ns: int
    stamp_ns: int
    frame_id: str
    pixels: Callable[[], np.ndarray]
    file: bytes = b""
    turned: bool = False
    reader: ImageReader | None = None


Motion = Callable[[int, int], EgoMotion | None]  # of the car between two stamps


class Recording(Protocol):
    """Something with a beginning and an end.

    cameras  calibration of each camera, None where unknown
    motion   of the car, as far as it was read
    """

    name: str
    cameras: dict[str, Camera | None]
    start_ns: int
    end_ns: int

    def pictures(self, from_ns: int) -> Iterator[Picture]: ...

    def motion(self, from_ns: int, to_ns: int) -> EgoMotion | None: ...


def shown_file(picture: Picture, image: np.ndarray | None = None) -> tuple[bytes, str]:
    """(image file, its type): the recorded file where browsers show it, untouched; else a new JPEG of the image.

    image  the picture's pixels, if they are decoded already. raises BadImage
    """
    deep = picture.file[:2] == b"\x89P" and picture.file[24:25] == b"\x10"  # a browser shows 16 bits as black
    kind = "" if deep else SHOWN.get(picture.file[:2], "")
    return (picture.file, kind) if kind else (jpeg(picture.pixels() if image is None else image), "image/jpeg")


def jpeg(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


def open_recording(path: Path, topic: str | None = None, view: View | None = None) -> Recording:
    """A bag (all its cameras, or that of one image topic), a video, an image or a folder of images.

    raises BagError when path is none of these
    """
    view = view or View()
    if not path.exists():
        raise BagError(
            f"{path} does not exist: give a recording, a video, a folder of images, the number of a webcam, "
            "an address such as rtsp://..., or `topics`"
        )
    if is_bag(path):
        return BagRecording(path, view, topic)
    images = image_files(path)
    return FolderRecording(path, view, images) if images else FilmRecording(path, view)


class BagRecording:
    def __init__(self, path: Path, view: View, topic: str | None = None) -> None:
        self._bag = Bag(path)
        self.name = str(path) if self._bag.contents.complete else f"{path}, damaged: {self._bag.contents.lost}"
        self._camera_of = _cameras(self._bag, topic)
        self._readers = {topic: view.reader() for topic in self._camera_of}
        self.cameras = {
            name: open_source(path, topic, view.mount, view.lens, view.reader()).calibration
            for topic, name in self._camera_of.items()
        }
        self.start_ns, self.end_ns = self._bag.contents.start_ns, self._bag.contents.end_ns
        self._odometry_topic = next((name for name, kind in self._bag.topics.items() if kind == ODOMETRY), "")
        self._odometry = Odometry()

    def pictures(self, from_ns: int) -> Iterator[Picture]:
        self._odometry = Odometry()
        decoders = {topic: VideoDecoder() for topic in self._camera_of if self._bag.topics[topic] in VIDEO}
        earlier_ns = from_ns - KEY_FRAME_NS if decoders else from_ns
        for message in self._bag.messages([*self._camera_of, self._odometry_topic], max(0, earlier_ns)):
            if message.topic == self._odometry_topic:
                self._add_pose(message)
                continue
            for picture in self._pictures_of(message, decoders.get(message.topic)):
                if picture.time_ns >= from_ns:
                    yield picture

    def _pictures_of(self, message: RawMessage, decoder: VideoDecoder | None) -> Iterator[Picture]:
        """One as a rule; of a video packet those that it completes."""
        camera, reader = self._camera_of[message.topic], self._readers[message.topic]
        if decoder is None:
            yield picture_of(message, camera, reader)
            return
        ros = deserialize(message.kind, message.data)
        for image in decoder.decode(ros, header_of(ros)):
            yield _of_video(image, message.stamp_ns, camera, reader)

    def motion(self, from_ns: int, to_ns: int) -> EgoMotion | None:
        return self._odometry.between(from_ns, to_ns)

    def _add_pose(self, message: RawMessage) -> None:
        ros = deserialize(message.kind, message.data)
        position, q = ros.pose.pose.position, ros.pose.pose.orientation
        yaw = yaw_from_quaternion(q.x, q.y, q.z, q.w)
        self._odometry.add(_stamp_ns(ros), float(position.x), float(position.y), yaw)


def _cameras(bag: Bag, topic: str | None) -> dict[str, str]:
    """Image topic of each camera: its name. Of a camera with several transports compressed images, raw ones, video."""
    topics = [name for name, kind in bag.topics.items() if kind in VIDEO] + bag.image_topics
    known_topics = topics
    if topic is not None:
        topics = [known for known in topics if topic in (known, _base(known), camera_name(known))]
    if not topics:
        wanted = f"image topic {topic}" if topic else "image topic"
        raise BagError(f"{bag.path} has no {wanted}: choose one of {', '.join(known_topics or bag.topics)}")
    by_camera = {_base(known): known for known in topics}
    names = [camera_name(known) for known in by_camera.values()]
    return {
        known: name if names.count(name) == 1 else camera.strip("/")
        for (camera, known), name in zip(by_camera.items(), names)
    }


def _base(topic: str) -> str:
    """An image topic without its transport."""
    base, _, last = topic.rpartition("/")
    return base if last in TRANSPORTS else topic


def picture_of(message: RawMessage, camera: str, reader: ImageReader | None = None) -> Picture:
    """The image in a serialised Image or CompressedImage."""
    ros, reader = deserialize(message.kind, message.data), reader or ImageReader()
    as_it_is = message.kind == COMPRESSED_IMAGE and not reader.turn and "bayer" not in ros.format.lower()
    file = bytes(ros.data) if as_it_is else b""
    stamp_ns, frame_id = _stamp_ns(ros), ros.header.frame_id
    return Picture(camera, message.stamp_ns, stamp_ns, frame_id, lambda: reader.read(ros), file, reader=reader)


def _of_video(image: VideoImage, time_ns: int, camera: str, reader: ImageReader) -> Picture:
    stamp, frame_id = image.header.stamp, image.header.frame_id
    stamp_ns = int(stamp.sec) * 10**9 + int(stamp.nanosec)
    return Picture(camera, time_ns, stamp_ns, frame_id, lambda: reader.read(image), reader=reader)


def _stamp_ns(ros: Any) -> int:
    return int(ros.header.stamp.sec) * 10**9 + int(ros.header.stamp.nanosec)


class _Unmoved:
    """A recording without odometry."""

    def motion(self, from_ns: int, to_ns: int) -> EgoMotion | None:
        return None


class FolderRecording(_Unmoved):
    """Image files in the order of their names, at an assumed rate."""

    def __init__(self, path: Path, view: View, images: list[Path]) -> None:
        self.name, self._images, self._turn = str(path), images, view.turn
        self._camera = path.stem or "camera"
        self.cameras: dict[str, Camera | None] = {self._camera: view.camera()}
        self._period_ns = round(1e9 / IMAGE_FOLDER_RATE)
        self.start_ns, self.end_ns = 0, len(images) * self._period_ns

    def pictures(self, from_ns: int) -> Iterator[Picture]:
        for index in range(max(0, -(-from_ns // self._period_ns)), len(self._images)):
            file, stamp_ns = self._images[index], index * self._period_ns
            pixels, shown = partial(_load, file, self._turn), b"" if self._turn else file.read_bytes()
            yield Picture(self._camera, stamp_ns, stamp_ns, self._camera, pixels, shown, True)


def _load(file: Path, turn: Turn) -> np.ndarray:
    return turn(load_image(file))


class FilmRecording(_Unmoved):
    def __init__(self, path: Path, view: View) -> None:
        open_source(path)  # BagError when it is no video
        self.name, self._path, self._turn = str(path), path, view.turn
        self._camera = path.stem or "camera"
        self.cameras: dict[str, Camera | None] = {self._camera: view.camera()}
        self._video = cv2.VideoCapture(str(path))
        self._rate = self._video.get(cv2.CAP_PROP_FPS) or IMAGE_FOLDER_RATE
        count = max(0, int(self._video.get(cv2.CAP_PROP_FRAME_COUNT)))
        self.start_ns, self.end_ns = 0, self._time_ns(count)

    def pictures(self, from_ns: int) -> Iterator[Picture]:
        index = max(0, int(np.ceil(from_ns * self._rate / 1e9 - 1e-6)))
        self._video.set(cv2.CAP_PROP_POS_FRAMES, index)
        while True:
            ok, image = self._video.read()
            if not ok:
                return
            time_ns = self._time_ns(index)
            yield Picture(self._camera, time_ns, time_ns, self._camera, partial(self._turn, image))
            index += 1

    def _time_ns(self, index: int) -> int:
        return round(index * 1e9 / self._rate)
