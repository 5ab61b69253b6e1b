"""A recording through one camera's node: ros2 launch camera_perception_bringup replay.launch.py model:=DIR bag:=BAG

Plays with our own player, which waits until the camera is active; with player:=rosbag2 `ros2 bag play --clock` plays.
The nodes follow /clock.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import OpaqueFunction

from camera_perception_ros.launching import CAMERA, COMMON, REPLAY, declare_arguments, one_camera, player, values_of

ARGUMENTS = COMMON + CAMERA + REPLAY


def actions(context):
    share = Path(get_package_share_directory("camera_perception_bringup"))
    values = {**values_of(ARGUMENTS, context), "use_sim_time": "true"}
    return [*one_camera(values, share), player(values, share)]


def generate_launch_description():
    return LaunchDescription([*declare_arguments(ARGUMENTS), OpaqueFunction(function=actions)])
