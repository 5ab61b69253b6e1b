"""Heads and plates are covered completely, and nothing else changes."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from typer.testing import CliRunner

from camera_perception.core.errors import BagError, ModelError
from camera_perception.core.model_spec import load_spec
from camera_perception.core.types import Detections
from camera_perception.image.encodings import ENCODINGS, decode_image, samples_of
from camera_perception.io.bag_reader import Bag
from camera_perception.io.bag_writer import BagWriter
from camera_perception.io.cdr import serialize
from camera_perception.io.ros_types import COMPRESSED_IMAGE, IMAGE, deserialize, typestore
from camera_perception.tools.cli.app import app
from camera_perception.tools.privacy.anonymize import anonymize
from camera_perception.tools.privacy.cover import cover, planes_of_message, planes_of_pixels
from camera_perception.tools.privacy.detector import PrivacyDetector, UnitedDetector
from camera_perception.tools.privacy.live import LiveCover
from camera_perception.tools.privacy.regions import Region, Settings, region_of
from camera_perception.tools.privacy.temporal import ImageDetections, plan_regions
from camera_perception.tools.privacy.tiles import tiles

REPOSITORY = Path(__file__).parents[2]
NAMES = ("pedestrian", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle", "traffic light", "face")
SIZE = 540, 960
START_NS = 1_790_000_000_000_000_000


# Pixels in every encoding


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("how", ["mosaic", "blur", "fill"])
def test_samples_outside_the_region_stay_as_they_are_in_every_encoding(encoding, how):
    height, width = 48, 64
    layout = ENCODINGS[encoding]
    rows = height * layout.rows[0] // layout.rows[1]
    step = width * layout.channels * np.dtype(layout.dtype).itemsize + 6  # padded
    before = np.random.default_rng(0).integers(0, 256, rows * step).astype(np.uint8)
    after = before.copy()
    region = Region(10, 12, 30, 26, "head")
    cover(planes_of_message(encoding, height, width, step, True, after), [region], how)
    touched = np.zeros((rows, step), bool)
    if layout.chroma:
        touched = expected_planes(encoding, height, width, step, region)
    else:
        touched[:, :-6] = expected_bytes(encoding, height, width, region)
    changed = (before != after).reshape(rows, step)
    assert not changed[~touched].any()
    assert changed[touched].mean() > 0.9  # the rest is chance, and alpha
    if how == "fill" and not encoding.startswith("bayer"):
        inside = decode_image(encoding, height, width, step, True, after)[12:26, 10:30]
        assert np.abs(inside.astype(int) - 128).max() <= 3


def expected_planes(encoding: str, height: int, width: int, step: int, region: Region) -> np.ndarray:
    """Which bytes belong to the region where rows of chroma have another length than rows of luma."""
    luma, half = np.zeros((height, step), bool), np.zeros((height // 2, step // 2), bool)
    full = np.zeros((height, 2 * step), bool)
    luma[region.y0 : region.y1, region.x0 : region.x1] = True
    half[region.y0 // 2 : region.y1 // 2, region.x0 // 2 : region.x1 // 2] = True
    full[region.y0 : region.y1, 2 * region.x0 : 2 * region.x1] = True
    chroma = full.reshape(-1, step) if encoding == "nv24" else np.concatenate((half, half)).reshape(-1, step)
    return np.concatenate((luma, chroma))


def expected_bytes(encoding: str, height: int, width: int, region: Region) -> np.ndarray:
    """Which bytes belong to the region, from what the encodings are; regions are even."""
    mask = np.zeros((height, width), bool)
    mask[region.y0 : region.y1, region.x0 : region.x1] = True
    if encoding.startswith("nv"):
        return np.concatenate((mask, np.repeat(mask[::2, ::2], 2, axis=1)))
    per_pixel = ENCODINGS[encoding].channels * np.dtype(ENCODINGS[encoding].dtype).itemsize
    touched = np.repeat(mask, per_pixel, axis=1)
    if encoding.endswith("a8") or encoding == "8UC4":  # alpha
        touched[:, 3::4] = False
    if encoding.endswith("a16") or encoding == "16UC4":
        touched[:, 6::8] = touched[:, 7::8] = False
    return touched


def test_a_mosaic_of_a_plate_cannot_be_read():
    image = np.full((60, 240, 3), 230, np.uint8)
    cv2.putText(image, "AB 123 CD", (20, 40), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (0, 0, 0), 3)
    cover(planes_of_pixels(image), [Region(0, 0, 240, 60, "plate")], "mosaic")
    assert len(np.unique(image.reshape(-1, 3), axis=0)) <= 3 * 12  # cells of 20 pixels: one per letter
    assert np.abs(np.diff(image.astype(int), axis=1)).astype(bool).any(axis=(0, 2)).sum() <= 11


@pytest.mark.parametrize("box", [(-50, -50, 20, 30), (900, 500, 2000, 2000), (-9, -9, 9999, 9999)])
def test_regions_end_at_the_image(box):
    region = region_of(np.array(box), "face", SIZE, Settings())
    assert region is not None
    assert 0 <= region.x0 < region.x1 <= 960
    assert 0 <= region.y0 < region.y1 <= 540
    assert region_of(np.array([2000, 2000, 2100, 2100]), "face", SIZE, Settings()) is None


# Positions, against the exact ground truth of the rendered drive


def truth(camera: str) -> list[dict]:
    return [json.loads(line) for line in (REPOSITORY / f"bags/demo_drive/truth_{camera}.jsonl").open()]


def pixels_of(points_base: np.ndarray, row: dict) -> np.ndarray:
    """(N, 3) metres in base_link -> (N, 2) pixels as boxes count them, by OpenCV."""
    camera_from_base = np.linalg.inv(np.array(row["base_from_camera"]))
    fx, fy, cx, cy = row["intrinsics"]
    points = points_base @ camera_from_base[:3, :3].T + camera_from_base[:3, 3]
    matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    pixels = cv2.projectPoints(points, np.zeros(3), np.zeros(3), matrix, np.array(row["distortion"]))[0][:, 0]
    return np.where(points[:, 2:] > 0.3, pixels, np.nan)


def box_of(each: dict) -> np.ndarray:
    return np.array([each["box2d"][name] for name in ("x1", "y1", "x2", "y2")])


def ball(middle: np.ndarray, radius: float) -> np.ndarray:
    directions = np.random.default_rng(0).normal(size=(100, 3))
    return middle + radius * directions / np.linalg.norm(directions, axis=1, keepdims=True)


def head_of(each: dict) -> np.ndarray:
    """Points on the head of a person: the upper 26 cm, above the middle of the feet."""
    return ball(np.array(each["position"]) + (0, 0, each["size"][2] - 0.13), 0.13)


def plates_of(each: dict, row: dict) -> np.ndarray:
    """Points on the plates at front and back that face the camera: 52 cm wide, 35 to 75 cm above the road."""
    length, _, _ = each["size"]
    along = np.array([np.cos(each["yaw"]), np.sin(each["yaw"]), 0])
    side, up = np.array([-along[1], along[0], 0]), np.array([0, 0, 1])
    camera = np.array(row["base_from_camera"])[:3, 3]
    points = [
        np.array(each["position"]) + end * along * length / 2 + across * side + height * up
        for end in (-1, 1)
        for across in np.linspace(-0.26, 0.26, 9)
        for height in np.linspace(0.35, 0.75, 7)
        if (camera - each["position"] - end * along * length / 2) @ (end * along) > 0
    ]
    return np.array(points).reshape(-1, 3)


@pytest.mark.parametrize("camera", ["front", "left"])
@pytest.mark.parametrize("categories", [("pedestrian", "rider"), ("car", "truck", "bus")])
def test_with_true_boxes_every_pixel_of_heads_and_plates_is_covered(camera, categories):
    checked = 0
    for row in truth(camera)[::6]:
        for each in row["objects"]:
            if each["category"] not in categories or each["visible"] < 0.15:
                continue
            box = box_of(each)
            points = head_of(each) if "rider" in categories else plates_of(each, row)
            if not len(points):
                continue
            pixels = pixels_of(points, row)
            with np.errstate(invalid="ignore"):
                visible = pixels[((pixels >= box[:2]) & (pixels < box[2:])).all(axis=1)]
            region = region_of(box, each["category"], SIZE, Settings())
            assert region is not None
            inside = (visible >= (region.x0, region.y0)) & (visible < (region.x1, region.y1))
            assert inside.all(), (row["name"], each, region, visible[~inside.all(axis=1)])
            checked += len(visible)
    assert checked > 700


def test_other_objects_are_not_covered():
    assert region_of(np.array([10, 10, 50, 50]), "traffic light", SIZE, Settings()) is None
    assert region_of(np.array([10, 10, 50, 50]), "bicycle", SIZE, Settings(whole=True)) is None
    whole = region_of(np.array([100, 100, 200, 300]), "pedestrian", SIZE, Settings(whole=True, margin=0))
    assert whole == Region(98, 98, 202, 302, "head")


# Time


def detected(number: int, *boxes: tuple[float, ...], name: str = "pedestrian") -> ImageDetections:
    n = len(boxes)
    classes = np.full(n, NAMES.index(name), np.int32)
    detections = Detections(
        np.array(boxes, np.float32).reshape(-1, 4), np.full(n, 0.6, np.float32), classes, np.zeros((n, 0), np.float32)
    )
    return ImageDetections(START_NS + number * 10**8, SIZE, detections)


def walker(number: int) -> tuple[float, ...]:
    """Crosses from the left, ten pixels a frame."""
    return 100 + 10 * number, 200, 130 + 10 * number, 300


@pytest.mark.parametrize("missed", [(), (9, 10, 11, 12), (0, 1, 2, 3), (16, 17, 18, 19), (3, 5, 7, 9)])
def test_heads_are_covered_where_the_network_misses_them(missed):
    images = [detected(number) if number in missed else detected(number, walker(number)) for number in range(20)]
    steps = plan_regions(images, NAMES, Settings())
    for number, regions in enumerate(steps):
        x0, y0, x1, _ = walker(number)
        assert regions is not None
        covered = [r for r in regions if r.x0 <= x0 + 8 and x1 - 8 <= r.x1 and r.y0 <= y0 and r.y1 >= y0 + 25]
        assert covered, (number, regions)
        assert (number in missed) == all(region.predicted for region in covered)


def test_boxes_are_predicted_for_the_hold_time_only_and_not_between_image_files():
    images = [detected(number, *([walker(0)] if number in (10, 11) else [])) for number in range(20)]
    predicted = [number for number, regions in enumerate(plan_regions(images, NAMES, Settings(hold=0.3))) if regions]
    assert predicted == [7, 8, 9, 10, 11, 12, 13, 14]
    assert [number for number, regions in enumerate(plan_regions(images, NAMES, Settings(hold=0.0))) if regions] == [
        10,
        11,
    ]


def test_an_object_detected_only_once_is_not_predicted():
    images = [detected(number, *([walker(0)] if number == 10 else [])) for number in range(20)]
    assert [number for number, regions in enumerate(plan_regions(images, NAMES, Settings())) if regions] == [10]


# Whole recordings


class TrueBoxes:
    """A detector that returns the ground-truth boxes, in the order of the images."""

    names, min_score = NAMES, 0.2

    class spec:
        name, version, onnx_sha256 = "truth", "1", "0" * 64

    specs, in_tiles = (spec,), False

    def __init__(self, rows: list[dict]) -> None:
        self.rows = iter(rows)

    def __call__(self, image: np.ndarray) -> Detections:
        objects = [o for o in next(self.rows)["objects"] if o["category"] in NAMES]
        n = len(objects)
        return Detections(
            np.array([box_of(o) for o in objects], np.float32).reshape(-1, 4),
            np.ones(n, np.float32),
            np.array([NAMES.index(o["category"]) for o in objects], np.int32).reshape(-1),
            np.zeros((n, 0), np.float32),
        )

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def drive() -> list[tuple[str, str, int, bytes]]:
    """Half a second of the demo drive: front images raw, left ones compressed, everything else as recorded."""
    messages = []
    with Bag(REPOSITORY / "bags/demo_drive") as bag:
        for message in bag.messages():
            topic, kind, data = message.topic, message.kind, message.data
            if topic == "/camera/front/image_raw/compressed":
                ros = deserialize(kind, data)
                image = cv2.imdecode(ros.data, cv2.IMREAD_COLOR)
                stamp = {"sec": ros.header.stamp.sec, "nanosec": ros.header.stamp.nanosec}
                fields = {"encoding": "bgr8", "height": SIZE[0], "width": SIZE[1], "step": 3 * SIZE[1]}
                header = {"stamp": stamp, "frame_id": ros.header.frame_id}
                topic, kind = topic.removesuffix("/compressed"), IMAGE
                data = serialize(kind, {**fields, "header": header, "data": image.ravel()})
            messages.append((topic, kind, message.stamp_ns, data))
            if message.stamp_ns > START_NS + 450_000_000:
                return messages
    raise AssertionError("the demo drive is too short")


def write_mcap(path: Path, messages) -> Path:
    with BagWriter(path) as writer:
        for topic, kind, stamp_ns, data in messages:
            writer.add_topic(topic, kind)
            writer.write(topic, stamp_ns, data)
    return path


def write_sqlite(path: Path, messages) -> Path:
    with Writer(path, version=8, storage_plugin=StoragePlugin.SQLITE3) as writer:
        connections = {}
        for topic, kind, stamp_ns, data in messages:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=typestore())
            writer.write(connections[topic], stamp_ns, data)
    return path


def interleaved(messages) -> list[dict]:
    """Truth of the images in the order in which they were recorded."""
    rows = {name: iter(truth(name)) for name in ("front", "left")}
    cameras = [topic.split("/")[2] for topic, kind, _, _ in messages if kind in (IMAGE, COMPRESSED_IMAGE)]
    return [next(rows[camera]) for camera in cameras]


@pytest.mark.parametrize("write", [write_mcap, write_sqlite])
def test_a_recording_is_covered_and_all_else_in_it_is_byte_identical(tmp_path, drive, write):
    source = write(tmp_path / "bag", drive)
    report = anonymize(source, tmp_path / "out", TrueBoxes(interleaved(drive)), Settings(hold=0.0), progress=False)
    with Bag(tmp_path / "out") as bag:
        written = [(m.topic, m.kind, m.stamp_ns, m.data) for m in bag.messages()]
    assert [w[:3] for w in written] == [d[:3] for d in drive]
    rows = iter(interleaved(drive))
    for (_, kind, _, now), (_, _, _, then) in zip(written, drive):
        if kind not in (IMAGE, COMPRESSED_IMAGE):
            assert now == then
            continue
        check_image(deserialize(kind, now), deserialize(kind, then), next(rows))
    front = report.cameras["/camera/front/image_raw"]
    assert (front.images, front.covered, front.left_out) == (6, 6, 0)
    saved = json.loads((tmp_path / "out.report.json").read_text())
    assert saved["passed_on"]["/odom"] == 5
    assert saved["cameras"]["/camera/front/image_raw"]["heads"] == front.heads > 5
    assert cv2.imread(str(tmp_path / "out.report.jpg")) is not None


def check_image(now, then, row: dict) -> None:
    """Header and layout as before; covered where the truth says so; elsewhere untouched, as far as jpeg can."""
    assert now.header == then.header
    must = np.zeros(SIZE, bool)
    for each in row["objects"]:
        region = region_of(box_of(each), each["category"], SIZE, Settings())
        if region:
            must[region.y0 : region.y1, region.x0 : region.x1] = True
    if hasattr(now, "format"):
        a, b = (cv2.imdecode(message.data, cv2.IMREAD_COLOR).astype(int) for message in (now, then))
        assert now.format == then.format
        assert np.abs(a - b)[~must].mean() < 1.5
        return
    assert (now.encoding, now.step, now.height, now.width) == (then.encoding, then.step, then.height, then.width)
    a, b = (samples_of(m.encoding, m.height, m.width, m.step, m.data) for m in (now, then))
    changed = (a != b).any(axis=2)
    assert changed[must].mean() > 0.9
    assert not changed[~must].any()


def test_images_without_anything_to_cover_are_byte_identical(tmp_path, drive):
    source = write_mcap(tmp_path / "bag", drive)
    empty = [{"objects": []}] * 20
    anonymize(source, tmp_path / "out", TrueBoxes(empty), progress=False)
    with Bag(tmp_path / "out") as bag:
        assert [(m.topic, m.kind, m.stamp_ns, m.data) for m in bag.messages()] == drive


def test_nothing_is_overwritten_and_no_image_is_copied_unchecked(tmp_path, drive):
    source = write_mcap(tmp_path / "bag", drive)
    (tmp_path / "there.report.json").write_text("{}")
    with pytest.raises(BagError, match="there.report.json exists already"):
        anonymize(source, tmp_path / "there", TrueBoxes([]), progress=False)
    depth = serialize(IMAGE, {"encoding": "16UC1", "height": 2, "width": 2, "step": 4, "data": np.zeros(8, np.uint8)})
    strange = write_mcap(tmp_path / "depth", [*drive, ("/depth", IMAGE, START_NS + 10**9, depth)])
    with pytest.raises(BagError, match="leave it out with --drop /depth, or copy it unchanged with --keep /depth"):
        anonymize(strange, tmp_path / "new", TrueBoxes([]), progress=False)
    assert not (tmp_path / "new").exists()
    with pytest.raises(BagError, match="has no topic /gone"):
        anonymize(source, tmp_path / "new", TrueBoxes([]), drop=["/gone"], progress=False)
    rows = interleaved(drive)
    report = anonymize(strange, tmp_path / "new", TrueBoxes(rows), drop=["/depth", "/odom"], progress=False)
    assert report.dropped == {"/depth": 1, "/odom": 5}
    with Bag(tmp_path / "new") as bag:
        assert not {"/depth", "/odom"} & bag.topics.keys()


def test_undecodable_images_are_left_out_and_counted(tmp_path, drive):
    def half(data: bytes) -> bytes:
        return data[: len(data) // 2] + bytes(len(data) - len(data) // 2)

    late = START_NS + 2 * 10**8
    broken = [(t, k, s, half(d) if k == COMPRESSED_IMAGE and s > late else d) for t, k, s, d in drive]
    count, source = sum(a != b for a, b in zip(broken, drive)), write_mcap(tmp_path / "bag", broken)
    report = anonymize(source, tmp_path / "out", TrueBoxes(interleaved(drive)), progress=False)
    tally = report.cameras["/camera/left/image_raw/compressed"]
    assert (tally.left_out, tally.images) == (count, 5)
    with Bag(tmp_path / "out") as bag:
        assert len(list(bag.messages())) == len(drive) - count


def test_image_files_keep_their_format_and_videos_their_length(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    image = np.random.default_rng(0).integers(0, 256, (100, 200, 4)).astype(np.uint8)
    cv2.imwrite(str(folder / "a.png"), image)
    cv2.imwrite(str(folder / "b.jpg"), image[..., :3])
    cv2.imwrite(str(folder / "c.png"), image[..., 0].astype(np.uint16) * 255)
    rows = [{"objects": [{"category": "pedestrian", "box2d": {"x1": 20, "y1": 20, "x2": 50, "y2": 90}}]}] * 9
    anonymize(folder, tmp_path / "out", TrueBoxes(rows), Settings(hold=0.0), progress=False)
    region = region_of(np.array([20, 20, 50, 90]), "pedestrian", (100, 200), Settings())
    assert region is not None
    for name in ("a.png", "c.png"):
        before, after = (cv2.imread(str(f / name), cv2.IMREAD_UNCHANGED) for f in (folder, tmp_path / "out"))
        assert (before.shape, before.dtype) == (after.shape, after.dtype)
        changed = before != after
        changed = changed.any(axis=2) if changed.ndim == 3 else changed
        assert changed[region.y0 : region.y1, region.x0 : region.x1].mean() > 0.9
        changed[region.y0 : region.y1, region.x0 : region.x1] = False
        assert not changed.any()
    assert cv2.imread(str(tmp_path / "out" / "b.jpg")).shape == (100, 200, 3)
    video = cv2.VideoWriter(str(tmp_path / "video.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 20, (200, 100))
    for _ in range(5):
        video.write(image[..., :3])
    video.release()
    with pytest.raises(BagError, match="ends in .mp4"):
        anonymize(tmp_path / "video.avi", tmp_path / "covered.avi", TrueBoxes(rows), progress=False)
    anonymize(tmp_path / "video.avi", tmp_path / "covered.mp4", TrueBoxes(rows), progress=False)
    assert cv2.VideoCapture(str(tmp_path / "covered.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 5


def test_live_covering_predicts_boxes_after_their_last_detection(drive):
    rows = [*truth("front")[:2], {"objects": []}]
    live = LiveCover(TrueBoxes(rows))
    images = [d for t, _, _, d in drive if t == "/camera/front/image_raw"][:3]
    changed = [live("/camera/front/image_raw", IMAGE, data) for data in images]
    for now, then in zip(changed, images):
        assert now is not None
        a, b = (deserialize(IMAGE, data) for data in (now, then))
        assert a.header == b.header
        assert 0.005 < (a.data != b.data).mean() < 0.3
    assert live("/odom", "nav_msgs/msg/Odometry", b"anything") == b"anything"
    broken = serialize(IMAGE, {"encoding": "bgr8", "height": 9, "width": 9, "step": 27})
    assert (live("/camera/front/image_raw", IMAGE, broken), live.left_out) == (None, 1)


def test_a_model_without_people_or_vehicles_is_refused(tiny_model):
    from dataclasses import replace

    spec = load_spec(tiny_model)
    heads = tuple(replace(head, classes=("traffic light",)) if head.head == "objects" else head for head in spec.heads)
    with pytest.raises(ModelError, match="choose one that detects people or vehicles"):
        PrivacyDetector(replace(spec, heads=heads), None)  # type: ignore[arg-type]


def test_the_command_reports_what_it_covered_and_refuses_to_overwrite(tiny_model, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(3):
        image = np.random.default_rng(number).integers(60, 120, (96, 160, 3)).astype(np.uint8)
        image[50:70, 60:100] = np.random.default_rng(9).integers(215, 255, (20, 40, 3))
        cv2.imwrite(str(folder / f"{number}.png"), image)
    command = ["anonymize", str(folder), "--out", str(tmp_path / "out"), "-m", str(tiny_model), "-e", "onnxruntime"]
    first = CliRunner().invoke(app, [*command, "--threads", "1", "--faces", "--how", "fill"])
    assert first.exit_code == 0, first.output
    report = json.loads((tmp_path / "out.report.json").read_text())
    assert report["cameras"]["images"] == {
        "images": 3,
        "covered": 3,
        "left_out": 0,
        "heads": 0,
        "plates": 3,
        "held": 0,
        "share_covered": 1.0,
        "area_covered": report["cameras"]["images"]["area_covered"],
    }
    assert (report["hold"], report["how"], report["model"]["name"]) == (0.0, "fill", "tiny")
    assert (cv2.imread(str(tmp_path / "out" / "0.png"))[60:68, 66:94] == 128).all()
    again = CliRunner().invoke(app, [*command, "--threads", "1"])
    assert (again.exit_code, "exists already" in again.output) == (2, True), again.output
    wrong = CliRunner().invoke(app, [*command[:3], str(tmp_path / "new"), *command[4:], "--how", "hide"])
    assert (wrong.exit_code, "give one of mosaic, blur, fill" in wrong.output) == (2, True), wrong.output


@pytest.mark.parametrize("size", [(1, 1), (96, 160), (720, 1280), (1080, 1920), (640, 360)])
def test_tiles_cover_the_image_and_stay_inside(size):
    seen = np.zeros(size, int)
    for rows, columns in tiles(size, (384, 640)):
        assert 0 <= rows.start < rows.stop <= size[0]
        assert 0 <= columns.start < columns.stop <= size[1]
        seen[rows, columns] += 1
    assert seen.min() >= 1


class Bright:
    """A network that detects every bright rectangle at least 12 px high in its view, as `name`."""

    def __init__(self, name: str, least: int = 12) -> None:
        self.names, self.least = (name, "face"), least

    def __call__(self, image: np.ndarray) -> Detections:
        _, _, stats, _ = cv2.connectedComponentsWithStats((image[..., 0] > 200).astype(np.uint8))
        rows = [[x, y, x + w, y + h] for x, y, w, h, _ in stats[1:] if h >= self.least]
        boxes = np.array(rows, np.float32).reshape(-1, 4)
        return Detections(
            boxes, np.full(len(rows), 0.8, np.float32), np.zeros(len(rows), np.int32), np.zeros((len(rows), 0))
        )


def test_what_any_of_two_models_detects_is_covered_once():
    image = np.zeros((100, 200, 3), np.uint8)
    image[10:40, 10:30] = image[10:24, 100:120] = 255
    united = UnitedDetector.__new__(UnitedDetector)
    united._detectors, united.names = (Bright("pedestrian", 20), Bright("person")), ("pedestrian", "face", "person")  # type: ignore[assignment]
    found = united(image)
    assert [united.names[i] for i in found.classes] == ["pedestrian", "person"]
    assert found.boxes.tolist() == [[10, 10, 30, 40], [100, 10, 120, 24]]


def test_tiles_add_what_the_whole_image_misses_and_leave_out_what_they_cut(monkeypatch, tiny_model):
    spec = load_spec(tiny_model)
    detector = PrivacyDetector.__new__(PrivacyDetector)
    detector.spec, detector.names, detector.in_tiles, detector._cascades = spec, ("pedestrian", "face"), True, []
    image = np.zeros((300, 500, 3), np.uint8)
    image[20:50, 40:60] = image[100:250, 220:260] = 255

    def looks(view: np.ndarray) -> Detections:
        return Bright("pedestrian", 12 if view.shape[0] < 300 else 100)(view)

    monkeypatch.setattr(detector, "_network", looks)
    found = detector(image).boxes.tolist()
    assert sorted(found) == [[40, 20, 60, 50], [220, 100, 260, 250]]
    detector.in_tiles = False
    assert detector(image).boxes.tolist() == [[220, 100, 260, 250]]


def test_the_command_unites_two_models_and_reports_them(tiny_model, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    cv2.imwrite(str(folder / "0.png"), np.full((96, 160, 3), 90, np.uint8))
    command = ["anonymize", str(folder), "--out", str(tmp_path / "out"), "-m", str(tiny_model), "-e", "onnxruntime"]
    result = CliRunner().invoke(app, [*command, "--threads", "1", "--extra-model", str(tiny_model), "--tiles"])
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "out.report.json").read_text())
    assert (report["tiles"], len(report["extra_models"])) == (True, 1)
