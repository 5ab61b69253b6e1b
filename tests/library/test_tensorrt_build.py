"""Building engines: what is accepted, what is refused with which message, and that a refusal changes nothing."""

from __future__ import annotations

import fcntl
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import onnx
import pytest
from fake_tensorrt import install
from onnx import TensorProto, helper
from tiny_models import Graph, logits_json, value, write_folder
from typer.testing import CliRunner

from camera_perception.core.errors import EngineError, EngineMissing, ModelError
from camera_perception.core.model_spec import load_spec
from camera_perception.engines import tensorrt
from camera_perception.engines.build.build import build_engine
from camera_perception.engines.build.gates import MAX_POINTS_LOST, check_points_lost
from camera_perception.engines.build.locate_deviation import Probe, describe
from camera_perception.engines.cuda import runtime
from camera_perception.engines.select import load_engine
from camera_perception.engines.tensorrt.manifest import BuildOptions, read_manifest
from camera_perception.tools.cli.app import app


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr("camera_perception.engines.select.TIMED_RUNS", 3)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "camera_perception" / "engines"


@pytest.fixture
def fake(monkeypatch):
    return install(monkeypatch)


@pytest.fixture(scope="module")
def spec(tiny_model):
    return load_spec(tiny_model)


def conv_spec(folder, change=lambda g: None, **kinds):
    """A network with two convolutions by name: images u8 -> mean of features."""
    g = Graph()
    pixels = g("Transpose", g.cast("images", TensorProto.FLOAT), perm=[0, 3, 1, 2])
    rng = np.random.default_rng(0)
    first = g("Conv", pixels, g.constant(rng.normal(size=(4, 3, 3, 3)) / 100), name="stem")
    second = g("Conv", g("Relu", first), g.constant(rng.normal(size=(4, 4, 3, 3))), name="head")
    g("ReduceMean", second, axes=[2, 3], keepdims=0, out="logits")
    change(g)
    model = g.model(
        [value("images", TensorProto.UINT8, kinds.get("shape", [1, 32, 32, 3]))],
        [value("logits", TensorProto.FLOAT, [1, 4])],
    )
    images = np.random.default_rng(1).integers(0, 255, (2, 32, 32, 3), np.uint8)
    return load_spec(write_folder(folder, model, logits_json(), images if kinds.get("reference", True) else None))


def files(folder):
    """Engines, manifests and partly written files; the files of layers have a test of their own."""
    names = [path.name for path in folder.iterdir() if path.suffix in (".engine", ".json", ".part")]
    return sorted(name for name in names if not name.endswith(".layers.json"))


def test_manifest_and_file_names_describe_the_engine(fake, spec, folder):
    built = build_engine(spec)
    manifest = built.manifest
    assert manifest.engine.startswith("tiny-1_fp32_b1_160x96_orin_sm87_trt10.3.0_")
    assert read_manifest(built.path) == manifest
    assert manifest.outputs[0] == ["boxes", [1, 8, 4], "float32"]
    assert manifest.parity["scores"]["share"] == 0.0
    assert manifest.layers == {"Float": len(onnx.load(spec.onnx_path).graph.node)}
    assert (folder / manifest.engine).stat().st_size == manifest.nbytes
    assert files(folder) == [built.path.name, manifest.engine] or files(folder) == [manifest.engine, built.path.name]


def test_a_second_build_returns_the_existing_engine(fake, spec, folder):
    first = build_engine(spec)
    assert build_engine(spec) == replace(first, fresh=False)
    assert build_engine(spec, force=True).fresh
    assert build_engine(spec, BuildOptions(optimization_level=5)).fresh
    assert len(files(folder)) == 4


def test_the_timing_cache_is_reused_and_a_broken_one_replaced(fake, spec, folder):
    build_engine(spec)
    (path,) = folder.glob("timing-*.cache")
    build_engine(spec, force=True)
    assert fake.timing_caches == [b"", b"timing"]
    path.write_bytes(b"broken")
    build_engine(spec, force=True)
    assert fake.timing_caches[2:] == [b"broken", b""]


