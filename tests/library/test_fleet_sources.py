"""What a unit reads from a recording: pictures that do not follow each other, and the speed of the vehicle."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="needs pyarrow: make setup-fleet")
pytest.importorskip("duckdb", reason="needs duckdb: make setup-fleet")

from fleet_drives import write_drive
from tiny_models import write_tiny_model

from camera_perception.io.bag_writer import BagWriter
from camera_perception.tools.fleet.store.query import query
from camera_perception.tools.fleet.store.storage import open_storage
from camera_perception.tools.fleet.work.replay import Settings, replay_fleet
from camera_perception.tools.fleet.work.sources import Speeds, camera_topics, opened
from camera_perception.tools.fleet.work.units import Job


def write_pictures(folder, count=4):
    """Pictures from anywhere: of different sizes, and a bright rectangle at another place in each."""
    folder.mkdir()
    for number in range(count):
        image = np.random.default_rng(number).integers(20, 60, (96 + number, 160, 3)).astype(np.uint8)
        image[30 : 60 + number, 20 + 25 * number : 50 + 25 * number] = 230
        cv2.imwrite(str(folder / f"{number}.png"), image)
    return folder


def test_pictures_from_anywhere_have_no_tracks(tmp_path):
    """One at a time they are taken for what they are; a drive has tracks."""
    model, out = write_tiny_model(tmp_path / "model"), tmp_path / "run"
    write_pictures(tmp_path / "pictures")
    write_drive(tmp_path / "drive", 0, 4)
    assert opened(tmp_path / "pictures", None).separate
    sources = [str(tmp_path / name) for name in ("pictures", "drive")]
    replay_fleet(sources, model, str(out), Job("", "onnxruntime"), Settings(), progress=False)
    sql = """select parse_filename(recording), max(track_id) > 0, bool_or(coasted), count(distinct frame)
    from objects where reported group by 1 order by 1"""
    drive, pictures = query(open_storage(out), sql)[1]
    assert drive[:2] == ("drive", True)
    assert pictures == ("pictures", False, False, 4)


def odometry(seconds, forward, left=0.0):
    stamp = {"sec": int(seconds), "nanosec": round(seconds % 1 * 1e9)}
    return {"header": {"stamp": stamp}, "twist": {"twist": {"linear": {"x": forward, "y": left}}}}


def test_the_speed_is_that_of_the_nearest_odometry(tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        for seconds, forward, left in ((1.0, 3.0, 4.0), (1.2, -2.0, 0.0), (1.4, float("nan"), 0.0)):
            bag.write_fields("/odom", "nav_msgs/msg/Odometry", round(seconds * 1e9), odometry(seconds, forward, left))
    speeds = Speeds(tmp_path / "bag")
    found = [speeds.at(round(seconds * 1e9)) for seconds in (0.4, 0.9, 1.09, 1.11, 1.4, 1.8)]
    assert found == [None, 5.0, 5.0, 2.0, 2.0, None]
    with pytest.raises(ValueError, match="no image topic"):
        camera_topics(tmp_path / "bag", None)


def test_pictures_have_no_speed(tmp_path):
    assert Speeds(write_pictures(tmp_path / "pictures", 1)).at(0) is None
