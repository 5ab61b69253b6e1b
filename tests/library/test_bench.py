"""Statistics and tables of `make bench`, against values worked out by hand."""

from __future__ import annotations

import json
import math
import time

import pytest

from camera_perception.core.errors import PerceptionError
from camera_perception.tools.bench import report, statistics
from camera_perception.tools.bench.components import Component, components_table, measure
from camera_perception.tools.bench.report import Table, against, formatted
from camera_perception.tools.bench.timing import time_in_turn
from camera_perception.tools.cli.machine.bench import main

MS = 1_000_000

# Five images, 10 ms apart; the one stamped 3 is lost. Received at 4, 15, 27 and 41 ms.
SENT = {1: 0, 2: 10 * MS, 3: 20 * MS, 4: 30 * MS, 5: 40 * MS}
RECEIVED = {1: 4 * MS, 2: 15 * MS, 4: 37 * MS, 5: 50 * MS}


def basic(name: str) -> float:
    return statistics.basic_metrics(SENT, RECEIVED)["BasicPerformanceMetrics." + name]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NUM_FRAMES_SENT", 5),
        ("NUM_MISSED_FRAMES", 1),
        ("MEAN_PLAYBACK_FRAME_RATE", 125.0),  # 5 images in 40 ms: the fence posts are counted
        ("RECEIVED_DURATION", 46.0),
        ("MEAN_FRAME_RATE", 4 / 0.046),
        ("FIRST_SENT_RECEIVED_LATENCY", 4.0),
        ("LAST_SENT_RECEIVED_LATENCY", 10.0),
        ("FIRST_INPUT_LATENCY", 4.0),
        ("LAST_INPUT_LATENCY", 10.0),
        ("MIN_LATENCY", 4.0),
        ("MEAN_LATENCY", (4 + 5 + 7 + 10) / 4),
        ("MAX_LATENCY", 10.0),
        # intervals 11, 22, 13: their differences 11 and 9
        ("MIN_JITTER", 9.0),
        ("MEAN_JITTER", 10.0),
        ("MAX_JITTER", 11.0),
        ("STD_DEV_JITTER", 1.0),
    ],
)
def test_metrics_of_ros2_benchmark_are_its_own(name, value):
    assert basic(name) == pytest.approx(value)


def test_nothing_received_has_no_latency_but_is_counted():
    metrics = statistics.basic_metrics(SENT, {})
    assert metrics["BasicPerformanceMetrics.NUM_MISSED_FRAMES"] == 5
    assert not any("LATENCY" in name or "JITTER" in name for name in metrics)


def test_latencies_are_matched_by_stamp():
    assert statistics.latencies(SENT, RECEIVED) == [4.0, 5.0, 7.0, 10.0]