def test_progress_increases_to_one(fake, spec):
    seen = []
    build_engine(spec, progress=lambda phase, share: seen.append((phase, share)) or True)
    shares = [share for _, share in seen]
    assert shares == sorted(shares)
    assert shares[0] < 0.1
    assert shares[-1] == 1.0
    assert list(dict.fromkeys(phase for phase, _ in seen)) == [
        "Tactic selection", "Building engine", "the engine is built", "comparing with the reference",
        "storing the engine",
    ]  # fmt: skip


def interrupt(phase, share):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    "stop",
    [
        lambda phase, share: share < 0.4,
        lambda phase, share: phase != "comparing with the reference",
        lambda phase, share: phase != "storing the engine",
        interrupt,
    ],
    ids=["while TensorRT builds", "before the check", "at the last moment", "Ctrl-C in the callback"],
)
def test_a_cancelled_build_leaves_no_files(fake, spec, folder, stop):
    with pytest.raises(EngineError, match="cancelled; nothing was changed"):
        build_engine(spec, progress=stop)
    assert files(folder) == []
    assert fake.cuda.leaks() == {}


def test_an_exception_of_the_callback_ends_the_build_and_is_raised(fake, spec, folder):
    """It must not pass through TensorRT, nor be mistaken for a cancellation."""

    def broken(phase, share):
        raise BrokenPipeError("the terminal is gone")

    with pytest.raises(BrokenPipeError, match="terminal is gone"):
        build_engine(spec, progress=broken)
    assert files(folder) == []


def test_progress_is_correct_with_phases_from_several_threads(fake):
    from camera_perception.engines.tensorrt.progress import ProgressMonitor

    shares = []
    monitor = ProgressMonitor(lambda phase, share: shares.append(share) or True)
    monitor.phase_start("Building engine", None, 1)

    def work(name):
        for number in range(300):
            monitor.phase_start(f"{name} {number}", "Building engine", 1)
            monitor.step_complete(f"{name} {number}", 0)
            monitor.phase_finish(f"{name} {number}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, "abcd"))
    assert len(shares) == 1200
    assert shares == sorted(shares)


def test_the_layers_are_in_a_file_that_is_replaced_with_the_engine(fake, spec, folder):
    first = build_engine(spec).manifest
    (path,) = folder.glob("*.layers.json")
    assert path.name == first.engine.replace(".engine", ".layers.json")
    assert len(json.loads(path.read_text())["Layers"]) == sum(first.layers.values())
    fake.tactic = 1
    second = build_engine(spec, force=True).manifest
    assert second.engine != first.engine
    assert [p.name for p in folder.glob("*.layers.json")] == [second.engine.replace(".engine", ".layers.json")]


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"?"), lambda path: path.unlink()])
def test_a_damaged_engine_is_built_again(fake, spec, folder, damage):
    damage(folder / build_engine(spec).manifest.engine)
    with pytest.raises(EngineMissing, match="build one with"):
        tensorrt.load(spec)
    assert build_engine(spec).fresh
    tensorrt.load(spec).close()


def test_a_damaged_engine_is_passed_over_for_an_intact_one(fake, spec, folder, caplog):
    built = [build_engine(spec, BuildOptions(optimization_level=level)).manifest for level in (3, 5)]
    fastest = min(built, key=lambda manifest: manifest.milliseconds)
    (folder / fastest.engine).write_bytes(b"")
    tensorrt.load(spec).close()
    assert "has changed since it was built and checked" in caplog.text


def test_a_broken_manifest_does_not_prevent_a_build(fake, spec, folder):
    built = build_engine(spec)
    built.path.write_text("{")
    assert build_engine(spec).fresh
    tensorrt.load(spec).close()


def test_a_second_builder_of_the_same_engine_is_refused(fake, spec, folder):
    build_engine(spec)
    (lock,) = folder.glob("*.lock")
    with lock.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(EngineError, match="another process is building this engine"):
            build_engine(spec)
    assert not build_engine(spec).fresh


def test_a_folder_that_cannot_be_written_is_explained(fake, spec, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EngineError, match="choose another --out"):
        build_engine(spec, folder=tmp_path / "file" / "engines")


