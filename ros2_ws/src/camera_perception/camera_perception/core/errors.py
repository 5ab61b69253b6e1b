"""What a camera, a model folder or a user can do to us. Every text says what to do next."""


class PerceptionError(Exception):
    """Anything this library raises on purpose."""


class BadImage(PerceptionError):
    """An image message cannot be turned into pixels: encoding, size, step or compressed data are wrong."""


class UnknownEncoding(BadImage):
    """The encoding of an image message is none of ours, and no fallback knows it."""


class BadRange(PerceptionError):
    """A depth image or a point cloud cannot be turned into metres that belong to the image."""


class ModelError(PerceptionError):
    """A model folder is missing, broken, or is not what its model.json says."""


class EngineError(PerceptionError):
    """A backend is not installed, refuses the model, or failed while running."""


class EngineMissing(EngineError):
    """The backend is there, but no engine was built for this model on this machine; the text holds the command."""


class EngineBusy(EngineError):
    """Another process is building the same engine."""


class BuildCancelled(EngineError):
    """The user, or a node that shuts down, wanted no engine any more."""

    def __init__(self, model: str) -> None:
        super().__init__(f"the engine of model '{model}' was not built: cancelled; nothing was changed")


class CalibrationError(PerceptionError):
    """Intrinsics or extrinsics cannot be used for metres."""


class BagError(PerceptionError):
    """A recording cannot be read or written."""
