"""Entry points of the nodes.

Signal handlers are installed before anything heavy is imported: Ctrl-C and `kill` end a node with exit code 0 even
while it starts.
"""

from __future__ import annotations

import os
import signal
import sys

for _number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(_number, lambda *_: os._exit(0))


def _run(node: str) -> None:
    from importlib import import_module

    from camera_perception_ros.runtime.process import leave_with, run

    leave_with(run(import_module(f"camera_perception_ros.nodes.{node}").create))


def camera_node() -> None:
    _run("camera_node")


def rig_node() -> None:
    sys.argv.insert(1, "rig_node")  # as with python -m: the name of the node comes first
    _run("rig_node")


def fusion_node() -> None:
    _run("fusion_node")


def bag_player_node() -> None:
    _run("bag_player_node")


def bag_recorder_node() -> None:
    _run("bag_recorder_node")


def live_node() -> None:
    _run("live_node")


if __name__ == "__main__":  # python -m camera_perception_ros.nodes.main camera_node --ros-args ...
    _run(sys.argv[1])
