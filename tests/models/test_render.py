"""The renderer: the same seed gives the same picture, and labels, ids and truth tell the same story."""

import json

import cv2
import numpy as np
import pytest

pytest.importorskip("moderngl", reason="the renderer needs moderngl")

from driving_scenes.base.camera import Camera, distort, mounted, random_camera
from driving_scenes.labels import lanes as lane_labels
from driving_scenes.output import shot
from driving_scenes.output.dataset import make_dataset, name
from driving_scenes.output.sequence import drive
from driving_scenes.renderer import gpu
from driving_scenes.roads.centerline import Road
from driving_scenes.roads.cross_section import Layout, Line

SIZE = (256, 160)
CATEGORIES = {
    "pedestrian",
    "rider",
    "car",
    "truck",
    "bus",
    "train",
    "motorcycle",
    "bicycle",
    "traffic light",
    "traffic sign",
}
TYPES = {
    "solid",
    "dashed",
    "double_solid",
    "double_dashed",
    "solid_dashed",
    "dashed_solid",
    "botts_dots",
    "road_edge",
    "curb",
}
ROLES = {"ego_left", "ego_right", "left_2", "left_3", "right_2", "right_3", "other"}


@pytest.fixture(scope="module")
def engine():
    try:
        return shot.engine()
    except gpu.NoOpenGL as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def folder(engine, tmp_path_factory):
    path = tmp_path_factory.mktemp("rendered")
    make_dataset(path, 5, 11, SIZE)
    return path


@pytest.fixture(scope="module")
def street(engine):
    return shot.random_shot(5, 6, (640, 384), "city").labels


def _truths(folder):
    return [json.loads(line) for line in (folder / "truth/truth.jsonl").read_text().splitlines()]


def test_a_road_without_curvature_runs_straight_ahead():
    s = np.arange(-10.0, 50.0, 2.0)
    road = Road.from_curvature(s, np.zeros_like(s), np.zeros_like(s))
    np.testing.assert_allclose(road.at(30.0, 2.0, 0.1), [30, 2, 0.1], atol=1e-9)


def test_a_road_of_constant_curvature_is_a_circle():
    s = np.arange(0.0, 200.0, 2.0)
    road = Road.from_curvature(s, np.full_like(s, 1 / 100), np.zeros_like(s))
    ends = road.at(0.0, 0.0), road.at(100.0, 0.0)
    assert np.linalg.norm(ends[1] - ends[0]) == pytest.approx(2 * 100 * np.sin(0.5), abs=0.1)


@pytest.mark.parametrize("bend", [(0.0,) * 5, (-0.2, 0.03, 1e-3, -5e-4, 0.0)])
def test_the_camera_projects_as_opencv_does(bend):
    camera = Camera("front", 640, 384, (500.0, 510.0, 318.0, 190.0), bend, mounted(1.5, 0.1, 1.4, 0.02, 0.03, 0.01))
    points = np.array([[10.0, 1, 0], [25, -3, 0.5], [60, 8, 2]])
    camera_from_base = np.linalg.inv(camera.base_from_camera)
    expected, _ = cv2.projectPoints(
        points, cv2.Rodrigues(camera_from_base[:3, :3])[0], camera_from_base[:3, 3], camera.matrix, np.array(bend)
    )
    np.testing.assert_allclose(camera.project(points)[0], expected[:, 0], atol=1e-6)


def test_a_level_camera_1_5_m_high_sees_the_road_15_m_ahead_100_px_below_its_centre_at_focal_length_1000():
    camera = Camera("front", 1280, 720, (1000.0, 1000.0, 640.0, 360.0), (0.0,) * 5, mounted(0, 0, 1.5, 0, 0, 0))
    np.testing.assert_allclose(camera.project(np.array([[15.0, 0, 0]]))[0], [[640, 460]])


def test_the_canvas_holds_every_ray_of_a_distorted_picture():
    camera = Camera(
        "front", 640, 384, (400.0, 400.0, 320.0, 190.0), (-0.15, 0.01, 0, 0, 0), mounted(0, 0, 1.5, 0, 0, 0)
    )
    x, y = camera.lookup
    width, height, cx, cy = camera.canvas
    assert x.min() >= 0
    assert y.min() >= 0
    assert x.max() <= width - 1
    assert y.max() <= height - 1
    ray = np.array([[(x[50, 600] + 0.5 - cx) / 400, (y[50, 600] + 0.5 - cy) / 400]])
    np.testing.assert_allclose(distort(ray, camera.distortion)[0] * 400 + [320, 190], [600.5, 50.5], atol=0.05)


