"""Recordings, videos and image files once more, with heads and plates covered. Two passes: look, then cover.

The first pass finds, so that the second can cover in an image what only its neighbours show.

Which topics of a recording show the world, and whether all of them can be looked at.
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
from camera_perception.io.bag_reader import Bag
from camera_perception.io.bag_writer import BagWriter
from camera_perception.io.ros_types import COMPRESSED_IMAGE, IMAGE
from camera_perception.tools.privacy.cover import check_way, cover, planes_of_pixels
from camera_perception.tools.privacy.finder import Finder
from camera_perception.tools.privacy.picture import covered_file, is_jpeg, read
from camera_perception.tools.privacy.regions import Region, Settings
from camera_perception.tools.privacy.report import TILES, Report, Tally, worth_showing
from camera_perception.tools.privacy.temporal import Look, plan
from camera_perception.tools.replay.source import image_files, is_bag, open_source
from camera_perception.tools.replay.video import FrameRate, VideoWriter

# Types of other packages that carry pictures: CompressedVideo, theora and ffmpeg packets, DisparityImage ...
PICTURES = re.compile(r"(Image|Video|/Packet|FFMPEGPacket)$")
TRIES = 3


def cameras_of(bag: Bag, keep: Sequence[str], drop: Sequence[str]) -> list[str]:
    """Image topics to be covered. BagError names one whose pictures cannot be looked at: nothing slips through."""
    absent = [topic for topic in (*keep, *drop) if topic not in bag.topics]
    if absent:
        raise BagError(f"{bag.path} has no topic {absent[0]}: it has {', '.join(bag.topics)}")
    cameras = [topic for topic in bag.image_topics if topic not in keep and topic not in drop]
    for topic, kind in bag.topics.items():
        if topic in keep or topic in drop:
            continue
        if topic in cameras:
            _try(bag, topic)
        elif shows_pictures(kind):
            raise _cannot(topic, f"is {kind}")
    return cameras


def shows_pictures(kind: str) -> bool:
    """Whether a message type, other than sensor_msgs Image and CompressedImage, likely carries pictures."""
    return kind not in (IMAGE, COMPRESSED_IMAGE) and bool(PICTURES.search(kind))


def _try(bag: Bag, topic: str) -> None:
    """One of the first images must be decodable: depth maps and other formats are not."""
    problem: BadImage | None = None
    for message in islice(bag.messages([topic]), TRIES):
        try:
            read(message.kind, message.data).pixels()
            return
        except BadImage as error:
            problem = error
    if problem is not None:
        raise _cannot(topic, f"cannot be decoded ({problem})")


def _cannot(topic: str, why: str) -> BagError:
    return BagError(
        f"{topic} {why}: leave it out with --drop {topic}, or pass it on as it is with --keep {topic} "
        "if nobody can be recognised in it"
    )


Plan = list[list[Region] | None]


def anonymize(
    path: Path | str,
    out: Path | str,
    finder: Finder,
    settings: Settings | None = None,
    *,
    keep: Sequence[str] = (),
    drop: Sequence[str] = (),
    progress: bool = True,
) -> Report:
    """Write `path` once more as `out`, covered, and a report beside it.

    path  a recording (out is a new folder with an mcap), a video (out ends in .mp4), an image or a folder of images
    keep  topics of a recording that pass on as they are although they hold pictures
    drop  topics that are left out
    BagError when something exists already, or holds pictures that cannot be looked at.
    """
    path, settings, report = Path(path), settings or Settings(), Report(Path(out))
    check_way(settings.how)
    report.refuse_to_overwrite()
    report.facts = _facts(path, finder, settings)
    if path.exists() and is_bag(path):
        _bag(path, report, finder, settings, keep, drop, progress)
    elif path.exists() and image_files(path):
        _images(path, report, finder, settings, progress)
    else:
        _video(path, report, finder, settings, progress)
    report.write()
    return report


def _facts(path: Path, finder: Finder, settings: Settings) -> dict[str, object]:
    spec = finder.spec
    model = {"name": spec.name, "version": spec.version, "sha256": spec.onnx_sha256}
    return {"source": str(path), "model": model, "least_score": finder.least, **asdict(settings)}


def look_at(read_pixels: Callable[[], np.ndarray], stamp_ns: int, finder: Finder) -> Look | None:
    """What one image shows; None when it cannot be decoded."""
    try:
        image = read_pixels()
    except BadImage:
        return None
    return Look(stamp_ns, image.shape[:2], finder(image))


# Recordings


def _bag(
    path: Path, report: Report, finder: Finder, settings: Settings, keep: Sequence[str], drop: Sequence[str], bar: bool
) -> None:
    with Bag(path) as bag:
        cameras = cameras_of(bag, keep, drop)
        looks = _looks_at_bag(bag, cameras, finder, bar)
        plans = {topic: plan(looks[topic], finder.names, settings) for topic in cameras}
        with BagWriter(report.out) as writer:
            for topic, kind in bag.topics.items():
                if topic not in drop:
                    writer.add_topic(topic, kind, bag.contents.definitions.get(kind), bag.contents.qos.get(topic, ()))
            report.cameras = {topic: _tally(looks[topic], plans[topic]) for topic in cameras}
            _write_bag(bag, writer, plans, settings, report, bar)
    report.passed_on = {topic: writer.counts[topic] for topic in bag.topics if topic not in {*cameras, *drop}}
    report.dropped = {topic: bag.contents.counts[topic] for topic in drop}


def _looks_at_bag(bag: Bag, cameras: Sequence[str], finder: Finder, bar: bool) -> dict[str, list[Look | None]]:
    looks: dict[str, list[Look | None]] = {topic: [] for topic in cameras}
    total = sum(bag.contents.counts[topic] for topic in cameras)
    for message in tqdm(bag.messages(cameras), total=total, unit="img", desc="looking", disable=not bar):
        recorded = read(message.kind, message.data)
        looks[message.topic].append(look_at(recorded.pixels, recorded.stamp_ns, finder))
    return looks


def _write_bag(
    bag: Bag, writer: BagWriter, plans: dict[str, Plan], settings: Settings, report: Report, bar: bool
) -> None:
    numbers = {topic: count() for topic in plans}
    shown = {topic: worth_showing(steps, TILES // max(len(plans), 1)) for topic, steps in plans.items()}
    topics = [topic for topic in bag.topics if topic in writer.topics]
    total = sum(bag.contents.counts[topic] for topic in topics)
    for message in tqdm(bag.messages(topics), total=total, unit="msg", desc="covering", disable=not bar):
        data = message.data
        if message.topic in plans:
            number = next(numbers[message.topic])
            regions = plans[message.topic][number]
            if regions is None:
                continue
            data = read(message.kind, data).covered(regions, settings) if regions else data
            if number in shown[message.topic]:
                report.show(read(message.kind, data).pixels(), regions)
        writer.write(message.topic, message.stamp_ns, data)


def _tally(looks: Iterable[Look | None], steps: Plan) -> Tally:
    tally = Tally()
    for look, regions in zip(looks, steps):
        tally.add(regions, look.size if look else (0, 0))
    return tally


# Videos and image files


def _video(path: Path, report: Report, finder: Finder, settings: Settings, bar: bool) -> None:
    source = open_source(path)
    if report.out.suffix != ".mp4":
        raise BagError(f"--out {report.out} for a video: give a name that ends in .mp4")
    arrivals = tqdm(source.arrivals, total=source.length or None, unit="img", desc="looking", disable=not bar)
    looks = [look_at(arrival.read, arrival.stamp_ns, finder) for arrival in arrivals]
    steps = plan(looks, finder.names, settings)
    shown, rate = worth_showing(steps, TILES), FrameRate()
    report.out.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(report.out) as video:
        for number, (arrival, regions) in enumerate(zip(open_source(path).arrivals, steps)):
            picture = arrival.read()
            cover(planes_of_pixels(picture), regions or (), settings.how)
            rate.add(arrival.stamp_ns)
            video.add(picture, rate)
            if number in shown:
                report.show(picture, regions or ())
    report.cameras = {path.name: _tally(looks, steps)}


def _images(path: Path, report: Report, finder: Finder, settings: Settings, bar: bool) -> None:
    files, source = image_files(path), open_source(path)
    arrivals = tqdm(source.arrivals, total=source.length, unit="img", desc="looking", disable=not bar)
    looks = [look_at(arrival.read, arrival.stamp_ns, finder) for arrival in arrivals]
    steps = plan(looks, finder.names, settings)
    shown = worth_showing(steps, TILES)
    report.out.mkdir(parents=True)
    for number, (file, regions) in enumerate(_there(files, steps)):
        raw = file.read_bytes()
        data = covered_file(raw, regions, settings, file.suffix.lower(), turn=is_jpeg(raw)) if regions else raw
        (report.out / file.name).write_bytes(data)
        if number in shown:
            report.show(next(open_source(report.out / file.name).arrivals).read(), regions)
    report.cameras = {path.name: _tally(looks, steps)}


def _there(files: Iterable[Path], steps: Plan) -> Iterator[tuple[Path, list[Region]]]:
    """Files that could be decoded, with their regions."""
    return ((file, regions) for file, regions in zip(files, steps) if regions is not None)
