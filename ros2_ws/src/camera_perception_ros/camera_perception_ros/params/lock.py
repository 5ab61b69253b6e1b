"""Parameters that nobody may change while a node runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from camera_perception_ros.params.params import param

DESCRIPTION = (
    "Refuse every change of a parameter while the node runs, also of those that may change and of use_sim_time; "
    "lifecycle transitions and topics stay open to everybody without SROS2."
)


LOCK = param(False, DESCRIPTION, read_only=True)  # the field `lock_parameters` of a node's parameters


class ParameterLock:
    """Refuses changes of the parameters that exist now, if `lock_parameters` is true. Made when all are declared."""

    def __init__(self, node: Node) -> None:
        self._open = not node.get_parameter("lock_parameters").value
        self._names = {"use_sim_time", *node.get_parameters_by_prefix("")}
        node.add_on_set_parameters_callback(self._on_set)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """While the node itself changes one."""
        before, self._open = self._open, True
        try:
            yield
        finally:
            self._open = before

    def _on_set(self, changes: list[Parameter]) -> SetParametersResult:
        locked = [] if self._open else [change.name for change in changes if change.name in self._names]
        if not locked:
            return SetParametersResult(successful=True)
        reason = f"'{locked[0]}' cannot change: lock_parameters is true; restart the node with another value"
        return SetParametersResult(successful=False, reason=reason)
