"""model.json is checked before anything is built on it, and every refusal names the field."""

from __future__ import annotations

import json
import shutil

import pytest

from camera_perception.core.errors import ModelError
from camera_perception.core.model_spec import load_spec


@pytest.fixture
def folder(tiny_model, tmp_path):
    return shutil.copytree(tiny_model, tmp_path / "model")


def change(folder, edit):
    path = folder / "model.json"
    data = json.loads(path.read_text())
    edit(data)
    path.write_text(json.dumps(data))


def test_a_good_folder_gives_its_contract(folder):
    spec = load_spec(folder)
    assert (spec.name, spec.version, spec.license) == ("tiny", "1", "Apache-2.0")
    assert (spec.input.shape, spec.input.size, spec.input.pad) == ((1, 96, 160, 3), (96, 160), 114)
    assert [head.head for head in spec.heads] == ["objects", "drivable", "semantic", "lanes", "scene"]
    assert spec.classes[2] == "car"
    assert spec.head("lanes").options["positions"] == [-3, -2, -1, 1, 2, 3]
    assert spec.head("unknown") is None
    assert spec.reference == folder / "reference.npz"
    (folder / "reference.npz").unlink()
    assert load_spec(folder).reference is None


def test_layout_decides_the_shape(folder):
    change(folder, lambda data: data["input"].update(layout="nchw", batch=2))
    assert load_spec(folder).input.shape == (2, 3, 96, 160)


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda d: d.pop("license"), "'license' is a required property"),
        (lambda d: d.update(schema=2), "schema: 1 was expected"),
        (lambda d: d.update(colour="red"), "'colour' was unexpected"),
        (lambda d: d["input"].pop("width"), "input: 'width' is a required property"),
        (lambda d: d["input"].update(width=8), "input.width: 8 is less than the minimum of 16"),
        (lambda d: d["input"].update(layout="hwc"), "input.layout: 'hwc' is not one of"),
        (lambda d: d["input"].update(std=[1, 1, 0]), "input.std.2"),
        (lambda d: d["onnx"].update(file="../model.onnx"), "onnx.file"),
        (lambda d: d["onnx"].update(sha256="abc"), "onnx.sha256"),
        (lambda d: d.update(outputs=[]), "outputs"),
        (lambda d: d["outputs"][0].update(head="cars"), "outputs.0.head: 'cars' is not one of"),
        (lambda d: d["outputs"][0].update(threshold=2), "outputs.0.threshold"),
        (lambda d: d["outputs"][0].update(colors=[[1, 2, 3]]), "10 classes but 1 colors"),
        (lambda d: d["outputs"][0].update(tensors={}), "outputs.0.tensors"),
    ],
)
def test_a_wrong_field_is_named(folder, edit, says):
    change(folder, edit)
    with pytest.raises(ModelError) as error:
        load_spec(folder)
    assert says in str(error.value)
    assert "model.json" in str(error.value)


def test_missing_and_broken_files(folder, tmp_path):
    with pytest.raises(ModelError, match="absent does not exist: give the folder"):
        load_spec(tmp_path / "absent")
    (folder / "model.json").write_text("{")
    with pytest.raises(ModelError, match="not valid JSON"):
        load_spec(folder)
    (folder / "model.json").write_bytes(b"\xff\xfe")
    with pytest.raises(ModelError, match="not valid JSON"):
        load_spec(folder)
    (folder / "model.json").unlink()
    with pytest.raises(ModelError, match="inspect-onnx"):
        load_spec(folder)


def test_a_changed_network_is_noticed(folder):
    (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes() + b"\0")
    with pytest.raises(ModelError, match="the file was changed or only partly copied"):
        load_spec(folder)
    assert load_spec(folder, check_hash=False).name == "tiny"
    (folder / "model.onnx").unlink()
    with pytest.raises(ModelError, match=r"model.onnx is missing"):
        load_spec(folder)
