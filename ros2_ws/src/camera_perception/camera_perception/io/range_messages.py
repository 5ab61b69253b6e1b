"""Depth images and point clouds from their messages, whoever read them (rclpy, rosbags), as metres."""

from __future__ import annotations

from typing import Any

import numpy as np

from camera_perception.core.errors import BadRange
from camera_perception.core.types import Frame
from camera_perception.geometry.camera import Camera

DEPTHS = {"16UC1": ("u2", 0.001), "32FC1": ("f4", 1.0)}  # sample, metres of one unit: REP 118
FLOATS = {7: "f4", 8: "f8"}  # PointField.datatype
ASPECT = 0.02  # by which width over height may differ between a depth image and its image


def depth_from_message(message: Any) -> np.ndarray:
    """(h, w) float32 metres of a sensor_msgs/Image; 0, nan and inf where nothing was seen.

    raises BadRange when it is no depth image, is cut short, or shows nothing
    """
    if message.encoding not in DEPTHS:
        raise BadRange(
            f"depth image encoding '{message.encoding}' is unknown: publish 16UC1 (millimetres) or 32FC1 (metres)"
        )
    kind, unit = DEPTHS[message.encoding]
    sample = np.dtype(kind).newbyteorder(">" if message.is_bigendian else "<")
    row_step = _sound_step(message, message.step, sample.itemsize, "depth image")
    metres = _grid(message, sample, row_step).astype(np.float32, copy=False)
    metres = metres if unit == 1.0 else metres * np.float32(unit)
    if not (metres > 0).any():
        raise BadRange("the depth image holds no depth: check the depth camera")
    return metres


def points_from_message(message: Any) -> np.ndarray:
    """(P, 3) float32 metres of a sensor_msgs/PointCloud2, in its own frame; points that are no numbers are left out.

    raises BadRange when it has no fields x y z, is cut short, or holds no point
    """
    row_step = _sound_step(message, message.row_step, message.point_step, "point cloud")
    cells = _grid(message, _layout(message), row_step)
    columns = np.empty((3, *cells.shape), np.float32)  # axis by axis: a fifth of the time of point by point
    with np.errstate(over="ignore"):
        for column, axis in zip(columns, "xyz"):
            column[:] = cells[axis]
    columns = columns.reshape(3, -1)
    sound = np.isfinite(columns).all(axis=0)
    if not sound.any():
        raise BadRange("the point cloud holds no point: check the lidar")
    return (columns if sound.all() else columns[:, sound]).T


def check_registered(message: Any, frame: Frame, camera: Camera) -> None:
    """BadRange unless a depth image shows the same view as the frame: the same optical frame, the same shape."""
    mine, own = message.header.frame_id.lstrip("/"), frame.frame_id.lstrip("/")
    if mine != own:
        raise BadRange(
            f"the depth image is in frame '{mine}', the image in '{own}': take the topic that is registered (aligned) "
            "to the camera"
        )
    aspect, wanted = message.width / max(message.height, 1), camera.width / camera.height
    if abs(aspect / wanted - 1) > ASPECT:
        raise BadRange(
            f"the depth image is {message.width}x{message.height}, the image {camera.width}x{camera.height}: they "
            "cannot show the same view; take the topic that is registered (aligned) to the camera"
        )


def _layout(message: Any) -> np.dtype:
    """Where x y z lie in a point."""
    fields = {entry.name: entry for entry in message.fields if entry.name in ("x", "y", "z")}
    sound = [
        entry.datatype in FLOATS
        and entry.count <= 1
        and entry.offset + np.dtype(FLOATS[entry.datatype]).itemsize <= message.point_step
        for entry in fields.values()
    ]
    if len(fields) < 3 or not all(sound):
        names = ", ".join(entry.name for entry in message.fields) or "none"
        raise BadRange(f"the point cloud has no x y z as FLOAT32 or FLOAT64 inside its points (fields: {names})")
    order = ">" if message.is_bigendian else "<"
    formats = [order + FLOATS[fields[axis].datatype] for axis in "xyz"]
    offsets = [fields[axis].offset for axis in "xyz"]
    return np.dtype({"names": list("xyz"), "formats": formats, "offsets": offsets, "itemsize": message.point_step})


def _sound_step(message: Any, row_step: int, cell_step: int, what: str) -> int:
    """Bytes from row to row; BadRange when size, steps and data do not fit together."""
    height, width, held = message.height, message.width, len(message.data)
    # Of one row, some drivers leave row_step 0.
    row_step = row_step if height > 1 else max(row_step, width * cell_step)
    needed = row_step * (height - 1) + width * cell_step
    if not height or not width or row_step < width * cell_step or held < needed:
        raise BadRange(
            f"the {what} of {width}x{height} with {row_step} bytes a row holds {held} bytes, expected {needed}: "
            "it is truncated, or its size or steps are wrong"
        )
    return row_step


def _grid(message: Any, cell: np.dtype, row_step: int) -> np.ndarray:
    """(height, width) cells of a message: a view of its data."""
    shape, strides = (message.height, message.width), (row_step, cell.itemsize)
    return np.ndarray(shape, cell, memoryview(message.data).cast("B"), strides=strides)
