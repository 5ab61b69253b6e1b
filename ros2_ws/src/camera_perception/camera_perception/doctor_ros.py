"""What the nodes need: ROS 2, messages, transport, memory settings."""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from camera_perception.finding import BAD, HINT, OK, Finding
from camera_perception.shared_memory import SHM, files_of, sweep

MALLOC = {"MALLOC_MMAP_THRESHOLD_": 1 << 30, "MALLOC_TRIM_THRESHOLD_": 1 << 30, "MALLOC_TOP_PAD_": 1 << 27}
MIN_SEGMENT = 16 << 20  # bytes of shared memory per publisher; the stock 512 KiB loses most images
OPTIONAL = {
    "cv_bridge": "more image encodings",
    "tf2_ros": "camera pose from TF",
    "vision_msgs": "vision_msgs output",
    "foxglove_msgs": "Foxglove annotations",
    "diagnostic_updater": "not needed, /diagnostics is published anyway",
}


def ros() -> Iterator[Finding]:
    """ROS 2, our messages, optional packages."""
    if find_spec("rclpy") is None:
        yield Finding(
            "ros",
            HINT,
            "no rclpy: library and replay work, nodes do not; source ros2_ws/env.sh or /opt/ros/.../setup.bash",
        )
        return
    yield Finding(
        "ros",
        OK,
        f"{os.environ.get('ROS_DISTRO', 'unknown distribution')}, domain {os.environ.get('ROS_DOMAIN_ID', '0')}",
    )
    if find_spec("camera_perception_msgs") is None:
        yield Finding(
            "messages",
            HINT,
            "camera_perception_msgs is not built or not sourced: make setup, then source ros2_ws/env.sh",
        )
    else:
        yield Finding("messages", OK, "camera_perception_msgs is importable")
    absent = [f"{name} ({use})" for name, use in OPTIONAL.items() if find_spec(name) is None]
    yield Finding("optional", OK, f"absent: {', '.join(absent)}" if absent else "all optional packages are there")


def transport() -> Iterator[Finding]:
    """The DDS profile: without it best-effort images between processes are mostly lost."""
    if find_spec("rclpy") is None:
        return
    rmw = os.environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")
    if "fastrtps" not in rmw:
        yield Finding("dds", OK, f"{rmw}; the Fast DDS profile of this project is not used")
        return
    profile = os.environ.get("FASTRTPS_DEFAULT_PROFILES_FILE", "")
    if not profile:
        yield Finding("dds", HINT, "FASTRTPS_DEFAULT_PROFILES_FILE is not set: images get lost; source ros2_ws/env.sh")
    elif not Path(profile).is_file():
        yield Finding("dds", BAD, f"FASTRTPS_DEFAULT_PROFILES_FILE names {profile}, which does not exist: correct it")
    else:
        yield _segment(Path(profile))


def _segment(profile: Path) -> Finding:
    found = re.search(r"<segment_size>\s*(\d+)\s*</segment_size>", profile.read_text("utf-8", "replace"))
    size = int(found.group(1)) if found else 0
    if size < MIN_SEGMENT:
        return Finding(
            "dds",
            HINT,
            f"{profile} gives {size >> 10} KiB of shared memory: images need {MIN_SEGMENT >> 20} MiB or more",
        )
    return Finding("dds", OK, f"shared memory segments of {size >> 20} MiB ({profile.name})")


def memory() -> Iterator[Finding]:
    """glibc returns image buffers to the kernel after every frame unless told otherwise."""
    if platform.libc_ver()[0] != "glibc":
        return
    low = [name for name, least in MALLOC.items() if _number(os.environ.get(name, "")) < least]
    if low:
        yield Finding("malloc", HINT, f"{', '.join(low)} not set: each image costs 3 ms more; source ros2_ws/env.sh")
    else:
        yield Finding("malloc", OK, "image buffers are kept between frames")


def leftovers() -> Iterator[Finding]:
    """Shared memory: room, and what killed processes left behind."""
    if not SHM.is_dir():
        return
    files, dead = files_of(SHM), sweep(SHM, remove=False)
    size, free = sum(_size(path) for path in files) >> 20, shutil.disk_usage(SHM).free >> 20
    verdict = HINT if size > 256 or free < 512 else OK
    advice = f", {len(dead)} of them left by killed processes: the next node that starts removes them" if dead else ""
    yield Finding("shared memory", verdict, f"{free} MiB free, {len(files)} Fast DDS files of {size} MiB{advice}")


def _size(path: Path) -> int:
    try:
        return path.stat().st_blocks * 512
    except OSError:
        return 0  # gone meanwhile


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0
