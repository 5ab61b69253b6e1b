"""Replay turns a drive into messages, a video and a report, with the same result each time."""

from __future__ import annotations

import csv
import json
import re
from copy import deepcopy
from dataclasses import replace
from importlib.util import find_spec
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from typer import Exit
from typer.testing import CliRunner

from camera_perception.core.errors import BagError, CalibrationError, ModelError
from camera_perception.core.model_spec import load_spec
from camera_perception.core.types import LaneLine, Status
from camera_perception.engines.select import load_engine
from camera_perception.geometry.camera import optical_from_rpy
from camera_perception.io.bag_reader import Bag
from camera_perception.io.bag_writer import BagWriter
from camera_perception.io.ros_types import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE
from camera_perception.tools.calibration.calibrate import Lens, camera_from_yaml, camera_info_yaml
from camera_perception.tools.cli.app import app
from camera_perception.tools.cli.drives.replay import parse_mount, verdict
from camera_perception.tools.models.shipped import shipped_model
from camera_perception.tools.replay.auto_mount import auto_mount
from camera_perception.tools.replay.compare import compare_frames, table
from camera_perception.tools.replay.independence import are_separate
from camera_perception.tools.replay.metrics import read_frames
from camera_perception.tools.replay.replay import replay
from camera_perception.tools.replay.report import write_report
from camera_perception.tools.replay.source import image_files, open_source

FIRST_NS = 1_700_000_000_000_000_000
WIDTH, HEIGHT, FRAMES = 320, 192, 8
K = [200.0, 0, 160, 0, 200, 96, 0, 0, 1]


def road_image(number: int) -> np.ndarray:
    """A lit road with a bright car that drives to the right."""
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    image[100:140, 60 + 6 * number : 140 + 6 * number] = 235
    return image + np.random.default_rng(number).integers(0, 9, image.shape, np.uint8)


