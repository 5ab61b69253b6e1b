"""Images from messages: the range of 16-bit samples, turning, and what is said once."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from camera_perception.core.errors import BadImage
from camera_perception.core.types import Frame, Status
from camera_perception.image.health import HealthMonitor
from camera_perception.image.reader import ImageReader
from camera_perception.image.sample_range import SampleRange
from camera_perception.image.turn import Turn

RNG = np.random.default_rng(3)
H, W = 48, 64
RAMP = np.linspace(0, 1, H * W).reshape(H, W)


def raw(samples: np.ndarray, encoding: str = "mono16") -> SimpleNamespace:
    """A sensor_msgs/Image."""
    height, width = samples.shape[:2]
    return SimpleNamespace(
        encoding=encoding,
        height=height,
        width=width,
        step=samples.strides[0],
        is_bigendian=0,
        data=np.frombuffer(samples.tobytes(), np.uint8),
    )


def counts(low: float, high: float) -> np.ndarray:
    """A ramp of samples (H, W) uint16."""
    return (low + RAMP * (high - low)).astype(np.uint16)


@pytest.mark.parametrize(("low", "high"), [(0, 1023), (0, 4095), (0, 16383), (20000, 24000), (65000, 65535)])
@pytest.mark.parametrize("encoding", ["mono16", "16UC1", "bayer_rggb16"])
def test_cameras_that_use_part_of_16_bits_fill_the_8_bits(low, high, encoding):
    reader = ImageReader()
    image = reader.read(raw(counts(low, high), encoding))
    assert image.min() <= 4
    assert image.max() >= 251
    assert reader.flags == Status.RANGE_STRETCHED
    health = HealthMonitor().update(Frame(image, 0))
    assert not health.flags & Status.IMAGE_DARK


def test_full_16_bits_stay_as_they_are():
    reader, samples = ImageReader(), counts(0, 65535)
    np.testing.assert_array_equal(reader.read(raw(samples))[:, :, 0], np.rint(samples * (255 / 65535)))
    assert not reader.flags


def test_the_noise_of_a_covered_lens_stays_dark():
    image = ImageReader().read(raw(RNG.integers(60, 75, (H, W)).astype(np.uint16)))
    assert HealthMonitor().update(Frame(image, 0)).flags & Status.IMAGE_DARK


@pytest.mark.parametrize(
    ("given", "samples", "expected"),
    [
        ("0,4095", (0, 4095), (0, 255)),
        ("0,4095", (4095, 60000), (255, 255)),
        ("1000,3000", (0, 1000), (0, 0)),
        ("1000,3000", (1000, 3000), (0, 255)),
        ("full", (0, 4095), (0, 16)),
    ],
)
def test_a_given_range_is_used_for_every_image(given, samples, expected):
    reader = ImageReader(range16=given)
    image = reader.read(raw(counts(*samples)))
    assert (image.min(), image.max()) == expected
    assert not reader.flags


@pytest.mark.parametrize("given", ["", "4095", "5,5", "9,1", "0,70000", "-1,5", "a,b", "nan,5", "1,2,3"])
def test_a_broken_range_is_refused(given):
    with pytest.raises(BadImage, match="give auto, full, or LOW,HIGH"):
        SampleRange(given)


def test_the_range_follows_the_scene_without_flicker():
    follow = SampleRange()
    first = follow(counts(1000, 3000))
    np.testing.assert_array_equal(follow(counts(1000, 3000)), first)
    hot = counts(1000, 3000)
    hot[:8] = 6000  # a hot object enters
    sudden = follow(hot)
    assert np.abs(sudden[16:].astype(int) - first[16:]).mean() < 30
    for _ in range(60):
        settled = follow(hot)
    assert settled.max() >= 250
    assert settled[16:].max() < 120


def test_8_bit_images_after_16_bit_ones_carry_no_flag():
    reader = ImageReader()
    reader.read(raw(counts(0, 4095)))
    assert reader.flags
    reader.read(raw(RNG.integers(0, 256, (H, W)).astype(np.uint8), "mono8"))
    assert not reader.flags


@pytest.mark.parametrize("kind", ["raw", "compressed"])
def test_images_are_turned(kind):
    image = RNG.integers(0, 256, (H, W, 3)).astype(np.uint8)
    message = raw(image, "bgr8")
    if kind == "compressed":
        message = SimpleNamespace(format="bgr8; png compressed bgr8", data=cv2.imencode(".png", image)[1].ravel())
    np.testing.assert_array_equal(ImageReader(Turn(90)).read(message), np.rot90(image, -1))
    np.testing.assert_array_equal(ImageReader(Turn(270, True)).read(message), np.rot90(image[:, ::-1]))


def test_lost_colours_are_said_once():
    said = []
    reader = ImageReader(warn=said.append)
    grey = cv2.imencode(".png", RNG.integers(0, 256, (H, W)).astype(np.uint8))[1].ravel()
    for _ in range(3):
        reader.read(SimpleNamespace(format="yuv422_yuy2; png compressed mono8", data=grey))
    assert len(said) == 1
    assert "cannot be recovered" in said[0]
