"""Tests with the real TensorRT on an NVIDIA GPU; one command prints what passed, what was measured, and a verdict.

    pytest tests/vehicle --model MODEL_FOLDER
    pytest tests/vehicle --model MODEL_FOLDER --backend tensorrt_rtx

Every precision of the model is built and judged alone; nothing is written outside a temporary folder.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest

from camera_perception.core.errors import EngineError, PerceptionError
from camera_perception.core.model_spec import load_spec
from camera_perception.engines import infer, tensorrt
from camera_perception.engines.reference import check

FRAMES = 200  # of a time measurement


@pytest.fixture(scope="module")
def backend(request):
    """The package of NVIDIA; everything is skipped without it, or without a GPU."""
    name = request.config.getoption("--backend", default="tensorrt")
    if reason := tensorrt.available(name):
        pytest.skip(reason)
    return name


@pytest.fixture(scope="module")
def spec(backend, request, tmp_path_factory):
    folder = request.config.getoption("--model", default=None)
    if folder:
        return load_spec(Path(folder))
    from tiny_models import write_tiny_model

    return load_spec(write_tiny_model(tmp_path_factory.mktemp("tiny")))


@dataclass
class Builds:
    """Engines built so far; a variant that failed once is skipped after that, with its reason."""

    spec: object
    backend: str
    folder: Path
    made: dict = field(default_factory=dict)
    failed: dict = field(default_factory=dict)

    def __call__(self, precision):
        """The engine of that precision; skips where the model has none, or where its build failed."""
        from camera_perception.engines.build.build import build_engine

        variants = {variant.precision: variant for variant in tensorrt.variants(self.spec)}
        if precision not in variants:
            pytest.skip(f"{self.spec.folder} has no {precision} variant")
        if precision in self.failed:
            pytest.skip(f"{precision} was not built: {self.failed[precision]}")
        if precision not in self.made:
            try:
                self.made[precision] = build_engine(variants[precision], folder=self.folder, package=self.backend)
            except PerceptionError as error:
                self.failed[precision] = str(error)
                raise
        return self.made[precision]

    def any(self):
        """The first engine that can be built, of the precisions of the model."""
        for variant in tensorrt.variants(self.spec):
            if variant.precision in self.made:
                return self.made[variant.precision]
        pytest.skip("no variant was built")


@pytest.fixture(scope="module")
def builds(spec, backend, tmp_path_factory):
    return Builds(spec, backend, tmp_path_factory.mktemp("engines"))


@pytest.fixture
def folder(builds):
    """Of the engines; skips where none was built."""
    return builds.any().path.parent


by_precision = pytest.mark.parametrize("precision", tensorrt.PRECISIONS)


def opened(builds, precision, **options):
    return tensorrt.load(builds.spec, precision=precision, folder=builds.folder, package=builds.backend, **options)


def test_the_machine_is_known(spec, backend, record_property):
    from camera_perception.engines.cuda import runtime
    from camera_perception.engines.tensorrt.package import use

    use(backend)
    device = runtime.use_device()
    here = tensorrt.machine(device)
    record_property("GPU", f"{here.gpu}, compute capability {here.compute_capability}, CUDA {here.driver_major} driver")
    record_property("TensorRT", here.tensorrt)
    record_property("memory shared with the CPU", device.integrated)
    assert runtime.free_memory()[0] > 0


@by_precision
def test_the_variant_is_built_and_passes_its_gate(builds, precision, row, record_property):
    from camera_perception.tools.cli.models.build_engine import summary

    try:
        one = builds(precision)
    except PerceptionError as error:
        row(precision).update(built="no", reason=str(error))
        raise
    row(precision).update(built=f"yes, {one.manifest.build_seconds:.0f} s")
    assert one.fresh
    for line in summary(one).splitlines():
        record_property(one.manifest.key.precision, line)
    assert sum(one.manifest.layers.values()) > 0, "the inspector lists no layers"


@by_precision
def test_the_variant_reproduces_its_reference_with_and_without_graphs(builds, precision, row):
    builds(precision)
    row(precision)["parity"] = "failed"
    worst = 0.0
    for graph in (True, False):
        for memory in ("copy", "mapped"):
            engine = opened(builds, precision, graph=graph, memory=memory)
            deviations = check(engine, engine.spec)
            engine.close()
            assert [str(d) for d in deviations if not d.ok] == []
            worst = max([worst, *(d.share for d in deviations)])
    row(precision)["parity"] = f"passed, {worst:.2%} outside"


@by_precision
def test_times_and_memory(builds, precision, row, record_property):
    """No limit: figures for people."""
    from camera_perception.engines.cuda import runtime

    builds(precision)
    before, _ = runtime.free_memory()
    engine = opened(builds, precision)
    after, _ = runtime.free_memory()
    times = milliseconds(engine, FRAMES)
    engine.close()
    half, most = np.percentile(times, (50, 99))
    row(precision).update({"p50 ms": f"{half:.2f}", "p99 ms": f"{most:.2f}", "MiB on the GPU": (before - after) >> 20})
    record_property(f"{engine.info.name}", f"{half:.3f} ms, 99 % below {most:.3f} ms, batch of {engine.input.shape[0]}")


def milliseconds(engine, frames):
    """Of each of that many frames, after some to warm up."""
    times = []
    for _ in range(frames + 10):
        slot = engine.acquire()
        started = perf_counter()
        engine.submit(slot)
        engine.wait(slot)
        times.append(1e3 * (perf_counter() - started))
        engine.release(slot)
    return times[10:]


def test_progress_is_reported_to_the_end(spec, backend, tmp_path):
    from camera_perception.engines.build.build import build_engine
    from camera_perception.engines.tensorrt.manifest import BuildOptions

    shares = []
    build_engine(
        spec,
        BuildOptions(optimization_level=0),
        tmp_path,
        progress=lambda _, share: shares.append(share) or True,
        package=backend,
    )
    assert len(set(shares)) > 3
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_the_second_build_returns_the_existing_engine(builds, folder):
    from camera_perception.engines.build.build import build_engine

    first = builds.any()
    variant = tensorrt.variant(builds.spec, first.manifest.key.precision)
    assert not build_engine(variant, folder=folder, package=builds.backend).fresh


def test_frames_in_flight_are_not_mixed(spec, backend, folder):
    engine = tensorrt.load(spec, folder=folder, package=backend, slots=3)
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


def test_the_gpu_letterboxes_as_the_cpu_does(spec, backend, folder):
    import cv2

    from camera_perception.core.types import Frame
    from camera_perception.pipeline import Pipeline

    coarse = np.random.default_rng(0).integers(0, 256, (18, 32, 3), np.uint8)
    frame = Frame(cv2.resize(coarse, (1280, 720), interpolation=cv2.INTER_CUBIC), 1)
    results = []
    for letterbox in (False, True):
        engine = tensorrt.load(spec, folder=folder, package=backend, letterbox=letterbox)
        results.append(Pipeline(spec, engine).run(frame))
        assert (engine.acquire().load_image(frame.image) is not None) == letterbox
        engine.close()
    assert results[0].tasks == results[1].tasks
    if results[0].drivable:
        assert np.mean(results[0].drivable.ids != results[1].drivable.ids) < 0.02


def test_opening_and_closing_leaves_no_memory_behind(spec, backend, folder):
    from camera_perception.engines.cuda import runtime

    tensorrt.load(spec, folder=folder, package=backend).close()
    before, _ = runtime.free_memory()
    for _ in range(5):
        tensorrt.load(spec, folder=folder, package=backend).close()
    after, _ = runtime.free_memory()
    assert before - after < 8 << 20


def test_a_cancelled_build_leaves_no_engine(spec, backend, tmp_path):
    from camera_perception.engines.build.build import build_engine

    with pytest.raises(EngineError, match="cancelled"):
        build_engine(spec, folder=tmp_path, progress=lambda phase, share: False, package=backend)
    assert not list(tmp_path.glob("*.engine"))


def test_a_damaged_plan_is_explained(spec, backend, folder):
    from camera_perception.engines.cuda import runtime
    from camera_perception.engines.tensorrt.store import manifests

    _, manifest = next(manifests(folder))
    plan = (folder / manifest.engine).read_bytes()
    for broken in (plan[: len(plan) // 2], b"garbage" * 100):
        with pytest.raises(EngineError, match="build"):
            tensorrt.open_plan(broken, spec, runtime.use_device())


def test_frames_in_flight_gain_time(spec, backend, folder, record_property):
    """No assertion either: with two slots the copies of one frame run beside the network of the other."""
    for slots in (1, 2, 3):
        engine = tensorrt.load(spec, folder=folder, package=backend, slots=slots, memory="copy")
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
