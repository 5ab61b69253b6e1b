"""Depth images and point clouds in metres, from messages read by rclpy or rosbags."""

from __future__ import annotations

from typing import Any

import numpy as np

from camera_perception.core.errors import BadRange
from camera_perception.core.types import Frame
from camera_perception.geometry.camera import Camera

DEPTHS = {"16UC1": ("u2", 0.001), "32FC1": ("f4", 1.0)}  # sample type, metres per unit: REP 118
FLOATS = {7: "f4", 8: "f8"}  # PointField.datatype
MAX_ASPECT_ERROR = 0.02  # relative difference of width / height between a depth image and its colour image


def depth_from_message(message: Any) -> np.ndarray:
    """(h, w) float32 metres of a sensor_msgs/Image; 0, nan and inf are pixels without depth.

    raises BadRange when it is not a depth image, is truncated, or has no pixel with depth
    """
    if message.encoding not in DEPTHS:
        raise BadRange(
            f"depth image encoding '{message.encoding}' is unknown: publish 16UC1 (millimetres) or 32FC1 (metres)"
        )
    kind, unit = DEPTHS[message.encoding]
    sample = np.dtype(kind).newbyteorder(">" if message.is_bigendian else "<")
    row_step = _checked_step(message, message.step, sample.itemsize, "depth image")
    metres = _grid(message, sample, row_step).astype(np.float32, copy=False)
    metres = metres if unit == 1.0 else metres * np.float32(unit)
    if not (metres > 0).any():
        raise BadRange("the depth image holds no depth: check the depth camera")
    return metres


def points_from_message(message: Any) -> np.ndarray:
    """(P, 3) float32 metres of a sensor_msgs/PointCloud2, in its own frame; points with nan or inf are left out.

    raises BadRange when it has no fields x y z, is truncated, or has no finite point
    """
    row_step = _checked_step(message, message.row_step, message.point_step, "point cloud")
    cells = _grid(message, _layout(message), row_step)
    columns = np.empty((3, *cells.shape), np.float32)  # axis by axis takes a fifth of the time of point by point
    with np.errstate(over="ignore"):
        for column, axis in zip(columns, "xyz"):
            column[:] = cells[axis]
    columns = columns.reshape(3, -1)
    finite = np.isfinite(columns).all(axis=0)
    if not finite.any():
        raise BadRange("the point cloud holds no point: check the lidar")
    return (columns if finite.all() else columns[:, finite]).T


def check_registered(message: Any, frame: Frame, camera: Camera, sideways: bool = False) -> None:
    """BadRange unless a depth image has the optical frame and the aspect ratio of the image.

    sideways  the image is turned by 90 or 270 degrees, the depth image not yet
    """
    depth_frame, image_frame = message.header.frame_id.lstrip("/"), frame.frame_id.lstrip("/")
    if depth_frame != image_frame:
        raise BadRange(
            f"the depth image is in frame '{depth_frame}', the image in '{image_frame}': "
            "use the topic that is registered (aligned) to the camera"
        )
    width, height = (camera.height, camera.width) if sideways else (camera.width, camera.height)
    aspect, expected = message.width / max(message.height, 1), width / height
    if abs(aspect / expected - 1) > MAX_ASPECT_ERROR:
        raise BadRange(
            f"the depth image is {message.width}x{message.height}, the image {width}x{height}: they "
            "cannot show the same view, use the topic that is registered (aligned) to the camera"
        )


def _layout(message: Any) -> np.dtype:
    """Offsets and types of x y z in a point."""
    fields = {entry.name: entry for entry in message.fields if entry.name in ("x", "y", "z")}
    valid = [
        entry.datatype in FLOATS
        and entry.count <= 1
        and entry.offset + np.dtype(FLOATS[entry.datatype]).itemsize <= message.point_step
        for entry in fields.values()
    ]
    if len(fields) < 3 or not all(valid):
        names = ", ".join(entry.name for entry in message.fields) or "none"
        raise BadRange(f"the point cloud has no x y z as FLOAT32 or FLOAT64 inside its points (fields: {names})")
    order = ">" if message.is_bigendian else "<"
    formats = [order + FLOATS[fields[axis].datatype] for axis in "xyz"]
    offsets = [fields[axis].offset for axis in "xyz"]
    return np.dtype({"names": list("xyz"), "formats": formats, "offsets": offsets, "itemsize": message.point_step})


def _checked_step(message: Any, row_step: int, cell_step: int, what: str) -> int:
    """Bytes per row; BadRange when size, steps and data do not match."""
    height, width, size = message.height, message.width, len(message.data)
    # Some drivers leave row_step 0 when there is one row.
    row_step = row_step if height > 1 else max(row_step, width * cell_step)
    needed = row_step * (height - 1) + width * cell_step
    if not height or not width or row_step < width * cell_step or size < needed:
        raise BadRange(
            f"the {what} of {width}x{height} with {row_step} bytes per row has {size} bytes, expected {needed}: "
            "it is truncated, or its size or steps are wrong"
        )
    return row_step


def _grid(message: Any, cell: np.dtype, row_step: int) -> np.ndarray:
    """(height, width) cells of a message, as a view of its data."""
    shape, strides = (message.height, message.width), (row_step, cell.itemsize)
    return np.ndarray(shape, cell, memoryview(message.data).cast("B"), strides=strides)
