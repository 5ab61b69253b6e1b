"""model.json is checked before use, and every error names the field."""

from __future__ import annotations

import json
import shutil
from dataclasses import fields, replace
from importlib.resources import files

import pytest

from camera_perception.core.errors import ModelError, PerceptionError
from camera_perception.core.model_spec import load_spec
from camera_perception.engines.select import load_engine
from camera_perception.objects.config import LocalizationConfig
from camera_perception.objects.tracker.config import TrackerConfig
from camera_perception.pipeline import Pipeline


@pytest.fixture
def folder(tiny_model, tmp_path):
    return shutil.copytree(tiny_model, tmp_path / "model")


def change(folder, edit):
    path = folder / "model.json"
    data = json.loads(path.read_text())
    edit(data)
    path.write_text(json.dumps(data))


def test_a_valid_folder_is_read(folder):
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


def test_the_layout_determines_the_input_shape(folder):
    change(folder, lambda data: data["input"].update(layout="nchw", batch=2))
    assert load_spec(folder).input.shape == (2, 3, 96, 160)


@pytest.mark.parametrize(
    ("edit", "message"),
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
def test_a_wrong_field_is_named(folder, edit, message):
    change(folder, edit)
    with pytest.raises(ModelError) as error:
        load_spec(folder)
    assert message in str(error.value)
    assert "model.json" in str(error.value)


def test_missing_and_broken_files_are_named(folder, tmp_path):
    with pytest.raises(ModelError, match="absent does not exist: give the folder"):
        load_spec(tmp_path / "absent")
    (folder / "model.json").write_text("{")
    with pytest.raises(ModelError, match="not valid JSON"):
        load_spec(folder)
    (folder / "model.json").write_bytes(b"\xff\xfe")
    with pytest.raises(ModelError, match="not UTF-8 text"):
        load_spec(folder)
    (folder / "model.json").unlink()
    with pytest.raises(ModelError, match="inspect-onnx"):
        load_spec(folder)


def test_a_changed_network_is_detected(folder):
    (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes() + b"\0")
    with pytest.raises(ModelError, match="the file was changed or only partly copied"):
        load_spec(folder)
    assert load_spec(folder, check_hash=False).name == "tiny"
    (folder / "model.onnx").unlink()
    with pytest.raises(ModelError, match=r"model.onnx is missing"):
        load_spec(folder)


CONFIGS = {"tracker": TrackerConfig, "localization": LocalizationConfig}


@pytest.mark.parametrize("section", CONFIGS)
def test_the_schema_lists_every_setting_with_its_default_range_and_description(section):
    schema = json.loads(files("camera_perception.core").joinpath("model.schema.json").read_text("utf-8"))
    expected = {}
    for entry in fields(CONFIGS[section]):
        about = entry.metadata
        expected[entry.name] = {
            "type": "integer" if isinstance(entry.default, int) else "number",
            "minimum": about["low"],
            **({} if about["high"] is None else {"maximum": about["high"]}),
            "default": entry.default,
            "description": about["description"],
        }
    assert schema["properties"][section]["properties"] == expected
    assert schema["properties"][section]["additionalProperties"] is False


def test_settings_in_the_model_folder_reach_the_pipeline(folder):
    change(folder, lambda data: data.update(tracker={"max_age": 3}, localization={"max_range": 80.0}))
    spec = load_spec(folder)
    pipeline = Pipeline(spec, load_engine(spec, "onnxruntime", check=False))
    assert pipeline.tracker_config == TrackerConfig(max_age=3)
    assert pipeline.localization_config == LocalizationConfig(max_range=80.0)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda d: d.update(tracker={"max_agee": 1.0}), "tracker: Additional properties are not allowed ('max_agee'"),
        (lambda d: d.update(tracker={"max_age": -1.0}), "tracker.max_age: -1.0 is less than the minimum of 0"),
        (lambda d: d.update(tracker={"min_hits": 1.5}), "tracker.min_hits: 1.5 is not of type 'integer'"),
        (lambda d: d.update(tracker={"max_age": "long"}), "tracker.max_age: 'long' is not of type 'number'"),
        (lambda d: d.update(localization={"min_clipped_width": 2}), "localization.min_clipped_width: 2 is greater"),
    ],
)
def test_a_wrong_setting_is_named(folder, edit, message):
    change(folder, edit)
    with pytest.raises(ModelError) as error:
        load_spec(folder)
    assert message in str(error.value)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_setting_outside_its_range_is_refused_in_python_too(value):
    with pytest.raises(PerceptionError, match=r"tracker\.max_age is .*: give a number at least 0"):
        TrackerConfig(max_age=value)


@pytest.mark.parametrize(
    ("classes", "options", "light_class"),
    [
        (("car", "traffic light"), {}, 1),
        (("signal", "car"), {"light_class": "signal"}, 0),
        (("car", "traffic light"), {"light_class": "signal"}, -1),
        (("car",), {}, -1),
        ((), {}, -1),
    ],
)
def test_the_light_class_is_the_option_or_traffic_light(folder, classes, options, light_class):
    spec = load_spec(folder)
    head = replace(spec.head("objects"), classes=classes, options=options)
    assert replace(spec, heads=(head,)).light_class == light_class
    assert replace(spec, heads=()).light_class == -1
