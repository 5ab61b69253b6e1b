"""Requests in any order: random transitions, random parameters, fifty loads at once. Every one gets an answer."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import SetParameters

from camera_perception_msgs.srv import LoadModel
from camera_perception_ros.bench.reliability.figures import Held, Outcome, left_behind, segments
from camera_perception_ros.bench.reliability.outside import ANSWER
from camera_perception_ros.bench.reliability.pressure import Pressure
from camera_perception_ros.bench.reliability.rounds import Rounds

LOADS = 50
SEQUENCE = 10  # requests per round
TRANSITIONS = (1, 2, 3, 4, 0, 9, 99, 255)  # configure, cleanup, activate, deactivate; the rest must be refused
WAY = {"unconfigured": (1, 3), "inactive": (3,), "active": ()}  # transitions that lead to active
NAMES = (
    "model",
    "engine",
    "max_input_age",
    "jpeg_quality",
    "objects_threshold",
    "camera_pose",
    "silence",
    "",
    "nobody",
)


@dataclass(frozen=True)
class Requests:
    """Requests to the node of a Pressure."""

    pressure: Pressure

    def lifecycle(self, rounds: Rounds) -> Outcome:
        """Random transitions, one after the other, then back to active."""
        change = self._client(ChangeState, "change_state")

        def ask(number: int) -> list[Any]:
            return [self._done(change, ChangeState.Request(transition=_transition())) for _ in range(SEQUENCE)]

        return self._measured("random transitions", rounds, ask)

    def parameters(self, rounds: Rounds) -> Outcome:
        """Random parameters with random values of random types, all at once."""
        client = self._client(SetParameters, "set_parameters")

        def ask(number: int) -> list[Any]:
            return [client().call_async(SetParameters.Request(parameters=[_parameter()])) for _ in range(SEQUENCE)]

        return self._measured("random parameters", rounds, ask)

    def loads(self, rounds: Rounds) -> Outcome:
        """Fifty callers of load_model at once; every second asks for a folder that does not exist."""
        client, folder = self._client(LoadModel, "load_model"), str(self.pressure.model)

        def ask(number: int) -> list[Any]:
            paths = [folder if each % 2 == 0 else "/no/such/model" for each in range(LOADS)]
            return [client().call_async(LoadModel.Request(path=path)) for path in paths]

        return self._measured(f"{LOADS} concurrent loads", rounds, ask)

    def _client(self, kind: Any, name: str) -> Callable[[], Any]:
        """The client, made when the node runs."""
        made: list[Any] = []

        def client() -> Any:
            if not made:
                made.append(self.pressure.outside.client(kind, f"/{self.pressure.camera}/camera/{name}"))
            return made[0]

        return client

    def _done(self, client: Callable[[], Any], request: Any) -> Any:
        future = client().call_async(request)
        self.pressure.outside.wait(future.done, ANSWER)
        return future

    def _measured(self, name: str, rounds: Rounds, ask: Callable[[int], list[Any]]) -> Outcome:
        """Rounds of requests; after each, the node has to become active again and answer an image."""
        outside, processes, camera = self.pressure.outside, self.pressure.processes, self.pressure.camera
        self.pressure.start()
        held = Held.by(processes.pid(camera))
        recovered, slowest, unanswered, asked = 0, 0.0, 0, 0
        for number in rounds:
            futures = ask(number)
            asked += len(futures)
            unanswered += outside.unanswered(futures, ANSWER)
            began = time.monotonic()
            recovered += self._revived(began)
            slowest = max(slowest, time.monotonic() - began)
        grown = Held.by(processes.pid(camera)).since(held)
        created = segments(processes.pid(camera))
        processes.stop(camera)
        remark = f"{asked - unanswered} of {asked} requests answered"
        return Outcome(name, rounds.done, recovered, slowest, unanswered, left_behind(created), grown, remark)

    def _revived(self, began: float) -> bool:
        """Lead the node back to active; whether it answers an image then."""
        flow = self.pressure.flow
        state = self._done(self._client(GetState, "get_state"), GetState.Request())
        label = state.result().current_state.label if state.done() else ""
        change = self._client(ChangeState, "change_state")
        model = ParameterValue(type=4, string_value=str(self.pressure.model))
        for step in WAY.get(label, ()):
            if step == 1:
                request = SetParameters.Request(parameters=[Parameter(name="model", value=model)])
                self._done(self._client(SetParameters, "set_parameters"), request)
            self._done(change, ChangeState.Request(transition=Transition(id=step)))
        return self.pressure.outside.wait(lambda: flow.served_since(began), ANSWER)


def _transition() -> Transition:
    return Transition(id=random.choice(TRANSITIONS))


def _parameter() -> Parameter:
    """A parameter that may exist, with a value that may be right, of a type that may be known."""
    value = ParameterValue(type=random.choice((*range(12), 200)))
    value.double_value = random.choice((0.5, -1.0, float("nan"), float("inf"), 1e300))
    value.integer_value = random.choice((0, 1, -1, 2**63 - 1))
    value.string_value = random.choice(("", "auto", "x" * 10_000))
    value.double_array_value = [value.double_value] * random.choice((0, 6, 1000))
    return Parameter(name=random.choice(NAMES), value=value)
