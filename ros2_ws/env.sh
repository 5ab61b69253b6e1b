# Source this from bash, in any directory: `source ros2_ws/env.sh`. Twice does no harm.
#
# It finds ROS 2 in the pip wheels of .venv; on a machine with an installed ROS 2, source /opt/ros/DISTRO/setup.bash first.

_ws="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
_venv="$(dirname "$_ws")/.venv"

_put_first() { # _put_first VARIABLE DIRECTORY: once, whether it is there already or not
  local rest=":${!1:-}:"
  rest="${rest//":$2:"/:}"
  rest="${rest#:}"
  rest="${rest%:}"
  export "$1=$2${rest:+:$rest}"
}

[ -d "$_venv/bin" ] && _put_first PATH "$_venv/bin"

if [ -d "$_venv/share/rclpy" ]; then
  export ROS_DISTRO=jazzy ROS_VERSION=2 ROS_PYTHON_VERSION=3
  _put_first AMENT_PREFIX_PATH "$_venv"
  _put_first CMAKE_PREFIX_PATH "$_venv"
  # What the wheels' start-up hook would set, in random order, by starting every Python twice.
  for _libs in "$_venv"/lib/python3.*/site-packages/ros_*.libs "$_venv/lib"; do _put_first LD_LIBRARY_PATH "$_libs"; done
  export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1
fi

export COLCON_DEFAULTS_FILE="$_ws/colcon_defaults.yaml"
if [ -f "$_ws/install/setup.bash" ]; then
  _nounset="$(set +o | grep nounset)" # colcon's scripts read unset variables
  set +u
  source "$_ws/install/setup.bash"
  eval "$_nounset"
fi

# Camera images fit into shared memory only with this profile. Fast DDS 2 reads the first name, 3 the second.
export FASTRTPS_DEFAULT_PROFILES_FILE="${FASTRTPS_DEFAULT_PROFILES_FILE:-$(dirname "$_ws")/launch/config/fastdds_shm.xml}"
export FASTDDS_DEFAULT_PROFILES_FILE="${FASTDDS_DEFAULT_PROFILES_FILE:-$FASTRTPS_DEFAULT_PROFILES_FILE}"

# Keep image buffers instead of returning them to the kernel after every frame.
export MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=1073741824 MALLOC_TOP_PAD_=134217728

# Talk to this machine only. Humble knows the second name, later releases the first.
export ROS_AUTOMATIC_DISCOVERY_RANGE="${ROS_AUTOMATIC_DISCOVERY_RANGE:-LOCALHOST}"
if [ "${ROS_DISTRO:-}" = humble ] && [ "$ROS_AUTOMATIC_DISCOVERY_RANGE" = LOCALHOST ]; then # later releases warn about it
  export ROS_LOCALHOST_ONLY="${ROS_LOCALHOST_ONLY:-1}"
fi

unset -f _put_first
unset _ws _venv _libs _nounset
