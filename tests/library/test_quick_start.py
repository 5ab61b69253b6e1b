"""The five lines of the README."""

from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import pytest

import camera_perception
from camera_perception.core.errors import BadImage


def picture(number: int = 0) -> np.ndarray:
    """A lit road with a bright car, as tests/replay draws it."""
    image = np.full((192, 320, 3), 90, np.uint8)
    image[100:140, 60 + 6 * number : 140 + 6 * number] = 235
    return image + np.random.default_rng(number).integers(0, 9, image.shape, np.uint8)


@pytest.fixture(scope="module")
def perception(tiny_model):
    with camera_perception.Perception.load(tiny_model, engine="onnxruntime", threads=1) as opened:
        yield opened


def test_an_image_or_its_file_gives_the_same_objects(perception, tmp_path):
    cv2.imwrite(str(tmp_path / "road.png"), picture())
    perception.reset()
    seen = perception(picture())
    assert perception.names(seen).count("car") == 1
    perception.reset()
    again = perception(tmp_path / "road.png")
    np.testing.assert_array_equal(seen.objects.boxes, again.objects.boxes)
    assert perception.draw(seen).shape == (192, 320, 3)
    assert (perception.draw(seen) != seen.frame.image).any()


def test_objects_are_tracked_from_image_to_image(perception):
    perception.reset()
    ids = [perception(picture(number)).objects.track_ids.tolist() for number in range(4)]
    assert len({tuple(each) for each in ids[2:]}) == 1
    assert perception(picture(4), stamp=1000.0).frame.stamp_ns == 10**12


@pytest.mark.parametrize(("rotate", "mirror"), [(180, False), (0, True), (90, False)])
def test_images_are_turned_before_they_are_perceived(tiny_model, perception, rotate, mirror):
    upright = picture()
    received = np.rot90(upright, rotate // 90)  # anticlockwise: what a camera mounted that way sends
    received = np.ascontiguousarray(received[:, ::-1] if mirror else received)
    with camera_perception.Perception.load(
        tiny_model, engine="onnxruntime", threads=1, rotate=rotate, mirror=mirror
    ) as turned:
        seen = turned(received)
    perception.reset()
    np.testing.assert_array_equal(seen.frame.image, upright)
    np.testing.assert_array_equal(seen.objects.boxes, perception(upright).objects.boxes)


def test_nothing_is_reported_in_an_ignored_region(tiny_model, perception, tmp_path):
    perception.reset()
    box = perception(picture()).objects.boxes[0]
    mask = np.zeros((192, 320), np.uint8)
    mask[int(box[1]) - 5 : int(box[3]) + 5, int(box[0]) - 5 : int(box[2]) + 5] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    with camera_perception.Perception.load(
        tiny_model, engine="onnxruntime", threads=1, ignore=[str(tmp_path / "mask.png")]
    ) as blind:
        assert blind.names(blind(picture())).count("car") == 0


def test_what_is_no_image_is_named(perception, tmp_path):
    with pytest.raises(BadImage, match="give a picture"):
        perception(tmp_path / "absent.jpg")


def test_the_package_is_light_until_its_class_is_used():
    program = "import sys, camera_perception; print('numpy' in sys.modules, camera_perception.Perception.__name__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "Perception"]
    with pytest.raises(AttributeError):
        camera_perception.Other  # noqa: B018
