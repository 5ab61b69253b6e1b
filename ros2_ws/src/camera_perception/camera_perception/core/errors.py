"""Exceptions raised by this library; every message says what to do next."""

MAX_TEXT = 500  # characters of a message: names in it come from outside and may be of any length


def bounded(text: str, most: int = MAX_TEXT) -> str:
    """The text without its middle where it is longer than that: its end says what to do."""
    if len(text) <= most:
        return text
    end = most * 2 // 5
    return f"{text[: most - end - 3]} … {text[-end:]}"


class PerceptionError(Exception):
    """Base class of all exceptions that this library raises."""

    def __str__(self) -> str:
        return bounded(super().__str__())


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
