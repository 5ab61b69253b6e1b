"""Samples, homographies and the arrays that losses read."""

import numpy as np
import pytest

from perception_models.data import Boxes, Lane, Lanes, Sample, collate, targets
from perception_models.data.labels import LINE_TYPES, POSITIONS
from perception_models.data.targets import columns_at, row_centres
from perception_models.data.warp import letterbox, mirror, warp, warp_boxes, warp_points

SIZE = (128, 256)


def sample(**labels) -> Sample:
    return Sample("s", np.full((64, 128, 3), 50, np.uint8), **labels)


def test_missing_labels_are_unknown_in_every_array():
    out = targets(sample(), SIZE)
    assert not out["has_boxes"]
    assert (out["classes"] == -1).all()
    assert (out["drivable"] == 255).all()
    assert (out["semantic"] == 255).all()
    assert (out["lane_exists"] == -1).all()
    assert np.isnan(out["lane_x"]).all()
    assert {int(out[name]) for name in ("weather", "scene", "timeofday")} == {-1}


def test_an_image_without_objects_is_labelled_as_empty():
    out = targets(sample(boxes=Boxes.empty()), SIZE)
    assert out["has_boxes"]
    assert (out["classes"] == -1).all()


def test_boxes_are_in_network_pixels_and_padding_is_minus_one():
    out = targets(sample(boxes=Boxes([[10, 20, 30, 40]], [2], [False], [-1])), SIZE, max_boxes=3)
    np.testing.assert_allclose(out["boxes"][0], [20, 40, 60, 80])
    assert out["classes"].tolist() == [2, -1, -1]


def test_the_largest_boxes_are_kept_when_there_are_too_many():
    rows = [[0, 0, 10, h] for h in (5, 40, 20)]
    out = targets(sample(boxes=Boxes(rows, [0, 1, 2], [False] * 3, [-1] * 3)), SIZE, max_boxes=2)
    assert sorted(out["classes"].tolist()) == [1, 2]


def test_letterbox_padding_is_unlabelled():
    out = targets(sample(drivable=np.ones((64, 128), np.uint8)), (256, 256))
    assert (out["drivable"][16:48] == 1).all()
    assert (out["drivable"][:15] == 255).all()
    assert (out["drivable"][49:] == 255).all()
    assert (out["images"][:60] == 114).all()


@pytest.mark.parametrize(
    ("known", "lines", "expected"),
    [
        ({-1, 1}, [], [-1, -1, 0, 0, -1, -1]),
        (set(POSITIONS), [], [0] * 6),
        ({-1, 1}, [Lane([[60, 20], [20, 64]], -1)], [-1, -1, 1, 0, -1, -1]),
        (set(), [Lane([[60, 20], [20, 64]], 2)], [-1, -1, -1, -1, 1, -1]),
        (set(POSITIONS), [Lane([[60, 20], [20, 64]], 0)], [0] * 6),  # other lines fill no slot
        ({1}, [Lane([[300, 20], [290, 64]], 1)], [-1, -1, -1, 0, -1, -1]),  # outside the image
    ],
)
def test_only_labelled_positions_can_be_absent(known, lines, expected):
    out = targets(sample(lanes=Lanes(lines, frozenset(known))), SIZE)
    assert out["lane_exists"].tolist() == expected


def test_line_crossings_match_the_analytic_solution():
    line = Lane([[100, 0], [200, 80]])  # u = 100 + 1.25 v
    assert line.points[0, 1] == 80  # near end first
    rows = row_centres(128)
    expected = np.where(rows <= 80, 100 + 1.25 * rows, np.nan)
    np.testing.assert_allclose(columns_at(line, rows, 256), expected, rtol=1e-5)


def test_of_two_crossings_of_a_row_the_nearest_is_used():
    line = Lane([[50, 100], [60, 40], [70, 60]])
    assert columns_at(line, np.array([52.0]), 256)[0] == pytest.approx(58)


def test_batches_are_cut_to_the_longest_list_of_boxes():
    pytest.importorskip("torch")
    one = targets(sample(boxes=Boxes([[0, 0, 20, 20]] * 2, [1, 1], [0, 0], [-1, -1])), SIZE)
    batch = collate([one, targets(sample(), SIZE)])
    assert batch["boxes"].shape == (2, 2, 4)
    assert batch["has_boxes"].tolist() == [True, False]
    assert batch["images"].shape == (2, 128, 256, 3)


@pytest.mark.parametrize("size", [(1, 1), (375, 1242), (720, 1280), (360, 480)])
def test_the_letterbox_equals_that_of_the_library(size):
    camera_perception = pytest.importorskip("camera_perception.image.letterbox")
    theirs = camera_perception.Letterbox.fit(size, (384, 640))
    corners = np.array([[0, 0], [size[1], size[0]], [size[1] / 3, size[0] / 7]])
    ours = warp_points(corners, letterbox(size, (384, 640)))
    np.testing.assert_allclose(ours, theirs.input_from_image(corners), atol=1e-3)


def test_mirroring_swaps_sides_and_markings():
    line = Lane([[30, 64], [60, 20]], -2, LINE_TYPES.index("solid_dashed"), 0)
    flipped = warp(sample(lanes=Lanes([line], frozenset({-2, 1}))), mirror(128), (64, 128)).lanes
    assert flipped.lines[0].position == 2
    assert LINE_TYPES[flipped.lines[0].line_type] == "dashed_solid"
    assert flipped.labelled_positions == {2, -1}
    np.testing.assert_allclose(flipped.lines[0].points, [[98, 64], [68, 20]])


def test_a_barely_visible_box_is_ignored_and_one_outside_is_removed():
    boxes = Boxes([[0, 0, 100, 20], [-50, 0, 5, 20], [-50, 0, -5, 20]], [2, 2, 2], [False] * 3, [-1] * 3)
    moved = warp_boxes(boxes, np.eye(3), (100, 100))
    assert moved.ignored.tolist() == [False, True]
    assert moved.boxes[1].tolist() == [0, 0, 5, 20]


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("pitch", [0.0, 4.0])
def test_the_warped_camera_projects_the_road_to_the_warped_pixels(mirrored, pitch):
    from perception_models.data.augment.geometry import rotation_homography, zoom_about

    lens = np.array([[100, 0, 64], [0, 100, 30], [0, 0, 1.0]])
    pose = np.eye(4)
    pose[:3] = [[0, 0, 1, 1.5], [-1, 0, 0, 0.2], [0, -1, 0, 1.4]]  # looks forward from 1.4 m
    road = np.array([[12.0, 3.0, 0.0], [30.0, -4.0, 0.0]])
    matrix = zoom_about((64, 128), 1.3, np.array([0.05, -0.02]), 0.5) @ rotation_homography(
        (64, 128), np.array([pitch, 1.0, 2.0]), lens
    )
    matrix = mirror(128) @ matrix if mirrored else matrix
    out = warp(sample(intrinsics=lens, base_from_camera=pose), matrix, (64, 128))
    expected = warp_points(project(road, lens, pose), matrix)
    world = road * (1, -1 if mirrored else 1, 1)
    np.testing.assert_allclose(project(world, out.intrinsics, out.base_from_camera), expected, atol=1e-3)
    assert out.intrinsics[0, 0] > 0
    assert np.linalg.det(out.base_from_camera[:3, :3]) == pytest.approx(1)


def project(points, lens, pose):
    camera = np.c_[points, np.ones(len(points))] @ np.linalg.inv(pose).T
    pixels = camera[:, :3] @ lens.T
    return pixels[:, :2] / pixels[:, 2:]
