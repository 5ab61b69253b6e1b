"""Camera health: a real drive is healthy; each fault added to it is detected, and no other."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from camera_perception.core.errors import BadImage, UnknownEncoding
from camera_perception.core.types import Frame, Status, flag_names
from camera_perception.image.health import HealthMonitor, brightest, cell_contrast, sample, sharpness

VIDEO = Path(__file__).parents[3] / "shared/data/video/solidWhiteRight.mp4"
PERIOD_NS = 40_000_000
RNG = np.random.default_rng(5)


@lru_cache(maxsize=1)
def drive():
    """Every fifth frame of the recorded drive, shown at any rate: a livelier drive."""
    if not VIDEO.is_file():
        pytest.skip(f"{VIDEO} is not there")
    capture = cv2.VideoCapture(str(VIDEO))
    return [capture.read()[1] for _ in range(150)][::5]


def flags_of(images, monitor=None, period_ns=PERIOD_NS, start_ns=0):
    monitor = monitor or HealthMonitor()
    return [monitor.update(Frame(image, start_ns + i * period_ns)).flags for i, image in enumerate(images)]


def with_fault(fault, healthy=100, faulty=10):
    """Flags of the frames with the fault, after some seconds without it."""
    images = drive()
    return flags_of([*images[:healthy], *(fault(image.copy()) for image in images[healthy - faulty : healthy])])[
        healthy:
    ]


def test_a_real_drive_is_healthy():
    assert set(flags_of(drive())) == {Status(0)}


NOISE = RNG.normal(0, 1, (560, 980, 3)).astype(np.float32)


def noisy(image, deviation=2.0):
    """Sensor noise, different each time."""
    down, right = RNG.integers(0, 20, 2)
    height, width = image.shape[:2]
    return np.clip(image + deviation * NOISE[down : down + height, right : right + width], 0, 255).astype(np.uint8)


def lens_cap(image):
    return noisy(np.full_like(image, 4))


def hand(image):
    return noisy(np.full_like(image, (60, 70, 90)))


def mud(image):
    image[250:, :700] = (50, 60, 70)
    return image


def night(image):
    """A tenth of the light, black sky, the road in the headlights, a few lamps."""
    height, width = image.shape[:2]
    v, u = np.mgrid[:height, :width]
    headlights = np.exp(-(((u - width / 2) / 250) ** 2) - ((v - height * 0.85) / 110) ** 2)
    dark = image * (0.03 + 0.5 * headlights[:, :, None])
    dark[: height // 2] *= 0.2
    for x, y in ((100, 200), (700, 230), (480, 260), (300, 250)):
        cv2.circle(dark, (x, y), 5, (220, 250, 255), -1)
    return dark.astype(np.uint8)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (lens_cap, Status.IMAGE_DARK),
        (lambda image: np.zeros_like(image), Status.IMAGE_DARK | Status.IMAGE_BLOCKED),
        (lambda image: np.full_like(image, 255), Status.IMAGE_OVEREXPOSED | Status.IMAGE_BLOCKED),
        (lambda image: cv2.convertScaleAbs(image, alpha=2.5, beta=60), Status.IMAGE_OVEREXPOSED),
        (lambda image: cv2.GaussianBlur(image, (0, 0), 3), Status.IMAGE_BLURRED),
        (lambda image: cv2.blur(image, (25, 25)), Status.IMAGE_BLURRED),
        (hand, Status.IMAGE_BLOCKED),
        (mud, Status.IMAGE_BLOCKED),
    ],
    ids=["lens cap", "black", "white", "over-exposed", "out of focus", "smeared", "hand", "mud"],
)
def test_each_fault_is_detected_from_its_first_frame(fault, expected):
    for flags in with_fault(fault):
        assert flags & expected == expected


@pytest.mark.parametrize("fault", [lens_cap, hand, lambda image: cv2.GaussianBlur(image, (0, 0), 5)])
def test_a_fault_present_from_the_start_is_detected_without_history(fault):
    bad = Status.IMAGE_DARK | Status.IMAGE_BLOCKED | Status.IMAGE_BLURRED
    assert all(flags & bad for flags in flags_of([fault(image.copy()) for image in drive()[:5]]))


def test_night_is_not_a_fault():
    nights = [night(image) for image in drive()[::2]]
    assert set(flags_of(nights, period_ns=250_000_000)) == {Status(0)}
    assert set(flags_of([noisy(image, 4) for image in nights], period_ns=250_000_000)) == {Status(0)}


def test_a_frozen_driver_is_detected_and_a_parked_car_is_not_mistaken_for_one():
    image = drive()[0]
    assert flags_of([image] * 11)[-2:] == [Status(0), Status.IMAGE_FROZEN]  # ten repetitions
    assert flags_of([image] * 3, period_ns=500_000_000)[-1] == Status.IMAGE_FROZEN  # one second
    assert set(flags_of([noisy(image, 0.5) for _ in range(20)])) == {Status(0)}
    assert set(flags_of([image for image in drive() for _ in range(2)])) == {Status(0)}  # 12 Hz shown at 25 Hz


@pytest.mark.parametrize(
    ("second_ns", "jump"), [(0, False), (33_000_000, False), (-1, True), (4_000_000_000, False), (6_000_000_000, True)]
)
def test_clock_jumps_backwards_or_forwards_are_flagged(second_ns, jump):
    monitor, base = HealthMonitor(), 1_700_000_000_000_000_000
    images = drive()
    assert monitor.update(Frame(images[0], base)).flags == Status(0)
    assert bool(monitor.update(Frame(images[1], base + second_ns)).flags & Status.CLOCK_JUMP) is jump
    assert monitor.update(Frame(images[2], base + second_ns + PERIOD_NS)).flags == Status(0)


@pytest.mark.parametrize(("flag", "flags"), [(True, Status.IMAGE_FROZEN), (False, Status(0))])
def test_identical_images_of_a_simulator_without_noise_can_be_allowed(flag, flags):
    monitor, image = HealthMonitor(), drive()[0]
    monitor.flag_identical = flag
    reports = [monitor.update(Frame(image, index * PERIOD_NS)).flags for index in range(40)]
    assert reports[-1] == flags


def test_a_new_resolution_is_reported_once_and_resets_the_baseline():
    small = [cv2.resize(image, (320, 180)) for image in drive()[:5]]
    flags = flags_of([*drive(), *small], period_ns=150_000_000)
    assert flags[-5:] == [Status.RESOLUTION_CHANGED, *[Status(0)] * 4]


def test_refused_images_are_counted_and_reported_with_the_next_frame():
    monitor = HealthMonitor()
    assert monitor.refuse(BadImage("truncated")) == Status.BAD_IMAGE
    assert monitor.refuse(UnknownEncoding("what")) == Status.WRONG_ENCODING
    report = monitor.update(Frame(drive()[0], 0))
    assert report.flags == Status.BAD_IMAGE | Status.WRONG_ENCODING
    assert report.values["bad_images"] == 2
    assert monitor.update(Frame(drive()[1], PERIOD_NS)).flags == Status(0)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 400), (400, 5), (48, 64), (2160, 3840)])
def test_every_size_gets_a_report(size):
    report = HealthMonitor().update(Frame(RNG.integers(0, 256, (*size, 3), np.uint8), 0))
    assert all(np.isfinite(value) for value in report.values.values())


def test_brightest_is_the_value_that_half_a_percent_exceed():
    values = RNG.integers(0, 200, 20_000)
    expected = np.sort(values)[::-1][100]
    assert brightest(np.bincount(values, minlength=256).tolist()) == expected


def test_cell_contrast_detects_stripes_and_ignores_noise():
    """Stripes of 100 and 120, each a quarter of a cell wide, deviate by 10 in their cell."""
    image = np.full((540, 960, 3), 100, np.uint8)
    image[90:180, 240:360] = np.repeat([100, 120, 100, 120], 30)[:, None]
    contrast = cell_contrast(sample(noisy(image)))
    assert contrast[1, 2] == pytest.approx(10, abs=1)
    contrast[1, 2] = 0
    assert contrast.max() < 1


def test_sharpness_of_noise_is_twenty_times_its_variance():
    """The Laplacian adds five pixels with weights 1 1 -4 1 1, whose squares sum to 20."""
    image = np.clip(RNG.normal(128, 10, (720, 1280, 3)), 0, 255).astype(np.uint8)
    assert sharpness(image) == pytest.approx(20 * 100, rel=0.05)


def test_flag_names():
    assert flag_names(0) == ()
    assert flag_names(Status.IMAGE_DARK | Status.RESOLUTION_CHANGED) == ("IMAGE_DARK", "RESOLUTION_CHANGED")


def test_flags_match_the_constants_of_the_message():
    message = Path(__file__).parents[2] / "ros2_ws/src/camera_perception_msgs/msg/PerceptionFrame.msg"
    numbers = {name: int(value) for name, value in re.findall(r"^uint32 (\w+) *= *(\d+)", message.read_text(), re.M)}
    assert {flag.name: numbers.get(flag.name) for flag in Status} == {flag.name: flag.value for flag in Status}
