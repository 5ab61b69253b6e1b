"""Imports point one way: between packages, between the folders of a package, and between files."""

from __future__ import annotations

import ast
import runpy
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
LIBRARY = REPOSITORY / "ros2_ws/src/camera_perception/camera_perception"
NODES = REPOSITORY / "ros2_ws/src/camera_perception_ros/camera_perception_ros"
MODELS = REPOSITORY / "perception_models"
SCENES = REPOSITORY / "driving_scenes/src/driving_scenes"
PACKAGES = [LIBRARY, NODES, MODELS, SCENES]

TRAINING = {"lightning", "lightning_fabric", "perception_models", "torch"}
ROS = {"ament_index_python", "camera_perception_ros", "launch", "launch_ros", "rclpy", "tf2_ros"}

# Heavy or optional package: the only library files that may import it. tools/doctor.py checks what is installed.
HOMES = {
    "av": ["image/video_packets.py", "io/video_file.py"],
    "aiohttp": ["tools/live/server.py"],
    "cryptography": ["engines/serving/signature.py"],
    "cuda": ["tools/doctor.py", "engines/cuda/*.py"],
    "onnxruntime": [
        "tools/doctor.py", "engines/build/locate_deviation.py", "engines/onnxruntime.py", "tools/models/import_onnx.py",
    ],
    "duckdb": ["tools/fleet/store/query.py"],
    "foxglove": ["tools/live/foxglove.py"],
    "fsspec": ["tools/fleet/store/storage.py"],
    "openvino": ["tools/doctor.py", "engines/openvino.py"],
    "pyarrow": ["tools/fleet/store/schema.py", "tools/replay/export.py"],
    "ray": ["tools/fleet/work/ray_pool.py"],
    "tensorrt": ["tools/doctor.py", "engines/tensorrt/*.py"],
}  # fmt: skip

# Folders and files directly below each package, bottom to top. An import leads to a lower row or stays in its folder.
ROWS = {
    LIBRARY: [
        {"core"},
        {"geometry", "image"},
        {"lanes", "engines", "io"},
        {"objects", "decode"},
        {"draw", "pipeline"},
        {"fusion"},
        {"tools"},
    ],
    NODES: [
        {"conversions", "params", "views"},
        {"outputs", "launching", "bag", "runtime"},
        {"camera", "fusion"},
        {"nodes", "demo"},
        {"bench"},
    ],
    MODELS: [
        {"config", "data"},
        {"network"},
        {"losses"},
        {"training"},
        {"export"},
        {"evaluation"},
        {"compression"},
        {"experiments"},
        {"commands"},
        {"cli"},
        {"__main__"},
    ],
    SCENES: [
        {"base"},
        {"assets", "roads"},
        {"scene"},
        {"renderer"},
        {"labels"},
        {"output"},
        {"cli"},
        {"__main__"},
    ],
}
MOST_ENTRIES = 13

by_package = pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)


@cache
def imports(file: Path) -> frozenset[str]:
    """Dotted names of all modules that a file imports, wherever in the file."""
    return frozenset(_imports(file))


def _imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: write the whole name, it can be searched for"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def packages(file: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(file)}


@cache
def modules(package: Path) -> dict[str, Path]:
    """Dotted name -> file of every module of a package."""
    names = {
        ".".join(file.relative_to(package.parent).with_suffix("").parts): file
        for file in package.rglob("*.py")
        if "__pycache__" not in file.parts
    }
    return {name.removesuffix(".__init__"): file for name, file in names.items()}


@cache
def graph(package: Path) -> dict[str, set[str]]:
    """Module -> modules of the same package that it imports; of `from a.b import c`, a.b.c where that is a module."""
    known = modules(package)
    return {name: _most_precise(imports(file) & known.keys()) - {name} for name, file in known.items()}


def _most_precise(names: set[str]) -> set[str]:
    return {name for name in names if not any(other.startswith(f"{name}.") for other in names)}


