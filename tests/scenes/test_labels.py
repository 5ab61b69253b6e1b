"""Labels of rendered images: boxes, masks, ids, lanes and truth agree with each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from driving_scenes.labels import lanes as lane_labels
from driving_scenes.output import shot
from driving_scenes.output.sequence import drive


def truths(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "truth/truth.jsonl").read_text().splitlines()]


def test_boxes_are_the_extents_of_ids(street):
    assert street.boxes
    numbers = [n for n in np.unique(street.ids) if n]
    assert len(numbers) == len(street.boxes)
    for number, box in zip(numbers, street.boxes):
        v, u = np.nonzero(street.ids == number)
        assert (u.min(), v.min(), u.max() + 1, v.max() + 1) == tuple(box["box2d"][k] for k in ("x1", "y1", "x2", "y2"))


def test_masks_say_vehicle_where_boxes_say_car(street):
    numbers = [n for n in np.unique(street.ids) if n]
    cars = [n for n, box in zip(numbers, street.boxes) if box["category"] in ("car", "truck", "bus", "train")]
    assert cars
    assert (street.semantic[np.isin(street.ids, cars)] == 8).all()
    assert (street.drivable[street.ids > 0] == 0).all()
    assert (street.semantic[street.drivable == 1] == 3).all()


def test_each_ego_role_appears_at_most_once(rendered_folder):
    for frame in json.loads((rendered_folder / "labels/lane/lane.json").read_text()):
        roles = [line["attributes"]["role"] for line in frame["labels"] if line["attributes"]["role"] != "other"]
        assert len(roles) == len(set(roles))


def test_truth_lanes_project_onto_labelled_lanes(rendered_folder):
    lanes = {f["name"]: f["labels"] for f in json.loads((rendered_folder / "labels/lane/lane.json").read_text())}
    compared = 0
    for truth in truths(rendered_folder):
        for line in truth["lanes"]:
            label = next(x for x in lanes[truth["name"]] if x["id"] == str(line["id"]))
            pixels = project(truth, np.array(line["points"]))
            vertices = np.array(label["poly2d"][0]["vertices"])
            for u, v in pixels[(pixels[:, 1] > vertices[:, 1].min() + 3) & (pixels[:, 1] < vertices[:, 1].max() - 3)]:
                assert distance(vertices, (u, v)) < 1.5
                compared += 1
    assert compared > 20


def test_truth_boxes_project_onto_fully_visible_vehicles(rendered_folder, recipe):
    width, height = recipe["size"]
    compared = 0
    for truth in truths(rendered_folder):
        for entry in truth["objects"]:
            box = entry["box2d"]
            whole = (
                entry["visible"] > 0.97
                and box["x1"] > 3
                and box["x2"] < width - 3
                and box["y2"] < height - 3
                and box["y1"] > 3
            )
            if entry["category"] not in ("car", "truck") or not whole or entry["position"][0] < 8:
                continue
            u = project(truth, corners_of(entry))[:, 0]
            slack = 2 + 0.12 * np.ptp(u)
            assert box["x1"] > u.min() - slack
            assert box["x2"] < u.max() + slack
            assert box["x2"] - box["x1"] > 0.6 * np.ptp(u) - 2
            compared += 1
    assert compared > 0


def test_tracks_keep_their_ids_and_move_at_their_velocity():
    found = drive(3, 2.0, "highway")
    first, later = found.snapshot(0.0), found.snapshot(1.0)
    moved = 0
    for a, b in zip(first.objects, later.objects):
        assert a.track == b.track
        step = b.world_from_object[:2, 3] - a.world_from_object[:2, 3]
        speed = float(np.hypot(*a.velocity))
        np.testing.assert_allclose(np.linalg.norm(step), speed, rtol=0.05, atol=0.05)
        moved += speed > 1
    assert moved
    assert len({x.track for x in first.objects}) == len(first.objects)


def test_cameras_around_the_car_see_the_same_world(street):
    other = shot.random_shot(0, 1, (256, 160), around=True).labels
    assert street.truth["ego"]["world_from_base"] == other.truth["ego"]["world_from_base"]
    assert street.truth["base_from_camera"] != other.truth["base_from_camera"]


def test_a_line_hidden_by_a_crest_ends_there():
    pixels = np.stack([np.full(9, 100.0), [150, 140, 130, 125, 127, 129, 126, 124, 120.0]], -1)
    crest = pixels[:, 1] > np.minimum.accumulate(pixels[:, 1]) + 0.75
    kept = lane_labels._first_stretch(pixels, ~crest, np.array([5, 10, 20, 30, 40, 50, 60, 70, 80.0]))
    assert len(kept) == 4


def project(truth: dict[str, Any], points: np.ndarray) -> np.ndarray:
    """Pixels of the points (N, 3) in base that lie in front of the camera, where its distortion does not fold back."""
    camera_from_base = np.linalg.inv(np.array(truth["base_from_camera"]))
    rotation, translation = camera_from_base[:3, :3], camera_from_base[:3, 3]
    fx, fy, cx, cy = truth["intrinsics"]
    matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])
    distortion = np.array(truth["distortion"])
    x, y, z = (points @ rotation.T + translation).T
    k1, k2, r2 = *distortion[:2], (x**2 + y**2) / z**2
    ahead = points[(z > 0.5) & (1 + 3 * k1 * r2 + 5 * k2 * r2**2 > 0)]
    pixels, _ = cv2.projectPoints(ahead, cv2.Rodrigues(rotation)[0], translation, matrix, distortion)
    return pixels[:, 0]


def corners_of(entry: dict[str, Any]) -> np.ndarray:
    """(8, 3) corners of an object's box in base."""
    signs = np.array([[i & 1, i >> 1 & 1, i >> 2 & 1] for i in range(8)]) - [0.5, 0.5, 0]
    cosine, sine = np.cos(entry["yaw"]), np.sin(entry["yaw"])
    rotation = np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]])
    return (signs * entry["size"]) @ rotation + entry["position"]


def distance(vertices: np.ndarray, point: tuple[float, float]) -> float:
    """Distance of a point from a polyline."""
    a, b = vertices[:-1], vertices[1:]
    along = np.clip(((point - a) * (b - a)).sum(1) / np.maximum(((b - a) ** 2).sum(1), 1e-9), 0, 1)
    return float(np.linalg.norm(a + along[:, None] * (b - a) - point, axis=1).min())
