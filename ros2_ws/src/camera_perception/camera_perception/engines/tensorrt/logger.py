"""TensorRT reports failures as None or False and says why only in its log: here is where that is kept.

What TensorRT's engine inspector says, in short. Knows texts only, no TensorRT.
"""

from __future__ import annotations

import json
import logging
from collections import Counter, deque
from threading import Lock
from typing import Any

import tensorrt as trt

log = logging.getLogger("tensorrt")


class Logger(trt.ILogger):
    """Passes messages on to `logging` and keeps the errors until somebody asks for them."""

    def __init__(self) -> None:
        trt.ILogger.__init__(self)
        self._errors: deque[str] = deque(maxlen=50)
        self._lock = Lock()
        self._levels = {
            trt.ILogger.INTERNAL_ERROR: logging.DEBUG,  # errors become exceptions; they are not said twice
            trt.ILogger.ERROR: logging.DEBUG,
            trt.ILogger.WARNING: logging.INFO,
            trt.ILogger.INFO: logging.DEBUG,
            trt.ILogger.VERBOSE: 5,
        }

    def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
        log.log(self._levels.get(severity, logging.DEBUG), msg)
        if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
            with self._lock:
                self._errors.append(msg)

    def take(self) -> list[str]:
        """The errors since the last call."""
        with self._lock:
            errors = list(self._errors)
            self._errors.clear()
        return errors


class ErrorRecorder(trt.IErrorRecorder):
    """What an engine reports from any of its threads; thread-safe as TensorRT demands."""

    def __init__(self) -> None:
        trt.IErrorRecorder.__init__(self)
        self._errors: list[tuple[trt.ErrorCodeTRT, str]] = []
        self._lock = Lock()

    def num_errors(self) -> int:
        return len(self._errors)

    def get_error_code(self, index: int) -> trt.ErrorCodeTRT:
        return self._errors[index][0]

    def get_error_desc(self, index: int) -> str:
        return self._errors[index][1]

    def has_overflowed(self) -> bool:
        return False

    def clear(self) -> None:
        with self._lock:
            self._errors.clear()

    def report_error(self, code: trt.ErrorCodeTRT, desc: str) -> bool:
        """True tells TensorRT that the error is fatal for what it was doing."""
        with self._lock:
            self._errors.append((code, desc))
        return True

    def take(self) -> list[str]:
        with self._lock:
            errors = [desc for _, desc in self._errors]
            self._errors.clear()
        return errors


# One per process: TensorRT ignores every later one.
LOGGER = Logger()


def layer_precisions(inspection: str) -> dict[str, int]:
    """Layers by the number type of their first output: {"Half": 52, "Int8": 40, "Float": 9}."""
    try:
        layers = json.loads(inspection).get("Layers", [])
    except (ValueError, AttributeError):
        return {}
    return dict(Counter(_precision(layer) for layer in layers if isinstance(layer, dict)).most_common())


def _precision(layer: dict[str, Any]) -> str:
    """Formats read "Half NHWC8 ..." or "Int8 ..."; older ones "Channel major FP16 format ..."."""
    text = str((layer.get("Outputs") or [{}])[0].get("Format/Datatype", "unknown"))
    words = ("Int8", "Half", "FP16", "BFloat16", "FP8", "FP32", "Float", "Int32", "Int64", "UInt8", "Bool")
    names = {"FP16": "Half", "FP32": "Float"}
    found = next((word for word in words if word.lower() in text.lower()), "unknown")
    return names.get(found, found)