def children(package: Path, parent: str) -> dict[str, set[str]]:
    """Modules and folders directly in a folder -> those that they import, folders taken as one."""
    depth = parent.count(".") + 1
    out: dict[str, set[str]] = {}
    for name, targets in graph(package).items():
        if name.startswith(f"{parent}."):
            child = name.split(".")[depth]
            others = {target.split(".")[depth] for target in targets if target.startswith(f"{parent}.")}
            out.setdefault(child, set()).update(others - {child})
    return out


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        (LIBRARY, ROS | TRAINING | {"driving_scenes"}),
        (NODES, TRAINING | {"driving_scenes"}),
        (MODELS, ROS),
        (SCENES, ROS | TRAINING | {"camera_perception"}),
    ],
    ids=["library", "nodes", "models", "scenes"],
)
def test_no_package_imports_what_stands_above_it(folder, forbidden):
    wrong = {str(file.relative_to(folder)): packages(file) & forbidden for file in folder.rglob("*.py")}
    assert {file: names for file, names in wrong.items() if names} == {}


def test_the_library_knows_no_ros_messages():
    wrong = [str(file) for file in LIBRARY.rglob("*.py") if any(name.endswith("_msgs") for name in packages(file))]
    assert wrong == []


@by_package
def test_files_do_not_import_each_other_in_a_circle(package):
    TopologicalSorter(graph(package)).prepare()


@by_package
def test_folders_do_not_import_each_other_in_a_circle(package):
    for parent in [name for name, file in modules(package).items() if file.name == "__init__.py"]:
        TopologicalSorter(children(package, parent)).prepare()


@by_package
def test_a_row_imports_only_rows_below_it(package):
    row = {name: number for number, names in enumerate(ROWS[package]) for name in names}
    top = children(package, package.name)
    assert row.keys() == top.keys()
    wrong = [f"{name} -> {other}" for name in top for other in top[name] if row[other] >= row[name]]
    assert sorted(wrong) == []


@by_package
def test_no_folder_has_too_many_entries(package):
    full = {}
    for folder in {file.parent for file in modules(package).values()}:
        entries = {e.name for e in folder.iterdir() if e.suffix == ".py" or (e / "__init__.py").exists()}
        full[str(folder.relative_to(package))] = len(entries)
    assert {folder: count for folder, count in full.items() if count > MOST_ENTRIES} == {}


@pytest.mark.parametrize("package", HOMES)
def test_a_heavy_package_is_named_only_at_home(package):
    strangers = [
        str(file.relative_to(LIBRARY))
        for file in LIBRARY.rglob("*.py")
        if package in packages(file)
        and not any(fnmatch(str(file.relative_to(LIBRARY)), home) for home in HOMES[package])
    ]
    assert strangers == []


@pytest.mark.parametrize(
    "package",
    [
        "autoware_perception_msgs", "cv_bridge", "foxglove_msgs", "tf2_msgs", "tf2_ros", "tier4_perception_msgs",
        "vision_msgs",
    ],
)  # fmt: skip
def test_an_optional_ros_package_is_named_in_one_file_of_the_nodes(package):
    assert len([file for file in NODES.rglob("*.py") if package in packages(file)]) <= 1


def test_the_pipeline_starts_without_any_heavy_package():
    heavy = {*HOMES, *ROS, *TRAINING, "jinja2", "jsonschema", "matplotlib", "mcap", "onnx", "rosbags", "scipy"}
    program = f"import sys, camera_perception.pipeline; print(*sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=LIBRARY.parent
    )
    assert done.stdout.split() == []


def test_bringup_holds_no_code_but_launch_files_and_their_test():
    bringup = REPOSITORY / "launch"
    assert [
        file for file in bringup.rglob("*.py") if not file.match("launch/*.launch.py") and file.parent.name != "test"
    ] == []


@pytest.mark.parametrize("package", [LIBRARY, NODES], ids=lambda package: package.name)
def test_benchmarks_are_not_installed_and_everything_else_is(package, monkeypatch):
    options_given: dict[str, list[str]] = {}
    monkeypatch.chdir(package.parent)
    monkeypatch.setattr("setuptools.setup", lambda **options: options_given.update(options))
    runpy.run_path("setup.py")
    installed = set(options_given["packages"])
    folders = {name for name, file in modules(package).items() if file.name == "__init__.py"}
    assert folders - installed == {name for name in folders if ".bench" in name} != set()
