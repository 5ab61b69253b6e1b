"""No file but the covered output is ever written while a recording is anonymised, and what stays uncovered is said."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from camera_perception.core.errors import BagError
from camera_perception.core.model_spec import load_spec
from camera_perception.core.types import Detections
from camera_perception.io.bag_writer import BagWriter
from camera_perception.io.cdr import serialize
from camera_perception.io.ros_types import COMPRESSED_IMAGE
from camera_perception.tools.cli.drives.anonymize import summary
from camera_perception.tools.privacy.anonymize import anonymize
from camera_perception.tools.privacy.limits import HEADS_OF_REAL_PEOPLE, recall_of
from camera_perception.tools.privacy.regions import Settings

WRITING = os.O_WRONLY | os.O_RDWR
watched: list[set[str]] = []  # hooks stay for good: this one does nothing while the list is empty


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if watched and event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING:
        watched[-1].add(os.fspath(arguments[0]) if isinstance(arguments[0], (str, bytes, os.PathLike)) else "")


sys.addaudithook(_hook)


@pytest.fixture
def opened():
    """The files that Python opens for writing during the test."""
    watched.append(set())
    yield watched[-1]
    watched.pop()


class OneHead:
    """A detector that sees one person in every image."""

    names, min_score, in_tiles = ("pedestrian",), 0.2, False

    def __init__(self, spec) -> None:
        self.specs = [spec]

    def __call__(self, image: np.ndarray) -> Detections:
        box = np.array([[20, 10, 60, 90]], np.float32)
        return Detections(box, np.ones(1, np.float32), np.zeros(1, np.int32), np.zeros((1, 0), np.float32))


@pytest.fixture(scope="module")
def spec(tiny_model):
    return load_spec(tiny_model)


def jpeg(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (96, 160, 3), np.uint8)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


def recording(folder: Path) -> Path:
    with BagWriter(folder) as writer:
        for number in range(3):
            header = {"stamp": {"sec": number, "nanosec": 0}, "frame_id": "f"}
            data = np.frombuffer(jpeg(number), np.uint8)
            writer.add_topic("/front/compressed", COMPRESSED_IMAGE)
            values = {"header": header, "format": "jpeg", "data": data}
            writer.write("/front/compressed", number * 10**9, serialize(COMPRESSED_IMAGE, values))
    return folder


def pictures(folder: Path) -> Path:
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.jpg").write_bytes(jpeg(number))
    return folder


@pytest.mark.parametrize("make", [recording, pictures])
def test_only_the_output_and_its_report_are_written(tmp_path, spec, opened, make):
    source = make(tmp_path / "source")
    opened.clear()
    anonymize(source, tmp_path / "out", OneHead(spec), Settings(how="fill"), progress=False)
    strangers = {path for path in map(str, opened) if path and not path.startswith(str(tmp_path / "out"))}
    assert strangers - {os.devnull} == set()
    assert any("out.report.json" in path for path in opened)  # the hook sees what is written


def test_a_recording_compressed_as_a_whole_is_refused_before_it_is_unpacked(tmp_path, spec, opened, monkeypatch):
    source = recording(tmp_path / "source")
    (source / "source_0.mcap").rename(source / "source_0.mcap.zstd")
    monkeypatch.setattr("tempfile.mkdtemp", lambda *a, **b: pytest.fail("a temporary folder was made"))
    opened.clear()
    with pytest.raises(BagError, match="source_0.mcap.zstd is compressed as a whole"):
        anonymize(source, tmp_path / "out", OneHead(spec), progress=False)
    assert opened == set()
    assert not (tmp_path / "out").exists()


def test_the_report_and_the_command_say_what_nobody_looked_for(tmp_path, spec):
    report = anonymize(pictures(tmp_path / "in"), tmp_path / "out", OneHead(spec), progress=False)
    said = json.loads((tmp_path / "out.report.json").read_text())["not_covered"]
    assert said[0].startswith("nobody has measured how many heads of real people tiny 1")
    assert any("windscreens" in each for each in said)
    assert said[0] in summary(report)


@pytest.mark.parametrize("known", HEADS_OF_REAL_PEOPLE)
def test_measured_models_say_how_many_heads_they_leave_uncovered(spec, known):
    model = replace(spec, name=known[0], version=known[1])
    covered, count = HEADS_OF_REAL_PEOPLE[known]
    assert f"leaves {count - covered} of {count} heads" in recall_of([model])
    assert "nobody has measured" in recall_of([model, spec])
