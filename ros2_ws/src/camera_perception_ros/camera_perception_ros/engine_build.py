"""A TensorRT engine built while the node runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from camera_perception.build_engine import build_engine, chosen_variant
from camera_perception.errors import EngineBusy, EngineError
from camera_perception.model_spec import load_spec
from camera_perception_ros.model import Model, ModelChoice

LOOK = 0.5  # seconds between two tries where somebody else is building


def built_model(
    choice: ModelChoice, open_model: Callable[[ModelChoice], Model], progress: Callable[[str, float], bool]
) -> Model:
    """Build the engine that a choice lacks, then open it. Cameras that want the same engine wait for the first one."""
    spec = chosen_variant(load_spec(choice.folder), choice.backend.partition(":")[2] or "auto")
    while True:
        try:
            build_engine(spec, progress=progress)
            break
        except EngineBusy:
            if not progress("another process builds it", 0.0):
                raise EngineError("the build was cancelled; nothing was changed") from None
            time.sleep(LOOK)
    return open_model(replace(choice, backend=f"tensorrt:{spec.precision}"))
