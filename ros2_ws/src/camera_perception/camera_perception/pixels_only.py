"""A perception without its metres: what is left when the camera's place or its picture cannot be trusted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from camera_perception.types import Objects, Perception, PositionMethod


def pixels_only(perception: Perception) -> Perception:
    """The same in pixels. Tracks and lines remember metres longer than they may be told."""
    return replace(
        perception,
        objects=_unplaced(perception.objects),
        lanes=tuple(replace(line, ground=None) for line in perception.lanes),
        ego_lane=None,
        base_frame="",
    )


def _unplaced(objects: Objects) -> Objects:
    names = ("positions", "position_covs", "velocities", "velocity_covs", "ground_widths", "cues")
    unknown = {name: np.full_like(getattr(objects, name), np.nan) for name in names}
    return replace(objects, position_methods=np.full_like(objects.position_methods, PositionMethod.NONE), **unknown)
