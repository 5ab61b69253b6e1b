"""A rig and its fusion: ros2 launch camera_perception_bringup multi_camera.launch.py model:=DIR rig:=RIG.yaml"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import OpaqueFunction

from camera_perception.geometry.rig import read_rig
from camera_perception_ros.launching import COMMON, RIG, declare_arguments, many_cameras, values_of

ARGUMENTS = COMMON + RIG


def actions(context):
    share = Path(get_package_share_directory("camera_perception_bringup"))
    values = values_of(ARGUMENTS, context)
    return many_cameras(values, read_rig(values["rig"]), share)


def generate_launch_description():
    return LaunchDescription([*declare_arguments(ARGUMENTS), OpaqueFunction(function=actions)])
