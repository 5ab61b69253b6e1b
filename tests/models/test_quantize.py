"""Quantised variants: types and operations that TensorRT supports, fp32 islands, and accuracy."""

from __future__ import annotations

import json

import cv2
import numpy as np
import onnx
import pytest
from fake_tensorrt import objections
from onnx import TensorProto, helper, numpy_helper
from tiny_models import Graph, reference_outputs, tiny_json, value, write_folder

from camera_perception.core.errors import ModelError, PerceptionError
from camera_perception.core.model_spec import load_spec
from camera_perception.engines.reference import Reference, read_reference
from perception_models.compression import quantize as quantizing
from perception_models.compression.fp16 import to_fp16
from perception_models.compression.qdq import after_a_softmax, unquantised
from perception_models.compression.quantize import calibration_images, quantize

SIZE = 32


def small_graph() -> onnx.ModelProto:
    """A trunk of four convolutions with a residual sum and a resize, a softmax inside, and a decoding tail."""
    g = Graph()
    rng = np.random.default_rng(0)

    def conv(x, inside, outside, name, size=3):
        weights = g.constant(rng.normal(size=(outside, inside, size, size)) / np.sqrt(inside * size * size))
        bias = g.constant(rng.normal(size=outside) / 10)
        return g("Conv", x, weights, bias, pads=[size // 2] * 4, name=name)

    pixels = g("Transpose", g.cast("images", TensorProto.FLOAT), perm=[0, 3, 1, 2])
    stem = g("Relu", conv(g("Mul", pixels, g.constant(1 / 255)), 3, 8, "stem"))
    body = g("Relu", g("Add", conv(stem, 8, 8, "body"), stem))
    small = g("MaxPool", body, kernel_shape=[2, 2], strides=[2, 2])
    large = g("Resize", small, "", g.constant([1, 1, 2, 2]), mode="nearest")
    mixed = conv(g("Concat", large, body, axis=1), 16, 8, "mix")
    where = g("Softmax", mixed, axis=-1)
    g("ReduceMean", conv(where, 8, 4, "last", 1), axes=[2, 3], keepdims=0, out="logits")
    x = g("Mul", where, g.constant(np.arange(SIZE)[None, None, None]))
    g("Mul", g("ReduceMean", x, axes=[1, 2, 3], keepdims=0), g.constant(2000.0), out="column")
    return g.model(
        [value("images", TensorProto.UINT8, [1, SIZE, SIZE, 3])],
        [value("logits", TensorProto.FLOAT, [1, 4]), value("column", TensorProto.FLOAT, [1])],
    )


def smooth_noise(count, seed):
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), np.uint8)
    return np.stack([cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC) for image in coarse])


@pytest.fixture
def folder(tmp_path):
    data = tiny_json()
    data["input"] = {"name": "images", "width": SIZE, "height": SIZE}
    data["outputs"] = [{"head": "objects", "kind": "yolox", "tensors": {"output": "logits"}}]
    return write_folder(tmp_path / "model", small_graph(), data, smooth_noise(3, 1))


@pytest.fixture
def drive(tmp_path):
    (tmp_path / "drive").mkdir()
    for index, image in enumerate(smooth_noise(12, 2)):
        cv2.imwrite(str(tmp_path / "drive" / f"{index:03}.png"), image)
    return tmp_path / "drive"


def elements(model):
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    return {v.name: v.type.tensor_type.elem_type for v in (*inferred.value_info, *inferred.output)}


def test_fp16_convolves_in_fp16_and_decodes_in_fp32():
    model = to_fp16(small_graph())
    types = elements(model) | {t.name: t.data_type for t in model.graph.initializer}
    for node in model.graph.node:
        kinds = {types[name] for name in (*node.input, *node.output) if name in types} & {1, 10}
        if node.op_type == "Conv":
            assert kinds == {TensorProto.FLOAT16}, node.name
        if node.op_type in ("Softmax", "ReduceMean"):
            assert kinds == {TensorProto.FLOAT}, node.name
    assert objections(model) == []


def test_fp16_casts_only_at_the_borders_of_islands():
    model = to_fp16(small_graph())
    maker = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        if node.op_type == "Cast" and node.input[0] in maker:
            assert maker[node.input[0]].op_type != "Cast", f"{node.name} undoes the cast before it"
    names = [node.name for node in model.graph.node if node.name]
    assert len(names) == len(set(names))


def test_fp16_outputs_are_nearly_the_same():
    images = smooth_noise(3, 3)
    wanted, got = (reference_outputs(model, images) for model in (small_graph(), to_fp16(small_graph())))
    np.testing.assert_allclose(got["logits"], wanted["logits"], atol=2e-3)
    np.testing.assert_allclose(got["column"], wanted["column"], rtol=2e-3)
    assert got["column"].dtype == np.float32


def test_weights_beyond_the_range_of_fp16_are_clipped_not_infinite():
    g = Graph()
    pixels = g("Transpose", g.cast("images", TensorProto.FLOAT), perm=[0, 3, 1, 2])
    g("Conv", pixels, g.constant(np.full((1, 3, 1, 1), 1e6)), name="huge", out="logits")
    model = g.model(
        [value("images", TensorProto.UINT8, [1, 2, 2, 3])], [value("logits", TensorProto.FLOAT, [1, 1, 2, 2])]
    )
    halves = [t for t in to_fp16(model).graph.initializer if t.data_type == TensorProto.FLOAT16]
    assert all(np.isfinite(numpy_helper.to_array(tensor)).all() for tensor in halves)
    assert halves


