"""Copies of recordings, videos and image files with heads and plates covered, in two passes: detect, then cover.

The first pass runs over all images, so that the second can cover what only the neighbours of an image show.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import count, islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

from camera_perception.core.errors import BadImage, BagError
from camera_perception.io.bag_reader import Bag, is_bag
from camera_perception.io.bag_writer import BagWriter
from camera_perception.io.ros_types import COMPRESSED_IMAGE, IMAGE
from camera_perception.tools.privacy.cover import check_method, cover, planes_of_pixels
from camera_perception.tools.privacy.detector import Detector
from camera_perception.tools.privacy.limits import not_covered
from camera_perception.tools.privacy.recorded_image import covered_file, is_jpeg, read
from camera_perception.tools.privacy.regions import Region, Settings
from camera_perception.tools.privacy.report import TILES, Report, Tally, tile_indices
from camera_perception.tools.privacy.temporal import ImageDetections, plan_regions
from camera_perception.tools.replay.source import Source, image_files, open_source
from camera_perception.tools.replay.video import FrameRate, VideoWriter

# Message types of other packages that carry images: CompressedVideo, theora and ffmpeg packets, DisparityImage ...
IMAGE_TYPES = re.compile(r"(Image|Video|/Packet|FFMPEGPacket)$")
TRIALS = 3  # images of a topic of which one must be decodable

Plan = list[list[Region] | None]


def anonymize(
    path: Path | str,
    out: Path | str,
    detector: Detector,
    settings: Settings | None = None,
    *,
    keep: Sequence[str] = (),
    drop: Sequence[str] = (),
    progress: bool = True,
) -> Report:
    """Write a covered copy of `path` as `out`, and a report beside it.

    path  a recording (out is a new folder with an mcap), a video (out ends in .mp4), an image or a folder of images
    keep  topics of a recording that are copied unchanged although they hold images
    drop  topics that are left out
    raises BagError when an output exists already, or a topic holds images that cannot be decoded
    """
    path, settings, report = Path(path), settings or Settings(), Report(Path(out))
    check_method(settings.how)
    report.refuse_to_overwrite()
    report.facts = _facts(path, detector, settings)
    if path.exists() and is_bag(path):
        _bag(path, report, detector, settings, keep, drop, progress)
    elif path.exists() and image_files(path):
        _images(path, report, detector, settings, progress)
    else:
        _video(path, report, detector, settings, progress)
    report.write()
    return report


def _facts(path: Path, detector: Detector, settings: Settings) -> dict[str, object]:
    models = [{"name": each.name, "version": each.version, "sha256": each.onnx_sha256} for each in detector.specs]
    extra = {"extra_models": models[1:]} if models[1:] else {}
    settled = {"least_score": detector.min_score, "tiles": detector.in_tiles, **asdict(settings)}
    unseen = {"not_covered": not_covered(detector.specs)}
    return {"source": str(path), "model": models[0], **extra, **settled, **unseen}


def detect(read_pixels: Callable[[], np.ndarray], stamp_ns: int, detector: Detector) -> ImageDetections | None:
    """Detections in one image; None when it cannot be decoded."""
    try:
        image = read_pixels()
    except BadImage:
        return None
    return ImageDetections(stamp_ns, image.shape[:2], detector(image))


def _tally(images: Iterable[ImageDetections | None], plan: Plan) -> Tally:
    tally = Tally()
    for image, regions in zip(images, plan):
        tally.add(regions, image.size if image else (0, 0))
    return tally


# Recordings


def _bag(
    path: Path,
    report: Report,
    detector: Detector,
    settings: Settings,
    keep: Sequence[str],
    drop: Sequence[str],
    progress: bool,
) -> None:
    _refuse_compressed_files(path)
    with Bag(path) as bag:
        cameras = cameras_of(bag, keep, drop)
        images = _detect_bag(bag, cameras, detector, progress)
        plans = {topic: plan_regions(images[topic], detector.names, settings) for topic in cameras}
        with BagWriter(report.out) as writer:
            for topic, kind in bag.topics.items():
                if topic not in drop:
                    writer.add_topic(topic, kind, bag.contents.definitions.get(kind), bag.contents.qos.get(topic, ()))
            report.cameras = {topic: _tally(images[topic], plans[topic]) for topic in cameras}
            _write_bag(bag, writer, plans, settings, report, progress)
    report.passed_on = {topic: writer.counts[topic] for topic in bag.topics if topic not in {*cameras, *drop}}
    report.dropped = {topic: bag.contents.counts[topic] for topic in drop}


def _refuse_compressed_files(path: Path) -> None:
    """BagError for whole files that are compressed: reading them leaves an uncovered copy behind when we are killed."""
    compressed = [each.name for each in path.iterdir() if each.suffix == ".zstd"] if path.is_dir() else []
    if compressed:
        raise BagError(
            f"{path / min(compressed)} is compressed as a whole, and reading it would put an uncovered copy into the "
            "temporary folder: `zstd -d` it to a place of your choice, and give the .mcap or .db3 file"
        )


def cameras_of(bag: Bag, keep: Sequence[str], drop: Sequence[str]) -> list[str]:
    """Image topics to cover. BagError for a topic whose images cannot be decoded, so that none is copied unchecked."""
    absent = [topic for topic in (*keep, *drop) if topic not in bag.topics]
    if absent:
        raise BagError(f"{bag.path} has no topic {absent[0]}: it has {', '.join(bag.topics)}")
    cameras = [topic for topic in bag.image_topics if topic not in keep and topic not in drop]
    for topic, kind in bag.topics.items():
        if topic in keep or topic in drop:
            continue
        if topic in cameras:
            _check_decodable(bag, topic)
        elif carries_images(kind):
            raise _undecodable(topic, f"is {kind}")
    return cameras


def carries_images(kind: str) -> bool:
    """Whether a message type, other than sensor_msgs Image and CompressedImage, probably carries images."""
    return kind not in (IMAGE, COMPRESSED_IMAGE) and bool(IMAGE_TYPES.search(kind))


def _check_decodable(bag: Bag, topic: str) -> None:
    """BagError unless one of the first images can be decoded: depth images and other formats cannot."""
    problem: BadImage | None = None
    for message in islice(bag.messages([topic]), TRIALS):
        try:
            read(message.kind, message.data).pixels()
            return
        except BadImage as error:
            problem = error
    if problem is not None:
        raise _undecodable(topic, f"cannot be decoded ({problem})")


def _undecodable(topic: str, why: str) -> BagError:
    return BagError(
        f"{topic} {why}: leave it out with --drop {topic}, or copy it unchanged with --keep {topic} "
        "if nobody can be recognised in it"
    )


def _detect_bag(
    bag: Bag, cameras: Sequence[str], detector: Detector, progress: bool
) -> dict[str, list[ImageDetections | None]]:
    images: dict[str, list[ImageDetections | None]] = {topic: [] for topic in cameras}
    total = sum(bag.contents.counts[topic] for topic in cameras)
    for message in tqdm(
        bag.messages(cameras), total=total, unit="img", desc="detecting", disable=None if progress else True
    ):
        recorded = read(message.kind, message.data)
        images[message.topic].append(detect(recorded.pixels, recorded.stamp_ns, detector))
    return images


def _write_bag(
    bag: Bag, writer: BagWriter, plans: dict[str, Plan], settings: Settings, report: Report, progress: bool
) -> None:
    indices = {topic: count() for topic in plans}
    tiles = {topic: tile_indices(plan, TILES // max(len(plans), 1)) for topic, plan in plans.items()}
    topics = [topic for topic in bag.topics if topic in writer.topics]
    total = sum(bag.contents.counts[topic] for topic in topics)
    for message in tqdm(
        bag.messages(topics), total=total, unit="msg", desc="covering", disable=None if progress else True
    ):
        data = message.data
        if message.topic in plans:
            index = next(indices[message.topic])
            regions = plans[message.topic][index]
            if regions is None:
                continue
            data = read(message.kind, data).covered(regions, settings) if regions else data
            if index in tiles[message.topic]:
                report.add_tile(read(message.kind, data).pixels(), regions)
        writer.write(message.topic, message.stamp_ns, data)


# Videos and image files


def _video(path: Path, report: Report, detector: Detector, settings: Settings, progress: bool) -> None:
    source = open_source(path)
    if report.out.suffix != ".mp4":
        raise BagError(f"--out {report.out} for a video: give a name that ends in .mp4")
    images = _detect_source(source, detector, progress)
    plan = plan_regions(images, detector.names, settings)
    tiles, rate = tile_indices(plan, TILES), FrameRate()
    report.out.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(report.out) as video:
        for index, (arrival, regions) in enumerate(zip(open_source(path).arrivals, plan)):
            image = arrival.read()
            cover(planes_of_pixels(image), regions or (), settings.how)
            rate.add(arrival.stamp_ns)
            video.add(image, rate)
            if index in tiles:
                report.add_tile(image, regions or ())
    report.cameras = {path.name: _tally(images, plan)}


def _images(path: Path, report: Report, detector: Detector, settings: Settings, progress: bool) -> None:
    images = _detect_source(open_source(path), detector, progress)
    plan = plan_regions(images, detector.names, settings)
    tiles = tile_indices(plan, TILES)
    report.out.mkdir(parents=True)
    for index, (file, regions) in enumerate(_decodable(image_files(path), plan)):
        raw = file.read_bytes()
        data = covered_file(raw, regions, settings, file.suffix.lower(), turn=is_jpeg(raw)) if regions else raw
        (report.out / file.name).write_bytes(data)
        if index in tiles:
            report.add_tile(next(open_source(report.out / file.name).arrivals).read(), regions)
    report.cameras = {path.name: _tally(images, plan)}


def _detect_source(source: Source, detector: Detector, progress: bool) -> list[ImageDetections | None]:
    arrivals = tqdm(
        source.arrivals, total=source.length or None, unit="img", desc="detecting", disable=None if progress else True
    )
    return [detect(arrival.read, arrival.stamp_ns, detector) for arrival in arrivals]


def _decodable(files: Iterable[Path], plan: Plan) -> Iterator[tuple[Path, list[Region]]]:
    """Files that could be decoded, with their regions."""
    return ((file, regions) for file, regions in zip(files, plan) if regions is not None)