def test_a_full_disk_leaves_the_old_engine_intact(fake, spec, folder, monkeypatch):
    first = build_engine(spec)
    monkeypatch.setattr("os.fsync", lambda number: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(EngineError, match="No space left on device"):
        build_engine(spec, force=True)
    monkeypatch.undo()
    assert files(folder) == sorted([first.path.name, first.manifest.engine])


# The gates


def test_an_engine_with_wrong_outputs_is_not_installed(fake, spec, folder):
    good = build_engine(spec)
    fake.corrupt = "scores"
    with pytest.raises(EngineError, match="does not reproduce the reference.*'scores'.*was not installed"):
        build_engine(spec, force=True)
    assert files(folder) == sorted([good.path.name, good.manifest.engine])
    fake.corrupt = ""
    tensorrt.load(spec).close()


def test_the_gate_names_the_layers_that_went_wrong(fake, tmp_path):
    spec = conv_spec(tmp_path / "conv")
    fake.broken_node = "head"
    with pytest.raises(EngineError, match="go wrong between Relu '.*' and Conv 'head'"):
        build_engine(spec)
    assert fake.cuda.leaks() == {}


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([], None),
        ([1e-6, 2e-5], None),
        ([0.3, 0.3], "at or before Conv '0' (relative error 0 -> 0.3)"),
        ([1e-6, 0.2, 0.3], "between Conv '0' and Conv '1' (relative error 1e-06 -> 0.2)"),
        ([1e-3, float("inf"), float("inf")], "between Conv '0' and Conv '1' (relative error 0.001 -> inf)"),
    ],
)
def test_the_steepest_rise_of_the_error_is_described(errors, expected):
    assert describe([Probe(str(i), f"Conv '{i}'", error) for i, error in enumerate(errors)]) == expected


def test_a_model_without_reference_is_built_with_a_warning(fake, spec, tmp_path, caplog):
    shutil.copytree(spec.folder, tmp_path / "m", ignore=shutil.ignore_patterns("reference.npz"))
    build_engine(load_spec(tmp_path / "m"))
    assert "outputs of the engine are not checked" in caplog.text


def test_the_loss_per_task_is_measured_against_the_onnx_model(fake, spec):
    figures = iter([{"objects": 0.500, "lanes": 0.800}, {"objects": 0.4995, "lanes": 0.801}])
    built = build_engine(spec, measure=lambda spec, engine: next(figures))
    assert built.manifest.accuracy == {"objects": 0.05, "lanes": -0.1}


def test_a_task_that_lost_too_much_is_named(fake, spec, folder):
    figures = iter([{"objects": 0.50, "lanes": 0.80}, {"objects": 0.47, "lanes": 0.8}])
    with pytest.raises(EngineError, match=r"loses more than 0\.1 points in: objects 3\.00\."):
        build_engine(spec, measure=lambda spec, engine: next(figures))
    assert files(folder) == []
    assert MAX_POINTS_LOST == {"fp32": 0.1, "fp16": 0.2, "int8": 1.0, "fp8": 1.0}
    check_points_lost({"objects": 0.9}, replace(spec, precision="int8"), runtime.use_device())
    with pytest.raises(EngineError, match="objects nan"):
        check_points_lost({"objects": float("nan")}, spec, runtime.use_device())


def test_the_accuracy_gate_names_the_layers_too(fake, tmp_path):
    """The reference passes, the labelled images do not: the layers are named here, too."""
    spec = conv_spec(tmp_path / "conv")
    fake.broken_node = "head"
    with pytest.raises(EngineError, match="in: objects 3.00; the outputs go wrong between Relu '.*' and Conv 'head'"):
        check_points_lost({"objects": 3.0}, spec, runtime.use_device())


def test_a_task_that_is_missing_counts_as_lost(fake, spec):
    figures = iter([{"objects": 0.5}, {}])
    with pytest.raises(EngineError, match="objects 50"):
        build_engine(spec, measure=lambda spec, engine: next(figures))


# What TensorRT refuses


