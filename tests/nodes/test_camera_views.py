"""Turned cameras, thermal images and ignored regions, on real topics."""

from __future__ import annotations

import numpy as np
import pytest
from driving import camera_info, image_message, road

from camera_perception.core.types import Status

POSE = [1.5, 0.0, 1.4, 0.0, 0.0, 0.0]
UPSIDE_DOWN = [1.5, 0.0, 1.4, np.pi, 0.0, 0.0]


def answer(camera, number: int, image: np.ndarray):
    camera.send(image_message(number, image))
    return camera.answers(number + 1)[number]


def test_a_camera_upside_down_gives_the_positions_of_an_upright_one(make_camera):
    answers = []
    for pose, options in ((POSE, {}), (UPSIDE_DOWN, {"rotate": 180})):
        camera = make_camera(camera_pose=pose, **options)
        camera.activate()
        info = camera_info()
        info.k[2], info.k[5] = 79.5, 47.5  # the middle of the image in CameraInfo's convention
        camera.infos.publish(info)
        camera.spin_until(lambda camera=camera: camera.calibration.camera, what="calibration")
        image = road() if not options else np.ascontiguousarray(road()[::-1, ::-1])
        answers.append(answer(camera, 0, image))
        camera.node.trigger_deactivate()
    upright, turned = answers
    assert not turned.status_flags & Status.UNCALIBRATED
    assert [(each.cx, each.cy) for each in turned.objects] == [(each.cx, each.cy) for each in upright.objects]
    assert any(lane.has_ground for lane in turned.lanes)
    for a, b in zip(upright.lanes, turned.lanes):
        np.testing.assert_allclose(b.y, a.y, atol=1e-3)


def test_an_ignored_region_and_a_thermal_image(make_camera):
    camera = make_camera(ignore=["0,0.5 1,0.5 1,1 0,1"])
    camera.activate()
    assert not answer(camera, 0, road()).objects
    thermal = (7000 + 4 * road()[..., 1].astype("<u2")).copy()
    camera.send(image_message(1, thermal, "16UC1"))
    flags = camera.answers(2)[1].status_flags
    assert flags & Status.RANGE_STRETCHED
    assert not flags & (Status.IMAGE_DARK | Status.WRONG_ENCODING)


@pytest.mark.parametrize(
    ("parameter", "says"),
    [({"rotate": 45}, "0, 90, 180 or 270"), ({"range16": "12"}, "LOW,HIGH"), ({"ignore": ["x"]}, "PNG")],
)
def test_a_wrong_view_is_refused_at_configure(make_camera, parameter, says):
    camera = make_camera(**parameter)
    camera.node.trigger_configure()
    assert camera.state == "unconfigured"
    assert says in camera.node.failure
