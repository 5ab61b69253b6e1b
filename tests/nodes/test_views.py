"""Views and layouts name topics, types and fields that our nodes have; they follow the cameras they are made for."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import OccupancyGrid
from sensor_msgs.msg import CompressedImage, Image
from visualization_msgs.msg import MarkerArray

from camera_perception_msgs.msg import FusedPerception, PerceptionFrame
from camera_perception_ros.fusion.outputs import fused_outputs
from camera_perception_ros.launching import NODE
from camera_perception_ros.outputs.publishers import standard_outputs
from camera_perception_ros.views import column, foxglove_layout, repeated, rviz_view, write_view

BRINGUP = Path(__file__).resolve().parents[2] / "launch"
RVIZ, FOXGLOVE = (sorted((BRINGUP / folder).iterdir()) for folder in ("rviz", "foxglove"))
ONE = {"cabin": "/car/cabin"}
THREE = {"front": "/camera/front", "left": "/camera/left", "rear": "/back/camera"}
CLASSES = {
    "rviz_default_plugins/Image": "sensor_msgs/msg/Image",
    "rviz_default_plugins/MarkerArray": "visualization_msgs/msg/MarkerArray",
    "rviz_default_plugins/Map": "nav_msgs/msg/OccupancyGrid",
    "rviz_default_plugins/Path": "nav_msgs/msg/Path",
}


def name_of(kind: Any) -> str:
    return "/".join((kind.__module__.split(".")[0], "msg", kind.__name__))


@pytest.fixture
def types(monkeypatch) -> dict[str, Any]:
    """Topic: message type of what our nodes publish and cameras give, for all cameras of the tests."""
    kinds = ("Color", "ImageAnnotations", "Point2", "PointsAnnotation", "TextAnnotation")
    made = {
        kind: type(kind, (), {"__init__": lambda self, **_: None, "__module__": "foxglove_msgs.msg"}) for kind in kinds
    }
    for name in ("foxglove_msgs", "foxglove_msgs.msg"):  # not installed everywhere
        module = ModuleType(name)
        module.__dict__.update(made)
        monkeypatch.setitem(sys.modules, name, module)
    # Set, then deleted: undone, it is as it was before. Else nodes of later tests would offer what the stand-in does.
    monkeypatch.setitem(sys.modules, "camera_perception_ros.outputs.foxglove", None)
    monkeypatch.delitem(sys.modules, "camera_perception_ros.outputs.foxglove")
    from camera_perception_ros.outputs.foxglove import OUTPUTS

    found = {f"/fusion/{output.topic[2:]}": output.type for output in fused_outputs()}
    found |= {"/fusion/fused": FusedPerception, "/diagnostics": DiagnosticArray}
    for namespace in {*ONE.values(), *THREE.values()}:
        found |= {f"{namespace}/image_raw": Image, f"{namespace}/image_raw/compressed": CompressedImage}
        found |= {
            f"{namespace}/{NODE}/{each.topic[2:]}": each.type for each in (*standard_outputs(lambda: 80), *OUTPUTS)
        }
        found[f"{namespace}/{NODE}/perception"] = PerceptionFrame
    return found


def displays(view: dict[str, Any]) -> list[tuple[str, str]]:
    """(class, topic) of everything that an RViz view subscribes to."""
    found = view["Visualization Manager"]["Displays"]
    return [(display["Class"], display["Topic"]["Value"]) for display in found if "Topic" in display]


def check_layout(layout: dict[str, Any], types: dict[str, Any]) -> None:
    for name, panel in layout["configById"].items():
        kind = name.partition("!")[0]
        if kind == "Image":
            mode = panel["imageMode"]
            assert types[mode["imageTopic"]] in (Image, CompressedImage)
            assert {name_of(types[topic]) for topic in mode.get("annotations", {})} <= {
                "foxglove_msgs/msg/ImageAnnotations"
            }
        elif kind == "3D":
            assert panel["topics"]
            assert {types[topic] for topic in panel["topics"]} <= {MarkerArray, OccupancyGrid}
        elif kind == "DiagnosticSummary":
            assert types[panel["topicToRender"]] is DiagnosticArray
        else:
            assert kind in ("Plot", "StateTransitions")
            for path in panel["paths"]:
                topic, field = re.fullmatch(r"([\w/]+)\.(\w+)", path["value"]).groups()
                assert field in types[topic].get_fields_and_field_types()
                assert kind != "Plot" or path["enabled"]


def leaves(layout: Any) -> list[str]:
    return [layout] if isinstance(layout, str) else leaves(layout["first"]) + leaves(layout["second"])


def test_there_is_a_view_and_a_layout_for_a_camera_and_for_a_rig():
    assert [path.name for path in (*RVIZ, *FOXGLOVE)] == ["camera.rviz", "rig.rviz", "camera.json", "rig.json"]


@pytest.mark.parametrize("cameras", [None, ONE, THREE], ids=["file", "one", "three"])
@pytest.mark.parametrize("path", RVIZ, ids=lambda path: path.stem)
def test_an_rviz_view_shows_what_our_nodes_publish(path, cameras, types):
    view = yaml.safe_load(path.read_text())
    shown = displays(rviz_view(view, cameras) if cameras else view)
    assert {name_of(types[topic]) for _, topic in shown} >= {
        "sensor_msgs/msg/Image",
        "visualization_msgs/msg/MarkerArray",
    }
    assert all(CLASSES[kind] == name_of(types[topic]) for kind, topic in shown)


@pytest.mark.parametrize("cameras", [None, ONE, THREE], ids=["file", "one", "three"])
@pytest.mark.parametrize("path", FOXGLOVE, ids=lambda path: path.stem)
def test_a_foxglove_layout_shows_what_our_nodes_publish(path, cameras, types):
    layout = json.loads(path.read_text())
    if path.stem == "camera" and cameras is THREE:
        pytest.skip("made for one camera")
    layout = foxglove_layout(layout, cameras) if cameras else layout
    check_layout(layout, types)
    assert sorted(leaves(layout["layout"])) == sorted(layout["configById"])


def test_a_layout_has_what_people_ask_for():
    layout = json.loads((BRINGUP / "foxglove" / "camera.json").read_text())["configById"]
    assert {name.partition("!")[0] for name in layout} >= {"Image", "3D", "DiagnosticSummary", "Plot"}
    assert any("annotations" in panel["imageMode"] for name, panel in layout.items() if name.startswith("Image!"))
    plotted = {path["value"].rpartition(".")[2] for path in layout["Plot!age"]["paths"]}
    assert {"age_ms", "inference_ms"} <= plotted


def test_a_view_follows_the_cameras_of_the_rig():
    view = yaml.safe_load((BRINGUP / "rviz" / "rig.rviz").read_text())
    pictures = [topic for kind, topic in displays(rviz_view(view, THREE)) if kind.endswith("Image")]
    assert pictures == [f"{namespace}/{NODE}/overlay" for namespace in THREE.values()]


def test_a_layout_follows_the_cameras_of_the_rig():
    layout = foxglove_layout(json.loads((BRINGUP / "foxglove" / "rig.json").read_text()), THREE)["configById"]
    assert [name for name in layout if name.startswith("Image!")] == ["Image!front", "Image!left", "Image!rear"]
    ages = {path["label"]: path["value"] for path in layout["Plot!age"]["paths"]}
    assert ages["rear"] == f"/back/camera/{NODE}/perception.age_ms"
    assert len(ages) == 4  # and the fused one


def test_items_without_cameras_stay_as_they_are():
    assert repeated(["/fusion/fused", "/camera/left/x"], {}) == ["/fusion/fused"]


@pytest.mark.parametrize(("count", "depth"), [(1, 0), (2, 1), (4, 3)])
def test_panels_stand_over_each_other(count, depth):
    tree = column([str(number) for number in range(count)])
    assert leaves(tree) == [str(number) for number in range(count)]
    for _ in range(depth):
        tree = tree["second"]
    assert isinstance(tree, str)


@pytest.mark.parametrize("path", [RVIZ[1], FOXGLOVE[1]], ids=lambda path: path.name)
def test_a_written_view_can_be_read_again(path):
    file = Path(write_view(path, THREE))
    read = json.loads(file.read_text()) if file.suffix == ".json" else yaml.safe_load(file.read_text())
    assert "/back/camera/" in json.dumps(read)
    file.unlink()
    file.parent.rmdir()
