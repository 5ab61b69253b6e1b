"""ROS parameters from a dataclass: each field has a name, a type, a default, bounds and a description."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable
from dataclasses import MISSING, Field, field, fields, replace
from typing import Any, Generic, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from camera_perception.core.errors import PerceptionError
from camera_perception_ros.params.answered import answered

P = TypeVar("P")

CONFIGURATION_ERROR = 2  # exit status of a node that cannot run as it was configured: starting it again is useless
# Declared by rclpy itself, so never unknown.
OF_RCLPY = ("use_sim_time", "start_type_description_service")


class ParameterError(PerceptionError):
    """A parameter has an unknown name or a value that is not allowed."""


def param(
    default: Any,
    description: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    read_only: bool = False,
    live: bool = False,
    old_name: str = "",
) -> Any:
    """A dataclass field that is a ROS parameter.

    low, high  closed range of a number
    read_only  fixed when the process starts
    live       may change while the node is active; the others only while it is unconfigured
    old_name   name of an earlier release, still accepted at start with a warning
    """
    about = {
        "description": description,
        "low": low,
        "high": high,
        "choices": choices,
        "read_only": read_only,
        "live": live,
        "old_name": old_name,
    }
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=about)
    return field(default=default, metadata=about)


def default_of(entry: Field[Any]) -> Any:
    """The default value of a parameter."""
    return entry.default_factory() if entry.default_factory is not MISSING else entry.default


def descriptor(entry: Field[Any]) -> ParameterDescriptor:
    """The output of `ros2 param describe`."""
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


def declare(node: Node, name: str, default: Any, about: ParameterDescriptor) -> None:
    """Declare a parameter, again if rclpy has done so without a description; ParameterError for a value not allowed.

    Integers are accepted for floats: YAML files and command lines say 1 where 1.0 is meant.
    """
    given = _plain(node.get_parameter(name).value) if node.has_parameter(name) else None
    value = _as_floats(default, given)
    if node.has_parameter(name):
        node.undeclare_parameter(name)
    try:
        node.declare_parameter(name, default if value is None else value, about, ignore_override=value is not None)
    except (InvalidParameterTypeException, InvalidParameterValueException) as error:
        raise ParameterError(f"parameter '{name}' is '{given}': {_expected(default, about)}") from error


def _as_floats(default: Any, given: Any) -> Any:
    """Given integers as the floats that the default is made of; None for anything else."""
    if isinstance(default, float) and type(given) is int:
        return float(given)
    if isinstance(default, list) and default and isinstance(default[0], float) and isinstance(given, list):
        return [float(each) for each in given] if {type(each) for each in given} == {int} else None
    return None


def _expected(default: Any, about: ParameterDescriptor) -> str:
    for bounds in (*about.floating_point_range, *about.integer_range):
        return f"expected a number from {bounds.from_value:g} to {bounds.to_value:g}"
    kind = f"a list of {type(default[0]).__name__} values" if isinstance(default, list) else type(default).__name__
    return f"expected {kind}"


def check(values: Any) -> None:
    """Raise ParameterError for a value outside its choices, or from the dataclass's own `check`."""
    for entry in fields(values):
        value, choices = getattr(values, entry.name), entry.metadata["choices"]
        if choices and value not in choices:
            raise ParameterError(f"parameter '{entry.name}' is '{value}': expected one of {', '.join(choices)}")
        if isinstance(value, float) and math.isnan(value):
            raise ParameterError(f"parameter '{entry.name}' is not a number: give a finite value")
    own = getattr(values, "check", None)
    if own is not None:
        own()


def reject_unknown(names: Iterable[str], known: Iterable[str]) -> None:
    """Raise ParameterError for an unknown name, with the most similar known one."""
    known = list(known)
    for name in names:
        if name in known or name in OF_RCLPY or name.startswith("qos_overrides."):
            continue
        similar = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        short = ", ".join(sorted(each for each in known if "." not in each))
        hint = f"did you mean '{similar[0]}'?" if similar else f"known are {short}"
        raise ParameterError(f"unknown parameter '{name}': {hint}")


class StrictParametersMixin:
    """Base of a node class, before Node: declares all given parameters, so that `Parameters` finds unknown names."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        options["automatically_declare_parameters_from_overrides"] = True
        super().__init__(*arguments, **options)

    def create_service(self, kind: Any, name: str, callback: Any, **options: Any) -> Any:
        """As in rclpy, but whoever calls gets an answer, also from a callback that fails."""
        return super().create_service(kind, name, answered(callback), **options)  # type: ignore[misc]

    def declare_parameters(self, namespace: str, parameters: list[Any], ignore_override: bool = False) -> Any:
        """As in rclpy, but without parameters that have no value, such as empty lists in YAML: rclpy would raise."""
        valued = [entry for entry in parameters if len(entry) < 2 or entry[1] is not None]
        return super().declare_parameters(namespace, valued, ignore_override)  # type: ignore[misc]


class Parameters(Generic[P]):
    """The parameters of one node: declared once, always valid, some of them changed while the node runs.

    Unknown names are found only if the node class has StrictParametersMixin. An empty list means the default.

    changed  called with the new values after a change
    frozen   returns whether only live parameters may change at the moment
    others   names of parameters that are declared elsewhere
    """

    def __init__(
        self,
        node: Node,
        cls: type[P],
        changed: Callable[[P], None] = lambda values: None,
        frozen: Callable[[], bool] = lambda: False,
        others: Iterable[str] = (),
    ) -> None:
        self._others = tuple(others)
        self._node, self._cls, self._changed, self._frozen = node, cls, changed, frozen
        self._fields = {entry.name: entry for entry in fields(cls)}  # type: ignore[arg-type]
        self._given = set(node.get_parameters_by_prefix(""))
        for entry in self._fields.values():
            self._declare(entry)
        node.add_on_set_parameters_callback(self._on_set)

    def _declare(self, entry: Field[Any]) -> None:
        """Declare a parameter with its description; rclpy has declared those that were given, without one."""
        given, default = self._node.has_parameter(entry.name), default_of(entry)
        old_name = entry.metadata["old_name"]
        if old_name and self._node.has_parameter(old_name):
            default = self._renamed(old_name, entry.name, default, given)
        declare(self._node, entry.name, default, descriptor(entry))

    def _renamed(self, old_name: str, name: str, default: Any, given: bool) -> Any:
        """The value that was given under the old name of a parameter; the new name wins where both are given."""
        value = _plain(self._node.get_parameter(old_name).value)
        self._node.undeclare_parameter(old_name)
        self._given.remove(old_name)
        self._node.get_logger().warning(
            f"parameter '{old_name}' is deprecated and will be removed in the next release: use '{name}'"
        )
        if not given and type(value) is not type(default):
            raise ParameterError(f"parameter '{old_name}' has the wrong type: expected {type(default).__name__}")
        return default if given else value

    def read(self) -> P:
        """The current values; ParameterError when a name is unknown or a value is not allowed."""
        reject_unknown(self._given, [*self._fields, *self._others])
        values = self._cls(**{name: self._value(entry) for name, entry in self._fields.items()})
        check(values)
        return values

    def _value(self, entry: Field[Any]) -> Any:
        parameter = self._node.get_parameter_or(entry.name)
        return default_of(entry) if parameter.type_ == Parameter.Type.NOT_SET else _plain(parameter.value)

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
    """The value, arrays as lists: rclpy gives lists or array.array."""
    return list(value) if not isinstance(value, (str, bytes, int, float, bool)) and value is not None else value
