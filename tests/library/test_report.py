"""Metrics and plots of a report against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from camera_perception.core.types import Status
from camera_perception.tools.replay.metrics import health_table, latency_table, object_table
from camera_perception.tools.replay.plots import MAX_POINTS, runs, thin
from camera_perception.tools.replay.report import write_report


def frame(number, flags=0, objects=(), lanes=(), lights=(), **times):
    road = {"coverage": 0.5}
    stamp = {"sec": number, "nanosec": 500_000_000}
    return {
        "header": {"stamp": stamp, "frame_id": "front"},
        "status": 0,
        "status_flags": int(flags),
        "objects": [{"class_name": name, "track_id": track} for name, track in objects],
        "traffic_lights": [{"track_id": 0, "elements": [{"color": color}]} for color in lights],
        "lanes": [{"lane_id": lane} for lane in lanes],
        "road": road,
        **times,
    }


DRIVE = [
    frame(0, Status.IMAGE_DARK, [("car", 1), ("car", 2)], [5], decode_ms=1, inference_ms=10),
    frame(1, Status.IMAGE_DARK | Status.IMAGE_BLURRED, [("car", 1)], [5, 6], [1], decode_ms=3, inference_ms=20),
    frame(2, 0, [("bus", 0)], decode_ms=2, inference_ms=30, age_ms=float("nan")),
]


def test_latency_by_stage():
    table = dict(latency_table(DRIVE))
    assert table["decode"][0] == 2
    assert table["inference"][3] == 30
    assert "age" not in table
    assert "preprocess" not in table


def test_detections_and_tracks_are_counted_by_class():
    assert object_table(DRIVE) == [("car", 3, 2), ("lane line", 3, 2), ("traffic light red", 1, 0), ("bus", 1, 0)]


def test_flags_that_never_occurred_are_left_out():
    assert health_table(DRIVE) == [("IMAGE_DARK", 2), ("IMAGE_BLURRED", 1)]


@pytest.mark.parametrize(
    ("is_set", "spans"),
    [([], []), ([0, 0, 0], []), ([1, 0, 0], [(0, 1)]), ([0, 1, 1], [(1, 2)]), ([1, 0, 1], [(0, 1), (2, 1)])],
)
def test_runs_of_frames(is_set, spans):
    assert runs([bool(i) for i in is_set], np.arange(len(is_set), dtype=float)) == spans


@pytest.mark.parametrize("count", [0, 1, MAX_POINTS, MAX_POINTS + 1, 10 * MAX_POINTS + 7])
def test_long_drives_are_thinned_without_losing_peaks(count):
    values = np.zeros(count)
    values[count // 2 :][:1] = 9
    thinned = thin(values, np.max)
    assert len(thinned) == min(count, MAX_POINTS)
    assert thinned.max(initial=0) == values.max(initial=0)


def test_text_from_messages_is_escaped(tmp_path):
    write_report(tmp_path / "report.html", [frame(0, objects=[("<script>alert(1)</script>", 1)])], facts={"<b>": "&"})
    html = (tmp_path / "report.html").read_text()
    assert "<script>" not in html
    assert "&lt;b&gt;" in html
