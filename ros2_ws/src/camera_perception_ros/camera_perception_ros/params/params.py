"""Parameters are a dataclass: one place names, types, bounds and explains each of them."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable
from dataclasses import MISSING, Field, field, fields, replace
from typing import Any, Generic, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from camera_perception.core.errors import PerceptionError

P = TypeVar("P")

# Declared by rclpy itself, so never unknown.
OF_RCLPY = ("use_sim_time", "start_type_description_service")


class ParameterError(PerceptionError):
    """A parameter has an unknown name or an impossible value."""


def param(
    default: Any,
    description: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    read_only: bool = False,
    live: bool = False,
) -> Any:
    """A dataclass field that is a ROS parameter.

    low, high  closed range of a number
    read_only  fixed when the process starts
    live       may change while the node is active; the others only while it is unconfigured
    """
    about = {
        "description": description,
        "low": low,
        "high": high,
        "choices": choices,
        "read_only": read_only,
        "live": live,
    }
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=about)
    return field(default=default, metadata=about)


def default_of(entry: Field) -> Any:
    """The value a parameter has when nobody gives one."""
    return entry.default_factory() if entry.default_factory is not MISSING else entry.default


def descriptor(entry: Field) -> ParameterDescriptor:
    """What `ros2 param describe` shows."""
    about = entry.metadata
    described = ParameterDescriptor(name=entry.name, description=about["description"], read_only=about["read_only"])
    if about["choices"]:
        described.additional_constraints = "one of " + ", ".join(about["choices"])
    if about["low"] is not None or about["high"] is not None:
        low = -math.inf if about["low"] is None else about["low"]
        high = math.inf if about["high"] is None else about["high"]
        if isinstance(default_of(entry), float):
            described.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=float(high), step=0.0)]
        else:
            described.integer_range = [IntegerRange(from_value=int(low), to_value=int(min(high, 2**62)), step=1)]
    return described


def check(values: Any) -> None:
    """ParameterError for the first value outside its choices, or for what the dataclass's own `check` refuses."""
    for entry in fields(values):
        value, choices = getattr(values, entry.name), entry.metadata["choices"]
        if choices and value not in choices:
            raise ParameterError(f"parameter '{entry.name}' is '{value}': expected one of {', '.join(choices)}")
        if isinstance(value, float) and math.isnan(value):
            raise ParameterError(f"parameter '{entry.name}' is not a number: give a finite value")
    own = getattr(values, "check", None)
    if own is not None:
        own()


def reject_unknown(given: Iterable[str], known: Iterable[str]) -> None:
    """ParameterError for names nobody declared, with the nearest name that exists."""
    known = list(known)
    for name in given:
        if name in known or name in OF_RCLPY or name.startswith("qos_overrides."):
            continue
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(sorted(known))}"
        raise ParameterError(f"unknown parameter '{name}': {hint}")


class Parameters(Generic[P]):
    """The parameters of one node: declared once, always valid, some of them changed live.

    changed is called with the new values after a change; frozen() says whether only live ones may change now.
    """

    def __init__(
        self,
        node: Node,
        cls: type[P],
        changed: Callable[[P], None] = lambda values: None,
        frozen: Callable[[], bool] = lambda: False,
    ) -> None:
        self._node, self._cls, self._changed, self._frozen = node, cls, changed, frozen
        self._fields = {entry.name: entry for entry in fields(cls)}  # type: ignore[arg-type]
        for entry in self._fields.values():
            node.declare_parameter(entry.name, default_of(entry), descriptor(entry))
        node.add_on_set_parameters_callback(self._on_set)

    def read(self) -> P:
        """The values as they are now; ParameterError when a name is unknown or a value impossible."""
        # The only way to see names that were given but never declared; the attribute is the same from Humble to Kilted.
        reject_unknown(getattr(self._node, "_parameter_overrides", {}), self._fields)
        values = self._cls(**{name: _plain(self._node.get_parameter(name).value) for name in self._fields})
        check(values)
        return values

    def _on_set(self, changes: list[Parameter]) -> SetParametersResult:
        ours = {change.name: _plain(change.value) for change in changes if change.name in self._fields}
        if not ours:
            return SetParametersResult(successful=True)
        late = [name for name in ours if self._frozen() and not self._fields[name].metadata["live"]]
        if late:
            return SetParametersResult(
                successful=False, reason=f"'{late[0]}' cannot change now: deactivate and clean up the node first"
            )
        try:
            values = replace(self.read(), **ours)  # type: ignore[type-var]
            check(values)
        except ParameterError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self._changed(values)
        return SetParametersResult(successful=True)


def _plain(value: Any) -> Any:
    """Arrays come as array.array or list: always a list for us."""
    return list(value) if not isinstance(value, (str, bytes, int, float, bool)) and value is not None else value
