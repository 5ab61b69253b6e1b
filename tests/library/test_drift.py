"""What the network says is compared with what is usual: quiet when nothing moved, and clear when something did."""

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
from camera_perception.tools.drift.divergence import chance, jensen_shannon
from camera_perception.tools.drift.histograms import figures_of, number, steps
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


def test_chance_is_what_samples_of_one_distribution_differ_by():
    random, shares = np.random.default_rng(0), np.array([0.5, 0.3, 0.2])
    draws = [random.multinomial(40, shares) for _ in range(4000)]
    pairs = [(dict(zip("abc", a)), dict(zip("abc", b))) for a, b in zip(draws[::2], draws[1::2])]
    measured = np.mean([jensen_shannon(a, b) for a, b in pairs])
    assert chance(*pairs[0], (40, 40)) == pytest.approx(measured, rel=0.2)
    assert chance({"a": 3}, {"a": 9}, (3, 9)) == 0


@pytest.mark.parametrize(
    ("value", "bins"), [(0.0, {"0": 1}), (1.0, {"5": 1}), (0.5, {"2": 0.5, "3": 0.5}), (7.0, {"5": 1})]
)
def test_scores_are_shared_between_neighbouring_points(value, bins):
    assert steps([value]) == pytest.approx(bins)
    assert steps([float("nan")]) == {}


@pytest.mark.parametrize(
    ("count", "bins"), [(0, {"0": 1}), (1, {"1": 1}), (3, {"2": 1}), (31, {"5": 1}), (10**6, {"6": 1})]
)
def test_counts_are_measured_in_doublings(count, bins):
    assert number(count) == pytest.approx(bins)


# A model made by hand, which sees a bright car, a road and the time of day


@pytest.fixture(scope="module")
def tiny(tiny_model):
    spec = load_spec(tiny_model)
    engine = load_engine(spec, "onnxruntime", threads=1)
    yield spec, engine
    engine.close()


def picture(number: int, light: int = 90, cars: bool = True) -> np.ndarray:
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
        frames = (Frame(picture(number, **how), START_NS + number * 200_000_000) for number in range(count))
        return [pipeline.run(frame) for frame in frames], pipeline.thresholds

    return drive


def watched(tiny, perceptions, thresholds, profile) -> DriftMonitor:
    monitor = DriftMonitor(profile, tiny[0])
    for perception in perceptions:
        monitor.update(perception, thresholds)
    return monitor


@pytest.fixture(scope="module")
def profile(tiny, drive):
    perceptions, thresholds = drive(80)
    return profile_of([[(p.frame.stamp_ns, figures_of(p, tiny[0])) for p in perceptions]], tiny[0], thresholds, "test")


def test_a_profile_survives_its_file(tiny, profile, tmp_path):
    profile.save(tmp_path / "new" / "profile.json")
    assert load_profile(tmp_path / "new" / "profile.json", tiny[0]) == profile
    assert (profile.frames, profile.window) == (80, 4.5)
    assert profile.figures["timeofday"].histogram == {"daytime": 80.0}
    assert profile.figures["object classes"].histogram.keys() == {"car"}


def test_the_same_again_is_as_usual(tiny, drive, profile):
    perceptions, thresholds = drive(30)
    judgement = watched(tiny, perceptions, thresholds, profile).judgement
    assert judgement.moved == ()
    assert {"object number", "object scores", "lane number", "road share", "weather"} <= {
        f.name for f in judgement.figures
    }


@pytest.mark.parametrize(
    ("how", "moved"),
    [({"light": 8}, {"timeofday", "weather", "road share"}), ({"cars": False}, {"object number"})],
)
def test_what_moved_is_named(tiny, drive, profile, how, moved):
    perceptions, thresholds = drive(30, **how)
    judgement = watched(tiny, perceptions, thresholds, profile).judgement
    assert moved <= {figure.name for figure in judgement.moved}
    assert all(figure.divergence > figure.limit for figure in judgement.moved)


