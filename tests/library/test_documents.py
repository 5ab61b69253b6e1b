"""Documents from outside: each is accepted, or refused with one short sentence, quickly and with little memory."""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from dataclasses import asdict

import numpy as np
import pytest

from camera_perception.core.documents.npz import MOST_BYTES, read_npz
from camera_perception.core.documents.parsing import Malformed, parse
from camera_perception.core.documents.text import shorten
from camera_perception.core.errors import CalibrationError, EngineError, ModelError, PerceptionError
from camera_perception.core.model_spec import load_spec
from camera_perception.engines.reference import read_reference
from camera_perception.engines.tensorrt.manifest import BuildOptions, EngineKey, Machine, Manifest, read_manifest
from camera_perception.engines.tensorrt.store import manifests, matching, read_plan
from camera_perception.geometry.rig import read_rig
from camera_perception.tools.calibration.calibrate import camera_from_yaml


def refused(read, *arguments, error=PerceptionError):
    """The message of the error, which is one line of at most 500 characters."""
    with pytest.raises(error) as caught:
        read(*arguments)
    text = str(caught.value)
    assert 0 < len(text) <= 500
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not valid JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[" * 80 + "]" * 80, "nested too deeply"),
        ("NaN", "the number nan"),
        ("[1e999]", "the number inf"),
        ("9" * 5000, "a number of 5000 digits"),
        ("18446744073709551616", "a number of 20 digits"),
        ('"\\ud800"', "half a character"),
        ('"\\u0000"', "NUL character"),
        ("[" + "0," * 200_000 + "0]", "more than 100,000 values"),
    ],
)
def test_json_that_cannot_be_used_is_refused(text, reason):
    with pytest.raises(Malformed, match=reason):
        parse(text.encode(), "json")


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi")
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BOMB, "aliases expand to more than"),
        ("&a [*a]", "aliases expand to more than"),
        ("[" * 5000, "nested too deeply"),
        ("a: .nan", "the number nan"),
        ("a: " + "9" * 5000, "impossible value|a number beyond 64 bits"),
        ("a: 2020-13-45", "impossible value"),
        ("a: 2020-10-10", "the type date"),
        ("1: a", "has the key 1"),
        ("a: !!python/object:os.system x", "not valid YAML"),
        ("a: b: c", "not valid YAML"),
    ],
)
def test_yaml_that_cannot_be_used_is_refused(text, reason):
    with pytest.raises(Malformed, match=reason):
        parse(text.encode(), "yaml")


def test_yaml_with_anchors_is_read():
    assert parse(b"a: &x {k: 1}\nb: {<<: *x, m: 2}", "yaml") == {"a": {"k": 1}, "b": {"k": 1, "m": 2}}


def test_long_texts_keep_their_start_and_end():
    short = shorten("a" * 1000 + "do this", 100)
    assert (len(short), short[0], short[-7:]) == (100, "a", "do this")
    assert len(str(ModelError("x" * 100_000))) == 500
    str(ModelError("name \udcff")).encode()


@pytest.fixture
def folder(tiny_model, tmp_path):
    return shutil.copytree(tiny_model, tmp_path / "model")


def edited(folder, edit):
    data = json.loads((folder / "model.json").read_text())
    edit(data)
    (folder / "model.json").write_text(json.dumps(data))
    return folder


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda d: d["input"].update(width=160.0), "input.width: 160.0 is not of type 'integer'"),
        (lambda d: d["input"].update(batch=True), "input.batch: True is not of type 'integer'"),
        (lambda d: d["input"].update(width=8192, height=8192, batch=64), "more than 67 megapixels"),
        (lambda d: d["input"].update(name="x" * 100_000), "is too long"),
        (lambda d: d["outputs"][0]["tensors"].pop("scores"), "outputs.0.tensors: 'scores' is a required property"),
        (lambda d: d["outputs"][0].update(head="lanes"), "outputs.0.head: 'objects' was expected"),
        (lambda d: d["outputs"][0].update(threshold=float("nan")), "the number nan"),
        (lambda d: d["outputs"][0]["options"].update(thresholds={"car": "high"}), "options.thresholds.car"),
        (lambda d: d["outputs"][0]["options"].update(calibration={"car": 1}), "options.calibration.car"),
        (lambda d: d["outputs"][0]["options"].update(light_states="red"), "options.light_states"),
        (lambda d: d["outputs"][3]["options"].update(positions=[1.5] * 6), "options.positions.0"),
        (lambda d: d["outputs"][3]["options"].update(max_jump="far"), "options.max_jump"),
        (lambda d: d["outputs"][4]["options"].update(labels=["rain"]), "options.labels"),
        (lambda d: d["outputs"][4]["options"].update(thresholds={"weather": 1}), "options.thresholds.weather"),
        (lambda d: d.update(name="tiny\n"), "name: "),
    ],
)
def test_a_wrong_model_json_is_refused_before_anything_runs(folder, edit, reason):
    text = refused(load_spec, edited(folder, edit), error=ModelError)
    assert reason in text


# reference.npz