def test_mirrored_roads_swap_the_sides_of_mixed_lines():
    layout = Layout("highway", np.arange(3.0))
    layout.line(1.5, "solid_dashed", "yellow")
    turned = layout.mirrored().lines[0]
    assert isinstance(turned, Line)
    assert turned.style == "dashed_solid"
    assert turned.t[0] == -1.5


def test_the_same_seed_gives_the_same_picture(engine):
    first, again = shot.random_shot(5, 2, SIZE), shot.random_shot(5, 2, SIZE)
    np.testing.assert_array_equal(first.image, again.image)
    assert first.labels.truth == again.labels.truth
    assert not np.array_equal(first.image, shot.random_shot(5, 3, SIZE).image)


def test_boxes_are_the_extents_of_ids(street):
    labels = street
    assert labels.boxes
    numbers = [n for n in np.unique(labels.ids) if n]
    assert len(numbers) == len(labels.boxes)
    for number, box in zip(numbers, labels.boxes):
        v, u = np.nonzero(labels.ids == number)
        assert (u.min(), v.min(), u.max() + 1, v.max() + 1) == tuple(box["box2d"][k] for k in ("x1", "y1", "x2", "y2"))


def test_masks_say_vehicle_where_boxes_say_car(street):
    labels = street
    numbers = [n for n in np.unique(labels.ids) if n]
    cars = [n for n, box in zip(numbers, labels.boxes) if box["category"] in ("car", "truck", "bus", "train")]
    assert cars
    assert (labels.semantic[np.isin(labels.ids, cars)] == 8).all()
    assert (labels.drivable[labels.ids > 0] == 0).all()
    assert (labels.semantic[labels.drivable == 1] == 3).all()


def test_folder_has_the_documented_layout(folder):
    names = [f"{name(11, i)}.jpg" for i in range(5)]
    det, lane = (json.loads((folder / "labels" / p).read_text()) for p in ("det_20/det.json", "lane/lane.json"))
    assert [f["name"] for f in det] == names == [f["name"] for f in lane] == [t["name"] for t in _truths(folder)]
    for frame in det:
        assert set(frame["attributes"]) == {"weather", "scene", "timeofday"}
        for box in frame["labels"]:
            assert box["category"] in CATEGORIES
            assert {"occluded", "truncated", "trafficLightColor"} <= set(box["attributes"])
    for frame in lane:
        for line in frame["labels"]:
            attributes, poly = line["attributes"], line["poly2d"][0]
            assert attributes["role"] in ROLES
            assert attributes["lineType"] in TYPES
            assert len(poly["types"]) == len(poly["vertices"])
    for i in range(5):
        assert cv2.imread(str(folder / "images" / names[i])).shape == (SIZE[1], SIZE[0], 3)
        drivable = cv2.imread(str(folder / f"labels/drivable/masks/{name(11, i)}.png"), cv2.IMREAD_UNCHANGED)
        semantic = cv2.imread(str(folder / f"labels/sem_seg/masks/{name(11, i)}.png"), cv2.IMREAD_UNCHANGED)
        assert set(np.unique(drivable)) <= {0, 1, 2, 255}
        assert set(np.unique(semantic)) <= {*range(11), 255}


def test_each_ego_role_is_given_once(folder):
    for frame in json.loads((folder / "labels/lane/lane.json").read_text()):
        roles = [line["attributes"]["role"] for line in frame["labels"] if line["attributes"]["role"] != "other"]
        assert len(roles) == len(set(roles))


def test_a_stopped_run_goes_on_and_keeps_what_is_there(folder):
    image = folder / "images" / f"{name(11, 0)}.jpg"
    before = image.stat().st_mtime_ns
    assert make_dataset(folder, 5, 11, SIZE) == 5
    assert image.stat().st_mtime_ns == before


def test_truth_lanes_project_onto_labelled_lanes(folder):
    lanes = {f["name"]: f["labels"] for f in json.loads((folder / "labels/lane/lane.json").read_text())}
    compared = 0
    for truth in _truths(folder):
        for line in truth["lanes"]:
            label = next(x for x in lanes[truth["name"]] if x["id"] == str(line["id"]))
            pixels = _project(truth, np.array(line["points"]))
            vertices = np.array(label["poly2d"][0]["vertices"])
            for u, v in pixels[(pixels[:, 1] > vertices[:, 1].min() + 3) & (pixels[:, 1] < vertices[:, 1].max() - 3)]:
                assert _distance(vertices, (u, v)) < 1.5
                compared += 1
    assert compared > 20


