"""Sheets of overlays: evenly spaced pictures of a set, and its worst ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from camera_perception.image.files import size_of_file
from perception_models.data.drawing import FONT, line_width, tile
from perception_models.data.files import read_image
from perception_models.evaluation.real import metrics
from perception_models.evaluation.real.metrics import FALSE, REPORTED
from perception_models.evaluation.real.output import KINDS, Output
from perception_models.evaluation.real.rows import MODEL, mask_of, truth
from perception_models.evaluation.real.sets import RealSet

SHOWN, COLUMNS, SIZE = 12, 3, (360, 560)
FOUND, MISSED, WRONG, LINE, JUMPING = (90, 200, 60), (0, 215, 255), (60, 60, 245), (255, 255, 255), (255, 0, 255)
LEAST_HEIGHT = 40  # pixels: smaller misses do not make a picture bad


def write_sheets(out: Path, each: RealSet, found: Mapping[str, Sequence[Output]]) -> list[Path]:
    """Write SET.jpg and SET_worst.jpg: green found, yellow missed, red false, blue-grey unlabelled kinds, magenta
    lines that jump."""
    count = len(each.pictures)
    penalties = [penalty(each, number, found) for number in range(count)]
    worst = [number for number in np.argsort(penalties)[::-1][:SHOWN].tolist() if penalties[number] > 0]
    spread = [i * count // min(count, SHOWN) for i in range(min(count, SHOWN))]
    paths = []
    for suffix, numbers in (("", spread), ("_worst", worst)):
        if numbers:
            drawn = [draw(each, number, found) for number in numbers]
            paths.append(out / f"{each.name.replace(' ', '_')}{suffix}.jpg")
            out.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(paths[-1]), tile(drawn, COLUMNS, SIZE), [cv2.IMWRITE_JPEG_QUALITY, 85])
    return paths


def penalty(each: RealSet, number: int, found: Mapping[str, Sequence[Output]]) -> float:
    """Missed large objects, false ones, jumping lines, the hood called drivable and false rain or snow, added up."""
    output, picture = found[MODEL][number], each.pictures[number]
    targets, ignored = truth(each, number, found)
    total = 0.0
    for kind, boxes in targets.items():
        judged = metrics.judge(*output.relative(kind), boxes, ignored[kind])
        total += (~judged.found(REPORTED) & (judged.heights >= LEAST_HEIGHT)).sum() + judged.false(REPORTED)
    if each.road_lines and output.lines:
        width = size_of_file(picture.path)[1]
        total += sum(metrics.jump(points, width) > metrics.JUMP for points in output.lines)
    if each.hood and output.road.size:
        own, pixels = metrics.hood_share(output.road, each.hood, mask_of(picture.semantic))
        total += own / max(pixels, 1)
    return float(total + (each.dry and output.weather in ("rainy", "snowy")))


def draw(
    each: RealSet, number: int, found: Mapping[str, Sequence[Output]], pixels: np.ndarray | None = None
) -> np.ndarray:
    """(H, W, 3) uint8 BGR overlay of the model's output on one picture.

    pixels  drawn over instead of those of the file, such as a copy whose faces are covered
    """
    output, picture = found[MODEL][number], each.pictures[number]
    image = read_image(picture.path) if pixels is None else pixels.copy()
    if output.road.size:
        road = cv2.resize(output.road, image.shape[1::-1], interpolation=cv2.INTER_NEAREST) == 1
        image[road] = (image[road] * 0.65 + np.array((70, 150, 40)) * 0.35).astype(np.uint8)
    width = max(round(line_width(image)), 1)
    for points in output.lines or ():
        jumping = metrics.jump(points, image.shape[1]) > metrics.JUMP
        cv2.polylines(image, [np.rint(points).astype(np.int32)], False, JUMPING if jumping else LINE, 2 * width)
    _draw_objects(image, each, number, found, width)
    text = f"{picture.name}  {output.weather or ''}"
    cv2.putText(image, text, (4 * width, 12 * width), FONT, 0.4 * width, (255, 255, 255), width, cv2.LINE_AA)
    return image


def _draw_objects(
    image: np.ndarray,
    each: RealSet,
    number: int,
    found: Mapping[str, Sequence[Output]],
    width: int,
) -> None:
    targets, ignored = truth(each, number, found)
    for kind in KINDS:
        boxes, scores = found[MODEL][number].relative(kind)
        boxes, scores = boxes[scores >= REPORTED], scores[scores >= REPORTED]
        if kind not in targets:
            for box in boxes:
                _draw_box(image, box, (200, 150, 110), width, kind)
            continue
        judged = metrics.judge(boxes, scores, targets[kind], ignored[kind])
        for box in targets[kind][~judged.found(0.0)]:
            _draw_box(image, box, MISSED, width, f"missed {kind}")
        for box, hit in zip(boxes[np.argsort(-scores, kind="stable")], judged.hits):
            color = FOUND if hit >= 0 else WRONG if hit == FALSE else (160, 160, 160)
            _draw_box(image, box, color, width, kind)


def _draw_box(image: np.ndarray, box: np.ndarray, color: tuple[int, int, int], width: int, text: str) -> None:
    x0, y0, x1, y1 = np.rint(box).astype(int).tolist()
    cv2.rectangle(image, (x0, y0), (x1, y1), color, width)
    if y1 - y0 >= 24 * width:
        cv2.putText(image, text, (x0, max(y0 - 2, 8 * width)), FONT, 0.3 * width, color, width, cv2.LINE_AA)
