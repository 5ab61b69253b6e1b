"""The installed package: every module imports, every node has an executable, starts, and explains its parameters.

What the nodes do is tested in tests/nodes of the repository.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import walk_packages

import pytest
import rclpy
from rclpy.parameter import Parameter

import camera_perception_ros
from camera_perception_ros.nodes.camera_node import CameraNode
from camera_perception_ros.nodes.fusion_node import FusionNode

MODULES = sorted(module.name for module in walk_packages(camera_perception_ros.__path__, "camera_perception_ros."))
# messages and readers that are used where installed
OPTIONAL = ("autoware_perception_msgs", "foxglove_msgs", "mcap", "rosbags", "tier4_perception_msgs", "vision_msgs")
NODES = ("camera_node", "rig_node", "fusion_node", "bag_player_node", "bag_recorder_node")


@pytest.fixture
def options():
    """Options of a node in a ROS context of its own."""
    context = rclpy.Context()
    rclpy.init(context=context)
    yield {"context": context, "use_global_arguments": False}
    rclpy.try_shutdown(context=context)


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith((".__main__", ".main"))])
def test_a_module_can_be_imported(name):
    try:
        import_module(name)
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] not in OPTIONAL:
            raise
        pytest.skip(f"{error.name} is not installed")


@pytest.mark.parametrize("name", NODES)
def test_a_node_has_an_executable_and_a_create_function(name):
    targets = {each.name: each.value for each in entry_points(group="console_scripts")}
    assert targets[name] == f"camera_perception_ros.nodes.main:{name}"
    assert callable(import_module(f"camera_perception_ros.nodes.{name}").create)


def test_a_camera_node_without_a_model_stays_unconfigured_and_its_parameters_are_described(options, capfd):
    node = CameraNode(**options)
    node.start()
    assert node.lifecycle_state == "unconfigured"
    assert "parameter 'model' is empty" in capfd.readouterr().err
    assert node.describe_parameter("model").description.endswith("Required.")
    node.close()
    node.destroy_node()


def test_a_fusion_node_goes_through_its_whole_lifecycle(options):
    node = FusionNode(parameter_overrides=[Parameter("cameras", value=["front"])], **options)
    states = []
    for step in ("configure", "activate", "deactivate", "cleanup", "shutdown"):
        getattr(node, f"trigger_{step}")()
        states.append(node.lifecycle_state)
    assert states == ["inactive", "active", "inactive", "unconfigured", "finalized"]
    node.destroy_node()
