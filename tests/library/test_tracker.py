"""Stable ids, correct velocities and consistent covariances, on drives with analytic ground truth."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from camera_perception.core.boxes import iou_matrix
from camera_perception.core.types import Detections, Edge, EgoMotion, Objects, PositionMethod
from camera_perception.geometry.camera import Camera, optical_from_rpy
from camera_perception.geometry.kalman import compensate_ego_motion, predict_ground, update_ground, update_scalars
from camera_perception.objects.localize import locate_objects
from camera_perception.objects.tracker.association import mahalanobis
from camera_perception.objects.tracker.config import TrackerConfig
from camera_perception.objects.tracker.tracker import ObjectTracker

CLASSES = ("car", "truck", "pedestrian", "traffic light")
STEP = 50_000_000  # 20 Hz
SIZE = (720, 1280)


def detected(
    *centers: tuple[float, float], scores: list[float] | None = None, class_id: int = 0, lights: list | None = None
) -> Objects:
    """Objects of 60 x 40 px with centres u v, without positions."""
    n = len(centers)
    center = np.array(centers, np.float32).reshape(n, 2)
    boxes = np.concatenate((center - (30, 20), center + (30, 20)), axis=1).astype(np.float32)
    states = np.array(lights, np.float32) if lights is not None else np.zeros((n, 0), np.float32)
    all_scores = np.full(n, 0.9, np.float32) if scores is None else np.array(scores, np.float32)
    return Objects.of(Detections(boxes, all_scores, np.full(n, class_id, np.int32), states))


def located(objects: Objects, positions: np.ndarray, sigma: float = 0.5) -> Objects:
    objects.positions[:, :2], objects.positions[:, 2] = positions, 0.0
    objects.position_covs[:] = np.eye(2) * sigma**2
    objects.position_methods[:] = PositionMethod.GROUND_PLANE
    return objects


def run(tracker: ObjectTracker, frames: Iterator[Objects] | list[Objects], start: int = 0) -> list[Objects]:
    return [tracker.update(objects, start + i * STEP, image_size=SIZE) for i, objects in enumerate(frames)]


def test_without_detections_there_are_no_tracks():
    assert len(ObjectTracker(CLASSES).update(detected(), 0)) == 0


def test_iou_agrees_with_a_hand_calculation():
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]], float)
    np.testing.assert_allclose(iou_matrix(boxes[:1], boxes), [[1.0, 50 / 150, 0.0]])


def test_mahalanobis_distance_agrees_with_a_hand_calculation():
    a, b = np.zeros((1, 2)), np.array([[3.0, 4.0], [np.nan, 0]])
    found = mahalanobis(a, np.diag([4.0, 8.0])[None], b, np.stack([np.diag([5.0, 8.0])] * 2))
    assert found[0, 0] == pytest.approx(9 / 9 + 16 / 16)
    assert np.isnan(found[0, 1])


def test_kalman_filters_agree_with_the_textbook():
    """One scalar: prior 0 +- 2, measured 3 +- 1 -> 2.4, variance 0.8."""
    mean, cov = update_scalars(np.zeros((1, 2)), np.diag([4.0, 1.0])[None], np.array([3.0]), np.array([1.0]))
    assert (mean[0, 0], cov[0, 0, 0]) == pytest.approx((2.4, 0.8))
    mean, cov = predict_ground(np.array([[1.0, 2, 3, 4, 1.6]]), np.zeros((1, 5, 5)), 0.5, np.array([2.0]))
    np.testing.assert_allclose(mean, [[2.5, 4, 3, 4, 1.6]])
    assert (cov[0, 0, 0], cov[0, 0, 2], cov[0, 2, 2]) == pytest.approx((4 * 0.5**3 / 3, 4 * 0.5**2 / 2, 4 * 0.5))
    mean, cov = update_ground(np.zeros((1, 5)), np.eye(5)[None] * 4, np.array([[3.0, 0]]), np.eye(2)[None])
    assert (mean[0, 0], cov[0, 0, 0]) == pytest.approx((2.4, 0.8))


def test_covariance_grows_with_time_not_with_the_number_of_frames():
    start = np.zeros((1, 5)), np.diag([1.0, 1, 4, 4, 0.1])[None]
    once = predict_ground(*start, 0.4, np.array([1.5]))
    often = start
    for _ in range(8):
        often = predict_ground(*often, 0.05, np.array([1.5]))
    np.testing.assert_allclose(often[1], once[1])


def test_a_stationary_object_moves_in_the_axes_of_a_turning_car():
    mean, _ = compensate_ego_motion(np.array([[10.0, 0, 5, 0, 1.6]]), np.eye(5)[None], EgoMotion(2.0, 0.0, np.pi / 2))
    np.testing.assert_allclose(mean, [[0.0, -8.0, 0.0, -5.0, 1.6]], atol=1e-12)


def test_ids_stay_while_two_cars_pass_each_other():
    frames = [detected((200 + 20 * i, 300), (1000 - 20 * i, 345)) for i in range(40)]
    ids = [tuple(found.track_ids[:2]) for found in run(ObjectTracker(CLASSES), frames)]
    assert set(ids) == {(1, 2)}


def test_a_car_hidden_for_a_second_comes_back_under_its_id():
    tracker = ObjectTracker(CLASSES)
    frames = (
        [detected((200 + 8 * i, 300)) for i in range(20)]
        + [detected()] * 20
        + [detected((200 + 8 * i, 300)) for i in range(40, 45)]
    )
    found = run(tracker, frames)
    assert {int(each.track_ids[0]) for each in found if len(each)} == {1}
    assert [len(each) for each in found[20:40]] == [1] * 10 + [0] * 10  # published for half a second
    assert found[25].coasted.all()
    np.testing.assert_allclose(found[29].boxes[0, 0], 170 + 8 * 29, atol=4)
    assert found[29].scores[0] < found[21].scores[0] < 0.9


def test_a_single_detection_does_not_coast():
    found = run(ObjectTracker(CLASSES), [detected((200, 300)), detected(), detected()])
    assert [len(each) for each in found] == [1, 0, 0]


def test_low_score_detections_continue_tracks_but_start_none():
    tracker = ObjectTracker(CLASSES)
    high, low = detected((200, 300)), detected((202, 300), (900, 300), scores=[0.2, 0.2])
    found = run(tracker, [high, high, low])
    assert found[-1].track_ids.tolist() == [1]


@pytest.mark.parametrize("stamps", [(0, STEP, -STEP), (0, STEP, 100 * STEP + STEP * 20)])
def test_all_ids_are_new_after_a_clock_jump(stamps):
    tracker = ObjectTracker(CLASSES)
    ids = [int(tracker.update(detected((200, 300)), stamp).track_ids[0]) for stamp in stamps]
    assert ids == [1, 1, 2]


def test_ids_survive_the_same_frame_twice():
    tracker = ObjectTracker(CLASSES)
    ids = [
        tracker.update(detected((200, 300), (500, 300)), stamp).track_ids.tolist()
        for stamp in (0, STEP, STEP, 2 * STEP)
    ]
    assert ids == [[1, 2]] * 4


def test_duplicate_boxes_are_one_object():
    found = ObjectTracker(CLASSES).update(detected((200, 300), (201, 300), (600, 300), scores=[0.6, 0.9, 0.9]), 0)
    assert sorted(found.scores.tolist()) == pytest.approx([0.9, 0.9])


def test_the_class_is_the_most_frequently_detected_one():
    tracker = ObjectTracker(CLASSES)
    classes = [0, 0, 0, 1, 0, 1, 0]
    found = [tracker.update(detected((200, 300), class_id=each), i * STEP) for i, each in enumerate(classes)]
    assert [int(each.classes[0]) for each in found] == [0] * 7
    assert {int(each.track_ids[0]) for each in found} == {1}


def test_a_car_track_does_not_match_a_pedestrian():
    tracker = ObjectTracker(CLASSES)
    found = [tracker.update(detected((200, 300), class_id=each), i * STEP) for i, each in enumerate((0, 2))]
    assert [int(each.track_ids[0]) for each in found] == [1, 2]


def test_a_light_ignores_a_flicker_of_one_frame_and_changes_state_within_half_a_second():
    red, green = [0.9, 0.05, 0.05], [0.05, 0.05, 0.9]
    states = [red] * 10 + [green] + [red] * 5 + [green] * 10
    tracker = ObjectTracker(CLASSES)
    found = [
        tracker.update(detected((600, 100), class_id=3, lights=[state]), i * STEP) for i, state in enumerate(states)
    ]
    published = [int(each.light_states[0].argmax()) for each in found]
    assert published[:16] == [0] * 16
    assert published[-1] == 2
    assert sum(a != b for a, b in zip(published, published[1:])) == 1


def test_velocity_after_a_second_is_correct_and_its_sigma_consistent():
    rng = np.random.default_rng(3)
    errors, sigmas, normalised = [], [], []
    for _ in range(100):
        tracker, speed = ObjectTracker(CLASSES), rng.uniform(-10, 5)
        bias = rng.normal(0, 0.5 * np.sqrt(0.5), 2)
        for i in range(25):
            position = np.array([40 + speed * i * 0.05, 2.0])
            measured = position + bias + rng.normal(0, 0.5 * np.sqrt(0.5), 2)
            found = tracker.update(located(detected((600, 300)), measured), i * STEP)
        errors.append(found.velocities[0, 0] - speed)
        sigmas.append(np.sqrt(found.velocity_covs[0, 0, 0]))
        normalised.append((found.positions[0, 0] - position[0]) / np.sqrt(found.position_covs[0, 0, 0]))
    assert np.sqrt(np.mean(np.square(errors))) < 1.0
    assert np.mean(np.abs(errors) < sigmas) > 0.64  # never overconfident
    assert np.mean(np.abs(normalised) < 1) == pytest.approx(0.70, abs=0.09)


def test_a_stationary_object_has_no_velocity_when_ego_motion_is_known():
    tracker = ObjectTracker(CLASSES)
    for i in range(30):
        motion = EgoMotion(0.75, 0.0, 0.0) if i else EgoMotion(0.0, 0.0, 0.0)
        found = tracker.update(located(detected((600, 300)), np.array([60 - 0.75 * i, 3.0])), i * STEP, motion)
    np.testing.assert_allclose(found.velocities[0], 0.0, atol=0.2)


def test_velocity_is_unknown_at_first_and_without_positions():
    tracker = ObjectTracker(CLASSES)
    first = tracker.update(located(detected((600, 300), (100, 300))[:1], np.array([30.0, 0.0])), 0)
    assert np.isnan(first.velocities).all()
    later = run(ObjectTracker(CLASSES), [detected((200, 300))] * 20)[-1]
    assert np.isnan(later.velocities).all()
    assert np.isnan(later.positions).all()


def test_a_position_expires_when_nothing_confirms_it():
    tracker = ObjectTracker(CLASSES)
    for i in range(10):
        tracker.update(located(detected((600, 300)), np.array([30.0, 0.0])), i * STEP)
    found = [tracker.update(detected((600, 300)), i * STEP) for i in range(10, 30)]
    assert np.isfinite(found[5].positions[0]).all()
    assert found[5].position_covs[0, 0, 0] > found[0].position_covs[0, 0, 0]
    assert np.isnan(found[-1].positions[0]).all()
    assert found[-1].track_ids[0] == 1


def test_a_replay_gives_the_same_tracks():
    rng = np.random.default_rng(4)
    frames = [detected(*rng.uniform((100, 200), (1100, 600), (12, 2))) for _ in range(15)]
    first, second = (run(ObjectTracker(CLASSES), frames) for _ in range(2))
    for a, b in zip(first, second):
        np.testing.assert_array_equal(a.track_ids, b.track_ids)
        np.testing.assert_array_equal(a.boxes, b.boxes)


def test_only_traffic_lights_get_a_light_state():
    """The decoder gives zeros to all other classes; the track of a car keeps them."""
    tracker = ObjectTracker(CLASSES)
    found = [
        tracker.update(detected((600, 100), class_id=0, lights=[[0.0, 0.0, 0.0, 0.0]]), i * STEP) for i in range(5)
    ]
    assert all(not each.light_states.any() for each in found)


def boxed(*boxes: tuple[float, float, float, float], classes: list[int] | None = None) -> Objects:
    n = len(boxes)
    found = Detections(
        np.array(boxes, np.float32).reshape(n, 4),
        np.full(n, 0.9, np.float32),
        np.array(classes or [0] * n, np.int32),
        np.zeros((n, 0), np.float32),
    )
    return Objects.of(found)


CAMERA = Camera(
    1280,
    720,
    np.array([[1000.0, 0, 640], [0, 1000, 360], [0, 0, 1]]),
    np.zeros(0),
    base_from_camera=optical_from_rpy((0.0, 0.0, 1.5), (0.0, 0.0, 0.0)),
)


def parked(x: float, y: float) -> Objects:
    """An object 1.8 m wide and 1.5 m high, x y metres away, at its exact position."""
    (u, v), size = CAMERA.pixels_from_base(np.array([[x, y, 0.0]]))[0], 1000.0 / x
    return located(boxed((u - 0.9 * size, v - 1.5 * size, u + 0.9 * size, v)), np.array([x, y]), 0.02 * x)


def test_an_object_hidden_while_the_car_drives_on_keeps_its_id():
    """2.5 seconds at 8 m/s: when it reappears, the box has moved and is twice as large."""
    tracker = ObjectTracker(CLASSES)
    for i in range(80):
        x = 45.0 - 0.4 * i
        frame = detected() if 20 <= i < 70 else parked(x, -5.0)
        motion = EgoMotion(0.4 if i else 0.0, 0.0, 0.0)
        found = tracker.update(frame, i * STEP, motion, SIZE, CAMERA)
        if 0 < i < 20 or i >= 70:
            assert found.track_ids.tolist() == [1]
        if i == 28:
            np.testing.assert_allclose(found.boxes, parked(x, -5.0).boxes, atol=3.0)


def test_a_track_without_position_ends_when_lost_for_long():
    tracker = ObjectTracker(CLASSES)
    found = run(tracker, [detected((200, 300))] * 20 + [detected()] * 40 + [detected((200, 300))])
    assert found[-1].track_ids.tolist() == [2]


def test_an_object_keeps_its_id_while_it_enters_or_leaves_the_image():
    widths = [60, 60, 60, 45, 25, 8]
    frames = [boxed((80 - 30 * i, 300, 80 - 30 * i + 60, 350)) for i in range(3)]
    frames += [boxed((0, 300, width, 350)) for width in widths[3:]]
    for objects in frames[3:]:
        objects.truncated[:] = 1
    for order in (frames, frames[::-1]):
        assert {int(each.track_ids[0]) for each in run(ObjectTracker(CLASSES), order)} == {1}


def test_a_rider_and_the_bicycle_stay_two_objects():
    tracker = ObjectTracker(("rider", "bicycle"))
    frames = [
        boxed((300 + 9 * i, 200, 340 + 9 * i, 300), (290 + 9 * i, 250, 350 + 9 * i, 330), classes=[0, 1])
        for i in range(20)
    ]
    assert {tuple(each.track_ids) for each in run(tracker, frames)} == {(1, 2)}


def test_an_occasional_box_of_a_part_is_no_second_object():
    whole, part = (200, 200, 300, 260), (203, 202, 262, 259)
    frames = [boxed(whole), boxed(whole, part), boxed(whole), boxed(part, whole)] * 5
    for objects in frames[1::4]:
        objects.scores[1] = 0.6
    for objects in frames[3::4]:
        objects.scores[0] = 0.6
    found = run(ObjectTracker(CLASSES), frames)
    assert {tuple(each.track_ids[~each.coasted]) for each in found} == {(1,)}


def test_the_score_threshold_can_change_while_running():
    tracker = ObjectTracker(CLASSES)
    weak = detected((200, 300), scores=[0.3])
    assert len(tracker.update(weak, 0)) == 0
    tracker.set_high_score(0.25)
    assert len(tracker.update(weak, STEP)) == 1
    tracker.set_high_score(0.35)
    assert len(tracker.update(weak, 2 * STEP)) == 0


def test_each_class_may_have_its_score_threshold():
    tracker = ObjectTracker(CLASSES, high_score=np.array([0.2] + [0.4] * (len(CLASSES) - 1)))
    both = detected((200, 300), (500, 300), scores=[0.3, 0.3])
    both.classes[1] = 1
    assert tracker.update(both, 0).classes.tolist() == [0]
    tracker.set_high_score(0.2)
    assert tracker.update(both, STEP).classes.tolist() == [0, 1]
    tracker.set_high_score(np.array([0.35] + [0.2] * (len(CLASSES) - 1)))  # ends the track of the first class
    assert tracker.update(both, 2 * STEP).classes.tolist() == [1]


def test_a_score_just_above_the_threshold_continues_a_track_but_starts_none():
    tracker = ObjectTracker(CLASSES)
    tracker.set_high_score(0.5)
    low, high = (detected((200, 300), scores=[score]) for score in (0.52, 0.6))
    found = [tracker.update(objects, i * STEP) for i, objects in enumerate((low, high, low))]
    assert [len(each) for each in found] == [0, 1, 1]
    assert found[1].track_ids[0] == found[2].track_ids[0]
    assert not found[2].coasted.any()


def test_one_outlier_position_does_not_create_a_velocity():
    tracker = ObjectTracker(CLASSES)
    for i in range(40):
        position = np.array([40.0 if i == 30 else 30.0, 0.0])
        found = tracker.update(located(detected((600, 300)), position), i * STEP, EgoMotion(0.0, 0.0, 0.0))
        assert i < 30 or np.abs(found.velocities[0]).max() < 1.0


def test_truncated_boxes_hardly_create_a_velocity():
    speeds = []
    for edge in (0, Edge.RIGHT):
        tracker = ObjectTracker(CLASSES)
        for i in range(26):
            objects = located(detected((600, 300)), np.array([30.0 - 0.3 * max(i - 20, 0), 0.0]))
            objects.truncated[:] = edge if i > 20 else 0
            found = tracker.update(objects, i * STEP, EgoMotion(0.0, 0.0, 0.0))
        speeds.append(np.abs(found.velocities[0]).max())
    assert speeds[1] < 0.5 * speeds[0]


@pytest.mark.parametrize(("scores", "ids"), [((0.5, 0.48), {(1,)}), ((0.9, 0.88), {(1, 2)}), ((0.9, 0.62), {(1,)})])
def test_of_two_overlapping_boxes_the_weaker_is_a_duplicate_unless_both_score_high(scores, ids):
    objects = boxed((200, 200, 300, 290), (230, 205, 330, 295))
    objects.scores[:] = scores
    assert {tuple(each.track_ids) for each in run(ObjectTracker(CLASSES), [objects] * 5)} == ids


def test_cars_in_a_queue_stay_two_objects_although_their_boxes_overlap():
    frames = [boxed((200, 200, 300, 290), (208, 196, 290, 265))] * 20
    assert {tuple(each.track_ids) for each in run(ObjectTracker(CLASSES), frames)} == {(1, 2)}


def test_an_object_with_a_high_score_keeps_its_id_while_its_neighbour_hides_it():
    """Two pedestrians at a distance: as the car passes, the nearer one hides the other for some frames."""
    both, one = boxed((200, 200, 220, 260), (212, 200, 232, 261)), boxed((202, 200, 222, 260))
    frames = [both, one, one, boxed((206, 200, 226, 260), (216, 200, 236, 261))]
    found = run(ObjectTracker(CLASSES), frames)
    assert tuple(found[0].track_ids) == tuple(found[-1].track_ids) == (1, 2)


def test_velocities_change_their_reference_when_odometry_stops_and_resumes():
    """A stationary object, a car at 10 m/s: 0 over the ground, -10 relative to the car; positions stay continuous."""
    tracker, x, found = ObjectTracker(CLASSES), 60.0, {}
    for i in range(100):
        known = not 40 <= i < 60
        motion = EgoMotion(10.0 * STEP / 1e9, 0.0, 0.0) if known and i else None
        x -= 10.0 * STEP / 1e9
        found[i] = tracker.update(located(detected((600, 300)), np.array([x, 0.0])), i * STEP, motion)
        if i > 20:
            assert found[i].velocities[0, 0] == pytest.approx(0.0 if known else -10.0, abs=1.0), i
            assert found[i].positions[0, 0] == pytest.approx(x, abs=0.3), i


def truck(front: float) -> Objects:
    """The visible part of a truck of 8 m in the lane to the left, its front `front` metres ahead."""
    x, y, z = np.meshgrid([max(front, 0.1), front + 8.0], [2.2, 4.7], [0.0, 3.4])
    corners = CAMERA.pixels_from_base(np.column_stack((x.ravel(), y.ravel(), z.ravel())))
    low, high = np.clip([corners.min(0), corners.max(0)], 0, SIZE[::-1])
    return locate_objects(boxed((*low, *high), classes=[1]), CAMERA, CLASSES, SIZE)


def test_an_object_that_passes_close_by_has_a_visible_position_or_none():
    tracker, positions = ObjectTracker(CLASSES), {}
    for i, front in enumerate(np.arange(40.0, -4.0, -0.5)):
        found = tracker.update(truck(front), i * STEP, EgoMotion(0.5, 0.0, 0.0), SIZE, CAMERA)
        assert len(found) == 1, front
        positions[front] = found.positions[0]
    assert all(np.isfinite(position[0]) for front, position in positions.items() if front > 8)
    for front, position in positions.items():
        assert np.isnan(position[0]) or position[0] > 0, f"front at {front} m, position behind the camera: {position}"


@pytest.mark.parametrize(
    ("settings", "published"),
    [
        ({}, [1] * 5 + [1] * 10 + [0] * 5),
        ({"max_coast": 0.1}, [1] * 5 + [1] * 2 + [0] * 13),
        ({"min_hits": 6}, [1] * 5 + [0] * 15),
        ({"init_score_factor": 2.5}, [0] * 20),
    ],
)
def test_settings_decide_how_long_an_object_is_published(settings, published):
    """Five detections of score 0.9, then none: coasted for max_coast seconds once min_hits detections confirm it."""
    tracker = ObjectTracker(CLASSES, TrackerConfig(**settings))
    frames = [detected((200, 300))] * 5 + [detected()] * 15
    assert [len(found) for found in run(tracker, frames)] == published
