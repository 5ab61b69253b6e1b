"""The demo as a user runs it, on a drive of a second: two cameras, real processes, real DDS."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from driving import road, shipped_environment

from camera_perception.core.errors import BagError, ModelError
from camera_perception.core.model_spec import load_spec
from camera_perception.io.bag_reader import Bag
from camera_perception.io.bag_writer import BagWriter
from camera_perception.io.ros_types import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, PERCEPTION_FRAME, deserialize
from camera_perception.io.video_file import MIME
from camera_perception_ros.demo.cameras import cameras_of
from camera_perception_ros.demo.playing import PLAYER, DemoError, wait_for_player
from camera_perception_ros.demo.result import STAGES, CameraResult, as_json, read_results, table, verdict
from camera_perception_ros.demo.run import default_bag, default_model
from camera_perception_ros.demo.speed import choose_pace, measured_pace, needed_speed
from camera_perception_ros.demo.video import Canvas, write_video

IMAGES = 20
RIG = """
cameras:
  - {name: front, pose: [1.5, 0.0, 1.4, 0.0, 0.0, 0.0]}
  - {name: rear, pose: [-1.0, 0.0, 1.2, 0.0, 0.0, 3.14159]}
"""
K = [120.0, 0, 80, 0, 120, 48, 0, 0, 1]

NAN = float("nan")


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    """A raw and a compressed camera, both calibrated, 20 Hz."""
    folder = tmp_path / "drive"
    with BagWriter(folder) as bag:
        for number in range(IMAGES):
            stamp = 1_000_000_000_000 + number * 50_000_000
            for name in ("front", "rear"):
                header = {"stamp": {"sec": stamp // 10**9, "nanosec": stamp % 10**9}, "frame_id": f"{name}_optical"}
                lens = {"width": 160, "height": 96, "k": K, "distortion_model": "plumb_bob", "d": [0.0] * 5}
                bag.write_fields(f"/camera/{name}/camera_info", CAMERA_INFO, stamp, {"header": header, **lens})
                if name == "front":
                    picture = {
                        "height": 96,
                        "width": 160,
                        "encoding": "bgr8",
                        "step": 480,
                        "data": road(number).ravel(),
                    }
                    bag.write_fields("/camera/front/image_raw", IMAGE, stamp, {"header": header, **picture})
                else:
                    jpeg = cv2.imencode(".jpg", road(number))[1].ravel()
                    topic = "/camera/rear/image_raw/compressed"
                    bag.write_fields(topic, COMPRESSED_IMAGE, stamp, {"header": header, "format": "jpeg", "data": jpeg})
    (folder / "rig.yaml").write_text(RIG)
    return folder


def test_the_cameras_of_a_recording_are_found_with_their_poses(drive):
    front, rear = cameras_of(drive)
    assert (front.name, front.transport, rear.name, rear.transport) == ("front", "raw", "rear", "compressed")
    assert rear.image_topic == "/camera/rear/image_raw"
    assert front.pose[2] == 1.4
    assert front.output("perception") == "/camera/front/camera_perception/perception"


def test_without_a_recording_or_a_model_the_remedy_is_named(tmp_path):
    with pytest.raises(BagError, match="give --bag"):
        default_bag(tmp_path)
    with pytest.raises(ModelError, match="give --model"):
        default_model(tmp_path)


def test_a_table_counts_every_frame():
    result = CameraResult("front", sent=5, stamps_ns=[1, 2], replaced_by_frame=[0, 2], ages_ms=[10.0, 30.0])
    result.stages_ms = {"inference_ms": [4.0, float("nan")]}
    numbers = as_json(result)
    assert (numbers["received"], numbers["replaced"], numbers["unaccounted"]) == (2, 2, 1)
    assert numbers["age_ms"]["p50"] == 20.0
    assert numbers["inference_ms"]["p50"] == 4.0
    assert "20.0 / 29.0 / 29.8" in table([result])


def test_the_last_image_of_a_dead_camera_is_darkened(drive):
    canvas = Canvas(cameras_of(drive))
    jpeg = cv2.imencode(".jpg", road())[1].ravel()
    for name, second in (("front", 1), ("rear", 6)):
        header = SimpleNamespace(stamp=SimpleNamespace(sec=second, nanosec=0))
        picture = SimpleNamespace(header=header, data=jpeg)
        canvas.take(f"/camera/{name}/camera_perception/overlay/compressed", picture)
    upper, lower = np.split(canvas.compose(6_000_000_000)[: 2 * 540], 2)
    assert 0 < upper.mean() < 0.4 * lower.mean()


@pytest.mark.parametrize("fusion_begins", [0, 10])
def test_the_video_ends_with_the_last_image(fusion_begins, drive, tiny_model, tmp_path):
    jpeg, cameras = cv2.imencode(".jpg", road())[1].ravel(), cameras_of(drive)
    with BagWriter(tmp_path / "recorded") as bag:
        for tenth in range(100):
            stamp = 1_000_000_000_000 + tenth * 100_000_000
            header = {"stamp": {"sec": stamp // 10**9, "nanosec": stamp % 10**9}, "frame_id": "optical"}
            if tenth >= fusion_begins:
                message_type = "camera_perception_msgs/msg/FusedPerception"
                bag.write_fields("/fusion/fused", message_type, stamp, {"header": header})
            for camera in cameras if tenth < 20 else []:
                topic = camera.output("overlay/compressed")
                bag.write_fields(topic, COMPRESSED_IMAGE, stamp, {"header": header, "format": "jpeg", "data": jpeg})
    film = write_video(tmp_path / "recorded", Canvas(cameras, load_spec(tiny_model)), tmp_path / "film.mp4", rate=10.0)
    assert film == 19  # of 1.9 s
    assert cv2.VideoCapture(str(tmp_path / "film.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 19  # all of one size


@pytest.mark.parametrize(("possible", "rate"), [(40.0, 1.0), (13.4, 1.0), (13.0, 0.975), (3.0, 0.225), (0.0, 0.02)])
def test_the_pace_is_what_the_machine_can_answer(possible, rate):
    pace = choose_pace(possible, 10.0, margin=0.75)
    assert (pace.rate, pace.waits) == (pytest.approx(rate), True)
    assert ("--rate 1 forces real time" in pace.text(12.0)) == (rate < 1)


def test_the_speed_is_measured_on_all_cameras(drive, tiny_model):
    cameras, spec = cameras_of(drive), load_spec(tiny_model)
    assert needed_speed(drive, cameras) == pytest.approx(20 / 0.95, rel=0.01)
    pace = measured_pace(drive, cameras, spec, "onnxruntime", 1)
    assert 0 < pace.rate <= 1
    assert pace.possible > 0


def test_ages_are_given_in_real_time(drive, tmp_path):
    camera = cameras_of(drive)[0]
    with BagWriter(tmp_path / "recorded") as bag:
        bag.write_fields(camera.output("perception"), PERCEPTION_FRAME, 1, {"age_ms": 30.0})
    (result,) = read_results(tmp_path / "recorded", [camera], {camera.topic: 2}, rate=0.25)
    assert result.ages_ms == [120.0]
    assert "answered 1 of 2 images (50 %): the engine is slower" in verdict([result])


@pytest.mark.parametrize(
    ("age_ms", "stages", "expected"),
    [(30.0, (1.0, 2.0, 40.0, 3.0), 60.0), (20.0, (1.0, 2.0, 40.0, 3.0), 46.0), (20.0, (NAN,) * 4, 40.0)],
)
def test_no_frame_is_younger_than_its_stages(drive, tmp_path, age_ms, stages, expected):
    """The clock of a slowed recording moves in steps."""
    camera = cameras_of(drive)[0]
    with BagWriter(tmp_path / "recorded") as bag:
        fields = {"age_ms": age_ms, **dict(zip(STAGES, stages))}
        bag.write_fields(camera.output("perception"), PERCEPTION_FRAME, 1, fields)
    (result,) = read_results(tmp_path / "recorded", [camera], {camera.topic: 1}, rate=0.5)
    assert result.ages_ms == [expected]


def test_the_last_fused_scene_stays_with_its_age(drive):
    canvas = Canvas(cameras_of(drive))
    stamps = [SimpleNamespace(sec=second, nanosec=0) for second in (1, 3)]
    for stamp, stale in zip(stamps, (False, True)):
        header = SimpleNamespace(stamp=stamp)
        canvas.take("/fusion/fused", SimpleNamespace(header=header, cameras=[SimpleNamespace(stale=stale)]))
    assert canvas._caption(3_000_000_000) == "fused from 1 camera, 2.0 s old"
    assert canvas._caption(1_100_000_000) == "fused from 1 camera"


class Scripted:
    """Processes of which one more has ended at each query."""

    logs = Path("logs")

    def __init__(self, *codes: tuple[str, int]) -> None:
        self._codes, self._looks = codes, 0

    def ended(self) -> dict[str, int]:
        self._looks += 1
        return dict(self._codes[: self._looks])

    def last_error(self, name: str) -> str:
        return "no such file"


def test_killed_nodes_do_not_end_the_demo(capsys):
    killed = wait_for_player(Scripted(("left/camera", -9), ("fusion", -11), (PLAYER, 0)), 1.0)
    assert killed == {"left/camera", "fusion"}
    assert capsys.readouterr().out.count("left/camera was killed by signal 9; the other nodes continue") == 1


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        ([("left/camera", 1)], "left/camera ended early with exit code 1: no such file"),
        ([("recorder", 0)], "recorder ended early"),
        ([(PLAYER, 2)], "bag_player ended early with exit code 2"),
        ([("fusion", -9), (PLAYER, -9)], "bag_player was killed by signal 9"),
    ],
)
def test_nodes_that_end_by_themselves_end_the_demo(codes, words):
    with pytest.raises(DemoError, match=words):
        wait_for_player(Scripted(*codes), 1.0)


@pytest.mark.timeout(300)
def test_the_demo_accounts_for_every_frame_and_writes_its_files(drive, tiny_model, tmp_path):
    out = tmp_path / "out"
    options = ["--bag", str(drive), "--model", str(tiny_model), "--out", str(out), "--engine", "onnxruntime"]
    command = [sys.executable, "-m", "camera_perception_ros.demo", *options]
    done = subprocess.run(command, env=shipped_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    cameras = json.loads((out / "summary.json").read_text())["cameras"]
    for numbers in cameras.values():
        assert numbers["sent"] == IMAGES
        assert numbers["received"] == IMAGES  # the demo plays at a rate at which every image is answered
        assert numbers["headers_not_of_an_input"] == 0
    file = next(out.glob("overlay.*"))
    film = cv2.VideoCapture(str(file))
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) >= IMAGES - 2  # complete
    width, height = film.get(cv2.CAP_PROP_FRAME_WIDTH), film.get(cv2.CAP_PROP_FRAME_HEIGHT)
    assert (width, height > 1084) == (1636, True)  # the cameras, the scene from above beside them, the legend below
    page = (out / "report.html").read_text()
    assert f'src="data:{MIME[file.suffix]};base64,' in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert f"answered {2 * IMAGES} of {2 * IMAGES} images (100 %)" in done.stdout
    last = done.stdout.splitlines()[-1]
    assert [path.name for path in out.iterdir() if path.name not in last] == []
    with Bag(out / "perception.mcap") as bag:
        fused = [deserialize(message.kind, message.data) for message in bag.messages(["/fusion/fused"])]
        assert {"/fusion/markers", "/fusion/occupancy"} <= bag.topics.keys()
    assert any(not camera.stale for message in fused for camera in message.cameras)
    assert any(len(message.lanes) for message in fused)
    assert np.isfinite([message.age_ms for message in fused if message.status != 2]).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [(["--bag", "/no/such/bag"], "/no/such/bag does not exist"), (["--model", "/no/such/model"], "does not exist")],
)
def test_a_demo_without_input_says_why(drive, tiny_model, tmp_path, options, words):
    given = {"--bag": str(drive), "--model": str(tiny_model), "--out": str(tmp_path / "out")}
    given.update(zip(options[::2], options[1::2]))
    command = [sys.executable, "-m", "camera_perception_ros.demo", *(part for pair in given.items() for part in pair)]
    done = subprocess.run(command, env=shipped_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