def write_drive(path, broken=(), compressed=False):
    topic = "/front/image_raw" + ("/compressed" if compressed else "")
    with BagWriter(path) as writer:
        for number in range(FRAMES):
            stamp = FIRST_NS + number * 10**8
            header = {"stamp": {"sec": stamp // 10**9, "nanosec": stamp % 10**9}, "frame_id": "front_optical"}
            if compressed:
                data = cv2.imencode(".jpg", road_image(number))[1].ravel()
                fields = {"format": "jpeg", "data": data[: len(data) // 2] if number in broken else data}
                writer.write_fields(topic, COMPRESSED_IMAGE, stamp, {"header": header, **fields})
            else:
                encoding = "rgb999" if number in broken else "bgr8"
                fields = {"height": HEIGHT, "width": WIDTH, "encoding": encoding, "step": WIDTH * 3}
                writer.write_fields(
                    topic, IMAGE, stamp, {"header": header, **fields, "data": road_image(number).ravel()}
                )
            info = {"header": header, "width": WIDTH, "height": HEIGHT, "k": K, "distortion_model": "plumb_bob"}
            writer.write_fields("/front/camera_info", CAMERA_INFO, stamp, {**info, "d": [0.0] * 5})
    return path


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    return write_drive(tmp_path_factory.mktemp("drive") / "bag")


@pytest.fixture(scope="module")
def spec(tiny_model):
    return load_spec(tiny_model)


@pytest.fixture(scope="module")
def engine(spec):
    return load_engine(spec, "onnxruntime", threads=1)


def run(path, spec, engine, out, **options):
    source = open_source(path, mount=options.pop("mount", None))
    return replay(source, spec, engine, out, progress=False, **options)


@pytest.fixture(scope="module")
def result(drive, spec, engine, tmp_path_factory):
    return run(drive, spec, engine, tmp_path_factory.mktemp("out") / "replay", mount=(0, 0, 1.2, 0, 0, 0))


def test_every_image_becomes_one_message_with_its_header(result):
    frames = read_frames(result.recording)
    assert [frame["frame_seq"] for frame in frames] == list(range(FRAMES))
    stamps = [frame["header"]["stamp"]["sec"] * 10**9 + frame["header"]["stamp"]["nanosec"] for frame in frames]
    assert stamps == [FIRST_NS + number * 10**8 for number in range(FRAMES)]
    assert {(f["header"]["frame_id"], f["camera_name"], f["image_width"]) for f in frames} == {
        ("front_optical", "front", WIDTH)
    }


def test_objects_and_lanes_are_where_they_were_drawn(result):
    for number, frame in enumerate(read_frames(result.recording)):
        cars = [each for each in frame["objects"] if each["class_name"] == "car" and not each["coasted"]]
        assert len(cars) == 1
        assert cars[0]["cx"] == pytest.approx(100 + 6 * number, abs=6)
        assert [line["position"] for line in frame["lanes"]] == [-1, 1]
        assert frame["base_frame"] == "base_link"


def test_the_video_has_every_image_at_the_right_speed(result):
    video = cv2.VideoCapture(str(next(result.folder.glob("overlay.*"))))
    assert (video.get(cv2.CAP_PROP_FRAME_COUNT), round(video.get(cv2.CAP_PROP_FPS))) == (FRAMES, 10)
    width, height = (video.get(size) for size in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    assert width > 960 + 4 + HEIGHT  # enlarged, and the camera is calibrated: a gap and the bird's-eye view
    assert height > 960 * HEIGHT / WIDTH  # with header and legend


def test_the_report_is_self_contained_and_complete(result):
    html = (result.folder / "report.html").read_text()
    assert html.count("<svg") == 4
    assert html.count("data:image/jpeg;base64,") == FRAMES
    assert html.count("<video") == len(re.findall('src="data:video/(mp4|webm);base64,', html)) == 1
    assert not re.search(r'(src|href)="(?!data:|#)', html)
    for text in ("tiny 1", "onnxruntime cpu", f"{FRAMES} images", "p99", "car", "lane line"):
        assert text in html


def test_a_second_replay_gives_the_same_messages(drive, spec, engine, result, tmp_path):
    again = run(drive, spec, engine, tmp_path / "again", mount=(0, 0, 1.2, 0, 0, 0), video=False)
    assert compare_frames(read_frames(again.recording), read_frames(result.recording), scale=0.0) == []
    assert [*again.folder.glob("overlay.*")] == []


@pytest.mark.parametrize("compressed", [False, True])
def test_broken_images_get_a_message_with_a_flag(tmp_path, spec, engine, compressed):
    drive = write_drive(tmp_path / "bag", broken=(0, 3), compressed=compressed)
    frames = read_frames(run(drive, spec, engine, tmp_path / "out").recording)
    bad = Status.BAD_IMAGE if compressed else Status.WRONG_ENCODING
    assert [bool(frame["status_flags"] & bad) for frame in frames] == [number in (0, 3) for number in range(FRAMES)]
    assert [frame["status"] == 2 for frame in frames] == [number in (0, 3) for number in range(FRAMES)]
    assert frames[3]["objects"] == []
    assert np.isnan(frames[3]["road"]["coverage"])


def test_without_mounting_nothing_becomes_metric(drive, spec, engine, tmp_path):
    frames = read_frames(run(drive, spec, engine, tmp_path / "out", limit=2).recording)
    assert len(frames) == 2
    assert {frame["base_frame"] for frame in frames} == {""}
    assert not any(each["has_position"] for frame in frames for each in frame["objects"])


@pytest.mark.parametrize("camera", ["front", "left"])
def test_a_recording_with_tf_static_needs_no_mounting(repository, camera):
    source = open_source(repository / "bags/demo_drive", f"/camera/{camera}/image_raw/compressed")
    truth = json.loads((repository / f"bags/demo_drive/truth_{camera}.jsonl").open().readline())
    assert source.calibration is not None
    np.testing.assert_allclose(source.calibration.pose, truth["base_from_camera"], atol=1e-6)


def test_images_and_videos_are_replayed_too(tmp_path, spec, engine):
    folder = tmp_path / "images"
    folder.mkdir()
    video = cv2.VideoWriter(str(tmp_path / "drive.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 20, (WIDTH, HEIGHT))
    for number in range(4):
        cv2.imwrite(str(folder / f"{number}.png"), road_image(number))
        video.write(road_image(number))
    video.release()
    (folder / "2.png").write_bytes(b"no image")
    images = run(folder, spec, engine, tmp_path / "a").frames
    assert [frame["status"] for frame in images].count(2) == 1
    frames = run(tmp_path / "drive.avi", spec, engine, tmp_path / "b").frames
    assert [frame["header"]["stamp"]["nanosec"] for frame in frames] == [0, 50_000_000, 100_000_000, 150_000_000]
    assert [len(frame["objects"]) for frame in frames] == [1] * 4


def test_a_truncated_recording_is_replayed_up_to_the_damage(tmp_path, drive, spec, engine):
    data = (drive / "bag_0.mcap").read_bytes()
    (tmp_path / "broken.mcap").write_bytes(data[: len(data) * 9 // 10])
    source = open_source(tmp_path / "broken.mcap")
    assert "ends early" in source.name
    assert 0 < len(replay(source, spec, engine, tmp_path / "out", progress=False, video=False).frames) < FRAMES


def test_paths_that_are_not_a_source_are_refused(tmp_path, drive):
    with pytest.raises(BagError, match="does not exist"):
        open_source(tmp_path / "absent")
    (tmp_path / "notes.txt").write_text("no video")
    with pytest.raises(BagError, match="not a recording, video or folder of images"):
        open_source(tmp_path / "notes.txt")
    with pytest.raises(BagError, match="choose one of /front/image_raw"):
        open_source(drive, "/rear/image_raw")
    with BagWriter(tmp_path / "blind") as writer:
        writer.write_fields("/info", CAMERA_INFO, 1, {})
    with pytest.raises(BagError, match="no image topic, only /info"):
        open_source(tmp_path / "blind")


def test_two_cameras_need_a_choice(tmp_path):
    with BagWriter(tmp_path / "bag") as writer:
        for camera in ("front", "rear"):
            writer.write_fields(f"/{camera}/image_raw", IMAGE, 1, {})
    with pytest.raises(BagError, match="choose one with --camera: /front/image_raw, /rear/image_raw"):
        open_source(tmp_path / "bag")
    assert open_source(tmp_path / "bag", "/rear/image_raw").camera == "rear"


@pytest.mark.parametrize("text", ["1,2", "a,b,c,d,e,f", "0,0,0,0,0,0", "", "auto", "auto,0", "auto,1,2,3,4,5,6"])
def test_a_malformed_mounting_is_refused(text):
    with pytest.raises(CalibrationError, match="give x,y,z,roll,pitch,yaw"):
        parse_mount(text)


def test_a_mounting_is_given_in_full_or_found_from_its_height():
    assert parse_mount(None) == (None, None)
    assert parse_mount("1,0,1.2,0,0.1,0") == ((1, 0, 1.2, 0, 0.1, 0), None)
    assert parse_mount("auto,1.3") == (None, 1.3)


@pytest.fixture(scope="module")
def lens(tmp_path_factory):
    path = tmp_path_factory.mktemp("lens") / "lens.yaml"
    path.write_text(
        camera_info_yaml(Lens((WIDTH, HEIGHT), np.reshape(K, (3, 3)), np.zeros(5), "plumb_bob", 0.1, {}, {}), "x")
    )
    return path


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "film.avi"
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20, (WIDTH, HEIGHT))
    for number in range(FRAMES):
        video.write(road_image(number))
    video.release()
    return path


def command(*words, model):
    options = ["-m", str(model), "--engine", "onnxruntime", "--threads", "1"]
    return CliRunner().invoke(app, ["replay", *map(str, words), *options])


def test_a_film_with_lens_and_mounting_gets_metres(film, lens, tiny_model, tmp_path):
    done = command(
        film, "-o", tmp_path / "out", "--calibration", lens, "--mount", "0,0,1.2,0,0,0", "--no-video", model=tiny_model
    )
    assert done.exit_code == 0, done.output
    frames = read_frames(tmp_path / "out/perception.mcap")
    assert {frame["base_frame"] for frame in frames} == {"base_link"}
    assert all(each["has_position"] for frame in frames for each in frame["objects"])


def test_a_calibrated_film_without_mounting_says_what_is_missing(film, lens, tiny_model, tmp_path):
    done = command(film, "-o", tmp_path / "out", "--calibration", lens, "--limit", 3, model=tiny_model)
    assert done.exit_code == 0, done.output
    assert "mounting unknown: give --mount or TF" in done.output
    assert "mounting unknown: give --mount or TF" in (tmp_path / "out/report.html").read_text()


def test_a_film_without_lens_says_how_it_gets_metres(film, tiny_model, tmp_path):
    done = command(film, "-o", tmp_path / "out", "--limit", 1, "--no-video", model=tiny_model)
    assert "no metres: not calibrated: give --calibration" in " ".join(done.output.split()), done.output
    assert done.output.startswith("1 image in ")


def test_a_lens_for_another_size_is_named(film, lens, tiny_model, tmp_path):
    other = tmp_path / "lens.yaml"
    other.write_text(lens.read_text().replace(f"image_width: {WIDTH}", "image_width: 640"))
    words = (
        film,
        "-o",
        tmp_path / "out",
        "--calibration",
        other,
        "--mount",
        "0,0,1.2,0,0,0",
        "--limit",
        2,
        "--no-video",
    )
    done = command(*words, model=tiny_model)
    assert f"the calibration is for 640x{HEIGHT}, images are {WIDTH}x{HEIGHT}" in done.output


def test_the_lens_of_the_command_replaces_that_of_the_recording(drive, lens):
    recorded, given = open_source(drive), open_source(drive, lens=replace(camera_from_yaml(lens), width=111))
    assert (recorded.calibration.width, given.calibration.width) == (WIDTH, 111)
    assert given.calibration.base_from_camera is None


def test_the_lens_of_the_command_keeps_the_recorded_mounting(repository, lens):
    bag = repository / "bags/demo_drive"
    recorded, given = open_source(bag, "left"), open_source(bag, "left", lens=camera_from_yaml(lens))
    np.testing.assert_array_equal(given.calibration.pose, recorded.calibration.pose)


def test_an_automatic_mounting_needs_a_lens_and_lines(film, lens, tiny_model, tmp_path):
    without = command(film, "-o", tmp_path / "a", "--mount", "auto,1.3", model=tiny_model)
    assert (without.exit_code, "give --calibration" in without.output) == (2, True), without.output
    few = command(film, "-o", tmp_path / "b", "--mount", "auto,1.3", "--calibration", lens, model=tiny_model)
    assert (few.exit_code, "record a straight, marked road" in few.output) == (2, True), few.output
    assert not (tmp_path / "b").exists()


def test_an_automatic_mounting_is_not_sought_with_the_lens_of_another_size(film, lens, tiny_model, tmp_path):
    other = tmp_path / "other.yaml"
    camera = camera_from_yaml(lens)
    other.write_text(lens.read_text().replace(f"image_width: {camera.width}", f"image_width: {2 * camera.width}"))
    found = command(film, "-o", tmp_path / "a", "--mount", "auto,1.3", "--calibration", other, model=tiny_model)
    assert (found.exit_code, "calibrate at their size" in found.output) == (2, True), found.output


def test_an_automatic_mounting_finds_the_pitch(monkeypatch, film, lens, spec, engine):
    """Lines of a straight road, seen by a camera 1.3 m high that looks 3 degrees down."""
    pose = (0.0, 0.0, 1.3, 0.0, np.radians(3), 0.0)
    camera = replace(camera_from_yaml(lens), base_from_camera=optical_from_rpy(pose[:3], pose[3:]))
    x = np.linspace(5, 30, 40)
    road = [np.column_stack((x, np.full(40, y), np.zeros(40))) for y in (1.75, -1.75)]
    lines = [
        LaneLine(camera.pixels_from_base(points).astype(np.float32), 0.9, position=p)
        for points, p in zip(road, (-1, 1))
    ]
    seen = SimpleNamespace(lanes=tuple(lines))
    monkeypatch.setattr("camera_perception.tools.replay.auto_mount.Pipeline.run", lambda *_: seen)
    source = open_source(film, lens=camera_from_yaml(lens))
    repeated = replace(source, arrivals=iter([*source.arrivals] * 4))
    found, text = auto_mount(repeated, spec, engine, 1.3)
    np.testing.assert_allclose(found, pose, atol=1e-3)
    assert "pitch 3.00 deg down" in text
    assert text.endswith("metres are approximate")


def test_pictures_of_a_drive_belong_together_and_others_do_not(tmp_path):
    rng = np.random.default_rng(3)
    world = cv2.GaussianBlur(rng.integers(0, 255, (200, 600, 3), np.uint8), (0, 0), 4)
    world = cv2.normalize(world, None, 0, 255, cv2.NORM_MINMAX)
    for number in range(5):
        cv2.imwrite(str(tmp_path / f"drive_{number}.png"), world[:, 12 * number : 12 * number + 320])
        cv2.imwrite(str(tmp_path / f"other_{number}.png"), np.rot90(world[:, 50 * number : 50 * number + 200], number))
    assert not are_separate(sorted(tmp_path.glob("drive_*")))
    assert are_separate(sorted(tmp_path.glob("other_*")))
    assert are_separate([tmp_path / "drive_0.png"])
    assert are_separate([tmp_path / "drive_0.png", tmp_path / "other_0.png"])  # of two sizes


def test_real_pictures_are_told_from_real_drives(shared_data):
    for folder, separate in (("pictures/coco_cc_by/images", True), ("pandaset_002/images/front", False)):
        assert are_separate(image_files(shared_data / folder)) == separate


def test_independent_pictures_get_one_annotated_picture_each_and_no_tracks(tmp_path, tiny_model):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, size in enumerate(((192, 320), (240, 400), (192, 320))):
        cv2.imwrite(str(folder / f"p{number}.png"), cv2.resize(road_image(number), size[::-1]))
    done = command(folder, "-o", tmp_path / "out", model=tiny_model)
    assert done.exit_code == 0, done.output
    assert "do not follow each other" in done.output
    sizes = {path.name: cv2.imread(str(path)).shape[:2] for path in (tmp_path / "out/annotated").iterdir()}
    assert sizes == {"p0.png": (192, 320), "p1.png": (240, 400), "p2.png": (192, 320)}
    frames = read_frames(tmp_path / "out/perception.mcap")
    assert {each["track_id"] for frame in frames for each in frame["objects"]} == {0}
    assert {line["lane_id"] for frame in frames for line in frame["lanes"]} == {0}
    assert [*(tmp_path / "out").glob("overlay.*")] == []
    film = command(folder, "-o", tmp_path / "film", "--no-independent", model=tiny_model)
    assert (film.exit_code, len([*(tmp_path / "film").glob("overlay.*")])) == (0, 1), film.output


def test_results_in_other_formats_agree_with_the_messages(drive, tiny_model, tmp_path):
    formats = ["jsonl", "csv", "coco", "pictures"] + (["parquet"] if find_spec("pyarrow") else [])
    writes = [word for each in formats for word in ("--write", each)]
    done = command(drive, "-o", tmp_path / "out", "--mount", "0,0,1.2,0,0,0", "--no-video", *writes, model=tiny_model)
    assert done.exit_code == 0, done.output
    frames = read_frames(tmp_path / "out/perception.mcap")
    cars = [each for frame in frames for each in frame["objects"]]
    lines = [json.loads(line) for line in (tmp_path / "out/frames.jsonl").read_text().splitlines()]
    assert [len(line["objects"]) for line in lines] == [len(f["objects"]) + len(f["traffic_lights"]) for f in frames]
    assert lines[2]["stamp_ns"] == FIRST_NS + 2 * 10**8
    assert [lane["position"] for lane in lines[0]["lanes"]] == [-1, 1]
    rows = [row for row in csv.DictReader((tmp_path / "out/objects.csv").open()) if row["class"] == "car"]
    for row, each in zip(rows, [each for each in cars if each["class_name"] == "car"], strict=True):
        assert (float(row["x0"]) + float(row["x1"])) / 2 == pytest.approx(each["cx"])
        assert float(row["x_m"]) == pytest.approx(each["position"]["x"])
    coco = json.loads((tmp_path / "out/coco.json").read_text())
    names = {category["id"]: category["name"] for category in coco["categories"]}
    assert (len(coco["images"]), coco["images"][0]["width"]) == (FRAMES, WIDTH)
    assert [names[each["category_id"]] for each in coco["annotations"]].count("car") == len(rows)
    assert coco["annotations"][0]["bbox"][2] == pytest.approx(cars[0]["width"], abs=0.01)
    assert len([*(tmp_path / "out/annotated").iterdir()]) == FRAMES
    if "parquet" in formats:
        from pyarrow import parquet

        table = parquet.read_table(tmp_path / "out/objects.parquet").to_pylist()
        assert [row["score"] for row in table if row["class"] == "car"] == [float(row["score"]) for row in rows]
    assert all(name in done.output.splitlines()[-1] for name in ("frames.jsonl", "objects.csv", "coco.json"))


def test_an_unknown_format_is_refused_before_the_long_part(drive, tiny_model, tmp_path):
    done = command(drive, "-o", tmp_path / "out", "--write", "xml", model=tiny_model)
    assert (done.exit_code, "give one of jsonl, csv, coco, parquet, pictures" in done.output) == (2, True), done.output
    assert not (tmp_path / "out").exists()


def test_a_replay_without_a_decoded_image_fails_with_the_reason(tmp_path, tiny_model):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(2):
        (folder / f"{number}.png").write_bytes(b"no image")
    done = command(folder, "-o", tmp_path / "out", model=tiny_model)
    assert done.exit_code == 1, done.output
    assert "no image was decoded" in done.output
    assert "is not an image that OpenCV can read" in done.output
    assert "fix or remove it" not in done.output  # one cure
    assert re.search(r"not decoded +2", done.output)


def test_invalid_images_are_counted_apart_from_those_not_decoded(tmp_path, tiny_model):
    done = command(write_drive(tmp_path / "bag", broken=(3,)), "-o", tmp_path / "out", "--no-video", model=tiny_model)
    assert done.exit_code == 0, done.output
    numbers = dict(re.findall(r"(degraded|invalid|not decoded) +(\d+)", done.output))
    assert (numbers["invalid"], numbers["not decoded"]) == ("0", "1")


def test_a_camera_is_chosen_by_its_short_name(tmp_path):
    with BagWriter(tmp_path / "bag") as writer:
        for topic, kind in (("/rear/image_raw/compressed", COMPRESSED_IMAGE), ("/rear/image_raw", IMAGE)):
            writer.write_fields(topic, kind, 1, {})
        writer.write_fields("/front/image_raw", IMAGE, 1, {})
    assert open_source(tmp_path / "bag", "rear").name.endswith("/rear/image_raw")
    assert open_source(tmp_path / "bag", "front").camera == "front"
    with pytest.raises(BagError, match="no image topic left: choose one of"):
        open_source(tmp_path / "bag", "left")


@pytest.mark.parametrize(
    ("name", "words"),
    [("x.jpg", "is a picture, not a recording"), ("x.mp4", "is a film, not a recording"), ("x.txt", "is a text file"),
     ("x.zzz", "is a .zzz file")],
)  # fmt: skip
def test_what_is_no_recording_is_named_as_what_it_is(name, words, tmp_path):
    (tmp_path / name).write_bytes(b"x")
    done = CliRunner().invoke(app, ["repair-bag", str(tmp_path / name)])
    assert (done.exit_code, words in done.output) == (2, True), done.output
    assert "repair-bag" not in done.output
    with pytest.raises(BagError, match=words):
        Bag(tmp_path / name)


def test_an_earlier_replay_is_kept_and_the_way_to_replace_it_named(drive, tiny_model, tmp_path):
    (tmp_path / "perception.mcap").write_text("earlier")
    done = command(drive, "-o", tmp_path, model=tiny_model)
    assert (done.exit_code, "--force replaces it" in done.output) == (2, True), done.output
    assert (tmp_path / "perception.mcap").read_text() == "earlier"


def test_without_a_model_the_shipped_one_is_taken(tmp_path, monkeypatch, tmp_path_factory):
    folder = tmp_path / "perception_models/zoo/mine"
    folder.mkdir(parents=True)
    (folder / "model.json").write_text("{}")
    assert shipped_model(tmp_path) == folder
    monkeypatch.chdir(tmp_path)
    assert shipped_model() == folder
    monkeypatch.setenv("CAMERA_PERCEPTION_MODEL", str(tmp_path / "named"))
    assert shipped_model() == tmp_path / "named"
    monkeypatch.delenv("CAMERA_PERCEPTION_MODEL")
    with pytest.raises(ModelError, match="give --model"):
        shipped_model(tmp_path_factory.mktemp("empty"))


def test_a_model_may_be_named_by_its_file(tiny_model, tmp_path):
    assert load_spec(tiny_model / "model.onnx").folder == tiny_model
    (tmp_path / "yolo.onnx").write_bytes(b"x")
    with pytest.raises(ModelError, match="is a file: give a folder .* inspect-onnx"):
        load_spec(tmp_path / "yolo.onnx")


def test_the_command_compares_and_exits_with_1_on_a_difference(drive, tiny_model, result, tmp_path):
    command = ["replay", str(drive), "-m", str(tiny_model), "--engine", "onnxruntime", "--threads", "1", "--no-video"]
    runner = CliRunner()
    same = runner.invoke(
        app, [*command, "-o", str(tmp_path / "a"), "--mount", "0,0,1.2,0,0,0", "--compare", str(result.folder)]
    )
    assert (same.exit_code, f"all {FRAMES} frames equal the reference" in same.output) == (0, True), same.output
    other = runner.invoke(
        app, [*command, "-o", str(tmp_path / "b"), "--limit", "6", "--compare", str(result.recording)]
    )
    assert other.exit_code == 1
    assert re.search(r"frame +2 +missing +present", other.output)
    assert "objects.has_position" in other.output
    assert f"{FRAMES} of {FRAMES} frames differ" in other.output
    again = runner.invoke(app, [*command, "-o", str(tmp_path / "b")])
    assert (again.exit_code, "exists already" in again.output) == (2, True)
    forced = runner.invoke(app, [*command, "-o", str(tmp_path / "b"), "--force", "--limit", "1"])
    assert (forced.exit_code, len(read_frames(tmp_path / "b" / "perception.mcap"))) == (0, 1), forced.output


def test_compare_has_tolerances_and_ignores_times(result):
    wanted = read_frames(result.recording)

    def changed(change):
        frames = deepcopy(wanted)
        change(frames)
        return {row.field: row.frames for row in table(compare_frames(frames, wanted))}

    def shift(lane, pixels):
        lane.update(u=lane["u"] + np.float32(pixels))

    def cut(lane, rows):
        lane.update(u=lane["u"][:-rows], v=lane["v"][:-rows])

    def move(frames, pixels):
        frames[2]["objects"][0]["cx"] += pixels

    assert changed(lambda frames: None) == {}
    assert changed(lambda frames: frames[0].update(inference_ms=99.0, age_ms=3.0, engine_id="x")) == {}
    assert changed(lambda frames: move(frames, 0.9)) == {}
    assert changed(lambda frames: move(frames, 1.5)) == {"objects.cx": 1}
    assert changed(lambda frames: frames[1]["objects"][0].update(track_id=77)) == {"objects.track_id": 1}
    assert changed(lambda frames: frames[1]["objects"].clear()) == {"objects (count)": 1}
    assert changed(lambda frames: shift(frames[1]["lanes"][0], 0.5)) == {}
    assert changed(lambda frames: shift(frames[1]["lanes"][0], 3)) == {"lanes.u": 1}
    assert changed(lambda frames: cut(frames[1]["lanes"][0], 1)) == {}
    assert changed(lambda frames: cut(frames[1]["lanes"][0], 3)) == {"lanes.v_ends": 1}
    assert changed(lambda frames: cut(frames[1]["lanes"][0], 99)) == {"lanes.u (count)": 1, "lanes.v (count)": 1}
    assert changed(lambda frames: frames[0]["road"].update(coverage=np.nan)) == {"road.coverage": 1}
    assert changed(lambda frames: frames.pop(0)) == {"frame": 1}


def test_differences_are_printed_without_infinities_and_nanoseconds(result, capsys):
    wanted = read_frames(result.recording)
    frames = deepcopy(wanted)
    frames[2]["road"].update(coverage=np.nan)
    frames[3]["objects"].clear()
    with pytest.raises(Exit):
        verdict(compare_frames(frames, wanted), len(wanted), FIRST_NS)
    printed = capsys.readouterr().out
    assert re.search(r"road.coverage +1 +unknown +[0-9.]+ +0.20 s +-", printed)
    assert re.search(r"objects \(count\) +1 +0 +1 +0.30 s +-", printed)
    assert not re.search(r"inf|nan|\d{19}", printed)


def test_boxes_of_equal_score_may_change_order(result):
    wanted = read_frames(result.recording)
    duplicate = {**wanted[0]["objects"][0], "cx": 10.0}
    wanted[0]["objects"].append(duplicate)
    frames = [{**wanted[0], "objects": wanted[0]["objects"][::-1]}, *wanted[1:]]
    assert compare_frames(frames, wanted) == []


def test_an_empty_recording_gives_an_empty_report(tmp_path, result):
    write_report(tmp_path / "report.html", [])
    assert "0 images" in (tmp_path / "report.html").read_text()
    with pytest.raises(BagError, match="no PerceptionFrame messages"):
        read_frames(write_drive(tmp_path / "bag"))


# Turned cameras, ignored regions


@pytest.fixture(scope="module")
def upside_down(tmp_path_factory):
    """The drive by a camera mounted upside down, whose CameraInfo describes its images as they arrive."""
    path = tmp_path_factory.mktemp("turned") / "bag"
    with BagWriter(path) as writer:
        for number in range(FRAMES):
            stamp = FIRST_NS + number * 10**8
            header = {"stamp": {"sec": stamp // 10**9, "nanosec": stamp % 10**9}, "frame_id": "front_optical"}
            image = {"height": HEIGHT, "width": WIDTH, "encoding": "BGR8", "step": WIDTH * 3}
            data = np.ascontiguousarray(road_image(number)[::-1, ::-1]).ravel()
            writer.write_fields("/front/image_raw", IMAGE, stamp, {"header": header, **image, "data": data})
            info = {"header": header, "width": WIDTH, "height": HEIGHT, "k": K[:2] + [159, 0, 200, 95] + K[6:]}
            writer.write_fields("/front/camera_info", CAMERA_INFO, stamp, {**info, "distortion_model": "none"})
    return path


def test_a_drive_of_a_camera_upside_down_is_replayed_as_if_it_stood_upright(
    upside_down, result, tiny_model, tmp_path, capsys
):
    mount = f"0,0,1.2,{np.pi},0,0"
    arguments = ["replay", str(upside_down), "--model", str(tiny_model), "--engine", "onnxruntime", "--no-video"]
    done = CliRunner().invoke(
        app, [*arguments, "--rotate", "180", "--mount", mount, "--out", str(tmp_path), "--compare", str(result.folder)]
    )
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(app, [*arguments, "--rotate", "45", "--out", str(tmp_path / "none")])
    assert done.exit_code == 2
    assert "by 45 degrees: give 0, 90, 180 or 270" in done.output


def test_an_ignored_region_holds_no_object(drive, spec, tiny_model, tmp_path):
    arguments = ["replay", str(drive), "--model", str(tiny_model), "--engine", "onnxruntime", "--no-video"]
    region = f"0,{90 / HEIGHT} 1,{90 / HEIGHT} 1,1 0,1"
    done = CliRunner().invoke(app, [*arguments, "--ignore", region, "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    frames = read_frames(tmp_path / "perception.mcap")
    assert len(frames) == FRAMES
    assert not any(each["class_name"] == "car" for frame in frames for each in frame["objects"])
    assert not any(v > 91 for frame in frames for line in frame["lanes"] for v in line["v"])
