"""Where in a network do an engine's numbers leave those of ONNX Runtime? Asked only after a failed check."""

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

PROBES = 12  # tensors inside the network that are compared
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Probe:
    """A tensor inside the network and how far it is off: rms of the difference over rms of the truth."""

    tensor: str
    node: str
    error: float


def worst_region(spec: ModelSpec, device: runtime.Device) -> str | None:
    """In words, between which layers the error rises most; None when onnx or a second build is not to be had."""
    try:
        import onnx
    except ImportError:
        return None
    if spec.reference is None:
        return None
    try:
        model = onnx.load(spec.onnx_path)
        nodes = add_probes(model)
        probes = compare(spec, model.SerializeToString(), nodes, read_reference(spec.reference).images, device)
    except (PerceptionError, ValueError, RuntimeError) as error:
        log.info("the place of the error was not found: %s", error)
        return None
    return describe(probes)


def add_probes(model: onnx.ModelProto, most: int = PROBES) -> dict[str, str]:
    """Make float tensors evenly spread over the graph into outputs; tensor: what its node is called, in graph order."""
    import onnx

    present = {output.name for output in model.graph.output}
    inferred = onnx.shape_inference.infer_shapes(model).graph.value_info
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    values = {v.name: v for v in inferred if v.type.tensor_type.elem_type in floats and v.name not in present}
    found = [(node, name) for node in model.graph.node for name in node.output if name in values]
    chosen = [found[i] for i in np.unique(np.linspace(0, len(found) - 1, min(most, len(found))).astype(int))]
    model.graph.output.extend(values[name] for _, name in chosen)
    return {name: f"{node.op_type} '{node.name or name}'" for node, name in chosen}


def compare(
    spec: ModelSpec, graph: bytes, nodes: dict[str, str], images: np.ndarray, device: runtime.Device
) -> list[Probe]:
    """Run the probed graph in both, on the first reference image."""
    import onnxruntime

    from camera_perception.engines.tensorrt.builder import build_plan
    from camera_perception.engines.tensorrt.engine import TensorRtEngine
    from camera_perception.engines.tensorrt.store import BuildOptions

    batch = np.repeat(images[:1], spec.input.batch, 0)
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    wanted = dict(zip(nodes, session.run(list(nodes), {spec.input.name: batch})))
    plan = build_plan(spec, BuildOptions(optimization_level=1), lambda phase, share: True, onnx=graph)
    engine = TensorRtEngine(plan.data, spec, device, graph=False)
    try:
        slot = engine.acquire()
        slot.images[...] = batch
        engine.submit(slot)
        engine.wait(slot)
        return [Probe(name, node, distance(slot.given.arrays[name], wanted[name])) for name, node in nodes.items()]
    finally:
        engine.close()


def distance(got: Any, wanted: Any) -> float:
    """rms of the difference over rms of what is right; infinite where one is not finite."""
    got, wanted = np.asarray(got, np.float64), np.asarray(wanted, np.float64)
    scale = np.sqrt(np.mean(wanted**2)) or 1.0
    error = float(np.sqrt(np.mean((got - wanted) ** 2)) / scale)
    return error if np.isfinite(error) else float("inf")


def describe(probes: list[Probe]) -> str | None:
    """The steepest rise from one probe to the next; None when all are close."""
    if not probes or max(probe.error for probe in probes) < 1e-3:
        return None
    before = [0.0, *(probe.error for probe in probes[:-1])]
    rises = [np.inf if np.isinf(p.error) else p.error / max(b, 1e-4) for p, b in zip(probes, before)]
    at = int(np.argmax(rises))
    start = f"between {probes[at - 1].node} and {probes[at].node}" if at else f"at or before {probes[0].node}"
    return f"{start} (relative error {before[at]:.2g} -> {probes[at].error:.2g})"
