"""Errors in CameraInfo, files and TF disable metric output and are explained."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from driving import camera_info
from test_transforms import OPTICAL, QuietNode, tf

from camera_perception.core.errors import CalibrationError
from camera_perception.core.types import Status
from camera_perception.geometry.camera import optical_from_rpy
from camera_perception_ros.camera.calibration import Calibration
from camera_perception_ros.params.camera import CameraParams
from camera_perception_ros.params.params import ParameterError

POSE = [1.5, 0.0, 1.4, 0.0, 0.0, 0.0]
LENS = """
image_width: 160
image_height: 96
camera_matrix: {rows: 3, cols: 3, data: [120, 0, 80, 0, 120, 48, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0.1, 0, 0, 0, 0]}
projection_matrix: {rows: 3, cols: 4, data: [110, 0, 81, 0, 0, 110, 49, 0, 0, 0, 1, 0]}
"""


def followed(*messages: Any, **params: Any) -> Calibration:
    calibration = Calibration(QuietNode(), CameraParams(**{"camera_pose": POSE, **params}))
    for message in messages:
        calibration.on_info(message)
    return calibration


def bent(**fields: Any) -> Any:
    """A CameraInfo with some fields changed."""
    message = camera_info()
    for name, value in fields.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize("field", ["k", "d", "width", "distortion_model"])
def test_a_camera_info_that_differs_in_the_last_digit_is_used_and_a_repeated_one_is_not(field):
    calibration = followed(camera_info())
    before = calibration.camera
    calibration.on_info(camera_info())
    assert calibration.camera is before
    other = {"k": [np.nextafter(120.0, 121.0), *camera_info().k[1:]], "d": [1e-12, 0.0, 0.0, 0.0, 0.0]}
    calibration.on_info(bent(**{field: {**other, "width": 161, "distortion_model": "rational_polynomial"}[field]}))
    assert calibration.camera is not before


def test_without_camera_info_the_topic_is_named():
    calibration = followed()
    assert (calibration.camera, calibration.flags) == (None, Status.UNCALIBRATED)
    assert "no CameraInfo on camera_info yet" in calibration.text


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (camera_info(focal=0.0), "no usable K"),
        (bent(k=np.full(9, np.nan)), "no usable K"),
        (bent(d=[float("nan")] * 5), "finite"),
        (bent(d=[0.1] * 7), "7 coefficients"),
        (bent(distortion_model="magic"), "'magic' is unknown"),
    ],
    ids=["K = 0", "K = nan", "D = nan", "D too long", "unknown model"],
)
def test_an_invalid_camera_info_disables_metric_output_and_is_explained(message, words):
    calibration = followed(camera_info(), message)
    assert (calibration.camera, calibration.flags) == (None, Status.UNCALIBRATED)
    assert words in calibration.text
    calibration.on_info(camera_info())
    assert (calibration.flags, calibration.text) == (Status(0), "calibrated")


def test_tf_that_puts_the_camera_under_the_road_disables_metric_output(monkeypatch):
    for name, module in (("tf2_ros", None), ("tf2_msgs", SimpleNamespace())):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "tf2_msgs.msg", SimpleNamespace(TFMessage=object))
    calibration = Calibration(QuietNode(), CameraParams())
    calibration._transforms.on_static(tf("base_link", "front_optical_frame", (1.5, 0, -0.2), OPTICAL))
    calibration.on_info(camera_info())
    assert (calibration.camera, calibration.flags) == (None, Status.UNCALIBRATED)
    assert "below the road" in calibration.text


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"camera_pose": [1.5, 0, -1.4, 0, 0, 0]}, "under the road"),
        ({"camera_pose": [1.5, 0, 1.4]}, "3 numbers"),
        ({"calibration_file": "lens.yaml"}, "needs 'camera_pose'"),
    ],
)
def test_contradictory_parameters_are_refused(params, words):
    with pytest.raises(ParameterError, match=words):
        CameraParams(**params).check()


def test_a_file_replaces_camera_info(tmp_path):
    (tmp_path / "lens.yaml").write_text(LENS)
    calibration = followed(camera_info(focal=0.0), calibration_file=str(tmp_path / "lens.yaml"))
    assert calibration.flags == Status(0)
    assert calibration.camera.distortion.tolist() == [0.1, 0, 0, 0, 0]
    np.testing.assert_allclose(calibration.camera.pose, optical_from_rpy(POSE[:3], POSE[3:]))


@pytest.mark.parametrize(
    "params", [{"rectified": True}, {"image_topic": "/front/image_rect"}, {"image_topic": "/front/image_rect_color"}]
)
def test_rectified_images_are_those_of_p_without_distortion(tmp_path, params):
    (tmp_path / "lens.yaml").write_text(LENS)
    message = bent(d=[0.1, 0, 0, 0, 0], p=[110.0, 0, 81, 0, 0, 110, 49, 0, 0, 0, 1, 0])
    read = followed(calibration_file=str(tmp_path / "lens.yaml"), **params).camera
    for camera in (read, followed(message, **params).camera):
        assert (camera.pixel_from_camera[0, 0], camera.pixel_from_camera[0, 2]) == (110.0, 81.5)
        assert not camera.distortion.any()


@pytest.mark.parametrize("text", [None, "[", "image_width: 160", "camera_matrix: 5"])
def test_a_file_that_is_no_calibration_is_named(tmp_path, text):
    if text is not None:
        (tmp_path / "lens.yaml").write_text(text)
    with pytest.raises(CalibrationError, match="lens.yaml is not a camera calibration"):
        followed(calibration_file=str(tmp_path / "lens.yaml"))
