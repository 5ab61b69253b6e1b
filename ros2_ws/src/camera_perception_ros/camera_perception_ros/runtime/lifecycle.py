"""Lifecycle nodes whose parts exist only while the node is configured, or only while it is active."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Generic, Protocol, TypeVar

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from camera_perception.core.documents.text import shorten
from camera_perception.core.errors import PerceptionError
from camera_perception_ros.params.answered import answered
from camera_perception_ros.params.params import StrictParametersMixin
from camera_perception_ros.runtime.process import Stopped

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class Closable(Protocol):
    def close(self) -> None:
        """Release everything."""


Configured = TypeVar("Configured", bound=Closable)
Active = TypeVar("Active", bound=Closable)
Transition = Callable[[Any, LifecycleState], TransitionCallbackReturn]


def log_transition_errors(transition: Transition) -> Transition:
    """Log an exception that leaves a transition, with its type and line: rclpy itself drops it silently."""

    @wraps(transition)
    def run(node: Any, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(node, state)
        except Exception as error:
            where = error.__traceback__
            while where is not None and where.tb_next is not None:
                where = where.tb_next
            line = f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where else "?"
            node.failure = shorten(f"{transition.__name__}: {type(error).__name__}: {error} ({line})")
            node.get_logger().error(node.failure)
            raise

    return run


class ManagedNode(StrictParametersMixin, LifecycleNode, Generic[Configured, Active]):
    """A lifecycle node. A subclass implements `configure` and `activate`; what they return is closed on the way back.

    configured       what `configure` returned; None while unconfigured
    active           what `activate` returned; None while not active
    lifecycle_state  label of the state: unconfigured, inactive, active or finalized
    failure          why the last transition failed; empty after one that succeeded
    """

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, **options)
        self._service_change_state.callback = answered(self._service_change_state.callback)
        self.configured: Configured | None = None
        self.active: Active | None = None
        self.lifecycle_state = "unconfigured"
        self.failure = ""

    def configure(self) -> Configured:
        """Read the parameters and open everything; a PerceptionError leaves the node unconfigured."""
        raise NotImplementedError

    def activate(self, configured: Configured) -> Active:
        """Start to work."""
        raise NotImplementedError

    def start(self) -> None:
        """Configure and activate, for use without a lifecycle manager."""
        if self.trigger_configure() == SUCCESS:
            self.trigger_activate()

    def autostart(self) -> None:
        """Configure and activate if the parameter `autostart` is true; a hint in the log otherwise."""
        if self.get_parameter("autostart").value:
            self.start()
        else:
            name = self.get_fully_qualified_name()
            self.get_logger().info(f"waiting for configure: `ros2 lifecycle set {name} configure`, or set autostart")

    def close(self) -> None:
        """Finish the work at hand and release everything; called before the node is destroyed."""
        self._close_active()
        if self.configured is not None:
            self.configured.close()
            self.configured = None

    def _close_active(self) -> None:
        if self.active is not None:
            self.active.close()
            self.active = None

    @log_transition_errors
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.failure = ""
        try:
            self.configured = self.configure()
        except PerceptionError as error:
            self.failure = f"cannot configure: {error}"
            self.get_logger().error(self.failure)
            return FAILURE
        except Stopped:
            return FAILURE
        self.lifecycle_state = "inactive"
        return super().on_configure(state)

    @log_transition_errors
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        assert self.configured is not None
        result = super().on_activate(state)
        self.active = self.activate(self.configured)
        self.lifecycle_state = "active"
        return result

    @log_transition_errors
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._close_active()
        self.lifecycle_state = "inactive"
        return super().on_deactivate(state)

    @log_transition_errors
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.close()
        self.lifecycle_state = "unconfigured"
        return SUCCESS

    @log_transition_errors
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.close()
        self.lifecycle_state = "finalized"
        return SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.get_logger().error("a transition failed; the node is unconfigured again")
        return self.on_cleanup(state)
