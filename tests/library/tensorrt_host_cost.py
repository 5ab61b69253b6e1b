"""CPU cost of a frame in this project's own TensorRT code: python tests/library/tensorrt_host_cost.py [--json]

TensorRT, CUDA and the network are fakes; only the code in camera_perception/engines is measured.
"""

from __future__ import annotations

import cProfile
import json
import os
import pstats
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_tensorrt import FakeTensorRt, install
from tiny_models import tiny_spec

FRAMES = 30
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "copies": {},
    "shared memory": {"memory": "mapped"},
    "without CUDA graph": {"graph": False},
    "letterbox of 1280x720 on the GPU": {"letterbox": True},
}
ALLOCATIONS = ("cudaMalloc", "cudaHostAlloc")
OURS = f"camera_perception{os.sep}engines"


def measure(frames: int = FRAMES) -> dict[str, dict[str, float]]:
    """Configuration: cost per frame. Microseconds are measured under a profiler, which about doubles them."""
    with tempfile.TemporaryDirectory() as folder, built_model(Path(folder)) as (fake, spec):
        from camera_perception.engines import tensorrt

        found = {}
        for name, options in CONFIGURATIONS.items():
            engine = tensorrt.load(spec, **options)
            found[name] = cost(runner(engine, fake), fake, frames)
            engine.close()
    return found


@contextmanager
def built_model(folder: Path) -> Iterator[tuple[FakeTensorRt, Any]]:
    """The fake of TensorRT, and a model whose engine is built."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        fake = install(patch)
        patch.setattr("camera_perception.engines.cuda.runtime.POLL_INTERVAL", 0.0)
        from camera_perception.engines.build.build import build_engine

        spec = tiny_spec(folder / "model")
        build_engine(spec)
        yield fake, spec


def runner(engine: Any, fake: FakeTensorRt) -> Callable[[int], None]:
    """A function that runs the given number of frames."""
    image = np.full((720, 1280, 3), 90, np.uint8)

    def run(count: int) -> None:
        for _ in range(count):
            slot = engine.acquire()
            slot.load_image(image)
            engine.submit(slot)
            engine.wait(slot)
            engine.release(slot)
            fake.cuda.order.clear()

    return run


def cost(run: Callable[[int], None], fake: FakeTensorRt, frames: int) -> dict[str, float]:
    run(10)
    fake.cuda.calls.clear()
    profile = cProfile.Profile(time.thread_time)  # CPU time: the machine may be busy
    profile.runcall(run, frames)
    rows = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    ours = [value for (file, _, _), value in rows.items() if OURS in file]
    calls = dict(fake.cuda.calls)
    return {
        "microseconds": 1e6 * sum(own for _, _, own, _, _ in ours) / frames,
        "python_calls": sum(count for _, count, _, _, _ in ours) / frames,
        "cuda_calls": sum(calls.values()) / frames,
        "cuda_allocations": sum(calls.get(name, 0) for name in ALLOCATIONS) / frames,
        "objects_kept": _kept(run, frames),
    }


def _kept(run: Callable[[int], None], frames: int) -> float:
    """Python objects that a frame leaves allocated."""
    tracemalloc.start()
    run(3)
    ours = [tracemalloc.Filter(True, "*/camera_perception/engines/*")]
    before = tracemalloc.take_snapshot().filter_traces(ours)
    run(frames)
    after = tracemalloc.take_snapshot().filter_traces(ours)
    tracemalloc.stop()
    return max(sum(row.count_diff for row in after.compare_to(before, "filename")), 0) // frames


def main() -> None:
    found = measure()
    if "--json" in sys.argv:
        print(json.dumps(found))
        return
    for configuration, values in found.items():
        print(configuration, *(f"  {name:18} {value:8.1f} per frame" for name, value in values.items()), sep="\n")


if __name__ == "__main__":
    main()
