"""ONNX files as other projects export them become model folders that find the objects which were encoded."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import onnx
import pytest
from public_layouts import (
    BOXES,
    HEIGHT,
    LAYOUTS,
    OBJECTS,
    SCORES,
    WIDTH,
    Layout,
    prior_offsets,
    with_plugin,
    write,
)
from typer.testing import CliRunner

from camera_perception.core.errors import ModelError
from camera_perception.core.model_spec import load_spec
from camera_perception.decode import decoder
from camera_perception.decode.heads import decode_all
from camera_perception.engines import infer
from camera_perception.engines.select import load_engine
from camera_perception.image.letterbox import Letterbox, Preprocessor
from camera_perception.io.video_file import VideoFile
from camera_perception.tools.cli.app import app
from camera_perception.tools.models.class_names import names_in
from camera_perception.tools.models.import_onnx import examine, model_json, write_folder
from camera_perception.tools.models.on_the_fly import folder_of

DOCS = Path(__file__).parents[2] / "docs"
WHITE = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)


def imported(path, folder):
    file, guessed = examine(path)
    return load_spec(write_folder(file, model_json(file, guessed, "imported"), folder)), guessed


def seen(spec, image=WHITE, backend="onnxruntime"):
    engine = load_engine(spec, backend, threads=1)
    images = np.zeros(engine.input.shape, engine.input.dtype)
    Preprocessor(spec.input)(image, images[0])
    outputs = {name: array[0] for name, array in infer(engine, images).items()}
    engine.close()
    letterbox = Letterbox.fit(image.shape[:2], spec.input.size, spec.input.align)
    return decode_all(outputs, spec, letterbox, {})


def assert_both_objects(spec, observations):
    found = observations.detections
    order = np.argsort(-found.scores)
    np.testing.assert_allclose(found.boxes[order], BOXES, atol=0.02)
    np.testing.assert_allclose(found.scores[order], SCORES, atol=1e-4)
    names = [spec.classes[number] for number in found.classes[order]]
    assert names == ["car", "person"]


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_public_layout_is_recognised_and_finds_its_objects(tmp_path, name):
    layout: Layout = LAYOUTS[name]()
    spec, _ = imported(write(tmp_path / "network.onnx", layout), tmp_path / "model")
    assert spec.heads[0].kind == layout.kind
    observations = seen(spec)
    if "names" in layout.metadata:
        assert spec.classes == ("person", "tram", "car")
    assert_both_objects(spec, observations)


@pytest.mark.parametrize("name", ["YOLOv7 end2end", "mmdeploy", "PaddleDetection", "torchvision Mask R-CNN"])
def test_boxes_of_any_number_become_a_fixed_number_of_rows_on_every_backend(tmp_path, name):
    layout = LAYOUTS[name]()
    spec, _ = imported(write(tmp_path / "network.onnx", layout), tmp_path / "model")
    black = seen(spec, np.zeros_like(WHITE))
    assert len(black.detections) == 0
    assert_both_objects(spec, seen(spec, backend="openvino"))


@pytest.mark.parametrize("name", ["NanoDet per stride", "YOLOv8 per stride, two maps"])
def test_joined_outputs_are_the_same_on_every_backend(tmp_path, name):
    spec, guessed = imported(write(tmp_path / "network.onnx", LAYOUTS[name]()), tmp_path / "model")
    assert any("joined" in note for note in guessed.notes)
    assert_both_objects(spec, seen(spec, backend="openvino"))


def test_raw_outputs_that_need_anchors_are_refused_with_the_cure(tmp_path):
    maps = {f"output{s}": np.zeros((1, 255, HEIGHT // s, WIDTH // s)) for s in (8, 16, 32)}
    with pytest.raises(ModelError, match="anchors are not in the file: export it with the detection layer"):
        examine(write(tmp_path / "network.onnx", Layout("", maps)))


@pytest.mark.parametrize(
    ("outputs", "why"),
    [
        ({f"cls{s}": np.zeros((1, 80, 320 // s, 320 // s)) for s in (4, 8, 16)}, "looks like part of a detector"),
        ({"hm": np.zeros((1, 80, 32, 40)), "wh": np.zeros((1, 2, 32, 40))}, "looks like part of a detector"),
        ({"mask": np.zeros((1, 1, HEIGHT, WIDTH), np.int64)}, "export the scores before argmax"),
        ({"scores": np.zeros((1, HEIGHT, WIDTH, 19))}, "classes last: transpose"),
        ({"output": np.zeros((1, 1, HEIGHT, WIDTH))}, "nothing says what the plane 'output' .* shows"),
        (
            {
                f"{name}{s}": np.zeros((1, n, 128 // s, 160 // s))
                for s in (8, 16, 32)
                for name, n in (("cls", 810), ("box", 36))
            },
            "looks like part of a detector",
        ),  # EfficientDet
        (
            {
                f"{name}{s}": np.zeros((1, n, -(-128 // s), -(-160 // s)))
                for s in (8, 16, 32, 64, 128)
                for name, n in (("cls", 80), ("box", 4), ("centre", 1))
            },
            "looks like part of a detector",
        ),  # FCOS, whose distances are no boxes of YOLOX
    ],
)
def test_maps_that_are_no_classes_of_pixels_are_not_taken_for_them(tmp_path, outputs, why):
    _, guessed = examine(write(tmp_path / "network.onnx", Layout("", outputs)))
    assert guessed.outputs == []
    assert any(re.search(why, note) for note in guessed.notes)


@pytest.mark.parametrize(
    "layout",
    [
        prior_offsets(840, ("loc", "conf"), 2, landms=np.zeros((1, 840, 10))),  # RetinaFace
        prior_offsets(8732, ("locations", "scores"), 21),  # SSD300
        prior_offsets(1917, ("boxes", "scores"), 91),  # SSD with MobileNet
    ],
)
def test_offsets_to_prior_boxes_are_not_taken_for_boxes(tmp_path, layout):
    path = write(tmp_path / "network.onnx", layout)
    done = CliRunner().invoke(app, ["inspect-onnx", str(path), "--out", str(tmp_path / "model")])
    assert done.exit_code == 2
    message = " ".join(done.output.split())
    assert "no decoder fits" in message
    assert "offsets to prior boxes, which are not in the file" in message
    assert "write one like docs/own_decoder.md" in message


def test_maps_beside_offsets_to_prior_boxes_are_read(tmp_path):
    """HybridNets: its boxes need anchors, its map of classes does not."""
    layout = prior_offsets(3780, ("regression", "classification"), 2, segmentation=np.zeros((1, 3, HEIGHT, WIDTH)))
    _, guessed = examine(write(tmp_path / "network.onnx", layout))
    assert [head["head"] for head in guessed.outputs] == ["semantic"]
    assert any("offsets to prior boxes" in note for note in guessed.notes)


def test_of_several_maps_of_classes_the_first_is_read(tmp_path):
    """DeepLab, BiSeNet: the others are for training."""
    maps = {name: np.zeros((1, 19, HEIGHT, WIDTH)) for name in ("out", "aux")}
    _, guessed = examine(write(tmp_path / "network.onnx", Layout("", maps)))
    assert [head["tensors"] for head in guessed.outputs] == [{"logits": "out"}]
    assert "not used: aux" in guessed.notes


def test_masks_become_the_semantic_map(tmp_path):
    layout = LAYOUTS["YOLO11-seg"]()
    spec, guessed = imported(write(tmp_path / "network.onnx", layout), tmp_path / "model")
    assert any("masks become the semantic map" in note for note in guessed.notes)
    semantic = seen(spec).semantic
    assert semantic.names == ("background", "person", "tram", "car")
    expected = np.zeros((HEIGHT // 4, WIDTH // 4), int)
    expected[8:12, 5:15] = 3
    np.testing.assert_array_equal(semantic.ids, expected)


@pytest.mark.parametrize(("name", "left_out"), [("YOLO11-pose", "keypoints"), ("YOLO11-obb", "angle")])
def test_what_a_task_leaves_out_is_said(tmp_path, name, left_out):
    _, guessed = imported(write(tmp_path / "network.onnx", LAYOUTS[name]()), tmp_path / "model")
    assert any(left_out in note for note in guessed.notes)


def test_the_nms_plugin_of_tensorrt_is_cut_off(tmp_path):
    spec, guessed = imported(with_plugin(tmp_path / "network.onnx"), tmp_path / "model")
    head = spec.heads[0]
    assert (head.kind, head.options, head.nms_iou) == ("boxes_scores", {"boxes": "center"}, 0.5)
    assert_both_objects(spec, seen(spec))


def test_weights_in_a_second_file_are_written_into_the_model(tmp_path):
    """torch.onnx.export writes them so by default; a model folder holds one file, whose hash covers all weights."""
    path = write(tmp_path / "network.onnx", LAYOUTS["YOLOv8"]())
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="network.onnx.data", size_threshold=64)
    assert (tmp_path / "network.onnx.data").stat().st_size > 10_000
    spec, _ = imported(path, tmp_path / "model")
    (tmp_path / "network.onnx.data").unlink()
    assert_both_objects(spec, seen(spec))
    with pytest.raises(ModelError, match="needs its weights in network.onnx.data, missing in .*: copy all files"):
        examine(path)


def test_an_image_without_a_batch_gets_one(tmp_path):
    """As torchvision and Detectron2 are exported with a list of images."""
    model = onnx.load(write(tmp_path / "network.onnx", LAYOUTS["torchvision"]()))
    del model.graph.input[0].type.tensor_type.shape.dim[0]
    onnx.save(model, tmp_path / "network.onnx")
    spec, guessed = imported(tmp_path / "network.onnx", tmp_path / "model")
    assert_both_objects(spec, seen(spec))
    assert_both_objects(spec, seen(spec, backend="openvino"))


def test_a_failed_import_leaves_no_folder(tmp_path):
    file, guessed = examine(write(tmp_path / "network.onnx", LAYOUTS["YOLOv8"]()))
    data = model_json(file, guessed, "imported")
    data["outputs"][0]["classes"].pop()  # as a wrong guess
    with pytest.raises(ModelError, match="79 classes need an axis of 83"):
        write_folder(file, data, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_the_page_on_own_models_can_be_followed(tmp_path, monkeypatch):
    """Every command of docs/own_model.md, with a network and a drive of these names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write(tmp_path / "yolo11n.onnx", LAYOUTS["YOLO11-seg"]())
    with VideoFile(tmp_path / "drive.mp4", 10) as film:
        for _ in range(3):
            film.write(WHITE)
    page = (DOCS / "own_model.md").read_text("utf-8")
    commands = re.findall(r"^ *camera-perception (.+)$", page, re.MULTILINE)
    assert len(commands) >= 5
    for command in commands:
        done = CliRunner().invoke(app, [*shlex.split(command), *(["--threads", "1"] * ("check" in command))])
        assert done.exit_code == 0, f"{command}: {done.output}"
    assert "person" in (tmp_path / "models/yolo11n/model.json").read_text("utf-8")
    assert (tmp_path / "out/yolo11n/report.html").is_file()


