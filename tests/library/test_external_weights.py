"""ONNX files whose weights lie in other files, as torch.onnx.export writes them: everything counts."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from tiny_models import Graph, tiny_graph, tiny_images, tiny_json, value, write_folder
from typer.testing import CliRunner

from camera_perception.core.documents.external_weights import external_weights
from camera_perception.core.documents.parsing import Malformed
from camera_perception.core.errors import ModelError
from camera_perception.core.model_spec import load_spec, onnx_sha256, sha256_of
from camera_perception.tools.cli.app import app

CELLS = 8 * 8 + 4 * 4 + 2 * 2


def network(path, seed=0):
    """A network with a weight of a megabyte beside it, and the output of YOLOX."""
    g = Graph()
    weight = g.constant(np.random.default_rng(seed).normal(size=(1, 512, 512)))
    mean = g("ReduceMean", g("Mul", g("ReduceMean", "images", keepdims=0), weight), keepdims=0)
    g("Add", g("ConstantOfShape", g.constant((1, CELLS, 5 + 80), np.int64)), mean, out="output")
    inputs = [value("images", TensorProto.FLOAT, [1, 3, 64, 64])]
    model = g.model(inputs, [value("output", TensorProto.FLOAT, [1, CELLS, 85])])
    onnx.save(model, path, save_as_external_data=True, location=f"{path.name}.data", size_threshold=1024)
    return path


def test_weights_in_other_files_are_found(tmp_path):
    assert external_weights(network(tmp_path / "a.onnx")) == ("a.onnx.data",)
    onnx.save(tiny_graph(), tmp_path / "b.onnx")
    assert external_weights(tmp_path / "b.onnx") == ()
    assert onnx_sha256(tmp_path / "b.onnx") == sha256_of(tmp_path / "b.onnx")


def test_weights_inside_a_subgraph_are_found(tmp_path):
    inner = onnx.load(network(tmp_path / "a.onnx"), load_external_data=False).graph
    node = onnx.helper.make_node("If", ["condition"], ["out"], then_branch=inner, else_branch=inner)
    graph = onnx.helper.make_graph([node], "outer", [], [])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "b.onnx")
    assert external_weights(tmp_path / "b.onnx") == ("a.onnx.data",)


@pytest.mark.parametrize(
    ("location", "reason"),
    [("/etc/passwd", "outside its folder"), ("../a.data", "outside its folder"), ("absent.data", "are missing")],
)
def test_weights_elsewhere_are_refused(tmp_path, location, reason):
    model = onnx.load(network(tmp_path / "a.onnx"), load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    (tmp_path / "b.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(Malformed, match=reason):
        external_weights(tmp_path / "b.onnx")
    with pytest.raises(ModelError, match=reason):
        onnx_sha256(tmp_path / "b.onnx")


@pytest.mark.parametrize("data", [b"\x0f", b"\xff" * 20, b"\x3a\xff\x01", b"\x3a\x05ab"])
def test_other_files_are_no_onnx_files(tmp_path, data):
    (tmp_path / "a.onnx").write_bytes(data)
    with pytest.raises(Malformed, match="not an ONNX file"):
        external_weights(tmp_path / "a.onnx")


def test_changed_weights_are_a_changed_model(tmp_path):
    folder = write_folder(tmp_path / "model", tiny_graph(), tiny_json(), tiny_images())
    onnx.save(tiny_graph(), folder / "model.onnx", save_as_external_data=True, location="weights", size_threshold=0)
    data = json.loads((folder / "model.json").read_text())
    data["onnx"]["sha256"] = onnx_sha256(folder / "model.onnx")
    (folder / "model.json").write_text(json.dumps(data))
    assert load_spec(folder).name == "tiny"
    weights = bytearray((folder / "weights").read_bytes())
    weights[7] ^= 1
    (folder / "weights").write_bytes(weights)
    with pytest.raises(ModelError, match=r"model\.onnx with weights has sha256"):
        load_spec(folder)
    done = CliRunner().invoke(app, ["check-model", str(folder)])
    assert done.exit_code != 0
    assert "weights" in done.output


def test_inspect_onnx_puts_the_weights_into_the_folder(tmp_path):
    path = network(tmp_path / "a.onnx")
    done = CliRunner().invoke(app, ["inspect-onnx", str(path), "--out", str(tmp_path / "model")])
    assert done.exit_code == 0, done.output
    assert sorted(each.name for each in (tmp_path / "model").iterdir()) == ["model.json", "model.onnx", "reference.npz"]
    assert external_weights(tmp_path / "model/model.onnx") == ()
    (tmp_path / "a.onnx.data").unlink()
    assert load_spec(tmp_path / "model").classes[2] == "car"


def test_a_failed_run_leaves_no_half_folder(tmp_path, monkeypatch):
    path = network(tmp_path / "a.onnx")

    def fail(*_: object) -> None:
        raise ModelError("no room")

    monkeypatch.setattr("camera_perception.tools.models.import_onnx.write_reference", fail)
    done = CliRunner().invoke(app, ["inspect-onnx", str(path), "--out", str(tmp_path / "model")])
    assert done.exit_code != 0
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.onnx", "a.onnx.data"]