def test_the_fp16_variant_is_a_model_folder_that_passes(folder):
    made = quantize(folder, "fp16")
    spec = load_spec(made.folder)
    assert (made.folder, spec.precision) == (folder / "fp16", "fp16")
    assert read_reference(spec.reference).outputs.keys() == {"logits", "column"}
    assert spec.training["quantized_from"] == load_spec(folder).onnx_sha256


def test_int8_quantises_the_trunk_only(folder, drive):
    made = quantize(folder, "int8", drive, count=8)
    model = onnx.load(made.folder / "model.onnx")
    maker = {name: node for node in model.graph.node for name in node.output}
    eight = {
        n.name for n in model.graph.node if n.op_type == "Conv" and maker[n.input[0]].op_type == "DequantizeLinear"
    }
    assert eight == {"body", "mix"}
    assert made.convs == 2
    behind = [maker[n.input[0]].op_type for n in model.graph.node if n.op_type == "QuantizeLinear"]
    assert "Conv" not in behind  # nothing between a convolution and what TensorRT fuses with it
    assert objections(model) == []
    onnx.checker.check_model(model, full_check=True)


def test_int8_follows_tensorrts_rules(folder, drive):
    """Zero points 0, int8, biases left alone, scales in fp16 beside fp16 convolutions, per channel on axis 0."""
    model = onnx.load(quantize(folder, "int8", drive, count=8).folder / "model.onnx")
    constants = {t.name: t for t in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        scale, zero = (constants[name] for name in node.input[1:3])
        assert zero.data_type == TensorProto.INT8
        assert not numpy_helper.to_array(zero).any()
        assert scale.data_type == TensorProto.FLOAT16
        assert (numpy_helper.to_array(scale) > 0).all()
        axis = {a.name: helper.get_attribute_value(a) for a in node.attribute}.get("axis", 1)
        assert axis == 0 or not scale.dims or scale.dims == [1]


def test_int8_outputs_stay_near_the_original(folder, drive):
    spec = load_spec(quantize(folder, "int8", drive, count=8).folder)
    original, eight = read_reference(folder / "reference.npz"), read_reference(spec.reference)
    error = np.abs(eight.outputs["logits"] - original.outputs["logits"]).max()
    assert 0 < error < 0.1 * np.abs(original.outputs["logits"]).max()
    assert isinstance(eight, Reference)


def test_nodes_excluded_from_int8():
    model = small_graph()
    for index, node in enumerate(model.graph.node):
        node.name = node.name or str(index)
    assert {"stem", "last"} <= unquantised(model)
    assert {"body", "mix"}.isdisjoint(unquantised(model))
    assert "last" in after_a_softmax(model.graph)
    for node in model.graph.node:
        if node.name == "body":
            node.attribute.append(helper.make_attribute("group", 8))
    assert "body" in unquantised(model)


@pytest.mark.parametrize(
    ("precision", "options", "message"),
    [
        ("fp4", {}, "expected fp16, int8, fp8"),
        ("fp8", {}, "fp8 needs --calibration"),
        ("int8", {}, "int8 needs --calibration"),
    ],
)
def test_missing_options_are_named(folder, precision, options, message):
    with pytest.raises(ModelError, match=message):
        quantize(folder, precision, **options)


def test_a_variant_is_not_quantised_again(folder):
    made = quantize(folder, "fp16")
    with pytest.raises(ModelError, match="is fp16 already"):
        quantize(made.folder, "fp16")


def test_a_variant_that_fails_leaves_the_previous_one(folder, monkeypatch):
    before = quantize(folder, "fp16").folder / "model.onnx"
    bytes_before = before.read_bytes()

    def broken(model):
        for tensor in model.graph.initializer:
            if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) == 4:
                tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 2, tensor.name))
        return to_fp16(model)

    monkeypatch.setattr(quantizing, "to_fp16", broken)
    with pytest.raises(ModelError, match="does not reproduce its reference: 'logits'"):
        quantize(folder, "fp16")
    assert before.read_bytes() == bytes_before
    assert sorted(p.name for p in folder.iterdir()) == ["fp16", "model.json", "model.onnx", "reference.npz"]


def test_the_loss_per_task_is_limited_and_recorded(folder, monkeypatch, tmp_path):
    values = iter([{"objects": 0.5}, {"objects": 0.499}, {"objects": 0.5}, {"objects": 0.4}])
    monkeypatch.setattr("perception_models.evaluation.engine_gate.figures", lambda *arguments: next(values))
    made = quantize(folder, "fp16", labelled=tmp_path)
    assert made.lost == {"objects": 0.1}
    assert json.loads((made.folder / "model.json").read_text())["metrics"]["points_lost"] == {"objects": 0.1}
    with pytest.raises(ModelError, match=r"loses more than 0\.2 points in: objects 10\.00"):
        quantize(folder, "fp16", labelled=tmp_path)


def test_calibration_images_of_one_camera_of_a_recording_with_several(repository):
    spec = load_spec(repository / "perception_models/zoo/demo")
    drive = repository / "bags/demo_drive"
    with pytest.raises(PerceptionError, match="choose one"):
        calibration_images(spec, drive, 2)
    images = calibration_images(spec, drive, 2, "/camera/front/image_raw/compressed")
    assert [image.shape for image in images] == [spec.input.shape[1:]] * 2
