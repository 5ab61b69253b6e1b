"""Statistics of measured times: nanoseconds in, milliseconds out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

PREFIX = "BasicPerformanceMetrics."
Stamps = Mapping[int, int]  # header stamp of an image -> time of sending or receiving, nanoseconds


def spread(milliseconds: Sequence[float]) -> dict[str, float]:
    """p50, p95, p99, max of the values; nan without any."""
    if not len(milliseconds):
        return dict.fromkeys(("p50", "p95", "p99", "max"), float("nan"))
    p50, p95, p99 = np.percentile(milliseconds, (50, 95, 99))
    return {"p50": float(p50), "p95": float(p95), "p99": float(p99), "max": float(max(milliseconds))}


def latencies(sent: Stamps, received: Stamps) -> list[float]:
    """Milliseconds from sending to receiving of every answered stamp, in the order of sending."""
    return [(received[stamp] - sent[stamp]) / 1e6 for stamp in sorted(sent, key=sent.__getitem__) if stamp in received]


def basic_metrics(sent: Stamps, received: Stamps) -> dict[str, float]:
    """The metrics of ros2_benchmark under its names, by its definitions (basic_performance_calculator.py).

    They are kept for comparison. MEAN_PLAYBACK_FRAME_RATE counts the fence posts, and FIRST_SENT_RECEIVED_LATENCY,
    which its tables call the latency, is a single sample; prefer latency_ms.
    """
    out, back = sorted(sent.values()), sorted(received.values())
    metrics: dict[str, float] = {"NUM_FRAMES_SENT": len(out), "NUM_MISSED_FRAMES": len(out) - len(back)}
    if len(out) > 1:
        metrics["MEAN_PLAYBACK_FRAME_RATE"] = len(out) / ((out[-1] - out[0]) / 1e9)
    if len(back) > 1:
        metrics["RECEIVED_DURATION"] = (back[-1] - back[0]) / 1e6
        metrics["MEAN_FRAME_RATE"] = len(back) / ((back[-1] - back[0]) / 1e9)
    if out and back:
        metrics["FIRST_SENT_RECEIVED_LATENCY"] = (back[0] - out[0]) / 1e6
        metrics["LAST_SENT_RECEIVED_LATENCY"] = (back[-1] - out[-1]) / 1e6
    metrics |= _latency_metrics(latencies(sent, received)) | _jitter_metrics(back)
    return {PREFIX + name: value for name, value in metrics.items()}


def _latency_metrics(times: Sequence[float]) -> dict[str, float]:
    if not times:
        return {}
    return {
        "FIRST_INPUT_LATENCY": times[0],
        "LAST_INPUT_LATENCY": times[-1],
        "MIN_LATENCY": min(times),
        "MEAN_LATENCY": float(np.mean(times)),
        "MAX_LATENCY": max(times),
    }


def _jitter_metrics(back: Sequence[int]) -> dict[str, float]:
    """Absolute second differences of the times of receiving."""
    if len(back) < 3:
        return {}
    jitter = np.abs(np.diff(np.asarray(back) / 1e6, n=2))
    return {
        "MIN_JITTER": float(jitter.min()),
        "MEAN_JITTER": float(jitter.mean()),
        "MAX_JITTER": float(jitter.max()),
        "STD_DEV_JITTER": float(jitter.std()),
    }


def loss(sent: int, received: int, skipped: int, failed: int) -> dict[str, float]:
    """Images without an answer by cause, in percent of those sent.

    received  answers, with or without content
    skipped   images replaced by newer ones before they were processed: deliberate
    failed    answers that report a processing error
    transport the rest: lost between the processes
    """
    percent = 100 / max(sent, 1)
    return {
        "transport_loss": percent * max(sent - received - skipped, 0),
        "deliberate_skip": percent * skipped,
        "error": percent * failed,
    }


def period_jitter_ms(received: Stamps) -> float:
    """Standard deviation of the time between answers."""
    back = np.sort(np.fromiter(received.values(), np.int64, len(received)))
    return float(np.diff(back / 1e6).std()) if len(back) > 1 else float("nan")


def missed_deadlines(sent: Stamps, received: Stamps, deadline_ms: float) -> float:
    """Percentage of answers later than the deadline."""
    times = np.asarray(latencies(sent, received))
    return 100 * float((times > deadline_ms).mean()) if len(times) else float("nan")


def slope_per_minute(seconds: Sequence[float], values: Sequence[float]) -> float:
    """Growth of values per minute by least squares, which is robust against a sawtooth."""
    if len(seconds) < 2:
        return float("nan")
    return 60 * float(np.polynomial.polynomial.polyfit(seconds, values, 1)[1])


def around(whole: Sequence[float], engine: Sequence[float], hop: Sequence[float]) -> dict[str, float]:
    """Cost of a frame beside network and transport, from rounds in which all three were measured.

    Milliseconds, one value per round. Differences are taken within a round, so that slow phases of the machine cancel;
    the medians come from different rounds and need not add up.
    """
    rest = np.asarray(whole) - np.asarray(engine) - np.asarray(hop)
    ratio = np.asarray(whole) / np.asarray(engine)
    return {
        "whole": float(np.median(whole)),
        "engine": float(np.median(engine)),
        "hop": float(np.median(hop)),
        "around": float(np.median(rest)),
        "around_p95": float(np.percentile(rest, 95)),
        "ratio": float(np.median(ratio)),
        "ratio_p95": float(np.percentile(ratio, 95)),
    }
