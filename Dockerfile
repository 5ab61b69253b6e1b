# syntax=docker/dockerfile:1
# Images for vehicles: ROS 2, the nodes, one inference runtime. No torch, no compiler at run time, no root.
#
#   docker build --target x86-cpu -t camera-perception .             # desktop or car PC, ONNX Runtime and OpenVINO
#   docker build --target x86-tensorrt -t camera-perception .        # NVIDIA GPU: docker run --gpus all
#   docker build --target jetson -t camera-perception .              # Jetson Orin, JetPack 6: docker run --runtime nvidia
#   docker build --target jetson-7 -t camera-perception .            # Jetson Thor or Orin, JetPack 7, on the Jetson itself
#   docker build --target fleet -t camera-perception-fleet .         # a node of a Ray cluster: docs/fleet.md
#   docker run --rm --network host --ipc host camera-perception      # --ipc host: camera images come through shared memory
#
# The nodes talk to this machine only; to others with -e ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET, see docs/security.md.
#
# TensorRT engines are built on first use for the GPU at hand; keep them: -v camera-perception:/home/perception/.cache

# ---- the workspace, built on ROS 2 Jazzy -------------------------------------------------------------------------
FROM ros:jazzy-ros-base-noble AS build-jazzy
SHELL ["/bin/bash", "-eo", "pipefail", "-c"]
WORKDIR /ws
COPY launch launch
COPY ros2_ws/src ros2_ws/src
RUN source /opt/ros/jazzy/setup.bash \
 && colcon build --merge-install --install-base /opt/camera_perception \
    --base-paths ros2_ws/src launch --cmake-args -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF

# ---- x86-64, inference on the CPU --------------------------------------------------------------------------------
FROM ros:jazzy-ros-core-noble AS x86-cpu
SHELL ["/bin/bash", "-eo", "pipefail", "-c"]
ENV PIP_BREAK_SYSTEM_PACKAGES=1 PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1
RUN apt-get update \
 && apt-get install --yes --no-install-recommends \
    python3-jinja2 python3-jsonschema python3-matplotlib python3-numpy python3-opencv python3-pip \
    python3-tqdm python3-yaml \
    ros-jazzy-autoware-perception-msgs ros-jazzy-cv-bridge ros-jazzy-foxglove-msgs ros-jazzy-ros2bag ros-jazzy-rosbag2-storage-mcap \
    ros-jazzy-rosbag2-transport ros-jazzy-tf2-ros ros-jazzy-vision-msgs \
 && rm -rf /var/lib/apt/lists/*
COPY requirements/locked/vehicle.txt /tmp/vehicle.txt
RUN pip install --no-cache-dir --require-hashes -r /tmp/vehicle.txt \
 && useradd --create-home --uid 10001 --groups video perception \
 && install -d -m 700 -o perception -g perception /home/perception/.cache /home/perception/.config \
    /home/perception/.config/camera_perception
COPY --from=build-jazzy /opt/camera_perception /opt/camera_perception
COPY perception_models/zoo /opt/models
COPY --chmod=755 ros2_ws/entrypoint.sh /entrypoint.sh
USER 10001
WORKDIR /home/perception
ENTRYPOINT ["/entrypoint.sh"]
CMD ["ros2", "launch", "camera_perception_bringup", "perception.launch.py", "model:=/opt/models/demo"]
# A node that lives publishes its diagnostics every second.
HEALTHCHECK --interval=30s --timeout=20s --start-period=600s --retries=3 \
  CMD ["/entrypoint.sh", "timeout", "15", "ros2", "topic", "echo", "--once", "/diagnostics"]

# ---- x86-64 with an NVIDIA GPU: the same, and TensorRT -----------------------------------------------------------
FROM x86-cpu AS x86-tensorrt
USER 0
RUN pip install --no-cache-dir cuda-bindings==12.9.10 nvidia-cuda-nvrtc-cu12==12.9.86 nvidia-ml-py==13.615.71 \
    tensorrt-cu12==10.16.1.11
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001
CMD ["ros2", "launch", "camera_perception_bringup", "perception.launch.py", "model:=/opt/models/demo", \
     "build_engine:=background"]

# ---- Jetson Orin, JetPack 6: its own CUDA and TensorRT 10.3, ROS 2 Humble ----------------------------------------
FROM nvcr.io/nvidia/l4t-jetpack:r36.4.0 AS humble-jetson
SHELL ["/bin/bash", "-eo", "pipefail", "-c"]
ENV DEBIAN_FRONTEND=noninteractive LANG=C.UTF-8 ROS_DISTRO=humble PYTHONUNBUFFERED=1
ADD --chmod=644 https://raw.githubusercontent.com/ros/rosdistro/master/ros.asc /etc/apt/keyrings/ros.asc
RUN echo "deb [signed-by=/etc/apt/keyrings/ros.asc] http://packages.ros.org/ros2/ubuntu jammy main" \
    > /etc/apt/sources.list.d/ros2.list \
 && apt-get update \
 && apt-get install --yes --no-install-recommends \
    python3-jinja2 python3-jsonschema python3-libnvinfer python3-matplotlib python3-numpy python3-opencv python3-pip \
    python3-tqdm python3-yaml \
    ros-humble-autoware-perception-msgs ros-humble-cv-bridge ros-humble-foxglove-msgs ros-humble-ros2bag ros-humble-rosbag2-storage-mcap \
    ros-humble-rosbag2-transport ros-humble-ros-core ros-humble-tf2-ros ros-humble-vision-msgs \
 && rm -rf /var/lib/apt/lists/*

FROM humble-jetson AS build-jetson
SHELL ["/bin/bash", "-eo", "pipefail", "-c"]
RUN apt-get update \
 && apt-get install --yes --no-install-recommends build-essential cmake python3-colcon-common-extensions python3-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /ws
COPY launch launch
COPY ros2_ws/src ros2_ws/src
RUN source /opt/ros/humble/setup.bash \
 && colcon build --merge-install --install-base /opt/camera_perception \
    --base-paths ros2_ws/src launch --cmake-args -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF

# cuda-python 12.6: the driver of JetPack 6 is for CUDA 12.6 and refuses newer bindings (error 35).
FROM humble-jetson AS jetson
SHELL ["/bin/bash", "-eo", "pipefail", "-c"]
COPY requirements/locked/vehicle.txt /tmp/vehicle.txt
RUN pip install --no-cache-dir --require-hashes -r /tmp/vehicle.txt \
 && pip install --no-cache-dir cuda-python==12.6.2.post1 nvidia-ml-py==13.615.71 \
 && useradd --create-home --uid 10001 --groups video perception \
 && install -d -m 700 -o perception -g perception /home/perception/.cache /home/perception/.config \
    /home/perception/.config/camera_perception
COPY --from=build-jetson /opt/camera_perception /opt/camera_perception
COPY perception_models/zoo /opt/models
COPY --chmod=755 ros2_ws/entrypoint.sh /entrypoint.sh
USER 10001
WORKDIR /home/perception
ENTRYPOINT ["/entrypoint.sh"]
CMD ["ros2", "launch", "camera_perception_bringup", "perception.launch.py", "model:=/opt/models/demo", \
     "build_engine:=background"]
HEALTHCHECK --interval=30s --timeout=20s --start-period=900s --retries=3 \
  CMD ["/entrypoint.sh", "timeout", "15", "ros2", "topic", "echo", "--once", "/diagnostics"]

# ---- Jetson Thor and Orin, JetPack 7: TensorRT 10.16 and CUDA 13, ROS 2 Jazzy -------------------------------------
# Ordinary arm64 Ubuntu packages (SBSA): TensorRT for CUDA 13 from NVIDIA's repository, the driver from the host.
FROM x86-cpu AS jetson-7
USER 0
ADD https://developer.download.nvidia.com/compute/cuda/repos/ubuntu2404/sbsa/cuda-keyring_1.1-1_all.deb /tmp/keyring.deb
RUN dpkg -i /tmp/keyring.deb \
 && apt-get update \
 && apt-get install --yes --no-install-recommends \
    libnvinfer10=10.16.* libnvinfer-plugin10=10.16.* libnvonnxparsers10=10.16.* python3-libnvinfer=10.16.* \
 && rm -rf /var/lib/apt/lists/* /tmp/keyring.deb
RUN pip install --no-cache-dir cuda-bindings==13.5.0 nvidia-cuda-nvrtc==13.5.37 nvidia-ml-py==13.615.71
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001
CMD ["ros2", "launch", "camera_perception_bringup", "perception.launch.py", "model:=/opt/models/demo", \
     "build_engine:=background"]

# ---- A node of a Ray cluster: the library and what replays recordings, no ROS ------------------------------------
FROM python:3.12-slim-bookworm AS fleet
SHELL ["/bin/bash", "-eo", "pipefail", "-c"]
ENV PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1 RAY_USAGE_STATS_ENABLED=0
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 rsync wget \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 10001 ray
COPY requirements/run.txt requirements/fleet.txt /tmp/requirements/
RUN pip install --no-cache-dir -r /tmp/requirements/run.txt -r /tmp/requirements/fleet.txt
COPY ros2_ws/src/camera_perception /tmp/camera_perception
COPY ros2_ws/src/camera_perception_msgs/msg /tmp/camera_perception_msgs/msg
# The compiler is for the compiled part of the library and does not stay.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends gcc libc6-dev \
 && pip install --no-cache-dir --no-deps /tmp/camera_perception \
 && apt-get purge --yes --auto-remove gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
COPY perception_models/zoo /opt/models
USER 10001
WORKDIR /home/ray
CMD ["camera-perception", "fleet", "--help"]
