"""The reference decides whether a backend may run: it must pass what is right and stop what is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_models import LANE_ROWS, reference_outputs, tiny_graph, tiny_images

from camera_perception.core.errors import EngineError, ModelError
from camera_perception.core.model_spec import load_spec
from camera_perception.engines.deviation import Tolerance, compare
from camera_perception.engines.reference import Reference, check, read_reference, require, run_all, write_reference
from camera_perception.engines.select import load_engine


@pytest.fixture(scope="module")
def spec(tiny_model):
    return load_spec(tiny_model)


@pytest.fixture(scope="module")
def engine(spec):
    return load_engine(spec, "onnxruntime", threads=1)


@pytest.fixture(scope="module")
def computed_outputs():
    return reference_outputs(tiny_graph(), tiny_images())


@pytest.fixture
def outputs(computed_outputs):
    """The right outputs, for a test to change."""
    return {name: array.copy() for name, array in computed_outputs.items()}


def failures(engine, spec, outputs, tolerances=None):
    reference = Reference(tiny_images(), outputs, tolerances or {})
    return {deviation.tensor for deviation in check(engine, spec, reference) if not deviation.ok}


def test_write_and_read_is_a_round_trip(tmp_path, outputs):
    tolerances = {"boxes": Tolerance(atol=2.0, share=0.1)}
    write_reference(tmp_path / "reference.npz", tiny_images(), outputs, tolerances)
    back = read_reference(tmp_path / "reference.npz")
    assert back.tolerances == tolerances
    np.testing.assert_array_equal(back.images, tiny_images())
    assert back.outputs.keys() == outputs.keys()
    for name, array in outputs.items():
        np.testing.assert_array_equal(back.outputs[name], array)


@pytest.mark.parametrize(("images", "rows"), [(0, 0), (2, 1)])
def test_counts_must_agree(images, rows):
    with pytest.raises(ValueError, match="as many rows"):
        Reference(np.zeros((images, 8, 8, 3), np.uint8), {"a": np.zeros((rows, 2))})


def test_broken_files_are_one_clear_error(tmp_path):
    path = tmp_path / "reference.npz"
    with pytest.raises(ModelError, match="missing"):
        read_reference(path)
    write_reference(path, np.zeros((1, 4, 4, 3), np.uint8), {"a": np.zeros((1, 2))})
    whole = path.read_bytes()
    for content in (b"", b"no zip", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(ModelError, match="not a usable reference"):
            read_reference(path)
    np.savez(path, images=np.array([{"pickled": 1}], dtype=object))
    with pytest.raises(ModelError, match="not a usable reference"):
        read_reference(path)


def test_the_right_outputs_pass(engine, spec, outputs):
    assert failures(engine, spec, outputs) == set()
    assert len(require(engine, spec)) == len(outputs)


def test_rows_in_another_order_pass(engine, spec, outputs):
    order = np.random.default_rng(1).permutation(8)
    for name in ("boxes", "scores", "classes", "light_states"):
        outputs[name] = outputs[name][:, order]
    assert failures(engine, spec, outputs) == set()


def test_values_that_no_decoder_reads_may_differ(engine, spec, outputs):
    outputs["boxes"][:, 5] += 40  # of a row with score 0
    outputs["lane_x"][:, 0] += 40  # of a line that does not exist
    outputs["lane_x"][:, :, : LANE_ROWS // 2] += 40  # above the horizon
    outputs["lane_type"][0] = 0.5  # of a dark image without lines
    assert failures(engine, spec, outputs) == set()


@pytest.mark.parametrize(
    ("change", "tensor"),
    [
        (lambda o: o["boxes"].__iadd__(2.0), "boxes"),
        (lambda o: o["scores"].__imul__(0.9), "scores"),
        (lambda o: o["classes"].__iadd__(1), "boxes"),
        (lambda o: o["light_states"].__setitem__((2, 1), 0.25), "light_states"),
        (lambda o: o["drivable"].__setitem__((slice(None), slice(0, 2)), 2), "drivable"),
        (lambda o: o["semantic"].__setitem__(1, 9), "semantic"),
        (lambda o: o["lane_x"].__iadd__(1.0), "lane_x"),
        (lambda o: o["lane_row_score"].__isub__(0.1), "lane_row_score"),
        (lambda o: o["lane_score"].__isub__(0.1), "lane_score"),
        (lambda o: o["lane_type"].__iadd__(0.1), "lane_type"),
        (lambda o: o["lane_color"].__iadd__(0.1), "lane_color"),
        (lambda o: o["weather"].__setitem__((0, 0), np.nan), "weather"),
    ],
)
def test_wrong_outputs_are_found(engine, spec, outputs, change, tensor):
    change(outputs)
    assert tensor in failures(engine, spec, outputs)


def test_a_missing_and_an_additional_box_are_found(engine, spec, outputs):
    lost = {name: array.copy() for name, array in outputs.items()}
    lost["scores"][1, 0] = 0
    invented = {name: array.copy() for name, array in outputs.items()}
    invented["scores"][0, 4], invented["boxes"][0, 4] = 0.9, (1, 2, 30, 40)
    assert "boxes" in failures(engine, spec, lost)
    assert "boxes" in failures(engine, spec, invented)


def test_a_few_map_cells_may_flip(engine, spec, outputs):
    cells = outputs["semantic"][0].size * len(outputs["semantic"])
    outputs["semantic"].reshape(-1)[: int(cells * 0.004)] += 1
    assert "semantic" not in failures(engine, spec, outputs)


def test_tolerances_in_the_file_override_the_defaults(engine, spec, outputs):
    outputs["boxes"] += 2
    assert "boxes" not in failures(engine, spec, outputs, {"boxes": Tolerance(atol=3.0)})


def test_the_error_names_engine_tensor_deviation_and_tolerance(engine, spec, outputs):
    outputs["boxes"] += 2
    with pytest.raises(
        EngineError, match=r"onnxruntime cpu does not reproduce.*'boxes' differs by up to 2,.*atol 0.15"
    ):
        require(engine, spec, Reference(tiny_images(), outputs))


def test_a_reference_of_another_model_is_refused(engine, spec, outputs):
    with pytest.raises(ModelError, match="images of .* model.json declares"):
        check(engine, spec, Reference(tiny_images()[:, :48], outputs))
    del outputs["boxes"]
    with pytest.raises(ModelError, match="lacks the output 'boxes'"):
        check(engine, spec, Reference(tiny_images(), outputs))


def test_any_number_of_images_runs_in_batches(engine, spec):
    images = np.concatenate([tiny_images()] * 2)[:5]
    assert run_all(engine, images)["scores"].shape == (5, 8)


def test_tolerances_of_low_precisions_are_wider_in_every_respect():
    one = Tolerance(atol=0.01, rtol=0.01, share=0.01)
    for precision in ("fp16", "bf16", "int8"):
        wider = one.for_precision(precision)
        assert wider.atol > one.atol
        assert wider.rtol > one.rtol
        assert wider.share > one.share
    assert one.for_precision("fp32") == one


@pytest.mark.parametrize(
    ("actual", "wanted", "share"),
    [
        ([], [], 0),
        ([1, 2], [1, 2], 0),
        ([1, 2], [1, 3], 0.5),
        ([np.nan], [np.nan], 0),
        ([np.nan], [1], 1),
        ([np.inf], [np.inf], 0),
    ],
)
def test_compare_returns_the_share_outside_the_tolerance(actual, wanted, share):
    deviation = compare("a", np.array(actual, np.float32), np.array(wanted, np.float32), Tolerance(atol=0.5))
    assert deviation.share == share
