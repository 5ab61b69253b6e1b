"""Files are taken in the order in which people number them, and splits of a recording in the order of time."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from camera_perception.core.natural_order import natural_order
from camera_perception.io.bag_reader import Bag
from camera_perception.io.bag_writer import BagWriter
from camera_perception.tools.replay.source import image_files, open_source


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["frame_1.jpg", "frame_2.jpg", "frame_10.jpg", "frame_11.jpg"],
        ["01.png", "1.png", "2.png", "10.png"],
        ["a", "a1", "a1b2", "a1b10", "b"],
        ["2.jpg", "10.jpg", "a.jpg"],
        ["9/2.jpg", "10/1.jpg"],
    ],
)
def test_numbers_count_by_their_value(names):
    assert natural_order(reversed(names)) == names
    assert natural_order([Path(name) for name in reversed(names)]) == [Path(name) for name in names]


def test_a_folder_of_images_plays_in_natural_order(tmp_path):
    for number in (1, 2, 10, 11):
        cv2.imwrite(str(tmp_path / f"frame_{number}.png"), np.full((8, 8, 3), 10 * number, np.uint8))
    assert [path.name for path in image_files(tmp_path)] == [f"frame_{number}.png" for number in (1, 2, 10, 11)]
    assert [int(arrival.read()[0, 0, 0]) for arrival in open_source(tmp_path).arrivals] == [10, 20, 100, 110]


@pytest.mark.parametrize("names", [("drive_9.mcap", "drive_10.mcap"), ("b.mcap", "a.mcap")])
def test_splits_are_read_in_the_order_of_their_stamps(names, tmp_path):
    folder = tmp_path / "bag"
    folder.mkdir()
    for number, name in enumerate(names):
        with BagWriter(tmp_path / f"{number}.mcap") as bag:
            for second in (1, 2):
                stamp = {"stamp": {"sec": 10 * number + second}, "frame_id": ""}
                bag.write_fields("/odom", "nav_msgs/msg/Odometry", (10 * number + second) * 10**9, {"header": stamp})
        (tmp_path / f"{number}.mcap").rename(folder / name)
    with Bag(folder) as bag:
        assert [message.stamp_ns // 10**9 for message in bag.messages()] == [1, 2, 11, 12]


def test_a_list_of_splits_in_another_order_changes_nothing(tmp_path):
    folder, texts = tmp_path / "bag", []
    for number in (0, 1):
        with BagWriter(tmp_path / str(number)) as bag:
            stamp = {"stamp": {"sec": number}, "frame_id": ""}
            bag.write_fields("/odom", "nav_msgs/msg/Odometry", (number + 1) * 10**9, {"header": stamp})
        texts.append(yaml.safe_load((tmp_path / str(number) / "metadata.yaml").read_text()))
    first, second = (text["rosbag2_bagfile_information"] for text in texts)
    folder.mkdir()
    for number in (0, 1):
        (tmp_path / str(number) / f"{number}_0.mcap").rename(folder / f"{number}_0.mcap")
    second["relative_file_paths"] += first["relative_file_paths"]  # the later one first
    second["files"] += first["files"]
    second["starting_time"] = first["starting_time"]
    second["message_count"] = 2
    for topic in second["topics_with_message_count"]:
        topic["message_count"] = 2
    (folder / "metadata.yaml").write_text(yaml.safe_dump(texts[1]))
    with Bag(folder) as bag:
        assert [message.stamp_ns // 10**9 for message in bag.messages()] == [1, 2]
