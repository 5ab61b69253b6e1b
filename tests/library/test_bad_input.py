"""Bad input gives correct metric output, or none and a status with the reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from camera_perception.core.model_spec import load_spec
from camera_perception.core.types import Frame, Perception, Status
from camera_perception.engines.select import load_engine
from camera_perception.geometry.camera import Camera, optical_from_rpy
from camera_perception.pipeline import Pipeline

MS, START = 1_000_000, 1_000_000_000_000
WHY = Status.UNCALIBRATED | Status.TF_MISSING | Status.IMAGE_FROZEN | Status.CLOCK_JUMP


def camera(width: int = 160, height: int = 96, pose: np.ndarray | None = None) -> Camera:
    k = np.array([[120.0, 0, 80], [0, 120, 48], [0, 0, 1]])
    pose = optical_from_rpy((1.5, 0.0, 1.4), (0.0, 0.05, 0.0)) if pose is None else pose
    return Camera(width, height, k, np.zeros(0), base_from_camera=pose)


def picture(seed: int, size: tuple[int, int] = (96, 160)) -> np.ndarray:
    """A lit road and a bright car."""
    image = np.random.default_rng(seed).integers(90, 120, (*size, 3), dtype=np.uint8)
    image[58:72, 60:90] = 250
    return image


def frame(number: int, stamp_ns: int | None = None, **more: Any) -> Frame:
    return Frame(picture(number, **more), START + number * 50 * MS if stamp_ns is None else stamp_ns, "front")


@pytest.fixture(scope="module")
def spec(tiny_model):
    return load_spec(tiny_model)


@pytest.fixture(scope="module")
def engine(spec):
    engine = load_engine(spec, "onnxruntime")
    yield engine
    engine.close()


@pytest.fixture
def pipeline(spec, engine):
    return Pipeline(spec, engine, camera())


def metres(perception: Perception) -> bool:
    """Whether anything in it is metric."""
    objects, road = perception.objects, perception.road
    metric_values = (objects.positions, objects.velocities, objects.ground_widths)
    found = any(np.isfinite(values).any() for values in metric_values)
    lanes = any(line.ground is not None for line in perception.lanes)
    ground = road is not None and (len(road.polygon) > 0 or np.isfinite(road.free_distance_ahead))
    return bool(found or lanes or ground or perception.ego_lane is not None or perception.base_frame)


def test_good_input_has_metric_output_and_no_flags(pipeline):
    for number in range(4):
        perception = pipeline.run(frame(number))
    assert metres(perception)
    assert not Status(perception.status_flags) & WHY


@pytest.mark.parametrize(
    "wrong",
    [None, replace(camera(), base_from_camera=None), camera(width=320), camera(height=480)],
    ids=["none", "no pose", "other width", "other height"],
)
def test_an_unknown_camera_gives_no_metric_output(pipeline, wrong):
    pipeline.camera = wrong
    perception = pipeline.run(frame(0))
    assert len(perception.objects)
    assert not metres(perception)
    assert Status(perception.status_flags) & Status.UNCALIBRATED


def test_a_camera_lost_during_a_drive_disables_metric_output(pipeline):
    for number in range(4):
        pipeline.run(frame(number))
    pipeline.camera = None
    perception = pipeline.run(frame(4))
    assert not metres(perception)
    assert Status(perception.status_flags) & Status.UNCALIBRATED


def test_a_resized_image_keeps_its_metres_and_says_so(pipeline):
    for number in range(4):
        before = pipeline.run(frame(number))
    perceptions = [pipeline.run(frame(4 + number, size=(192, 320))) for number in range(3)]
    assert [metres(each) for each in perceptions] == [True] * 3
    assert all(Status(each.status_flags) & Status.INTRINSICS_RESIZED for each in perceptions)
    assert not Status(before.status_flags) & Status.INTRINSICS_RESIZED


def test_a_changed_aspect_ratio_has_no_metric_output_until_its_calibration_arrives(pipeline):
    for number in range(4):
        pipeline.run(frame(number))
    perceptions = [pipeline.run(frame(4 + number, size=(240, 320))) for number in range(3)]
    assert [metres(each) for each in perceptions] == [False] * 3
    assert Status(perceptions[0].status_flags) & Status.RESOLUTION_CHANGED
    assert all(Status(each.status_flags) & Status.UNCALIBRATED for each in perceptions)
    pipeline.camera = camera(320, 240)
    assert metres(pipeline.run(frame(7, size=(240, 320))))


def test_a_frozen_image_has_no_metric_output(pipeline):
    for number in range(4):
        pipeline.run(frame(number))
    still = picture(4)
    perceptions = [pipeline.run(Frame(still, START + (4 + number) * 50 * MS)) for number in range(14)]
    frozen = [bool(Status(each.status_flags) & Status.IMAGE_FROZEN) for each in perceptions]
    assert frozen[-1]
    assert not any(metres(each) for each, stands in zip(perceptions, frozen) if stands)
    assert not Status(perceptions[-1].status_flags) & Status.UNCALIBRATED  # that is not the reason
    assert metres(pipeline.run(frame(20)))


def test_a_repeated_image_changes_no_position_or_velocity(pipeline):
    for number in range(12):
        once = pipeline.run(frame(number))
    again = pipeline.run(frame(11))
    assert again.objects.track_ids.tolist() == once.objects.track_ids.tolist()
    np.testing.assert_allclose(again.objects.positions, once.objects.positions, rtol=0.02)
    assert not np.nan_to_num(np.abs(again.objects.velocities)).max() > 1.0


@pytest.mark.parametrize("back_ms", [20, 400, 60_000])
def test_a_stamp_that_goes_backwards_is_flagged_and_gives_no_velocity(pipeline, back_ms):
    for number in range(12):
        before = pipeline.run(frame(number))
    back = pipeline.run(frame(12, START + 550 * MS - back_ms * MS))
    assert Status(back.status_flags) & Status.CLOCK_JUMP
    assert np.isnan(back.objects.velocities).all()
    np.testing.assert_allclose(back.objects.positions, before.objects.positions, rtol=0.1)


class Broken:
    """An engine whose boxes hold a value that is none."""

    def __init__(self, engine: Any, value: float, rows: slice) -> None:
        self._engine, self._value, self._rows = engine, value, rows

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def wait(self, slot: Any) -> None:
        self._engine.wait(slot)
        slot.outputs["boxes"][0, self._rows] = self._value


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rows", [slice(None), slice(0, 1)], ids=["all", "the first"])
def test_invalid_boxes_give_no_objects(spec, engine, value, rows):
    pipeline = Pipeline(spec, Broken(engine, value, rows), camera())
    for number in range(4):
        perception = pipeline.run(frame(number))
        assert np.isfinite(perception.objects.boxes).all()
    assert not (rows == slice(None) and len(perception.objects))
    assert perception.lanes  # other outputs are unaffected
