"""The shipped model in every precision: graphs that TensorRT supports, accurate outputs, engines that run."""

from __future__ import annotations

import shutil

import cv2
import numpy as np
import onnx
import pytest
from fake_tensorrt import install, objections
from onnx import TensorProto, helper, numpy_helper
from tensorrt_rules import violations

from camera_perception.core.errors import EngineError
from camera_perception.core.model_spec import load_spec
from camera_perception.engines import tensorrt
from camera_perception.engines.build.build import build_engine
from camera_perception.engines.reference import read_reference
from perception_models.compression.qdq import without_fp8_kernels
from perception_models.compression.quantize import quantize

FILES = ("model.json", "model.onnx", "reference.npz")
PRECISIONS = ("fp32", "fp16", "int8", "fp8")


@pytest.fixture(scope="module")
def folder(repository, tmp_path_factory):
    """A copy of the shipped model with its variants; calibrated on its own reference images and their mirror images."""
    folder, drive = tmp_path_factory.mktemp("demo"), tmp_path_factory.mktemp("drive")
    for name in FILES:
        shutil.copy(repository / "perception_models/zoo/demo" / name, folder / name)
    reference = read_reference(folder / "reference.npz")
    for index, image in enumerate(reference.images):
        cv2.imwrite(str(drive / f"{index}.png"), image)
        cv2.imwrite(str(drive / f"{index}_mirrored.png"), np.ascontiguousarray(image[:, ::-1]))
    for precision in PRECISIONS[1:]:
        quantize(folder, precision, drive, count=2 * len(reference.images))
    return folder


def variant(folder, precision):
    return load_spec(folder if precision == "fp32" else folder / precision)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_tensorrt_version_supports_the_graph(folder, precision):
    model = onnx.load(variant(folder, precision).onnx_path)
    onnx.checker.check_model(model, full_check=True)
    assert violations(model) == []
    assert objections(model) == []


@pytest.mark.parametrize(("precision", "kind", "least"), [("int8", "INT8", 30), ("fp8", "FLOAT8E4M3FN", 30)])
def test_most_convolutions_are_in_eight_bits_except_the_first_and_last(folder, precision, kind, least):
    model = onnx.load(variant(folder, precision).onnx_path)
    makers = {name: node for node in model.graph.node for name in node.output}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    convs = [node for node in model.graph.node if node.op_type == "Conv"]
    eight = [makers[conv.input[0]].op_type == "DequantizeLinear" for conv in convs]
    assert sum(eight) >= least
    assert not eight[0]
    zeros = {constants[n.input[2]].data_type for n in model.graph.node if n.op_type == "QuantizeLinear"}
    assert zeros == {TensorProto.DataType.Value(kind)}


@pytest.mark.parametrize("precision", ["fp16", "int8", "fp8"])
def test_the_outputs_stay_near_those_of_fp32(folder, precision):
    original = read_reference(folder / "reference.npz").outputs
    outputs = read_reference(variant(folder, precision).reference).outputs
    assert np.mean(outputs["drivable"] != original["drivable"]) < 0.02
    pixel = load_spec(folder).input.width / 640  # lines that do not exist are compared as well
    assert np.abs(outputs["lane_x"] - original["lane_x"]).mean() < 8 * pixel


@pytest.mark.parametrize("precision", ["fp16", "int8", "fp8"])
def test_an_engine_of_it_passes_its_gate(folder, precision, monkeypatch, tmp_path):
    fake = install(monkeypatch)
    fake.cuda.capability, fake.cuda.gpu = (11, 0), "NVIDIA Thor"
    monkeypatch.setattr("camera_perception.engines.select.TIMED_RUNS", 1)
    built = build_engine(tensorrt.variant(load_spec(folder), precision), folder=tmp_path)
    assert built.manifest.key.precision == precision
    assert max(figures["share"] for figures in built.manifest.parity.values()) < 0.1


def test_fp8_on_orin_is_rejected_with_advice(folder, monkeypatch, tmp_path):
    install(monkeypatch)
    with pytest.raises(EngineError, match="this GPU has no fp8 arithmetic .* use --precision fp16"):
        build_engine(tensorrt.variant(load_spec(folder), "fp8"), folder=tmp_path)


@pytest.mark.parametrize(
    ("shape", "fits"),
    [
        ([16, 16, 3, 3], True),
        ([32, 48, 1, 1], True),
        ([8, 16, 3, 3], False),
        ([24, 16, 3, 3], False),
        ([16, 16, 7, 7], False),
    ],
)
def test_which_convolutions_have_fp8_kernels(shape, fits):
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="conv")
    weights = numpy_helper.from_array(np.zeros(shape, np.float32), "w")
    model = helper.make_model(helper.make_graph([node], "g", [], [], [weights]))
    assert without_fp8_kernels(model) == (set() if fits else {"conv"})


# The rules themselves: each is violated once


def constant(model, name, array):
    """Replace a constant, found by its name."""
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    tensor.CopyFrom(numpy_helper.from_array(array, name))


def zero_point_of_five(model, nodes):
    constant(model, nodes["QuantizeLinear"][0].input[2], np.array(5, np.int8))


def negative_scale(model, nodes):
    constant(model, nodes["QuantizeLinear"][0].input[1], np.array(-1, np.float16))


def one_input_only(model, nodes):
    conv = next(node for node in nodes["Conv"] if "Dequantize" in node.input[0])
    conv.input[0] = nodes["QuantizeLinear"][0].input[0]


def a_decoder_reads_rounded_values(model, nodes):
    source = {node.output[0]: node.input[0] for node in nodes["QuantizeLinear"]}
    rounded = {source.get(node.input[0]): node.output[0] for node in nodes["DequantizeLinear"]}
    cast = next(node for node in nodes["Cast"] if node.input[0] in rounded)
    cast.input[0] = rounded[cast.input[0]]


def old_opset(model, nodes):
    model.opset_import[0].version = 17


def cubic(model, nodes):
    next(a for a in nodes["Resize"][0].attribute if a.name == "mode").s = b"cubic"


def transposed_pixels(model, nodes):
    nodes["Transpose"][0].input[0] = model.graph.input[0].name


def fp32_among_fp16(model, nodes):
    name = nodes["Conv"][0].input[1]
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    constant(model, name, numpy_helper.to_array(tensor).astype(np.float32))


def unsupported_operation(model, nodes):
    nodes["Relu"][0].op_type = "Erf"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (zero_point_of_five, "zero point is not 0"),
        (negative_scale, "scale is not positive"),
        (one_input_only, "has only one input in eight bits"),
        (a_decoder_reads_rounded_values, "is read by Cast"),
        (old_opset, "expected 18 to 20 of the default domain"),
        (cubic, "with antialias or cubic"),
        (transposed_pixels, "reads uint8"),
        (fp32_among_fp16, "mixes fp16 and fp32"),
        (unsupported_operation, "Erf is not allowed"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_violated_rule_is_reported(folder, edit, message):
    model = onnx.load(folder / "int8" / "model.onnx")
    nodes = {}
    for node in model.graph.node:
        nodes.setdefault(node.op_type, []).append(node)
    edit(model, nodes)
    assert message in " ".join(violations(model))