def test_spread_of_a_hundred_values():
    spread = statistics.spread(list(range(101)))
    assert spread == {"p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}


def test_spread_of_nothing_is_unknown():
    assert all(math.isnan(value) for value in statistics.spread([]).values())


@pytest.mark.parametrize(
    ("sent", "received", "skipped", "failed", "transport_loss", "skip", "error"),
    [
        (0, 0, 0, 0, 0, 0, 0),
        (200, 200, 0, 0, 0, 0, 0),
        (200, 150, 30, 10, 10, 15, 5),
        (200, 150, 60, 0, 0, 30, 0),  # more skips are known than images are missing: none is left for the transport
    ],
)
def test_every_image_is_accounted_for(sent, received, skipped, failed, transport_loss, skip, error):
    expected = {"transport_loss": transport_loss, "deliberate_skip": skip, "error": error}
    assert statistics.loss(sent, received, skipped, failed) == expected


def test_deadline_missed_by_one_of_four():
    assert statistics.missed_deadlines(SENT, RECEIVED, 7.0) == 25.0


def test_period_jitter_is_the_deviation_of_the_intervals():
    # intervals 11, 22, 13: mean 46/3
    assert statistics.period_jitter_ms(RECEIVED) == pytest.approx(
        math.sqrt(((11 - 46 / 3) ** 2 + (22 - 46 / 3) ** 2 + (13 - 46 / 3) ** 2) / 3)
    )


def test_memory_that_grows_by_a_megabyte_every_ten_seconds():
    assert statistics.slope_per_minute([0, 10, 20, 30], [100, 101, 102, 103]) == pytest.approx(6.0)


def test_a_sawtooth_does_not_grow():
    seconds = list(range(100))
    assert abs(statistics.slope_per_minute(seconds, [100 + s % 2 for s in seconds])) < 0.1


def test_cost_around_the_engine_is_compared_within_rounds():
    result = statistics.around([30.0, 130.0, 32.0], [20.0, 115.0, 20.0], [8.0, 12.0, 8.0])
    assert result["around"] == 3.0  # 2, 3, 4
    assert (result["whole"], result["engine"], result["hop"]) == (32.0, 20.0, 8.0)
    assert result["ratio"] == 1.5  # 1.5, 1.13, 1.6


@pytest.mark.parametrize(
    ("cell", "text"),
    [("x", "x"), (7, "7"), (0.1234, "0.12"), (12.34, "12.3"), (1234.5, "1234"), (-150.2, "-150"), (float("nan"), "-")],
)
def test_numbers_have_three_significant_digits(cell, text):
    assert formatted(cell) == text


def test_a_value_beside_its_limit():
    assert against(2.5, 3, "ms") == "2.50 ms (<= 3 ms: yes)"
    assert against(1.2, 1.15) == "1.20 (<= 1.15: no)"
    assert against(float("nan"), 3).endswith("no)")


def test_table_in_markdown():
    table = Table("Hops", ("way", "ms"), [("a|b", 1.5), ("c", float("nan"))], "Between processes.")
    assert table.markdown().splitlines() == [
        "### Hops", "", "Between processes.", "", "| way | ms |", "| --- | ---: |", "| a\\|b | 1.50 |", "| c | - |",
    ]  # fmt: skip


def test_json_knows_no_nan(tmp_path):
    metadata = {"device": "Test", "cores": 2, "date": "2026-01-02T03:04:05", "load_at_start": 0.5}
    report.write(tmp_path, {"metadata": metadata, "a": [1.0, float("nan")]}, [Table("T", ("x",), [(1,)])], "make bench")
    assert json.loads((tmp_path / "bench.json").read_text())["a"] == [1.0, None]
    text = (tmp_path / "bench.md").read_text()
    assert text.startswith("`make bench` on Test with 2 cores, 2026-01-02.")
    assert "### T" in text


def test_a_page_gets_new_tables_and_keeps_the_rest(tmp_path):
    page = tmp_path / "README.md"
    page.write_text("before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n")
    report.put_into(page, "new\n")
    assert page.read_text() == "before\n<!-- bench -->\nnew\n<!-- /bench -->\nafter\n"


@pytest.mark.parametrize("text", ["", "<!-- bench -->", "<!-- /bench -->"])
def test_a_page_without_marks_stays_as_it_is(tmp_path, text):
    page = tmp_path / "README.md"
    page.write_text(text)
    with pytest.raises(PerceptionError, match="no marks"):
        report.put_into(page, "new")
    assert page.read_text() == text


def test_candidates_are_timed_in_turn():
    calls: list[str] = []
    candidates = {name: lambda name=name: calls.append(name) for name in "ab"}
    times = time_in_turn(candidates, seconds=60, rounds=4, warm_up=1)
    assert calls == ["a", "b"] * 5
    assert [len(values) for values in times.values()] == [4, 4]


def test_computing_time_leaves_waiting_out():
    times = time_in_turn({"waits": lambda: time.sleep(0.02)}, seconds=0, rounds=3, warm_up=0, cpu=True)
    assert max(times["waits"]) < 15


def test_a_component_is_compared_with_copying_an_image():
    result = measure([Component("sum", lambda: sum(range(10)))], seconds=0.01)
    assert result[0]["ratio"] == pytest.approx(result[0]["ms"] / result[0]["copy_ms"])
    assert components_table(result).rows[0][0] == "sum"


def test_the_command_says_what_it_takes(capsys):
    assert main(["--help"]) == 0
    assert "--model" in capsys.readouterr().out