def test_the_page_on_own_decoders_can_be_followed(tmp_path, monkeypatch):
    """Its module, its heads.json and its commands, with a network of that kind."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    page = (DOCS / "own_decoder.md").read_text("utf-8")
    code, heads = (re.search(rf"```{kind}\n(.*?)```", page, re.DOTALL)[1] for kind in ("python", "json"))
    assert len(code.splitlines()) < 30
    Path("centernet.py").write_text(code, "utf-8")
    Path("heads.json").write_text(heads, "utf-8")
    heat, sides = np.zeros((1, 3, HEIGHT // 4, WIDTH // 4)), np.zeros((1, 4, HEIGHT // 4, WIDTH // 4))
    for (x0, y0, x1, y1), score, number in OBJECTS:
        column, row = int((x0 + x1) / 8), int((y0 + y1) / 8)
        heat[0, number, row, column], heat[0, number, row, column + 1] = score, score / 1.01
        sides[0, :, row, column] = column - x0 / 4, row - y0 / 4, x1 / 4 - column, y1 / 4 - row
    write(tmp_path / "centernet.onnx", Layout("", {"hm": heat, "ltrb": sides}))
    for command in re.findall(r"^ *camera-perception (.+)$", page, re.MULTILINE):
        done = CliRunner().invoke(app, [*shlex.split(command), *(["--threads", "1"] * ("check" in command))])
        assert done.exit_code == 0, f"{command}: {done.output}"
    spec = load_spec("models/centernet")
    assert_both_objects(spec, seen(spec))


def test_a_decoder_that_cannot_be_imported_is_named(tmp_path):
    with pytest.raises(ModelError, match="put not_there.py on PYTHONPATH"):
        decoder("python:not_there")
    with pytest.raises(ModelError, match="has no function decode and check"):
        decoder("python:public_layouts")


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ({"out": np.zeros((1, 77, 9))}, "nearest is 'ultralytics', but 'out' .* has 77 rows of 9, .* 160x128 has"),
        ({"out": np.zeros((1, 4))}, "nearest is 'efficient_nms', but 'out' .* comes without boxes"),
        ({"out": np.zeros((1, 3, 4, 5))}, "nearest is 'mask_logits', but"),
    ],
)
def test_what_no_decoder_fits_names_the_nearest_and_the_page(tmp_path, outputs, said):
    path = write(tmp_path / "network.onnx", Layout("", outputs))
    done = CliRunner().invoke(app, ["inspect-onnx", str(path), "--out", str(tmp_path / "model")])
    message = " ".join(done.output.split())
    assert done.exit_code == 2
    assert re.search(f"no decoder fits; {said}.*; write one like docs/own_decoder.md", message)
    assert not (tmp_path / "model").exists()


def test_a_classifier_is_named_as_one(tmp_path):
    path = write(tmp_path / "a.onnx", Layout("", {"output0": np.zeros((1, 1000))}, {"task": "classify"}))
    assert "classification networks have no boxes" in CliRunner().invoke(app, ["inspect-onnx", str(path)]).output


def test_a_file_in_place_of_a_folder_is_imported_once(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = write(tmp_path / "my net.onnx", LAYOUTS["YOLOv8"]())
    folder = folder_of(path)
    assert folder.parent == tmp_path / "cache/camera_perception/models"
    assert "inspect-onnx" in caplog.text
    written = (folder / "model.json").stat().st_mtime_ns
    assert folder_of(path) == folder
    assert (folder / "model.json").stat().st_mtime_ns == written
    assert [entry.name for entry in folder.parent.iterdir()] == [folder.name]
    assert folder_of(folder) == folder
    assert folder_of(folder / "model.onnx") == folder / "model.onnx"  # load_spec finds its folder
    with pytest.raises(ModelError, match="give a folder with model.json.*inspect-onnx"):
        load_spec(path)


def test_a_thousand_classes_do_not_flood_the_terminal(tmp_path):
    names = {str(number): f"species {number}" for number in range(1000)}
    rows = np.zeros((1, 1004, 420))
    path = write(tmp_path / "a.onnx", Layout("", {"output0": rows}, {"names": json.dumps(names)}))
    shown = CliRunner().invoke(app, ["inspect-onnx", str(path)]).output
    assert len(shown.splitlines()) < 60
    assert json.loads(shown[shown.index("{") :])["outputs"][0]["classes"][-1] == "... 994 more"
    file, guessed = examine(path)
    data = model_json(file, guessed, "many")
    assert data["outputs"][0]["classes"][999] == "species 999"
    data["outputs"][0]["options"] = {"thresholds": {"dog": 0.5}}
    with pytest.raises(ModelError) as caught:
        write_folder(file, data, tmp_path / "model")
    assert len(str(caught.value)) < 500
    data["outputs"][0]["classes"] = {"names": [f"species {number}" for number in range(1000)]}
    with pytest.raises(ModelError) as caught:
        write_folder(file, data, tmp_path / "model")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, []),
        ({"names": "{0: 'car', 1: 'tram'}"}, ["car", "tram"]),
        ({"names": '{"1": "tram", "0": "car"}'}, ["car", "tram"]),
        ({"names": "{'0': 'car', '2': 'tram'}"}, ["car", "class_1", "tram"]),
        ({"names": "['car', 'tram']"}, ["car", "tram"]),
        ({"class_names": "car\ntram\n"}, ["car", "tram"]),
        ({"classes": "car, tram"}, ["car", "tram"]),
        ({"id2label": '{"0": "car", "1": "tram"}'}, ["car", "tram"]),
        ({"names": "{'car': 0}"}, []),
        ({"names": "{'0': 'car', '99999999': 'tram'}"}, []),
    ],
)
def test_class_names_are_read_in_any_form(metadata, expected):
    assert names_in(metadata) == expected
