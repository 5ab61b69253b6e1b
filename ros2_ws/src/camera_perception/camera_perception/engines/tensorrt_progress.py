"""How far a build is: TensorRT's nested phases as one number, and its way to be stopped."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock

import tensorrt as trt

# Called with a phase and how much of the whole is done, 0..1; returning False cancels the build.
Progress = Callable[[str, float], bool]


class ProgressMonitor(trt.IProgressMonitor):
    """Turns TensorRT's nested phases into one number that only grows. TensorRT calls it from any of its threads.

    What the callback raises must not travel through TensorRT: it cancels the build, and `failure` has it then.
    """

    def __init__(self, progress: Progress) -> None:
        trt.IProgressMonitor.__init__(self)
        self._progress = progress
        self._phases: dict[str, tuple[str | None, int, int]] = {}  # name: parent, steps, done
        self._share = 0.0
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
            self._share = max(self._share, self._total())
            self.cancelled = self.cancelled or not self._tell(phase_name)
            return not self.cancelled

    def phase_finish(self, phase_name: str) -> None:
        with self._lock:
            self._phases.pop(phase_name, None)

    def _tell(self, phase: str) -> bool:
        try:
            return self._progress(phase, self._share) is not False
        except KeyboardInterrupt:
            return False
        except Exception as error:
            self.failure = error
            return False

    def _total(self) -> float:
        """Of the outermost phase, with the part of its present step that inner phases have done."""
        return max((self._done(name) for name, (parent, _, _) in self._phases.items() if not parent), default=0.0)

    def _done(self, name: str) -> float:
        _, steps, done = self._phases[name]
        inner = [self._done(child) for child, (parent, _, _) in self._phases.items() if parent == name]
        return min((done + max(inner, default=0.0)) / steps, 1.0)
