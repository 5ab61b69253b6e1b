"""Exceptions raised by this library; every message says what to do next."""

from __future__ import annotations

from collections.abc import Sequence

from camera_perception.core.documents.text import shorten


class PerceptionError(Exception):
    """Base class of all exceptions that this library raises. Messages are cut in the middle: names may be endless."""

    def __init__(self, message: object = "") -> None:
        super().__init__(shorten(str(message)))


class BadImage(PerceptionError):
    """An image message cannot be decoded: encoding, size, step or compressed data are wrong."""


class UnknownEncoding(BadImage):
    """The encoding of an image message is not supported, and no fallback can convert it."""


class BadRange(PerceptionError):
    """A depth image or point cloud cannot be converted to ranges aligned with the image."""


class ModelError(PerceptionError):
    """A model folder is missing, broken, or does not match its model.json."""


class EngineError(PerceptionError):
    """A backend is not installed, rejects the model, or failed while running."""


class ContextLost(EngineError):
    """No CUDA call of this process can succeed any more; only a new process can use the GPU."""


class EngineMissing(EngineError):
    """No engine has been built for this model on this machine; the message contains the build command."""


class EngineBusy(EngineError):
    """Another process is building the same engine."""


class BuildCancelled(EngineError):
    """The build was cancelled by the user or by node shutdown."""

    def __init__(self, model: str) -> None:
        super().__init__(f"the engine build of model '{model}' was cancelled; nothing was changed")


class CalibrationError(PerceptionError):
    """Intrinsics or extrinsics are missing or unusable for metric output."""


class BagError(PerceptionError):
    """A recording cannot be read or written."""


class CheckpointError(PerceptionError):
    """A checkpoint of a training cannot be read or does not fit the network."""


def some_of(names: Sequence[str], most: int = 12) -> str:
    """Names for a message: "car, truck", and of many the first ones: "person, bicycle, ... (80 in all)"."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[: most // 2])}, ... ({len(names)} in all)"
