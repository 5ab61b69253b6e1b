"""Every launch file loads and declares described arguments; every parameter, view and layout file can be read.

Without the `launch` package, stand-ins take its place: the files are then loaded, but their actions are not made.
"""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

BRINGUP = Path(__file__).resolve().parents[1]
LAUNCH_FILES = sorted((BRINGUP / "launch").glob("*.launch.py"))


class Action:
    """Stands in for a launch action: keeps its arguments."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.name, self.description = arguments[0] if arguments else None, named.get("description", "")


class Description:
    """Stands in for LaunchDescription."""

    def __init__(self, entities: list[Any]) -> None:
        self.entities = entities


@pytest.fixture
def launch(monkeypatch):
    """The package `launch`, or stand-ins for what the files use of it."""
    if find_spec("launch") is not None and find_spec("launch.actions") is not None:
        return  # not just a folder of this name on the path
    package, actions = ModuleType("launch"), ModuleType("launch.actions")
    package.LaunchDescription, package.actions = Description, actions
    actions.DeclareLaunchArgument, actions.OpaqueFunction = type("DeclareLaunchArgument", (Action,), {}), Action
    monkeypatch.setitem(sys.modules, "launch", package)
    monkeypatch.setitem(sys.modules, "launch.actions", actions)


def test_there_are_launch_files():
    assert [path.name for path in LAUNCH_FILES] == [
        "multi_camera.launch.py",
        "perception.launch.py",
        "replay.launch.py",
    ]


@pytest.mark.usefixtures("launch")
@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_a_launch_file_loads_and_describes_its_arguments(path):
    spec = spec_from_file_location(path.name.partition(".")[0], path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    entities = module.generate_launch_description().entities
    arguments = [entity for entity in entities if type(entity).__name__ == "DeclareLaunchArgument"]
    assert [argument.name for argument in arguments] == [argument.name for argument in module.ARGUMENTS]
    assert all(argument.description for argument in arguments)
    assert len(entities) == len(arguments) + 1


@pytest.mark.parametrize(
    "name", ["perception.param.yaml", "fusion.param.yaml", "nav2_costmap.yaml", "rig_example.yaml"]
)
def test_a_configuration_file_can_be_read(name):
    assert yaml.safe_load((BRINGUP / "config" / name).read_text("utf-8"))


@pytest.mark.parametrize(
    "path", sorted(BRINGUP.glob("rviz/*")) + sorted(BRINGUP.glob("foxglove/*")), ids=lambda p: p.name
)
def test_a_view_can_be_read(path):
    text = path.read_text("utf-8")
    assert json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)


def test_the_transport_profile_is_xml():
    assert ElementTree.parse(BRINGUP / "config" / "fastdds_shm.xml").getroot().tag
