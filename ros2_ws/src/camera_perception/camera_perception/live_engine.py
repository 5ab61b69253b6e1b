"""Engines that change under a running pipeline: built in the background, swapped between two frames."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from camera_perception.engines import Engine, Slot, Tensor
from camera_perception.errors import EngineError, PerceptionError


class LiveEngine:
    """An Engine whose inside can be replaced from any thread; frames in flight finish in the engine that began them.

    Used by one pipeline like any engine. `replace_by` takes an engine that has passed its reference check already
    (load_engine and build_engine see to that); what does not have the same tensors is refused and closed.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._owners: dict[int, Engine] = {}  # id of a slot in flight: whose it is
        self._retired: list[Engine] = []
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return self._engine.name

    @property
    def engine_id(self) -> str:
        return self._engine.engine_id

    @property
    def precision(self) -> str:
        return self._engine.precision

    @property
    def input(self) -> Tensor:
        return self._engine.input

    @property
    def outputs(self) -> Mapping[str, Tensor]:
        return self._engine.outputs

    @property
    def slots(self) -> int:
        return self._engine.slots

    def acquire(self) -> Slot:
        with self._lock:
            slot = self._engine.acquire()
            self._owners[id(slot)] = self._engine
            return slot

    def submit(self, slot: Slot) -> None:
        self._owners[id(slot)].submit(slot)

    def wait(self, slot: Slot) -> None:
        self._owners[id(slot)].wait(slot)

    def release(self, slot: Slot) -> None:
        """The thread that works closes what is no longer needed: an engine is used by one thread."""
        with self._lock:
            owner = self._owners.pop(id(slot))
            busy = {id(engine) for engine in self._owners.values()}
            idle = [engine for engine in self._retired if id(engine) not in busy]
            self._retired = [engine for engine in self._retired if id(engine) in busy]
        try:
            owner.release(slot)
        finally:
            for engine in idle:
                engine.close()

    def replace_by(self, engine: Engine) -> None:
        """From the next frame on; the old engine is closed when its last frame is through."""
        if problem := _difference(self._engine, engine):
            engine.close()
            raise EngineError(f"{engine.name} cannot replace {self.name}: {problem}; load it as a new model")
        with self._lock:
            self._retired.append(self._engine)
            self._engine = engine

    def close(self) -> None:
        with self._lock:
            owned, self._retired = [self._engine, *self._retired], []
        for engine in owned:
            engine.close()


def _difference(old: Engine, new: Engine) -> str:
    if new.input != old.input:
        return f"its input is {new.input.shape} {new.input.dtype}, not {old.input.shape} {old.input.dtype}"
    missing = [name for name, tensor in old.outputs.items() if new.outputs.get(name) != tensor]
    return f"output '{missing[0]}' is missing or different" if missing else ""


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
