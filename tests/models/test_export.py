"""Export: every backend reproduces PyTorch, graphs use supported operators only, model folders are complete."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from fake_tensorrt import objections
from onnx import TensorProto, helper, numpy_helper

from camera_perception.core.model_spec import load_spec, sha256_of
from camera_perception.core.types import Task
from camera_perception.decode.heads import decode_all
from camera_perception.engines import backend_module, infer
from camera_perception.engines.reference import require
from camera_perception.image.letterbox import Preprocessor
from perception_models.compression.quantize import quantize
from perception_models.export import export as exporting
from perception_models.export import speed
from perception_models.export.export import ALLOWED, ExportConfig, ExportError, check_graph, export, reference_images
from perception_models.network import PerceptionNet, of_size
from perception_models.network.export_graph import ExportGraph
from perception_models.training import checkpoint
from perception_models.training.config import StageConfig, TrainConfig

SIZE = 64, 128
TYPES = {TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, drawn_targets) -> Path:
    """A checkpoint with batch norm statistics of images, and biases unlike those of a new network."""
    torch.manual_seed(0)
    net = PerceptionNet(of_size("t")).train()
    for _ in range(3):
        net(drawn_targets["images"])
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.03 * torch.randn_like(parameter)
    config = TrainConfig(stages=[StageConfig(height=64, width=128)])
    path = tmp_path_factory.mktemp("checkpoint") / "best.safetensors"
    state = {"step": 3, "network": asdict(net.config), "config": asdict(config)}
    checkpoint.save(path, {"average": net.state_dict()}, state)
    return path


@pytest.fixture(scope="module")
def exported(trained, drawn_folder, tmp_path_factory) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp("model")
    (folder / "metrics.json").write_text('{"drawn": {"map50": 0.5}}')
    images, metrics = str(drawn_folder / "images"), str(folder / "metrics.json")
    config = ExportConfig(images=images, metrics=metrics, name="tiny", license="Apache-2.0")
    return folder, export(trained, folder, config)


@pytest.fixture(scope="module")
def batched(trained, drawn_folder, tmp_path_factory) -> tuple[Path, list[str]]:
    """Three images at once, the branch that needs NMS, another size, fewer objects and opset 20."""
    folder = tmp_path_factory.mktemp("batched")
    images = str(drawn_folder / "images")
    config = ExportConfig(images=images, twin="many", height=96, width=160, top=20, opset=20, batch=3)
    return folder, export(trained, folder, config)


def test_the_export_itself_checks_every_backend_against_torch(exported):
    _, lines = exported
    assert len(lines) == 3
    assert "agrees with PyTorch" in lines[0]
    for line, backend in zip(lines, ("onnxruntime", "openvino", "openvino")):
        assert "agrees with PyTorch" in line or f"{backend}" in line and "not checked" in line


@pytest.mark.parametrize(("backend", "options"), [("onnxruntime", {}), ("openvino", {"precision": "fp32"})])
def test_outputs_on_other_images_are_those_of_torch(backend, options, exported, trained, drawn_targets):
    """Other images and other tolerances than those of the reference."""
    module = backend_module(backend)
    if reason := module.available():
        pytest.skip(reason)
    engine = module.load(load_spec(exported[0]), threads=1, **options)
    final = ExportGraph(checkpoint.load_network(trained)[0], SIZE)
    noise = np.random.default_rng(5).integers(0, 256, (1, *SIZE, 3), np.uint8)
    for image in (noise, drawn_targets["images"][:1].numpy()[:, ::-1].copy()):
        with torch.no_grad():
            wanted = dict(zip(final.output_names(), (value.numpy() for value in final(torch.from_numpy(image)))))
        got = infer(engine, image)
        assert set(got) == set(wanted)
        for name, value in wanted.items():
            assert got[name].dtype == value.dtype, name
            assert got[name].shape == value.shape, name
        for name in ("drivable", "semantic"):
            assert (got[name] == wanted[name]).mean() > 0.995
        for name in ("lane_x", "lane_row_score", "lane_score", "lane_type", "lane_color", "weather", "scores"):
            np.testing.assert_allclose(got[name], wanted[name], atol=2e-3, rtol=1e-3, err_msg=name)
        # Equal scores may swap places; the clearly best ones may not.
        sure = np.flatnonzero(np.abs(np.diff(wanted["scores"][0])) > 1e-4)[:5]
        np.testing.assert_allclose(got["boxes"][0, sure[:1]], wanted["boxes"][0, sure[:1]], atol=0.05, rtol=1e-3)
    engine.close()


def test_every_backend_supports_the_graph(exported):
    model = onnx.load(exported[0] / "model.onnx")
    assert {node.op_type for node in model.graph.node} <= ALLOWED
    assert [(o.domain, 18 <= o.version <= 20) for o in model.opset_import if o.domain == ""] == [("", True)]
    inferred = onnx.shape_inference.infer_shapes(model).graph
    values = [*inferred.value_info, *inferred.input, *inferred.output]
    assert {v.type.tensor_type.elem_type for v in values} <= TYPES
    for value in values:
        assert all(d.HasField("dim_value") and d.dim_value > 0 for d in value.type.tensor_type.shape.dim), value.name
    assert not [t for t in model.graph.initializer if t.data_location == TensorProto.EXTERNAL]


def test_uint8_is_cast_before_anything_else_and_after_everything_else(exported):
    """TensorRT transposes and slices no uint8, and documents casts from float only."""
    graph = onnx.load(exported[0] / "model.onnx").graph
    assert graph.input[0].type.tensor_type.elem_type == TensorProto.UINT8
    assert [n.op_type for n in graph.node if "images" in n.input] == ["Cast"]
    types = {o.name: o.type.tensor_type.elem_type for o in graph.output}
    made_by = {output: node for node in graph.node for output in node.output}
    for name in ("drivable", "semantic"):
        assert types[name] == TensorProto.UINT8
        last = made_by[name]
        assert last.op_type == "Cast"
        before = made_by[last.input[0]]
        assert before.op_type == "Cast"
        assert helper.get_node_attr_value(before, "to") == TensorProto.FLOAT
    assert types["classes"] == TensorProto.INT32


def test_batch_norms_and_the_input_scale_are_folded_away(exported):
    graph = onnx.load(exported[0] / "model.onnx").graph
    assert not [n for n in graph.node if n.op_type == "BatchNormalization"]
    first_conv = next(i for i, n in enumerate(graph.node) if n.op_type == "Conv")
    assert {n.op_type for n in graph.node[:first_conv]} <= {"Cast", "Transpose", "Shape", "Gather", "Concat"}


def test_the_folder_describes_the_model(exported):
    folder, _ = exported
    spec = load_spec(folder)
    assert (spec.name, spec.input.shape) == ("tiny", (1, 64, 128, 3))
    written = json.loads((folder / "model.json").read_text())
    assert written["metrics"] == {"drawn": {"map50": 0.5}}
    assert written["training"]["step"] == 3
    card = (folder / "MODEL_CARD.md").read_text()
    for words in ("# tiny", "Apache-2.0", "0.5", "## Limits", "## Training data"):
        assert words in card


def test_the_library_decodes_the_outputs(exported, drawn_folder):
    spec = load_spec(exported[0])
    engine = backend_module("onnxruntime").load(spec, threads=1)
    image = cv2.imread(str(next((drawn_folder / "images").glob("*.png"))))
    buffer = np.zeros(spec.input.shape, spec.input.dtype)
    letterbox = Preprocessor(spec.input)(image, buffer[0])
    observations = decode_all({name: array[0] for name, array in infer(engine, buffer).items()}, spec, letterbox, {})
    for task in (Task.OBJECTS, Task.LANES, Task.TRAFFIC_LIGHTS):
        assert observations.tasks & task
    assert observations.drivable is not None
    assert observations.semantic is not None
    engine.close()


def test_a_backend_that_differs_is_an_error(exported, tmp_path):
    """The weights of the graph are changed by hand."""
    for name in ("model.json", "reference.npz"):
        (tmp_path / name).write_bytes((exported[0] / name).read_bytes())
    model = onnx.load(exported[0] / "model.onnx")
    for weight in model.graph.initializer:
        if len(weight.dims) == 4:
            weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1.5), weight.name))
    onnx.save(model, tmp_path / "model.onnx")
    spec = json.loads((tmp_path / "model.json").read_text())
    spec["onnx"]["sha256"] = sha256_of(tmp_path / "model.onnx")
    (tmp_path / "model.json").write_text(json.dumps(spec))
    with pytest.raises(Exception, match="reference|tolerance|differ"):
        exporting.agreement(tmp_path)


@pytest.mark.parametrize("operator", ["NonZero", "GridSample", "NonMaxSuppression"])
def test_a_graph_with_an_unsupported_operator_is_rejected(operator):
    inputs = {"NonZero": 1, "GridSample": 2, "NonMaxSuppression": 2}[operator]
    names = [f"x{i}" for i in range(inputs)]
    shape = [1, 3, 4] if operator == "NonMaxSuppression" else [1, 1, 4, 2]
    kind = TensorProto.FLOAT if operator == "GridSample" else TensorProto.INT64
    output = {"NonZero": [4, None], "GridSample": [1, 1, 4, 2], "NonMaxSuppression": [None, 3]}[operator]
    graph = helper.make_graph(
        [helper.make_node(operator, names, ["y"])], "unsupported",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in names],
        [helper.make_tensor_value_info("y", kind, output)],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    with pytest.raises(ExportError, match=operator):
        check_graph(model)


def test_the_branch_that_needs_nms_requests_it(batched):
    head = load_spec(batched[0]).head("objects")
    assert (head.nms_iou, head.options["overlap_decay"]) == pytest.approx((0.5, 0.2))


def test_size_number_of_objects_and_opset_follow_the_configuration(batched):
    folder, lines = batched
    assert "agrees" in lines[0]
    assert load_spec(folder).input.shape == (3, 96, 160, 3)
    model = onnx.load(folder / "model.onnx")
    assert {o.version for o in model.opset_import if o.domain == ""} == {20}
    boxes = next(o for o in model.graph.output if o.name == "boxes")
    assert [d.dim_value for d in boxes.type.tensor_type.shape.dim] == [3, 20, 4]


def test_sizes_that_do_not_fit_the_strides_are_rejected(trained, tmp_path):
    with pytest.raises(ExportError, match="multiples of 32"):
        export(trained, tmp_path, ExportConfig(height=100))


def test_references_are_images_of_the_folder_or_noise(drawn_folder):
    images = reference_images(SIZE, 2, str(drawn_folder / "images"))
    np.testing.assert_array_equal(images[0], cv2.imread(str(drawn_folder / "images/0000.png")))
    noise = reference_images(SIZE, 2, None)
    assert noise.shape == (2, *SIZE, 3)
    assert noise.dtype == np.uint8
    assert noise.std() > 40


def test_a_batch_gives_each_camera_what_torch_gives_it_alone(batched):
    spec = load_spec(batched[0])
    engine = backend_module("onnxruntime").load(spec, threads=1)
    assert engine.outputs["boxes"].shape[0] == 3
    require(engine, spec)
    engine.close()


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_quantised_variants_keep_the_batch(batched, drawn_folder, precision):
    calibration = drawn_folder / "images" if precision == "int8" else None
    variant = load_spec(quantize(batched[0], precision, calibration).folder)
    assert variant.input.batch == 3
    model = onnx.load(variant.onnx_path)
    assert objections(model) == []
    assert {dims[0] for dims in shapes(model.graph.output)} == {3}


def shapes(values):
    return [[dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in values]


@pytest.mark.parametrize("batch", [0, 65])
def test_an_impossible_batch_size_is_rejected(trained, tmp_path, batch):
    with pytest.raises(ExportError, match="give 1 to 64"):
        export(trained, tmp_path, ExportConfig(batch=batch))


def test_speed_is_measured_per_network(exported, monkeypatch):
    """With the graph exported above, instead of exporting both networks again."""
    model = exported[0] / "model.onnx"
    monkeypatch.setattr(speed, "write_onnx", lambda graph, path, opset: path.write_bytes(model.read_bytes()))
    net = PerceptionNet(of_size("t"))
    times = speed.seconds([net, net], SIZE, rounds=3)
    assert len(times) == 2
    assert all(0 < each < 10 for each in times)  # CPU seconds
