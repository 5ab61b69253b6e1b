"""Progress of a TensorRT build: its nested phases as one number, and the way to cancel it."""

from __future__ import annotations

from threading import RLock

from camera_perception.engines.tensorrt.manifest import Progress
from camera_perception.engines.tensorrt.package import trt


class ProgressMonitor(trt.IProgressMonitor):
    """Turns TensorRT's nested phases into one number that only grows. TensorRT calls it from any of its threads.

    An exception of the callback must not pass through TensorRT: it cancels the build and is kept in `failure`.
    """

    def __init__(self, progress: Progress) -> None:
        trt.IProgressMonitor.__init__(self)
        self._progress = progress
        self._phases: dict[str, tuple[str | None, int, int]] = {}  # name: parent, steps, steps done
        self._fraction = 0.0
        self._lock = RLock()
        self.cancelled = False
        self.failure: Exception | None = None

    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
        with self._lock:
            self._phases[phase_name] = parent_phase, max(num_steps, 1), 0

    def step_complete(self, phase_name: str, step: int) -> bool:
        with self._lock:
            parent, steps, _ = self._phases.get(phase_name, (None, 1, 0))
            self._phases[phase_name] = parent, steps, min(step + 1, steps)
            self._fraction = max(self._fraction, self._total())
            self.cancelled = self.cancelled or not self._report(phase_name)
            return not self.cancelled

    def phase_finish(self, phase_name: str) -> None:
        with self._lock:
            self._phases.pop(phase_name, None)

    def finish(self) -> None:
        """The build is done: TensorRT's own steps end a little earlier, at 99 % or less."""
        with self._lock:
            self._fraction = 1.0
            self._report("the engine is built")

    def _report(self, phase: str) -> bool:
        try:
            return self._progress(phase, self._fraction) is not False
        except KeyboardInterrupt:
            return False
        except Exception as error:
            self.failure = error
            return False

    def _total(self) -> float:
        """Fraction done of the outermost phase; inner phases count as parts of its current step."""
        return max((self._done(name) for name, (parent, _, _) in self._phases.items() if not parent), default=0.0)

    def _done(self, name: str) -> float:
        _, steps, done = self._phases[name]
        inner = [self._done(child) for child, (parent, _, _) in self._phases.items() if parent == name]
        return min((done + max(inner, default=0.0)) / steps, 1.0)
