"""Each decoder against the obvious way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from camera_perception.core.model_spec import HeadSpec
from camera_perception.decode import decoder
from camera_perception.tools.bench import synthetic_inputs
from camera_perception.tools.bench.component import Component

Arrays = dict[str, np.ndarray]
HEIGHT, WIDTH = synthetic_inputs.INPUT.size
CELLS = sum((HEIGHT // stride) * (WIDTH // stride) for stride in (8, 16, 32))


def components() -> list[Component]:
    return [
        topk_boxes(),
        ultralytics(),
        yolox(),
        yolop(),
        class_map(),
        mask_logits(),
        lane_rows(),
        lane_mask(),
        attributes(),
    ]


def component(head: HeadSpec, arrays: Arrays, way: str, obvious: Callable[[], object]) -> Component:
    """The decoder of a head's kind at its usual threshold."""
    decode, box = decoder(head.kind).decode, synthetic_inputs.letterbox()
    return Component(f"decode {head.kind}", lambda: decode(arrays, head, box, 0.4), way, obvious)


def topk_boxes() -> Component:
    rng, count = synthetic_inputs.random(), 100
    arrays = {
        "boxes": synthetic_inputs.letterbox().input_from_image_boxes(synthetic_inputs.boxes(count)).astype(np.float32),
        "scores": np.sort(rng.uniform(0, 1, count).astype(np.float32))[::-1],
        "classes": rng.integers(0, 10, count).astype(np.int32),
        "light_states": rng.uniform(0, 1, (count, 4)).astype(np.float32),
    }
    options: dict[str, Any] = {"light_states": ["red", "yellow", "green", "none"], "light_class": "traffic light"}
    head = HeadSpec("objects", "topk_boxes", dict.fromkeys(arrays, ""), synthetic_inputs.CLASSES, options=options)
    return component(head, arrays, "a loop over the rows", lambda: _loop_over_boxes(arrays))


def _loop_over_boxes(arrays: Arrays) -> list[dict[str, Any]]:
    box, found = synthetic_inputs.letterbox(), []
    for xyxy, score, kind, states in zip(*arrays.values()):
        if score >= 0.4:
            left, right = ((x - box.left) / box.scale[0] for x in xyxy[::2])
            top, bottom = ((y - box.top) / box.scale[1] for y in xyxy[1::2])
            corners = (
                max(left, 0),
                max(top, 0),
                min(right, synthetic_inputs.SIZE[1]),
                min(bottom, synthetic_inputs.SIZE[0]),
            )
            found.append({"box": corners, "score": score, "class": int(kind), "state": int(states.argmax())})
    return found


