"""report.html: one file that shows a drive, from the fields of its PerceptionFrame messages.

Figures of a drive, from the fields of its PerceptionFrame messages.

A drive over time, as drawings for the report.
"""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from camera_perception.core.errors import BagError
from camera_perception.core.model_spec import ModelSpec
from camera_perception.core.types import Status, flag_names
from camera_perception.io.bag_reader import Bag
from camera_perception.io.ros_types import PERCEPTION_FRAME, deserialize, fields_from_message, recorded_types

STAGES = ("decode_ms", "preprocess_ms", "inference_ms", "postprocess_ms")

Fields = Mapping[str, Any]


def read_frames(path: Path | str, topic: str | None = None) -> list[dict[str, Any]]:
    """Fields of the PerceptionFrame messages of a recording, oldest first; BagError when it has none."""
    with Bag(path) as bag:
        topics = [name for name, kind in bag.topics.items() if kind == PERCEPTION_FRAME and topic in (None, name)]
        if not topics:
            raise BagError(
                f"{path} has no PerceptionFrame messages{f' on {topic}' if topic else ''}: give a replay's output"
            )
        text = bag.contents.definitions.get(PERCEPTION_FRAME)
        store = recorded_types(PERCEPTION_FRAME, text) if text else None
        messages = (deserialize(message.kind, message.data, store) for message in bag.messages(topics))
        return [fields_from_message(message, store) for message in messages]


def seconds(frames: Sequence[Fields]) -> np.ndarray:
    """(n,) time of each frame after the first, by stamps."""
    stamps = [frame["header"]["stamp"] for frame in frames]
    nanoseconds = np.array([_get(stamp, "sec") * 10**9 + _get(stamp, "nanosec") for stamp in stamps], np.int64)
    return (nanoseconds - nanoseconds[0]) / 1e9 if len(nanoseconds) else np.zeros(0)


def column(frames: Sequence[Fields], name: str) -> np.ndarray:
    """(n,) one number per frame, nan where it is missing."""
    return np.array([frame.get(name, np.nan) for frame in frames], float)


def latency_table(frames: Sequence[Fields]) -> list[tuple[str, list[float]]]:
    """(stage, [p50, p95, p99, max]) in milliseconds; age only where messages were published live."""
    rows = [(stage.removesuffix("_ms"), column(frames, stage)) for stage in STAGES]
    rows.append(("sum", np.sum([values for _, values in rows], axis=0)))
    rows.append(("age", column(frames, "age_ms")))
    finite = [(name, values[np.isfinite(values)]) for name, values in rows]
    return [(name, np.percentile(values, [50, 95, 99, 100]).tolist()) for name, values in finite if values.size]


def object_table(frames: Sequence[Fields]) -> list[tuple[str, int, int]]:
    """(class, detections, tracks) over the drive, most frequent first."""
    seen: Counter[str] = Counter()
    tracks: dict[str, set[int]] = {}
    for frame in frames:
        for name, track_id in things(frame):
            seen[name] += 1
            tracks.setdefault(name, set()).add(track_id)
    return [(name, count, len(tracks[name] - {0})) for name, count in seen.most_common()]


def things(frame: Fields) -> list[tuple[str, int]]:
    """(name, track id) of all objects, lights and lines in a frame."""
    objects = [(thing["class_name"], thing["track_id"]) for thing in frame.get("objects", ())]
    lights = [(f"traffic light {lamp_text(thing)}", thing["track_id"]) for thing in frame.get("traffic_lights", ())]
    return objects + lights + [("lane line", thing["lane_id"]) for thing in frame.get("lanes", ())]


def lamp_text(light: Fields) -> str:
    """ "red" and the like of a traffic light, "unread" without a lit lamp."""
    names = {1: "red", 2: "amber", 3: "green", 4: "white"}
    return " ".join(names.get(lamp["color"], "unknown") for lamp in light["elements"]) or "unread"


def health_table(frames: Sequence[Fields]) -> list[tuple[str, int]]:
    """(status flag, frames that had it), flags that never occurred left out."""
    counts = Counter(name for frame in frames for name in flag_names(int(frame["status_flags"])))
    return [(flag.name, counts[flag.name]) for flag in Status if flag.name and counts[flag.name]]


def _get(stamp: Any, name: str) -> int:
    return int(stamp[name])


COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#F0E442", "#555555")  # Okabe-Ito
MOST_POINTS = 1200  # of a curve; an hour at 30 Hz has 108000


