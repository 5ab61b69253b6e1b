"""The product's own builder with a complete parser and builder of NVIDIA: every variant, for the GPUs of the table."""

from __future__ import annotations

import json
import shutil

import cv2
import onnx
import pytest
import wheels
from conftest import ENGINES, REPOSITORY, fingerprint, run_once
from onnx import helper

from camera_perception.core.errors import PerceptionError
from camera_perception.core.model_spec import sha256_of
from camera_perception.engines.reference import read_reference
from perception_models.compression.quantize import quantize

ZOO = REPOSITORY / "perception_models/zoo"
SOURCES = [
    ENGINES,
    ZOO / "demo",
    *(REPOSITORY / "perception_models" / name for name in ("compression", "export", "network")),
]
TARGETS = {"fp32": ("SM86", "SM120"), "fp16": ("SM86", "SM120"), "int8": ("SM86", "SM120"), "fp8": ("SM89", "SM120")}
CASES = [(batch, name, target) for batch in (1, 2) for name, targets in TARGETS.items() for target in targets]
QUICK = [(1, "fp16", "SM86"), (1, "int8", "SM86")]


def pytest_generate_tests(metafunc):
    if "case" in metafunc.fixturenames:
        cases = QUICK if metafunc.config.getoption("--quick") else CASES
        metafunc.parametrize("case", cases, ids=lambda case: "-".join(map(str, case)))


@pytest.fixture(scope="module")
def rtx():
    return wheels.unpacked(*wheels.RTX)


@pytest.fixture(scope="module")
def state():
    """Hash over everything that decides how a build ends."""
    return fingerprint(*SOURCES)


def model(batch, precision, state):
    """The shipped model, or a variant of it made here and kept; calibrated on its reference, enough for a build."""
    folder = wheels.CACHE / "models" / state / f"batch{batch}"
    if not (folder / "model.json").is_file():
        fp32(batch, folder)
    if precision != "fp32" and not (folder / precision / "model.json").is_file():
        quantize(folder, precision, road_images(state), count=4)
    return folder if precision == "fp32" else folder / precision


def fp32(batch, folder):
    if batch == 1:
        shutil.copytree(ZOO / "demo", folder, ignore=shutil.ignore_patterns("training"))
        return
    pytest.importorskip("torch", reason="needs torch: make setup-models")
    from perception_models.export.export import ExportConfig, export

    # Noise, the default, shows no lanes: one of two points decided there whether fp8 reproduces its reference.
    images = str(road_images(folder.parent.name))
    try:
        export(ZOO / "checkpoints/demo.safetensors", folder, ExportConfig(batch=batch, images=images))
    except PerceptionError as error:
        shutil.rmtree(folder, ignore_errors=True)
        pytest.skip(f"the shipped checkpoint cannot be exported: {error}")


def road_images(state):
    """Folder with the images of the shipped model's reference."""
    folder = wheels.CACHE / "models" / state / "drive"
    folder.mkdir(parents=True, exist_ok=True)
    for index, image in enumerate(read_reference(ZOO / "demo/reference.npz").images):
        cv2.imwrite(str(folder / f"{index}.png"), image)
    return folder


def test_every_variant_is_built_for_every_target(case, rtx, state, request, report):
    batch, precision, target = case
    name, passed = f"{precision}, batch {batch}", wheels.CACHE / "passed" / f"{state}-{batch}-{precision}-{target}"
    if request.config.getoption("--quick") and passed.is_file():
        report(name, target, f"{passed.read_text('utf-8')} (earlier, with the same sources)")
        pytest.skip("built earlier with the same sources")
    built = run_once("build_once.py", model(batch, precision, state), target, batch, packages=rtx)
    if not built["built"]:
        report(name, target, f"refused: {built['reason']}")
        pytest.fail(built["reason"])
    assert built["growing"], "the progress went back"
    assert built["last"] == 1.0
    result = f"built: {built['mib']:.1f} MiB, {built['seconds']:.0f} s, {built['steps']} steps"
    report(name, target, result)
    passed.parent.mkdir(parents=True, exist_ok=True)
    passed.write_text(result, "utf-8")


def test_fp8_for_a_gpu_without_it_is_refused_with_the_right_reason(rtx, state, report):
    built = run_once("build_once.py", model(1, "fp8", state), "SM86", 1, packages=rtx)
    assert not built["built"]
    report("fp8, batch 1", "SM86", "refused, as documented: no fp8 arithmetic")
    assert "this GPU has no fp8 arithmetic" in built["reason"]
    assert "driver" not in built["reason"]


def test_a_planted_operation_that_tensorrt_refuses_is_found(rtx, state, tmp_path):
    shutil.copytree(model(1, "fp16", state), tmp_path / "planted")
    path = tmp_path / "planted/model.onnx"
    graph = onnx.load(path)
    scores = graph.graph.output[1].name
    graph.graph.node.append(helper.make_node("Det", [scores], ["planted"], name="planted"))
    graph.graph.output.append(helper.make_tensor_value_info("planted", onnx.TensorProto.FLOAT, None))
    onnx.save(graph, path)
    settings = tmp_path / "planted/model.json"
    data = json.loads(settings.read_text("utf-8"))
    data["onnx"]["sha256"] = sha256_of(path)
    settings.write_text(json.dumps(data), "utf-8")
    built = run_once("build_once.py", tmp_path / "planted", "SM86", 1, packages=rtx)
    assert not built["built"]
    assert "Det" in built["reason"]
