"""One camera: ros2 launch camera_perception_bringup perception.launch.py model:=DIR namespace:=/camera/front"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import OpaqueFunction

from camera_perception_ros.launching import CAMERA, COMMON, declare_arguments, one_camera, values_of

ARGUMENTS = COMMON + CAMERA


def actions(context):
    share = Path(get_package_share_directory("camera_perception_bringup"))
    return one_camera(values_of(ARGUMENTS, context), share)


def generate_launch_description():
    return LaunchDescription([*declare_arguments(ARGUMENTS), OpaqueFunction(function=actions)])
