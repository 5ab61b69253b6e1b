"""The bytes of messages over short drives are those of recorded_outputs.json: speed is never bought with other results,
neither by the compiled functions nor by their NumPy twins.

`python tests/library/test_same_outputs.py` records them again, after a change that is meant to change results.
Elsewhere than on the recording machine the last bit of a float may differ: then ids and rounded sums are compared.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from camera_perception import core
from camera_perception.core.types import EgoMotion, Frame, Perception, Timing
from camera_perception.io.cdr import serialize
from camera_perception.io.perception_frame import perception_fields
from camera_perception.io.ros_types import PERCEPTION_FRAME
from camera_perception.pipeline import Pipeline
from camera_perception.tools.bench import street, synthetic_inputs
from camera_perception.tools.bench.played_engine import PlayedEngine

RECORD = Path(__file__).with_name("recorded_outputs.json")
LENS = np.array([-0.28, 0.07, 0.0002, -0.0001, 0.0])
# name: objects, threshold of objects, camera, motion per frame
DRIVES: dict[str, tuple[int, float, Any, EgoMotion | None]] = {
    "standing": (20, 0.4, synthetic_inputs.camera(), EgoMotion(0.0, 0.0, 0.0)),
    "driving": (20, 0.1, synthetic_inputs.camera(), EgoMotion(0.4, 0.001, 0.002)),
    "crowd": (50, 0.4, replace(synthetic_inputs.camera(), distortion=LENS), None),
    "crowd, low threshold": (50, 0.1, synthetic_inputs.camera(), None),
    "uncalibrated": (20, 0.4, None, None),
}
FRAMES = 25


def drive(name: str) -> Iterator[tuple[Perception, bytes]]:
    """Perceptions and their messages, without times."""
    objects, threshold, camera, motion = DRIVES[name]
    spec = street.spec()
    pipeline = Pipeline(spec, PlayedEngine(spec, list(street.outputs(FRAMES, objects))), camera)
    pipeline.tune({"objects": threshold})
    images = [synthetic_inputs.image(number=number) for number in range(4)]
    for number in range(FRAMES):
        frame = Frame(images[number % 4], 10**9 + number * street.PERIOD_NS, "front")
        perception = replace(pipeline.run(frame, motion), timing=Timing())
        yield perception, message(perception)


def message(perception: Perception, camera: str = "front", packed: bool = True) -> bytes:
    fields = perception_fields(perception, street.spec(), camera_name=camera, packed=packed)
    return serialize(PERCEPTION_FRAME, fields)


def summary(perception: Perception) -> list[float]:
    """Numbers that change when a result does, the same on every machine but for rounding."""
    objects = perception.objects
    parts = objects.boxes, objects.positions, objects.position_covs, objects.velocities, objects.light_states
    lines = [line.ground.points for line in perception.lanes if line.ground is not None]
    road = perception.road.polygon if perception.road is not None else np.zeros(0)
    sums = [float(np.nansum(np.asarray(part, float))) for part in (*parts, *lines, road)]
    return [len(objects), float(objects.track_ids.sum()), *(float(f"{value:.7g}") for value in sums)]


def recorded(name: str) -> dict[str, Any]:
    frames = [(summary(perception), hashlib.sha256(data).hexdigest()[:16]) for perception, data in drive(name)]
    return {"summaries": [each for each, _ in frames], "hashes": [each for _, each in frames]}


def machine() -> str:
    """What the last bit of a float depends on: versions and vector instructions."""
    core = import_module("numpy._core" if hasattr(np, "_core") else "numpy.core")
    features = sorted(name for name, found in core._multiarray_umath.__cpu_features__.items() if found)
    return f"NumPy {np.__version__}, OpenCV {cv2.__version__}, {' '.join(features)}"


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "NumPy"])
@pytest.mark.parametrize("name", DRIVES)
def test_messages_are_those_recorded(name, compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr(core, "kernels", None)
    elif core.kernels is None:
        pytest.skip("nothing is compiled: make setup, with a C compiler")
    record = json.loads(RECORD.read_text("utf-8"))
    found = recorded(name)
    assert [len(each) for each in found["summaries"]] == [len(each) for each in record[name]["summaries"]]
    for number, (is_now, was) in enumerate(zip(found["summaries"], record[name]["summaries"])):
        assert is_now == pytest.approx(was, rel=1e-3, abs=1e-2), f"frame {number}"
    if record["machine"] == machine():
        assert found["hashes"] == record[name]["hashes"]


@pytest.mark.parametrize("name", DRIVES)
def test_packed_objects_have_the_bytes_of_those_written_field_by_field(name):
    for perception, _ in islice(drive(name), 4):
        for camera in ("front", "a", "bc", "def"):  # objects begin at other places of the message
            assert message(perception, camera) == message(perception, camera, packed=False)


def main() -> None:
    record = {"machine": machine(), **{name: recorded(name) for name in DRIVES}}
    RECORD.write_text(json.dumps(record) + "\n", "utf-8")


if __name__ == "__main__":
    main()
