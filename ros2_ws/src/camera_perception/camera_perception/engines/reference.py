"""reference.npz: a few inputs with the outputs of the training framework. A backend that disagrees may not run.

Arrays: `images` (n, ...) as the network takes them, `outputs/<tensor name>` (n, ...), and optionally the string
`tolerance.json`: {tensor name: {"atol": 0.01, "rtol": 0, "share": 0}}. Tolerances are those of fp32; lower precisions
widen them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from camera_perception.core.documents.kind import DocumentKind
from camera_perception.core.documents.npz import read_npz
from camera_perception.core.documents.parsing import Malformed, parse
from camera_perception.core.errors import EngineError, ModelError
from camera_perception.core.model_spec import HeadSpec, ModelSpec
from camera_perception.engines import Engine, infer
from camera_perception.engines.deviation import Deviation, Tolerance, compare_head, default_tolerance, loosest

PREFIX = "outputs/"
MOST_IMAGES = 256
TOLERANCES = DocumentKind(
    "a usable reference",
    "json",
    ("camera_perception.engines", "tolerances.schema.json"),
    ModelError,
    "export the model again",
)


@dataclass(frozen=True)
class Reference:
    """n images and their expected outputs.

    images     (n, ...) in the layout and dtype of the network's input, without batch padding
    outputs    tensor name: (n, ...)
    tolerances tensor name: Tolerance, only where it differs from the default
    """

    images: np.ndarray
    outputs: dict[str, np.ndarray]
    tolerances: dict[str, Tolerance] = field(default_factory=dict)

    def __post_init__(self) -> None:
        counts = {len(array) if array.ndim else -1 for array in (self.images, *self.outputs.values())}
        if len(counts) != 1 or counts <= {0, -1}:
            raise ValueError("expected at least one image and as many rows in every output")


def write_reference(
    path: Path | str,
    images: np.ndarray,
    outputs: Mapping[str, np.ndarray],
    tolerances: Mapping[str, Tolerance] | None = None,
) -> None:
    """Store images and outputs as described above; ValueError when their counts differ."""
    reference = Reference(
        np.asarray(images), {name: np.asarray(array) for name, array in outputs.items()}, dict(tolerances or {})
    )
    arrays = {PREFIX + name: array for name, array in reference.outputs.items()}
    text = json.dumps({name: asdict(tolerance) for name, tolerance in reference.tolerances.items()})
    arrays |= {"images": reference.images, "tolerance.json": np.array(text)}
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


def read_reference(path: Path | str) -> Reference:
    """ModelError when the file is missing, broken, too large or incomplete."""
    try:
        arrays = read_npz(path, lambda name: name in ("images", "tolerance.json") or name.startswith(PREFIX))
        if "images" not in arrays or len(arrays["images"].shape) != 4 or len(arrays["images"]) > MOST_IMAGES:
            raise Malformed(f"it needs the array 'images' with 1 to {MOST_IMAGES} images")
        outputs = {name[len(PREFIX) :]: array for name, array in arrays.items() if name.startswith(PREFIX)}
        return Reference(arrays["images"], outputs, _tolerances(arrays.get("tolerance.json"), path))
    except FileNotFoundError as error:
        raise ModelError(f"{path} is missing: export the model again, or copy the whole folder") from error
    except ValueError as error:  # also of the name of the file
        raise ModelError(f"{path} is not a usable reference ({error}): export the model again") from error


def _tolerances(text: np.ndarray | None, path: Path | str) -> dict[str, Tolerance]:
    """Tensor name -> Tolerance, from the array with their JSON text."""
    if text is None:
        return {}
    values = parse(str(text).encode("utf-8", "replace"), "json")
    TOLERANCES.check(values, path)
    return {name: Tolerance(**each) for name, each in values.items()}


def check(engine: Engine, spec: ModelSpec, reference: Reference | None = None) -> list[Deviation]:
    """Run the engine on the reference images: one Deviation per tensor; empty when the model has no reference.

    ModelError when the reference does not belong to this model, EngineError when the engine fails.
    """
    if reference is None:
        if spec.reference is None:
            return []
        reference = read_reference(spec.reference)
    check_belongs(reference, spec)
    actual = run_all(engine, reference.images)
    precision = loosest(engine.info.precision, spec.precision)
    return [deviation for head in spec.heads for deviation in _check_head(head, actual, reference, precision)]


def require(engine: Engine, spec: ModelSpec, reference: Reference | None = None) -> list[Deviation]:
    """Like check, but EngineError names the worst tensor when one is outside its tolerance."""
    deviations = check(engine, spec, reference)
    failed = sorted((deviation for deviation in deviations if not deviation.ok), key=lambda deviation: -deviation.share)
    if failed:
        raise EngineError(
            f"{engine.info.name} does not reproduce the reference of model '{spec.name}': {failed[0]}"
            f"{f' and {len(failed) - 1} more' if failed[1:] else ''}; use another backend or a higher precision"
        )
    return deviations


def check_belongs(reference: Reference, spec: ModelSpec) -> None:
    """ModelError when the images or outputs of the reference differ from those of model.json."""
    path = spec.folder / "reference.npz"
    shape, dtype = reference.images.shape[1:], reference.images.dtype
    if shape != spec.input.shape[1:] or dtype != spec.input.dtype:
        raise ModelError(
            f"images of {path} are {dtype} {shape}, model.json declares {spec.input.dtype} {spec.input.shape[1:]}: "
            "export the model again"
        )
    for name in (name for head in spec.heads for name in head.tensors.values()):
        if name not in reference.outputs:
            raise ModelError(f"{path} lacks the output '{name}': export the model again")


def run_all(engine: Engine, images: np.ndarray) -> dict[str, np.ndarray]:
    """Outputs for n images, in batches of the engine's size; the last batch is padded with its last image."""
    batch = engine.input.shape[0]
    parts = []
    for start in range(0, len(images), batch):
        rows = np.minimum(np.arange(start, start + batch), len(images) - 1)
        parts.append(infer(engine, images[rows]))
    return {name: np.concatenate([part[name] for part in parts])[: len(images)] for name in parts[0]}


def _check_head(
    head: HeadSpec, actual: Mapping[str, np.ndarray], reference: Reference, precision: str
) -> list[Deviation]:
    expected = {role: reference.outputs[name] for role, name in head.tensors.items()}
    got = {role: actual[name] for role, name in head.tensors.items()}
    for role, array in got.items():
        if array.shape != expected[role].shape:
            raise EngineError(
                f"output '{head.tensors[role]}' has shape {array.shape[1:]}, the reference {expected[role].shape[1:]}: "
                "export the model again"
            )
    tolerances = {
        role: reference.tolerances.get(name, default_tolerance(head, role, expected[role].dtype)).for_precision(
            precision
        )
        for role, name in head.tensors.items()
    }
    return compare_head(head, got, expected, tolerances)