def plots(frames: Sequence[Fields]) -> list[tuple[str, str]]:
    """(caption, SVG) of each figure."""
    import matplotlib

    matplotlib.use("Agg")
    figures = [
        ("Milliseconds per stage", _latency_figure),
        ("Objects per image", _count_figure),
        ("Lane lines, and the share of the image that is drivable", _road_figure),
        ("Health: when each status flag was set", _health_figure),
    ]
    return [(caption, draw(frames)) for caption, draw in figures]


def _latency_figure(frames: Sequence[Fields]) -> str:
    figure, axes = _axes("ms")
    times = thin(seconds(frames), np.min)
    stages = [thin(np.nan_to_num(column(frames, stage)), np.mean) for stage in STAGES]
    axes.stackplot(
        times, stages, labels=[s.removesuffix("_ms") for s in STAGES], colors=COLORS, linewidth=0, alpha=0.85
    )
    total = np.sum(stages, axis=0)
    if len(total):
        axes.set_ylim(0, max(1.0, float(np.percentile(total, 99.5)) * 1.3))
    return _svg(figure, axes)


def _count_figure(frames: Sequence[Fields]) -> str:
    figure, axes = _axes("count")
    times = thin(seconds(frames), np.min)
    names = [name for name, _, _ in object_table(frames) if name != "lane line"][: len(COLORS)]
    counts = [Counter(name for name, _ in things(frame)) for frame in frames]
    for name, color in zip(names, COLORS):
        axes.step(
            times, thin([count[name] for count in counts], np.max), where="post", label=name, color=color, linewidth=1.2
        )
    _whole_numbers(axes)
    return _svg(figure, axes)


def _road_figure(frames: Sequence[Fields]) -> str:
    figure, axes = _axes("lines")
    times = thin(seconds(frames), np.min)
    lines = thin([len(frame.get("lanes", ())) for frame in frames], np.max)
    axes.step(times, lines, where="post", label="lane lines", color=COLORS[0])
    _whole_numbers(axes)
    share = axes.twinx()
    share.set_ylim(0, 1)
    share.set_ylabel("drivable share")
    coverage = thin([frame["road"]["coverage"] for frame in frames], np.mean)
    share.plot(times, coverage, color=COLORS[2], label="drivable share", linewidth=1.2)
    axes.plot([], [], color=COLORS[2], label="drivable share")
    return _svg(figure, axes)


def _health_figure(frames: Sequence[Fields]) -> str:
    figure, axes = _axes("")
    times = seconds(frames)
    names = [name for name, _ in health_table(frames)]
    for row, name in enumerate(names):
        spans = runs([bool(int(frame["status_flags"]) & Status[name]) for frame in frames], times)
        axes.broken_barh(spans, (row - 0.35, 0.7), color=COLORS[4], linewidth=0)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(-0.7, max(len(names), 1) - 0.3)
    axes.set_xlim(0, max(float(times[-1]), 1e-3) if len(times) else 1.0)
    if not names:
        axes.text(0.5, 0.5, "no flag was set", transform=axes.transAxes, ha="center", va="center", color="#555555")
    return _svg(figure, axes)


def thin(values: Sequence[float] | np.ndarray, join: Any) -> np.ndarray:
    """At most MOST_POINTS values, each joined (np.min, np.max, np.mean) from as many neighbours."""
    array = np.asarray(values, float)
    if len(array) <= MOST_POINTS:
        return array
    return np.array([join(part) for part in np.array_split(array, MOST_POINTS)])


def runs(is_set: Sequence[bool], times: np.ndarray) -> list[tuple[float, float]]:
    """(begin, length) in seconds of each stretch of frames with a flag; a stretch lasts until the next frame."""
    if not len(times):
        return []
    edges = np.flatnonzero(np.diff([False, *is_set, False]))
    last = times[-1] + (np.median(np.diff(times)) if len(times) > 1 else 0.1)
    ends = np.append(times, last)
    return [(float(ends[a]), float(ends[b] - ends[a])) for a, b in zip(edges[::2], edges[1::2])]


def _axes(label: str) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 2.7), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel("seconds")
    axes.set_ylabel(label)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _whole_numbers(axes: Any) -> None:
    """For counts: from zero, ticks at whole numbers."""
    axes.set_ylim(0, max(axes.get_ylim()[1], 2) * 1.1)
    axes.yaxis.get_major_locator().set_params(integer=True)


def _svg(figure: Any, axes: Any) -> str:
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize=8)
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :]


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

    template = Template(
        files("camera_perception.tools.replay").joinpath("report.html").read_text("utf-8"), autoescape=True
    )
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
