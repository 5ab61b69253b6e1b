"""How much faster one network runs than another, as the vehicle runs them: exported, ONNX Runtime, one thread."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from perception_models.export.export import deployable, write_onnx
from perception_models.network import PerceptionNet
from perception_models.network.export_graph import ExportGraph


def seconds(nets: list[PerceptionNet], size: tuple[int, int], rounds: int = 20) -> list[float]:
    """Median seconds per image of (height, width) for each network; they take turns, so that a busy machine is fair."""
    runs = [_run(net, size) for net in nets]
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(rounds):
        for run, found in zip(runs, times):
            start = time.thread_time()
            run()
            found.append(time.thread_time() - start)
    return [statistics.median(found) for found in times]


def _run(net: PerceptionNet, size: tuple[int, int]) -> Callable[[], object]:
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        write_onnx(ExportGraph(deployable(net), size).eval(), path, 18)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(path.read_bytes(), options, ["CPUExecutionProvider"])
    images = np.random.default_rng(0).integers(0, 256, (1, *size, 3), np.uint8)
    session.run(None, {"images": images})
    return lambda: session.run(None, {"images": images})
