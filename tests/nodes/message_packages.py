"""Builds the message packages of foreign_messages.txt with the tools that build ours, and puts them on the path.

python tests/nodes/message_packages.py builds them, which takes minutes; `make test` does so once.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
TEXTS = Path(__file__).with_name("foreign_messages.txt")
CMAKE_LISTS = """cmake_minimum_required(VERSION 3.16)
project({name})
find_package(ament_cmake REQUIRED)
{find}
file(GLOB interfaces RELATIVE ${{CMAKE_CURRENT_SOURCE_DIR}} msg/*.msg)
rosidl_generate_interfaces(${{PROJECT_NAME}} ${{interfaces}} DEPENDENCIES {needs})
ament_package()
"""
PACKAGE_XML = """<package format="3"><name>{name}</name><version>0.0.0</version><description>Messages</description>
<maintainer email="nobody@invalid.invalid">nobody</maintainer><license>Apache-2.0</license>
<buildtool_depend>ament_cmake</buildtool_depend><buildtool_depend>rosidl_default_generators</buildtool_depend>
{depends}<member_of_group>rosidl_interface_packages</member_of_group>
<export><build_type>ament_cmake</build_type></export></package>
"""
NEEDS = {
    "vision_msgs": ("geometry_msgs", "std_msgs"),
    "autoware_perception_msgs": ("builtin_interfaces", "geometry_msgs", "std_msgs"),
    "tier4_perception_msgs": ("autoware_perception_msgs", "sensor_msgs", "std_msgs"),
}
# What rclpy uses of rosidl_default_generators: half the time to build.
GENERATORS = (
    "rosidl_cmake", "rosidl_generator_type_description", "rosidl_generator_c", "rosidl_generator_cpp",
    "rosidl_typesupport_fastrtps_cpp", "rosidl_typesupport_fastrtps_c", "rosidl_typesupport_c", "rosidl_generator_py",
)  # fmt: skip


def definitions() -> dict[str, dict[str, str]]:
    """Package -> message -> its text."""
    found: dict[str, dict[str, str]] = {}
    for package, name, text in re.findall(r"^=== (\w+)/msg/(\w+)\n(.*?)(?=^===|\Z)", TEXTS.read_text(), re.M | re.S):
        found.setdefault(package, {})[name] = text
    return found


def folder() -> Path:
    """Where they are built: another folder for other texts or another Python."""
    digest = hashlib.sha256(TEXTS.read_bytes() + sys.version.encode()).hexdigest()[:12]
    return REPOSITORY / ".setup" / f"foreign_messages-{digest}"


def built() -> bool:
    return (folder() / "complete").is_file()


def build() -> None:
    """Build them, unless they are there."""
    if not built():
        shutil.rmtree(folder(), ignore_errors=True)
        _write_sources(folder() / "src")
        _build(folder())
        (folder() / "complete").touch()


def _write_sources(sources: Path) -> None:
    for package, messages in definitions().items():
        (sources / package / "msg").mkdir(parents=True)
        for name, text in messages.items():
            (sources / package / "msg" / f"{name}.msg").write_text(text)
        needs = NEEDS[package]
        find = "\n".join(f"find_package({each} REQUIRED)" for each in (*GENERATORS, *needs))
        depends = "\n".join(f"<depend>{each}</depend>" for each in needs)
        cmake = CMAKE_LISTS.format(name=package, find=find, needs=" ".join(needs))
        (sources / package / "CMakeLists.txt").write_text(cmake)
        (sources / package / "package.xml").write_text(PACKAGE_XML.format(name=package, depends=depends))


def _build(into: Path) -> None:
    fix = REPOSITORY / "ros2_ws/cmake/ros_wheels_fix.cmake"
    command = ["colcon", "--log-base", "log", "build", "--merge-install", "--parallel-workers", "1", "--cmake-args"]
    options = ["-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS_DEBUG=-O0", "-DCMAKE_C_FLAGS_DEBUG=-O0"]
    env = {**os.environ, "COLCON_DEFAULTS_FILE": os.devnull}
    done = subprocess.run(
        [*command, *options, "-DBUILD_TESTING=OFF", f"-DCMAKE_PROJECT_INCLUDE={fix}"],
        cwd=into, env=env, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


def use() -> None:
    """Make the packages importable and their libraries loadable in this process, as sourcing the workspace would."""
    install = folder() / "install"
    sys.path += [str(path) for path in install.glob("lib/python*/site-packages")]
    os.environ["LD_LIBRARY_PATH"] = f"{install}/lib:{os.environ.get('LD_LIBRARY_PATH', '')}"
    os.environ["AMENT_PREFIX_PATH"] = f"{install}:{os.environ.get('AMENT_PREFIX_PATH', '')}"
    waiting = sorted((install / "lib").glob("lib*.so"))
    while waiting:  # each needs others; the loader knows those that are loaded by their names
        left = [path for path in waiting if not _loads(path)]
        assert len(left) < len(waiting), f"cannot load {left[0]}"
        waiting = left


def _loads(path: Path) -> bool:
    try:
        ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    build()
