"""Units in Ray actors, on this machine or on a cluster. One engine per actor, one unit in flight per actor."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from camera_perception.tools.fleet.store.storage import StoreError
from camera_perception.tools.fleet.work.local_pool import DIED, HUNG, POLL, START_SECONDS, TRIES, Outcome, given_up
from camera_perception.tools.fleet.work.perform import PASSING, Performer
from camera_perception.tools.fleet.work.units import Job, Unit

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
for _timeout in ("RAY_raylet_start_wait_time_s", "RAY_worker_register_timeout_seconds"):
    os.environ.setdefault(_timeout, "300")  # Ray's own are too short for a machine that is busy


def run_ray(
    units: Iterator[Unit], job: Job, out: str, workers: int, deadline: float, address: str
) -> Iterator[Outcome]:
    """As run_local, with actors.

    address  "local": start Ray here; "auto": the cluster of this machine or of RAY_ADDRESS; else its address
    """
    ray = connect(address, workers * max(job.threads, 1))
    actor_class = _actor_class(ray, job)
    actors = [actor_class.remote(job, out) for _ in range(workers)]
    new = set(range(workers))  # actors whose first unit also opens the engine
    flying: dict[Any, tuple[int, Unit, float]] = {}
    tries, waiting = Counter[str](), list[Unit]()
    try:
        while True:
            idle = set(range(workers)) - {number for number, _, _ in flying.values()}
            for number in sorted(idle):
                if unit := waiting.pop() if waiting else next(units, None):
                    flying[actors[number].perform.remote(unit)] = number, unit, time.monotonic()
            if not flying:
                return
            ready, _ = ray.wait(list(flying), timeout=POLL)
            late = [
                ref
                for ref, (number, _, since) in flying.items()
                if time.monotonic() - since > deadline + START_SECONDS * (number in new)
            ]
            for ref in {*ready, *late}:
                number, unit, _ = flying.pop(ref)
                new.discard(number)
                outcome = _outcome(ray, ref, unit, deadline, ref in ready)
                if outcome.error.startswith((DIED, HUNG)):
                    ray.kill(actors[number])
                    actors[number] = actor_class.remote(job, out)
                    new.add(number)
                tries[unit.key] += 1
                if outcome.error.startswith(DIED) and tries[unit.key] < TRIES:
                    waiting.append(unit)
                    continue
                yield given_up(outcome)
    finally:
        for actor in actors:
            ray.kill(actor)
        ray.shutdown()


def connect(address: str, cpus: int) -> Any:
    """Ray, connected; StoreError when it is missing or the cluster does not answer."""
    try:
        import ray
    except ImportError as error:
        raise StoreError("--ray needs Ray: pip install camera_perception[fleet], or leave --ray out") from error
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    options |= (
        {"num_cpus": cpus, "include_dashboard": False, "object_store_memory": 128 << 20}
        if address == "local"
        else {"address": address}
    )
    try:
        ray.init(**options)
    except Exception as error:  # ConnectionError, RuntimeError, ValueError, by its version
        reason = str(error)[:200]
        if address == "local":
            raise StoreError(f"Ray did not start here ({reason}): run again when the machine is less busy") from error
        raise StoreError(f"--ray {address}: no cluster answers ({reason}): start one, or --ray local") from error
    return ray


def _outcome(ray: Any, ref: Any, unit: Unit, deadline: float, ready: bool) -> Outcome:
    if not ready:
        return Outcome(unit, None, f"{HUNG} {deadline:g} s: the actor was stopped")
    try:
        row, error = ray.get(ref)
        return Outcome(unit, row, error)
    except ray.exceptions.RayTaskError as error:  # the actor's start failed, or a bug
        return Outcome(unit, None, str(error.cause)[:300])
    except ray.exceptions.RayError as error:
        return Outcome(unit, None, f"{DIED} ({type(error).__name__}): out of memory, a lost node, or a native fault")


def _actor_class(ray: Any, job: Job) -> Any:
    """Restarted by Ray where its process or node is lost, with the unit that it had."""
    options = {"num_cpus": max(job.threads, 1), "max_restarts": 4, "max_task_retries": 1}
    return ray.remote(**options)(Actor)


class Actor:
    """A Performer that starts with its first unit, and counts for Prometheus."""

    def __init__(self, job: Job, out: str) -> None:
        from ray.util import metrics

        os.environ["OMP_NUM_THREADS"] = str(max(job.threads, 1))
        self._args = job, out
        self._performer: Performer | None = None
        tags = ("status",)
        self._units = metrics.Counter("fleet_units", description="Units of work", tag_keys=tags)
        self._frames = metrics.Counter("fleet_frames", description="Images processed")
        self._seconds = metrics.Histogram("fleet_unit_seconds", "Wall time of a unit", boundaries=[1, 10, 60, 600])

    def perform(self, unit: Unit) -> tuple[dict[str, Any] | None, str]:
        try:
            performer = self._performer = self._performer or Performer(*self._args)
            row = performer.perform(unit)
        except PASSING as error:
            return None, str(error) or type(error).__name__
        self._units.inc(tags={"status": row["status"]})
        self._frames.inc(max(int(row["frames"]), 0) or 1e-9)
        self._seconds.observe(max(row["wall_seconds"], 1e-6))
        return row, ""
