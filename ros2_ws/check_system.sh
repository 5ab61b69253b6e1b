#!/bin/bash
# What pip cannot bring: says what is missing, and how to get it, before the long part of `make setup` begins.
python="${PYTHON:-python3}"
missing=()

"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' ||
  missing+=("Python 3.11 to 3.13 as '$python': name another one with 'make setup PYTHON=python3.11'")
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=("Python's venv: apt-get install python3-venv")
"$python" -c 'import sys, sysconfig, os; sys.exit(not os.path.isfile(sysconfig.get_path("include") + "/Python.h"))' ||
  missing+=("Python's headers: apt-get install python3-dev")
command -v c++ >/dev/null || missing+=("a C++ compiler: apt-get install build-essential")
[ "$(uname -sm)" = "Linux x86_64" ] ||
  missing+=("Linux on x86-64, the only platform with ROS 2 wheels: elsewhere install ROS 2 and build ros2_ws with colcon")

for line in "${missing[@]}"; do echo "make setup needs $line" >&2; done
exit "${#missing[@]}"
