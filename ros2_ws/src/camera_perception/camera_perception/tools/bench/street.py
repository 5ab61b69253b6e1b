"""Raw network outputs of a busy street, frame by frame, as the branch `many` gives them; deterministic.

Cars and people drive and walk on a flat road between four lane lines. Every object has ten boxes, as the network has
before suppression of duplicates, and hundreds of weak boxes lie in between.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from camera_perception.core.model_spec import HeadSpec, ModelSpec
from camera_perception.image.letterbox import Letterbox
from camera_perception.tools.bench import synthetic_inputs
from camera_perception.tools.bench.synthetic_inputs import CLASSES, INPUT, SIZE

Outputs = Mapping[str, np.ndarray]
PERIOD_NS = 50_000_000
ROWS, ANCHORS = 800, 10  # boxes of a frame; boxes of one object
LINE_ROWS, CELLS = 48, (96, 160)
POSITIONS = (-3, -2, -1, 1, 2, 3)  # of the six lines that the network may find; the outer two are not there
LATERAL = np.array([8.75, 5.25, 1.75, -1.75, -5.25, -8.75])  # metres left of the car
KINDS = {"car": (1.85, 1.5), "pedestrian": (0.6, 1.7), "truck": (2.5, 3.2), "traffic light": (0.4, 1.0)}
TYPES, COLORS = ("solid", "dashed", "double_solid"), ("white", "yellow")
SCENE = {"weather": ("rainy", "snowy", "clear"), "timeofday": ("daytime", "night", "dawn/dusk")}


@cache
def spec() -> ModelSpec:
    """The contract of the shipped model: suppression of duplicates, calibrated scores, all tasks."""
    objects = HeadSpec(
        "objects", "topk_boxes", {name: name for name in ("boxes", "scores", "classes", "light_states")}, CLASSES,
        nms_iou=0.45,
        options={
            "light_states": ["red", "yellow", "green", "none"], "light_class": "traffic light",
            "one_object": [["pedestrian", "rider"], ["car", "truck", "bus", "train"], ["motorcycle", "bicycle"]],
            "calibration": {name: [3.0, 0.1] for name in CLASSES},
            "thresholds": {"pedestrian": 0.35, "truck": 0.45},
        },
    )  # fmt: skip
    roles = ("x", "row_score", "score", "type", "color")
    options = {"positions": list(POSITIONS), "line_types": list(TYPES), "line_colors": list(COLORS)}
    lanes = HeadSpec("lanes", "lane_rows", {role: f"lane_{role}" for role in roles}, threshold=0.5, options=options)
    labels = {name: list(values) for name, values in SCENE.items()}
    scene = HeadSpec("scene", "attributes", {name: name for name in SCENE}, options={"labels": labels})
    heads = objects, synthetic_inputs.DRIVABLE, lanes, scene
    return ModelSpec(Path(), "street", "1", "none", "", "", INPUT, heads)


@dataclass
class _Objects:
    """N objects on the road: kind (N,), middle of the near side and velocity (N, 2) metres, metres per second."""

    kinds: np.ndarray
    at: np.ndarray
    velocities: np.ndarray


def outputs(frames: int, objects: int = 20, seed: int = 0) -> Iterator[dict[str, np.ndarray]]:
    """ONNX name -> array of one image, for images PERIOD_NS apart."""
    rng = np.random.default_rng(seed)
    kinds = rng.choice(len(KINDS), objects, p=(0.55, 0.25, 0.1, 0.1))
    at = rng.uniform((7, -9), (50, 9), (objects, 2))
    street = _Objects(kinds, at, rng.uniform((-3, -0.4), (3, 0.4), (objects, 2)))
    for number in range(frames):
        street.at += street.velocities * PERIOD_NS / 1e9
        street.velocities[street.at[:, 0] < 6] = np.abs(street.velocities[street.at[:, 0] < 6])
        yield {**_boxes(street, rng), **_lines(0.3 * np.sin(number / 15), rng), **_rest(number, rng)}


def _boxes(street: _Objects, rng: np.random.Generator) -> dict[str, np.ndarray]:
    names = np.array(list(KINDS))[street.kinds]
    width, height = np.array([KINDS[name] for name in names]).T
    up = np.where(names == "traffic light", 5.0, 0.0)
    camera = synthetic_inputs.camera()
    low, high = (camera.pixels_from_base(np.column_stack((street.at, z))) for z in (up, up + height))
    half = (width / street.at[:, 0] * synthetic_inputs.FOCAL / 2)[:, None] * (1.0, 0.0)
    boxes = np.nan_to_num(np.concatenate((high - half, low + half), axis=1), nan=-100.0)
    rows = np.repeat(np.arange(len(boxes)), ANCHORS)
    size = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    seen = boxes[rows] + rng.uniform(-0.04, 0.04, (len(rows), 4)) * size[rows]
    count = ROWS - len(rows)
    middles, halves = rng.uniform((0, 200), (SIZE[1], SIZE[0]), (count, 2)), rng.uniform(4, 60, (count, 2))
    every = np.concatenate((seen, np.concatenate((middles - halves, middles + halves), axis=1)))
    scores = np.concatenate((rng.uniform(0.35, 0.95, len(rows)), rng.uniform(0.01, 0.33, count)))
    numbers = np.array([CLASSES.index(name) for name in names])[rows]
    classes = np.concatenate((numbers, rng.integers(0, len(CLASSES), count)))
    order = np.argsort(-scores, kind="stable")
    letterbox = Letterbox.fit(SIZE, INPUT.size)
    return {
        "boxes": letterbox.input_from_image_boxes(every[order]).astype(np.float32),
        "scores": scores[order].astype(np.float32),
        "classes": classes[order].astype(np.int32),
        "light_states": rng.dirichlet(np.ones(4), ROWS).astype(np.float32),
    }


def _lines(offset: float, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Lines of a flat road; the car is `offset` metres left of the middle of its lane."""
    letterbox, camera = Letterbox.fit(SIZE, INPUT.size), synthetic_inputs.camera()
    ahead = np.geomspace(3.0, 90.0, 200)
    v = (np.arange(LINE_ROWS) + 0.5) * INPUT.height / LINE_ROWS
    x, row_score = np.zeros((6, LINE_ROWS)), np.zeros((6, LINE_ROWS))
    for line, y in enumerate(LATERAL - offset):
        road = np.column_stack((ahead, y + 0.0004 * ahead**2, np.zeros_like(ahead)))
        u_at, v_at = letterbox.input_from_image(camera.pixels_from_base(road)).T
        x[line] = np.interp(v, v_at[::-1], u_at[::-1]) + rng.normal(0, 0.3, LINE_ROWS)
        row_score[line] = np.where((v > v_at.min() + 2) & (v < INPUT.height), 0.9, 0.1)
    found = {"lane_x": x, "lane_row_score": row_score, "lane_score": np.array([0.1, 0.8, 0.95, 0.95, 0.8, 0.2])}
    found["lane_type"] = rng.dirichlet((2.0, 6.0, 1.0), 6)
    found["lane_color"] = rng.dirichlet((6.0, 2.0), 6)
    return {name: array.astype(np.float32) for name, array in found.items()}


def _rest(number: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The drivable area, a trapezium with a ragged far end, and the scene."""
    rows, columns = np.ogrid[: CELLS[0], : CELLS[1]]
    far = 50 + np.round(3 * np.sin(number / 9 + columns / 11)).astype(int)
    half = (rows - 40) * 1.6
    ids = ((rows > far) & (np.abs(columns - 80) < half)).astype(np.uint8)
    ids[(rows > far + 4) & (columns - 80 > 0.6 * half) & (ids > 0)] = 2
    scene = {name: rng.dirichlet((0.5, 0.5, 8.0)).astype(np.float32) for name in SCENE}
    return {"drivable": ids, **scene}
