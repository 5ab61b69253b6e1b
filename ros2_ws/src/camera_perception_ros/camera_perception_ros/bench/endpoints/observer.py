"""A node that is spun by hand, in the thread that measures."""

from __future__ import annotations

import time
from collections.abc import Callable

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions


class Observer:
    """One node and one thread; its callbacks run while it waits."""

    def __init__(self, name: str) -> None:
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)  # otherwise Ctrl-C ends this node before the rest
        self.node = Node(name, start_parameter_services=False, enable_rosout=False)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)

    def wait(self, condition: Callable[[], object], seconds: float) -> bool:
        """Spin until the condition holds; False after the given number of seconds."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            self._executor.spin_once(timeout_sec=0.02)
        return True

    def spin(self, seconds: float) -> None:
        self.wait(lambda: False, seconds)

    def close(self) -> None:
        self._executor.shutdown(timeout_sec=0.5)
        self.node.destroy_node()
        rclpy.try_shutdown()
