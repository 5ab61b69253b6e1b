"""Image sources: every image of a recording, a video or image files, in order and with its stamp."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

from camera_perception.core.errors import BadImage, BagError, CalibrationError
from camera_perception.core.natural_order import natural_order
from camera_perception.core.types import Frame
from camera_perception.geometry.camera import Camera, camera_from_info, optical_from_rpy
from camera_perception.geometry.camera_views import turned
from camera_perception.image.files import decode_file
from camera_perception.image.reader import ImageReader
from camera_perception.image.video_packets import VideoDecoder, VideoImage
from camera_perception.io.bag_reader import Bag, RawMessage, is_bag, mounting, recordings_inside
from camera_perception.io.ros_types import CAMERA_INFO, VIDEO, deserialize

log = logging.getLogger(__name__)
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
TRANSPORTS = ("compressed", "ffmpeg", "foxglove")  # last part of a topic of image_transport
NO_IMAGES = ("/compressedDepth", "/theora")  # transports that are not read
IMAGE_FOLDER_RATE = 10.0  # Hz, assumed for image files, which have no stamps


@dataclass(frozen=True, slots=True)
class Arrival:
    """One image as it would arrive at a node; `read` raises BadImage when it cannot be decoded.

    name    of an image file, "" for other sources
    reader  knows the flags of the image it has read
    """

    stamp_ns: int
    frame_id: str
    read: Any
    name: str = ""
    reader: ImageReader | None = None

    def frame(self) -> Frame:
        image = self.read()
        return Frame(image, self.stamp_ns, self.frame_id, int(self.reader.flags) if self.reader else 0)


@dataclass(frozen=True)
class Source:
    """A sequence of images.

    name         topic or file, for display
    camera       short name for messages, e.g. "front"
    length       number of images; 0 when unknown before the end
    calibration  None for an uncalibrated camera
    separate     the images do not belong to one drive: no tracks
    """

    name: str
    camera: str
    length: int
    arrivals: Iterator[Arrival]
    calibration: Camera | None = None
    separate: bool = False


def open_source(
    path: Path | str,
    topic: str | None = None,
    mount: tuple[float, ...] | None = None,
    lens: Camera | None = None,
    reader: ImageReader | None = None,
) -> Source:
    """The images of a rosbag2 recording, a video file, an image file or a folder of image files.

    topic  image topic of a recording, or a camera's short name; required when it holds several cameras
    mount  x y z roll pitch yaw of the camera in base_link, metres and radians; None: from the recording's /tf_static
    lens   calibration, in place of the recording's CameraInfo
    reader turns images and brings 16 bits to 8; calibration and mount are those of images as they arrive
    raises BagError when path is none of these
    """
    path, reader = Path(path), reader or ImageReader()
    if not path.exists():
        raise BagError(f"{path} does not exist: give a recording, a video file, or a folder of images")
    if is_bag(path):
        return _turned_calibration(_from_bag(Bag(path), topic, mount, lens, reader), reader)
    images = image_files(path)
    source = _from_images(path, images) if images else _from_video(path)
    source = replace(source, arrivals=_turned(source.arrivals, reader), calibration=lens and _mounted(lens, mount))
    return _turned_calibration(source, reader)


def _turned(arrivals: Iterator[Arrival], reader: ImageReader) -> Iterator[Arrival]:
    for arrival in arrivals:
        yield replace(arrival, read=lambda read=arrival.read: reader.turn(read()))


def _turned_calibration(source: Source, reader: ImageReader) -> Source:
    if source.calibration is None:
        return source
    return replace(source, calibration=turned(source.calibration, reader.turn.degrees, reader.turn.mirror))


def image_files(path: Path) -> list[Path]:
    """The image files of a folder in natural order, or path itself when it is one."""
    paths = natural_order(path.iterdir()) if path.is_dir() else [path]
    return [p for p in paths if p.suffix.lower() in IMAGE_SUFFIXES]


def choose_topic(bag: Bag, topic: str | None) -> str:
    """The image topic of this name, or of the camera with this short name; BagError lists the choices."""
    topics = bag.image_topics + [name for name, kind in bag.topics.items() if kind in VIDEO]
    topics = [name for name in topics if not name.endswith(NO_IMAGES)] or topics
    if not topics:
        raise BagError(f"{bag.path} has no image topic, only {_topics_text(bag)}")
    if topic is None and len(set(map(_without_transport, topics))) == 1:
        return topics[0]  # raw before compressed
    if topic is None:
        raise BagError(f"{bag.path} has several cameras, choose one with --camera: {', '.join(topics)}")
    named = [each for each in topics if topic in (each, camera_name(each))]
    if not named:
        raise BagError(f"{bag.path} has no image topic {topic}: choose one of {', '.join(topics)}")
    return topic if topic in named else named[0]  # raw before compressed


def _topics_text(bag: Bag) -> str:
    """The first topics of a recording, and why others cannot be read."""
    names = list(bag.topics)
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    unread = [f"{topic[:80]} {why}" for topic, why in bag.contents.unread.items()][:2]
    return "; ".join((", ".join(names[:10]) + more or "nothing", *unread))


def _from_bag(
    bag: Bag, topic: str | None, mount: tuple[float, ...] | None, lens: Camera | None, reader: ImageReader
) -> Source:
    topic = choose_topic(bag, topic)
    messages = bag.messages([topic])
    of_video = bag.topics[topic] in VIDEO
    arrivals = _video_arrivals(messages, reader) if of_video else (_arrival(message, reader) for message in messages)
    length = bag.contents.counts[topic]
    damage = "" if bag.contents.complete else f", damaged: {bag.contents.lost or 'read as far as possible'}"
    name = f"{bag.path} {topic}{damage}"
    if lens is None:
        calibration = _calibration(bag, topic, mount)
    else:
        calibration = _mounted(lens, mount) if mount else replace(lens, base_from_camera=_recorded_mounting(bag, topic))
    return Source(name, camera_name(topic), length, arrivals, calibration)


def _recorded_mounting(bag: Bag, topic: str) -> np.ndarray | None:
    """base_from_camera (4, 4) from /tf_static for the frame of the images."""
    message = next(bag.messages([topic]), None)
    return mounting(bag, header_of(deserialize(message.kind, message.data)).frame_id) if message else None


def _mounted(lens: Camera, mount: tuple[float, ...] | None) -> Camera:
    return replace(lens, base_from_camera=optical_from_rpy(mount[:3], mount[3:])) if mount else lens


def camera_name(topic: str) -> str:
    """ "front" of /camera/front/image_raw/compressed."""
    parts = [part for part in topic.split("/") if part and part not in TRANSPORTS]
    return parts[-2] if len(parts) > 1 else parts[-1]


def _without_transport(topic: str) -> str:
    for transport in TRANSPORTS:
        topic = topic.removesuffix(f"/{transport}")
    return topic


def info_topic(topic: str) -> str:
    """The camera_info beside an image topic."""
    return _without_transport(topic).rpartition("/")[0] + "/camera_info"


def _info_topic(bag: Bag, topic: str) -> str | None:
    """The CameraInfo of an image topic: camera_info beside it, else the only one with the same beginning."""
    if bag.topics.get(info_topic(topic)) == CAMERA_INFO:
        return info_topic(topic)
    parent = info_topic(topic).rpartition("/")[0]
    beside = [each for each, kind in bag.topics.items() if kind == CAMERA_INFO and each.rpartition("/")[0] == parent]
    return beside[0] if len(beside) == 1 else None


def _arrival(message: RawMessage, reader: ImageReader) -> Arrival:
    ros = deserialize(message.kind, message.data)
    stamp_ns = ros.header.stamp.sec * 10**9 + ros.header.stamp.nanosec
    return Arrival(stamp_ns, ros.header.frame_id, lambda: reader.read(ros), reader=reader)


def header_of(ros: Any) -> Any:
    """Stamp and frame_id of an image message; foxglove's video has no header."""
    if hasattr(ros, "header"):
        return ros.header
    return SimpleNamespace(stamp=ros.timestamp, frame_id=ros.frame_id)


