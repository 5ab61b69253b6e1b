"""report.html of the demo: one self-contained page with a table, a plot per camera and some frames."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path

import cv2
import jinja2
import numpy as np

from camera_perception.io.video_file import data_url
from camera_perception.tools.replay.plots import COLORS
from camera_perception_ros.demo.result import STAGES, CameraResult, as_json

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Camera perception demo</title>
<style>
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#5c6670;--line:#dde2e7;--panel:#f4f6f8;--page:#fff}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ec;--soft:#9aa4ae;--line:#353b42;--panel:#20252b;--page:#14171a}}
body{font:15px/1.55 system-ui,sans-serif;max-width:1180px;margin:0 auto;padding:2rem 1.2rem 4rem;color:var(--ink);
background:var(--page)}
h1{font-size:1.7rem;margin:0 0 .2rem}h2{font-size:1.15rem;margin:2.2rem 0 .5rem}p{color:var(--soft);margin:.3rem 0}
video,img{max-width:100%;border-radius:8px;display:block;margin:.7rem 0}video{width:100%;background:#000}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1.2rem;background:var(--panel);padding:.9rem 1.1rem;
border-radius:8px;margin:1rem 0}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
.wide{overflow-x:auto}table{border-collapse:collapse;margin:.6rem 0;font-variant-numeric:tabular-nums}
td,th{padding:.3em .9em;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th{color:var(--soft);font-weight:500}td:first-child,th:first-child{text-align:left;padding-left:0}
img.plot{background:#fff}
.frames{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(420px,100%),1fr));gap:.8rem}
</style></head><body>
<h1>Camera perception demo</h1>
<p>A recorded drive went through the nodes, which ran as separate processes over DDS on this machine.</p>
{% if film %}<video controls autoplay loop muted playsinline src="{{ film }}"
{%- if frames %} poster="data:image/jpeg;base64,{{ frames[frames|length // 2] }}"{% endif %}></video>
<p>What each camera saw, and beside it the fused scene from above: 10 m between grid lines, arrows show where an object
will be in a second, dashed ellipses the uncertainty of its position.</p>{% endif %}
<dl>{% for name, text in facts.items() %}<dt>{{ name }}</dt><dd>{{ text }}</dd>{% endfor %}</dl>
<h2>Cameras</h2>
<p>Age is the time from the stamp of an image to the publication of its PerceptionFrame, in real time; it stands still
while the player waits for an answer. Received and replaced images add up to those sent.</p>
<div class="wide"><table>
<tr>{% for name in head %}<th>{{ name }}</th>{% endfor %}</tr>
{% for name, n in cameras %}
<tr><td>{{ name }}</td>
{% for count in (n.sent, n.received, n.replaced, n.unaccounted) %}<td>{{ count }}</td>{% endfor %}
{% for time in (n.age_ms.p50, n.age_ms.p95, n.age_ms.p99, n.inference_ms.p50) %}<td>{{ "%.0f" % time }} ms</td>
{% endfor %}<td>{{ "%.1f" % n.lanes_per_frame }}</td></tr>
{% endfor %}
</table></div>
{% for name, n in cameras %}<h2>{{ name }}</h2>
<p>Detections in all images: {{ n.detections.items() | map("join", " ") | join(", ") or "none" }}</p>
<img class="plot" alt="{{ name }}: time of each stage, objects and lanes"
 src="data:image/png;base64,{{ plots[loop.index0] }}">
{% endfor %}
{% if frames %}<h2>Frames</h2><div class="frames">
{% for frame in frames %}<img alt="frame of the film" src="data:image/jpeg;base64,{{ frame }}">
{% endfor %}</div>{% endif %}
</body></html>"""
HEAD = ("camera", "sent", "received", "replaced", "lost", "age p50", "p95", "p99", "engine p50", "lanes per frame")


def write_report(
    out: Path, results: list[CameraResult], film: Path | None = None, facts: Mapping[str, str] | None = None
) -> Path:
    """Write out/report.html, which carries the film and some of its frames in itself.

    facts  name: text, listed below the film
    """
    page = jinja2.Environment(autoescape=True).from_string(PAGE)
    text = page.render(
        head=HEAD,
        cameras=[(result.camera, as_json(result)) for result in results],
        plots=[_plot(result) for result in results],
        film=data_url(film) if film else "",
        frames=_frames(film) if film else [],
        facts=facts or {},
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
    times.stackplot(seconds, *stages, labels=[stage.removesuffix("_ms") for stage in STAGES], colors=COLORS, alpha=0.8)
    times.set(ylabel="ms", ylim=(0, None))
    rows = (result.objects_by_frame, result.lanes_by_frame, result.replaced_by_frame)
    for values, label, color in zip(rows, ("objects", "lane lines", "replaced images"), COLORS[:2] + COLORS[4:]):
        counts.step(seconds, values, where="post", label=label, color=color)
    counts.set(xlabel="seconds", ylabel="per frame", ylim=(0, None))
    for axes in (times, counts):
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=5, fontsize=8, frameon=False)  # above the curves
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.01)
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
