"""reference.npz: a few inputs and what the training framework made of them. A backend that disagrees may not run.

Arrays: `images` (n, ...) as the network takes them, `outputs/<tensor name>` (n, ...), and optionally the string
`tolerance.json`: {tensor name: {"atol": 0.01, "rtol": 0, "share": 0}}. Tolerances are those of fp32; lower precisions
widen them.

How far one backend's numbers are from the reference, and how far they may be.

Equal scores may change places, a lane line that is not there has no place, and a map may flip a few cells along an
edge: each kind of head is compared by what its decoder would use.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from camera_perception.core.errors import EngineError, ModelError
from camera_perception.core.model_spec import HeadSpec, ModelSpec
from camera_perception.engines import Engine, infer

# precision: multiples of the fp32 tolerance for (values, share of elements outside).
# bf16 keeps 8 bits of mantissa, fp16 11: a probability is then good to a few per cent after some tens of layers.
LOOSER = {"fp32": (1, 1), "tf32": (3, 1), "fp16": (5, 2), "bf16": (25, 5), "int8": (50, 10), "fp8": (50, 10)}


def loosest(*precisions: str) -> str:
    """The one that allows most: an fp16 model stays an fp16 model on a backend that computes in fp32."""
    return max(precisions, key=lambda precision: LOOSER.get(precision, (1, 1)))


@dataclass(frozen=True, slots=True)
class Tolerance:
    """An element may differ by atol + rtol * max(|reference|, rms of all); a share of them may differ more."""

    atol: float = 0.0
    rtol: float = 0.0
    share: float = 0.0

    def for_precision(self, precision: str) -> Tolerance:
        values, share = LOOSER.get(precision, (1, 1))
        return Tolerance(self.atol * values, self.rtol * values, min(self.share * share, 0.5))


PROBABILITY = Tolerance(atol=0.003, share=0.01)
PIXELS = Tolerance(atol=0.15, rtol=0.0, share=0.01)
CLASS_IDS = Tolerance(share=0.005)
RAW = Tolerance(atol=1e-5, rtol=0.004, share=0.005)  # of a network whose outputs are decoded outside

FINAL = {
    "topk_boxes": {"boxes": PIXELS, "classes": CLASS_IDS},
    "lane_rows": {"x": PIXELS},
}


def default_tolerance(head: HeadSpec, role: str, dtype: np.dtype) -> Tolerance:
    """The fp32 tolerance of one tensor by what it holds."""
    if dtype.kind in "iub":
        return CLASS_IDS
    if head.kind in ("topk_boxes", "lane_rows", "attributes"):
        return FINAL.get(head.kind, {}).get(role, PROBABILITY)
    return RAW


@dataclass(frozen=True, slots=True)
class Deviation:
    """One tensor against its reference.

    worst largest absolute difference (pixels, probability, class ids or raw units)
    share part of the compared elements that differ more than the tolerance allows, 0..1
    """

    tensor: str
    worst: float
    share: float
    tolerance: Tolerance

    @property
    def ok(self) -> bool:
        return self.share <= self.tolerance.share

    def __str__(self) -> str:
        allowed = (
            f"atol {self.tolerance.atol:g}, rtol {self.tolerance.rtol:g}, {self.tolerance.share:.2%} of the elements"
        )
        return f"'{self.tensor}' differs by up to {self.worst:.4g}, {self.share:.2%} outside (allowed: {allowed})"


def compare_head(
    head: HeadSpec,
    actual: Mapping[str, np.ndarray],
    wanted: Mapping[str, np.ndarray],
    tolerances: Mapping[str, Tolerance],
) -> list[Deviation]:
    """Deviations of one head, one per tensor. Mappings are by role; arrays have the images as first axis."""
    if head.kind == "topk_boxes":
        actual, wanted = _matched_rows(head, actual, wanted, tolerances)
    elif head.kind == "lane_rows":
        actual, wanted = _present_lanes(head, actual, wanted)
    return [compare(head.tensors[role], actual[role], wanted[role], tolerances[role]) for role in head.tensors]


def compare(name: str, actual: np.ndarray, wanted: np.ndarray, tolerance: Tolerance) -> Deviation:
    """Element by element. NaN differs from everything but NaN."""
    if not wanted.size:
        return Deviation(name, 0.0, 0.0, tolerance)
    actual, wanted = actual.astype(np.float64), wanted.astype(np.float64)
    with np.errstate(invalid="ignore"):
        error = np.where((actual == wanted) | (np.isnan(actual) & np.isnan(wanted)), 0.0, np.abs(actual - wanted))
        error = np.nan_to_num(error, nan=np.inf)
        finite = wanted[np.isfinite(wanted)]
        rms = np.sqrt(np.mean(finite**2)) if finite.size else 0.0
        allowed = tolerance.atol + tolerance.rtol * np.maximum(np.abs(np.nan_to_num(wanted)), rms)
    return Deviation(name, float(error.max()), float(np.mean(error > allowed)), tolerance)


def _present_lanes(head: HeadSpec, actual: Mapping, wanted: Mapping) -> tuple[dict, dict]:
    """Rows, type and colour only of lines that exist, x only in rows where the line is."""
    exists = wanted["score"] >= head.threshold  # images, L
    rows = exists[..., None] & (wanted["row_score"] >= head.options.get("row_threshold", 0.5))
    masks = {"score": np.ones_like(exists), "x": rows}
    actual, wanted = ({r: side[r][masks.get(r, exists)] for r in head.tensors} for side in (actual, wanted))
    return dict(actual), dict(wanted)


def _matched_rows(head: HeadSpec, actual: Mapping, wanted: Mapping, tolerances: Mapping) -> tuple[dict, dict]:
    """Rows above the threshold in one order, a row without a partner stands against NaN. Scores: all, sorted."""
    pairs = [_pairs(head, _image(actual, i), _image(wanted, i), tolerances) for i in range(len(wanted["scores"]))]
    a, w = ({role: np.concatenate([pair[side][role] for pair in pairs]) for role in head.tensors} for side in (0, 1))
    a["scores"], w["scores"] = np.sort(actual["scores"], -1), np.sort(wanted["scores"], -1)
    return a, w


def _pairs(head: HeadSpec, actual: dict, wanted: dict, tolerances: Mapping) -> tuple[dict, dict]:
    margin = tolerances["scores"].atol
    there = _partners(wanted, actual, head.threshold, margin, tolerances)
    back = _partners(actual, wanted, head.threshold, margin, tolerances)
    rows_wanted = np.array([i for i, _ in there] + [j for _, j in back], int)
    rows_actual = np.array([j for _, j in there] + [i for i, _ in back], int)
    return _take(actual, rows_actual), _take(wanted, rows_wanted)


def _partners(one: dict, other: dict, threshold: float, margin: float, tolerances: Mapping) -> list[tuple[int, int]]:
    """For each row of one that is clearly above the threshold the nearest row of the same class in other, or -1."""
    strong = np.flatnonzero(one["scores"] >= threshold + margin)
    weak = np.flatnonzero(other["scores"] >= threshold - margin)
    return [(int(row), _nearest(one, int(row), other, weak, tolerances)) for row in strong]


def _nearest(one: dict, row: int, other: dict, candidates: np.ndarray, tolerances: Mapping) -> int:
    same = candidates[other["classes"][candidates] == one["classes"][row]]
    if not same.size:
        return -1
    costs = [
        np.abs(other[role][same] - one[role][row]).reshape(len(same), -1).max(-1) / max(tolerances[role].atol, 1e-9)
        for role in one
        if role != "classes"
    ]
    return int(same[np.argmin(np.nan_to_num(np.max(costs, 0), nan=np.inf))])


def _take(arrays: dict, rows: np.ndarray) -> dict:
    taken = {role: array[rows].astype(np.float64) for role, array in arrays.items()}
    for array in taken.values():
        array[rows < 0] = np.nan
    return taken


def _image(arrays: Mapping[str, np.ndarray], index: int) -> dict[str, np.ndarray]:
    return {role: array[index] for role, array in arrays.items()}


PREFIX = "outputs/"


@dataclass(frozen=True)
class Reference:
    """n images and the outputs that belong to them.

    images     (n, ...) in the layout and dtype of the network's input, without batch padding
    outputs    tensor name: (n, ...)
    tolerances tensor name: Tolerance, only where the default does not fit
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
    """ModelError when the file is missing, broken or incomplete."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            tolerances = json.loads(str(archive["tolerance.json"])) if "tolerance.json" in archive else {}
            outputs = {name[len(PREFIX) :]: archive[name] for name in archive.files if name.startswith(PREFIX)}
            return Reference(
                archive["images"], outputs, {name: Tolerance(**values) for name, values in tolerances.items()}
            )
    except FileNotFoundError as error:
        raise ModelError(f"{path} is missing: export the model again, or copy the whole folder") from error
    except (OSError, ValueError, KeyError, TypeError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path} is not a usable reference ({error}): export the model again") from error


def check(engine: Engine, spec: ModelSpec, reference: Reference | None = None) -> list[Deviation]:
    """Run the engine on the reference images: one Deviation per tensor; empty when the model brings no reference.

    ModelError when the reference does not belong to this model, EngineError when the engine fails.
    """
    if reference is None:
        if spec.reference is None:
            return []
        reference = read_reference(spec.reference)
    check_belongs(reference, spec)
    actual = run_all(engine, reference.images)
    precision = loosest(getattr(engine, "precision", "fp32"), spec.precision)
    return [deviation for head in spec.heads for deviation in _check_head(head, actual, reference, precision)]


def require(engine: Engine, spec: ModelSpec, reference: Reference | None = None) -> list[Deviation]:
    """As check, but EngineError names the worst tensor when one is outside its tolerance."""
    deviations = check(engine, spec, reference)
    failed = sorted((deviation for deviation in deviations if not deviation.ok), key=lambda deviation: -deviation.share)
    if failed:
        raise EngineError(
            f"{engine.name} does not reproduce the reference of model '{spec.name}': {failed[0]}"
            f"{f' and {len(failed) - 1} more' if failed[1:] else ''}; use another backend or a higher precision"
        )
    return deviations


def check_belongs(reference: Reference, spec: ModelSpec) -> None:
    """ModelError when images or outputs of the reference are not those of model.json."""
    path = spec.folder / "reference.npz"
    shape, dtype = reference.images.shape[1:], reference.images.dtype
    if shape != spec.input.shape[1:] or dtype != spec.input.dtype:
        raise ModelError(
            f"images of {path} are {dtype} {shape}, model.json says {spec.input.dtype} {spec.input.shape[1:]}: "
            "export the model again"
        )
    for name in (name for head in spec.heads for name in head.tensors.values()):
        if name not in reference.outputs:
            raise ModelError(f"{path} lacks the output '{name}': export the model again")


def run_all(engine: Engine, images: np.ndarray) -> dict[str, np.ndarray]:
    """Outputs for n images, in batches of the engine's size; the last batch is filled up by its last image."""
    batch = engine.input.shape[0]
    parts = []
    for start in range(0, len(images), batch):
        rows = np.minimum(np.arange(start, start + batch), len(images) - 1)
        parts.append(infer(engine, images[rows]))
    return {name: np.concatenate([part[name] for part in parts])[: len(images)] for name in parts[0]}


def _check_head(
    head: HeadSpec, actual: Mapping[str, np.ndarray], reference: Reference, precision: str
) -> list[Deviation]:
    wanted = {role: reference.outputs[name] for role, name in head.tensors.items()}
    got = {role: actual[name] for role, name in head.tensors.items()}
    for role, array in got.items():
        if array.shape != wanted[role].shape:
            raise EngineError(
                f"output '{head.tensors[role]}' has shape {array.shape[1:]}, the reference {wanted[role].shape[1:]}: "
                "export the model again"
            )
    tolerances = {
        role: reference.tolerances.get(name, default_tolerance(head, role, wanted[role].dtype)).for_precision(precision)
        for role, name in head.tensors.items()
    }
    return compare_head(head, got, wanted, tolerances)