def test_parser_errors_are_listed_with_node_and_operator(fake, tmp_path):
    spec = conv_spec(tmp_path / "m")
    model = onnx.load(spec.onnx_path)
    for name in ("a", "b"):
        model.graph.node.append(helper.make_node("Gelu", ["c0"], [f"o{name}"], name=name, domain="com.microsoft"))
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, spec.onnx_path)
    with pytest.raises(EngineError) as caught:
        build_engine(load_spec(spec.folder, check_hash=False))
    text = str(caught.value)
    assert "uses the operation Gelu, which TensorRT does not have" in text
    assert "node 6 Gelu 'a'" in text
    assert "node 7 Gelu 'b'" in text


def test_a_file_that_is_not_onnx_is_refused(fake, tmp_path):
    spec = conv_spec(tmp_path / "m")
    spec.onnx_path.write_bytes(b"no onnx")
    with pytest.raises(ModelError, match="model.onnx .*not an ONNX file"):
        build_engine(load_spec(spec.folder, check_hash=False))


def quantized(zero_point, kind=np.int8):
    def change(g):
        g.nodes.pop()  # what made "logits"
        scale, zero = g.constant(0.1), g.constant(zero_point, kind)
        q = g("QuantizeLinear", g.nodes[-1].output[0], scale, zero)
        g("ReduceMean", g("DequantizeLinear", q, scale, zero), axes=[2, 3], keepdims=0, out="logits")

    return change


def test_int8_scales_with_zero_points_are_refused(fake, tmp_path):
    with pytest.raises(EngineError, match="scales have zero points.*quantise again"):
        build_engine(conv_spec(tmp_path / "m", quantized(5), reference=False))


def test_int8_on_orin_with_10_16_is_refused(monkeypatch, tmp_path):
    install(monkeypatch, "10.16.2")
    with pytest.raises(EngineError, match="known fault of 10.16 on Orin.*use --precision fp16"):
        build_engine(conv_spec(tmp_path / "m", quantized(0), reference=False))


def test_fp8_on_orin_is_refused(fake, tmp_path):
    spec = conv_spec(tmp_path / "m")
    model = onnx.load(spec.onnx_path)
    eight = helper.make_tensor("eight", TensorProto.FLOAT8E4M3FN, [1], [1.0])
    model.graph.initializer.append(eight)
    model.ir_version = 9
    onnx.save(model, spec.onnx_path)
    with pytest.raises(EngineError, match="no fp8 arithmetic.*use --precision fp16"):
        build_engine(load_spec(spec.folder, check_hash=False))


def test_uint8_pixels_without_a_cast_are_refused(fake, tmp_path):
    g = Graph()
    moved = g("Transpose", "images", perm=[0, 3, 1, 2])
    g("ReduceMean", g.cast(moved, TensorProto.FLOAT), axes=[2, 3], keepdims=0, out="logits")
    model = g.model([value("images", TensorProto.UINT8, [1, 32, 32, 3])], [value("logits", TensorProto.FLOAT, [1, 3])])
    with pytest.raises(EngineError, match="first node after the input has to be a Cast"):
        build_engine(load_spec(write_folder(tmp_path / "m", model, logits_json())))


def test_too_little_workspace_is_explained(fake, spec):
    fake.workspace = 64 << 20
    with pytest.raises(EngineError, match="no kernel fits node /stem/conv: give more --workspace"):
        build_engine(spec, BuildOptions(workspace_mib=16))


def test_another_batch_than_the_onnx_files_is_refused(fake, spec):
    with pytest.raises(EngineError, match="export the model with batch=4, or build with --batch 1"):
        build_engine(replace(spec, input=replace(spec.input, batch=4)))


def test_a_dynamic_batch_with_a_fixed_image_size_is_built(fake, tmp_path):
    spec = conv_spec(tmp_path / "m", shape=["batch", 32, 32, 3], reference=False)
    assert build_engine(spec).manifest.inputs == [["images", [1, 32, 32, 3], "uint8"]]


# Variants and the command line


@pytest.fixture
def half(spec, tmp_path):
    """A folder with an fp16 variant in it; the network is the same, only its label differs."""
    shutil.copytree(spec.folder, tmp_path / "model")
    shutil.copytree(spec.folder, tmp_path / "model" / "fp16")
    path = tmp_path / "model" / "fp16" / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "precision": "fp16"}))
    return load_spec(tmp_path / "model")


