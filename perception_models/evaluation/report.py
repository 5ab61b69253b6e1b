"""Evaluation report: metrics, plots and worst images as one self-contained HTML file."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment

from perception_models.data.drawing import tile
from perception_models.data.labels import DRIVABLE, LINE_COLORS, LINE_TYPES, OBJECTS, SCENE, SEMANTIC
from perception_models.evaluation import plots
from perception_models.evaluation.metrics.lights import NAMES as LIGHT_NAMES
from perception_models.evaluation.robustness.corruptions import summary
from perception_models.evaluation.worst import THUMB, Worst

TEMPLATE = Path(__file__).with_name("report.html.j2")


def write_report(path: Path, metrics: dict[str, Any], worst: Worst) -> None:
    """Tables, curves, confusion matrices and the worst images of every data set."""
    sheets = worst.sheets()
    sections = [
        {
            "name": name,
            "summary": summary,
            "plots": [(title, _embedded(image, "png")) for title, image in _plots(summary)],
            "sheets": [(part, _sheet(rows), rows) for (dataset, part), rows in sheets.items() if dataset == name],
        }
        for name, summary in metrics["datasets"].items()
    ]
    page = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(TEMPLATE.read_text("utf-8"))
    page.globals["number"] = _number
    corruptions = summary(metrics.get("corruptions", {}))
    path.write_text(page.render(metrics=metrics, sections=sections, corruptions=corruptions), "utf-8")


def _number(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _plots(summary: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """(title, PNG) of every part of the summary."""
    if objects := summary.get("objects"):
        if objects.get("curves"):
            yield "precision-recall curve (objects)", plots.precision_recall(objects["curves"])
            yield "recall over false positives (objects)", plots.roc(objects["roc"])
        columns = (*OBJECTS, "missed")
        yield "confusion of object classes", plots.matrix(objects["confusion"], (*OBJECTS, "background"), columns)
        yield "calibration of object scores", plots.reliability_diagram(objects["reliability"])
    for part in ("lights", "crops"):
        if part in summary:
            yield f"light states ({part})", plots.matrix(summary[part]["confusion"], LIGHT_NAMES[:-1], LIGHT_NAMES)
    if lanes := summary.get("lanes"):
        yield "line type", plots.matrix(lanes["type_confusion"][:-1], LINE_TYPES, (*LINE_TYPES, "none"))
        yield "line color", plots.matrix(lanes["color_confusion"][:-1], LINE_COLORS, (*LINE_COLORS, "none"))
    if "drivable" in summary:
        yield "drivable map", plots.matrix(summary["drivable"]["confusion"], DRIVABLE, (*DRIVABLE, "other"))
    if "semantic" in summary:
        yield "semantic map", plots.matrix(summary["semantic"]["confusion"], SEMANTIC, (*SEMANTIC, "other"))
    for name, labels in SCENE.items():
        if name in summary.get("scene", {}):
            yield name, plots.matrix(summary["scene"][name]["confusion"], labels, (*labels, "other"))


def _sheet(rows: list[tuple[str, float, np.ndarray]]) -> str:
    sheet = tile([image for _, _, image in rows], 1, (THUMB[0], 2 * THUMB[1]))
    return _embedded(cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes(), "jpeg")


def _embedded(data: bytes, image_type: str) -> str:
    return f"data:image/{image_type};base64,{base64.b64encode(data).decode()}"
