"""A camera node tells on /diagnostics when its network says something else than usual."""

from __future__ import annotations

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from driving import Ear, image_message, road

from camera_perception.core.model_spec import load_spec
from camera_perception.core.types import Frame
from camera_perception.engines.select import load_engine
from camera_perception.pipeline import Pipeline
from camera_perception.tools.drift.histograms import metrics_of
from camera_perception.tools.drift.profile import profile_of

COUNT, EVERY = 40, 4  # images, of a 20 Hz camera's numbering


def usual_profile(folder, path):
    """Of a lit road."""
    spec = load_spec(folder)
    engine = load_engine(spec, "onnxruntime", threads=1)
    pipeline = Pipeline(spec, engine)
    frames = [Frame(road(number), (1000 + number // 5) * 10**9 + number % 5 * 200_000_000) for number in range(COUNT)]
    drive = [(frame.stamp_ns, metrics_of(pipeline.run(frame), spec)) for frame in frames]
    engine.close()
    profile_of([drive], spec, pipeline.thresholds, "a lit road").save(path)
    return path


def drift_said(it, pixels) -> DiagnosticStatus:
    """What the node reports after a drive of such pictures."""
    ear = Ear(it.outside, DiagnosticArray, "/diagnostics")
    for number in range(COUNT):
        it.send(image_message(EVERY * number, pixels(number)))
        it.answers(number + 1)
    it.spin_until(lambda: not it.node._perceiver.drift.result.reason, what="a full window")
    ear.heard.clear()

    def said() -> list[DiagnosticStatus]:
        return [part for message in ear.heard for part in message.status if part.name.endswith(": Drift")]

    it.spin_until(said, what="a report about drift")
    return said()[-1]


def test_the_usual_is_fine(rig, tiny_model, tmp_path):
    it = rig(profile=str(usual_profile(tiny_model, tmp_path / "usual.json")))
    it.activate()
    said = drift_said(it, road)
    assert (said.level, said.message) == (DiagnosticStatus.OK, "as usual")


def test_the_figures_that_moved_are_named(rig, tiny_model, tmp_path):
    it = rig(profile=str(usual_profile(tiny_model, tmp_path / "usual.json")))
    it.activate()
    said = drift_said(it, lambda number: np.full_like(road(), 6) + np.uint8(number % 3))
    assert said.level == DiagnosticStatus.WARN
    assert "timeofday" in said.message


def test_a_profile_that_is_not_there_keeps_no_camera_from_working(rig, tmp_path):
    it = rig(profile=str(tmp_path / "gone.json"))
    it.activate()
    it.send(image_message(0))
    assert it.answers(1)[0].objects
    assert it.node._perceiver.drift is None
