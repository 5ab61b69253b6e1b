"""Deviation of one backend's outputs from the reference, and how much is allowed.

Equal scores may change places, an absent lane line has no position, and a map may flip a few cells along an edge:
each type of head is compared by what its decoder would use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from camera_perception.core.model_spec import HeadSpec

Arrays = Mapping[str, np.ndarray]  # role in the head: array

# precision: multiples of the fp32 tolerance for (values, fraction of outliers).
# bf16 keeps 8 bits of mantissa, fp16 11: after some tens of layers a probability is accurate to a few per cent.
# int8 and fp8 are compared with a reference that was quantised alike: only values at the border of two steps differ;
# steps of fp8 are wider (3 bits of mantissa): 12 % of the shipped model's lane points are beyond 10 times fp32's.
PRECISION_FACTORS = {"fp32": (1, 1), "tf32": (3, 1), "fp16": (5, 2), "bf16": (25, 5), "int8": (10, 10), "fp8": (20, 15)}


def loosest(*precisions: str) -> str:
    """The precision with the widest tolerance: an fp16 model stays one on a backend that computes in fp32."""
    return max(precisions, key=lambda precision: PRECISION_FACTORS.get(precision, (1, 1)))


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Allowed difference of an element: atol + rtol * max(|reference|, rms of the tensor).

    share  fraction of the elements that may differ more
    """

    atol: float = 0.0
    rtol: float = 0.0
    share: float = 0.0

    def for_precision(self, precision: str) -> Tolerance:
        values, outliers = PRECISION_FACTORS.get(precision, (1, 1))
        return Tolerance(self.atol * values, self.rtol * values, min(self.share * outliers, 0.5))


PROBABILITY = Tolerance(atol=0.003, share=0.01)
PIXELS = Tolerance(atol=0.15, rtol=0.0, share=0.01)
CLASS_IDS = Tolerance(share=0.005)
RAW = Tolerance(atol=1e-5, rtol=0.004, share=0.005)  # outputs of a network that are decoded outside of it

BY_ROLE = {
    "topk_boxes": {"boxes": PIXELS, "classes": CLASS_IDS},
    "lane_rows": {"x": PIXELS},
}


def default_tolerance(head: HeadSpec, role: str, dtype: np.dtype) -> Tolerance:
    """The fp32 tolerance of one tensor, by its contents."""
    if dtype.kind in "iub":
        return CLASS_IDS
    if head.kind in ("topk_boxes", "lane_rows", "attributes"):
        return BY_ROLE.get(head.kind, {}).get(role, PROBABILITY)
    return RAW


@dataclass(frozen=True, slots=True)
class Deviation:
    """One tensor compared with its reference.

    worst largest absolute difference (pixels, probability, class ids or raw units)
    share fraction of the compared elements that differ by more than the tolerance, 0..1
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
    actual: Arrays,
    expected: Arrays,
    tolerances: Mapping[str, Tolerance],
) -> list[Deviation]:
    """Deviations of one head, one per tensor. The first axis of all arrays is the image."""
    if head.kind == "topk_boxes":
        actual, expected = _matched_rows(head, actual, expected, tolerances)
    elif head.kind == "lane_rows":
        actual, expected = _existing_lanes(head, actual, expected)
    return [compare(head.tensors[role], actual[role], expected[role], tolerances[role]) for role in head.tensors]


def compare(name: str, actual: np.ndarray, expected: np.ndarray, tolerance: Tolerance) -> Deviation:
    """Compare element by element. NaN equals only NaN."""
    if not expected.size:
        return Deviation(name, 0.0, 0.0, tolerance)
    actual, expected = actual.astype(np.float64), expected.astype(np.float64)
    with np.errstate(invalid="ignore"):
        error = np.where((actual == expected) | (np.isnan(actual) & np.isnan(expected)), 0.0, np.abs(actual - expected))
        error = np.nan_to_num(error, nan=np.inf)
        finite = expected[np.isfinite(expected)]
        rms = np.sqrt(np.mean(finite**2)) if finite.size else 0.0
        allowed = tolerance.atol + tolerance.rtol * np.maximum(np.abs(np.nan_to_num(expected)), rms)
    return Deviation(name, float(error.max()), float(np.mean(error > allowed)), tolerance)


def _existing_lanes(head: HeadSpec, actual: Arrays, expected: Arrays) -> tuple[Arrays, Arrays]:
    """Rows, type and colour only of lines that exist; x only in rows that the line crosses."""
    exists = expected["score"] >= head.threshold  # images, L
    rows = exists[..., None] & (expected["row_score"] >= head.options.get("row_threshold", 0.5))
    masks = {"score": np.ones_like(exists), "x": rows}
    actual, expected = ({r: side[r][masks.get(r, exists)] for r in head.tensors} for side in (actual, expected))
    return actual, expected


def _matched_rows(
    head: HeadSpec, actual: Arrays, expected: Arrays, tolerances: Mapping[str, Tolerance]
) -> tuple[Arrays, Arrays]:
    """Rows above the threshold in matching order; an unmatched row is compared with NaN. Scores: all, sorted."""
    pairs = [_pairs(head, _image(actual, i), _image(expected, i), tolerances) for i in range(len(expected["scores"]))]
    a, w = ({role: np.concatenate([pair[side][role] for pair in pairs]) for role in head.tensors} for side in (0, 1))
    a["scores"], w["scores"] = np.sort(actual["scores"], -1), np.sort(expected["scores"], -1)
    return a, w


def _pairs(
    head: HeadSpec, actual: Arrays, expected: Arrays, tolerances: Mapping[str, Tolerance]
) -> tuple[Arrays, Arrays]:
    """The rows of one image that are above the threshold on either side, each beside its nearest counterpart."""
    margin = tolerances["scores"].atol
    forward = _partners(expected, actual, head.threshold, margin, tolerances)
    backward = _partners(actual, expected, head.threshold, margin, tolerances)
    rows_expected = np.array([i for i, _ in forward] + [j for _, j in backward], int)
    rows_actual = np.array([j for _, j in forward] + [i for i, _ in backward], int)
    return _rows(actual, rows_actual), _rows(expected, rows_expected)


def _partners(
    one: Arrays, other: Arrays, threshold: float, margin: float, tolerances: Mapping[str, Tolerance]
) -> list[tuple[int, int]]:
    """For each row of one clearly above the threshold: the nearest row of the same class in other, or -1."""
    strong = np.flatnonzero(one["scores"] >= threshold + margin)
    weak = np.flatnonzero(other["scores"] >= threshold - margin)
    return [(int(row), _nearest(one, int(row), other, weak, tolerances)) for row in strong]


def _nearest(one: Arrays, row: int, other: Arrays, candidates: np.ndarray, tolerances: Mapping[str, Tolerance]) -> int:
    same = candidates[other["classes"][candidates] == one["classes"][row]]
    if not same.size:
        return -1
    costs = [
        np.abs(other[role][same] - one[role][row]).reshape(len(same), -1).max(-1) / max(tolerances[role].atol, 1e-9)
        for role in one
        if role != "classes"
    ]
    return int(same[np.argmin(np.nan_to_num(np.max(costs, 0), nan=np.inf))])


def _rows(arrays: Arrays, rows: np.ndarray) -> Arrays:
    """Rows by index, as float64; NaN for index -1."""
    taken = {role: array[rows].astype(np.float64) for role, array in arrays.items()}
    for array in taken.values():
        array[rows < 0] = np.nan
    return taken


def _image(arrays: Arrays, index: int) -> Arrays:
    return {role: array[index] for role, array in arrays.items()}
