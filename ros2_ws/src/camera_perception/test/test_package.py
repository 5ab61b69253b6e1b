"""The installed package: every module imports, the command line starts, data files are there, no ROS is needed.

What the library computes is tested in tests/library of the repository.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from pkgutil import walk_packages

import pytest

import camera_perception

MODULES = sorted(module.name for module in walk_packages(camera_perception.__path__, "camera_perception."))
OPTIONAL = ("cuda", "tensorrt", "openvino", "onnxruntime", "onnx", "rosbags", "mcap", "mcap_ros2")
ROS = {"rclpy", "ament_index_python", "camera_perception_ros", "camera_perception_msgs"}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_can_be_imported(name):
    try:
        import_module(name)
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] not in OPTIONAL:
            raise
        pytest.skip(f"{error.name} is not installed")


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("._kernels")])  # that one is compiled
def test_a_module_does_not_import_ros(name):
    spec = import_module("importlib.util").find_spec(name)
    tree = ast.parse(Path(spec.origin).read_text("utf-8"))
    named = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    named += [str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert not ROS & {each.partition(".")[0] for each in named}


def test_the_command_line_starts():
    command = "import sys; sys.argv = ['camera-perception', '--help']; from {} import {} as app; app()"
    (entry,) = [each for each in entry_points(group="console_scripts") if each.name == "camera-perception"][:1]
    run = subprocess.run(
        [sys.executable, "-c", command.format(*entry.value.split(":"))], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert "replay" in run.stdout


@pytest.mark.parametrize("name", ["core/model.schema.json", "geometry/rig.schema.json", "tools/replay/report.html"])
def test_a_data_file_is_installed(name):
    assert files("camera_perception").joinpath(name).read_text("utf-8")


def test_the_message_definitions_are_installed():
    names = {path.name for path in files("camera_perception").joinpath("io/msg").iterdir()}
    assert {"PerceptionFrame.msg", "FusedPerception.msg"} <= names
