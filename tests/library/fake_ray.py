"""What the data engine needs of Ray, in threads of this process: actors that end, die and hang as a test wants."""

from __future__ import annotations

import sys
import threading
import time
from types import ModuleType, SimpleNamespace


class RayError(Exception):
    pass


class RayTaskError(RayError):
    def __init__(self, cause):
        super().__init__(str(cause))
        self.cause = cause


class ActorDiedError(RayError):
    pass


class Reference:
    """The result of a call, once it is there."""

    def __init__(self, work):
        self.done, self.value, self.error = False, None, None
        threading.Thread(target=self._run, args=(work,), daemon=True).start()

    def _run(self, work):
        try:
            self.value = work()
        except BaseException as error:
            self.error = error if isinstance(error, RayError) else RayTaskError(error)
        self.done = True


class Handle:
    """An actor, made with its first call."""

    def __init__(self, make):
        self._make, self._actor, self.killed = make, None, False
        self.perform = SimpleNamespace(remote=lambda unit: Reference(lambda: self._call(unit)))

    def _call(self, unit):
        self._actor = self._actor or self._make()
        return self._actor.perform(unit)


class Metric:
    def __init__(self, name, description="", tag_keys=None, boundaries=None):
        assert boundaries is None or min(boundaries) > 0

    def inc(self, value=1.0, tags=None):
        assert value > 0

    def observe(self, value, tags=None):
        assert value > 0


def wait(references, num_returns=1, timeout=None):
    stop = time.monotonic() + timeout
    while time.monotonic() < stop and not any(each.done for each in references):
        time.sleep(0.002)
    ready = [each for each in references if each.done][:num_returns]
    return ready, [each for each in references if each not in ready]


def get(reference):
    if reference.error:
        raise reference.error
    return reference.value


def install(monkeypatch, actor=None):
    """Put the fake in the place of Ray; returns what it was told. `actor` takes the place of the actor's class."""
    told = SimpleNamespace(init=[], options=[], killed=[], made=0)
    ray, util, metrics = ModuleType("ray"), ModuleType("ray.util"), ModuleType("ray.util.metrics")

    def remote(**options):
        told.options.append(options)

        def wrap(cls):
            def make(*args):
                told.made += 1
                return Handle(lambda: (actor or cls)(*args))

            return SimpleNamespace(remote=make)

        return wrap

    ray.init, ray.remote, ray.wait, ray.get = lambda **options: told.init.append(options), remote, wait, get
    ray.kill, ray.shutdown = told.killed.append, lambda: None
    ray.exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)
    metrics.Counter = metrics.Histogram = Metric
    util.metrics, ray.util = metrics, util
    for name, module in (("ray", ray), ("ray.util", util), ("ray.util.metrics", metrics)):
        monkeypatch.setitem(sys.modules, name, module)
    return told
