"""The tables of a store, column by column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from camera_perception.tools.fleet.store.storage import StoreError

# Column: (Arrow type, meaning)
FRAME_KEY = {
    "unit": ("string", "key of the unit of work; joins with runs.unit"),
    "recording": ("string", "address of the recording as it was given"),
    "recording_id": ("string", "fingerprint of the recording, the same in every run"),
    "camera": ("string", "short name of the camera, such as front"),
    "frame": ("int32", "number of the image among those of this camera, from 0"),
    "stamp_ns": ("int64", "capture time of the image, nanoseconds"),
}
TABLES: dict[str, dict[str, tuple[str, str]]] = {
    "frames": {
        **FRAME_KEY,
        "file": ("string", "name of the image file; empty for recordings and videos"),
        "width": ("int32", "pixels; 0 when the image could not be decoded"),
        "height": ("int32", "pixels"),
        "error": ("string", "why the image could not be decoded; empty when it could"),
        "status_flags": ("int64", "bits of PerceptionFrame.status_flags"),
        "objects": ("int32", "number of reported objects"),
        "lanes": ("int32", "number of lane lines"),
        "free_distance_m": ("float32", "drivable metres straight ahead; null without calibration"),
        "road_fraction": ("float32", "drivable fraction of the image; null without that head"),
        "weather": ("string", "label of the scene head; null without it"),
        "scene": ("string", "label of the scene head, such as highway"),
        "timeofday": ("string", "label of the scene head, such as night"),
        "speed_mps": ("float32", "speed of the vehicle by the recording's odometry, m/s; null without it"),
        "luminance": ("float32", "mean grey value of the image, 0..255"),
        "det_seg": ("float32", "disagreement of boxes and segmentation, 0..1; null without both heads"),
        "uncertainty": ("float32", "sum over detections of the entropy of their score, rare classes weigh more"),
        "embedding": ("list<float>", "unit vector of the network's deepest features; null without --embedding"),
    },
    "objects": {
        **FRAME_KEY,
        "reported": ("bool", "True: published by the pipeline; False: a candidate below the threshold"),
        "class_name": ("string", "class"),
        "score": ("float32", "0..1"),
        "track_id": ("int64", "stable within a unit and camera; 0 for candidates"),
        "age": ("int32", "frames since the track began; 0 for candidates"),
        "coasted": ("bool", "predicted by the tracker, not detected in this frame"),
        "truncated": ("int32", "bits of the image borders that the box touches: 1 left, 2 top, 4 right, 8 bottom"),
        "x0": ("float32", "left, pixels of the source image"),
        "y0": ("float32", "top, pixels"),
        "x1": ("float32", "right, pixels"),
        "y1": ("float32", "bottom, pixels"),
        "x_m": ("float32", "ahead of base_link, metres; null when unknown"),
        "y_m": ("float32", "left of base_link, metres"),
        "range_m": ("float32", "distance from base_link, metres"),
        "vx_mps": ("float32", "velocity ahead, m/s"),
        "vy_mps": ("float32", "velocity to the left, m/s"),
        "height_m": ("float32", "height that box and ground plane imply, metres; null without calibration"),
    },
    "lanes": {
        **FRAME_KEY,
        "lane_id": ("int64", "track id of the line, stable within a unit and camera"),
        "position": ("int32", "-1 and 1 bound the ego lane, -2 and 2 are further out"),
        "score": ("float32", "0..1"),
        "line_type": ("string", "solid, dashed, ..."),
        "color": ("string", "white, yellow, ..."),
        "u": ("list<float>", "pixels of the points, near to far"),
        "v": ("list<float>", "pixels of the points"),
        "x_m": ("list<float>", "metres ahead of the points on the road; null without calibration"),
        "y_m": ("list<float>", "metres to the left of the points on the road"),
    },
    "lights": {
        **FRAME_KEY,
        "track_id": ("int64", "joins with objects.track_id"),
        "score": ("float32", "0..1"),
        "state": ("string", "most probable lamp state, smoothed over the track; empty when unread"),
        "state_score": ("float32", "0..1"),
        "relevance": ("string", "unknown, ego or other"),
        "x0": ("float32", "left, pixels of the source image"),
        "y0": ("float32", "top, pixels"),
        "x1": ("float32", "right, pixels"),
        "y1": ("float32", "bottom, pixels"),
    },
    "scenes": {
        **FRAME_KEY,
        "name": ("string", "attribute: weather, scene or timeofday"),
        "label": ("string", "label, or unknown where it is not certain enough"),
        "score": ("float32", "0..1"),
    },
    "runs": {
        "unit": ("string", "key of the unit of work"),
        "run": ("string", "hash of model, engine, options and code"),
        "recording": ("string", "address of the recording"),
        "recording_id": ("string", "fingerprint of the recording"),
        "part": ("int32", "number of the slice, from 0"),
        "parts": ("int32", "slices of the recording"),
        "status": ("string", "ok, or failed: then `reason` says why and the tables hold no row of the unit"),
        "reason": ("string", "one sentence; empty when ok"),
        "frames": ("int32", "images"),
        "undecodable": ("int32", "images that could not be decoded"),
        "drive_seconds": ("float64", "length of the drive by its stamps"),
        "bytes_in": ("int64", "size of the recording"),
        "bytes_out": ("int64", "size of the unit's parquet files"),
        "wall_seconds": ("float64", "time of the work, fetching and writing included; differs between runs"),
        "cpu_seconds": ("float64", "CPU time of the work"),
        "host": ("string", "machine that did it"),
        "warnings": ("string", "log of the unit, warnings and worse"),
        "model": ("string", "name and version of the model"),
        "engine": ("string", "backend and precision"),
    },
}
DATA_TABLES = tuple(name for name in TABLES if name != "runs")


def pyarrow() -> Any:
    """pyarrow with parquet; StoreError when it is missing."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise StoreError("fleet commands need 'pyarrow': pip install camera_perception[fleet]") from error
    return pyarrow


def schema(table: str) -> Any:
    """The Arrow schema of a table; the meaning of a column is its metadata."""
    pa = pyarrow()
    types = {"list<float>": pa.list_(pa.float32()), "float32": pa.float32(), "float64": pa.float64()}
    types |= {"int32": pa.int32(), "int64": pa.int64(), "string": pa.string(), "bool": pa.bool_()}
    fields = [pa.field(name, types[kind], metadata={"doc": doc}) for name, (kind, doc) in TABLES[table].items()]
    return pa.schema(fields)


def arrow_table(table: str, rows: Iterable[Mapping[str, Any]]) -> Any:
    """Rows as an Arrow table; missing columns are null."""
    return pyarrow().Table.from_pylist([dict(row) for row in rows], schema=schema(table))


def parquet_bytes(table: Any) -> bytes:
    """An Arrow table as a parquet file, compressed."""
    pa = pyarrow()
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue())
