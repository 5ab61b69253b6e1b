"""Drift monitoring: quiet while the outputs are distributed as in the profile, and a warning when they are not."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from typer.testing import CliRunner

from camera_perception.core.errors import ModelError
from camera_perception.core.model_spec import load_spec
from camera_perception.core.types import Frame
from camera_perception.engines.select import load_engine
from camera_perception.pipeline import Pipeline
from camera_perception.tools.cli.app import app
from camera_perception.tools.drift.divergence import expected_divergence, jensen_shannon
from camera_perception.tools.drift.histograms import count_histogram, metrics_of, score_histogram
from camera_perception.tools.drift.monitor import DriftMonitor, open_monitor
from camera_perception.tools.drift.profile import load_profile, profile_of
from camera_perception.tools.replay.source import open_source

REPOSITORY = Path(__file__).parents[2]
START_NS = 1_790_000_000_000_000_000


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ({"x": 3, "y": 1}, {"x": 1, "y": 3}),
        ({"x": 1}, {"y": 2}),
        ({"x": 2, "y": 2}, {"x": 5, "y": 5}),
        ({"x": 9}, {"x": 1}),
    ],
)
def test_the_divergence_is_that_of_scipy(a, b):
    p, q = ([side.get(name, 0) for name in ("x", "y")] for side in (a, b))
    assert jensen_shannon(a, b) == pytest.approx(jensenshannon(p, q, base=2) ** 2, abs=1e-12)
    assert np.isnan(jensen_shannon(a, {}))


def test_expected_divergence_is_that_of_samples_of_one_distribution():
    random, shares = np.random.default_rng(0), np.array([0.5, 0.3, 0.2])
    draws = [random.multinomial(40, shares) for _ in range(4000)]
    pairs = [(dict(zip("abc", a)), dict(zip("abc", b))) for a, b in zip(draws[::2], draws[1::2])]
    measured = np.mean([jensen_shannon(a, b) for a, b in pairs])
    assert expected_divergence(*pairs[0], (40, 40)) == pytest.approx(measured, rel=0.2)
    assert expected_divergence({"a": 3}, {"a": 9}, (3, 9)) == 0


@pytest.mark.parametrize(
    ("value", "bins"), [(0.0, {"0": 1}), (1.0, {"5": 1}), (0.5, {"2": 0.5, "3": 0.5}), (7.0, {"5": 1})]
)
def test_scores_are_split_between_neighbouring_points(value, bins):
    assert score_histogram([value]) == pytest.approx(bins)
    assert score_histogram([float("nan")]) == {}


@pytest.mark.parametrize(
    ("count", "bins"), [(0, {"0": 1}), (1, {"1": 1}), (3, {"2": 1}), (31, {"5": 1}), (10**6, {"6": 1})]
)
def test_counts_are_measured_in_doublings(count, bins):
    assert count_histogram(count) == pytest.approx(bins)


# A handmade model that detects a bright car, a road and the time of day


@pytest.fixture(scope="module")
def tiny(tiny_model):
    spec = load_spec(tiny_model)
    engine = load_engine(spec, "onnxruntime", threads=1)
    yield spec, engine
    engine.close()


def image_of(number: int, light: int = 90, cars: bool = True) -> np.ndarray:
    image = np.full((96, 160, 3), light, np.uint8)
    if cars:
        image[50:70, 40 + number % 50 : 80 + number % 50] = 235
    return image + np.random.default_rng(number).integers(0, 9, image.shape, np.uint8)


@pytest.fixture(scope="module")
def drive(tiny):
    """drive(count, **how): perceptions of a drive at 5 Hz, and their thresholds."""
    spec, engine = tiny

    @cache
    def drive(count: int, **how):
        pipeline = Pipeline(spec, engine)
        frames = (Frame(image_of(number, **how), START_NS + number * 200_000_000) for number in range(count))
        return [pipeline.run(frame) for frame in frames], pipeline.thresholds

    return drive


def monitored(tiny, perceptions, thresholds, profile) -> DriftMonitor:
    monitor = DriftMonitor(profile, tiny[0])
    for perception in perceptions:
        monitor.update(perception, thresholds)
    return monitor


@pytest.fixture(scope="module")
def profile(tiny, drive):
    perceptions, thresholds = drive(80)
    return profile_of([[(p.frame.stamp_ns, metrics_of(p, tiny[0])) for p in perceptions]], tiny[0], thresholds, "test")


def test_a_profile_survives_its_file(tiny, profile, tmp_path):
    profile.save(tmp_path / "new" / "profile.json")
    assert load_profile(tmp_path / "new" / "profile.json", tiny[0]) == profile
    assert (profile.frames, profile.window) == (80, 4.5)
    assert profile.metrics["timeofday"].histogram == {"daytime": 80.0}
    assert profile.metrics["object classes"].histogram.keys() == {"car"}


def test_the_same_drive_does_not_drift(tiny, drive, profile):
    perceptions, thresholds = drive(30)
    result = monitored(tiny, perceptions, thresholds, profile).result
    assert result.drifted == ()
    assert {"object count", "object scores", "lane count", "road fraction", "weather"} <= {
        metric.name for metric in result.metrics
    }


@pytest.mark.parametrize(
    ("how", "drifted"),
    [({"light": 8}, {"timeofday", "weather", "road fraction"}), ({"cars": False}, {"object count"})],
)
def test_metrics_that_drifted_are_named(tiny, drive, profile, how, drifted):
    perceptions, thresholds = drive(30, **how)
    result = monitored(tiny, perceptions, thresholds, profile).result
    assert drifted <= {metric.name for metric in result.drifted}
    assert all(metric.divergence > metric.limit for metric in result.drifted)


def test_a_warning_starts_after_one_window_and_ends_one_window_after_its_cause(tiny, drive, profile):
    night, thresholds = drive(30, light=8)
    day, _ = drive(80)
    monitor = DriftMonitor(profile, tiny[0])
    later = [replace(p, frame=replace(p.frame, stamp_ns=p.frame.stamp_ns + 6 * 10**9)) for p in day]
    warnings = []
    for perception in night + later:
        monitor.update(perception, thresholds)
        warnings.append((round((perception.frame.stamp_ns - START_NS) / 1e9, 1), bool(monitor.result.drifted)))
    times = [seconds for seconds, warning in warnings if warning]
    assert times[0] == pytest.approx(profile.window, abs=0.8)
    assert 6 < times[-1] < 6 + profile.window + 0.8


def test_a_clock_jump_restarts_the_window_and_other_thresholds_are_not_compared(tiny, drive, profile):
    perceptions, thresholds = drive(30, light=8)
    monitor = monitored(tiny, perceptions, thresholds, profile)
    assert monitor.result.drifted
    monitor.update(perceptions[0], thresholds)
    assert (monitor.result.drifted, "not full yet" in monitor.result.reason) == ((), True)
    monitor = monitored(tiny, perceptions, {**thresholds, "objects": 0.9}, profile)
    assert (monitor.result.metrics, "thresholds" in monitor.result.reason) == ((), True)


def test_a_profile_with_the_names_of_the_first_version_is_read(tiny, profile, tmp_path):
    profile.save(tmp_path / "profile.json")
    text = (tmp_path / "profile.json").read_text()
    for name, old in (
        ("object count", "object number"),
        ("lane count", "lane number"),
        ("road fraction", "road share"),
    ):
        text = text.replace(f'"{name}"', f'"{old}"')
    assert "road share" in text
    (tmp_path / "profile.json").write_text(text)
    assert load_profile(tmp_path / "profile.json", tiny[0]) == profile


def test_without_a_profile_there_is_no_monitor_and_a_wrong_one_is_refused(tiny, profile, tmp_path):
    spec = replace(tiny[0], folder=tmp_path)
    assert open_monitor(spec) is None
    profile.save(tmp_path / "profile.json")
    monitor = open_monitor(spec)
    assert monitor is not None
    assert monitor.profile == profile
    with pytest.raises(ModelError, match="does not exist"):
        open_monitor(spec, str(tmp_path / "gone.json"))
    replace(profile, sha256="f" * 64).save(tmp_path / "other.json")
    with pytest.raises(ModelError, match="written with another tiny"):
        open_monitor(spec, str(tmp_path / "other.json"))
    for text in ("no json", "[]", "{}", json.dumps({"schema": 99})):
        (tmp_path / "broken.json").write_text(text)
        with pytest.raises(ModelError, match="is not a profile of this version"):
            open_monitor(spec, str(tmp_path / "broken.json"))


def write_video(path: Path, **how) -> Path:
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 5, (160, 96))
    for index in range(40):
        video.write(image_of(index, **how))
    video.release()
    return path


def test_the_command_writes_a_profile_and_compares_drives_with_it(tiny_model, tmp_path):
    day, night = write_video(tmp_path / "day.avi"), write_video(tmp_path / "night.avi", light=8)
    reference, options = tmp_path / "reference.json", ["-m", str(tiny_model), "-e", "onnxruntime", "--threads", "1"]

    def run(*arguments):
        return CliRunner().invoke(app, ["profile", *map(str, arguments), *options])

    written = run(day, day, "--out", reference, "--threshold", "objects=0.5")
    assert (written.exit_code, "short: give drives of 4 minutes" in written.output) == (0, True), written.output
    assert json.loads(reference.read_text())["thresholds"]["objects"] == 0.5
    assert "exists already" in run(day, "--out", reference).output
    same, drifted = run(day, "--against", reference), run(night, "--against", reference)
    assert (same.exit_code, "no drift" in same.output) == (0, True), same.output
    assert (drifted.exit_code, ", timeofday," in drifted.output) == (1, True), drifted.output
    assert "give HEAD=SCORE" in run(day, "--out", tmp_path / "x", "--threshold", "cars=2").output


# The shipped model on the demo drive


def darkened(image: np.ndarray) -> np.ndarray:
    return (image * 0.12).astype(np.uint8)


def fogged(image: np.ndarray) -> np.ndarray:
    """Thickest at the horizon, as for a plane by Koschmieder's law."""
    rows = np.arange(len(image)) / len(image)
    fraction = (0.55 + 0.4 * np.clip(1 - np.abs(rows - 0.48) / 0.5, 0, 1))[:, None, None]
    return (image * (1 - fraction) + 200 * fraction).astype(np.uint8)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_frames_between_those_of_the_profile_drift_only_in_the_dark_and_in_fog():
    """The profile is of every fourth frame of twelve seconds; the frames between them fill the last window."""
    spec = load_spec(REPOSITORY / "perception_models/zoo/demo")
    engine = load_engine(spec, "onnxruntime", threads=1)
    source = open_source(REPOSITORY / "bags/demo_drive", "/camera/front/image_raw/compressed")
    frames = [arrival.frame() for arrival in source.arrivals]

    def run(frames, change=lambda image: image):
        pipeline = Pipeline(spec, engine, source.calibration)
        return [pipeline.run(replace(frame, image=change(frame.image))) for frame in frames], pipeline.thresholds

    perceptions, thresholds = run(frames[::4])
    metrics = [(p.frame.stamp_ns, metrics_of(p, spec)) for p in perceptions]
    profile = profile_of([metrics], spec, thresholds, "every fourth frame")
    last = frames[-1].stamp_ns - (profile.window + 0.8) * 1e9
    between = [frame for frame in frames[1::2] if frame.stamp_ns > last]

    def drifted(change=lambda image: image):
        result = monitored((spec, engine), *run(between, change), profile).result
        assert result.metrics
        return {metric.name for metric in result.drifted}

    assert drifted() == set()
    assert drifted(darkened)
    assert drifted(fogged)
    engine.close()