def npz(path, arrays, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in arrays.items():
            archive.writestr(f"{name}.npy", data)
    return path


def npy(array, shape=None):
    stream = io.BytesIO()
    np.save(stream, array)
    data = stream.getvalue()
    if shape is None:
        return data
    header = str({"descr": array.dtype.str, "fortran_order": False, "shape": shape}).encode().ljust(117) + b"\n"
    return data[:8] + len(header).to_bytes(2, "little") + header + array.tobytes()


IMAGE = np.zeros((1, 4, 4, 3), np.uint8)


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({}, "needs the array 'images'"),
        ({"images": npy(np.zeros(3))}, "needs the array 'images'"),
        ({"images": npy(IMAGE, (10**12, 4, 4, 3))}, "not as large as its header says"),
        ({"images": npy(IMAGE, (-1, 4, 4, 3))}, "not as large as its header says"),
        ({"images": npy(IMAGE)[:40]}, "header of 'images.npy' is damaged"),
        ({"images": npy(IMAGE), "tolerance.json": npy(np.array("[" * 9000))}, "nested too deeply"),
        ({"images": npy(IMAGE), "tolerance.json": npy(np.array('{"a": {"atol": -1}}'))}, "a.atol"),
        ({"images": npy(IMAGE), "outputs/a": npy(np.zeros((2, 3)))}, "as many rows in every output"),
        ({"images": npy(np.zeros(3, "M8[s]"))}, "no array of numbers"),
        ({f"outputs/{i}": npy(np.zeros(1)) for i in range(300)}, "more than 256 entries"),
    ],
)
def test_a_broken_reference_is_refused(tmp_path, arrays, reason):
    assert reason in refused(read_reference, npz(tmp_path / "reference.npz", arrays), error=ModelError)


def test_a_zip_bomb_is_refused_before_it_unpacks(tmp_path):
    path = tmp_path / "reference.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("images.npy", "w", force_zip64=True) as stream:
            for _ in range(MOST_BYTES // (1 << 24) + 1):
                stream.write(bytes(1 << 24))
    assert path.stat().st_size < 1 << 20
    assert "it unpacks to" in refused(read_reference, path, error=ModelError)


def test_an_unwanted_entry_is_not_unpacked(tmp_path):
    path = npz(tmp_path / "a.npz", {"a": npy(np.arange(6).reshape(2, 3)), "b": b"no array"})
    assert read_npz(path, lambda name: name == "a")["a"].tolist() == [[0, 1, 2], [3, 4, 5]]


# Rig, calibration and manifests

CALIBRATION = {
    "image_width": 640,
    "image_height": 384,
    "camera_matrix": {"rows": 3, "cols": 3, "data": [500.0, 0, 320, 0, 500, 192, 0, 0, 1]},
    "distortion_coefficients": {"rows": 1, "cols": 5, "data": [0.0] * 5},
}
UNREADABLE = {"not UTF-8": b"\xff\xfe\xfa", "bomb": BOMB.encode(), "empty": b"", "null": b"null", "NUL": b"a: \0"}


@pytest.mark.parametrize("read", [read_rig, camera_from_yaml])
@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_is_no_rig_and_no_calibration_is_refused(tmp_path, read, content):
    path = tmp_path / "file.yaml"
    path.write_bytes(content)
    assert str(path) in refused(read, path, error=CalibrationError)


@pytest.mark.parametrize("read", [read_rig, camera_from_yaml])
@pytest.mark.parametrize("name", ["absent.yaml", "a\0b.yaml", "."])
def test_a_path_that_is_no_file_is_refused(tmp_path, read, name):
    refused(read, tmp_path / name, error=CalibrationError)


@pytest.mark.parametrize(
    "change",
    [
        {"image_width": None},
        {"image_width": "640"},
        {"camera_matrix": None},
        {"camera_matrix": {"data": []}},
        {"camera_matrix": {"data": [None] * 9}},
        {"distortion_coefficients": {"data": [[0.0]]}},
        {"distortion_model": ["plumb_bob"]},
    ],
    ids=str,
)
def test_a_wrong_calibration_is_refused(tmp_path, change):
    path = tmp_path / "camera.yaml"
    path.write_text(json.dumps(CALIBRATION))
    assert camera_from_yaml(path).width == 640
    path.write_text(json.dumps({**CALIBRATION, **change}))
    assert next(iter(change)) in refused(camera_from_yaml, path, error=CalibrationError)


def manifest(name="tiny", milliseconds=1.0):
    key = EngineKey(name, "1", "0" * 64, "1" * 64, "fp32", 1, 160, 96, Machine("10.3.0", "Orin", "8.7", 12))
    values = {"inputs": [], "outputs": [], "parity": {}, "accuracy": {}, "layers": {}}
    return Manifest(
        key=key,
        engine="a.engine",
        sha256="0" * 64,
        nbytes=3,
        build_seconds=1.0,
        built_at="",
        milliseconds=milliseconds,
        **values,
    )


@pytest.mark.parametrize(
    "change",
    [
        {"milliseconds": None},
        {"milliseconds": float("nan")},
        {"engine": "../a.engine"},
        {"engine": "a.engine\0"},
        {"key": None},
        {"key": {**asdict(manifest().key), "machine": {"gpu": 1}}},
        {"schema": 2},
        {"digest": "0" * 64},
    ],
    ids=str,
)
def test_one_bad_manifest_hides_no_good_one(tmp_path, change):
    good = manifest()
    (tmp_path / "b_trt.json").write_text(good.text())
    bad = tmp_path / "a_trt.json"
    bad.write_text(json.dumps({**json.loads(good.text()), **change}))
    refused(read_manifest, bad, error=EngineError)
    os.mkfifo(tmp_path / "c_trt.json")
    (tmp_path / "d_trt.json").mkdir()
    assert [path.name for path, _ in manifests(tmp_path)] == ["b_trt.json"]
    assert [each for _, each in matching(tmp_path, good.key)] == [good]


def test_a_pipe_as_engine_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "a.engine")
    assert "a pipe or a device" in refused(read_plan, tmp_path, manifest(), error=EngineError)


def test_build_options_have_defaults():
    assert BuildOptions(**asdict(manifest().key)["options"]) == BuildOptions()
