"""Doors for what comes from topics: images, calibrations, transforms, ranges, serialised messages, viewers."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from cases import documents, files
from door import Door

from camera_perception.geometry.camera import camera_from_info, optical_from_rpy
from camera_perception.geometry.transforms import TfTree
from camera_perception.image.encodings import ENCODINGS, decode_image
from camera_perception.io.cdr import serialize
from camera_perception.io.range_messages import depth_from_message, points_from_message
from camera_perception.io.ros_types import PERCEPTION_FRAME, deserialize, fields_from_message
from camera_perception.tools.live.protocol import acknowledged, command_of, token_of

POSE = optical_from_rpy((1.5, 0.0, 1.4), (0.0, 0.05, 0.0))


def seed(value: Any) -> bytes:
    return json.dumps(value).encode()


# Fields of messages have types: what a case holds is made to fit them.


def uint(value: Any, bits: int = 32) -> int:
    if isinstance(value, float):
        value = int(value) if math.isfinite(value) else 0
    return value % (1 << bits) if isinstance(value, int) else 0


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _float(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) and abs(value) < 1e308 else math.nan


def numbers(value: Any, count: int | None = None) -> list[float]:
    values = [_float(each) for each in value] if isinstance(value, list) else []
    return values if count is None else (values + [0.0] * count)[:count]


def fields(case: bytes) -> dict[str, Any]:
    try:
        value = json.loads(case)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def payload(value: Any) -> bytes:
    return bytes(uint(value, 18)) if not isinstance(value, str) else value.encode("utf-8", "replace")


def raw_image(case: bytes, folder: Path) -> None:
    d = fields(case)
    sizes = [uint(d.get(name)) for name in ("height", "width", "step")]
    image = decode_image(text(d.get("encoding")), *sizes, bool(d.get("big")), payload(d.get("data")))
    assert image.shape[2] == 3
    assert image.dtype == np.uint8


def raw_image_seeds() -> list[bytes]:
    return [
        seed({"encoding": name, "height": 12, "width": 16, "step": 16 * 8, "big": 0, "data": 12 * 16 * 8 * 2})
        for name in ENCODINGS
    ]


def camera_info(case: bytes, folder: Path) -> None:
    d = fields(case)
    roi = [uint(v) for v in (numbers(d.get("roi"), 4))]
    info = SimpleNamespace(
        width=uint(d.get("width")),
        height=uint(d.get("height")),
        k=np.array(numbers(d.get("k"), 9)),
        d=np.array(numbers(d.get("d"))),
        r=np.array(numbers(d.get("r"), 9)),
        p=np.array(numbers(d.get("p"), 12)),
        distortion_model=text(d.get("model")),
        binning_x=uint(d.get("binning")),
        binning_y=uint(d.get("binning")),
        roi=SimpleNamespace(x_offset=roi[0], y_offset=roi[1], width=roi[2], height=roi[3]),
    )
    camera = camera_from_info(info, POSE, bool(d.get("rectified")))
    pixels = np.array([[0.0, 0.0], [camera.width / 2, camera.height - 1.0], [1e9, -1e9]])
    camera.ground_from_pixels(pixels)
    camera.rays_with_jacobians(pixels)
    camera.pixels_from_base(np.array([[10.0, 0, 0], [-5.0, 1, 1]]))


def camera_info_seeds() -> list[bytes]:
    k, p = [500.0, 0, 320, 0, 500, 192, 0, 0, 1], [500.0, 0, 320, 0, 0, 500, 192, 0, 0, 0, 1, 0]
    common = {
        "width": 640,
        "height": 384,
        "k": k,
        "r": [1.0, 0, 0, 0, 1, 0, 0, 0, 1],
        "p": p,
        "roi": [0, 0, 0, 0],
        "binning": 0,
    }
    models = {"plumb_bob": 5, "rational_polynomial": 8, "equidistant": 4, "": 0}
    return [
        seed({**common, "model": model, "d": [0.01] * count, "rectified": rectified})
        for model, count in models.items()
        for rectified in (0, 1)
    ]


def tf(case: bytes, folder: Path) -> None:
    tree = TfTree()
    entries = fields(case).get("transforms")
    for e in entries if isinstance(entries, list) else ():
        if isinstance(e, dict):
            stamp = None if e.get("stamp") is None else uint(e["stamp"], 63)
            names, xyz = (text(e.get("parent")), text(e.get("child"))), numbers(e.get("xyz"), 3)
            tree.add(*names, xyz, numbers(e.get("q"), 4), stamp)
    for at in (None, 0, 1 << 62):
        pose = tree.base_from("base_link", "camera", at)
        assert pose is None or pose.shape == (4, 4)


def tf_seeds() -> list[bytes]:
    links = [("base_link", "mast"), ("mast", "arm"), ("arm", "camera")]
    q = [0.0, 0, 0, 1]
    return [
        seed({"transforms": [{"parent": a, "child": b, "xyz": [1.0, 0, 1], "q": q, "stamp": s} for a, b in links]})
        for s in (None, 10**18)
    ]


def _field(f: dict[str, Any]) -> SimpleNamespace:
    datatype = uint(f.get("datatype"), 8)
    return SimpleNamespace(
        name=text(f.get("name")), offset=uint(f.get("offset")), datatype=datatype, count=uint(f.get("count"))
    )


def point_cloud(case: bytes, folder: Path) -> None:
    d = fields(case)
    entries = d.get("fields")
    cells = [_field(f) for f in (entries if isinstance(entries, list) else ()) if isinstance(f, dict)]
    sizes = {name: uint(d.get(name)) for name in ("height", "width", "point_step", "row_step")}
    message = SimpleNamespace(fields=cells, is_bigendian=bool(d.get("big")), data=payload(d.get("data")), **sizes)
    assert np.isfinite(points_from_message(message)).all()


def point_cloud_seeds() -> list[bytes]:
    cells = [{"name": axis, "offset": 4 * i, "datatype": 7, "count": 1} for i, axis in enumerate("xyz")]
    return [seed({"fields": cells, "height": 1, "width": 10, "point_step": 16, "row_step": 160, "big": 0, "data": 160})]


def depth(case: bytes, folder: Path) -> None:
    d = fields(case)
    sizes = {name: uint(d.get(name)) for name in ("height", "width", "step")}
    message = SimpleNamespace(
        encoding=text(d.get("encoding")), is_bigendian=bool(d.get("big")), data=payload(d.get("data")), **sizes
    )
    assert depth_from_message(message).dtype == np.float32


def depth_seeds() -> list[bytes]:
    data = "ab" * 200
    common = {"height": 5, "width": 10, "big": 0, "data": data}
    return [seed({**common, "encoding": "16UC1", "step": 20}), seed({**common, "encoding": "32FC1", "step": 40})]


KINDS = {
    "sensor_msgs/msg/Image": {"encoding": "bgr8", "height": 1, "width": 2, "step": 6, "data": np.zeros(6, np.uint8)},
    "sensor_msgs/msg/CompressedImage": {"format": "jpeg", "data": np.zeros(9, np.uint8)},
    "sensor_msgs/msg/CameraInfo": {"width": 640, "height": 384, "distortion_model": "plumb_bob", "d": [0.1] * 5},
    "sensor_msgs/msg/PointCloud2": {"fields": [{"name": "x"}], "data": np.zeros(12, np.uint8)},
    "tf2_msgs/msg/TFMessage": {"transforms": [{"child_frame_id": "a"}]},
    PERCEPTION_FRAME: {},
}


def cdr(case: bytes, folder: Path) -> None:
    kind = list(KINDS)[case[0] % len(KINDS)] if case else next(iter(KINDS))
    message = deserialize(kind, case[1:])
    fields_from_message(message)


def cdr_seeds() -> list[bytes]:
    return [bytes([number]) + serialize(kind, values) for number, (kind, values) in enumerate(KINDS.items())]


def viewer(case: bytes, folder: Path) -> None:
    words = case.decode("utf-8", "replace")
    command_of(words), acknowledged(words), token_of(words)


def viewer_seeds() -> list[bytes]:
    return [seed({"do": "pause"}), seed({"do": "seek", "seconds": 1.5}), seed({"ack": "front"}), seed({"token": "abc"})]


DOORS = [
    Door("raw_image", raw_image, raw_image_seeds, documents),
    Door("camera_info", camera_info, camera_info_seeds, documents),
    Door("tf", tf, tf_seeds, documents),
    Door("point_cloud", point_cloud, point_cloud_seeds, documents),
    Door("depth", depth, depth_seeds, documents),
    Door("cdr", cdr, cdr_seeds, files),
    Door("viewer", viewer, viewer_seeds, documents),
]
