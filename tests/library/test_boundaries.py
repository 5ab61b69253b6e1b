"""Imports point one way: bringup -> nodes -> library, perception_models -> library; and inside the library, too."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
LIBRARY = REPOSITORY / "ros2_ws/src/camera_perception/camera_perception"
NODES = REPOSITORY / "ros2_ws/src/camera_perception_ros/camera_perception_ros"
MODELS = REPOSITORY / "perception_models"

TRAINING = {"lightning", "lightning_fabric", "perception_models", "torch"}
ROS = {"ament_index_python", "camera_perception_ros", "launch", "launch_ros", "rclpy", "tf2_ros"}

# Heavy or optional package: the only library files that may name it. doctor.py looks at what is installed.
HOMES = {
    "cuda": ["doctor.py", "engines/cuda*.py"],
    "onnxruntime": ["doctor.py", "engine_regions.py", "engines/onnxruntime.py", "inspect_onnx.py"],
    "openvino": ["doctor.py", "engines/openvino.py"],
    "tensorrt": ["doctor.py", "engines/tensorrt*.py"],
}

# What a step of the pipeline may know of another step, and why.
BORROWS = {
    ("decode", "lanes"): "a decoder of lanes gives them in the order and with the roles of lanes.py",
    ("decode", "preprocess"): "what was letterboxed comes back through the same Letterbox",
    ("engines", "preprocess"): "the letterbox on the GPU halves and places as the one on the CPU does",
    ("locate", "camera"): "to locate is to look through a camera",
    ("lane_fit", "camera"): "to locate is to look through a camera",
    ("free_road", "camera"): "to locate is to look through a camera",
    ("free_road", "ground"): "a free road ends where its range is in doubt",
    ("ground", "camera"): "to locate is to look through a camera",
    ("lane_fit", "ground"): "points of lines are placed with their doubt",
    ("range_sensors", "camera"): "to locate is to look through a camera",
    ("range_sensors", "locate"): "what has a place, and how wide it is there, is said once",
    ("range_sensors", "ranges"): "its input",
    ("ranges", "camera"): "other sensors are asked for a camera",
    ("locate", "ground"): "contact points are placed with their doubt",
    ("lane_track", "lane_fit"): "a calmer course is the same cubic, fitted over frames",
    ("lane_track", "lane_roles"): "lines that keep their ids change their roles",
    ("object_track", "camera"): "what stands on the road moves in the image as the car drives",
    ("overhang", "camera"): "how high a camera hangs says whether it sees the tyres below the bumper",
    ("calibration_doctor", "camera"): "it judges a camera's pose",
    ("calibration_doctor", "lane_roles"): "the usual lane width is named there",
    ("relevance", "camera"): "a light hangs where its ray leads",
    ("relevance", "lane_roles"): "a light is ours when our lane leads to it",
}

VALUES = {"errors", "model_spec", "status", "types"}


def imports(file: Path) -> Iterator[str]:
    """Dotted names of all modules that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: write the whole name, it can be searched for"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def packages(file: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(file)}


def ideas(file: Path) -> set[str]:
    """Names of the library's own files and folders that a file imports."""
    names = {name.split(".")[1] for name in imports(file) if name.startswith("camera_perception.")}
    return {name for name in names if (LIBRARY / name).is_dir() or (LIBRARY / f"{name}.py").is_file()}


def library_graph() -> dict[str, set[str]]:
    """Idea (a file or a folder of the library) -> ideas it imports."""
    graph: dict[str, set[str]] = {}
    for file in LIBRARY.rglob("*.py"):
        idea = file.relative_to(LIBRARY).parts[0].removesuffix(".py")
        graph.setdefault(idea, set()).update(ideas(file) - {idea})
    return graph


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [(LIBRARY, ROS | TRAINING), (NODES, TRAINING), (MODELS, ROS)],
    ids=["library", "nodes", "models"],
)
def test_no_package_imports_what_stands_above_it(folder, forbidden):
    wrong = {str(file.relative_to(folder)): packages(file) & forbidden for file in folder.rglob("*.py")}
    assert {file: names for file, names in wrong.items() if names} == {}


def test_the_library_knows_no_ros_messages():
    wrong = [str(file) for file in LIBRARY.rglob("*.py") if any(name.endswith("_msgs") for name in packages(file))]
    assert wrong == []


def test_the_library_has_no_circle():
    names = {
        "camera_perception." + ".".join(file.relative_to(LIBRARY).with_suffix("").parts): file
        for file in LIBRARY.rglob("*.py")
    }
    names = {name.removesuffix(".__init__"): file for name, file in names.items()}
    TopologicalSorter({name: set(imports(file)) & names.keys() for name, file in names.items()}).prepare()


def test_values_import_only_values():
    graph = library_graph()
    assert {value: graph.get(value, set()) - VALUES for value in VALUES} == {value: set() for value in VALUES}


def test_steps_do_not_know_each_other():
    graph = library_graph()
    steps = graph["pipeline"] - VALUES
    pairs = {(step, other) for step in steps for other in graph[step] & steps}
    assert sorted(pairs - BORROWS.keys()) == []


@pytest.mark.parametrize("package", HOMES)
def test_a_heavy_package_is_named_only_at_home(package):
    strangers = [
        str(file.relative_to(LIBRARY))
        for file in LIBRARY.rglob("*.py")
        if package in packages(file)
        and not any(fnmatch(str(file.relative_to(LIBRARY)), home) for home in HOMES[package])
    ]
    assert strangers == []


@pytest.mark.parametrize("package", ["cv_bridge", "foxglove_msgs", "tf2_msgs", "tf2_ros", "vision_msgs"])
def test_an_optional_ros_package_is_named_in_one_file_of_the_nodes(package):
    assert len([file for file in NODES.rglob("*.py") if package in packages(file)]) <= 1


def test_the_pipeline_starts_without_any_heavy_package():
    heavy = {*HOMES, *ROS, *TRAINING, "matplotlib", "mcap", "onnx", "rosbags"}
    program = f"import sys, camera_perception.pipeline; print(*sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=LIBRARY.parent
    )
    assert done.stdout.split() == []


def test_bringup_holds_no_code_but_launch_files():
    bringup = REPOSITORY / "launch"
    assert [file for file in bringup.rglob("*.py") if not file.match("launch/*.launch.py")] == []
