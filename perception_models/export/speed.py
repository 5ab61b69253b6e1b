"""Inference time of exported networks in ONNX Runtime on one CPU thread, for comparing networks."""

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
    """Median CPU seconds per image of (height, width) for each network; interleaved, so that load affects all alike."""
    runs = [_run(net, size) for net in nets]
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(rounds):
        for run, measured in zip(runs, times):
            start = time.thread_time()
            run()
            measured.append(time.thread_time() - start)
    return [statistics.median(measured) for measured in times]


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
