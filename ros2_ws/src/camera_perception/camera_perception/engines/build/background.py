"""A build that goes on behind a running pipeline: how far it is, how it ended, and how to stop it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from camera_perception.core.errors import PerceptionError


@dataclass(frozen=True)
class BuildState:
    """For diagnostics. phase in TensorRT's words; share 0..1; state is building, done, failed or cancelled."""

    state: str = "building"
    phase: str = ""
    share: float = 0.0
    message: str = ""

    @property
    def text(self) -> str:
        """One line for people."""
        return f"building the engine: {self.share:.0%} ({self.phase})" if self.state == "building" else self.message


class Built(Protocol):
    """What a build makes: an engine, or a model around one."""

    @property
    def name(self) -> str: ...

    def close(self) -> Any: ...


BuiltT = TypeVar("BuiltT", bound=Built)


class BackgroundBuild(Generic[BuiltT]):
    """Runs a build in a thread of its own, which TensorRT leaves without holding Python up.

    build     takes a progress callback and returns a checked engine:
              lambda progress: (build_engine(spec, progress=progress), load_engine(spec, "tensorrt"))[1]
    finished  called with that engine in the build's thread, for example LiveEngine.replace_by
    """

    def __init__(
        self, build: Callable[[Callable[[str, float], bool]], BuiltT], finished: Callable[[BuiltT], Any]
    ) -> None:
        self._state, self._stop = BuildState(), threading.Event()
        self._build, self._finished = build, finished
        self._thread = threading.Thread(target=self._run, name="engine build", daemon=True)
        self._thread.start()

    @property
    def state(self) -> BuildState:
        return self._state

    def cancel(self) -> None:
        """Ask it to stop; it does at TensorRT's next step."""
        self._stop.set()

    def join(self, timeout: float | None = None) -> bool:
        """False when it still runs after timeout seconds."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _progress(self, phase: str, share: float) -> bool:
        self._state = replace(self._state, phase=phase, share=share)
        return not self._stop.is_set()

    def _run(self) -> None:
        try:
            engine = self._build(self._progress)
            if self._stop.is_set():
                engine.close()
            else:
                self._finished(engine)
        except PerceptionError as error:
            self._end("cancelled" if self._stop.is_set() else "failed", str(error))
        except Exception as error:  # a thread that dies silently would leave "building" for ever
            self._end("failed", f"the build broke off ({error!r}): run `camera-perception build-engine` by hand")
        else:
            self._end("cancelled" if self._stop.is_set() else "done", f"{engine.name} is in use")

    def _end(self, state: str, message: str) -> None:
        self._state = replace(self._state, state=state, message=message)
