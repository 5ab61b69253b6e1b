"""Fused objects for `cdr.serialize`: as bytes at once, or as fields where nothing is compiled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from camera_perception import core
from camera_perception.fusion.types import AGE, ID, METHOD, SCORE, WIDTH, FusedObjects
from camera_perception.io.cdr import Packed

NAN = float("nan")
MOST_BYTES = 256  # of an object, its name and its cameras not counted


def packed(fused: FusedObjects, class_ids: Mapping[str, int]) -> Sequence[Mapping[str, Any]] | Packed:
    """One FusedObject per object, in the same order; class_ids maps class names to indices in the model's head."""
    compiled = core.kernels is not None and len(fused) > 0
    return PackedFused(fused, class_ids) if compiled else fused_fields(fused, class_ids)


@dataclass(frozen=True)
class PackedFused(Packed):
    """The bytes of what `fused_fields` returns."""

    fused: FusedObjects
    class_ids: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.fused)

    def write(self, body: bytearray) -> None:
        fused, names = self.fused, tuple([name.encode() for name in self.fused.classes])
        ids = np.array([self.class_ids.get(name, 0) for name in fused.classes], np.int64)
        most = MOST_BYTES + max(map(len, names), default=0) + 5 * fused.counts.shape[1]
        room = np.empty(len(fused) * most, np.uint8)
        end = core.kernels.pack_fused(fused.numbers, fused.counts, ids, room, len(body) & 7, names)
        body += room[:end].tobytes()


def fused_fields(fused: FusedObjects, class_ids: Mapping[str, int]) -> list[dict[str, Any]]:
    """The fields of one FusedObject per object, in the same order; class_ids as in `packed`."""
    moving = fused.moving
    columns = (
        fused.names,
        fused.numbers[:, SCORE].tolist(),
        (fused.counts[:, ID] & 0xFFFFFFFF).tolist(),
        np.minimum(fused.counts[:, AGE], 0xFFFF).tolist(),
        fused.coasted.tolist(),
        fused.counts[:, METHOD].tolist(),
        fused.positions.tolist(),
        fused.position_covs.astype(np.float32).reshape(-1, 4),
        fused.numbers[:, WIDTH].tolist(),
        moving.tolist(),
        fused.velocities.tolist(),
        (moving & fused.over_ground).tolist(),
        fused.velocity_covs.astype(np.float32).reshape(-1, 4),
        fused.rows.tolist(),
        fused.camera_ids.tolist(),
    )
    return [_fused_fields(class_ids, *row) for row in zip(*columns)]


def _fused_fields(
    class_ids: Mapping[str, int],
    name: str,
    score: float,
    track_id: int,
    age: int,
    coasted: bool,
    method: int,
    at: list[float],
    position_cov: np.ndarray,
    width: float,
    moving: bool,
    velocity: list[float],
    over_ground: bool,
    velocity_cov: np.ndarray,
    rows: list[int],
    ids: list[int],
) -> dict[str, Any]:
    """rows: of each camera, -1 without."""
    cameras = [camera for camera, row in enumerate(rows) if row >= 0]
    return {
        "class_id": class_ids.get(name, 0),
        "class_name": name,
        "score": score,
        "track_id": track_id,
        "track_age": age,
        "coasted": coasted,
        "position_method": method,
        "position": {"x": at[0], "y": at[1]},
        "position_cov": position_cov,
        "ground_width": width,
        "has_velocity": moving,
        "velocity": {"x": velocity[0], "y": velocity[1], "z": 0.0 if moving else NAN},
        "velocity_over_ground": over_ground,
        "velocity_cov": velocity_cov,
        "cameras": cameras,
        "camera_track_ids": [ids[camera] for camera in cameras],
    }
