"""A model folder may hold the network at several input sizes: images use the one in which they are largest."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_models import tiny_spec, write_tiny_sizes

from camera_perception import Perception
from camera_perception.core.errors import ModelError
from camera_perception.core.model_spec import load_other_sizes, load_spec
from camera_perception.engines.reference import read_reference, write_reference
from camera_perception.engines.select import load_engine
from camera_perception.engines.serving.fitting import FittingEngine, best_size, fitted, load_fitting
from camera_perception.engines.serving.model import ModelRequest, open_model
from camera_perception.engines.serving.pool import ModelPool
from camera_perception.image.letterbox import Letterbox, Preprocessor
from camera_perception.tools.privacy.detector import open_detector

OTHER = "144x112"  # nearly as many pixels as the 160x96 of the tiny model


@pytest.fixture(scope="module")
def sizes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_sizes(tmp_path_factory.mktemp("sizes"), OTHER)


@pytest.fixture
def folder(sizes: Path, tmp_path: Path) -> Path:
    return shutil.copytree(sizes, tmp_path / "model")


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def road(width: int, height: int) -> np.ndarray:
    """(height, width, 3): a lit road with a bright car of a quarter of the width in its middle."""
    image = np.full((height, width, 3), 90, np.uint8)
    image[height // 2 : height // 2 + height // 8, 3 * width // 8 : 5 * width // 8] = 235
    return image


SHIPPED = "640x352", "544x416", "864x256"


@pytest.mark.parametrize(
    ("width", "height", "names", "chosen"),
    [
        (1, 1, SHIPPED, "544x416"),
        (640, 352, SHIPPED, "640x352"),
        (1280, 720, SHIPPED, "640x352"),
        (1920, 1080, SHIPPED, "640x352"),
        (960, 720, SHIPPED, "544x416"),
        (640, 480, SHIPPED, "544x416"),
        (720, 1280, SHIPPED, "544x416"),
        (1920, 1200, SHIPPED, "640x352"),
        (1242, 375, SHIPPED, "864x256"),
        (960, 720, ("640x352",), "640x352"),
        (960, 720, ("640x352", "640x352"), "640x352"),
        (100, 100, ("100x100", "102x102"), "100x100"),  # too small a gain
        (100, 100, ("100x100", "104x104"), "104x104"),
    ],
)
def test_the_size_with_the_largest_scale_is_chosen(tiny_model, width, height, names, chosen):
    spec = load_spec(tiny_model)
    specs = []
    for name in names:
        across, down = map(int, name.split("x"))
        specs.append(replace(spec, input=replace(spec.input, width=across, height=down)))
    best = best_size(specs, (height, width)).input
    assert f"{best.width}x{best.height}" == chosen
    assert best_size([specs[0]], (height, width)) is specs[0]


def test_the_gain_is_that_of_the_letterbox():
    before, after = (Letterbox.fit((720, 960), size).scale[0] for size in ((352, 640), (416, 544)))
    assert after / before == pytest.approx(1.16, abs=0.005)


def test_other_sizes_have_the_settings_of_the_model(folder):
    data = json.loads((folder / "model.json").read_text())
    data["outputs"][0] |= {"threshold": 0.7}
    change(folder / "model.json", outputs=data["outputs"], tracker={"max_age": 3.0})
    spec = load_spec(folder)
    (other,) = load_other_sizes(spec)
    assert (other.input.width, other.input.height, other.folder) == (144, 112, folder / OTHER)
    assert (other.heads, other.tracker) == (spec.heads, spec.tracker)
    assert spec.head("objects").threshold == 0.7


@pytest.mark.parametrize(
    "names",
    ["144x112", [""], ["."], [".."], ["../144x112"], ["144x112/.."], ["/144x112"], ["144x112\n"], ["fp16"], ["0x112"]]
    + [["144x112", "144x112"], [f"1{i}0x100" for i in range(9)], [128], [None]],
)
def test_names_of_sizes_are_checked(folder, names):
    change(folder / "model.json", other_sizes=names)
    with pytest.raises(ModelError, match="other_sizes"):
        load_spec(folder)


def test_a_missing_folder_is_named_where_it_is_needed(folder):
    shutil.rmtree(folder / OTHER)
    spec = load_spec(folder)
    load_engine(spec, "onnxruntime").close()
    with pytest.raises(ModelError, match=f"lists {OTHER}, but .*{OTHER} holds no model: copy the whole model folder"):
        load_fitting(spec, "onnxruntime")


@pytest.mark.parametrize(
    "edit",
    [
        lambda d: d.update(version="2"),
        lambda d: d.update(name="another"),
        lambda d: d["input"].update(width=160),
        lambda d: d["input"].update(color="rgb"),
        lambda d: d["outputs"].pop(),
        lambda d: d["outputs"][0]["classes"].reverse(),
        lambda d: d["outputs"][1]["tensors"].update(map="semantic"),
    ],
)
def test_another_network_in_a_folder_of_a_size_is_refused(folder, edit):
    data = json.loads((folder / OTHER / "model.json").read_text())
    edit(data)
    (folder / OTHER / "model.json").write_text(json.dumps(data))
    with pytest.raises(ModelError, match=f"lists {OTHER}, but .* holds another network: .*export it again"):
        load_other_sizes(load_spec(folder))


def test_a_damaged_network_of_another_size_is_refused(folder):
    (folder / OTHER / "model.onnx").write_bytes(b"\0")
    with pytest.raises(ModelError, match="the file was changed or only partly copied"):
        load_other_sizes(load_spec(folder))


def test_perception_opens_the_fitting_size_at_the_first_image_that_needs_it(sizes):
    with Perception.load(sizes, engine="onnxruntime", threads=1) as perception:
        engine = perception._engine
        assert isinstance(engine, FittingEngine)
        wide = perception(road(320, 192))
        assert (engine.spec.input.width, len(engine._engines)) == (160, 1)
        tall = perception(road(256, 192))
        assert (engine.spec.input.width, len(engine._engines)) == (144, 2)
        second = engine.current
        perception(road(320, 192))
        perception(road(256, 192))
        assert engine.current is second
        assert perception.spec.input.width == 160
        for seen, width, height in ((wide, 320, 192), (tall, 256, 192)):
            assert perception.names(seen) == ["car"]
            expected = 3 * width / 8, height / 2, 5 * width / 8, height / 2 + height / 8
            np.testing.assert_allclose(seen.objects.boxes[0], expected, atol=2.5)
            assert {line.position for line in seen.lanes} == {-1, 1}
            assert perception.draw(seen).shape == (height, width, 3)


def test_tracks_continue_when_the_size_changes_with_an_image(sizes):
    with Perception.load(sizes, engine="onnxruntime", threads=1, rotate=90) as perception:
        turned = np.ascontiguousarray(np.rot90(road(256, 192)))
        ids = [perception(turned + np.uint8(i)).objects.track_ids.tolist() for i in range(4)]
        assert perception._engine.spec.input.width == 144  # of the turned images
        assert len({tuple(each) for each in ids[2:]}) == 1


def test_without_fit_the_model_folder_is_used(sizes):
    with Perception.load(sizes, engine="onnxruntime", threads=1, fit=False) as perception:
        assert perception.names(perception(road(256, 192))) == ["car"]
        assert perception._engine.spec.input.width == 160


def test_a_model_of_one_size_has_its_plain_engine(tmp_path):
    spec = tiny_spec(tmp_path)
    engine = load_fitting(spec, "onnxruntime")
    assert not isinstance(engine, FittingEngine)
    preprocess = Preprocessor(spec.input)
    assert fitted(preprocess, engine, (192, 256)) is preprocess
    engine.close()


def test_a_size_that_cannot_be_opened_is_logged_once_and_the_model_folder_used(folder, caplog):
    with Perception.load(folder, engine="onnxruntime", threads=1) as perception:
        path = folder / OTHER / "reference.npz"
        reference = read_reference(path)
        write_reference(path, reference.images, {**reference.outputs, "scores": 1 - reference.outputs["scores"]})
        for _ in range(3):
            assert perception.names(perception(road(256, 192))) == ["car"]
    (text,) = [record.getMessage() for record in caplog.records if record.name.endswith("fitting")]
    assert text.startswith("images are larger in the input size 144x112, but 160x96 is used: ")
    assert "does not reproduce the reference" in text


def test_all_sizes_are_closed(sizes):
    class Closing:
        def __init__(self, spec):
            self.spec, self.closed = spec, 0
            self.info = self.input = self.outputs = self.slots = None

        def close(self):
            self.closed += 1

    opened = []

    def load(spec, backend):
        opened.append(Closing(spec))
        return opened[-1]

    engine = load_fitting(load_spec(sizes), "onnxruntime", load)
    assert engine.fit((192, 256)).width == 144
    assert engine.fit((192, 320)).width == 160
    engine.close()
    assert [each.closed for each in opened] == [1, 1]


def test_the_privacy_tools_use_the_fitting_size_for_whole_images(sizes):
    detector = open_detector([sizes], backend="onnxruntime", threads=1)
    (box,) = detector(cv2.resize(road(256, 192), (512, 384))).boxes[:1]
    assert detector._engine.spec.input.width == 144
    np.testing.assert_allclose(box, (192, 192, 320, 240), atol=5)
    detector.close()


def test_models_for_nodes_fit_unless_cameras_share_them(sizes):
    asked = ModelRequest(str(sizes), "onnxruntime", 1)
    alone, off = open_model(asked), open_model(replace(asked, fit=False))
    assert isinstance(alone.engine, FittingEngine)
    assert not isinstance(off.engine, FittingEngine)
    pool = ModelPool()
    shared = pool.open(asked)
    assert not isinstance(shared.engine, FittingEngine)
    for model in (alone, off, shared):
        model.close()
