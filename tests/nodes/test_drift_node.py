"""A camera node warns on /diagnostics when the outputs of its network drift from their profile."""

from __future__ import annotations

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from driving import Listener, image_message, road

from camera_perception.core.model_spec import load_spec
from camera_perception.core.types import Frame
from camera_perception.engines.select import load_engine
from camera_perception.pipeline import Pipeline
from camera_perception.tools.drift.histograms import figures_of
from camera_perception.tools.drift.profile import profile_of

COUNT, EVERY = 40, 4  # images, of a 20 Hz camera's numbering


def usual_profile(folder, path):
    """Of a lit road."""
    spec = load_spec(folder)
    engine = load_engine(spec, "onnxruntime", threads=1)
    pipeline = Pipeline(spec, engine)
    frames = [Frame(road(number), (1000 + number // 5) * 10**9 + number % 5 * 200_000_000) for number in range(COUNT)]
    drive = [(frame.stamp_ns, figures_of(pipeline.run(frame), spec)) for frame in frames]
    engine.close()
    profile_of([drive], spec, pipeline.thresholds, "a lit road").save(path)
    return path


def drift_status(camera, pixels) -> DiagnosticStatus:
    """The drift status after a drive of such images."""
    listener = Listener(camera.outside, DiagnosticArray, "/diagnostics")
    for number in range(COUNT):
        camera.send(image_message(EVERY * number, pixels(number)))
        camera.answers(number + 1)
    camera.spin_until(lambda: not camera.processor.serving.drift.judgement.why, what="a full window")
    listener.messages.clear()

    def statuses() -> list[DiagnosticStatus]:
        return [part for message in listener.messages for part in message.status if part.name.endswith(": Drift")]

    camera.spin_until(statuses, what="a report about drift")
    return statuses()[-1]


def test_outputs_as_in_the_profile_are_ok(make_camera, tiny_model, tmp_path):
    camera = make_camera(profile=str(usual_profile(tiny_model, tmp_path / "usual.json")))
    camera.activate()
    status = drift_status(camera, road)
    assert (status.level, status.message) == (DiagnosticStatus.OK, "as in the profile")


def test_metrics_that_have_drifted_are_named(make_camera, tiny_model, tmp_path):
    camera = make_camera(profile=str(usual_profile(tiny_model, tmp_path / "usual.json")))
    camera.activate()
    status = drift_status(camera, lambda number: np.full_like(road(), 6) + np.uint8(number % 3))
    assert status.level == DiagnosticStatus.WARN
    assert "timeofday" in status.message


def test_a_missing_profile_does_not_stop_the_camera(make_camera, tmp_path):
    camera = make_camera(profile=str(tmp_path / "gone.json"))
    camera.activate()
    camera.send(image_message(0))
    assert camera.answers(1)[0].objects
    assert camera.processor.serving.drift is None
