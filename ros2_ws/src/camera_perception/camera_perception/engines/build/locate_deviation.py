"""Location of the layers where an engine's outputs depart from those of ONNX Runtime. Used after a failed check."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from camera_perception.core.errors import PerceptionError
from camera_perception.core.model_spec import ModelSpec
from camera_perception.engines.cuda import runtime
from camera_perception.engines.reference import read_reference

if TYPE_CHECKING:
    import onnx

MAX_PROBES = 12  # tensors inside the network that are compared
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Probe:
    """A tensor inside the network and its error, relative to ONNX Runtime.

    node   operator and name of the node that writes the tensor
    error  as relative_rms
    """

    tensor: str
    node: str
    error: float


def worst_region(spec: ModelSpec, device: runtime.Device) -> str | None:
    """A clause with the layers between which the error rises most; None where it cannot be found."""
    try:
        import onnx
    except ImportError:
        return None
    if spec.reference is None:
        return None
    try:
        model = onnx.load(spec.onnx_path)
        nodes = add_probes(model)
        probes = run_probes(spec, model.SerializeToString(), nodes, read_reference(spec.reference).images, device)
    except (PerceptionError, ValueError, RuntimeError) as error:
        log.info("the layers that went wrong were not found: %s", error)
        return None
    return describe(probes)


def add_probes(model: onnx.ModelProto, limit: int = MAX_PROBES) -> dict[str, str]:
    """Make float tensors, evenly spread over the graph, into outputs. Returns tensor: node, in graph order."""
    import onnx

    outputs = {output.name for output in model.graph.output}
    inferred = onnx.shape_inference.infer_shapes(model).graph.value_info
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    values = {v.name: v for v in inferred if v.type.tensor_type.elem_type in floats and v.name not in outputs}
    found = [(node, name) for node in model.graph.node for name in node.output if name in values]
    chosen = [found[i] for i in np.unique(np.linspace(0, len(found) - 1, min(limit, len(found))).astype(int))]
    model.graph.output.extend(values[name] for _, name in chosen)
    return {name: f"{node.op_type} '{node.name or name}'" for node, name in chosen}


def run_probes(
    spec: ModelSpec, graph: bytes, nodes: dict[str, str], images: np.ndarray, device: runtime.Device
) -> list[Probe]:
    """Run the probed graph in ONNX Runtime and TensorRT, on the first reference image."""
    import onnxruntime

    from camera_perception.engines.tensorrt.builder import build_plan
    from camera_perception.engines.tensorrt.engine import TensorRtEngine
    from camera_perception.engines.tensorrt.manifest import BuildOptions

    batch = np.repeat(images[:1], spec.input.batch, 0)
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    expected = dict(zip(nodes, session.run(list(nodes), {spec.input.name: batch})))
    plan = build_plan(spec, BuildOptions(optimization_level=1), lambda phase, fraction: True, onnx=graph)
    engine = TensorRtEngine(plan.data, spec, device, graph=False)
    try:
        slot = engine.acquire()
        slot.images[...] = batch
        engine.submit(slot)
        engine.wait(slot)
        arrays = slot.output_block.arrays
        return [Probe(name, node, relative_rms(arrays[name], expected[name])) for name, node in nodes.items()]
    finally:
        engine.close()


def relative_rms(actual: Any, expected: Any) -> float:
    """rms of the difference over rms of the expected values; infinite where it is not finite."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    scale = np.sqrt(np.mean(expected**2)) or 1.0
    error = float(np.sqrt(np.mean((actual - expected) ** 2)) / scale)
    return error if np.isfinite(error) else float("inf")


def describe(probes: list[Probe]) -> str | None:
    """A clause with the steepest rise from one probe to the next; None when all errors are small."""
    if not probes or max(probe.error for probe in probes) < 1e-3:
        return None
    before = [0.0, *(probe.error for probe in probes[:-1])]
    rises = [np.inf if np.isinf(p.error) else p.error / max(b, 1e-4) for p, b in zip(probes, before)]
    at = int(np.argmax(rises))
    start = f"between {probes[at - 1].node} and {probes[at].node}" if at else f"at or before {probes[0].node}"
    return f"{start} (relative error {before[at]:.2g} -> {probes[at].error:.2g})"