def build_both(half, monkeypatch, fp32_ms, fp16_ms):
    """Engines of both precisions that took these times when they were built; the manifests, fp32 first."""
    built = []
    for variant, ms in zip(tensorrt.variants(half), (fp32_ms, fp16_ms)):
        with monkeypatch.context() as patch:
            patch.setattr("camera_perception.engines.build.build.median_ms", lambda engine, ms=ms: ms)
            built.append(build_engine(variant).manifest)
    return built


def refuse(monkeypatch, *precisions):
    """The reference check fails for engines of these precisions."""

    def require(engine, spec):
        if spec.precision in precisions:
            raise EngineError(f"{spec.precision} differs from its reference")

    monkeypatch.setattr("camera_perception.engines.select.require", require)


@pytest.mark.parametrize(("fp32_ms", "fp16_ms", "fastest"), [(2.0, 1.0, "fp16"), (1.0, 2.0, "fp32")])
def test_the_fastest_accepted_variant_is_opened(fake, half, monkeypatch, fp32_ms, fp16_ms, fastest):
    _, other = build_both(half, monkeypatch, fp32_ms, fp16_ms)
    assert tensorrt.load(half).info.precision == fastest
    assert load_engine(half).info.precision == fastest
    info = tensorrt.load(half, precision="fp16").info
    assert (info.name, info.device) == ("tensorrt fp16 NVIDIA Orin", "NVIDIA Orin")
    assert (info.backend_version, info.cuda_version) == ("10.3.0", "12")
    assert info.built_at == other.built_at


@pytest.mark.parametrize("backend", ["auto", "tensorrt"])
@pytest.mark.parametrize(("refused", "opened"), [([], "fp16"), (["fp16"], "fp32"), (["fp16", "fp32"], None)])
def test_the_fastest_engine_of_the_gpu_that_passes_is_opened(fake, half, monkeypatch, backend, refused, opened):
    build_both(half, monkeypatch, 2.0, 1.0)
    refuse(monkeypatch, *refused)  # backends of the CPU run fp32
    for _ in range(2):  # the second time from the cached choice
        if opened is None:
            with pytest.raises(EngineError, match="fp16 differs from its reference"):
                load_engine(half, backend, threads=1)
        else:
            info = load_engine(half, backend, threads=1).info
            assert (info.backend, info.precision) == ("tensorrt", opened)


def test_a_missing_variant_is_explained(spec):
    with pytest.raises(ModelError, match="perception-models quantize .* --precision int8"):
        tensorrt.variant(spec, "int8")


def test_the_command_builds_fp16_and_shows_parity(fake, half, folder):
    result = CliRunner().invoke(app, ["build-engine", str(half.folder)])
    assert result.exit_code == 0, result.output
    assert "fp16_b1_160x96" in result.output
    assert "largest difference" in result.output
    again = CliRunner().invoke(app, ["build-engine", str(half.folder), "--precision", "fp16"])
    assert "already built" in again.output


def test_the_command_names_the_wrong_output(fake, half):
    fake.corrupt = "scores"
    result = CliRunner().invoke(app, ["build-engine", str(half.folder)])
    assert result.exit_code == 2
    assert "'scores'" in result.output


@pytest.mark.parametrize("precision", ["auto", "fp32", "fp16"])
def test_the_error_without_an_engine_has_a_command_that_works(fake, half, precision):
    with pytest.raises(EngineError) as caught:
        tensorrt.load(half, precision=precision)
    command = str(caught.value).split("`")[1]
    assert CliRunner().invoke(app, command.split()[1:]).exit_code == 0
    tensorrt.load(half, precision=precision).close()


def test_the_error_for_a_model_without_variants_has_a_command_that_works(fake, spec):
    with pytest.raises(EngineError) as caught:
        tensorrt.load(spec)
    command = str(caught.value).split("`")[1]
    assert CliRunner().invoke(app, command.split()[1:]).exit_code == 0
