"""Small files from strangers that ask for a lot: pictures, YAML, models. Each gives one sentence."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from tiny_models import write_tiny_model

from camera_perception.core.documents.parsing import Malformed, from_yaml, read_yaml
from camera_perception.core.errors import BadImage, EngineError, ModelError, PerceptionError
from camera_perception.core.model_spec import load_spec
from camera_perception.engines.select import load_engine
from camera_perception.engines.serving.shared_engine import SharedEngine
from camera_perception.image.compressed import decode_compressed
from camera_perception.image.files import decode_file, read_file, size_of_file
from camera_perception.lanes.ignored_region import ignored_region
from camera_perception.tools.calibration.boards import board_from_yaml
from camera_perception.tools.fleet.compare.criteria import read_criteria
from camera_perception.tools.live.perceive import Perceiver
from camera_perception.tools.replay.independence import are_separate

DEEP = "[" * 60_000
BOMB = "a: &a [x, x]\n" + "".join(
    f"{c}: &{c} [*{p}, *{p}]\n" for p, c in zip("abcdefghijklmnopqrstu", "bcdefghijklmnopqrstuv")
)


def bomb(path: Path) -> Path:
    """A JPEG of 700 bytes whose header promises 30000x30000 pixels."""
    data = bytearray(cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    at = data.find(b"\xff\xc0")
    data[at + 5 : at + 9] = (30_000).to_bytes(2, "big") * 2
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "text", [DEEP, "- " * 30_000, "{a: " * 20_000, BOMB, "&a [*a]", "a: 2026-99-99", "!!x y", "\0"]
)
def test_yaml_that_would_end_the_process_or_fill_it_is_refused(text):
    with pytest.raises(Malformed):
        from_yaml(text)


def test_yaml_keeps_its_own_types():
    assert from_yaml("{1: [x, 2.5, null, true], day: 2026-11-28}")[1] == ["x", 2.5, None, True]
    assert from_yaml("# nothing") is None


@pytest.mark.parametrize("read", [board_from_yaml, read_criteria, read_yaml], ids=lambda read: read.__name__)
@pytest.mark.parametrize("content", [DEEP.encode(), BOMB.encode(), b"\xff\xfe", b"x" * 100_000, b"", b"[1"])
def test_readers_of_yaml_refuse_what_is_too_much_or_broken(read, content, tmp_path):
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    if read is read_yaml and not content:
        assert read(path) is None
        return
    with pytest.raises((PerceptionError, Malformed, UnicodeDecodeError)) as caught:
        read(path)
    assert len(str(caught.value)) <= 500


@pytest.mark.parametrize("read", [read_file, size_of_file], ids=lambda read: read.__name__)
def test_a_pipe_or_a_missing_picture_is_named_at_once(read, tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for name in ("pipe.png", "missing.png", "n" * 300):
        with pytest.raises(BadImage, match=name[:5]):
            read(tmp_path / name)


def test_a_picture_is_read_with_the_limit_of_its_header(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((3, 5, 3), 7, np.uint8))
    assert (read_file(tmp_path / "a.png") == np.full((3, 5, 3), 7)).all()
    assert size_of_file(tmp_path / "a.png") == (3, 5)
    with pytest.raises(BadImage, match="30000"):
        read_file(bomb(tmp_path / "bomb.jpg"))


def test_pictures_that_promise_gigabytes_are_left_out_or_refused(tmp_path):
    """A region of an image to ignore, and the neighbours of a drive."""
    path = bomb(tmp_path / "bomb.jpg")
    assert are_separate([path, path])
    with pytest.raises(BadImage, match="is no picture"):
        ignored_region([str(path)])


def test_a_region_with_many_corners_is_no_name_of_a_file():
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    corners = " ".join(f"{0.5 + 0.4 * np.cos(a):.6f},{0.5 + 0.4 * np.sin(a):.6f}" for a in angles)
    assert ignored_region([corners]) is not None


def test_the_network_that_is_named_is_the_one_that_is_loaded(tmp_path):
    folder = write_tiny_model(tmp_path / "tiny")
    assert load_spec(folder / "model.onnx").onnx_path == folder / "model.onnx"
    (folder / "other.onnx").write_bytes((folder / "model.onnx").read_bytes())
    with pytest.raises(ModelError, match="other.onnx is not the network of"):
        load_spec(folder / "other.onnx")
    (folder / "other.json").write_bytes((folder / "model.json").read_bytes())
    with pytest.raises(ModelError, match="other.json is a file"):
        load_spec(folder / "other.json")


def one_slot_engine(closed: list[str], name: str = "engine") -> SimpleNamespace:
    """An engine whose only slot is the same object every time, as those of all backends are."""
    slot = SimpleNamespace(images=np.zeros((1, 2)), outputs={}, load_image=lambda image: None)
    nothing = {name: (lambda slot: None) for name in ("submit", "wait", "release")}
    described = {"info": None, "spec": None, "input": None, "outputs": {}}
    return SimpleNamespace(acquire=lambda: slot, close=lambda: closed.append(name), **nothing, **described)


def test_a_second_release_does_not_end_the_turn_of_the_next_camera():
    engine = SharedEngine(one_slot_engine([]))
    first = engine.acquire()
    engine.release(first)
    second = engine.acquire()
    with pytest.raises(EngineError, match="released twice"):
        engine.release(first)
    third = threading.Thread(target=engine.acquire, daemon=True)
    third.start()
    third.join(0.2)
    assert third.is_alive(), "the turn was given away while the second camera held it"
    engine.release(second)
    third.join(10)
    assert not third.is_alive()


def test_engines_that_were_given_and_never_used_are_closed():
    closed: list[str] = []
    perceiver = Perceiver(SimpleNamespace(heads=()), one_slot_engine(closed, "first"), {})
    for name in ("second", "third"):
        perceiver.replace_model(SimpleNamespace(heads=()), one_slot_engine(closed, name))
    perceiver.close()
    assert sorted(closed) == ["first", "second", "third"]
    perceiver.replace_model(SimpleNamespace(heads=()), one_slot_engine(closed, "late"))
    perceiver.close()
    assert sorted(closed) == ["first", "late", "second", "third"]


def test_a_model_that_does_not_fit_leaves_the_old_one_and_is_closed(tmp_path):
    closed: list[str] = []
    spec = load_spec(write_tiny_model(tmp_path / "tiny"))
    engine = load_engine(spec, "onnxruntime", threads=1)
    perceiver = Perceiver(spec, engine, {"front": None})
    perceiver.replace_model(spec, one_slot_engine(closed, "unfit"))
    with pytest.raises(ModelError):
        perceiver._take_model()
    assert closed == ["unfit"]
    assert perceiver.engine is engine
    perceiver.close()


def with_scans(count: int) -> bytes:
    """A progressive JPEG whose last scan comes so many times more: 14 bytes and a pass over all pixels each."""
    data = cv2.imencode(".jpg", np.zeros((64, 64), np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    return data[:-2] + data[data.rfind(b"\xff\xda") : -2] * count + data[-2:]


@pytest.mark.parametrize("decode", [decode_file, lambda data: decode_compressed(data, "jpeg")], ids=["file", "topic"])
def test_a_jpeg_of_endless_scans_is_refused_and_a_progressive_one_is_not(decode):
    assert decode(with_scans(0)).shape[:2] == (64, 64)
    with pytest.raises(BadImage, match="scans"):
        decode(with_scans(2000))


@pytest.mark.parametrize("character", ["\x1b", "\r", "\x07", "\x9b", "\u202e", "\u2066"])
def test_names_from_outside_cannot_steer_a_terminal(character):
    text = str(ModelError(f"model {character}[2J: no such file"))
    assert character not in text
    assert f"\\u{ord(character):04x}" in text
    assert str(ModelError("a line\nand another")) == "a line\nand another"
