"""An ONNX file becomes a model folder that runs, for each known output layout."""

from __future__ import annotations

import json
import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from tiny_models import Graph, tiny_graph, value
from typer.testing import CliRunner

from camera_perception.core.errors import ModelError
from camera_perception.core.model_spec import load_spec
from camera_perception.decode.heads import check_all
from camera_perception.engines.select import load_engine
from camera_perception.tools.cli.app import app
from camera_perception.tools.cli.models.inspect import parse_size
from camera_perception.tools.models.guess_heads import guess
from camera_perception.tools.models.import_onnx import model_json, read_onnx, safe_name, write_folder

SIDE = 64
CELLS = 8 * 8 + 4 * 4 + 2 * 2  # of strides 8, 16, 32


def network(path, outputs, *, shape=(1, 3, SIDE, SIDE), dtype=TensorProto.FLOAT, metadata=None):
    """An ONNX file whose outputs have these shapes and all hold the mean of the input."""
    g = Graph()
    mean = g("ReduceMean", g.cast("images", TensorProto.FLOAT), keepdims=0)
    for name, size in outputs.items():
        g("Add", g("ConstantOfShape", g.constant(size, np.int64)), mean, out=name)
    declared = [value(name, TensorProto.FLOAT, list(size)) for name, size in outputs.items()]
    model = g.model([value("images", dtype, list(shape))], declared)
    for key, text in (metadata or {}).items():
        model.metadata_props.add(key=key, value=text)
    onnx.save(model, path)
    return path


def inspected(path, size=None):
    file = read_onnx(path, size)
    guessed = guess(file.input, file.outputs, file.metadata)
    return model_json(file, guessed, "imported"), guessed, file


