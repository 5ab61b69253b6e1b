"""Test data: small street scenes drawn with OpenCV, with all labels, in the layout of DATA.md."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from perception_models.data import labels

LIGHT_BGR = {"red": (0, 0, 255), "yellow": (0, 220, 255), "green": (0, 220, 0), "none": (40, 40, 40)}


def draw_folder(folder: Path, count: int, size: tuple[int, int] = (64, 128), seed: int = 0) -> Path:
    """`count` scenes of (height, width) with boxes, lanes, both masks and scene attributes."""
    rng = np.random.default_rng(seed)
    frames = [_draw(folder, f"{i:04d}.png", size, rng) for i in range(count)]
    for kind, categories in (("det_20", False), ("lane", True)):
        rows = [{**f, "labels": [label for label in f["labels"] if ("poly2d" in label) == categories]} for f in frames]
        path = folder / "labels" / kind / f"{'lane' if categories else 'det'}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(rows))
    return folder


def _draw(folder: Path, name: str, size: tuple[int, int], rng: np.random.Generator) -> dict:
    height, width = size
    horizon, night = round(height * 0.45), bool(rng.random() < 0.5)
    image = np.full((height, width, 3), (60, 40, 30) if night else (230, 190, 150), np.uint8)
    image[horizon:] = (40, 70, 40) if night else (70, 150, 80)
    semantic = np.full(size, labels.SEMANTIC.index("sky"), np.uint8)
    semantic[horizon:] = labels.SEMANTIC.index("vegetation")
    top, center = width * 0.5 + rng.uniform(-8, 8), width * 0.5 + rng.uniform(-10, 10)
    near_left, near_right = (center - width * 0.4, height), (center + width * 0.4, height)
    road = np.array([(top - 4, horizon), (top + 4, horizon), near_right, near_left])
    drivable = np.zeros(size, np.uint8)
    for target, value in ((image, (90, 90, 90)), (semantic, labels.SEMANTIC.index("road")), (drivable, 1)):
        cv2.fillPoly(target, [road.round().astype(np.int32)], value)
    lanes = [_lane(image, (top, horizon), (center + side * width * 0.22, height), side, rng) for side in (-1, 1)]
    boxes = [_car(image, semantic, horizon, center, rng), _light(image, semantic, width, rng)]
    for kind, mask in (("drivable", drivable), ("sem_seg", semantic)):
        path = folder / "labels" / kind / "masks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), mask)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / "images" / name), image)
    weather = {"weather": "clear", "scene": "city street", "timeofday": "night" if night else "daytime"}
    return {"name": name, "attributes": weather, "labels": boxes + lanes}


def _lane(image: np.ndarray, far: tuple, near: tuple, side: int, rng: np.random.Generator) -> dict:
    kind, color = ("solid", "yellow") if rng.random() < 0.5 else ("dashed", "white")
    points = np.linspace(far, near, 24)
    for i in range(0, 23, 1 if kind == "solid" else 4):
        ends = points[i], points[min(i + (1 if kind == "solid" else 2), 23)]
        bgr = (0, 200, 255) if color == "yellow" else (255, 255, 255)
        cv2.line(image, *(tuple(e.round().astype(int).tolist()) for e in ends), bgr, 2)
    role = "ego_left" if side < 0 else "ego_right"
    attributes = {"laneDirection": "parallel", "laneStyle": kind, "laneTypes": f"single {color}"}
    attributes |= {"role": role, "lineType": kind, "lineColor": color}
    poly = [{"vertices": points.tolist(), "types": "L" * 24, "closed": False}]
    return {"id": role, "category": "lane", "attributes": attributes, "poly2d": poly}


def _car(image: np.ndarray, semantic: np.ndarray, horizon: int, center: float, rng: np.random.Generator) -> dict:
    size = rng.uniform(12, 24)
    x, y = center + rng.uniform(-12, 12), min(horizon + size * 0.9, image.shape[0] - 2)
    corners = (round(x - size / 2), round(y - size * 0.8)), (round(x + size / 2), round(y))
    cv2.rectangle(image, *corners, tuple(int(v) for v in rng.integers(0, 255, 3)), -1)
    cv2.rectangle(image, *corners, (20, 20, 20), 1)
    cv2.rectangle(semantic, *corners, labels.SEMANTIC.index("vehicle"), -1)
    return _box("car", corners, "none")


def _light(image: np.ndarray, semantic: np.ndarray, width: int, rng: np.random.Generator) -> dict:
    state = str(rng.choice(labels.LIGHT_STATES))
    x, y = round(rng.uniform(6, width - 18)), round(rng.uniform(2, 6))
    corners = (x, y), (x + 7, y + 16)
    cv2.rectangle(image, *corners, (15, 15, 15), -1)
    place = {"red": 3, "yellow": 8, "green": 13, "none": 8}[state]
    cv2.circle(image, (x + 4, y + place), 2, LIGHT_BGR[state], -1)
    cv2.rectangle(semantic, *corners, labels.SEMANTIC.index("sign or signal"), -1)
    return _box("traffic light", corners, state)


def _box(category: str, corners: tuple, color: str) -> dict:
    (x0, y0), (x1, y1) = corners
    attributes = {"occluded": False, "truncated": False, "trafficLightColor": color}
    box = {"x1": x0, "y1": y0, "x2": x1 + 1, "y2": y1 + 1}
    return {"id": category, "category": category, "attributes": attributes, "box2d": box}
