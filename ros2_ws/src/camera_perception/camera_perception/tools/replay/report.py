"""report.html: one self-contained page about a drive, from the fields of its PerceptionFrame messages."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np

from camera_perception.core.model_spec import ModelSpec
from camera_perception.io.video_file import data_url
from camera_perception.tools.replay.metrics import Fields, health_table, latency_table, object_table, seconds
from camera_perception.tools.replay.plots import plots

SAMPLE_WIDTH = 640
LARGEST_FILM = 40 << 20  # bytes; browsers load larger pages only slowly


def write_report(
    path: Path | str,
    frames: Sequence[Fields],
    *,
    facts: Mapping[str, str] | None = None,
    samples: Sequence[tuple[int, np.ndarray]] = (),
    spec: ModelSpec | None = None,
    film: Path | None = None,
    title: str = "Camera perception report",
) -> None:
    """Write the report.

    frames   from message.perception_fields or metrics.read_frames
    facts    name: text, listed at the top of the page
    samples  (index of the frame, BGR image)
    film     carried in the page when it is not too large, else linked
    """
    from jinja2 import Template

    text = files("camera_perception.tools.replay").joinpath("report.html").read_text("utf-8")
    html = Template(text, autoescape=True).render(
        title=title,
        facts={**(facts or {}), **_drive_facts(frames)},
        latency=latency_table(frames),
        counts=object_table(frames),
        health=health_table(frames),
        plots=plots(frames),
        samples=[(index, _caption(frames, index), _jpeg(image)) for index, image in samples],
        description=spec.description if spec else "",
        film=_film(film) if film else "",
    )
    Path(path).write_text(html, "utf-8")


def _film(path: Path) -> str:
    return data_url(path) if path.stat().st_size <= LARGEST_FILM else path.name


def _drive_facts(frames: Sequence[Fields]) -> dict[str, str]:
    times = seconds(frames)
    duration = float(times[-1]) if len(times) else 0.0
    status = Counter(int(frame["status"]) for frame in frames)
    return {
        "Drive": f"{len(frames)} images, {duration:.1f} s by stamps",
        "Status": f"{status[0]} OK, {status[1]} degraded, {status[2]} invalid",
    }


def _jpeg(image: np.ndarray) -> str:
    scale = min(1.0, SAMPLE_WIDTH / image.shape[1])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else image
    return base64.b64encode(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()).decode()


def _caption(frames: Sequence[Fields], index: int) -> str:
    return f"image {index}, {seconds(frames)[index]:.2f} s"
