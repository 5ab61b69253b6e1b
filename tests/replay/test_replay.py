"""Replay turns a drive into messages, a video and a report, with the same result each time."""

from __future__ import annotations

import json
import re
from copy import deepcopy

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from camera_perception.core.errors import BagError, CalibrationError
from camera_perception.core.model_spec import load_spec
from camera_perception.core.types import Status
from camera_perception.engines.select import load_engine
from camera_perception.io.bag_writer import BagWriter
from camera_perception.io.ros_types import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE
from camera_perception.tools.cli.app import app
from camera_perception.tools.cli.replay import parse_mount
from camera_perception.tools.replay.compare import compare_frames, table
from camera_perception.tools.replay.metrics import read_frames
from camera_perception.tools.replay.replay import replay
from camera_perception.tools.replay.report import write_report
from camera_perception.tools.replay.source import open_source

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
    video = cv2.VideoCapture(str(result.folder / "overlay.mp4"))
    assert (video.get(cv2.CAP_PROP_FRAME_COUNT), round(video.get(cv2.CAP_PROP_FPS))) == (FRAMES, 10)
    beside = 4 + HEIGHT * 2 // 3  # the camera is calibrated: a gap and the bird's-eye view
    assert (video.get(cv2.CAP_PROP_FRAME_WIDTH), video.get(cv2.CAP_PROP_FRAME_HEIGHT)) == (WIDTH + beside, HEIGHT)


def test_the_report_is_self_contained_and_complete(result):
    html = (result.folder / "report.html").read_text()
    assert html.count("<svg") == 4
    assert html.count("data:image/jpeg;base64,") == FRAMES
    assert not re.search(r'(src|href)="(?!data:|#)', html)
    for text in ("tiny 1", "onnxruntime cpu", f"{FRAMES} images", "p99", "car", "lane line"):
        assert text in html


def test_a_second_replay_gives_the_same_messages(drive, spec, engine, result, tmp_path):
    again = run(drive, spec, engine, tmp_path / "again", mount=(0, 0, 1.2, 0, 0, 0), video=False)
    assert compare_frames(read_frames(again.recording), read_frames(result.recording), scale=0.0) == []
    assert not (again.folder / "overlay.mp4").exists()


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
    assert "cut off" in source.name
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


@pytest.mark.parametrize("text", ["1,2", "a,b,c,d,e,f", "0,0,0,0,0,0", ""])
def test_a_malformed_mounting_is_refused(text):
    with pytest.raises(CalibrationError, match="give x,y,z,roll,pitch,yaw"):
        parse_mount(text)


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
