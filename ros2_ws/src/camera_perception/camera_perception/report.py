"""report.html: one file that shows a drive, from the fields of its PerceptionFrame messages."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np

from camera_perception.drive_figures import Fields, health_table, latency_table, object_table, seconds
from camera_perception.drive_plots import plots
from camera_perception.model_spec import ModelSpec

SAMPLE_WIDTH = 640


def write_report(
    path: Path | str,
    frames: Sequence[Fields],
    *,
    facts: Mapping[str, str] | None = None,
    samples: Sequence[tuple[int, np.ndarray]] = (),
    spec: ModelSpec | None = None,
    title: str = "Camera perception report",
) -> None:
    """Write the report.

    frames  as message.perception_fields or read_frames give them
    facts   name: text for the head of the page
    samples (index of the frame, BGR picture)
    """
    from jinja2 import Template

    template = Template(files("camera_perception").joinpath("report.html").read_text("utf-8"), autoescape=True)
    html = template.render(
        title=title,
        facts={**(facts or {}), **_own_facts(frames)},
        latency=latency_table(frames),
        counts=object_table(frames),
        health=health_table(frames),
        plots=plots(frames),
        samples=[(index, _stamp_text(frames, index), _jpeg(picture)) for index, picture in samples],
        description=spec.description if spec else "",
    )
    Path(path).write_text(html, "utf-8")


def _own_facts(frames: Sequence[Fields]) -> dict[str, str]:
    times = seconds(frames)
    span = float(times[-1]) if len(times) else 0.0
    status = Counter(int(frame["status"]) for frame in frames)
    return {
        "Drive": f"{len(frames)} images, {span:.1f} s by stamps",
        "Status": f"{status[0]} OK, {status[1]} degraded, {status[2]} invalid",
    }


def _jpeg(picture: np.ndarray) -> str:
    scale = min(1.0, SAMPLE_WIDTH / picture.shape[1])
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else picture
    return base64.b64encode(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()).decode()


def _stamp_text(frames: Sequence[Fields], index: int) -> str:
    return f"image {index}, {seconds(frames)[index]:.2f} s"