MASK = (1, 2, SIDE, SIDE)
LAYOUTS = {
    "yolov8": ({"output0": (1, 4 + 80, CELLS)}, [("objects", "ultralytics", 80)], {"color": "rgb", "scale": 1 / 255}),
    "end_to_end": ({"output0": (1, 300, 6)}, [("objects", "ultralytics", 80)], {"color": "rgb", "scale": 1 / 255}),
    "yolox": ({"output": (1, CELLS, 5 + 80)}, [("objects", "yolox", 80)], {"color": "bgr", "align": "top_left"}),
    "yolop": (
        {"det_out": (1, 3 * CELLS, 6), "drive_area_seg": MASK, "lane_line_seg": MASK},
        [("objects", "yolop_boxes", 1), ("drivable", "mask_logits", 2), ("lanes", "lane_mask_logits", 0)],
        {"color": "rgb", "mean": [0.485, 0.456, 0.406]},
    ),
    "twinlitenet": (
        {"da": MASK, "ll": MASK},
        [("drivable", "mask_logits", 2), ("lanes", "lane_mask_logits", 0)],
        {"color": "rgb", "scale": 1 / 255},
    ),
    "two_masks": ({"a": MASK, "b": MASK}, [("drivable", "mask_logits", 2), ("lanes", "lane_mask_logits", 0)], {}),
    "semantic": ({"logits": (1, 19, SIDE, SIDE)}, [("semantic", "mask_logits", 19)], {}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_known_layouts_become_a_folder_that_runs(tmp_path, layout):
    outputs, heads, image = LAYOUTS[layout]
    data, _, file = inspected(network(tmp_path / "imported.onnx", outputs))
    assert [(o["head"], o["kind"], len(o.get("classes", ()))) for o in data["outputs"]] == heads
    assert {key: data["input"][key] for key in image} == image
    spec = load_spec(write_folder(file, data, tmp_path / "model"))
    engine = load_engine(spec, "openvino", threads=1)  # its reference is that of ONNX Runtime
    check_all(spec, {name: tensor.shape for name, tensor in engine.outputs.items()})


@pytest.mark.parametrize(
    ("shape", "dtype", "layout", "dtype_name"),
    [
        ((1, 3, SIDE, 96), TensorProto.FLOAT, "nchw", "float32"),
        ((1, SIDE, 96, 3), TensorProto.UINT8, "nhwc", "uint8"),
        ((1, 3, SIDE, 96), TensorProto.FLOAT16, "nchw", "float16"),
    ],
)
def test_the_input_is_read_from_the_file(tmp_path, shape, dtype, layout, dtype_name):
    data, _, _ = inspected(network(tmp_path / "a.onnx", {"logits": (1, 19, SIDE, 96)}, shape=shape, dtype=dtype))
    assert (data["input"]["width"], data["input"]["height"]) == (96, SIDE)
    assert (data["input"]["layout"], data["input"]["dtype"]) == (layout, dtype_name)
    assert ("scale" in data["input"]) == (dtype != TensorProto.UINT8)


def test_names_and_size_come_from_the_metadata(tmp_path):
    metadata = {"names": "{0: 'car', 1: 'tram'}", "imgsz": f"[{SIDE}, {SIDE}]", "license": "AGPL-3.0"}
    free = ("batch", 3, "height", "width")
    path = network(tmp_path / "a.onnx", {"output0": (1, 6, CELLS)}, shape=free, metadata=metadata)
    data, _, _ = inspected(path)
    assert data["outputs"][0]["classes"] == ["car", "tram"]
    assert (data["input"]["width"], data["license"]) == (SIDE, "AGPL-3.0")


def test_an_open_size_has_to_be_given(tmp_path):
    path = network(tmp_path / "a.onnx", {"output0": (1, 84, CELLS)}, shape=("batch", 3, "height", "width"))
    with pytest.raises(ModelError, match="give --size WIDTHxHEIGHT"):
        read_onnx(path)
    assert inspected(path, (SIDE, SIDE))[0]["outputs"][0]["kind"] == "ultralytics"


def test_unrecognised_outputs_are_reported_and_not_written(tmp_path):
    data, guessed, file = inspected(network(tmp_path / "a.onnx", {"embedding": (1, 128)}))
    assert data["outputs"] == []
    assert guessed.notes[0] == "not used: embedding"
    assert "no decoder fits; nearest is" in guessed.notes[1]
    assert "docs/own_decoder.md" in guessed.notes[1]
    with pytest.raises(ModelError, match="no head of .* was recognised"):
        write_folder(file, data, tmp_path / "model")


def test_our_own_export_is_recognised(tmp_path):
    onnx.save(tiny_graph(), tmp_path / "a.onnx")
    assert any("export of this project" in note for note in inspected(tmp_path / "a.onnx")[1].notes)


@pytest.mark.parametrize("content", [b"", b"not a network"])
def test_files_that_are_not_onnx_are_refused(tmp_path, content):
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(ModelError, match="not an ONNX file"):
        read_onnx(tmp_path / "a.onnx")
    with pytest.raises(ModelError, match="does not exist"):
        read_onnx(tmp_path / "absent.onnx")


def test_a_network_with_two_inputs_is_refused(tmp_path):
    g = Graph()
    g("Add", "a", "b", out="sum")
    ports = [value(name, TensorProto.FLOAT, [1, 3, 8, 8]) for name in ("a", "b", "sum")]
    onnx.save(g.model(ports[:2], ports[2:]), tmp_path / "a.onnx")
    with pytest.raises(ModelError, match="export it with one image"):
        read_onnx(tmp_path / "a.onnx")


def test_a_model_is_never_overwritten(tmp_path):
    data, _, file = inspected(network(tmp_path / "a.onnx", {"output0": (1, 84, CELLS)}))
    write_folder(file, data, tmp_path / "model")
    with pytest.raises(ModelError, match="already holds a model"):
        write_folder(file, data, tmp_path / "model")


@pytest.mark.parametrize(("text", "size"), [(None, None), ("640x384", (640, 384)), ("640X384", (640, 384))])
def test_sizes_are_parsed(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["640", "axb", "0x5", "640x", ""])
def test_malformed_sizes_are_refused(text):
    with pytest.raises(ModelError, match="give WIDTHxHEIGHT"):
        parse_size(text)


@pytest.mark.parametrize("text", ["yolo v8 (final)", "..hidden", "é", "a" * 100, ""])
def test_any_file_name_gives_a_model_name(text):
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", safe_name(text))


def test_the_command_prints_and_writes(tmp_path):
    path = network(tmp_path / "my net.onnx", {"output0": (1, 84, CELLS)})
    runner = CliRunner()
    shown = runner.invoke(app, ["inspect-onnx", str(path)])
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.output[shown.output.index("{") :])["name"] == "my-net"
    written = runner.invoke(app, ["inspect-onnx", str(path), "--out", str(tmp_path / "model"), "--name", "net"])
    assert written.exit_code == 0, written.output
    assert load_spec(tmp_path / "model").name == "net"
    checked = runner.invoke(app, ["check-model", str(tmp_path / "model"), "--threads", "1"])
    assert checked.exit_code == 0, checked.output
