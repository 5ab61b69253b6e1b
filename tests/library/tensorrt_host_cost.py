"""What a frame costs the CPU in this project's own TensorRT code: python tests/library/tensorrt_host_cost.py

The stand-in takes the place of TensorRT, CUDA and the network; only time spent in camera_perception/engines counts.
"""

from __future__ import annotations

import cProfile
import os
import pstats
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from fake_tensorrt import install
from tiny_models import tiny_spec

FRAMES = 100


def measure(frames: int = FRAMES) -> dict[str, float]:
    """microseconds and Python calls per frame, and blocks of memory that a frame keeps."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", folder)
        fake = install(patch)
        patch.setattr("camera_perception.engines.cuda.POLL", 0.0)
        from camera_perception.build_engine import build_engine
        from camera_perception.engines.select import load_engine

        spec = tiny_spec(Path(folder) / "model")
        build_engine(spec)
        engine = load_engine(spec, "tensorrt")

        def run(count: int) -> None:
            for _ in range(count):
                slot = engine.acquire()
                engine.submit(slot)
                engine.wait(slot)
                engine.release(slot)
                fake.cuda.order.clear()

        run(10)
        profile = cProfile.Profile()
        profile.runcall(run, frames)
        rows = pstats.Stats(profile).stats  # type: ignore[attr-defined]
        ours = [value for (file, _, _), value in rows.items() if f"camera_perception{os.sep}engines" in file]
        kept = _kept(run, frames)
        engine.close()
    return {
        "microseconds": 1e6 * sum(own for _, _, own, _, _ in ours) / frames,
        "calls": sum(count for _, count, _, _, _ in ours) / frames,
        "blocks kept": kept,
    }


def _kept(run, frames: int) -> float:
    tracemalloc.start()
    run(3)
    ours = [tracemalloc.Filter(True, "*/camera_perception/engines/*")]
    before = tracemalloc.take_snapshot().filter_traces(ours)
    run(frames)
    after = tracemalloc.take_snapshot().filter_traces(ours)
    tracemalloc.stop()
    return max(sum(row.count_diff for row in after.compare_to(before, "filename")), 0) // frames


if __name__ == "__main__":
    for name, value in measure().items():
        print(f"{name:14} {value:8.1f} per frame")
