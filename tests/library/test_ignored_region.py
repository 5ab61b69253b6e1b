"""Regions in which nothing is reported: from a picture, from polygons, applied to what the network sees."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from camera_perception.core.errors import BadImage
from camera_perception.core.types import ClassMap, Detections, LaneLine, Observations, Task
from camera_perception.lanes.ignored_region import IgnoredRegion, ignored_region, without_ignored
from camera_perception.lanes.image_lines import road_from_drivable

SIZE = 200, 400  # H, W
BOTTOM = "0,0.75 1,0.75 1,1 0,1"  # below row 150


def seen(boxes=(), lanes=(), drivable=None) -> Observations:
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    count = len(boxes)
    detections = Detections(
        boxes, np.ones(count, np.float32), np.arange(count, dtype=np.int32), np.zeros((count, 0), np.float32)
    )
    lines = tuple(LaneLine(np.array(points, np.float32), 0.9) for points in lanes)
    return Observations(Task(7), detections, lines, drivable)


def road(rows: int = 20, columns: int = 40, free_from: int = 10) -> ClassMap:
    """A map that is drivable from a row on, down to the bottom."""
    ids = np.zeros((rows, columns), np.uint8)
    ids[free_from:] = 1
    return ClassMap(ids, ("background", "direct"), np.zeros((2, 3), np.uint8))


@pytest.mark.parametrize(
    ("box", "stays"),
    [
        ((100, 100, 140, 149), True),
        ((100, 160, 140, 199), False),
        ((100, 120, 140, 170), True),  # 40 % inside
        ((100, 130, 140, 170), True),  # half inside
        ((100, 140, 140, 170), False),  # 67 % inside
        ((0, 151, 400, 200), False),
        ((100, 160, 100, 160), False),  # no area
        ((390, 190, 400, 200), False),
    ],
)
def test_objects_mostly_inside_are_dropped(box, stays):
    region = ignored_region([BOTTOM])
    left = without_ignored(seen([box, (10, 10, 50, 50)]), region, SIZE)
    assert left.detections.classes.tolist() == ([0, 1] if stays else [1])


def test_lane_lines_end_at_the_region():
    line = [(200, v) for v in range(199, 99, -10)]
    inside = [(200, v) for v in range(199, 149, -10)]
    one_point = [*inside, (200, 140)]
    left = without_ignored(seen(lanes=[line, inside, one_point]), ignored_region([BOTTOM]), SIZE).lanes
    assert [each.points[:, 1].tolist() for each in left] == [[v for _, v in line if v < 150]]


def test_the_region_is_not_drivable_and_does_not_end_the_free_road():
    region, free = ignored_region([BOTTOM]), road()
    left = without_ignored(seen(drivable=free), region, SIZE).drivable
    assert (left.ids[:15] == free.ids[:15]).all()
    assert not left.ids[15:].any()
    assert free.ids[15:].all()  # the network's own map is untouched
    cells = region.cells((20, 40))
    found = road_from_drivable(left, SIZE, ignored=cells)
    assert found.boundary[:, 1].tolist() == [100.0] * len(found.boundary)
    assert found.coverage == pytest.approx(5 / 15)
    blocked = road_from_drivable(road(free_from=15), SIZE, ignored=cells)
    assert set(blocked.boundary[:, 1]) == {150.0}  # nothing is free right in front of the bonnet


@pytest.mark.parametrize("size", [(200, 400), (60, 120), (1080, 1920), (720, 960)])
def test_a_picture_and_a_polygon_of_it_are_the_same_region_at_every_size(tmp_path, size):
    image = np.zeros(size, np.uint8)
    image[round(size[0] * 0.75) :] = 255
    cv2.imwrite(str(tmp_path / "bonnet.png"), image)
    drawn, written = ignored_region([str(tmp_path / "bonnet.png")]), ignored_region([BOTTOM])
    shape = (96, 160)
    np.testing.assert_array_equal(drawn.cells(shape), written.cells(shape))
    assert drawn.cells(shape)[72:].all()
    assert not drawn.cells(shape)[:72].any()


def test_regions_add_up_and_none_is_none():
    both = ignored_region([BOTTOM, "0,0 0.5,0 0.5,0.25 0,0.25"])
    assert both.contains(np.array([[10, 10], [390, 10], [200, 190]]), SIZE).tolist() == [True, False, True]
    assert ignored_region([]) is None
    assert ignored_region([""]) is None


def test_points_beyond_the_image_belong_to_its_border():
    region = IgnoredRegion(np.array([[False, True]]))
    assert region.contains(np.array([[-5, 0], [500, 0], [400, 200]]), SIZE).tolist() == [False, True, True]


@pytest.mark.parametrize(
    "text", ["absent.png", "0,0 1,1", "0,0 1,1 2,0", "a,b c,d e,f", "0,0 1 1,1", "0,0,1 1,1,1 0,1,1", "nan,0 1,0 1,1"]
)
def test_what_is_no_region_is_refused_with_an_example(text):
    with pytest.raises(BadImage, match="region '.*give"):
        ignored_region([text])


def test_a_text_file_is_no_region(tmp_path):
    (tmp_path / "mask.png").write_text("bonnet")
    with pytest.raises(BadImage, match="is no picture"):
        ignored_region([str(tmp_path / "mask.png")])
