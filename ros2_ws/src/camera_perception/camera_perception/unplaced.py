"""Objects without their metres."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from camera_perception.types import Objects, PositionMethod

METRES = "positions", "position_covs", "velocities", "velocity_covs", "ground_widths", "cues"


def unplaced(objects: Objects, rows: np.ndarray | slice = slice(None)) -> Objects:
    """The same, where these rows have neither a place nor a speed."""
    columns = {name: getattr(objects, name).copy() for name in (*METRES, "position_methods")}
    for name, column in columns.items():
        column[rows] = PositionMethod.NONE if name == "position_methods" else np.nan
    return replace(objects, **columns)
