"""Rig files and the transform tree."""

from __future__ import annotations

import numpy as np
import pytest

from camera_perception.core.errors import CalibrationError
from camera_perception.geometry.rig import read_rig
from camera_perception.geometry.transforms import TfTree, pose_from_quaternion

SECOND = 1_000_000_000


def test_a_rig_is_read(tmp_path):
    (tmp_path / "rig.yaml").write_text(
        "cameras:\n"
        "  - {name: front, image_topic: /front/image, pose: [1.6, 0, 1.4, 0, 0.03, 0],\n"
        "     calibration: front.yaml, rectified: true}\n"
        "  - {name: rear}\n"
    )
    front, rear = read_rig(tmp_path / "rig.yaml")
    assert (front.name, front.image_topic, front.pose[2]) == ("front", "/front/image", 1.4)
    assert (front.calibration, front.rectified) == (tmp_path / "front.yaml", True)
    assert (rear.image_topic, rear.pose) == ("/camera/rear/image_raw", None)
    assert (rear.calibration, rear.rectified) == (None, False)


def test_the_example_of_the_bringup_is_a_rig(repository):
    assert [camera.name for camera in read_rig(repository / "launch/config/rig_example.yaml")] == ["front", "rear"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("]", "not valid YAML"),
        ("", "is not of type 'object'"),
        ("cameras: []", "cameras"),
        ("cameras: [{image_topic: /a}]", "'name' is a required property"),
        ("cameras: [{name: front, pose: [1, 2, 3]}]", r"cameras.0.pose"),
        ("cameras: [{name: front, position: [1, 2, 3]}]", "'position' was unexpected"),
        ("cameras: [{name: front, pose: [1, 0, -1, 0, 0, 0]}]", "below the road"),
        ("cameras: [{name: a}, {name: a}]", "names a camera twice: a"),
        ("cameras: [{name: '1 2'}]", "does not match"),
        ("cameras: [{name: a, calibration: a.yaml}]", "'pose' is a dependency of 'calibration'"),
    ],
)
def test_a_wrong_entry_in_a_rig_is_named(tmp_path, text, words):
    (tmp_path / "rig.yaml").write_text(text)
    with pytest.raises(CalibrationError, match=words):
        read_rig(tmp_path / "rig.yaml")


def test_a_missing_file_is_named():
    with pytest.raises(CalibrationError, match="nowhere.yaml"):
        read_rig("nowhere.yaml")


TURN_LEFT = (0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5))
NONE = (0.0, 0.0, 0.0, 1.0)


def test_a_chain_of_transforms_is_one_pose():
    """The mast is 1 m ahead and turned left; a camera 2 m in front of it is 2 m left of the car's middle line."""
    tree = TfTree()
    tree.add("base_link", "mast", (1, 0, 1.5), TURN_LEFT)
    tree.add("mast", "camera", (2, 0, 0), NONE)
    np.testing.assert_allclose(tree.base_from("base_link", "camera")[:3, 3], (1, 2, 1.5), atol=1e-12)
    np.testing.assert_allclose(tree.base_from("camera", "base_link")[:3, 3], (-2, 1, -1.5), atol=1e-12)


def test_sibling_frames_connect_through_their_common_parent():
    tree = TfTree()
    tree.add("map", "base_link", (5, 0, 0), NONE)
    tree.add("map", "pole", (8, 1, 3), NONE)
    np.testing.assert_allclose(tree.base_from("base_link", "pole")[:3, 3], (3, 1, 3))


def test_unconnected_frames_have_no_pose():
    tree = TfTree()
    assert tree.base_from("base_link", "camera") is None
    tree.add("base_link", "mast", (1, 0, 1), NONE)
    tree.add("other", "camera", (1, 0, 1), NONE)
    assert tree.base_from("base_link", "camera") is None
    np.testing.assert_allclose(tree.base_from("base_link", "base_link"), np.eye(4))


def test_a_cycle_of_frames_does_not_hang():
    tree = TfTree()
    tree.add("a", "b", (1, 0, 0), NONE)
    tree.add("b", "a", (1, 0, 0), NONE)
    assert tree.base_from("c", "a") is None


def test_a_moving_transform_is_valid_near_its_time_only():
    tree = TfTree()
    for second in range(3):
        tree.add("base_link", "gimbal", (second, 0, 1), NONE, second * SECOND)
    assert tree.base_from("base_link", "gimbal")[0, 3] == 2
    assert tree.base_from("base_link", "gimbal", SECOND + SECOND // 10)[0, 3] == 1
    assert tree.base_from("base_link", "gimbal", 9 * SECOND) is None
    tree.add("base_link", "gimbal", (7, 0, 1), NONE, 0)  # a recording started over
    assert tree.base_from("base_link", "gimbal")[0, 3] == 7


@pytest.mark.parametrize("quaternion", [(0, 0, 0, 0), (float("nan"), 0, 0, 1), (5, 5, 5, 5)])
def test_an_invalid_rotation_is_ignored(quaternion):
    tree = TfTree()
    tree.add("base_link", "camera", (1, 0, 1), quaternion)
    assert tree.base_from("base_link", "camera") is None
    with pytest.raises(CalibrationError, match="not a unit quaternion"):
        pose_from_quaternion((0, 0, 0), quaternion)
