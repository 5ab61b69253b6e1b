"""Engines shared by several cameras: each camera gets its own results, and none blocks the others."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from camera_perception.core.errors import EngineError
from camera_perception.engines import EngineInfo, Tensor
from camera_perception.engines.serving import batched_engine, pool
from camera_perception.engines.serving.batched_engine import BatchedEngine
from camera_perception.engines.serving.model import ModelRequest
from camera_perception.engines.serving.shared_engine import SharedEngine
from camera_perception.engines.slots import FreeSlots

BATCH = 3


class Doubling:
    """A batch of three whose outputs are twice the inputs; counts its runs, and fails with `fails` when that is set."""

    info, spec, slots = EngineInfo("doubling", "0", "doubling", "", "fp32", "cpu"), None, 1
    input = Tensor("images", (BATCH, 2), np.dtype(np.uint8))
    outputs = {"out": Tensor("out", (BATCH, 2), np.dtype(np.uint8))}

    def __init__(self) -> None:
        images, out = (np.zeros((BATCH, 2), np.uint8) for _ in range(2))
        self._free = FreeSlots([SimpleNamespace(images=images, outputs={"out": out})])
        self.runs, self.fails, self.closed = 0, "", False

    def acquire(self) -> Any:
        return self._free.acquire()

    def submit(self, slot: Any) -> None:
        self.runs += 1
        if self.fails:
            raise EngineError(self.fails)
        time.sleep(0.002)
        slot.outputs["out"][:] = 2 * slot.images

    def wait(self, slot: Any) -> None:
        pass

    def release(self, slot: Any) -> None:
        self._free.release(slot)

    def close(self) -> None:
        self.closed = True


def run_camera(engine: BatchedEngine, value: int) -> int:
    """Run one image of a camera and return its result."""
    slot = engine.acquire()
    try:
        slot.images[0] = value
        engine.submit(slot)
        engine.wait(slot)
        return int(slot.outputs["out"][0, 0])
    finally:
        engine.release(slot)


def shared(users: int) -> tuple[BatchedEngine, Doubling]:
    inner = Doubling()
    engine = BatchedEngine(inner)  # type: ignore[arg-type]
    engine.users = users
    return engine, inner


def in_threads(*works: Any) -> None:
    threads = [threading.Thread(target=work, daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


@pytest.mark.parametrize("cameras", [1, 2, 3, 5])
def test_every_camera_gets_its_own_answers(cameras):
    engine, inner = shared(cameras)
    got: dict[int, list[int]] = {}

    def camera(number: int) -> None:
        got[number] = [run_camera(engine, 10 * number + round) for round in range(10)]

    in_threads(*(lambda number=number: camera(number) for number in range(cameras)))
    assert got == {number: [2 * (10 * number + round) for round in range(10)] for number in range(cameras)}
    assert inner._free.acquire()


def test_simultaneous_cameras_run_the_network_once(monkeypatch):
    monkeypatch.setattr(batched_engine, "MAX_WAIT", 10.0)
    engine, inner = shared(3)
    in_threads(*(lambda value=value: run_camera(engine, value) for value in range(3)))
    assert inner.runs == 1


def test_a_camera_without_company_runs_after_the_wait():
    engine, inner = shared(3)
    assert run_camera(engine, 7) == 14
    assert inner.runs == 1


def test_a_failure_reaches_every_camera_and_ends_with_the_batch():
    engine, inner = shared(3)
    inner.fails = "the accelerator went away: look at dmesg"
    messages: list[str] = []

    def camera() -> None:
        with pytest.raises(EngineError) as caught:
            run_camera(engine, 1)
        messages.append(str(caught.value))

    in_threads(camera, camera, camera)
    assert messages == [inner.fails] * 3
    inner.fails = ""
    assert run_camera(engine, 2) == 4


def test_a_camera_that_gives_up_does_not_block_the_others():
    engine, _ = shared(2)
    unsubmitted = engine.acquire()
    thread = threading.Thread(target=lambda: run_camera(engine, 1), daemon=True)
    thread.start()
    engine.release(unsubmitted)
    thread.join(10)
    assert not thread.is_alive()
    gone = engine.acquire()
    engine.submit(gone)
    engine.release(gone)
    assert run_camera(engine, 3) == 6


def test_two_cameras_replace_a_failed_engine_once():
    engine, inner = shared(2)
    fresh = Doubling()
    model = SimpleNamespace(reopened=lambda: SimpleNamespace(engine=fresh))
    in_threads(*(lambda: engine.replace(inner, model) for _ in range(2)))
    assert engine.current is fresh
    assert run_camera(engine, 4) == 8


def test_a_pool_batches_the_cameras_of_a_model_with_a_batch(monkeypatch):
    def open_model(request: ModelRequest) -> Any:
        return SimpleNamespace(spec=None, engine=Doubling(), request=request)

    monkeypatch.setattr(pool, "open_model", open_model)
    models = pool.ModelPool()
    first, second = models.open(ModelRequest("m")), models.open(ModelRequest("m"))
    assert isinstance(first.engine, BatchedEngine)
    assert (first.engine is second.engine, first.engine.users) == (True, 2)


@pytest.mark.parametrize("engine_type", [SharedEngine, BatchedEngine])
def test_a_slot_released_twice_is_refused_and_harms_nobody(engine_type):
    inner = Doubling()
    engine = engine_type(inner)
    engine.users = 2
    slot = engine.acquire()
    engine.release(slot)
    with pytest.raises(EngineError, match="released twice"):
        engine.release(slot)
    in_threads(*(lambda value=value: engine.release(engine.acquire()) for value in range(3)))


def test_a_camera_that_closes_twice_does_not_close_the_engine_of_the_others(monkeypatch):
    made: list[Doubling] = []

    def open_model(request: ModelRequest) -> Any:
        made.append(Doubling())
        return SimpleNamespace(spec=None, engine=made[-1], request=request)

    monkeypatch.setattr(pool, "open_model", open_model)
    models = pool.ModelPool()
    first, second = models.open(ModelRequest("m")), models.open(ModelRequest("m"))
    assert first.close()
    assert first.close()
    assert not made[0].closed
    assert second.close()
    assert made[0].closed
    models.open(ModelRequest("other"))
    assert [request.folder for request in models._models] == ["other"], "closed engines are forgotten"


def test_a_model_that_never_opens_blocks_no_other_model_of_the_process(monkeypatch):
    go = threading.Event()

    def open_model(request: ModelRequest) -> Any:
        if request.folder == "stuck":
            go.wait(20)
        return SimpleNamespace(spec=None, engine=Doubling(), request=request)

    monkeypatch.setattr(pool, "open_model", open_model)
    models = pool.ModelPool()
    stuck = threading.Thread(target=lambda: models.open(ModelRequest("stuck")), daemon=True)
    stuck.start()
    in_threads(lambda: models.open(ModelRequest("m")))
    go.set()
    stuck.join(10)
    assert not stuck.is_alive()