def candidates(count: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Middles and sizes (CELLS, 4), class scores (CELLS, 10), objectness (CELLS, 1): three cells see each object."""
    rng = synthetic_inputs.random()
    corners = synthetic_inputs.letterbox().input_from_image_boxes(synthetic_inputs.boxes(count))
    rows = rng.integers(0, count, CELLS)
    cxcywh = np.c_[(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]][rows]
    scores, objectness = rng.uniform(0, 0.1, (CELLS, 10)), rng.uniform(0, 0.1, (CELLS, 1))
    hot = rng.choice(CELLS, 3 * count, replace=False)
    scores[hot, rows[hot] % 10] = objectness[hot] = 1
    scores[hot, rows[hot] % 10] = rng.uniform(0.5, 1, len(hot))
    return cxcywh.astype(np.float32), scores.astype(np.float32), objectness.astype(np.float32)


def ultralytics() -> Component:
    cxcywh, scores, _ = candidates()
    output = np.ascontiguousarray(np.concatenate((cxcywh, scores), axis=1).T)
    head = HeadSpec("objects", "ultralytics", {"output": ""}, synthetic_inputs.CLASSES)
    return component(
        head, {"output": output}, "max over the classes, cv2.dnn.NMSBoxesBatched",
        lambda: _suppressed(output.T[:, :4], output.T[:, 4:]),
    )  # fmt: skip


def yolox() -> Component:
    cxcywh, scores, objectness = candidates()
    cells = _grid()
    raw = np.concatenate(
        (cxcywh[:, :2] / cells[:, 2:] - cells[:, :2], np.log(cxcywh[:, 2:] / cells[:, 2:]), objectness, scores), axis=1
    ).astype(np.float32)
    head = HeadSpec("objects", "yolox", {"output": ""}, synthetic_inputs.CLASSES)
    return component(
        head, {"output": raw}, "grid made anew, all rows computed, NMSBoxesBatched", lambda: _yolox(raw)
    )  # fmt: skip


def _grid() -> np.ndarray:
    levels = []
    for stride in (8, 16, 32):
        columns, rows = np.meshgrid(np.arange(WIDTH // stride), np.arange(HEIGHT // stride))
        levels.append(np.stack((columns.ravel(), rows.ravel(), np.full(rows.size, stride)), axis=1))
    return np.concatenate(levels)


def _yolox(raw: np.ndarray) -> list[list[float]]:
    cells = _grid()
    middles, sizes = (raw[:, :2] + cells[:, :2]) * cells[:, 2:], np.exp(raw[:, 2:4]) * cells[:, 2:]
    return _suppressed(np.concatenate((middles, sizes), axis=1), raw[:, 4:5] * raw[:, 5:])


def yolop() -> Component:
    cxcywh, scores, objectness = candidates()
    output = np.concatenate((cxcywh, objectness, scores), axis=1)
    head = HeadSpec("objects", "yolop_boxes", {"output": ""}, synthetic_inputs.CLASSES)
    return component(
        head, {"output": output}, "objectness x class scores, NMSBoxesBatched",
        lambda: _suppressed(output[:, :4], output[:, 4:5] * output[:, 5:]),
    )  # fmt: skip


def _suppressed(cxcywh: np.ndarray, scores: np.ndarray) -> list[list[float]]:
    classes, best = scores.argmax(axis=1), scores.max(axis=1)
    boxes = np.concatenate((cxcywh[:, :2] - cxcywh[:, 2:] / 2, cxcywh[:, 2:]), axis=1)
    kept = cv2.dnn.NMSBoxesBatched(boxes.tolist(), best.tolist(), classes.tolist(), 0.4, 0.45)
    box = synthetic_inputs.letterbox()
    return [
        [(boxes[i, 0] - box.left) / box.scale[0], (boxes[i, 1] - box.top) / box.scale[1], *boxes[i, 2:]] for i in kept
    ]


def class_map() -> Component:
    ids = synthetic_inputs.random().integers(0, 3, (HEIGHT // 4, WIDTH // 4)).astype(np.uint8)
    way = "a mask of the size of the image: cv2.resize nearest, cut"
    return component(synthetic_inputs.DRIVABLE, {"map": ids}, way, lambda: _full_size(ids))


def _full_size(ids: np.ndarray) -> np.ndarray:
    box = synthetic_inputs.letterbox()
    whole = cv2.resize(ids, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
    return cv2.resize(whole[box.content], synthetic_inputs.SIZE[::-1], interpolation=cv2.INTER_NEAREST)


def mask_logits() -> Component:
    logits = synthetic_inputs.random().normal(size=(2, HEIGHT, WIDTH)).astype(np.float32)
    head = HeadSpec("drivable", "mask_logits", {"logits": ""}, ("background", "road"))
    return component(
        head, {"logits": logits}, "argmax, a mask of the size of the image",
        lambda: _full_size(logits.argmax(axis=0).astype(np.uint8)),
    )  # fmt: skip


def lane_rows() -> Component:
    rng, rows = synthetic_inputs.random(), HEIGHT // 8
    options = {
        "positions": [-3, -2, -1, 1, 2, 3], "line_types": ["solid", "dashed"], "line_colors": ["white", "yellow"],
    }  # fmt: skip
    arrays = {
        "x": np.sort(rng.uniform(100, 500, (6, rows)).astype(np.float32), axis=1),
        "row_score": np.where(np.arange(rows) > rows // 2, 0.9, 0.1)[None].repeat(6, 0).astype(np.float32),
        "score": np.full(6, 0.9, np.float32),
        "type": rng.uniform(0, 1, (6, 2)).astype(np.float32),
        "color": rng.uniform(0, 1, (6, 2)).astype(np.float32),
    }
    head = HeadSpec("lanes", "lane_rows", dict.fromkeys(arrays, ""), options=options)
    return component(head, arrays, "loops over lines and rows", lambda: _loop_over_rows(arrays))


def _loop_over_rows(arrays: Arrays) -> list[list[tuple[float, float]]]:
    box, lines = synthetic_inputs.letterbox(), []
    for xs, shown, score in zip(arrays["x"], arrays["row_score"], arrays["score"]):
        points = []
        for row, (x, present) in enumerate(zip(xs, shown)):
            u = (x - box.left) / box.scale[0]
            v = ((row + 0.5) * HEIGHT / len(xs) - box.top) / box.scale[1]
            if present >= 0.5 and 0 <= u <= synthetic_inputs.SIZE[1] and 0 <= v <= synthetic_inputs.SIZE[0]:
                points.append((u, v))
        if score >= 0.4:
            lines.append(points[::-1])
    return lines


def lane_mask() -> Component:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for line in synthetic_inputs.lanes():
        points = synthetic_inputs.letterbox().input_from_image(line.points).round().astype(np.int32)
        cv2.polylines(mask, [points], False, 1, thickness=5)
    logits = (mask[None] * 8.0 - 4).astype(np.float32)
    head = HeadSpec("lanes", "lane_mask_logits", {"logits": ""})
    return component(head, {"logits": logits}, "connected components, np.polyfit of each", lambda: _components(logits))


def _components(logits: np.ndarray) -> list[np.ndarray]:
    mask = (1 / (1 + np.exp(-logits[0])) > 0.5).astype(np.uint8)
    count, labels = cv2.connectedComponents(mask)
    found = (np.nonzero(labels == label) for label in range(1, count))
    return [np.polyfit(v, u, 2) for v, u in found]


def attributes() -> Component:
    labels = {"weather": ["rainy", "clear", "foggy"], "scene": ["city", "highway"], "timeofday": ["day", "night"]}
    arrays = {name: np.linspace(0.1, 0.8, len(values)).astype(np.float32) for name, values in labels.items()}
    head = HeadSpec("scene", "attributes", dict.fromkeys(labels, ""), options={"labels": labels})
    return component(
        head,
        arrays,
        "argmax of each",
        lambda: [(n, labels[n][int(a.argmax())], float(a.max())) for n, a in arrays.items()],
    )
