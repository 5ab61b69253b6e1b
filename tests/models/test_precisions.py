"""What lower precision costs, as a table: right figures, a model that lost its sight, the page it goes into."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import draw_folder

from camera_perception.core.model_spec import load_spec
from camera_perception.engines import infer
from camera_perception.engines.select import load_engine
from camera_perception.tools.bench.report import put_into
from perception_models.compression.compare_precisions import Figure, markdown, measure
from perception_models.evaluation.engine_gate import figures as gate_figures
from perception_models.evaluation.model import Model


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return draw_folder(tmp_path_factory.mktemp("drawn"), 4, (96, 160))


@pytest.fixture(scope="module")
def models(tiny_model):
    """The tiny model, itself again, and one whose numbers are all zero."""
    spec = load_spec(tiny_model)
    engine = load_engine(spec, "onnxruntime", device="cpu", threads=1)

    def run(images):
        return infer(engine, images)

    def blind(images):
        return {name: np.zeros_like(array) for name, array in run(images).items()}

    yield {"fp32": Model(spec, run), "fp16": Model(spec, run), "int8": Model(spec, blind)}
    engine.close()


def test_the_same_model_loses_nothing_and_a_blind_one_what_there_was(models, scenes):
    figures = measure(models, scenes, limit=10)
    assert {figure.images for figure in figures} == {4}
    assert {figure.lost["fp16"] for figure in figures} == {0.0}
    there = [figure for figure in figures if figure.task in ("drivable_iou", "semantic_miou")]
    assert len(there) == 2
    assert all(figure.value > 0 for figure in there)
    drivable = next(figure for figure in there if figure.task == "drivable_iou")
    assert drivable.lost["int8"] == pytest.approx(100 * drivable.value, abs=0.01)


def test_the_figures_are_those_of_the_gate(models, scenes, tiny_model):
    engine = load_engine(load_spec(tiny_model), "onnxruntime", device="cpu", threads=1)
    wanted = gate_figures(load_spec(tiny_model), engine, scenes)
    engine.close()
    got = {figure.task: figure.value for figure in measure(models, scenes, limit=10)}
    assert got == pytest.approx(wanted, abs=1e-5)


def test_the_table_goes_between_the_marks_of_a_page(models, tiny_model, tmp_path):
    text = markdown(
        [Figure("street", 4, "lane_f1", 0.5, {"fp16": 0.0, "int8": 1.25})], "the command", load_spec(tiny_model)
    )
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- precisions -->\nold\n<!-- /precisions -->\nafter\n")
    put_into(page, text, "precisions")
    lines = page.read_text().splitlines()
    assert "| street | 4 | lane_f1 | 0.500 | +0.00 | +1.25 |" in lines
    assert "`the command`, model tiny 1" in page.read_text()
    assert (lines[0], lines[-1], "old" in lines) == ("before", "after", False)
