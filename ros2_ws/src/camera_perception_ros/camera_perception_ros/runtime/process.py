"""Start, spin and exit of a node's process; SIGINT and SIGTERM end it with exit code 0 at any moment."""

from __future__ import annotations

import gc
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from camera_perception.core.documents.text import shorten
from camera_perception.core.errors import PerceptionError
from camera_perception.core.shared_memory import sweep_twice
from camera_perception_ros.params.params import CONFIGURATION_ERROR

if TYPE_CHECKING:
    from rclpy.executors import Executor
    from rclpy.node import Node

EXIT_CONTEXT_LOST = 3  # exit code: the GPU's context is lost, a restarted process recovers
MOST_DOMAIN = 232
EXIT_TIMEOUT = 8.0  # seconds that the transport may take to close; ros2 launch kills after 10


class Stopped(Exception):
    """The process was asked to end while it was still starting."""


class Stop:
    """Set once, by a signal or by a node that has finished; checked by everything that may take long."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.exit_code = 0

    def request(self, exit_code: int = 0) -> None:
        self.exit_code = self.exit_code or exit_code
        self._event.set()

    def __bool__(self) -> bool:
        return self._event.is_set()

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        self.request()


def run(create: Callable[[Stop], Sequence[Node]]) -> int:
    """Create nodes and spin them on one thread until one of them or a signal requests the end; returns the exit code.

    That is CONFIGURATION_ERROR when they cannot be created from the command line, the parameters and the files given.
    Replaces rclpy's signal handlers: those raise at any line of the program, and a second Ctrl-C kills it while it
    cleans up. Ours only set a flag.
    """
    stop = Stop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop.on_signal)
    import rclpy
    from rclpy.exceptions import NameValidationException
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.impl.implementation_singleton import rclpy_implementation
    from rclpy.signals import SignalHandlerOptions

    sweep_twice()  # shared memory of killed nodes
    if problem := domain_problem():
        _log(problem)
        return CONFIGURATION_ERROR
    try:
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    except Exception as error:  # a type of its own for each kind of argument, several of them private
        _log(command_line_problem(error))
        return CONFIGURATION_ERROR
    executor = SingleThreadedExecutor()
    nodes: list[Node] = []
    try:
        nodes += create(stop)
        for node in nodes:
            executor.add_node(node)
        spin(executor, stop)
    except Stopped:
        pass
    except (PerceptionError, NameValidationException) as error:
        _log(" ".join(str(error).split()))
        stop.request(exit_code=CONFIGURATION_ERROR)
    except rclpy_implementation.RCLError as error:
        _log(refusal(error))
        stop.request(exit_code=CONFIGURATION_ERROR)
    finally:
        _shut_down(executor, nodes)
    return stop.exit_code


def spin(executor: Executor, stop: Stop) -> None:
    """Run callbacks until stop is set. An exception in a callback is logged and never ends the node."""
    while not stop:
        try:
            executor.spin_once(timeout_sec=0.1)
        except Stopped:
            return
        except Exception as error:
            _log(f"callback failed: {error!r}\n{traceback.format_exc(limit=-4)}")
            time.sleep(0.01)


def domain_problem() -> str:
    """One sentence about a domain for which DDS has no ports: Fast DDS ends the process without one."""
    domain = os.environ.get("ROS_DOMAIN_ID", "")
    if not domain.isdecimal() or int(domain[:9]) <= MOST_DOMAIN:
        return ""  # rcl refuses what is not a number
    return f"cannot start: ROS_DOMAIN_ID is {domain[:9]}, and DDS has ports for 0 to {MOST_DOMAIN}: choose another one"


def refusal(error: Exception) -> str:
    """One sentence about a node that DDS does not create."""
    reason = shorten(_without_places(error), 200)
    return (
        f"cannot start: DDS refuses the node ({reason}); check the ROS_SECURITY_ variables and the DDS profile, then "
        "start the node again"
    )


def _without_places(error: Exception) -> str:
    """The text of an error of rcl on one line, without the places in its source."""
    return re.sub(r", at /\S+:\d+", "", " ".join(str(error).split()))


def command_line_problem(error: Exception) -> str:
    """One sentence about ROS arguments that rcl refuses, without the places in its source."""
    text = _without_places(error).removeprefix("failed to initialize rcl: ")
    if text == "error not set":
        text = "rcl gives no reason, often a ROS_SECURITY_ variable without its keystore"
    what, _, reason = text.partition(". Error: ")
    where = f" ({reason})" if reason else ""
    return f"cannot start: {what}{where}; correct the arguments or the parameter file, then start the node again"


def _log(text: str) -> None:
    from rclpy.logging import get_logger

    get_logger("camera_perception").error(text)


def _shut_down(executor: Executor, nodes: Sequence[Node]) -> None:
    import rclpy

    for node in nodes:
        try:
            close = getattr(node, "close", None)
            if close is not None:
                close()
            node.destroy_node()
        except Exception as error:
            _log(f"could not close {node.get_name()}: {error!r}")
    executor.shutdown(timeout_sec=0.5)
    rclpy.try_shutdown()


def leave_with(code: int) -> NoReturn:
    """End the process at once, after ROS was shut down: threads inside native code cannot delay or crash the exit.

    Nodes hold reference cycles; only when they are collected does Fast DDS remove its files from shared memory.
    """
    gc.unfreeze()
    collecting = threading.Thread(target=gc.collect, name="exit", daemon=True)
    collecting.start()
    collecting.join(EXIT_TIMEOUT)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