def test_it_takes_a_whole_window_and_a_warning_ends_one_window_after_its_cause(tiny, drive, profile):
    night, thresholds = drive(30, light=8)
    day, _ = drive(80)
    monitor = DriftMonitor(profile, tiny[0])
    later = [replace(p, frame=replace(p.frame, stamp_ns=p.frame.stamp_ns + 6 * 10**9)) for p in day]
    said = []
    for perception in night + later:
        monitor.update(perception, thresholds)
        said.append((round((perception.frame.stamp_ns - START_NS) / 1e9, 1), bool(monitor.judgement.moved)))
    times = [seconds for seconds, moved in said if moved]
    assert times[0] == pytest.approx(profile.window, abs=0.8)
    assert 6 < times[-1] < 6 + profile.window + 0.8


def test_a_jump_of_the_clock_begins_anew_and_other_thresholds_are_not_compared(tiny, drive, profile):
    perceptions, thresholds = drive(30, light=8)
    monitor = watched(tiny, perceptions, thresholds, profile)
    assert monitor.judgement.moved
    monitor.update(perceptions[0], thresholds)
    assert (monitor.judgement.moved, "not full yet" in monitor.judgement.why) == ((), True)
    monitor = watched(tiny, perceptions, {**thresholds, "objects": 0.9}, profile)
    assert (monitor.judgement.figures, "thresholds" in monitor.judgement.why) == ((), True)


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
        with pytest.raises(ModelError, match="is no profile of this version"):
            open_monitor(spec, str(tmp_path / "broken.json"))


def write_film(path: Path, **how) -> Path:
    film = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 5, (160, 96))
    for index in range(40):
        film.write(picture(index, **how))
    film.release()
    return path


def test_the_command_writes_a_profile_and_compares_drives_with_it(tiny_model, tmp_path):
    day, night = write_film(tmp_path / "day.avi"), write_film(tmp_path / "night.avi", light=8)
    usual, options = tmp_path / "usual.json", ["-m", str(tiny_model), "-e", "onnxruntime", "--threads", "1"]

    def run(*arguments):
        return CliRunner().invoke(app, ["profile", *map(str, arguments), *options])

    written = run(day, day, "--out", usual, "--threshold", "objects=0.5")
    assert (written.exit_code, "short: give drives of 4 minutes" in written.output) == (0, True), written.output
    assert json.loads(usual.read_text())["thresholds"]["objects"] == 0.5
    assert "exists already" in run(day, "--out", usual).output
    same, moved = run(day, "--against", usual), run(night, "--against", usual)
    assert (same.exit_code, "as usual" in same.output) == (0, True), same.output
    assert (moved.exit_code, ", timeofday," in moved.output) == (1, True), moved.output
    assert "give HEAD=SCORE" in run(day, "--out", tmp_path / "x", "--threshold", "cars=2").output


# The shipped model on the demo drive


def darkened(image: np.ndarray) -> np.ndarray:
    return (image * 0.12).astype(np.uint8)


def fogged(image: np.ndarray) -> np.ndarray:
    """Thickest at the horizon, as Koschmieder's law says of a plane."""
    rows = np.arange(len(image)) / len(image)
    share = (0.55 + 0.4 * np.clip(1 - np.abs(rows - 0.48) / 0.5, 0, 1))[:, None, None]
    return (image * (1 - share) + 200 * share).astype(np.uint8)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_frames_between_are_as_usual_in_the_dark_and_in_fog_they_are_not():
    """Twelve seconds, of whose halves one holds a crossing: the profile is of each second frame."""
    spec = load_spec(REPOSITORY / "perception_models/zoo/demo")
    engine = load_engine(spec, "onnxruntime", threads=1)
    source = open_source(REPOSITORY / "bags/demo_drive", "/camera/front/image_raw/compressed")
    frames = [arrival.frame() for arrival in source.arrivals]
    first, second = frames[::2], frames[1::2]

    def seen(frames, change=lambda image: image):
        pipeline = Pipeline(spec, engine, source.calibration)
        return [pipeline.run(replace(frame, image=change(frame.image))) for frame in frames], pipeline.thresholds

    perceptions, thresholds = seen(first)
    figures = [(p.frame.stamp_ns, figures_of(p, spec)) for p in perceptions]
    profile = profile_of([figures], spec, thresholds, "each second frame")

    def moved(change=lambda image: image):
        judgement = watched((spec, engine), *seen(second, change), profile).judgement
        assert judgement.figures
        return {figure.name for figure in judgement.moved}

    assert moved() == set()
    assert moved(darkened)
    assert moved(fogged)
    engine.close()
