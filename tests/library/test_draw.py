"""Drawing: marks have the right position, colour and pattern, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from camera_perception.core.model_spec import HeadSpec, InputSpec, ModelSpec
from camera_perception.core.types import (
    ClassMap,
    Detections,
    Frame,
    GroundLine,
    LaneLine,
    LineColor,
    LineType,
    Objects,
    Perception,
    Road,
    SceneAttribute,
    Status,
    Task,
    Timing,
)
from camera_perception.draw import bird_eye, image_grid, legend_entries, legend_strip, overlay, side_by_side
from camera_perception.draw import boxes as boxes_module
from camera_perception.draw.birds_eye import GROUND, View, caption_height
from camera_perception.draw.boxes import distinct, label_texts
from camera_perception.draw.colors import LINE_COLORS, ORANGE, SKY
from camera_perception.draw.image import HEADER_HEIGHT, header_rect, header_texts, visible_parts
from camera_perception.draw.placement import MOST_COVERED, Placement
from camera_perception.draw.primitives import blend_mask, dashed, draw_label, text_mask, text_size
from camera_perception.draw.scene import light_state, surroundings_of
from camera_perception.objects.footprint import ellipse, rectangle

STATES = ["red", "yellow", "green", "none"]
OBJECTS = HeadSpec(
    "objects", "topk_boxes", {}, ("car", "pedestrian", "traffic light"), options={"light_states": STATES}
)
SPEC = ModelSpec(Path("."), "m", "1", "Apache-2.0", "model.onnx", "0" * 64, InputSpec("images", 640, 384), (OBJECTS,))
GREY_IMAGE = np.full((360, 640, 3), 90, np.uint8)
HEADER = 40  # rows that the header may take, at most


def objects(*rows):
    """Rows of (x0, y0, x1, y1, class)."""
    table = np.array(rows, np.float32).reshape(-1, 5)
    n = len(table)
    return Objects.of(
        Detections(
            table[:, :4], np.full(n, 0.9, np.float32), table[:, 4].astype(np.int32), np.zeros((n, 4), np.float32)
        )
    )


def perception(image=GREY_IMAGE, **parts):
    frame = Frame(image, 12_340_000_000, "front")
    nothing = {"objects": objects(), "lanes": (), "road": None, "drivable": None, "semantic": None, "scene": ()}
    return Perception(frame, Task(63), **(nothing | parts))


def close(pixels, color):
    """Which pixels have about that colour; a line one pixel wide has soft sides and no pure middle."""
    return np.abs(pixels.astype(int) - color).max(axis=-1) < 60


def changed(before, after):
    """Rows and columns of changed pixels under the header: top, bottom, left, right; None when there are none."""
    rows, columns = np.nonzero((before != after).any(axis=2)[HEADER:])
    return (rows.min() + HEADER, rows.max() + HEADER, columns.min(), columns.max()) if len(rows) else None


def test_an_empty_perception_changes_only_the_header():
    before = GREY_IMAGE.copy()
    drawn = overlay(GREY_IMAGE, perception(), SPEC)
    assert changed(GREY_IMAGE, drawn) is None
    assert (drawn[:HEADER] != GREY_IMAGE[:HEADER]).any()
    np.testing.assert_array_equal(GREY_IMAGE, before)


def test_out_is_drawn_into():
    out = np.zeros_like(GREY_IMAGE)
    shown = perception(objects=objects((100, 100, 200, 200, 0)))
    assert overlay(GREY_IMAGE, shown, SPEC, out=out) is out
    np.testing.assert_array_equal(out, overlay(GREY_IMAGE, shown, SPEC))


@pytest.mark.parametrize("scale", [0.5, 1, 2])
def test_a_box_is_drawn_where_it_is_on_copies_of_any_size(scale):
    image = np.full((int(360 * scale), int(640 * scale), 3), 90, np.uint8)
    drawn = overlay(image, perception(objects=objects((200, 150, 300, 250, 0))), SPEC)
    middle = int(200 * scale)
    for column in (200, 300):
        near = drawn[middle, int(column * scale) - 3 : int(column * scale) + 3]
        assert close(near, SKY).any()
    top, bottom, left, right = changed(image, drawn)
    assert left >= 200 * scale - 5
    assert 250 * scale - 2 <= bottom <= 250 * scale + 5
    assert (drawn[middle, int(210 * scale) : int(290 * scale)] == 90).all()


def test_coasted_objects_are_dashed():
    shown = objects((200, 150, 300, 250, 1))
    solid, coasted = (
        overlay(GREY_IMAGE, perception(objects=replace(shown, coasted=np.array([flag]))), SPEC)
        for flag in (False, True)
    )
    on = [close(image[160:240, 300], ORANGE).mean() for image in (solid, coasted)]
    assert on[0] > 0.95
    assert 0.3 < on[1] < 0.85


@pytest.mark.parametrize(
    "box", [(-500, -500, 5000, 5000), (639, 359, 640, 360), (100, 100, 100.2, 100.2), (-9, 50, -3, 60)]
)
def test_boxes_of_any_size_and_position_can_be_drawn(box):
    overlay(GREY_IMAGE, perception(objects=objects((*box, 0), (*box, 7))), SPEC)


@pytest.mark.parametrize("size", [(1, 1), (20, 30), (360, 640), (1080, 1920)])
def test_images_of_any_size_can_be_drawn_on(size):
    image = np.zeros((*size, 3), np.uint8)
    line = LaneLine(np.array([[0, size[0]], [size[1] / 2, size[0] / 2]], np.float32), 0.9, 1, LineType.CURB)
    ids = ClassMap(np.ones((2, 3), np.uint8), ("background", "road"), np.zeros((2, 3), np.uint8))
    everything = perception(image, objects=objects((0, 0, *size[::-1], 0)), lanes=(line,), drivable=ids, semantic=ids)
    for semantic in (False, True):
        assert overlay(image, everything, SPEC, semantic=semantic, age_ms=5).shape == image.shape


def upright(kind, color=LineColor.YELLOW):
    """A line straight up at u = 320, drawn; rows along it and columns across it."""
    line = LaneLine(np.array([[320, 360], [320, 60]], np.float32), 0.9, 1, kind, 0.9, color, 0.9)
    return overlay(GREY_IMAGE, perception(lanes=(line,)), SPEC)


def painted(drawn, column, color=LineColor.YELLOW):
    """Share of painted rows in a column (away from the label and the header)."""
    return (drawn[60:280, column] == LINE_COLORS[color]).all(axis=1).mean()


@pytest.mark.parametrize("color", list(LineColor))
def test_lines_have_their_paint_colour(color):
    assert painted(upright(LineType.SOLID, color), 320, color) > 0.95


@pytest.mark.parametrize(
    ("kind", "left", "middle", "right"),
    [
        (LineType.SOLID, 0, 1, 0),
        (LineType.DASHED, 0, 0.5, 0),
        (LineType.DOUBLE_SOLID, 1, 0, 1),
        (LineType.DOUBLE_DASHED, 0.5, 0, 0.5),
        (LineType.SOLID_DASHED, 1, 0, 0.5),
        (LineType.DASHED_SOLID, 0.5, 0, 1),
    ],
)
def test_lines_have_their_pattern_left_mark_first(kind, left, middle, right):
    """Near the bottom a line is some 5 pixels wide here, those of a double line 4 to each side of its middle."""
    rows = slice(200, 350)
    paint = (upright(kind)[rows] == LINE_COLORS[LineColor.YELLOW]).all(axis=2)
    shown = [paint[:, columns].any(axis=1).mean() for columns in (slice(314, 318), slice(319, 321), slice(322, 326))]
    single = kind in (LineType.SOLID, LineType.DASHED)  # wide enough to reach the places of a double one
    for fraction, expected in zip(shown[1:2] if single else shown, (middle,) if single else (left, middle, right)):
        low, high = {0: (0, 0.25), 0.5: (0.3, 0.8), 1: (0.95, 1)}[expected]
        assert low <= fraction <= high


def test_lines_get_thinner_with_distance():
    paint = (upright(LineType.SOLID) == LINE_COLORS[LineColor.YELLOW]).all(axis=2).sum(axis=1)
    assert paint[340] > 1.5 * paint[100] > 0


def test_drivable_road_shines_through():
    ids = np.zeros((90, 160), np.uint8)
    ids[45:] = 1
    road = ClassMap(ids, ("background", "road"), np.array([[0, 0, 0], [10, 200, 100]], np.uint8))
    drawn = overlay(GREY_IMAGE, perception(drivable=road), SPEC)
    np.testing.assert_allclose(drawn[300, 320], 0.7 * 90 + 0.3 * np.array([100, 200, 10]), atol=2)
    assert (drawn[HEADER:170] == 90).all()


def test_labels_show_class_track_score_and_distance():
    one = objects((0, 0, 9, 9, 0))
    assert label_texts(one, 0, SPEC) == ("car 0.90", "car")
    one = replace(one, track_ids=np.array([7]), positions=np.array([[30, 40, 0]], np.float32))
    assert label_texts(one, 0, SPEC) == ("car #7 0.90  50 m", "50 m")
    assert label_texts(replace(one, classes=np.array([9])), 0, SPEC)[0].startswith("class 9")


@pytest.mark.parametrize(
    ("scores", "expected"), [([0.1, 0.2, 0.6, 0.1], "green"), ([0, 0, 0, 0], ""), ([np.nan] * 4, "")]
)
def test_traffic_lights_have_a_state_and_cars_have_none(scores, expected):
    assert light_state(replace(objects((0, 0, 9, 9, 2)), light_states=np.array([scores])), 0, SPEC) == expected


def test_the_header_shows_time_age_and_engine_time():
    shown = replace(perception(), timing=Timing(0, 0.5, 23.42, 1))
    assert header_texts(shown, 31.4) == ["12.34 s", "age 31 ms", "engine 23.4 ms"]
    dated = replace(shown, frame=replace(shown.frame, stamp_ns=1_700_000_000_500_000_000))
    assert header_texts(dated)[0] == "22:13:20.50 UTC"


def test_the_header_shows_faults_and_scene():
    wide = np.full((720, 1280, 3), 90, np.uint8)
    plain = overlay(wide, perception(wide), SPEC)
    for parts in ({"status_flags": int(Status.IMAGE_BLURRED)}, {"scene": (SceneAttribute("weather", "rainy", 0.9),)}):
        assert (overlay(wide, perception(wide, **parts), SPEC)[:HEADER, 900:] != plain[:HEADER, 900:]).any()


@pytest.mark.parametrize("left", [-20, 0, 90, 200])
@pytest.mark.parametrize("top", [-20, 0, 45, 90])
def test_drawing_is_clipped_at_the_canvas(left, top):
    canvas, padded = np.zeros((50, 100, 3), np.uint8), np.zeros((250, 400, 3), np.uint8)
    mask = text_mask("Outside", 12)
    blend_mask(canvas, mask, left, top, (200, 100, 50))
    blend_mask(padded, mask, left + 100, top + 100, (200, 100, 50))
    np.testing.assert_array_equal(canvas, padded[100:150, 100:200])


def test_a_label_returns_the_rectangle_it_covers():
    canvas = np.zeros((60, 300, 3), np.uint8)
    left, top, right, bottom = draw_label(canvas, "car 0.9", 10, 8, 14, fill=(255, 255, 255), opacity=1)
    rows, columns = np.nonzero(canvas.any(axis=2))
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (left, top, right, bottom)


def test_dashes_have_their_length_and_stay_on_the_line():
    line = np.array([[0, 0], [30, 40], [130, 40]], float)  # 150 long
    lengths = [np.hypot(*np.diff(dash, axis=0).T).sum() for dash in dashed(line, 20, 10)]
    np.testing.assert_allclose(lengths, [20, 20, 20, 20, 20])


def test_the_birds_eye_view_has_x_up_and_y_left():
    """720 rows for 6 m behind and 66 m ahead are 10 pixels per metre."""
    view = View.between((720, 400), 66)
    np.testing.assert_allclose(view.pixels(np.array([[0, 0], [10, 0], [0, 5]])), [[200, 660], [200, 560], [150, 660]])


def test_a_footprint_is_rotated_from_x_towards_y():
    corners = rectangle(np.array([10.0, 2.0]), (4.0, 2.0), np.pi / 2)
    np.testing.assert_allclose(np.ptp(corners, axis=0), (2, 4))
    np.testing.assert_allclose(corners.mean(axis=0), (10, 2))
    np.testing.assert_allclose(corners[0], (9, 4))  # front left: ahead is y, left is -x


def test_an_ellipse_is_two_standard_deviations_away_everywhere():
    cov = np.array([[4.0, 1.2], [1.2, 0.9]])
    away = ellipse(np.array([10.0, -3.0]), cov, 2.0) - (10, -3)
    np.testing.assert_allclose(np.einsum("pi,ij,pj->p", away, np.linalg.inv(cov), away), 4)


def scene_from_above(**parts):
    one = replace(objects((0, 0, 9, 9, 0)), positions=np.array([[30, 5, 0]], np.float32))
    return replace(perception(objects=replace(one, **parts)), base_frame="base_link")


def birds_eye_view(shown):
    return bird_eye(surroundings_of(shown, SPEC), (720, 400), ahead=66)


def test_objects_are_drawn_at_their_metres():
    canvas = birds_eye_view(scene_from_above())
    assert tuple(canvas[340, 147]) == SKY  # its rear stands at 30 m, row 360
    rows, columns = np.nonzero((canvas == SKY).all(axis=2))
    assert np.ptp(rows) == pytest.approx(45, abs=5)  # a car of 4.5 m
    assert np.ptp(columns) == pytest.approx(17, abs=4)


def test_arrow_and_footprint_point_in_the_direction_of_motion():
    canvas = birds_eye_view(scene_from_above(velocities=np.array([[0, -10]], np.float32)))
    rows, columns = np.nonzero((canvas == SKY).all(axis=2))
    assert columns.max() == pytest.approx(250, abs=4)  # ten metres in one second, to the right
    assert np.ptp(rows[columns < 150]) == pytest.approx(18, abs=3)


def test_the_birds_eye_view_shows_lanes_road_and_missing_calibration():
    x = np.linspace(5, 50, 20, dtype=np.float32)
    ground = GroundLine(np.column_stack((x, np.full(20, 1.75, np.float32))), np.full(20, 0.1), np.zeros(4), 5, 50)
    line = LaneLine(np.zeros((2, 2), np.float32), 0.9, -1, LineType.SOLID, 0.9, LineColor.WHITE, 0.9, ground=ground)
    road = Road(np.zeros((0, 2), np.float32), np.array([[2, 2], [40, 2], [40, -2], [2, -2]], np.float32), 40.0, 0.4)
    shown = replace(perception(lanes=(line,), road=road), base_frame="base_link")
    canvas = birds_eye_view(shown)
    assert tuple(canvas[455, 182]) == (255, 255, 255)
    assert tuple(canvas[455, 205]) != GROUND  # road
    assert tuple(canvas[455, 105]) == GROUND
    assert (birds_eye_view(perception()) != birds_eye_view(replace(perception(), base_frame="base_link"))).any()


def test_nan_positions_are_not_drawn():
    unknown = replace(perception(objects=objects((0, 0, 9, 9, 0))), base_frame="base_link")
    empty = replace(perception(), base_frame="base_link")
    np.testing.assert_array_equal(birds_eye_view(unknown), birds_eye_view(empty))


def test_side_by_side_keeps_the_left_image():
    left, right = np.full((100, 200, 3), 7, np.uint8), np.full((50, 40, 3), 9, np.uint8)
    both = side_by_side(left, right, gap=4)
    assert both.shape == (100, 200 + 4 + 80, 3)
    np.testing.assert_array_equal(both[:, :200], left)
    assert (both[:, 204:] == 9).all()


def test_images_of_any_shape_fit_the_grid():
    tall, wide = np.full((100, 50, 3), 7, np.uint8), np.full((25, 100, 3), 9, np.uint8)
    both = image_grid([tall, wide], 1, (50, 100), gap=2)
    assert both.shape == (102, 100, 3)
    assert (both[:50, 38:62] == 7).all()  # half as high, in the middle
    assert (both[64:89] == 9).all()
    assert image_grid([tall, wide, tall], 2, (50, 100), gap=2).shape == (102, 202, 3)


def covered(rect, box):
    """Fraction of a box that a rectangle covers."""
    width, height = min(rect[2], box[2]) - max(rect[0], box[0]), min(rect[3], box[3]) - max(rect[1], box[1])
    return max(width, 0) * max(height, 0) / ((box[2] - box[0]) * (box[3] - box[1]))


def test_a_label_goes_where_it_hides_no_object():
    placement = Placement((100, 200), np.array([(0, 0, 100, 30), (50, 60, 80, 90)]))
    assert placement.place((40, 10), [(50, 20), (50, 65), (50, 40)]) == (50, 40)  # on a car, on a small one, free
    assert placement.place((40, 10), [(60, 45)]) is None  # taken
    assert placement.place((40, 10), [(190, 40)]) == (160, 40)  # moved into the canvas
    assert placement.place((40, 10), [(100, 95)]) is None  # below the canvas


@pytest.mark.parametrize("width", [480, 960, 1920])
def test_labels_of_a_crowd_hide_none_of_it(width, monkeypatch):
    drawn = []
    original = boxes_module.draw_label
    monkeypatch.setattr(boxes_module, "draw_label", lambda *args, **more: drawn.append(original(*args, **more)))
    boxes = [(x, y, x + 0.08 * width, y + 0.1 * width, 0) for x in np.arange(9) * 0.1 * width for y in (80, 200, 260)]
    image = np.full((width * 3 // 4, width, 3), 90, np.uint8)
    overlay(image, perception(image, objects=objects(*boxes)), SPEC)
    assert max((covered(rect, box) for rect in drawn for box in boxes), default=0.0) <= MOST_COVERED


def test_text_shrinks_with_the_image():
    sizes = [text_size(np.zeros((9, width, 3), np.uint8)) for width in (320, 480, 960, 1920, 3840)]
    assert sizes == [6, 6, 8, 16, 33]
    assert HEADER_HEIGHT * sizes[1] < 0.05 * 360  # on 480x360 pixels


def test_the_header_makes_way_for_a_traffic_light():
    canvas = np.zeros((360, 640, 3), np.uint8)
    assert header_rect(canvas, np.array([(0, 100, 50, 200)]))[1] == 0
    assert header_rect(canvas, np.array([(300, 2, 310, 30)]))[3] == 360
    assert header_rect(canvas, np.array([(300, 2, 310, 30), (0, 300, 90, 359)]))[1] == 0


def test_a_vehicle_hides_the_line_behind_it():
    points = np.column_stack((np.full(100, 300.0), np.linspace(350, 150, 100)))
    line = LaneLine(points.astype(np.float32), 0.9, 1, LineType.SOLID, color=LineColor.WHITE)
    car = (280, 200, 320, 260)
    drawn = overlay(GREY_IMAGE, perception(lanes=(line,), objects=objects((*car, 0))), SPEC)
    assert close(drawn[205:255, 300], (255, 255, 255)).sum() == 0
    assert close(drawn[270:340, 300], (255, 255, 255)).all()
    assert close(drawn[155:190, 300], (255, 255, 255)).any()
    assert [(part.start, part.stop) for part in visible_parts(points, np.array([car]))] == [(0, 45), (75, 100)]
    assert visible_parts(points, np.zeros((0, 4))) == [slice(0, 100)]


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        ([], []),
        ([(10, 60, 110, 160, 0), (12, 60, 112, 162, 3)], [0]),  # a truck on a car
        ([(10, 60, 110, 160, 0), (60, 60, 160, 160, 3)], [0, 3]),  # one beside the other
        ([(10, 60, 110, 160, 0), (12, 60, 112, 162, 0)], [0, 0]),  # cars in a queue are told apart by the tracker
        ([(10, 60, 110, 160, 0), (12, 60, 112, 162, 1)], [0, 1]),  # a person before a car
    ],
)
def test_an_object_has_one_box(rows, kept):
    head = replace(OBJECTS, classes=("car", "pedestrian", "traffic light", "truck"))
    found = objects(*rows)
    found = replace(found, scores=np.linspace(0.9, 0.5, len(rows), dtype=np.float32))
    assert distinct(found, replace(SPEC, heads=(head,))).classes.tolist() == kept


def test_the_legend_names_every_class_and_wraps():
    entries = legend_entries(["car", "pedestrian", "traffic light", "tram"])
    assert [text for text, _ in entries[:3]] == ["car", "person", "tram"]
    assert dict(entries)["red light"] == (60, 60, 245)
    wide, narrow = legend_strip(1600, entries, 12), legend_strip(400, entries, 12)
    assert (wide.shape[1], narrow.shape[1]) == (1600, 400)
    assert len(narrow) > len(wide)
    assert all(close(narrow, color).any() for _, color in entries)


def test_the_legend_has_the_colours_of_all_drivable_areas():
    names, colors = ("background", "road", "alternative"), ((0, 0, 0), (1, 2, 3), (4, 5, 6))
    own = HeadSpec("drivable", "class_map", {}, names)
    assert dict(legend_entries([], own))["drivable: alternative"] == ORANGE
    entries = dict(legend_entries([], replace(own, colors=colors)))
    assert (entries["drivable"], entries["drivable: alternative"]) == ((3, 2, 1), (6, 5, 4))
    assert not any("background" in text for text in entries)


def test_a_caption_has_its_own_rows_and_the_scene_keeps_its_place():
    scene = surroundings_of(perception(), SPEC)
    with_caption = bird_eye(scene, (720, 480), caption="fused from 2 cameras, 1.4 s old")
    bar = caption_height(720)
    assert with_caption.shape == (720, 480, 3)
    np.testing.assert_array_equal(with_caption[bar:], bird_eye(scene, (720 - bar, 480)))
    assert (with_caption[:bar].max(axis=(1, 2)) > 200).any()
