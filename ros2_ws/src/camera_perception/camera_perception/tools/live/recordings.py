"""Recordings to watch: every image in order from any time on, with the bytes that a browser shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from camera_perception.core.errors import BadImage, BagError
from camera_perception.core.types import EgoMotion
from camera_perception.geometry.camera import Camera
from camera_perception.geometry.odometry import Odometry, yaw_from_quaternion
from camera_perception.image.compressed import decode_compressed
from camera_perception.image.encodings import decode_image
from camera_perception.image.files import decode_file
from camera_perception.io.bag_reader import Bag, RawMessage, is_bag
from camera_perception.io.ros_types import COMPRESSED_IMAGE, deserialize
from camera_perception.tools.replay.source import IMAGE_FOLDER_RATE, camera_name, image_files, open_source

ODOMETRY = "nav_msgs/msg/Odometry"
JPEG_QUALITY = 90  # of images that are no file yet
SHOWN = {b"\xff\xd8": "image/jpeg", b"\x89P": "image/png", b"RI": "image/webp", b"BM": "image/bmp"}


@dataclass(frozen=True, slots=True)
class Picture:
    """One image as it arrived.

    time_ns  on the timeline of its recording
    pixels   decodes it to (H, W, 3) uint8 BGR; raises BadImage
    file     the image file as it was recorded; b"" for raw images
    turned   the EXIF orientation is applied
    """

    camera: str
    time_ns: int
    stamp_ns: int
    frame_id: str
    pixels: Callable[[], np.ndarray]
    file: bytes = b""
    turned: bool = False


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
    kind = SHOWN.get(picture.file[:2], "")
    return (picture.file, kind) if kind else (jpeg(picture.pixels() if image is None else image), "image/jpeg")


def jpeg(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


def open_recording(path: Path, topic: str | None = None, mount: tuple[float, ...] | None = None) -> Recording:
    """A bag (all its cameras, or that of one image topic), a video, an image or a folder of images.

    raises BagError when path is none of these
    """
    if not path.exists():
        raise BagError(
            f"{path} does not exist: give a recording, a video, a folder of images, the number of a webcam, "
            "an address such as rtsp://..., or `topics`"
        )
    if is_bag(path):
        return BagRecording(path, topic, mount)
    images = image_files(path)
    return FolderRecording(path, images) if images else FilmRecording(path)


class BagRecording:
    def __init__(self, path: Path, topic: str | None = None, mount: tuple[float, ...] | None = None) -> None:
        self._bag = Bag(path)
        self.name = str(path) if self._bag.contents.complete else f"{path}, damaged: {self._bag.contents.lost}"
        self._camera_of = _cameras(self._bag, topic)
        self.cameras = {name: open_source(path, topic, mount).calibration for topic, name in self._camera_of.items()}
        self.start_ns, self.end_ns = self._bag.contents.start_ns, self._bag.contents.end_ns
        self._odometry_topic = next((name for name, kind in self._bag.topics.items() if kind == ODOMETRY), "")
        self._odometry = Odometry()

    def pictures(self, from_ns: int) -> Iterator[Picture]:
        self._odometry = Odometry()
        for message in self._bag.messages([*self._camera_of, self._odometry_topic], from_ns):
            if message.topic == self._odometry_topic:
                self._add_pose(message)
            else:
                yield picture_of(message, self._camera_of[message.topic])

    def motion(self, from_ns: int, to_ns: int) -> EgoMotion | None:
        return self._odometry.between(from_ns, to_ns)

    def _add_pose(self, message: RawMessage) -> None:
        ros = deserialize(message.kind, message.data)
        position, q = ros.pose.pose.position, ros.pose.pose.orientation
        yaw = yaw_from_quaternion(q.x, q.y, q.z, q.w)
        self._odometry.add(_stamp_ns(ros), float(position.x), float(position.y), yaw)


def _cameras(bag: Bag, topic: str | None) -> dict[str, str]:
    """Image topic of each camera: its name. Of a camera with raw and compressed images, the compressed ones."""
    topics = bag.image_topics
    if topic is not None:
        topics = [known for known in topics if topic in (known, known.removesuffix("/compressed"), camera_name(known))]
    if not topics:
        wanted = f"image topic {topic}" if topic else "image topic"
        raise BagError(f"{bag.path} has no {wanted}: choose one of {', '.join(bag.image_topics or bag.topics)}")
    by_camera = {known.removesuffix("/compressed"): known for known in topics}
    names = [camera_name(known) for known in by_camera.values()]
    return {
        known: name if names.count(name) == 1 else camera.strip("/")
        for (camera, known), name in zip(by_camera.items(), names)
    }


def picture_of(message: RawMessage, camera: str) -> Picture:
    """The image in a serialised Image or CompressedImage."""
    ros = deserialize(message.kind, message.data)
    file = bytes(ros.data) if message.kind == COMPRESSED_IMAGE else b""
    return Picture(
        camera, message.stamp_ns, _stamp_ns(ros), ros.header.frame_id, lambda: _pixels(message.kind, ros), file
    )


def _pixels(kind: str, ros: Any) -> np.ndarray:
    if kind == COMPRESSED_IMAGE:
        return decode_compressed(ros.data, ros.format)
    return decode_image(ros.encoding, ros.height, ros.width, ros.step, bool(ros.is_bigendian), ros.data)


def _stamp_ns(ros: Any) -> int:
    return int(ros.header.stamp.sec) * 10**9 + int(ros.header.stamp.nanosec)


class _Unmoved:
    """A recording without odometry."""

    def motion(self, from_ns: int, to_ns: int) -> EgoMotion | None:
        return None


class FolderRecording(_Unmoved):
    """Image files in the order of their names, at an assumed rate."""

    def __init__(self, path: Path, images: list[Path]) -> None:
        self.name, self._images = str(path), images
        self._camera = path.stem or "camera"
        self.cameras: dict[str, Camera | None] = {self._camera: None}
        self._period_ns = round(1e9 / IMAGE_FOLDER_RATE)
        self.start_ns, self.end_ns = 0, len(images) * self._period_ns

    def pictures(self, from_ns: int) -> Iterator[Picture]:
        for index in range(max(0, -(-from_ns // self._period_ns)), len(self._images)):
            file, stamp_ns = self._images[index], index * self._period_ns
            yield Picture(self._camera, stamp_ns, stamp_ns, self._camera, partial(_load, file), file.read_bytes(), True)


def _load(file: Path) -> np.ndarray:
    try:
        return decode_file(file.read_bytes())
    except (BadImage, OSError) as error:
        raise BadImage(f"{file} is not an image that OpenCV can read ({error}): remove it or save it as png") from error


class FilmRecording(_Unmoved):
    def __init__(self, path: Path) -> None:
        open_source(path)  # BagError when it is no video
        self.name, self._path = str(path), path
        self._camera = path.stem or "camera"
        self.cameras: dict[str, Camera | None] = {self._camera: None}
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
            yield Picture(self._camera, time_ns, time_ns, self._camera, image.view)
            index += 1

    def _time_ns(self, index: int) -> int:
        return round(index * 1e9 / self._rate)
