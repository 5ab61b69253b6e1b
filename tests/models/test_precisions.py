"""The table of accuracy losses: its values, a model whose outputs are all zero, the page it is written to."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import draw_folder

from camera_perception.core.model_spec import load_spec
from camera_perception.engines import infer
from camera_perception.engines.select import load_engine
from camera_perception.tools.bench.report import put_into
from perception_models.compression.compare_precisions import Loss, markdown, measure
from perception_models.evaluation.engine_gate import figures as gate_metrics
from perception_models.evaluation.model import Predictor


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return draw_folder(tmp_path_factory.mktemp("drawn"), 4, (96, 160))


@pytest.fixture(scope="module")
def models(tiny_model):
    """The tiny model twice, and one whose outputs are all zero."""
    spec = load_spec(tiny_model)
    engine = load_engine(spec, "onnxruntime", device="cpu", threads=1)

    def run(images):
        return infer(engine, images)

    def zeros(images):
        return {name: np.zeros_like(array) for name, array in run(images).items()}

    yield {"fp32": Predictor(spec, run), "fp16": Predictor(spec, run), "int8": Predictor(spec, zeros)}
    engine.close()


def test_the_same_model_loses_nothing_and_one_without_output_everything(models, scenes):
    losses = measure(models, scenes, limit=10)
    assert {loss.images for loss in losses} == {4}
    assert {loss.lost["fp16"] for loss in losses} == {0.0}
    maps = [loss for loss in losses if loss.metric in ("drivable_iou", "semantic_miou")]
    assert len(maps) == 2
    assert all(loss.value > 0 for loss in maps)
    drivable = next(loss for loss in maps if loss.metric == "drivable_iou")
    assert drivable.lost["int8"] == pytest.approx(100 * drivable.value, abs=0.01)


def test_the_values_are_those_of_the_accuracy_gate(models, scenes, tiny_model):
    engine = load_engine(load_spec(tiny_model), "onnxruntime", device="cpu", threads=1)
    wanted = gate_metrics(load_spec(tiny_model), engine, scenes)
    engine.close()
    got = {loss.metric: loss.value for loss in measure(models, scenes, limit=10)}
    assert got == pytest.approx(wanted, abs=1e-5)


def test_the_table_replaces_the_marked_block_of_a_page(models, tiny_model, tmp_path):
    text = markdown(
        [Loss("street", 4, "lane_f1", 0.5, {"fp16": 0.0, "int8": 1.25})], "the command", load_spec(tiny_model)
    )
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- precisions -->\nold\n<!-- /precisions -->\nafter\n")
    put_into(page, text, "precisions")
    lines = page.read_text().splitlines()
    assert "| street | 4 | lane_f1 | 0.500 | +0.00 | +1.25 |" in lines
    assert "`the command`, model tiny 1" in page.read_text()
    assert (lines[0], lines[-1], "old" in lines) == ("before", "after", False)
