"""Entry points. Light on purpose: signal handlers stand before the heavy imports begin, so that Ctrl-C is clean from the start."""

from __future__ import annotations

import signal
import sys
from importlib import import_module
from typing import NoReturn

from camera_perception_ros.process import leave_with, run


def _node(module: str) -> NoReturn:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: leave_with(0))
    create = import_module(f"camera_perception_ros.{module}").create
    leave_with(run(create))


def camera_node() -> NoReturn:
    _node("camera_node")


def fusion_node() -> NoReturn:
    _node("fusion_node")


def bag_player_node() -> NoReturn:
    _node("bag_player_node")


def bag_recorder_node() -> NoReturn:
    _node("bag_recorder_node")


if __name__ == "__main__":  # python -m camera_perception_ros.main camera_node --ros-args ...
    _node(sys.argv[1])
