"""Letterbox, image decoding and input health against the obvious way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count

import cv2
import numpy as np

from camera_perception.core.model_spec import InputSpec
from camera_perception.core.types import Frame
from camera_perception.image.encodings import decode_compressed, decode_image
from camera_perception.image.health import HealthMonitor
from camera_perception.image.letterbox import Preprocessor
from camera_perception.tools.bench import synthetic_inputs
from camera_perception.tools.bench.component import Component


def components() -> list[Component]:
    plain = "cv2.resize linear, cv2.copyMakeBorder"
    floats = replace(synthetic_inputs.INPUT, layout="nchw", dtype="float32", color="rgb", scale=1 / 255)
    return [
        letterbox("letterbox", synthetic_inputs.SIZE, synthetic_inputs.INPUT, plain, _bordered),
        letterbox(
            "letterbox 1920x1080, without aliasing",
            (1080, 1920),
            synthetic_inputs.INPUT,
            "cv2.resize area, border",
            _averaged,
        ),
        letterbox(
            "letterbox to float32 NCHW RGB", synthetic_inputs.SIZE, floats, plain + ", transpose, / 255", _as_floats
        ),
        decoding("bgr8", lambda data: np.array(data).reshape(*synthetic_inputs.SIZE, 3), "copy to numpy", 3),
        decoding(
            "rgb8",
            lambda data: np.array(data).reshape(*synthetic_inputs.SIZE, 3)[:, :, ::-1].copy(),
            "numpy [:, :, ::-1]",
            3,
        ),
        decoding("mono16", _mono16, "numpy / 256, cv2.cvtColor", 2),
        decoding("nv12", _nv12, "copy to numpy, cv2.cvtColor", 1.5),
        jpeg(),
        health(),
    ]


def letterbox(
    name: str, size: tuple[int, int], spec: InputSpec, way: str, obvious: Callable[[np.ndarray], object]
) -> Component:
    image, target, ours = synthetic_inputs.picture(size), np.zeros(spec.shape[1:], spec.dtype), Preprocessor(spec)
    return Component(name, lambda: ours(image, target), way, lambda: obvious(image))


def _bordered(image: np.ndarray, interpolation: int = cv2.INTER_LINEAR) -> np.ndarray:
    rows, columns = synthetic_inputs.INPUT.size
    scale = min(rows / image.shape[0], columns / image.shape[1])
    width, height = round(image.shape[1] * scale), round(image.shape[0] * scale)
    small = cv2.resize(image, (width, height), interpolation=interpolation)
    top, left = (rows - height) // 2, (columns - width) // 2
    bottom, right = rows - height - top, columns - width - left
    return cv2.copyMakeBorder(small, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(114, 114, 114))


def _averaged(image: np.ndarray) -> np.ndarray:
    return _bordered(image, cv2.INTER_AREA)


def _as_floats(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(_bordered(image)[:, :, ::-1].transpose(2, 0, 1)).astype(np.float32) / 255


def decoding(encoding: str, obvious: Callable[[np.ndarray], object], way: str, bytes_per_pixel: float) -> Component:
    height, width = synthetic_inputs.SIZE
    data = synthetic_inputs.random().integers(0, 256, int(height * width * bytes_per_pixel), np.uint8)
    step = int(width * max(1, np.floor(bytes_per_pixel)))
    return Component(
        f"decode {encoding}",
        lambda: decode_image(encoding, height, width, step, False, data),
        way,
        lambda: obvious(data),
    )


def _mono16(data: np.ndarray) -> np.ndarray:
    gray = (data.view(np.uint16).reshape(synthetic_inputs.SIZE) / 256).astype(np.uint8)
    return cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR)


def _nv12(data: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(
        np.array(data).reshape(synthetic_inputs.SIZE[0] * 3 // 2, synthetic_inputs.SIZE[1]), cv2.COLOR_YUV2BGR_NV12
    )


def jpeg() -> Component:
    data = cv2.imencode(".jpg", synthetic_inputs.picture())[1]
    return Component(
        "decode jpeg, checked for truncation",
        lambda: decode_compressed(data, "jpeg"),
        "cv2.imdecode",
        lambda: cv2.imdecode(data, cv2.IMREAD_COLOR),
    )


def health() -> Component:
    images, monitor, ticks = [synthetic_inputs.picture(number=n) for n in range(2)], HealthMonitor(), count()

    def ours() -> object:
        tick = next(ticks)
        return monitor.update(Frame(images[tick % 2], tick * 33_000_000))

    return Component(
        "input health", ours, "gray, histogram, Laplacian and difference of all pixels", lambda: _health(*images)
    )


def _health(image: np.ndarray, before: np.ndarray) -> tuple[float, ...]:
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    histogram = cv2.calcHist([gray], [0], None, [256], [0, 256])
    sharpness, same = cv2.Laplacian(gray, cv2.CV_64F).var(), cv2.absdiff(image, before).sum()
    return float(histogram[:24].sum()), float(sharpness), float(same)
