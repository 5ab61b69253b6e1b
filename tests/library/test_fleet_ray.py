"""The pool of Ray actors against a stand-in for Ray: results, lost actors, hanging units, back-pressure."""

from __future__ import annotations

import time

import fake_ray
import pytest

pytest.importorskip("pyarrow", reason="needs pyarrow: make setup-fleet")

from camera_perception.tools.fleet.work import ray_pool
from camera_perception.tools.fleet.work.units import Job, Recording, Unit


def unit(name):
    return Unit("run", Recording(name, 1, name))


class Actor:
    """Does units by their names."""

    deaths: dict[str, int] = {}

    def __init__(self, job, out):
        pass

    def perform(self, unit):
        name = unit.recording.address
        if name == "hangs":
            time.sleep(30)
        if name == "busy":
            return None, "the disk is full"
        if name == "wrong":
            raise ValueError("a bug")
        if self.deaths.get(name, 0) > 0:
            self.deaths[name] -= 1
            raise fake_ray.ActorDiedError("gone")
        return {**unit.row, "status": "ok"}, ""


def outcomes(monkeypatch, names, workers=2, deadline=60.0, deaths=None):
    monkeypatch.setattr(Actor, "deaths", dict(deaths or {}))
    monkeypatch.setattr(ray_pool, "START_SECONDS", 0.0)
    told = fake_ray.install(monkeypatch, Actor)
    found = ray_pool.run_ray(map(unit, names), Job("m", "e", threads=2), "out", workers, deadline, "local")
    return {each.unit.recording.address: each for each in found}, told


def test_every_unit_is_done_once_and_the_actors_end(monkeypatch):
    found, told = outcomes(monkeypatch, [str(n) for n in range(9)])
    assert {name: each.row["status"] for name, each in found.items()} == {str(n): "ok" for n in range(9)}
    assert told.made == len(told.killed) == 2
    assert told.options[0]["num_cpus"] == 2
    assert told.init[0]["num_cpus"] == 4
    assert outcomes(monkeypatch, [])[0] == {}


def test_a_unit_whose_actor_dies_is_tried_again_and_then_a_row(monkeypatch):
    found, told = outcomes(monkeypatch, ["fine", "once", "always"], deaths={"once": 1, "always": 9})
    assert found["fine"].row["status"] == found["once"].row["status"] == "ok"
    assert found["always"].row["status"] == "failed"
    assert "the worker died (ActorDiedError)" in found["always"].row["reason"]
    assert told.made == 2 + 3


def test_a_unit_that_hangs_is_a_row_and_its_actor_is_replaced(monkeypatch):
    found, told = outcomes(monkeypatch, ["hangs", "a", "b"], workers=1, deadline=1.5)
    assert found["hangs"].row["reason"].startswith("no result within 1.5 s")
    assert found["a"].row["status"] == found["b"].row["status"] == "ok"
    assert told.made == 2


def test_what_is_not_the_recordings_fault_is_left(monkeypatch):
    found, _ = outcomes(monkeypatch, ["busy", "wrong", "a"])
    assert (found["busy"].row, found["busy"].error) == (None, "the disk is full")
    assert (found["wrong"].row, found["wrong"].error) == (None, "a bug")
    assert found["a"].row["status"] == "ok"


def test_no_more_units_are_taken_than_there_are_actors(monkeypatch):
    taken = []

    def units():
        for number in range(6):
            taken.append(number)
            yield unit(str(number))

    fake_ray.install(monkeypatch, Actor)
    for done, _ in enumerate(ray_pool.run_ray(units(), Job("m", "e"), "out", 2, 60.0, "auto"), 1):
        assert len(taken) <= done + 2


def test_a_cluster_that_does_not_answer_is_one_sentence(monkeypatch):
    told = fake_ray.install(monkeypatch)
    assert told.init == []

    def fails(**options):
        raise ConnectionError("nobody there")

    import sys

    sys.modules["ray"].init = fails
    with pytest.raises(ray_pool.StoreError, match="--ray auto: no cluster answers"):
        list(ray_pool.run_ray(iter([unit("a")]), Job("m", "e"), "out", 1, 60.0, "auto"))
    with pytest.raises(ray_pool.StoreError, match="Ray did not start here .nobody there.: run again"):
        list(ray_pool.run_ray(iter([unit("a")]), Job("m", "e"), "out", 1, 60.0, "local"))
