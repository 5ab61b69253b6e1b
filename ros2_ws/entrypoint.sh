#!/bin/bash
# Entry of the vehicle images: the ROS 2 environment, and what keeps camera images from getting lost on their way.
set -e
source "/opt/ros/$ROS_DISTRO/setup.bash"
source /opt/camera_perception/local_setup.bash
profile=/opt/camera_perception/share/camera_perception_bringup/config/fastdds_shm.xml
export FASTRTPS_DEFAULT_PROFILES_FILE="${FASTRTPS_DEFAULT_PROFILES_FILE:-$profile}"
export FASTDDS_DEFAULT_PROFILES_FILE="${FASTDDS_DEFAULT_PROFILES_FILE:-$profile}"
# Talk to this machine only: with --network host every machine of the subnet could steer the nodes otherwise. Humble knows
# the second name, later releases the first.
export ROS_AUTOMATIC_DISCOVERY_RANGE="${ROS_AUTOMATIC_DISCOVERY_RANGE:-LOCALHOST}"
if [ "$ROS_DISTRO" = humble ] && [ "$ROS_AUTOMATIC_DISCOVERY_RANGE" = LOCALHOST ]; then
  export ROS_LOCALHOST_ONLY="${ROS_LOCALHOST_ONLY:-1}"
fi
export MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=1073741824 MALLOC_TOP_PAD_=134217728
exec "$@"
