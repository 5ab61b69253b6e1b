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


# Module and class of each node's parameters, under camera_perception_ros.
NODES = {
    "camera_node": "params.camera:CameraParams",
    "rig_node": "params.camera:CameraParams",
    "fusion_node": "params.fusion:FusionParams",
    "bag_player_node": "params.player:PlayerParams",
    "bag_recorder_node": "nodes.bag_recorder_node:RecorderParams",
    "live_node": "nodes.live_node:LiveParams",
}
HELP = ("-h", "--help")


def _run(node: str) -> None:
    from importlib import import_module

    from camera_perception_ros.runtime.process import leave_with, run

    if set(HELP) & set(_own(sys.argv)) and node != "rig_node":  # which has arguments of its own
        print(_help(node))
        leave_with(0)
    leave_with(run(import_module(f"camera_perception_ros.nodes.{node}").create))


def _own(arguments: list[str]) -> list[str]:
    """The arguments before --ros-args."""
    return arguments[: arguments.index("--ros-args")] if "--ros-args" in arguments else arguments


def _help(node: str) -> str:
    """How to start a node, and its parameters with their defaults."""
    from dataclasses import fields
    from importlib import import_module

    from camera_perception_ros.params.params import default_of

    module, _, name = NODES[node].partition(":")
    entries = fields(getattr(import_module(f"camera_perception_ros.{module}"), name))
    lines = [f"  {entry.name} ({default_of(entry)!r}): {entry.metadata['description']}" for entry in entries]
    usage = f"usage: {node} [--ros-args -p NAME:=VALUE --params-file FILE --log-level LEVEL]"
    return "\n".join((usage, "", "parameters:", *lines))


def main(arguments: list[str]) -> None:
    """python -m camera_perception_ros.nodes.main camera_node --ros-args ..."""
    node = arguments[1] if len(arguments) > 1 else ""
    if node in HELP:
        print(f"usage: NODE [--help] [--ros-args ...] with NODE one of {', '.join(NODES)}")
    elif node not in NODES:
        print(f"there is no node '{node}': give one of {', '.join(NODES)}", file=sys.stderr)
        sys.exit(2)
    else:
        _run(node)


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


if __name__ == "__main__":
    main(sys.argv)
