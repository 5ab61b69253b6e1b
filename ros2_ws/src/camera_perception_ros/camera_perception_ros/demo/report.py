"""report.html of the demo: one self-contained page with a table, a plot per camera and some frames."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import cv2
import jinja2
import numpy as np

from camera_perception_ros.demo.result import STAGES, CameraResult, as_json

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Camera perception demo</title>
<style>
body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:1em 0}
td,th{padding:.3em .9em;border-bottom:1px solid #ddd;text-align:right}
td:first-child,th:first-child{text-align:left}
img{max-width:100%;margin:.4em 0;border-radius:4px}
h2{margin-top:2em}
</style>
<h1>Camera perception demo</h1>
<p>Each image of the recording went through its camera's node over DDS. Age is the time from the image's stamp to the
publication of its PerceptionFrame. Received and replaced images add up to those sent.</p>
<table>
<tr>{% for name in head %}<th>{{ name }}{% endfor %}</tr>
{% for name, n in cameras %}
<tr><td>{{ name }}
{% for count in (n.sent, n.received, n.replaced, n.unaccounted) %}<td>{{ count }}{% endfor %}
{% for time in (n.age_ms.p50, n.age_ms.p95, n.age_ms.p99, n.inference_ms.p50) %}<td>{{ "%.1f" % time }} ms{% endfor %}
<td>{{ "%.1f" % n.lanes_per_frame }}</tr>
{% endfor %}
</table>
{% for name, n in cameras %}<h2>{{ name }}</h2>
<p>Detected objects: {{ n.detections.items() | map("join", " ") | join(", ") or "none" }}</p>
<img alt="time of each stage, objects and lanes" src="data:image/png;base64,{{ plots[loop.index0] }}">
{% endfor %}
<h2>Frames</h2>
{% for frame in frames %}<img alt="overlay" src="data:image/jpeg;base64,{{ frame }}">{% endfor %}
</html>"""
HEAD = ("camera", "sent", "received", "replaced", "lost", "age p50", "p95", "p99", "engine p50", "lanes per frame")


def write_report(out: Path, results: list[CameraResult]) -> Path:
    """Write out/report.html, with frames of out/overlay.mp4."""
    page = jinja2.Environment(autoescape=True).from_string(PAGE)
    cameras = [(result.camera, as_json(result)) for result in results]
    text = page.render(
        head=HEAD, cameras=cameras, plots=[_plot(result) for result in results], frames=_frames(out / "overlay.mp4")
    )
    path = out / "report.html"
    path.write_text(text, "utf-8")
    return path


def _plot(result: CameraResult) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 5.5), layout="constrained")
    times, counts = figure.subplots(2, 1, sharex=True)
    seconds = (np.array(result.stamps_ns) - (result.stamps_ns[0] if result.stamps_ns else 0)) / 1e9
    times.plot(seconds, result.ages_ms, color="#222", label="age at publication")
    stages = [np.nan_to_num(result.stages_ms.get(stage, [])) for stage in STAGES]
    times.stackplot(seconds, *stages, labels=[stage.removesuffix("_ms") for stage in STAGES], alpha=0.8)
    times.set(ylabel="ms", ylim=(0, None))
    counts.step(seconds, result.objects_by_frame, where="post", label="objects")
    counts.step(seconds, result.lanes_by_frame, where="post", label="lane lines")
    counts.step(seconds, result.replaced_by_frame, where="post", label="replaced images", color="#c33")
    counts.set(xlabel="seconds", ylabel="per frame", ylim=(0, None))
    for axes in (times, counts):
        axes.legend(loc="upper right", ncols=5, fontsize=8, frameon=False)
        axes.grid(alpha=0.25)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return base64.b64encode(buffer.getvalue()).decode()


def _frames(video: Path, count: int = 4) -> list[str]:
    reader = cv2.VideoCapture(str(video))
    total = int(reader.get(cv2.CAP_PROP_FRAME_COUNT))
    frames = []
    for index in np.linspace(0, total - 1, min(count, total)).round().astype(int):
        reader.set(cv2.CAP_PROP_POS_FRAMES, int(index))
        done, image = reader.read()
        if done:
            frames.append(base64.b64encode(cv2.imencode(".jpg", image)[1].tobytes()).decode())
    reader.release()
    return frames
