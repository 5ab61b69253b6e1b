"""Letterboxing on the GPU: same perception as with the CPU's letterbox, nothing allocated per frame."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from fake_tensorrt import install
from tiny_models import tiny_images

from camera_perception.core.errors import EngineError
from camera_perception.core.model_spec import load_spec
from camera_perception.core.types import Frame
from camera_perception.engines import tensorrt
from camera_perception.engines.build.build import build_engine
from camera_perception.engines.reference import check
from camera_perception.engines.select import load_engine
from camera_perception.pipeline import Pipeline


@pytest.fixture(scope="module")
def spec(tiny_model):
    return load_spec(tiny_model)


@pytest.fixture
def built(monkeypatch, tmp_path, spec):
    monkeypatch.setattr("camera_perception.engines.select.TIMED_RUNS", 3)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fake = install(monkeypatch)
    build_engine(spec)
    return fake


def street(size=(720, 1280)):
    """The tiny model's car on its road, as a large camera sees it."""
    return cv2.resize(tiny_images()[1], size[::-1], interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("size", [(720, 1280), (480, 640), (96, 160), (40, 60)])
def test_perception_is_the_same_with_the_letterbox_of_gpu_and_cpu(built, spec, size):
    on_cpu, on_gpu = tensorrt.load(spec), load_engine(spec, "tensorrt", letterbox=True)
    wanted, got = (Pipeline(spec, engine).run(Frame(street(size), 10**9)) for engine in (on_cpu, on_gpu))
    np.testing.assert_allclose(got.objects.boxes, wanted.objects.boxes, atol=0.5)
    np.testing.assert_allclose(got.objects.scores, wanted.objects.scores, atol=0.02)
    assert np.mean(got.drivable.ids != wanted.drivable.ids) < 0.01
    assert "letterbox" in built.cuda.order
    for engine in (on_cpu, on_gpu):
        engine.close()
    assert built.cuda.leaks() == {}
    assert not built.driver.modules


def test_the_source_image_is_uploaded_and_halved_on_the_gpu(built, spec):
    engine = tensorrt.load(spec, letterbox=True)
    slot = engine.acquire()
    slot.load_image(street())
    built.cuda.order.clear()
    engine.submit(slot)
    engine.wait(slot)
    assert built.cuda.order == ["upload", "letterbox", "letterbox", "letterbox", "network", "download"]


def test_nothing_is_allocated_until_the_size_changes(built, spec):
    engine = tensorrt.load(spec, letterbox=True)
    pipeline, image = Pipeline(spec, engine), street()
    pipeline.run(Frame(image, 1))
    pieces = set(built.cuda.allocations)
    for number in range(3):
        pipeline.run(Frame(image, 2 + number))
    assert set(built.cuda.allocations) == pieces
    pipeline.run(Frame(street((360, 640)), 9))
    assert set(built.cuda.allocations) != pieces
    engine.close()
    assert built.cuda.leaks() == {}


def test_images_written_into_the_slot_are_still_used(built, spec):
    engine = tensorrt.load(spec, letterbox=True)
    slot = engine.acquire()
    slot.load_image(street())
    engine.submit(slot)
    engine.release(slot)
    assert [deviation for deviation in check(engine, spec) if not deviation.ok] == []


def test_the_letterbox_works_with_shared_memory(built, spec):
    engine = tensorrt.load(spec, letterbox=True, memory="mapped")
    assert Pipeline(spec, engine).run(Frame(street(), 1)).objects.scores[0] == pytest.approx(0.95, abs=0.02)


def test_the_cpu_letterboxes_when_the_kernel_does_not_compile(built, spec, caplog):
    built.nvrtc.broken = "no such architecture"
    engine = tensorrt.load(spec, letterbox=True)
    assert "so the CPU does: the letterbox kernel does not compile (no such architecture)" in caplog.text
    assert engine.acquire().load_image(street()) is None


def test_the_cpu_letterboxes_without_nvrtc_and_the_log_has_the_install_command(built, spec, caplog):
    built.nvrtc.missing = True
    engine = tensorrt.load(spec, letterbox=True)
    assert "pip install nvidia-cuda-nvrtc" in caplog.text
    assert engine.acquire().load_image(street()) is None


def test_a_failed_kernel_is_explained(built, spec):
    engine = tensorrt.load(spec, letterbox=True)
    built.cuda.fail("cuLaunchKernel", "cudaErrorInvalidValue")
    with pytest.raises(EngineError, match="configure with gpu_letterbox off"):
        Pipeline(spec, engine).run(Frame(street(), 1))
