"""A perception without its metres: what is left when the camera's place or its picture cannot be trusted."""

from __future__ import annotations

from dataclasses import replace

from camera_perception.types import Perception
from camera_perception.unplaced import unplaced


def pixels_only(perception: Perception) -> Perception:
    """The same in pixels. Tracks and lines remember metres longer than they may be told."""
    return replace(
        perception,
        objects=unplaced(perception.objects),
        lanes=tuple(replace(line, ground=None) for line in perception.lanes),
        ego_lane=None,
        base_frame="",
    )
