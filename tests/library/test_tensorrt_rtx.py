"""TensorRT for RTX: the same code and the same gates; a process decides for one of the two packages."""

from __future__ import annotations

import pytest
from fake_cuda import FakeCuda
from fake_tensorrt import RTX, install
from tiny_models import tiny_images
from typer.testing import CliRunner

from camera_perception.core.errors import EngineError, EngineMissing
from camera_perception.core.model_spec import load_spec
from camera_perception.engines import backend_module, infer, tensorrt
from camera_perception.engines.build.build import build_engine
from camera_perception.engines.select import candidates, load_engine
from camera_perception.engines.tensorrt.store import header_hint
from camera_perception.tools.cli.app import app


@pytest.fixture
def fake(monkeypatch, tmp_path):
    monkeypatch.setattr("camera_perception.engines.select.TIMED_RUNS", 1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cuda = FakeCuda()
    cuda.gpu, cuda.capability = "NVIDIA GeForce RTX 4070", (8, 9)
    return install(monkeypatch, "1.7.1", cuda, flavour=RTX)


@pytest.fixture(scope="module")
def spec(tiny_model):
    return load_spec(tiny_model)


def test_an_engine_is_built_for_the_gpu_at_hand_and_passes_the_same_gates(fake, spec):
    built = build_engine(spec, package=RTX)
    config = fake.configs[0]
    assert {index: target.name for index, target in config.targets.items()} == {0: "CURRENT"}
    assert built.manifest.key.machine.tensorrt == "rtx-1.7.1"
    assert "trtrtx-1.7.1" in built.path.name
    engine = load_engine(spec, RTX)
    assert (engine.info.backend, engine.info.name) == (RTX, "tensorrt_rtx fp32 NVIDIA GeForce RTX 4070")
    assert len(infer(engine, tiny_images()[:1])["boxes"]) == 1
    engine.close()
    assert fake.cuda.leaks() == {}


def test_a_wrong_engine_is_refused(fake, spec):
    fake.corrupt = "scores"
    with pytest.raises(EngineError, match="does not reproduce the reference"):
        build_engine(spec, package=RTX)


def test_the_command_names_the_package_and_builds(fake, spec):
    with pytest.raises(EngineMissing, match=f"build-engine {spec.folder} --backend tensorrt_rtx"):
        load_engine(spec, RTX)
    result = CliRunner().invoke(app, ["build-engine", str(spec.folder)])  # auto: only RTX is installed
    assert result.exit_code == 0, result.output
    assert "built: " in result.output
    refused = CliRunner().invoke(app, ["build-engine", str(spec.folder), "--backend", "trt"])
    assert "expected auto, tensorrt or tensorrt_rtx" in refused.output


def test_auto_finds_it(fake, spec):
    assert [c.backend for c in candidates(spec)][0] == RTX
    build_engine(spec, package=RTX)
    assert load_engine(spec).info.backend == RTX


def test_a_process_uses_one_of_the_packages(fake, spec, monkeypatch):
    build_engine(spec, package=RTX)
    monkeypatch.setattr(tensorrt, "available", lambda package="tensorrt": None)
    with pytest.raises(EngineError, match="already runs engines of tensorrt_rtx, and cannot load tensorrt beside it"):
        tensorrt.load(spec)


def test_without_the_package_the_reason_has_the_install_command(spec):
    reason = backend_module(RTX).available()
    if reason is None:
        pytest.skip("tensorrt_rtx is installed here")
    assert "pip install tensorrt-rtx-cu1" in reason


def test_its_files_are_known_by_their_magic():
    header = b"vtrt" + bytes(20) + bytes([1, 7, 1, 116])
    assert header_hint(header, "rtx-1.7.1.116") == ""
    assert header_hint(header, "rtx-1.8.0.1") == ", written by TensorRT 1.7.1"