def test_truth_boxes_project_onto_whole_cars(folder):
    compared = 0
    for truth in _truths(folder):
        for thing in truth["objects"]:
            box = thing["box2d"]
            whole = (
                thing["visible"] > 0.97
                and box["x1"] > 3
                and box["x2"] < SIZE[0] - 3
                and box["y2"] < SIZE[1] - 3
                and box["y1"] > 3
            )
            if thing["category"] not in ("car", "truck") or not whole or thing["position"][0] < 8:
                continue
            corners = _project(truth, _corners(thing))
            width, slack = np.ptp(corners[:, 0]), 2 + 0.12 * np.ptp(corners[:, 0])
            assert box["x1"] > corners[:, 0].min() - slack
            assert box["x2"] < corners[:, 0].max() + slack
            assert box["x2"] - box["x1"] > 0.6 * width - 2
            compared += 1
    assert compared > 0


def test_tracks_keep_their_ids_and_move_at_their_speed():
    found = drive(3, 2.0, "highway")
    first, later = found.snapshot(0.0), found.snapshot(1.0)
    moved = 0
    for a, b in zip(first.things, later.things):
        assert a.track == b.track
        step = b.world_from_object[:2, 3] - a.world_from_object[:2, 3]
        speed = float(np.hypot(*a.velocity))
        assert np.linalg.norm(step) == pytest.approx(speed, rel=0.05, abs=0.05)
        moved += speed > 1
    assert moved
    assert len({t.track for t in first.things}) == len(first.things)


def test_cameras_around_the_car_look_aside_and_back_and_see_the_same_world():
    ahead, around = (
        [random_camera(np.random.default_rng(i), 256, 160, side).base_from_camera[:2, 2] for i in range(40)]
        for side in (False, True)
    )
    angles = [np.degrees(np.arctan2(y, x)) for x, y in around]
    assert min(x for x, _ in ahead) > 0.95
    assert 25 < min(map(abs, angles)) < 60
    assert max(map(abs, angles)) > 150
    assert {np.sign(angle) for angle in angles} == {-1, 1}
    one, other = (shot.random_shot(5, 2, SIZE, "city", around=side).labels for side in (False, True))
    assert one.truth["ego"]["world_from_base"] == other.truth["ego"]["world_from_base"]
    assert one.truth["base_from_camera"] != other.truth["base_from_camera"]


def test_lines_hidden_by_a_crest_end_there():
    pixels = np.stack([np.full(9, 100.0), [150, 140, 130, 125, 127, 129, 126, 124, 120.0]], -1)
    camera = random_camera(np.random.default_rng(0), 256, 160)
    crest = pixels[:, 1] > np.minimum.accumulate(pixels[:, 1]) + 0.75
    kept = lane_labels._first_stretch(pixels, ~crest, np.array([5, 10, 20, 30, 40, 50, 60, 70, 80.0]))
    assert camera.width == 256
    assert len(kept) == 4


def _project(truth, points):
    base_from_camera = np.array(truth["base_from_camera"])
    camera_from_base = np.linalg.inv(base_from_camera)
    fx, fy, cx, cy = truth["intrinsics"]
    matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])
    ahead = points[(points @ camera_from_base[:3, :3].T + camera_from_base[:3, 3])[:, 2] > 0.5]
    pixels, _ = cv2.projectPoints(
        ahead,
        cv2.Rodrigues(camera_from_base[:3, :3])[0],
        camera_from_base[:3, 3],
        matrix,
        np.array(truth["distortion"]),
    )
    return pixels[:, 0]


def _corners(thing):
    signs = np.array([[i & 1, i >> 1 & 1, i >> 2 & 1] for i in range(8)]) - [0.5, 0.5, 0]
    cosine, sine = np.cos(thing["yaw"]), np.sin(thing["yaw"])
    return (signs * thing["size"]) @ np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]]) + thing["position"]


def _distance(vertices, point):
    a, b = vertices[:-1], vertices[1:]
    along = np.clip(((point - a) * (b - a)).sum(1) / np.maximum(((b - a) ** 2).sum(1), 1e-9), 0, 1)
    return np.linalg.norm(a + along[:, None] * (b - a) - point, axis=1).min()
