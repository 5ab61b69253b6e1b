"""An engine build in a background thread, beside a running pipeline: progress, outcome, cancellation."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from camera_perception.core.errors import PerceptionError
from camera_perception.engines.serving.model import Model
from camera_perception.engines.tensorrt.manifest import Progress

CANCELLED = "the engine build was cancelled; nothing was changed"


@dataclass(frozen=True)
class BuildState:
    """State of a build, for diagnostics.

    state    "building", "done", "failed" or "cancelled"
    phase    TensorRT's name of what it is doing
    fraction done, 0..1
    message  outcome, once it has ended
    """

    state: str = "building"
    phase: str = ""
    fraction: float = 0.0
    message: str = ""

    @property
    def text(self) -> str:
        """One line for people."""
        return f"building the engine: {self.fraction:.0%} ({self.phase})" if self.state == "building" else self.message


class BackgroundBuild:
    """Builds a model's engine in a thread of its own; TensorRT does not hold the GIL while it builds.

    build     takes a progress callback and returns an opened model, whose engine passed its checks
    finished  called with that model in the build's thread; takes it over, and closes it if the build was cancelled,
              which the function that it is given says: to be asked when nothing can happen any more before the model
              is in use
    """

    def __init__(
        self, build: Callable[[Progress], Model], finished: Callable[[Model, Callable[[], bool]], None]
    ) -> None:
        self._state, self._stop = BuildState(), threading.Event()
        self._build, self._finished = build, finished
        self._thread = threading.Thread(target=self._run, name="engine build", daemon=True)
        self._thread.start()

    @property
    def state(self) -> BuildState:
        return self._state

    def cancel(self) -> None:
        """Ask the build to stop, which it does at TensorRT's next step."""
        self._stop.set()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end of the build; False when it still runs after timeout seconds."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _progress(self, phase: str, fraction: float) -> bool:
        self._state = replace(self._state, phase=phase, fraction=fraction)
        return not self._stop.is_set()

    def _run(self) -> None:
        try:
            model = self._build(self._progress)
            self._finished(model, self._stop.is_set)
        except PerceptionError as error:
            self._end("cancelled" if self._stop.is_set() else "failed", str(error))
        except Exception as error:  # a thread that ended silently would leave the state at "building"
            text = f"the build failed ({error!r}): run `camera-perception build-engine` by hand"
            self._end(*(("cancelled", CANCELLED) if self._stop.is_set() else ("failed", text)))
        else:
            self._end(*(("cancelled", CANCELLED) if self._stop.is_set() else ("done", f"{model.name} is in use")))

    def _end(self, state: str, message: str) -> None:
        self._state = replace(self._state, state=state, message=message)