def _video_arrivals(messages: Iterator[RawMessage], reader: ImageReader) -> Iterator[Arrival]:
    """One arrival per image of a video; all packets are decoded, in order."""
    decoder = VideoDecoder()
    for message in messages:
        ros = deserialize(message.kind, message.data)
        yield from map(partial(_video_arrival, reader=reader), decoder.decode(ros, header_of(ros)))
    yield from map(partial(_video_arrival, reader=reader), decoder.flush())


def _video_arrival(image: VideoImage, reader: ImageReader) -> Arrival:
    stamp = image.header.stamp
    stamp_ns = stamp.sec * 10**9 + stamp.nanosec
    return Arrival(stamp_ns, image.header.frame_id, lambda: reader.read(image), reader=reader)


def _calibration(bag: Bag, topic: str, mount: tuple[float, ...] | None) -> Camera | None:
    """From the first CameraInfo beside the images; None without one or when it is empty (K = 0).

    The mounting is `mount`, else the one in /tf_static.
    """
    info = _info_topic(bag, topic)
    if info is None:
        return None
    message = next(bag.messages([info]), None)
    if message is None:
        return None
    ros = deserialize(message.kind, message.data)
    pose = optical_from_rpy(mount[:3], mount[3:]) if mount else mounting(bag, ros.header.frame_id)
    try:
        return camera_from_info(ros, pose, rectified="image_rect" in topic)
    except CalibrationError as error:
        log.warning("%s: %s: %s; no metres without --calibration", bag.path, info, error)
        return None


def _from_images(path: Path, images: list[Path]) -> Source:
    period_ns = round(1e9 / IMAGE_FOLDER_RATE)
    arrivals = (
        Arrival(row * period_ns, path.stem, partial(load_image, file), file.name) for row, file in enumerate(images)
    )
    return Source(str(path), path.stem, len(images), arrivals)


def load_image(file: Path) -> np.ndarray:
    """(H, W, 3) uint8 BGR, or what the file holds; BadImage with the reason."""
    try:
        return decode_file(file.read_bytes())
    except (BadImage, OSError) as error:
        reason = str(error).partition(": ")[0]  # without the advice for images of other sources
        raise BadImage(
            f"{file} is not an image that OpenCV can read ({reason}): remove it or save it as png"
        ) from error


def _from_video(path: Path) -> Source:
    if inside := recordings_inside(path):
        raise BagError(f"{path} is a folder of recordings: give one of them ({inside})")
    video = cv2.VideoCapture(str(path)) if path.is_file() else None
    if video is None or not video.isOpened():
        raise BagError(
            f"{path} is not a recording, video or folder of images: give a rosbag2 folder, a .mcap or .db3 file, "
            f"a video, or images ({', '.join(IMAGE_SUFFIXES)})"
        )
    rate = video.get(cv2.CAP_PROP_FPS) or IMAGE_FOLDER_RATE
    return Source(str(path), path.stem, max(0, int(video.get(cv2.CAP_PROP_FRAME_COUNT))), _frames(video, rate, path))


def _frames(video: cv2.VideoCapture, rate: float, path: Path) -> Iterator[Arrival]:
    index = 0
    try:
        while True:
            ok, image = video.read()
            if not ok:
                return
            yield Arrival(round(index * 1e9 / rate), path.stem, lambda image=image: image)
            index += 1
    finally:
        video.release()
