"""Tests with the real TensorRT on an NVIDIA GPU; one command prints what passed and what was measured.

    pytest tests/vehicle --model MODEL_FOLDER

Everything is skipped where TensorRT or the GPU is missing; nothing is written outside a temporary folder.
"""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

import numpy as np
import pytest

from camera_perception.core.errors import EngineError
from camera_perception.core.model_spec import load_spec
from camera_perception.engines import infer, tensorrt
from camera_perception.engines.reference import check


@pytest.fixture(scope="module")
def spec(request, tmp_path_factory):
    if reason := tensorrt.available():
        pytest.skip(reason)
    folder = request.config.getoption("--model", default=None)
    if folder:
        return load_spec(Path(folder))
    from tiny_models import write_tiny_model

    return load_spec(write_tiny_model(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def built(spec, tmp_path_factory):
    """Every variant of the model, built here: a list of BuiltEngine."""
    from camera_perception.engines.build.build import build_engine

    folder = tmp_path_factory.mktemp("engines")
    return [build_engine(variant, folder=folder) for variant in tensorrt.variants(spec)]


@pytest.fixture(scope="module")
def folder(built):
    return built[0].path.parent


@pytest.fixture(scope="module")
def precisions(spec):
    return [variant.precision for variant in tensorrt.variants(spec)]


def test_the_machine_is_known(spec, record_property):
    from camera_perception.engines.cuda import runtime

    device = runtime.use_device()
    here = tensorrt.machine(device)
    record_property("GPU", f"{here.gpu}, compute capability {here.compute_capability}, CUDA {here.driver_major} driver")
    record_property("TensorRT", here.tensorrt)
    record_property("memory shared with the CPU", device.integrated)
    assert runtime.free_memory()[0] > 0


def test_every_variant_is_built_and_passes_its_gate(built, record_property):
    from camera_perception.tools.cli.build_engine import summary

    for one in built:
        assert one.fresh
        assert sum(one.manifest.layers.values()) > 0, "the inspector lists no layers"
        for line in summary(one).splitlines():
            record_property(one.manifest.key.precision, line)


def test_progress_is_reported_to_the_end(spec, tmp_path):
    from camera_perception.engines.build.build import build_engine
    from camera_perception.engines.tensorrt.manifest import BuildOptions

    shares = []
    build_engine(
        spec, BuildOptions(optimization_level=0), tmp_path, progress=lambda _, share: shares.append(share) or True
    )
    assert len(set(shares)) > 3
    assert shares == sorted(shares)


def test_the_second_build_returns_the_existing_engine(spec, folder):
    from camera_perception.engines.build.build import build_engine

    assert not build_engine(spec, folder=folder).fresh
    assert list(folder.glob("timing-*.cache"))


def test_every_variant_reproduces_its_reference_with_and_without_graphs(spec, folder, precisions):
    for precision in precisions:
        for graph in (True, False):
            for memory in ("copy", "mapped"):
                engine = tensorrt.load(spec, precision=precision, folder=folder, graph=graph, memory=memory)
                assert [str(d) for d in check(engine, engine.spec) if not d.ok] == []
                engine.close()


def test_frames_in_flight_are_not_mixed(spec, folder):
    engine = tensorrt.load(spec, folder=folder, slots=3)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (30, *engine.input.shape), np.uint8)
    wanted = [infer(engine, image) for image in images]
    flying = []
    for image, want in zip(images, wanted):
        if len(flying) == 3:
            finish(engine, *flying.pop(0))
        slot = engine.acquire()
        slot.images[...] = image
        engine.submit(slot)
        flying.append((slot, want))
    for slot, want in flying:
        finish(engine, slot, want)
    engine.close()


def finish(engine, slot, wanted):
    engine.wait(slot)
    for name, array in slot.outputs.items():
        np.testing.assert_array_equal(array, wanted[name])
    engine.release(slot)


def test_the_gpu_letterboxes_as_the_cpu_does(spec, folder):
    import cv2

    from camera_perception.core.types import Frame
    from camera_perception.pipeline import Pipeline

    coarse = np.random.default_rng(0).integers(0, 256, (18, 32, 3), np.uint8)
    frame = Frame(cv2.resize(coarse, (1280, 720), interpolation=cv2.INTER_CUBIC), 1)
    results = []
    for letterbox in (False, True):
        engine = tensorrt.load(spec, folder=folder, letterbox=letterbox)
        results.append(Pipeline(spec, engine).run(frame))
        assert (engine.acquire().load_image(frame.image) is not None) == letterbox
        engine.close()
    assert results[0].tasks == results[1].tasks
    if results[0].drivable:
        assert np.mean(results[0].drivable.ids != results[1].drivable.ids) < 0.02


def test_opening_and_closing_leaves_no_memory_behind(spec, folder):
    from camera_perception.engines.cuda import runtime

    tensorrt.load(spec, folder=folder).close()
    before, _ = runtime.free_memory()
    for _ in range(5):
        tensorrt.load(spec, folder=folder).close()
    after, _ = runtime.free_memory()
    assert before - after < 8 << 20


def test_a_cancelled_build_leaves_no_engine(spec, tmp_path):
    from camera_perception.engines.build.build import build_engine

    with pytest.raises(EngineError, match="cancelled"):
        build_engine(spec, folder=tmp_path, progress=lambda phase, share: False)
    assert not list(tmp_path.glob("*.engine"))


def test_a_damaged_plan_is_explained(spec, folder):
    from camera_perception.engines.cuda import runtime
    from camera_perception.engines.tensorrt.store import manifests

    _, manifest = next(manifests(folder))
    plan = (folder / manifest.engine).read_bytes()
    for broken in (plan[: len(plan) // 2], b"garbage" * 100):
        with pytest.raises(EngineError, match="build"):
            tensorrt.open_plan(broken, spec, runtime.use_device())


def test_times(spec, folder, precisions, record_property):
    """No assertion: times for people."""
    from camera_perception.engines.select import median_ms

    for precision in precisions:
        for memory in ("copy", "mapped"):
            engine = tensorrt.load(spec, precision=precision, folder=folder, memory=memory)
            record_property(
                f"{engine.info.name} {memory}", f"{median_ms(engine):.3f} ms per batch of {engine.input.shape[0]}"
            )
            engine.close()


def test_frames_in_flight_gain_time(spec, folder, record_property):
    """No assertion either: with two slots the copies of one frame run beside the network of the other."""
    for slots in (1, 2, 3):
        engine = tensorrt.load(spec, folder=folder, slots=slots, memory="copy")
        record_property(f"{slots} in flight", f"{milliseconds_per_frame(engine):.3f} ms per frame")
        engine.close()


def milliseconds_per_frame(engine, frames=50):
    flying = []
    started = perf_counter()
    for _ in range(frames):
        if len(flying) == engine.slots:
            engine.release(flying.pop(0))
        flying.append(engine.acquire())
        engine.submit(flying[-1])
    for slot in flying:
        engine.release(slot)
    return 1e3 * (perf_counter() - started) / frames
