"""What went wrong in a lifecycle transition is said: rclpy turns exceptions into ERROR without a word."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

Self = TypeVar("Self", bound=LifecycleNode)
Transition = Callable[[Self, LifecycleState], TransitionCallbackReturn]


def told(transition: Transition[Self]) -> Transition[Self]:
    """The transition; an exception that leaves it is logged with its kind and place first."""

    @wraps(transition)
    def run(node: Self, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(node, state)
        except Exception as error:
            where = error.__traceback__
            while where is not None and where.tb_next is not None:
                where = where.tb_next
            place = f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where else "?"
            node.get_logger().error(f"{transition.__name__}: {type(error).__name__}: {error} ({place})")
            raise

    return run
