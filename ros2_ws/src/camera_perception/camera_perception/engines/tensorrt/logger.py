"""TensorRT's log and error recorder. TensorRT reports failures as None or False and gives the cause only here."""

from __future__ import annotations

import logging
from collections import deque
from threading import Lock

from camera_perception.engines.tensorrt.package import trt

log = logging.getLogger("tensorrt")


class Logger(trt.ILogger):
    """Forwards messages to `logging` and keeps the errors until take() is called."""

    def __init__(self) -> None:
        trt.ILogger.__init__(self)
        self._errors: deque[str] = deque(maxlen=50)
        self._lock = Lock()
        self._levels = {
            trt.ILogger.INTERNAL_ERROR: logging.DEBUG,  # errors become exceptions; they are not logged twice
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
    """Errors that an engine reports, from any of its threads."""

    def __init__(self) -> None:
        trt.IErrorRecorder.__init__(self)
        self._errors: list[tuple[trt.ErrorCodeTRT, str]] = []
        self._lock = Lock()

    def get_num_errors(self) -> int:
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
        """The errors since the last call."""
        with self._lock:
            errors = [desc for _, desc in self._errors]
            self._errors.clear()
        return errors


# One per process: TensorRT ignores every later one.
LOGGER = Logger()
