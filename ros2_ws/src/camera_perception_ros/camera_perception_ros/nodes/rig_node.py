"""Several cameras in one process with one engine: rig_node --rig RIG.yaml --ros-args --params-file FILE

Each camera is a camera node of its own, in the namespace of its images; the parameter file applies to all of them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from rclpy.parameter import Parameter
from rclpy.utilities import remove_ros_args

from camera_perception.engines.serving.shared_model import ModelPool
from camera_perception.geometry.rig import RigCamera, read_rig
from camera_perception_ros.launching import NODE, rig_overrides
from camera_perception_ros.nodes.camera_node import CameraNode
from camera_perception_ros.runtime.process import Stop


def create(stop: Stop) -> list[CameraNode]:
    """A node per camera of the rig file, started at once if its parameter `autostart` is true."""
    parser = argparse.ArgumentParser(description="Camera nodes of a rig in one process, sharing one engine.")
    parser.add_argument("--rig", required=True, help="rig file, as for multi_camera.launch.py")
    nodes = rig_nodes(stop, read_rig(parser.parse_args(remove_ros_args(sys.argv)[2:]).rig))
    for node in nodes:
        node.autostart()
    return nodes


def rig_nodes(stop: Stop | None, cameras: Sequence[RigCamera], **options: Any) -> list[CameraNode]:
    """The nodes, not started. `parameter_overrides` among the options apply to every camera."""
    pool, common = ModelPool(), options.pop("parameter_overrides", [])
    return [
        CameraNode(
            stop,
            NODE,
            open_model=pool.open,
            namespace=camera.namespace,
            parameter_overrides=[
                *common,
                *(Parameter(name, value=value) for name, value in _parameters_of(number, camera).items()),
            ],
            **options,
        )
        for number, camera in enumerate(cameras)
    ]


def _parameters_of(number: int, camera: RigCamera) -> dict[str, Any]:
    """Parameters of one camera; only the first watches the fusion node, for the whole process."""
    return rig_overrides(camera) | ({"watched_fusion": ""} if number else {})
